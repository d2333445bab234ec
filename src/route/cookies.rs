//! The cookies of a request (RFC 6265 4.2.1; `Cookie` lines may be several).

use crate::upgrade::Request;

/// The values of all cookies called `name`, without quotes, in the client's order: browsers send
/// the one with the most specific path first.
pub fn values<'r>(request: &'r Request, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
    let pairs = request.header_lines("cookie").flat_map(|line| line.split(|&b| b == b';'));
    pairs.filter_map(move |pair| value(pair, name))
}

/// The value of a `Cookie` line without the cookies called `name`; the others stay as they are,
/// byte for byte. `None` if nothing is left.
pub fn without(line: &[u8], name: &str) -> Option<Vec<u8>> {
    let pairs = || line.split(|&b| b == b';');
    if pairs().all(|pair| value(pair, name).is_none()) {
        return Some(line.to_vec());
    }
    let kept: Vec<&[u8]> = pairs().filter(|pair| value(pair, name).is_none()).collect();
    let rest = kept.join(&b';').trim_ascii_start().to_vec();
    rest.iter().any(|b| *b != b';' && !b.is_ascii_whitespace()).then_some(rest)
}

/// The value in `pair` if the cookie is called `name`.
fn value<'p>(pair: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let at = pair.iter().position(|&b| b == b'=')?;
    if pair[..at].trim_ascii() != name.as_bytes() {
        return None;
    }
    let value = pair[at + 1..].trim_ascii();
    let inner = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
    Some(inner.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_order() {
        let line = |value: &[u8]| ("Cookie".to_owned(), value.to_vec());
        let headers =
            vec![line(b"b=0; a=1;a=\"2\" ; A=x; a; aa=3"), line(b" a = 4=5 ;a=\xff;a=\"")];
        let request = Request { headers, ..Request::default() };
        let found: Vec<&[u8]> = values(&request, "a").collect();
        assert_eq!(found, [&b"1"[..], b"2", b"4=5", b"\xff", b"\""]);
        assert_eq!(values(&request, "none").count(), 0);
    }

    #[test]
    fn one_is_taken_out() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"x=1", None),
            (b"x=1;", None),
            (b" x=1 ; x=2;; ", None),
            (b"x=1; b=2", Some(b"b=2")),
            (b"a=1; x=1", Some(b"a=1")),
            (b"a=1; x=1; b=2", Some(b"a=1; b=2")),
            (b"a=1;x=1;b=2", Some(b"a=1;b=2")),
            (b"x=; a=\"1\";  b=\xff\t;c; x=2", Some(b"a=\"1\";  b=\xff\t;c")),
            (b"a=1;  X=1; xx=2; x", Some(b"a=1;  X=1; xx=2; x")),
            (b"a=x=1", Some(b"a=x=1")),
            (b" ;; a=1;", Some(b" ;; a=1;")),
            (b"", Some(b"")),
        ];
        for (line, expected) in table {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(without(line, "x").as_deref(), *expected, "{shown:?}");
        }
    }
}
