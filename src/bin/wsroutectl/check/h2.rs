//! The step "h2": would WebSockets go over HTTP/2 (RFC 8441)? Only worth knowing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::door::Door;
use super::http::Io;
use super::report::{Mark, Report};

/// RFC 9113 3.4, and an empty SETTINGS frame behind it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: u8 = 4;
const SETTINGS_ENABLE_CONNECT_PROTOCOL: [u8; 2] = [0, 8];

/// Asks for HTTP/2 on a connection of its own.
pub async fn step(door: &Door, report: &mut Report) {
    report.waiting("HTTP/2");
    let text = match door.open_h2().await {
        None => "not offered: browsers use HTTP/1.1",
        Some(mut io) => match timeout(door.limit, extended_connect(&mut *io)).await {
            Ok(Some(true)) => {
                "offered, with extended CONNECT: browsers may send WebSockets over HTTP/2"
            }
            _ => "offered, without extended CONNECT: browsers will use HTTP/1.1 for WebSockets",
        },
    };
    report.step("h2", Mark::Note, text);
}

/// What the server's first SETTINGS say. `None`: it sent none.
async fn extended_connect(io: &mut dyn Io) -> Option<bool> {
    io.write_all(PREFACE).await.ok()?;
    io.flush().await.ok()?;
    let mut head = [0; 9];
    io.read_exact(&mut head).await.ok()?;
    let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
    if head[3] != SETTINGS || head[0] != 0 {
        return None;
    }
    let mut settings = vec![0; length];
    io.read_exact(&mut settings).await.ok()?;
    let enabled = |s: &[u8]| s[..2] == SETTINGS_ENABLE_CONNECT_PROTOCOL && s[2..] == [0, 0, 0, 1];
    Some(settings.chunks_exact(6).any(enabled))
}
