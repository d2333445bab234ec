//! HTTP/1.1 by hand (the parsing is httparse's): an HTTP library would not send the header lines as
//! they are given, nor show an answer that is HTTP/1.0, no HTTP, or a 101 that breaks the rules.

use std::time::Duration;

pub use mod_wsroute::net::Io;
use mod_wsroute::upstream::Body;
use mod_wsroute::upstream::body::Framing;
use mod_wsroute::upstream::response_head::{self, ResponseHead};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// A head longer than this is no answer.
const HEAD_MAX: usize = 64 << 10;
/// Of a body no more than this is read.
const BODY_MAX: usize = 64 << 10;
/// A body that takes longer is left as it is.
const BODY_TIME: Duration = Duration::from_secs(2);

/// An answer; its `rest` is the body's beginning or, behind a 101, what came with it.
#[derive(Debug, Clone)]
pub struct Answer(pub ResponseHead);

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nothing in time.
    Late,
    /// The connection ended first.
    Closed(String),
    /// Something that is no HTTP; its beginning.
    NotHttp(Vec<u8>),
}

impl NoAnswer {
    /// For a sentence.
    pub fn shown(&self) -> &str {
        match self {
            NoAnswer::Late => "too late",
            NoAnswer::Closed(text) => text,
            NoAnswer::NotHttp(_) => "no HTTP",
        }
    }
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The first value of a header, or nothing.
    pub fn header<'a>(&'a self, name: &'a str) -> &'a str {
        let first = self.0.values(name).next().unwrap_or_default();
        std::str::from_utf8(first).unwrap_or_default().trim()
    }

    /// The header exists.
    pub fn has(&self, name: &str) -> bool {
        self.0.values(name).next().is_some()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.rest).into_owned()
    }

    /// `404 by Apache`, for a sentence.
    pub fn shown(&self) -> String {
        match self.header("Server") {
            "" => self.status().to_string(),
            server => format!("{} by {}", self.status(), printable(server)),
        }
    }

    /// It comes from the same code as `other`, as far as one can tell. Bodies may differ a little:
    /// times and tokens.
    pub fn is_like(&self, other: &Answer) -> bool {
        let same = |name: &str| self.header(name) == other.header(name);
        let (a, b) = (self.0.rest.len(), other.0.rest.len());
        self.status() == other.status()
            && ["Server", "Content-Type", "WWW-Authenticate"].iter().all(|name| same(name))
            && self.header("Location").split('?').next()
                == other.header("Location").split('?').next()
            && a.abs_diff(b) <= a.max(b) / 10
    }
}

/// Only what a terminal can show, not too much of it.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// How bytes begin that are not what they should be.
pub fn beginning(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(&bytes[..bytes.len().min(40)]))
}

/// The bytes of a `GET`.
pub fn head(path: &str, headers: &[(String, String)]) -> Vec<u8> {
    let mut head = format!("GET {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// Sends a head and reads the answer, which behind a 101 leaves the connection.
///
/// # Errors
/// No answer within `limit`, or none that is HTTP.
pub async fn exchange(
    mut io: Box<dyn Io>,
    head: &[u8],
    limit: Duration,
) -> Result<(Answer, Option<Box<dyn Io>>), NoAnswer> {
    let until = Instant::now() + limit;
    let sent = async {
        io.write_all(head).await?;
        io.flush().await
    };
    // A server may refuse before it has read everything: look for its answer even then.
    let _ = timeout_at(until, sent).await.map_err(|_| NoAnswer::Late)?;
    let mut answer = read_head(&mut *io, until).await?;
    if answer.status == 101 {
        return Ok((Answer(answer), Some(io)));
    }
    let read = std::mem::take(&mut answer.rest);
    let framing = Framing::of(&answer).unwrap_or(Framing::UntilClose);
    let mut body = Body::new(io, read, framing, None);
    let reading = async {
        while answer.rest.len() < BODY_MAX
            && let Ok(Some(piece)) = body.next().await
        {
            answer.rest.extend(piece);
        }
    };
    let _ = timeout(BODY_TIME, reading).await;
    Ok((Answer(answer), None))
}

async fn read_head(io: &mut dyn Io, until: Instant) -> Result<ResponseHead, NoAnswer> {
    let mut bytes = Vec::new();
    loop {
        match response_head::parse(&bytes, "") {
            Ok(Some((head, end))) => {
                bytes.drain(..end);
                if head.status == 101 || head.status >= 200 {
                    return Ok(ResponseHead { rest: bytes, ..head });
                }
                // 103 and the like come before the answer.
                continue;
            }
            Ok(None) if bytes.len() < HEAD_MAX => {}
            _ => return Err(NoAnswer::NotHttp(bytes)),
        }
        match timeout_at(until, io.read_buf(&mut bytes)).await {
            Err(_) => return Err(NoAnswer::Late),
            Ok(Ok(1..)) => {}
            Ok(_) if !bytes.is_empty() => return Err(NoAnswer::NotHttp(bytes)),
            Ok(Ok(_)) => return Err(NoAnswer::Closed("the connection ended".to_owned())),
            Ok(Err(e)) => return Err(NoAnswer::Closed(e.to_string())),
        }
    }
}
