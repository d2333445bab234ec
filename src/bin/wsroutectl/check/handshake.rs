//! The upgrade as a browser sends it, and what a browser checks in a 101.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mod_wsroute::upgrade::accept;
use mod_wsroute::upstream::request_head::extension_names;
use mod_wsroute::upstream::switch::{self, Flaw, Offer};
use rustls::crypto::aws_lc_rs;

use super::http::Answer;
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
    let hop = "the container, or a proxy that changes its answer";
    if answer.0.minor == 0 {
        return Some(Verdict::new(
            "http-1.0",
            hop,
            "the 101 came in HTTP/1.0, which has no upgrades",
            "the server, or a proxy on the way, must speak HTTP/1.1 (httpd: no force-response-1.0)",
        ));
    }
    let items = |name| value(sent, name).split(',').map(str::trim).map(str::to_owned).collect();
    let offer = Offer {
        accept: accept(value(sent, "Sec-WebSocket-Key")),
        sent: items("Sec-WebSocket-Protocol"),
        client: Vec::new(),
        extensions: extension_names(std::iter::once(
            value(sent, "Sec-WebSocket-Extensions").as_bytes(),
        )),
    };
    let flaw = switch::check(&answer.0, &offer).err()?;
    let (cause, mend) = match &flaw {
        Flaw::NoUpgrade | Flaw::OtherUpgrade(_) => (
            "bad-switch",
            "mend the server; a proxy in front must pass Upgrade of the answer on".to_owned(),
        ),
        Flaw::NoConnection => (
            "bad-switch",
            "mend the server; a proxy in front must pass Connection of the answer on".to_owned(),
        ),
        Flaw::NoAccept => (
            "wrong-accept",
            "mend the server: RFC 6455 4.2.2; or is it another protocol than WebSocket?".to_owned(),
        ),
        Flaw::WrongAccept => (
            "wrong-accept",
            "mend the server: it must answer our Sec-WebSocket-Key; or a cache or proxy answered with somebody else's 101, or changed the key".to_owned(),
        ),
        Flaw::ManyAccepts => (
            "wrong-accept",
            "the application and its library, or a proxy, both answer: only one may".to_owned(),
        ),
        Flaw::ManySubprotocols => (
            "wrong-subprotocol",
            "mend the server: it chooses one of those offered (RFC 6455 4.2.2)".to_owned(),
        ),
        Flaw::ForeignSubprotocol(chosen) => (
            "wrong-subprotocol",
            format!("the page must offer it (here: --subprotocol {chosen}), or mend the server"),
        ),
        Flaw::ForeignExtension(_) => ("bad-switch", "mend the server: RFC 6455 9.1".to_owned()),
    };
    Some(Verdict::new(cause, hop, format!("browsers refuse this 101: {flaw}"), mend))
}
