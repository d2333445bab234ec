//! Reading an upstream's response head (RFC 9112 4), whole, however it is cut on the way.

use httparse::Status;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::UpstreamError;
use super::tls::io_error;

const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;

/// A response head, and what was read behind it.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The digit behind `HTTP/1.`
    pub minor: u8,
    /// 101, or 200..=999.
    pub status: u16,
    /// May be empty.
    pub reason: String,
    /// All lines in order, names as the upstream spelled them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes behind the empty line: early frames or the beginning of a body.
    pub rest: Vec<u8>,
}

impl ResponseHead {
    /// The values of all lines of the header `name` (any case), in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_slice())
    }
}

/// Reads until a response head is complete; interim responses other than 101 are passed over. The
/// caller sets the deadline.
///
/// # Errors
/// `Closed`, `NotHttp`, `HeadTooLarge` (16 KiB with all interim responses, 100 headers), `Tls`.
pub async fn read(
    io: &mut (impl AsyncRead + Unpin),
    peer: &str,
) -> Result<ResponseHead, UpstreamError> {
    let mut buffer = Vec::new();
    let mut passed_over = 0;
    loop {
        let known = buffer.len();
        buffer.reserve(4096);
        let n = match io.read_buf(&mut buffer).await {
            Ok(n) => n,
            Err(e) => return Err(io_error(peer.into(), &e, when(known + passed_over))),
        };
        if n == 0 {
            let reason = format!("closed {}", when(known + passed_over));
            return Err(UpstreamError::Closed { peer: peer.into(), reason });
        }
        // Nothing new to learn from part of a line: a head in single bytes costs no square.
        if known > 16 && !buffer[known..].contains(&b'\n') && buffer.len() <= MAX_HEAD {
            continue;
        }
        while let Some((head, end)) = parse(&buffer, peer)? {
            passed_over += end;
            if passed_over > MAX_HEAD {
                return Err(too_large(peer, "16 KiB"));
            }
            buffer.drain(..end);
            if head.status == 101 || head.status >= 200 {
                return Ok(ResponseHead { rest: buffer, ..head });
            }
        }
        if passed_over + buffer.len() > MAX_HEAD {
            return Err(too_large(peer, "16 KiB"));
        }
    }
}

/// One head (interim responses too) from the front of `bytes` and its length, `None` if it is not
/// complete. Its `rest` is empty.
///
/// # Errors
/// `NotHttp`, `HeadTooLarge` (100 headers).
pub fn parse(bytes: &[u8], peer: &str) -> Result<Option<(ResponseHead, usize)>, UpstreamError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(Status::Partial) => Ok(None),
        Ok(Status::Complete(end)) => {
            let status = response.code.unwrap_or(0);
            if status < 100 {
                return Err(not_http(peer, format!("status {status:03}")));
            }
            let lines = response.headers.iter().map(|h| (h.name.to_string(), h.value.to_vec()));
            let head = ResponseHead {
                minor: response.version.unwrap_or(0),
                status,
                reason: response.reason.unwrap_or("").to_string(),
                headers: lines.collect(),
                rest: Vec::new(),
            };
            Ok(Some((head, end)))
        }
        Err(httparse::Error::TooManyHeaders) => Err(too_large(peer, "100 headers")),
        Err(e) => {
            Err(not_http(peer, what_it_is(bytes).map_or_else(|| e.to_string(), String::from)))
        }
    }
}

/// Protocols that people reach by mistake.
fn what_it_is(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x15 | 0x16, ..] => Some("it speaks TLS: set scheme=wss"),
        [b'R', b'F', b'B', b' ', ..] => {
            Some("a VNC server answers: it needs a WebSocket server such as websockify in front")
        }
        [b'S', b'S', b'H', b'-', ..] => Some("an SSH server answers"),
        _ => None,
    }
}

fn when(bytes: usize) -> &'static str {
    match bytes {
        0 => "before answering",
        _ => "in the middle of the response head",
    }
}

fn not_http(peer: &str, reason: String) -> UpstreamError {
    UpstreamError::NotHttp { peer: peer.into(), reason }
}

fn too_large(peer: &str, limit: &'static str) -> UpstreamError {
    UpstreamError::HeadTooLarge { peer: peer.into(), limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `bytes` in reads of `size` bytes.
    async fn read_in(bytes: &[u8], size: usize) -> Result<ResponseHead, UpstreamError> {
        let mut io = tokio_test_reader(bytes, size);
        read(&mut io, "peer").await
    }

    fn tokio_test_reader(bytes: &[u8], size: usize) -> impl AsyncRead + Unpin + use<> {
        let (mut far, near) = tokio::io::duplex(size);
        let bytes = bytes.to_vec();
        tokio::spawn(async move {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await;
        });
        near
    }

    #[tokio::test]
    async fn heads() {
        // (bytes, status, reason, headers, early bytes; only the first of them if cut small)
        let table: [(&str, u16, &str, usize, &str); 6] = [
            (
                "HTTP/1.1 101 Switching Protocols\r\nA: b\r\nC:d\r\n\r\n",
                101,
                "Switching Protocols",
                2,
                "",
            ),
            ("HTTP/1.1 101 S\r\n\r\n\u{1}early", 101, "S", 0, "\u{1}early"),
            ("HTTP/1.0 404\r\n\r\nbody", 404, "", 0, "body"),
            ("HTTP/1.1 200 OK\nA: b\n\nx", 200, "OK", 1, "x"),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nL: x\r\n\r\nHTTP/1.1 101 S\r\nA: b\r\n\r\n",
                101,
                "S",
                1,
                "",
            ),
            (
                "HTTP/1.1 102 \r\n\r\nHTTP/1.1 401 Unauthorized\r\n\r\nno",
                401,
                "Unauthorized",
                0,
                "no",
            ),
        ];
        for (bytes, status, reason, headers, early) in table {
            for size in [1, 7, 65536] {
                let head = read_in(bytes.as_bytes(), size).await.unwrap();
                assert_eq!(
                    (head.status, head.reason.as_str(), head.headers.len()),
                    (status, reason, headers)
                );
                assert!(early.as_bytes().starts_with(&head.rest), "{bytes:?}: {:?}", head.rest);
                assert!(size == 1 || head.rest.len() == early.len() || size == 7, "{bytes:?}");
            }
        }
    }

    #[tokio::test]
    async fn errors() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(2 * MAX_HEAD));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        let interim = "HTTP/1.1 100 C\r\n\r\n".repeat(1000);
        let table = [
            ("", "upstream-closed: peer: closed before answering"),
            ("HTTP/1.1 101 Sw", "upstream-closed: peer: closed in the middle of the response head"),
            ("HTTP/1.1 100 C\r\n\r\n", "upstream-closed: peer: closed in the middle"),
            ("\u{15}\u{3}\u{3}\0\u{2}", "upstream-not-http: peer: it speaks TLS: set scheme=wss"),
            ("RFB 003.008\n", "upstream-not-http: peer: a VNC server"),
            ("SSH-2.0-x\r\n", "upstream-not-http: peer: an SSH server"),
            ("hello\r\n", "upstream-not-http: peer: "),
            ("HTTP/2 200\r\n", "upstream-not-http: peer: "),
            ("HTTP/1.1 000 x\r\n\r\n", "upstream-not-http: peer: status 000"),
            ("HTTP/1.1 101 x\r\nbad header\r\n\r\n", "upstream-not-http: peer: "),
            (&long, "upstream-head-too-large: peer: the response head exceeds 16 KiB"),
            (&endless, "upstream-head-too-large: peer: the response head exceeds 16 KiB"),
            (&many, "upstream-head-too-large: peer: the response head exceeds 100 headers"),
            (&interim, "upstream-head-too-large: peer: the response head exceeds 16 KiB"),
        ];
        for (bytes, expected) in table {
            for size in [5, 65536] {
                let error = read_in(bytes.as_bytes(), size).await.unwrap_err().to_string();
                assert!(error.starts_with(expected), "{:.40?}: {error}", bytes);
            }
        }
    }
}
