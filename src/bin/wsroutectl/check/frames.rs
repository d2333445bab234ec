//! WebSocket frames (RFC 6455 5.2) as a client sends and gets them.

use tokio::io::AsyncReadExt;

use super::http::Io;

/// Opcode of a Close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of its answer.
pub const PONG: u8 = 10;

/// Any mask will do: nobody is to be protected from our bytes.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// More of a payload is not kept.
const KEPT: usize = 128;

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The opcode.
    pub op: u8,
    /// The length of the payload.
    pub length: u64,
    /// The payload's beginning.
    pub data: Vec<u8>,
}

/// What ends the frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The connection ended in order, without a Close frame.
    Ended,
    /// The connection broke.
    Broke(String),
    /// A frame that came masked: only clients mask.
    Masked,
    /// Bytes that are no frames.
    NotFrames(Vec<u8>),
}

/// A connection behind its 101.
pub struct Frames {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
    compressed: bool,
}

impl Frames {
    /// `early` came with the 101; `compressed`: permessage-deflate is in use.
    pub fn new(io: Box<dyn Io>, early: Vec<u8>, compressed: bool) -> Frames {
        Frames { io, buffer: early, compressed }
    }

    /// Sends a frame with a payload of at most 125 bytes.
    pub async fn send(&mut self, op: u8, data: &[u8]) -> std::io::Result<()> {
        use tokio::io::AsyncWriteExt;
        let mut bytes = vec![0x80 | op, 0x80 | data.len() as u8];
        bytes.extend(MASK);
        bytes.extend(data.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
        self.io.write_all(&bytes).await?;
        self.io.flush().await
    }

    /// The next frame. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Result<Frame, End> {
        loop {
            if let Some((frame, length)) = self.parse()? {
                self.buffer.drain(..length);
                return Ok(frame);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), End> {
        let mut chunk = [0; 16 << 10];
        match self.io.read(&mut chunk).await {
            Ok(0) => Err(End::Ended),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            // Many servers leave without close_notify.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(End::Ended),
            Err(e) => Err(End::Broke(e.to_string())),
        }
    }

    /// A whole frame and its length in the buffer.
    fn parse(&self) -> Result<Option<(Frame, usize)>, End> {
        let bytes = &self.buffer;
        let [first, second, ..] = bytes[..] else { return Ok(None) };
        let (op, fin, rsv) = (first & 15, first & 0x80 != 0, first & 0x70);
        let known = matches!(op, 0..=2 | CLOSE | PING | PONG) && (rsv & !0x40) == 0;
        let control = op < 8 || (fin && second & 0x7f <= 125 && rsv == 0);
        if !known || !control || (rsv != 0 && !self.compressed) {
            return Err(End::NotFrames(bytes.clone()));
        }
        if second & 0x80 != 0 {
            return Err(End::Masked);
        }
        let (length, at) = match second & 0x7f {
            126 => match bytes.get(2..4) {
                Some(two) => (u64::from(u16::from_be_bytes([two[0], two[1]])), 4),
                None => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|eight| eight.try_into().ok()) {
                Some(eight) => (u64::from_be_bytes(eight), 10),
                None => return Ok(None),
            },
            n => (u64::from(n), 2),
        };
        if length > 1 << 30 {
            return Err(End::NotFrames(bytes.clone()));
        }
        let end = at + length as usize;
        let data = bytes.get(at..end).map(|data| data[..data.len().min(KEPT)].to_vec());
        Ok(data.map(|data| (Frame { op, length, data }, end)))
    }
}
