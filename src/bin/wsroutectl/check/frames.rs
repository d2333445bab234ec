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
    /// A frame that breaks the rules, and which one: browsers end with 1002 or 1007.
    Forbidden(&'static str),
    /// Bytes that are no frames.
    NotFrames(Vec<u8>),
}

/// A connection behind its 101.
pub struct Frames {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
    compressed: bool,
    /// A message has begun and goes on.
    unfinished: bool,
}

impl Frames {
    /// `early` came with the 101; `compressed`: permessage-deflate is in use.
    pub fn new(io: Box<dyn Io>, early: Vec<u8>, compressed: bool) -> Frames {
        Frames { io, buffer: early, compressed, unfinished: false }
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
                self.follows_the_rules(&frame, length)?;
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

    /// What cannot be seen from the header alone (RFC 6455 5.4, 5.5.1, 5.6). `length`: the frame's
    /// in the buffer, where its payload is the end of it.
    fn follows_the_rules(&mut self, frame: &Frame, length: usize) -> Result<(), End> {
        let (fin, rsv) = (self.buffer[0] & 0x80 != 0, self.buffer[0] & 0x70);
        let payload = &self.buffer[length - frame.length as usize..length];
        let broken = match frame.op {
            0 if !self.unfinished => Some("the continuation of a message that never began"),
            1 | 2 if self.unfinished => Some("a new message in the middle of another"),
            1 if fin && rsv == 0 && std::str::from_utf8(payload).is_err() => {
                Some("text that is no UTF-8: binary data must be sent as binary")
            }
            CLOSE => match payload {
                [] => None,
                [high, low, ..] if may_be_sent(u16::from_be_bytes([*high, *low])) => None,
                _ => Some("a Close frame with a code that nobody may send"),
            },
            _ => None,
        };
        if frame.op < CLOSE {
            self.unfinished = !fin;
        }
        broken.map_or(Ok(()), |rule| Err(End::Forbidden(rule)))
    }

    /// A whole frame and its length in the buffer.
    fn parse(&self) -> Result<Option<(Frame, usize)>, End> {
        let bytes = &self.buffer;
        let [first, second, ..] = bytes[..] else { return Ok(None) };
        let (op, fin, rsv) = (first & 15, first & 0x80 != 0, first & 0x70);
        let known = matches!(op, 0..=2 | CLOSE | PING | PONG) && (rsv & !0x40) == 0;
        let control = op < 8 || (fin && second & 0x7f <= 125 && rsv == 0);
        if rsv == 0x40 && fin && matches!(op, 1 | 2) && !self.compressed {
            return Err(End::Forbidden(
                "a compressed message, although the 101 agreed on no compression (or a proxy dropped its Sec-WebSocket-Extensions)",
            ));
        }
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

/// RFC 6455 7.4, with what was registered since.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
