//! A proxy in front takes the upgrade's headers away.

use super::super::probes::Evidence;
use super::super::report::Verdict;

/// mod_wsroute says what is missing.
pub(super) fn malformed(evidence: &Evidence) -> Option<Verdict> {
    let why = evidence.malformed()?;
    let lost = [
        "Upgrade header",
        "Connection header",
        "HTTP/1.1",
        "Host header",
        "Key header is missing",
        "Version header is missing",
    ];
    if lost.iter().any(|word| why.contains(word)) {
        return Some(verdict(&format!("mod_wsroute says: {why}")));
    }
    Some(Verdict::new(
        "malformed-upgrade",
        "the client's headers (-H), or a proxy in front",
        format!("mod_wsroute says: {why}"),
        "leave the handshake's headers as the browser sends them",
    ))
}

/// `evidence`: how one knows.
pub(super) fn verdict(evidence: &str) -> Verdict {
    Verdict::new(
        "headers-stripped",
        "the proxy in front",
        format!("a proxy in front takes the upgrade's headers away: {evidence}"),
        "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; httpd: upgrade=websocket; a load balancer: switch WebSockets on. Or RequestHeader unset Upgrade here (wsroutectl lint)",
    )
}
