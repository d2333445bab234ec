//! The browser's side.

use super::{Io, SOON, Tls, Ws, within};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a client asks with. Each request opens its own connection.
#[derive(Debug, Clone)]
pub struct Client {
    to: SocketAddr,
    tls: Option<Tls>,
    headers: Vec<(String, String)>,
    receive_buffer: Option<u32>,
}

/// What came back for an upgrade.
#[derive(Debug)]
pub enum Answer {
    /// 101, checked.
    Upgraded(Response, Ws),
    /// Anything else, and the connection, on which nothing must be tunnelled.
    Refused(Response, Ws),
}

/// A response head, and its body unless it was a 101.
#[derive(Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All header lines, as they came.
    pub headers: Vec<(String, String)>,
    /// The body, taken out of its chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, v)| v.as_str()).collect()
    }

    /// The first value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or("")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The Sec-WebSocket-Accept for a key (RFC 6455 4.2.2).
pub fn accept_of(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

fn new_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    STANDARD.encode([n, n].concat())
}

impl Client {
    pub(super) fn new(to: SocketAddr, tls: Option<Tls>) -> Client {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let headers = [
            ("Host", format!("localhost:{}", to.port())),
            ("Origin", format!("{scheme}://localhost:{}", to.port())),
        ];
        let headers = headers.map(|(n, v)| (n.to_owned(), v)).to_vec();
        Client { to, tls, headers, receive_buffer: None }
    }

    /// Sets a header, in the place of all of that name. (Also those of the upgrade itself.)
    pub fn header(mut self, name: &str, value: &str) -> Client {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.also(name, value)
    }

    /// Adds a header line.
    pub fn also(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header away.
    pub fn without(self, name: &str) -> Client {
        self.header(name, "")
    }

    /// Asks for another host.
    pub fn host(self, host: &str) -> Client {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{host}");
        self.header("Host", host).header("Origin", &origin)
    }

    /// Sends Basic credentials.
    pub fn basic(self, user: &str, password: &str) -> Client {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {credentials}"))
    }

    /// Reads through a small receive buffer.
    pub fn small_buffer(mut self) -> Client {
        self.receive_buffer = Some(16 << 10);
        self
    }

    /// A connection, and nothing on it yet.
    pub async fn connect(&self) -> Io {
        self.connect_alpn(&[]).await
    }

    /// A connection whose TLS offers these protocols.
    pub async fn connect_alpn(&self, alpn: &[&str]) -> Io {
        let io = Io::connect(self.to, self.tls, alpn, self.receive_buffer);
        within(SOON, "connecting", io).await.expect("connecting to httpd")
    }

    /// The bytes of a request; the headers given win over those set here, and an empty value
    /// leaves a line away.
    fn head(&self, line: &str, defaults: &[(&str, &str)]) -> String {
        let set = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let defaults = defaults.iter().filter(|(n, _)| !set(n)).copied();
        let mine = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let mut head = format!("{line}\r\n");
        for (name, value) in mine.chain(defaults).filter(|(_, v)| !v.is_empty()) {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    /// The bytes of an upgrade request, and the Sec-WebSocket-Accept that answers it.
    pub fn upgrade_head(&self, path: &str) -> (String, String) {
        let key = new_key();
        let defaults = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", &key),
        ];
        (self.head(&format!("GET {path} HTTP/1.1"), &defaults), accept_of(&key))
    }

    /// Asks for an upgrade and takes any answer. `early` goes out in the same write.
    pub async fn ask_with(&self, path: &str, early: &[u8]) -> Answer {
        let mut ws = Ws { io: self.connect().await, buffer: Vec::new(), client: true };
        let (head, accept) = self.upgrade_head(path);
        ws.raw(&[head.as_bytes(), early].concat()).await;
        within(SOON * 2, "an answer to the upgrade", self.answer(ws, &accept)).await
    }

    async fn answer(&self, mut ws: Ws, accept: &str) -> Answer {
        let response = ws.response("GET").await.expect("an answer to the upgrade");
        if response.status != 101 {
            return Answer::Refused(response, ws);
        }
        assert_eq!(response.all("Sec-WebSocket-Accept"), [accept], "{response:?}");
        assert!(response.header("Upgrade").eq_ignore_ascii_case("websocket"), "{response:?}");
        let connection = response.header("Connection").to_ascii_lowercase();
        assert!(connection.contains("upgrade"), "{response:?}");
        Answer::Upgraded(response, ws)
    }

    /// Asks for an upgrade and takes any answer.
    pub async fn ask(&self, path: &str) -> Answer {
        self.ask_with(path, b"").await
    }

    /// Asks for an upgrade, which must succeed.
    pub async fn upgrade(&self, path: &str) -> Ws {
        self.upgrade_with(path, b"").await.1
    }

    /// As [`Client::upgrade`], with bytes in the same write, and with the response head.
    pub async fn upgrade_with(&self, path: &str, early: &[u8]) -> (Response, Ws) {
        match self.ask_with(path, early).await {
            Answer::Upgraded(response, ws) => (response, ws),
            Answer::Refused(r, _) => panic!("upgrade of {path}: {} {}", r.status, r.text()),
        }
    }

    /// Asks for an upgrade, which must be refused with this status.
    pub async fn refused(&self, path: &str, status: u16) -> Response {
        match self.ask(path).await {
            Answer::Refused(response, _) if response.status == status => response,
            Answer::Refused(r, _) => {
                panic!("upgrade of {path}: {} instead of {status}: {}", r.status, r.text())
            }
            Answer::Upgraded(..) => panic!("upgrade of {path}: 101 instead of {status}"),
        }
    }

    /// A plain request.
    pub async fn plain(&self, method: &str, path: &str, body: &str) -> Response {
        let length = body.len().to_string();
        let length = if body.is_empty() { "" } else { &length };
        let defaults = [("Connection", "close"), ("Content-Length", length)];
        let head = self.head(&format!("{method} {path} HTTP/1.1"), &defaults);
        self.bytes(method, &(head + body)).await.expect("an answer")
    }

    /// A plain GET.
    pub async fn get(&self, path: &str) -> Response {
        self.plain("GET", path, "").await
    }

    /// Sends bytes and reads one answer; `None` if the connection ends without.
    pub async fn bytes(&self, method: &str, bytes: &str) -> Option<Response> {
        let mut ws = Ws { io: self.connect().await, buffer: Vec::new(), client: true };
        ws.raw(bytes.as_bytes()).await;
        within(SOON * 2, "an answer", ws.response(method)).await
    }
}

impl Ws {
    /// Reads a response: its head and, unless it is a 101, its body.
    pub async fn response(&mut self, method: &str) -> Option<Response> {
        let mut response = self.response_head().await?;
        let bodiless = matches!(response.status, 101 | 204 | 304) || method == "HEAD";
        if bodiless {
            return Some(response);
        }
        if response.header("Transfer-Encoding").eq_ignore_ascii_case("chunked") {
            response.body = self.chunks().await?;
        } else if let Ok(length) = response.header("Content-Length").parse() {
            response.body = self.exactly(length).await?;
        } else {
            while self.more().await {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Some(response)
    }

    async fn response_head(&mut self) -> Option<Response> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|l| l.split_once(':'));
        let headers = headers.map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect();
        Some(Response { status, headers, body: Vec::new() })
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let size = String::from_utf8_lossy(&line).trim().to_owned();
            let size = usize::from_str_radix(&size, 16).expect("a chunk size");
            let chunk = self.exactly(size + 2).await?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// Takes everything up to and with `end`.
    pub async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|w| w == end);
            if let Some(at) = found {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Takes this many bytes.
    pub async fn exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < n {
            if !self.more().await {
                return None;
            }
        }
        Some(self.buffer.drain(..n).collect())
    }

    async fn more(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match self.io.read(&mut chunk).await {
            Ok(n @ 1..) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                true
            }
            _ => false,
        }
    }

    /// Sends bytes after a refusal: httpd may answer them or end, but no upstream may see them.
    pub async fn knock(&mut self, bytes: &[u8]) {
        // The connection may be gone already: fine.
        let _ = self.io.write_all(bytes).await;
        let _ = self.io.flush().await;
    }
}
