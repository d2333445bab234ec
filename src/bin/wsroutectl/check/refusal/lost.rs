//! Headers of the upgrade that were sent and do not arrive.

use super::super::http::Answer;
use super::super::probes::{Evidence, with};
use super::super::report::Verdict;
use super::Refused;
use crate::headers::value;

/// Without one of these every server refuses.
const DEMANDED: [&str; 2] = ["Sec-WebSocket-Key", "Sec-WebSocket-Version"];
const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol";
/// What nginx, httpd and balancers need to hear.
const PASS_ON: &str = "nginx: proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; httpd: upgrade=websocket; haproxy: no del-header Upgrade; a load balancer: switch WebSockets on";

/// mod_wsroute says what is missing.
pub(super) fn malformed(evidence: &Evidence) -> Option<Verdict> {
    let why = evidence.malformed()?;
    if let Some(name) =
        DEMANDED.iter().find(|name| why.contains(&format!("{name} header is missing")))
    {
        return Some(lost(name, &format!("mod_wsroute says: {why}")));
    }
    let hop_by_hop = ["Upgrade header", "Connection header", "HTTP/1.1", "Host header"];
    if !hop_by_hop.iter().any(|word| why.contains(word)) {
        return Some(Verdict::new(
            "malformed-upgrade",
            "the client's headers (-H), or a proxy in front",
            format!("mod_wsroute says: {why}"),
            "leave the handshake's headers as the browser sends them",
        ));
    }
    if evidence.comes_by_proxy() {
        return Some(stripped(&format!("mod_wsroute says: {why}")));
    }
    Some(Verdict::new(
        "headers-stripped",
        "a proxy in front, or this httpd's own configuration",
        format!(
            "the upgrade's headers are taken away before mod_wsroute sees them; it says: {why}"
        ),
        format!(
            "either this httpd's own RequestHeader unset (or SetEnvIf recipe): wsroutectl lint tells, take it out. Or a proxy in front: {PASS_ON}"
        ),
    ))
}

/// A proxy in front takes `Upgrade` away. `evidence`: how one knows.
pub(super) fn stripped(evidence: &str) -> Verdict {
    Verdict::new(
        "headers-stripped",
        "the proxy in front",
        format!("a proxy in front takes the upgrade's headers away: {evidence}"),
        format!("{PASS_ON}. Or RequestHeader unset Upgrade in an httpd (wsroutectl lint)"),
    )
}

fn lost(name: &str, evidence: &str) -> Verdict {
    Verdict::new(
        "header-lost",
        "a proxy in front, or RequestHeader unset in httpd",
        format!("{name} was sent and did not arrive: {evidence}"),
        format!(
            "let it pass: no proxy_set_header {name} \"\" (nginx), no RequestHeader unset {name} (httpd; wsroutectl lint), no http-request del-header (haproxy)"
        ),
    )
}

impl Refused<'_> {
    /// The answer is about a header that was sent, and it is the same without it.
    pub(super) async fn handshake_lost(&self, evidence: &Evidence) -> Option<Verdict> {
        if !matches!(evidence.answer.status(), 400 | 426) {
            return None;
        }
        let text = evidence.answer.text().to_ascii_lowercase();
        for name in DEMANDED.into_iter().chain([SUBPROTOCOL]) {
            let named = text.contains(&name.to_ascii_lowercase());
            // Who misses the subprotocol has looked for it; the others may be missed with Upgrade.
            let looked = name == SUBPROTOCOL || evidence.sees_upgrade();
            if named && looked && self.is_indifferent(name, &evidence.answer).await {
                let said = evidence.said();
                return Some(lost(name, &format!("without it the answer is the same, {said}")));
            }
        }
        None
    }

    /// The headers without which the answer is the same: they are lost on the way, or whoever
    /// answers has not got as far as looking at them.
    pub(super) async fn indifferent(&self, answer: &Answer) -> Vec<&'static str> {
        let mut all = Vec::new();
        for name in DEMANDED.into_iter().chain([SUBPROTOCOL, "Origin", "Cookie"]) {
            if self.is_indifferent(name, answer).await {
                all.push(name);
            }
        }
        all
    }

    /// A refusal, and cookies were given: do they make a difference?
    pub(super) async fn with_cookies(&self, mut verdict: Verdict, answer: &Answer) -> Verdict {
        if answer.status() != 401 && self.is_indifferent("Cookie", answer).await {
            verdict.what += "; without the cookies the answer is the same: either they are not (or no longer) good for a session, or a server between drops Cookie";
        }
        verdict
    }

    /// The header was sent, and the answer is the same without it.
    async fn is_indifferent(&self, name: &str, answer: &Answer) -> bool {
        if value(self.sent, name).is_empty() {
            return false;
        }
        let asked = self.door.ask(&self.door.target, &with(self.sent, name, "")).await;
        asked.is_ok_and(|other| other.is_like(answer) && other.0.rest.len() == answer.0.rest.len())
    }
}
