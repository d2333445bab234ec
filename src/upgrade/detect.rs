//! Is this request an upgrade to WebSocket? (RFC 6455 4.2.1, RFC 9110 7.8)
//!
//! All lines of a header count, comma lists are taken apart, names and tokens match in any case.
//! A request that carries none of the signs of a WebSocket is none of our business. One that
//! *meant* to be an upgrade, and cannot be one, gets the exact reason: this is the error that
//! people search for weeks.

use super::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// What [`detect`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Detection {
    /// No sign of a WebSocket: leave the request alone.
    NotAnUpgrade,
    /// A well-formed upgrade to WebSocket, version 13.
    Upgrade,
    /// It meant to be an upgrade, and is not.
    Malformed(Malformed),
}

/// Why a request that meant to be an upgrade is none.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum Malformed {
    /// `Sec-WebSocket-Key` came, `Upgrade` did not.
    #[error("the Upgrade header is missing (did a proxy in front strip it?)")]
    NoUpgrade,
    /// `Sec-WebSocket-Key` came, and `Upgrade` names something else.
    #[error("the Upgrade header does not name websocket")]
    OtherUpgrade,
    /// No `Connection` header at all.
    #[error("the Connection header is missing (did a proxy in front strip it?)")]
    NoConnection,
    /// `Connection` is there and does not name `Upgrade`.
    #[error("the Connection header does not name Upgrade (did a proxy in front rewrite it?)")]
    ConnectionWithoutUpgrade,
    /// RFC 6455 4.1: the method must be GET.
    #[error("the method is not GET")]
    Method,
    /// RFC 6455 4.1: at least HTTP/1.1.
    #[error("the request is older than HTTP/1.1 (does a proxy in front speak HTTP/1.0?)")]
    HttpVersion,
    /// No `Sec-WebSocket-Version`.
    #[error("the Sec-WebSocket-Version header is missing")]
    NoVersion,
    /// Another version than 13 (RFC 6455 4.4: answered with 426).
    #[error("the Sec-WebSocket-Version is not 13")]
    Version,
    /// No `Sec-WebSocket-Key`.
    #[error("the Sec-WebSocket-Key header is missing")]
    NoKey,
    /// RFC 6455 11.3.1: the key must not appear more than once.
    #[error("there is more than one Sec-WebSocket-Key header")]
    ManyKeys,
    /// RFC 6455 4.1: the key is 16 bytes in base64.
    #[error("the Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// RFC 6455 4.2.1 knows no Host-less request.
    #[error("the Host header is missing")]
    NoHost,
    /// A body would be taken for frames by the upstream.
    #[error("an upgrade must not carry a body")]
    Body,
}

impl Malformed {
    /// The HTTP status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Malformed::Version | Malformed::NoVersion => 426,
            _ => 400,
        }
    }
}

/// Looks at a request head.
pub fn detect(request: &Request) -> Detection {
    let names_websocket =
        request.header_list("Upgrade").any(|t| t.eq_ignore_ascii_case("websocket"));
    let keys = request.header_lines("Sec-WebSocket-Key").count();
    if !names_websocket && keys == 0 {
        return Detection::NotAnUpgrade;
    }
    match malformed(request, names_websocket, keys) {
        Some(why) => Detection::Malformed(why),
        None => Detection::Upgrade,
    }
}

fn malformed(request: &Request, names_websocket: bool, keys: usize) -> Option<Malformed> {
    if !names_websocket {
        let any = request.header_lines("Upgrade").next().is_some();
        return Some(if any { Malformed::OtherUpgrade } else { Malformed::NoUpgrade });
    }
    if !request.header_list("Connection").any(|t| t.eq_ignore_ascii_case("upgrade")) {
        let any = request.header_lines("Connection").next().is_some();
        return Some(if any {
            Malformed::ConnectionWithoutUpgrade
        } else {
            Malformed::NoConnection
        });
    }
    if request.method != "GET" {
        return Some(Malformed::Method);
    }
    if !request.http11 {
        return Some(Malformed::HttpVersion);
    }
    if request.header("Host").is_none() {
        return Some(Malformed::NoHost);
    }
    let mut versions = request.header_lines("Sec-WebSocket-Version");
    match (versions.next(), versions.next()) {
        (None, _) => return Some(Malformed::NoVersion),
        (Some(v), None) if v.trim_ascii() == b"13" => {}
        _ => return Some(Malformed::Version),
    }
    match keys {
        0 => return Some(Malformed::NoKey),
        1 => {}
        _ => return Some(Malformed::ManyKeys),
    }
    let key = request.header("Sec-WebSocket-Key").unwrap_or("").trim();
    if !STANDARD.decode(key).is_ok_and(|k| k.len() == 16) {
        return Some(Malformed::Key);
    }
    let body = request.header_lines("Transfer-Encoding").next().is_some()
        || request.header_lines("Content-Length").any(|v| v.trim_ascii() != b"0");
    body.then_some(Malformed::Body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(lines: &[(&str, &str)]) -> Request {
        let headers = lines.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        Request { headers, ..Request::default() }
    }

    type Changes = &'static [(&'static str, Option<&'static str>)];

    /// A complete upgrade, with some lines replaced (all of that name) or, if `None`, dropped.
    fn upgrade(changes: Changes) -> Request {
        let mut lines = vec![
            ("Host", "a.example"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        for (name, _) in changes {
            lines.retain(|(n, _)| n != name);
        }
        lines.extend(changes.iter().filter_map(|(n, v)| v.map(|v| (*n, v))));
        request(&lines)
    }

    #[test]
    fn upgrades_are_recognised_in_every_form() {
        let forms: &[Changes] = &[
            &[],
            &[("Upgrade", Some("WebSocket"))],
            &[("Upgrade", Some("h2c, websocket"))],
            &[("Upgrade", Some("h2c")), ("upgrade", Some("WEBSOCKET"))],
            &[("Connection", Some("keep-alive, Upgrade"))],
            &[("Connection", Some("Upgrade ,keep-alive"))],
            &[("Connection", Some("keep-alive")), ("CONNECTION", Some("\tUPGRADE"))],
            &[("Content-Length", Some("0"))],
        ];
        for changes in forms {
            assert_eq!(detect(&upgrade(changes)), Detection::Upgrade, "{changes:?}");
        }
    }

    #[test]
    fn other_requests_are_left_alone() {
        let others: &[&[(&str, &str)]] = &[
            &[],
            &[("Host", "a"), ("Connection", "keep-alive")],
            &[("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")],
            &[("Upgrade", "websocket2"), ("Connection", "Upgrade")],
            &[("Sec-WebSocket-Version", "13")],
        ];
        for lines in others {
            assert_eq!(detect(&request(lines)), Detection::NotAnUpgrade, "{lines:?}");
        }
    }

    #[test]
    fn what_meant_to_be_an_upgrade_gets_the_reason() {
        use Malformed::*;
        let table: &[(Changes, Malformed)] = &[
            (&[("Upgrade", None)], NoUpgrade),
            (&[("Upgrade", None), ("Connection", None)], NoUpgrade),
            (&[("Upgrade", Some("h2c"))], OtherUpgrade),
            (&[("Connection", None)], NoConnection),
            (&[("Connection", Some("keep-alive"))], ConnectionWithoutUpgrade),
            (&[("Connection", Some("notupgrade"))], ConnectionWithoutUpgrade),
            (&[("Host", None)], NoHost),
            (&[("Sec-WebSocket-Version", None)], NoVersion),
            (&[("Sec-WebSocket-Version", Some("8"))], Version),
            (&[("Sec-WebSocket-Version", Some("13, 8"))], Version),
            (&[("Sec-WebSocket-Version", Some("abc"))], Version),
            (&[("Sec-WebSocket-Key", None)], NoKey),
            (&[("Sec-WebSocket-Key", Some("short"))], Key),
            (&[("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ"))], Key),
            (&[("sec-websocket-key", Some(KEY))], ManyKeys),
            (&[("Content-Length", Some("5"))], Body),
            (&[("Transfer-Encoding", Some("chunked"))], Body),
        ];
        for (changes, why) in table {
            assert_eq!(detect(&upgrade(changes)), Detection::Malformed(*why), "{changes:?}");
        }
        let post = Request { method: "POST".into(), ..upgrade(&[]) };
        assert_eq!(detect(&post), Detection::Malformed(Method));
        let old = Request { http11: false, ..upgrade(&[]) };
        assert_eq!(detect(&old), Detection::Malformed(HttpVersion));
        assert_eq!((Version.status(), Key.status()), (426, 400));
    }
}
