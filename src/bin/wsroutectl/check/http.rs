//! HTTP/1.1 by hand (the parsing is httparse's): an HTTP library would not send the header lines as
//! they are given, nor show an answer that is HTTP/1.0, no HTTP, or a 101 that breaks the rules.

use std::time::Duration;

pub use mod_wsroute::upstream::Io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::headers::{Headers, value};

/// A head longer than this is no answer.
const HEAD_MAX: usize = 64 << 10;
/// Of a body no more than this is read.
const BODY_MAX: usize = 64 << 10;
/// A body that takes longer is left as it is.
const BODY_TIME: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The digit behind `HTTP/1.`
    pub minor: u8,
    /// The status code.
    pub status: u16,
    /// All header lines.
    pub headers: Headers,
    /// The body's beginning; behind a 101, what came with it.
    pub body: Vec<u8>,
}

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
    /// The first value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        value(&self.headers, name)
    }

    /// The header exists.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// The comma-separated items of all lines of a header.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let items = lines.flat_map(|(_, value)| value.split(','));
        items.map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `404 by Apache`, for a sentence.
    pub fn shown(&self) -> String {
        match self.header("Server") {
            "" => self.status.to_string(),
            server => format!("{} by {}", self.status, printable(server)),
        }
    }

    /// It comes from the same code as `other`, as far as one can tell. Bodies may differ a little:
    /// times and tokens.
    pub fn is_like(&self, other: &Answer) -> bool {
        let same = |name: &str| self.header(name) == other.header(name);
        let (a, b) = (self.body.len(), other.body.len());
        self.status == other.status
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

/// Sends a head and reads the answer; the connection stays open behind a 101.
///
/// # Errors
/// No answer within `limit`, or none that is HTTP.
pub async fn exchange(io: &mut dyn Io, head: &[u8], limit: Duration) -> Result<Answer, NoAnswer> {
    let until = Instant::now() + limit;
    let closed = |e: std::io::Error| NoAnswer::Closed(e.to_string());
    let sent = async {
        io.write_all(head).await?;
        io.flush().await
    };
    timeout_at(until, sent).await.map_err(|_| NoAnswer::Late)?.map_err(closed)?;
    let mut bytes = Vec::new();
    loop {
        if let Some((mut answer, length)) = parse(&bytes)? {
            bytes.drain(..length);
            answer.body = bytes;
            match answer.status {
                101 => return Ok(answer),
                // 103 and the like come before the answer.
                100..200 => bytes = std::mem::take(&mut answer.body),
                _ => {
                    let _ = timeout(BODY_TIME, body(io, &mut answer)).await;
                    return Ok(answer);
                }
            }
            continue;
        }
        let mut chunk = [0; 8 << 10];
        match timeout_at(until, io.read(&mut chunk)).await {
            Err(_) => return Err(NoAnswer::Late),
            Ok(Err(e)) => return Err(closed(e)),
            Ok(Ok(0)) if bytes.is_empty() => {
                return Err(NoAnswer::Closed("the connection ended".to_owned()));
            }
            Ok(Ok(0)) => return Err(NoAnswer::NotHttp(bytes)),
            Ok(Ok(n)) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// A whole head and its length, or `None` if more has to come.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, NoAnswer> {
    let mut lines = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = response.headers.iter();
            let answer = Answer {
                minor: response.version.unwrap_or_default(),
                status: response.code.unwrap_or_default(),
                headers: headers.map(|h| (h.name.to_owned(), text(h.value))).collect(),
                body: Vec::new(),
            };
            Ok(Some((answer, length)))
        }
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => Ok(None),
        _ => Err(NoAnswer::NotHttp(bytes.to_vec())),
    }
}

async fn body(io: &mut dyn Io, answer: &mut Answer) {
    let chunked =
        answer.list("Transfer-Encoding").iter().any(|t| t.eq_ignore_ascii_case("chunked"));
    let length = answer.header("Content-Length").parse().unwrap_or(BODY_MAX).min(BODY_MAX);
    let bodiless = matches!(answer.status, 204 | 304);
    loop {
        let body = &mut answer.body;
        let whole = match chunked {
            true => body.ends_with(b"0\r\n\r\n") || body.len() >= BODY_MAX,
            false => body.len() >= length || bodiless,
        };
        let mut chunk = [0; 8 << 10];
        match whole {
            true => return,
            false => match io.read(&mut chunk).await {
                Ok(n @ 1..) => body.extend_from_slice(&chunk[..n]),
                _ => return,
            },
        }
    }
}
