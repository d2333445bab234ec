//! A small HTTP/1.1 server in the test process, which sees every byte of a request and may answer
//! with any bytes. Blocking threads of its own, so that it answers whatever the test's runtime does.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// What stands behind the method: path and query, byte for byte.
    pub target: String,
    /// The header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The number of its connection, from 0 on.
    pub connection: usize,
}

impl Received {
    /// All lines of the header `name` (lower case), joined by `|`.
    pub fn header(&self, name: &str) -> String {
        let lines = self.headers.iter().filter(|(n, _)| n == name);
        lines.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("|")
    }
}

/// What comes after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next request on the same connection.
    Keep,
    /// The connection is closed.
    Close,
}

/// Writes the answer to a request.
type Handler = dyn Fn(&Received, &mut dyn Write) -> io::Result<Then> + Send + Sync;

/// A server that runs until it is dropped.
pub struct HttpServer {
    state: Arc<State>,
    /// Where it listens on TCP.
    address: Option<SocketAddr>,
}

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    received: Mutex<Vec<Received>>,
    /// What closes an open connection, by its number.
    closers: Mutex<HashMap<usize, Box<dyn Fn() + Send>>>,
}

impl HttpServer {
    /// Listens on a free loopback port.
    pub fn tcp(
        handler: impl Fn(&Received, &mut dyn Write) -> io::Result<Then> + Send + Sync + 'static,
    ) -> HttpServer {
        HttpServer::tcp_at(SocketAddr::from(([127, 0, 0, 1], 0)), handler)
    }

    /// Listens on this address, on which a server may have listened before.
    pub fn tcp_at(
        address: SocketAddr,
        handler: impl Fn(&Received, &mut dyn Write) -> io::Result<Then> + Send + Sync + 'static,
    ) -> HttpServer {
        let listener = TcpListener::bind(address).expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let accept = move || {
            let (socket, _) = listener.accept()?;
            let (read, close) = (socket.try_clone()?, socket.try_clone()?);
            let close = move || drop(TcpStream::shutdown(&close, Shutdown::Both));
            Ok((Box::new(read) as _, Box::new(socket) as _, Box::new(close) as _))
        };
        HttpServer { state: serve(accept, Arc::new(handler)), address: Some(address) }
    }

    /// Listens on a Unix socket.
    pub fn unix(
        path: &Path,
        handler: impl Fn(&Received, &mut dyn Write) -> io::Result<Then> + Send + Sync + 'static,
    ) -> HttpServer {
        let listener = UnixListener::bind(path).expect("a Unix socket");
        let accept = move || {
            let (socket, _) = listener.accept()?;
            let (read, close) = (socket.try_clone()?, socket.try_clone()?);
            let close = move || drop(UnixStream::shutdown(&close, Shutdown::Both));
            Ok((Box::new(read) as _, Box::new(socket) as _, Box::new(close) as _))
        };
        HttpServer { state: serve(accept, Arc::new(handler)), address: None }
    }

    /// Where it listens on TCP.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("a TCP server")
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// How many connections have brought a request.
    pub fn connections(&self) -> usize {
        self.received().iter().map(|r| r.connection + 1).max().unwrap_or(0)
    }

    /// Closes every connection that is open now.
    pub fn close_connections(&self) {
        self.state.closers.lock().unwrap().drain().for_each(|(_, close)| close());
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.close_connections();
        // Wakes the thread that accepts, so that the port is free afterwards.
        if let Some(address) = self.address
            && let Ok(socket) = TcpStream::connect(address)
        {
            let _ = BufReader::new(socket).read(&mut [0]);
        }
    }
}

type Accepted = (Box<dyn Read + Send>, Box<dyn Write + Send>, Box<dyn Fn() + Send>);

fn serve(
    accept: impl Fn() -> io::Result<Accepted> + Send + 'static,
    handler: Arc<Handler>,
) -> Arc<State> {
    let state = Arc::new(State::default());
    let served = Arc::clone(&state);
    thread::spawn(move || {
        for connection in 0.. {
            let accepted = accept();
            if served.stopped.load(Ordering::SeqCst) {
                drop(accept);
                return;
            }
            let (read, write, close) = accepted.expect("a connection");
            served.closers.lock().unwrap().insert(connection, close);
            let (state, handler) = (Arc::clone(&served), Arc::clone(&handler));
            thread::spawn(move || converse(read, write, connection, &state, &*handler));
        }
    });
    state
}

/// Answers request after request, until one side has enough.
fn converse(
    read: Box<dyn Read>,
    mut write: Box<dyn Write>,
    connection: usize,
    state: &State,
    handler: &Handler,
) {
    let mut read = BufReader::new(read);
    while let Some(request) = receive(&mut read, connection) {
        state.received.lock().unwrap().push(request.clone());
        let then = handler(&request, &mut write).and_then(|then| write.flush().map(|()| then));
        if then.unwrap_or(Then::Close) == Then::Close {
            break;
        }
    }
    // What closes it would keep it open otherwise.
    if let Some(close) = state.closers.lock().unwrap().remove(&connection) {
        close();
    }
}

/// Reads a request without body; `None` at the end of the connection.
fn receive(read: &mut impl BufRead, connection: usize) -> Option<Received> {
    let mut line = || {
        let mut line = String::new();
        let length = read.read_line(&mut line).ok()?;
        (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    };
    let first = line()?;
    let target = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Received { target, headers, connection })
}

/// A whole answer. `status` is e.g. `200 OK`; `headers` are lines, each with its CRLF.
pub fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}
