//! WebSocket frames, byte by byte (RFC 6455 5.2), and a connection after its upgrade.

use super::{Io, SOON, within};
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Opcode of a fragment that continues a message.
pub const CONTINUATION: u8 = 0;
/// Opcode of a text message.
pub const TEXT: u8 = 1;
/// Opcode of a binary message.
pub const BINARY: u8 = 2;
/// Opcode of a Close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of its answer.
pub const PONG: u8 = 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame, unmasked.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The last of its message.
    pub fin: bool,
    /// The three reserved bits.
    pub rsv: u8,
    /// The opcode.
    pub op: u8,
    /// It came masked.
    pub masked: bool,
    /// Its payload.
    pub data: Vec<u8>,
}

impl Frame {
    /// The code of a Close frame, if it carries one.
    pub fn code(&self) -> Option<u16> {
        let code = self.data.get(..2).filter(|_| self.op == CLOSE)?;
        Some(u16::from_be_bytes([code[0], code[1]]))
    }

    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = String::from_utf8_lossy(&self.data[..self.data.len().min(40)]).into_owned();
        write!(f, "Frame(op {}, fin {}, ", self.op, self.fin)?;
        match self.code() {
            Some(code) => write!(f, "code {code})"),
            None => write!(f, "{} bytes {start:?})", self.data.len()),
        }
    }
}

/// The bytes of a frame.
pub fn frame(op: u8, fin: bool, masked: bool, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![if fin { 0x80 | op } else { op }];
    let bit = if masked { 0x80 } else { 0 };
    match data.len() {
        n @ ..=125 => bytes.push(bit | n as u8),
        n @ ..=65_535 => {
            bytes.push(bit | 126);
            bytes.extend((n as u16).to_be_bytes());
        }
        n => {
            bytes.push(bit | 127);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    if masked {
        bytes.extend(MASK);
        bytes.extend(data.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    } else {
        bytes.extend(data);
    }
    bytes
}

/// The payload of a Close frame.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.as_bytes());
    payload
}

/// A connection after its upgrade, seen from either side.
#[derive(Debug)]
pub struct Ws {
    /// The connection.
    pub io: Io,
    /// Bytes that were read and belong to no frame yet.
    pub buffer: Vec<u8>,
    /// This side is the client: it masks.
    pub client: bool,
}

impl Ws {
    /// Writes bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) {
        within(SOON * 3, "writing", self.try_raw(bytes)).await.expect("write");
    }

    /// Writes bytes as they are, if the connection still takes them.
    pub async fn try_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Sends a frame that is a whole message.
    pub async fn send(&mut self, op: u8, data: &[u8]) {
        self.raw(&frame(op, true, self.client, data)).await;
    }

    /// Sends a Close frame.
    pub async fn close(&mut self, code: u16, reason: &str) {
        self.send(CLOSE, &close_payload(code, reason)).await;
    }

    /// The next frame; `None` if the connection ends (or was reset) before one is complete: then
    /// what came of it stays in `buffer`.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = parse(&self.buffer) {
                self.buffer.drain(..length);
                return Some(frame);
            }
            let mut chunk = [0; 16 << 10];
            match self.io.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// The next frame, which must come soon.
    pub async fn frame(&mut self) -> Frame {
        let next = within(SOON, "a frame", self.next()).await;
        next.unwrap_or_else(|| panic!("a frame: the connection ended ({:?})", self.buffer))
    }

    /// Sends a text and expects it back.
    pub async fn echo(&mut self, text: &str) {
        self.send(TEXT, text.as_bytes()).await;
        let frame = self.frame().await;
        assert_eq!((frame.op, frame.text()), (TEXT, text.to_owned()), "the echo");
    }

    /// The next frame must be Close with this code.
    pub async fn expect_close(&mut self, code: u16) {
        let frame = self.frame().await;
        assert_eq!((frame.op, frame.code()), (CLOSE, Some(code)), "a Close frame: {frame:?}");
    }

    /// Reads to the end of the connection and returns the bytes; it must end soon. A reset counts
    /// as an end.
    pub async fn rest(&mut self, limit: Duration) -> Vec<u8> {
        let end = async {
            let mut chunk = [0; 16 << 10];
            while let Ok(n @ 1..) = self.io.read(&mut chunk).await {
                self.buffer.extend_from_slice(&chunk[..n]);
            }
        };
        within(limit, "the end of the connection", end).await;
        std::mem::take(&mut self.buffer)
    }

    /// The connection must end soon, and without a byte before.
    pub async fn expect_end(&mut self) {
        let rest = self.rest(SOON).await;
        assert!(rest.is_empty(), "bytes before the end: {rest:?}");
    }

    /// Sends our FIN (behind close_notify, with TLS), and goes on reading.
    pub async fn fin(&mut self) {
        self.io.shutdown().await.expect("shutdown");
    }

    /// Leaves politely: Close, its answer, end.
    pub async fn leave(mut self) {
        self.close(1000, "").await;
        self.expect_close(1000).await;
        self.expect_end().await;
    }
}

fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (length, mut at) = match second & 0x7f {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        n => (n as usize, 2),
    };
    let masked = second & 0x80 != 0;
    let mask = if masked { bytes.get(at..at + 4)? } else { &[0; 4] };
    at += if masked { 4 } else { 0 };
    let payload = bytes.get(at..at.checked_add(length)?)?;
    let data = payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
    let (fin, rsv, op) = (first & 0x80 != 0, first >> 4 & 7, first & 15);
    Some((Frame { fin, rsv, op, masked, data }, at + length))
}
