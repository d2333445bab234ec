//! The body of an answer that is not 101 (RFC 9112 6), piece by piece.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::hop_by_hop::items;
use super::response_head::ResponseHead;
use crate::net::Io;

const PIECE: usize = 16 * 1024;
/// A chunk-size line with its extensions, or all trailers.
const MAX_LINES: usize = 16 * 1024;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No (more) bytes.
    Empty,
    /// So many bytes (more).
    Length(u64),
    /// Chunked.
    Chunked(Chunk),
    /// When the upstream closes.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// Before a chunk's size.
    Size,
    /// So many bytes of the chunk are left.
    Data(u64),
    /// Before the line end behind a chunk.
    End,
    /// Among the trailers; so many bytes of them have passed.
    Trailers(usize),
}

/// A body to be read; owns the connection and closes it when dropped.
pub struct Body {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
    framing: Framing,
    idle: Option<Duration>,
}

impl Framing {
    /// How the body behind this head ends (RFC 9112 6.3).
    ///
    /// # Errors
    /// A Content-Length that is no number, or several that differ.
    pub fn of(head: &ResponseHead) -> Result<Framing, String> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(Framing::Empty);
        }
        if let Some(last) = items(head.values("Transfer-Encoding")).last() {
            return Ok(if last == "chunked" {
                Framing::Chunked(Chunk::Size)
            } else {
                Framing::UntilClose
            });
        }
        let lengths = items(head.values("Content-Length"));
        let Some(first) = lengths.first() else { return Ok(Framing::UntilClose) };
        let digits = first.bytes().all(|b| b.is_ascii_digit());
        match first.parse() {
            Ok(n) if digits && lengths.iter().all(|l| l == first) => Ok(Framing::Length(n)),
            _ => Err("its Content-Length makes no sense".into()),
        }
    }
}

impl Body {
    /// `read` are the bytes that came with the head; `idle` bounds each wait for more.
    pub fn new(io: Box<dyn Io>, read: Vec<u8>, framing: Framing, idle: Option<Duration>) -> Self {
        Body { io, buffer: read, framing, idle }
    }

    /// The next piece (never empty, without chunk framing), `None` at the end. Trailers are
    /// dropped. Cancel-safe: nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// `TimedOut` after `idle` without a byte, `UnexpectedEof` if the upstream closes early,
    /// `InvalidData` for broken chunks, or the socket's own. After an error there is no more.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.take() {
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(Some(piece)) => return Ok(Some(piece)),
                Ok(None) if self.framing == Framing::Empty => return Ok(None),
                Ok(None) => {
                    if let Err(e) = self.fill().await {
                        self.framing = Framing::Empty;
                        return Err(e);
                    }
                }
                Err(e) => {
                    self.framing = Framing::Empty;
                    return Err(e);
                }
            }
        }
    }

    /// Advances over what the buffer holds. An empty piece is progress without data; `None`: the
    /// end, or more bytes are needed.
    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.framing {
            Framing::Empty => Ok(None),
            Framing::Length(0) => {
                self.framing = Framing::Empty;
                Ok(None)
            }
            _ if self.buffer.is_empty() => Ok(None),
            Framing::UntilClose => Ok(Some(std::mem::take(&mut self.buffer))),
            Framing::Length(left) => {
                let piece = self.split(left);
                self.framing = Framing::Length(left - piece.len() as u64);
                Ok(Some(piece))
            }
            Framing::Chunked(chunk) => self.take_chunked(chunk),
        }
    }

    fn take_chunked(&mut self, chunk: Chunk) -> io::Result<Option<Vec<u8>>> {
        let next = match chunk {
            Chunk::Size => match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((line, size))) => {
                    self.buffer.drain(..line);
                    if size == 0 { Chunk::Trailers(0) } else { Chunk::Data(size) }
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < MAX_LINES => return Ok(None),
                _ => return Err(invalid("broken chunk size")),
            },
            Chunk::Data(left) => {
                let piece = self.split(left);
                let left = left - piece.len() as u64;
                self.framing =
                    Framing::Chunked(if left == 0 { Chunk::End } else { Chunk::Data(left) });
                return Ok(Some(piece));
            }
            Chunk::End => match self.buffer.as_slice() {
                [b'\r', b'\n', ..] => {
                    self.buffer.drain(..2);
                    Chunk::Size
                }
                [b'\r'] => return Ok(None),
                _ => return Err(invalid("no line end behind a chunk")),
            },
            Chunk::Trailers(passed) => match self.buffer.iter().position(|b| *b == b'\n') {
                _ if passed + self.buffer.len() > 2 * MAX_LINES => {
                    return Err(invalid("endless trailers"));
                }
                None => return Ok(None),
                Some(end) if self.buffer[..end].trim_ascii().is_empty() => {
                    self.framing = Framing::Empty;
                    return Ok(None);
                }
                Some(end) => {
                    self.buffer.drain(..=end);
                    Chunk::Trailers(passed + end)
                }
            },
        };
        self.framing = Framing::Chunked(next);
        Ok(Some(Vec::new()))
    }

    fn split(&mut self, at_most: u64) -> Vec<u8> {
        let n = usize::try_from(at_most).unwrap_or(usize::MAX).min(self.buffer.len());
        let rest = self.buffer.split_off(n);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Reads more; the end of the connection is fine only where it is the end of the body.
    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(PIECE);
        let reading = self.io.read_buf(&mut self.buffer);
        let result = match self.idle {
            None => reading.await,
            Some(idle) => timeout(idle, reading).await.unwrap_or(Err(ErrorKind::TimedOut.into())),
        };
        let until_close = self.framing == Framing::UntilClose;
        match result {
            Ok(0) if until_close => self.framing = Framing::Empty,
            // TLS without close_notify, as many servers end it.
            Err(e) if until_close && e.kind() == ErrorKind::UnexpectedEof => {
                self.framing = Framing::Empty
            }
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn head(status: u16, lines: &[(&str, &str)]) -> ResponseHead {
        let headers = lines.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        ResponseHead { minor: 1, status, reason: String::new(), headers, rest: Vec::new() }
    }

    #[test]
    fn framing() {
        type Lines<'a> = &'a [(&'a str, &'a str)];
        let table: [(u16, Lines, Result<Framing, ()>); 10] = [
            (200, &[], Ok(Framing::UntilClose)),
            (204, &[("Content-Length", "5")], Ok(Framing::Empty)),
            (304, &[("Content-Length", "5")], Ok(Framing::Empty)),
            (401, &[("content-length", "5")], Ok(Framing::Length(5))),
            (401, &[("content-length", "5, 5")], Ok(Framing::Length(5))),
            (401, &[("content-length", "5"), ("content-length", "6")], Err(())),
            (401, &[("content-length", "+5")], Err(())),
            (
                200,
                &[("Transfer-Encoding", "Chunked"), ("Content-Length", "5")],
                Ok(Framing::Chunked(Chunk::Size)),
            ),
            (200, &[("Transfer-Encoding", "gzip, chunked")], Ok(Framing::Chunked(Chunk::Size))),
            (200, &[("Transfer-Encoding", "gzip")], Ok(Framing::UntilClose)),
        ];
        for (status, lines, expected) in table {
            assert_eq!(Framing::of(&head(status, lines)).map_err(|_| ()), expected, "{lines:?}");
        }
    }

    /// The whole body; `split` bytes come with the head, the others in writes of `size`.
    async fn whole(
        bytes: &[u8],
        framing: Framing,
        split: usize,
        size: usize,
    ) -> (Vec<u8>, Option<ErrorKind>) {
        let (mut far, near) = tokio::io::duplex(size);
        let late = bytes[split..].to_vec();
        tokio::spawn(async move {
            let _ = far.write_all(&late).await;
        });
        let mut body = Body::new(Box::new(near), bytes[..split].to_vec(), framing, None);
        let mut all = Vec::new();
        loop {
            match body.next().await {
                Ok(Some(piece)) => all.extend(piece),
                Ok(None) => return (all, None),
                Err(e) => {
                    assert!(body.next().await.unwrap().is_none(), "nothing behind an error");
                    return (all, Some(e.kind()));
                }
            }
        }
    }

    #[tokio::test]
    async fn bodies() {
        let chunked = Framing::Chunked(Chunk::Size);
        let table = [
            ("hello", Framing::UntilClose, "hello", None),
            ("hello", Framing::Empty, "", None),
            ("hello, too much", Framing::Length(5), "hello", None),
            ("hell", Framing::Length(5), "hell", Some(ErrorKind::UnexpectedEof)),
            ("", Framing::Length(0), "", None),
            ("5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", chunked, "hello world", None),
            ("A\r\n0123456789\r\n0\r\nTrailer: x\r\nB: y\r\n\r\nmore", chunked, "0123456789", None),
            ("5\r\nhel", chunked, "hel", Some(ErrorKind::UnexpectedEof)),
            ("5\r\nhello\r\n", chunked, "hello", Some(ErrorKind::UnexpectedEof)),
            ("5\r\nhelloX", chunked, "hello", Some(ErrorKind::InvalidData)),
            ("zz\r\n", chunked, "", Some(ErrorKind::InvalidData)),
            ("ffffffffffffffff\r\nx", chunked, "x", Some(ErrorKind::UnexpectedEof)),
            ("fffffffffffffffff\r\nx", chunked, "", Some(ErrorKind::InvalidData)),
        ];
        for (bytes, framing, expected, error) in table {
            for split in 0..=bytes.len() {
                for size in [1, 3, 1000] {
                    let (body, kind) = whole(bytes.as_bytes(), framing, split, size).await;
                    let body = String::from_utf8(body).unwrap();
                    assert_eq!(
                        (body.as_str(), kind),
                        (expected, error),
                        "{bytes:?} {split} {size}"
                    );
                }
            }
        }
        let endless = format!("0\r\n{}", "A: b\r\n".repeat(10_000));
        let (_, kind) = whole(endless.as_bytes(), chunked, 0, 1000).await;
        assert_eq!(kind, Some(ErrorKind::InvalidData));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        let (_far, near) = tokio::io::duplex(10);
        let idle = Some(Duration::from_secs(10));
        let mut body = Body::new(Box::new(near), b"x".to_vec(), Framing::UntilClose, idle);
        assert_eq!(body.next().await.unwrap().unwrap(), b"x");
        assert_eq!(body.next().await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
