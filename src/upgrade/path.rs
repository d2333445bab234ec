//! The path of a request: as the client sent it, and as httpd sees it.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

/// What a path does not hold as such: everything but RFC 3986 pchar and `/`.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What `AllowEncodedSlashes` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncodedSlashes {
    /// `Off`: such a path does not exist.
    #[default]
    Refuse,
    /// `NoDecode`: `%2F` stays as it is.
    Keep,
    /// `On`: it becomes a slash.
    Decode,
}

/// Why httpd takes a path for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadPath {
    /// `%` without two hex digits, a path above `/`, or one that does not begin with `/`: 400.
    #[error("httpd takes this path for malformed")]
    Malformed,
    /// `%00`, or `%2F` without `AllowEncodedSlashes`: 404.
    #[error("httpd refuses %2F and %00 in a path, set AllowEncodedSlashes NoDecode for %2F")]
    Refused,
}

impl BadPath {
    /// The HTTP status that httpd answers with.
    pub fn status(self) -> u16 {
        match self {
            BadPath::Malformed => 400,
            BadPath::Refused => 404,
        }
    }
}

/// `path` percent-encoded.
pub fn escape(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// `sent`, what the client sent, still means `seen`, what httpd has made of it: nothing but the
/// decoding has happened.
pub fn means(sent: &str, seen: &[u8]) -> bool {
    sent.starts_with('/') && (decode(sent) == seen || decode_but_slashes(sent) == seen)
}

/// What httpd makes of a path: decoded, without dot segments, slashes merged (unless
/// `MergeSlashes Off`).
///
/// # Errors
/// What httpd refuses before any handler runs.
pub fn normalize(sent: &str, slashes: EncodedSlashes, merge: bool) -> Result<Vec<u8>, BadPath> {
    let bytes = sent.as_bytes();
    let is_hex =
        |at: usize| bytes.get(at..at + 2).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit));
    let bad_escape = bytes.iter().enumerate().any(|(at, &b)| b == b'%' && !is_hex(at + 1));
    if bad_escape || !sent.starts_with('/') {
        return Err(BadPath::Malformed);
    }
    let lower = sent.to_ascii_lowercase();
    if lower.contains("%00") || (slashes == EncodedSlashes::Refuse && lower.contains("%2f")) {
        return Err(BadPath::Refused);
    }
    let decoded = match slashes {
        EncodedSlashes::Keep => decode_but_slashes(sent),
        _ => decode(sent),
    };
    without_dots(&decoded, merge).ok_or(BadPath::Malformed)
}

/// Removes `.` and `..`; `None` if that leads above the root.
fn without_dots(path: &[u8], merge: bool) -> Option<Vec<u8>> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let parts: Vec<&[u8]> = path[1..].split(|&b| b == b'/').collect();
    let last = parts.len() - 1;
    for (at, &part) in parts.iter().enumerate() {
        match part {
            b"" if merge && at < last => {}
            b"." if at < last => {}
            b"." => segments.push(b""),
            b".." => {
                segments.pop()?;
                if at == last {
                    segments.push(b"");
                }
            }
            part => segments.push(part),
        }
    }
    let mut whole = vec![b'/'];
    whole.extend(segments.join(&b'/'));
    Some(whole)
}

fn decode(path: &str) -> Vec<u8> {
    percent_decode_str(path).collect()
}

/// As httpd decodes with `AllowEncodedSlashes NoDecode`.
fn decode_but_slashes(path: &str) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.to_ascii_lowercase().find("%2f") {
        decoded.extend(decode(&rest[..at]));
        decoded.extend_from_slice(&rest.as_bytes()[at..at + 3]);
        rest = &rest[at + 3..];
    }
    decoded.extend(decode(rest));
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_httpd_sees_them() {
        use BadPath::*;
        use EncodedSlashes::*;
        let table = [
            ("/", Refuse, Ok("/")),
            ("/a%20b/", Refuse, Ok("/a b/")),
            ("/a/./b/../c", Refuse, Ok("/a/c")),
            ("/a/..", Refuse, Ok("/")),
            ("/a/b/.", Refuse, Ok("/a/b/")),
            ("/a/%2e%2e/b", Refuse, Ok("/b")),
            ("//a///b//", Refuse, Ok("/a/b/")),
            ("/../a", Refuse, Err(Malformed)),
            ("/a%2", Refuse, Err(Malformed)),
            ("a", Refuse, Err(Malformed)),
            ("/a%2Fb", Refuse, Err(Refused)),
            ("/a%00", Decode, Err(Refused)),
            ("/a%2Fb", Keep, Ok("/a%2Fb")),
            ("/a%2fb", Decode, Ok("/a/b")),
        ];
        for (sent, slashes, expected) in table {
            let got = normalize(sent, slashes, true);
            assert_eq!(got, expected.map(|path| path.as_bytes().to_vec()), "{sent}");
        }
        assert_eq!(normalize("/a//b", Refuse, false).unwrap(), b"/a//b");
    }

    #[test]
    fn what_still_means_the_same() {
        let table: &[(&str, &[u8], bool)] = &[
            ("/a%20b", b"/a b", true),
            ("/a%2Fb", b"/a/b", true),
            ("/a%2Fb", b"/a%2Fb", true),
            ("/a/../b", b"/b", false),
            ("//a", b"/a", false),
            ("*", b"*", false),
        ];
        for (sent, seen, expected) in table {
            assert_eq!(means(sent, seen), *expected, "{sent}");
        }
        assert_eq!(escape("/a b/ä?#%"), "/a%20b/%C3%A4%3F%23%25");
    }
}
