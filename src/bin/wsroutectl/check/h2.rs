//! The step "h2": a WebSocket over HTTP/2 (RFC 8441), if the server offers it. A browser that has
//! the page over HTTP/2 would use it.

use std::io::Cursor;
use std::time::Duration;

use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Ping, RecvStream, SendStream};
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use super::door::Door;
use super::handshake::Page;
use super::http::{Io, printable};
use super::report::{Mark, Report, Verdict};
use super::session::Session;
use crate::headers::{Headers, value};

/// How long the WebSocket is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Between the two directions of a stream.
const BUFFER: usize = 64 << 10;
/// What HTTP/2 has otherwise, or not at all.
const NOT_SENT: &[&str] = &["host", "connection", "upgrade", "sec-websocket-key"];

type Piece = Cursor<Vec<u8>>;
type Sender = SendRequest<Piece>;

/// Opens a WebSocket over HTTP/2, on a connection of its own, and looks at it.
pub async fn step(door: &Door, page: &Page, report: &mut Report) {
    report.waiting("HTTP/2");
    let Some(io) = door.open_h2().await else {
        return report.step("h2", Mark::Note, "not offered: browsers use HTTP/1.1");
    };
    let Ok(Some(h2)) = timeout(door.limit, connection(io)).await else {
        let text = "offered, without extended CONNECT: browsers use HTTP/1.1 for WebSockets";
        return report.step("h2", Mark::Note, text);
    };
    let opening = open(h2, door, page.upgrade(&door.target));
    match timeout(door.limit + LOOK, opening).await.unwrap_or(Err("no answer in time".to_owned())) {
        Ok(()) => report.step("h2", Mark::Ok, "a WebSocket over HTTP/2 (RFC 8441) works, too"),
        Err(text) => report.fail("h2", &text, fails(&text)),
    }
}

/// The server speaks nothing else.
pub fn only() -> Verdict {
    Verdict::new(
        "h2-only",
        "httpd (Protocols), or a proxy in front",
        "the server speaks HTTP/2 only, and browsers open WebSockets with HTTP/1.1",
        "Protocols h2 http/1.1 (httpd); alpn h2,http/1.1 (haproxy): both must be offered",
    )
}

fn fails(text: &str) -> Verdict {
    Verdict::new(
        "h2-fails",
        "httpd (mod_http2), or a proxy in front",
        format!(
            "over HTTP/1.1 the WebSocket works, over HTTP/2 (extended CONNECT, RFC 8441) it does not: {text}; browsers that have the page over HTTP/2 take that way"
        ),
        "H2WebSockets off (httpd), or no h2 for that name: browsers use HTTP/1.1 then; or mend what answers there",
    )
}

/// `None`: without extended CONNECT.
async fn connection(io: Box<dyn Io>) -> Option<Sender> {
    let (send, mut connection) = h2::client::Builder::new().handshake(io).await.ok()?;
    let mut ping = connection.ping_pong()?;
    tokio::spawn(connection);
    // The server's SETTINGS come before all else it sends.
    ping.ping(Ping::opaque()).await.ok()?;
    send.is_extended_connect_protocol_enabled().then_some(send)
}

/// `Err`: why browsers have no WebSocket then.
async fn open(h2: Sender, door: &Door, sent: Headers) -> Result<(), String> {
    let uri = format!("https://{}{}", door.target.authority, door.target.path);
    let mut request = Request::builder().method(Method::CONNECT).uri(uri);
    request = request.extension(Protocol::from_static("websocket"));
    for (name, text) in &sent {
        if !NOT_SENT.contains(&name.to_ascii_lowercase().as_str()) {
            request = request.header(name, text);
        }
    }
    let request = request.body(()).map_err(|e| format!("the request cannot be sent: {e}"))?;
    let broken = |e: h2::Error| format!("the stream broke: {e}");
    let mut h2 = h2.ready().await.map_err(broken)?;
    let (answer, send) = h2.send_request(request, false).map_err(broken)?;
    let answer = answer.await.map_err(broken)?;
    let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    if answer.status() != 200 {
        return Err(format!("the answer is {}", answer.status().as_u16()));
    }
    let chosen = header("sec-websocket-protocol");
    let offered = value(&sent, "Sec-WebSocket-Protocol");
    if !chosen.is_empty() && !offered.split(',').any(|p| p.trim() == chosen) {
        return Err(format!("the subprotocol {:?} was not offered", printable(chosen)));
    }
    let compressed = answer.headers().contains_key("sec-websocket-extensions");
    let (near, far) = tokio::io::duplex(BUFFER);
    tokio::spawn(pump(far, send, answer.into_body()));
    let mut session = Session::new(Box::new(near), Vec::new(), compressed);
    session.lives_with_pings(LOOK, LOOK / 2).await.map_err(|ended| ended.shown())
}

/// Carries bytes between a stream of HTTP/2 and whoever reads frames.
async fn pump(near: DuplexStream, mut send: SendStream<Piece>, mut receive: RecvStream) {
    let (mut read, mut write) = tokio::io::split(near);
    let outward = async {
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = read.read(&mut chunk).await {
            if send.send_data(Cursor::new(chunk[..n].to_vec()), false).is_err() {
                return;
            }
        }
    };
    let inward = async {
        while let Some(Ok(data)) = receive.data().await {
            let _ = receive.flow_control().release_capacity(data.len());
            if write.write_all(&data).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    };
    tokio::join!(outward, inward);
}
