//! The upgrade as a browser sends it, and what a browser checks in a 101.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mod_wsroute::upgrade::accept;
use rustls::crypto::aws_lc_rs;

use super::http::{Answer, printable};
use super::report::Verdict;
use super::target::Target;
use crate::headers::{Headers, complete, value};

/// What some servers and firewalls want to see.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// What the options say about the request.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The page's origin; `None`: one of the same server.
    pub origin: Option<String>,
    /// Offered subprotocols; empty: none.
    pub subprotocol: String,
    /// Headers in place of those of the same name; an empty value takes one away.
    pub headers: Headers,
}

impl Page {
    /// Every header of the upgrade, in a browser's order.
    pub fn upgrade(&self, target: &Target) -> Headers {
        let origin = self.origin.clone().unwrap_or_else(|| target.origin());
        let lines = [
            ("Host", target.authority.clone()),
            ("Connection", "Upgrade".to_owned()),
            ("Pragma", "no-cache".to_owned()),
            ("Cache-Control", "no-cache".to_owned()),
            ("User-Agent", USER_AGENT.to_owned()),
            ("Upgrade", "websocket".to_owned()),
            ("Origin", origin),
            ("Sec-WebSocket-Version", "13".to_owned()),
            ("Accept-Encoding", "gzip, deflate, br, zstd".to_owned()),
            ("Accept-Language", "en-US,en;q=0.9".to_owned()),
            ("Sec-WebSocket-Key", key()),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits".to_owned()),
            ("Sec-WebSocket-Protocol", self.subprotocol.clone()),
        ];
        complete(lines, &self.headers)
    }

    /// A plain GET of the same page's browser.
    pub fn plain(&self, target: &Target) -> Headers {
        let lines = [
            ("Host", target.authority.clone()),
            ("User-Agent", USER_AGENT.to_owned()),
            ("Accept", "*/*".to_owned()),
            ("Connection", "close".to_owned()),
        ];
        let mut headers = complete(lines, &self.headers);
        headers.retain(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name != "upgrade" && !name.starts_with("sec-websocket-")
        });
        headers
    }
}

/// 16 random bytes in base64.
fn key() -> String {
    let mut bytes = [0; 16];
    // Without randomness the key is no secret anyway: it only ties an answer to its question.
    let _ = aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    STANDARD.encode(bytes)
}

/// Why a browser does not take this 101 for one.
pub fn flaw(sent: &Headers, answer: &Answer) -> Option<Verdict> {
    let names = |header: &str, token: &str| {
        answer.list(header).iter().any(|item| item.eq_ignore_ascii_case(token))
    };
    let bad = |cause, what: &str, mend: &str| {
        Some(Verdict::new(cause, "the container, or a proxy that changes its answer", what, mend))
    };
    if answer.minor == 0 {
        return bad(
            "http-1.0",
            "the 101 came in HTTP/1.0, which has no upgrades",
            "the server, or a proxy on the way, must speak HTTP/1.1 (httpd: no force-response-1.0)",
        );
    }
    if !names("Upgrade", "websocket") {
        return bad(
            "bad-switch",
            "the 101 has no Upgrade: websocket",
            "mend the server; a proxy in front must pass Upgrade of the answer on",
        );
    }
    if !names("Connection", "upgrade") {
        return bad(
            "bad-switch",
            "the 101 has no Connection: Upgrade",
            "mend the server; a proxy in front must pass Connection of the answer on",
        );
    }
    let expected = accept(value(sent, "Sec-WebSocket-Key"));
    match answer.header("Sec-WebSocket-Accept") {
        found if found == expected => {}
        "" => {
            return bad(
                "wrong-accept",
                "the 101 has no Sec-WebSocket-Accept",
                "mend the server: RFC 6455 4.2.2; or is it another protocol than WebSocket?",
            );
        }
        _ => {
            return bad(
                "wrong-accept",
                "the Sec-WebSocket-Accept of the 101 does not answer our Sec-WebSocket-Key",
                "mend the server; or a cache or proxy answered with somebody else's 101, or changed the key",
            );
        }
    }
    let offered = value(sent, "Sec-WebSocket-Protocol");
    let chosen = answer.header("Sec-WebSocket-Protocol");
    if !chosen.is_empty() && !offered.split(',').any(|p| p.trim() == chosen) {
        let chosen = printable(chosen);
        return bad(
            "wrong-subprotocol",
            &format!("the 101 chose the subprotocol {chosen:?}, which was not offered"),
            &format!("the page must offer it (here: --subprotocol {chosen}), or mend the server"),
        );
    }
    let known = |extension: &&str| {
        let name = extension.split(';').next().unwrap_or_default().trim();
        !value(sent, "Sec-WebSocket-Extensions").contains(name)
    };
    if let Some(extension) = answer.list("Sec-WebSocket-Extensions").into_iter().find(known) {
        let what = format!("the 101 uses the extension {:?}, not offered", printable(extension));
        return bad("bad-switch", &what, "mend the server: RFC 6455 9.1");
    }
    None
}
