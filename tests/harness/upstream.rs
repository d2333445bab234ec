//! The container's side: servers in the test process, on ports that they keep.

use super::ws::Ws;
use super::{Certificate, Io, SOON, accept_of, eventually, within};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::{TlsAcceptor, TlsStream};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A request head as it came.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Everything up to and with the blank line.
    pub head: String,
    /// How many reads it took.
    pub reads: usize,
}

impl Seen {
    /// The request line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }

    /// What was asked for: path and query.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or("")
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|l| l.split_once(':'));
        let same = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, v)| v.trim()).collect()
    }

    /// The first value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or("")
    }
}

/// A connection to an upstream, its request head read.
#[derive(Debug)]
pub struct Conn {
    /// The connection; `buffer` holds what came behind the head.
    pub ws: Ws,
    /// The request head.
    pub seen: Seen,
}

impl Conn {
    /// The head of a right 101, without the blank line. The first subprotocol is taken.
    pub fn switching(&self) -> String {
        let accept = accept_of(self.seen.header("Sec-WebSocket-Key"));
        let mut head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n"
        );
        let offered = self.seen.header("Sec-WebSocket-Protocol").split(',').next();
        if let Some(protocol) = offered.map(str::trim).filter(|p| !p.is_empty()) {
            head += &format!("Sec-WebSocket-Protocol: {protocol}\r\n");
        }
        head
    }

    /// Answers 101.
    pub async fn accept(&mut self) {
        self.accept_with("", b"").await;
    }

    /// Answers 101 with more header lines, and sends `early` in the same write.
    pub async fn accept_with(&mut self, lines: &str, early: &[u8]) {
        let head = self.switching() + lines + "\r\n";
        // httpd may be gone by now: what the test expects, it checks on its own side.
        let _ = self.ws.try_raw(&[head.as_bytes(), early].concat()).await;
    }
}

#[derive(Debug, Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    open: AtomicUsize,
}

/// A server that plays a container. It ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    tls: bool,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    /// A server that does `behaviour` with each connection, once its request head is there.
    pub async fn serve<F>(behaviour: impl Fn(Conn) -> F + Send + 'static) -> Upstream
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Upstream::listen(ANY, None, behaviour).await
    }

    /// The same at an address that the test chose.
    pub async fn serve_at<F>(
        address: SocketAddr,
        behaviour: impl Fn(Conn) -> F + Send + 'static,
    ) -> Upstream
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Upstream::listen(address, None, behaviour).await
    }

    /// As `serve`, over TLS.
    pub async fn serve_tls<F>(
        certificate: &Certificate,
        behaviour: impl Fn(Conn) -> F + Send + 'static,
    ) -> Upstream
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Upstream::listen(ANY, Some(TlsAcceptor::from(certificate.server())), behaviour).await
    }

    pub(super) async fn listen<F>(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        behaviour: impl Fn(Conn) -> F + Send + 'static,
    ) -> Upstream
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("its number");
        let state = Arc::new(State::default());
        let (with_tls, shared) = (tls.is_some(), state.clone());
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            let behaviour = Arc::new(Mutex::new(behaviour));
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                let (tls, state, behaviour) = (tls.clone(), shared.clone(), behaviour.clone());
                state.connections.fetch_add(1, Ordering::SeqCst);
                state.open.fetch_add(1, Ordering::SeqCst);
                open.spawn(async move {
                    let _leave = Leave(state.clone());
                    if let Some(conn) = begin(tcp, tls, &state).await {
                        let future = (behaviour.lock().expect("no panic in it"))(conn);
                        future.await;
                    }
                });
                while open.try_join_next().is_some() {}
            }
        });
        Upstream { address, tls: with_tls, state, task }
    }

    /// Ends it, and returns its address when nobody listens there any more.
    pub async fn end(self) -> SocketAddr {
        let address = self.address;
        drop(self);
        let refused = || std::net::TcpStream::connect(address).is_err();
        eventually(SOON, "the upstream's port is closed", refused).await;
        address
    }

    /// `ws://127.0.0.1:port`, or `wss://`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "wss" } else { "ws" }, self.address)
    }

    /// The last request it has seen.
    pub fn last_seen(&self) -> Seen {
        self.state.seen.lock().expect("seen").last().cloned().expect("a request")
    }

    /// The `n`th request it has seen (from 0); waits for it.
    pub async fn seen(&self, n: usize) -> Seen {
        let there = || self.state.seen.lock().expect("seen").len() > n;
        eventually(SOON, "a request at the upstream", there).await;
        self.state.seen.lock().expect("seen")[n].clone()
    }

    /// The latest request.
    pub async fn last(&self) -> Seen {
        self.seen(0).await;
        self.state.seen.lock().expect("seen").last().cloned().unwrap_or_default()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Waits until so many connections are open.
    pub async fn until_open(&self, n: usize, limit: Duration) {
        let what = format!("{n} open connections at the upstream");
        eventually(limit, &what, || self.open() == n).await;
    }
}

struct Leave(Arc<State>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// TLS, if any, and the request head.
async fn begin(tcp: TcpStream, tls: Option<TlsAcceptor>, state: &State) -> Option<Conn> {
    tcp.set_nodelay(true).ok()?;
    let io = match tls {
        None => Io::Plain(tcp),
        Some(tls) => Io::Tls(Box::new(TlsStream::Server(tls.accept(tcp).await.ok()?))),
    };
    let mut ws = Ws { io, buffer: Vec::new(), client: false };
    let seen = within(SOON * 6, "a request head", head(&mut ws)).await?;
    state.seen.lock().expect("seen").push(seen.clone());
    Some(Conn { ws, seen })
}

async fn head(ws: &mut Ws) -> Option<Seen> {
    let mut reads = 0;
    loop {
        if let Some(at) = ws.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head: Vec<u8> = ws.buffer.drain(..at + 4).collect();
            return Some(Seen { head: String::from_utf8_lossy(&head).into_owned(), reads });
        }
        let mut chunk = [0; 16 << 10];
        let n = ws.io.read(&mut chunk).await.ok().filter(|&n| n > 0)?;
        reads += 1;
        ws.buffer.extend_from_slice(&chunk[..n]);
    }
}
