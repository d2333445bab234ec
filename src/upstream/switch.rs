//! Is this 101 the answer to our request (RFC 6455 4.1, the client's demands), and what of it
//! goes on to the client?

use thiserror::Error;

use super::hop_by_hop::{is_hop_by_hop, items};
use super::request_head::extension_names;
use super::response_head::ResponseHead;

/// What was asked for.
#[derive(Debug, Default)]
pub struct Offer {
    /// The Sec-WebSocket-Accept that must come.
    pub accept: String,
    /// The subprotocols offered to the upstream.
    pub sent: Vec<String>,
    /// The subprotocols that the client offered.
    pub client: Vec<String>,
    /// The names of the extensions offered, in lower case.
    pub extensions: Vec<String>,
}

/// Which demand a 101 breaks. `Display` says it for a log line; what the upstream sent is in it
/// escaped, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Flaw {
    /// No Upgrade header.
    #[error("no Upgrade header in the 101")]
    NoUpgrade,
    /// It switches to something else.
    #[error("Upgrade is not websocket but {0}")]
    OtherUpgrade(String),
    /// Connection does not name Upgrade.
    #[error("no Connection: Upgrade in the 101")]
    NoConnection,
    /// No Sec-WebSocket-Accept.
    #[error("no Sec-WebSocket-Accept in the 101")]
    NoAccept,
    /// Several of them.
    #[error("more than one Sec-WebSocket-Accept in the 101")]
    ManyAccepts,
    /// It does not answer the key.
    #[error("accept differs: Sec-WebSocket-Accept does not fit the key")]
    WrongAccept,
    /// More than one subprotocol was chosen.
    #[error("more than one subprotocol in the 101")]
    ManySubprotocols,
    /// A subprotocol that was not offered.
    #[error("subprotocol {0} was not offered")]
    ForeignSubprotocol(String),
    /// An extension that was not offered.
    #[error("extension {0} was not offered")]
    ForeignExtension(String),
}

/// Checks a 101. Returns its end-to-end headers for the client: without Upgrade, Connection,
/// Sec-WebSocket-Accept and length, and without a subprotocol that the client did not offer.
///
/// # Errors
/// Says which demand is broken.
pub fn check(head: &ResponseHead, offer: &Offer) -> Result<Vec<(String, Vec<u8>)>, Flaw> {
    let named = items(head.values("Connection"));
    if !items(head.values("Upgrade")).iter().any(|t| t == "websocket") {
        return Err(match head.values("Upgrade").next() {
            None => Flaw::NoUpgrade,
            Some(other) => Flaw::OtherUpgrade(shown(other)),
        });
    }
    if !named.iter().any(|t| t == "upgrade") {
        return Err(Flaw::NoConnection);
    }
    check_accept(head, &offer.accept)?;
    let subprotocol = check_subprotocol(head, offer)?;
    let extensions = extension_names(head.values("Sec-WebSocket-Extensions"));
    if let Some(extension) = extensions.iter().find(|e| !offer.extensions.contains(e)) {
        return Err(Flaw::ForeignExtension(shown(extension.as_bytes())));
    }

    let known_to_client = subprotocol.is_some_and(|s| offer.client.iter().any(|c| c == s));
    let passes = |name: &str| {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "sec-websocket-accept" | "content-length" => false,
            "sec-websocket-protocol" => known_to_client,
            n => !is_hop_by_hop(n) && !named.contains(&lower),
        }
    };
    Ok(head.headers.iter().filter(|(name, _)| passes(name)).cloned().collect())
}

fn check_accept(head: &ResponseHead, expected: &str) -> Result<(), Flaw> {
    let mut values = head.values("Sec-WebSocket-Accept");
    match (values.next(), values.next()) {
        (None, _) => Err(Flaw::NoAccept),
        (Some(_), Some(_)) => Err(Flaw::ManyAccepts),
        (Some(value), None) if value.trim_ascii() == expected.as_bytes() => Ok(()),
        (Some(_), None) => Err(Flaw::WrongAccept),
    }
}

fn check_subprotocol<'a>(head: &'a ResponseHead, offer: &Offer) -> Result<Option<&'a str>, Flaw> {
    let mut values = head.values("Sec-WebSocket-Protocol").map(<[u8]>::trim_ascii);
    let (Some(value), second) = (values.next(), values.next()) else { return Ok(None) };
    if second.is_some() || value.contains(&b',') {
        return Err(Flaw::ManySubprotocols);
    }
    let text = std::str::from_utf8(value).unwrap_or("");
    match offer.sent.iter().any(|s| s == text) {
        true => Ok(Some(text)),
        false => Err(Flaw::ForeignSubprotocol(shown(value))),
    }
}

/// For a log line: escaped, at most 64 bytes.
fn shown(value: &[u8]) -> String {
    format!("\"{}\"", value[..value.len().min(64)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> ResponseHead {
        let split =
            |l: &str| l.split_once(": ").map(|(n, v)| (n.to_string(), v.as_bytes().to_vec()));
        let headers = lines.split('|').filter_map(split).collect();
        ResponseHead { minor: 1, status: 101, reason: String::new(), headers, rest: Vec::new() }
    }

    fn offer() -> Offer {
        Offer {
            accept: "right=".into(),
            sent: vec!["binary".into(), "imposed".into()],
            client: vec!["binary".into()],
            extensions: vec!["permessage-deflate".into()],
        }
    }

    const GOOD: &str = "Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Accept: right=";

    #[test]
    fn accepted() {
        // (more lines of the 101, names of the lines that pass)
        let table: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("Server: x|Set-Cookie: a|Set-Cookie: b", &["Server", "Set-Cookie", "Set-Cookie"]),
            ("Sec-WebSocket-Protocol: binary", &["Sec-WebSocket-Protocol"]),
            ("Sec-WebSocket-Protocol: imposed", &[]),
            ("Sec-WebSocket-Extensions: permessage-deflate; x=1", &["Sec-WebSocket-Extensions"]),
            ("Content-Length: 5|Transfer-Encoding: chunked|Keep-Alive: 5|Proxy-Foo: x", &[]),
            ("Connection: X-Hop|X-Hop: 1|X-End: 2", &["X-End"]),
        ];
        for (more, expected) in table {
            let headers = check(&head(&format!("{GOOD}|{more}")), &offer()).unwrap();
            let names: Vec<&str> = headers.iter().map(|(n, _)| n.as_str()).collect();
            assert_eq!(names, expected, "{more}");
        }
        let odd =
            "upgrade: WebSocket|CONNECTION: keep-alive, UPGRADE|sec-websocket-accept: right= ";
        assert!(check(&head(odd), &offer()).unwrap().is_empty());
    }

    #[test]
    fn refused() {
        let table = [
            ("Connection: Upgrade|Sec-WebSocket-Accept: right=", "no Upgrade header in the 101"),
            (
                "Upgrade: h2c|Connection: Upgrade|Sec-WebSocket-Accept: right=",
                "Upgrade is not websocket but \"h2c\"",
            ),
            (
                "Upgrade: websocket|Connection: close|Sec-WebSocket-Accept: right=",
                "no Connection: Upgrade in the 101",
            ),
            ("Upgrade: websocket|Connection: Upgrade", "no Sec-WebSocket-Accept in the 101"),
            (
                "Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Accept: Right=",
                "accept differs: Sec-WebSocket-Accept does not fit the key",
            ),
        ];
        for (lines, expected) in table {
            assert_eq!(check(&head(lines), &offer()).unwrap_err().to_string(), expected);
        }
        let table = [
            ("Sec-WebSocket-Accept: right=", "more than one Sec-WebSocket-Accept in the 101"),
            ("Sec-WebSocket-Protocol: Binary", "subprotocol \"Binary\" was not offered"),
            ("Sec-WebSocket-Protocol: binary, imposed", "more than one subprotocol in the 101"),
            (
                "Sec-WebSocket-Protocol: binary|Sec-WebSocket-Protocol: binary",
                "more than one subprotocol in the 101",
            ),
            ("Sec-WebSocket-Extensions: x-evil", "extension \"x-evil\" was not offered"),
        ];
        for (more, expected) in table {
            let flaw = check(&head(&format!("{GOOD}|{more}")), &offer()).unwrap_err();
            assert_eq!(flaw.to_string(), expected);
        }
    }
}
