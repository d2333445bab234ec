//! The same upgrade with one header changed: what makes the difference names the cause.

use super::super::http::printable;
use super::super::probes::{Evidence, switches, with};
use super::super::report::Verdict;
use super::Refused;
use crate::headers::value;

impl Refused<'_> {
    /// Another name of the certificate gets the WebSocket: the virtual hosts are mixed up.
    pub(super) async fn other_name(&self) -> Option<Verdict> {
        let host = &self.door.target.host;
        let fits = |name: &&String| !name.contains('*') && !name.eq_ignore_ascii_case(host);
        for name in self.facts.names.iter().filter(fits).take(3) {
            let other = self.door.target.named(name);
            let headers = with(self.sent, "Host", &other.authority);
            let headers = with(&headers, "Origin", &other.origin());
            if self.door.ask(&other, &headers).await.is_ok_and(|answer| answer.status() == 101) {
                return Some(Verdict::new(
                    "wrong-vhost",
                    "httpd (virtual hosts)",
                    format!(
                        "the wrong virtual host answers for {host}: asked for {name} (a name of its certificate) the WebSocket works"
                    ),
                    format!(
                        "ServerAlias {host} in the <VirtualHost> with WsRoute; apachectl -S shows who answers for which name"
                    ),
                ));
            }
        }
        None
    }

    /// One header makes the difference.
    pub(super) async fn other_headers(&self, evidence: &Evidence) -> Option<Verdict> {
        let own = self.door.target.origin();
        let origin = value(self.sent, "Origin");
        let status = evidence.answer.status();
        if !matches!(status, 200 | 400..=499) {
            return None;
        }
        if origin != own && switches(self.door, &with(self.sent, "Origin", &own)).await {
            return Some(match origin {
                "" => Verdict::new(
                    "origin-missing",
                    "the client",
                    format!(
                        "without Origin the answer is {status}, with it 101: KasmVNC and others insist on it"
                    ),
                    "browsers send it; other clients must, too",
                ),
                origin => Verdict::new(
                    "foreign-origin",
                    "httpd (WsRouteOrigin), or the application",
                    format!(
                        "pages of {} may not open this WebSocket; those of {own} may",
                        printable(origin)
                    ),
                    format!("WsRouteOrigin {}, or the application's own list", printable(origin)),
                ),
            });
        }
        if !origin.is_empty() && switches(self.door, &with(self.sent, "Origin", "")).await {
            return Some(Verdict::new(
                "foreign-origin",
                "httpd (WsRouteOrigin), or the application",
                format!("with Origin {} the answer is {status}, without it 101", printable(origin)),
                "list the origin (WsRouteOrigin, or the application's own list); if it is the server's own, a proxy in front changes Host: proxy_set_header Host $http_host (nginx), ProxyPreserveHost on (httpd)",
            ));
        }
        let offered = value(self.sent, "Sec-WebSocket-Protocol");
        let other = if offered.is_empty() { "binary" } else { "" };
        if switches(self.door, &with(self.sent, "Sec-WebSocket-Protocol", other)).await {
            let (what, mend) = match other {
                "" => (
                    format!("the server refuses the subprotocol {offered:?} and takes none"),
                    "--subprotocol with the name that the page uses, or \"\" for none".to_owned(),
                ),
                _ => (
                    "the server wants the subprotocol \"binary\"".to_owned(),
                    "the page must offer it: new WebSocket(url, \"binary\")".to_owned(),
                ),
            };
            return Some(Verdict::new("subprotocol-refused", "the container", what, mend));
        }
        let lower = self.sent.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect();
        let lower = with(&lower, "connection", "upgrade");
        switches(self.door, &lower).await.then(|| {
            Verdict::new(
                "header-case",
                "the application, or a proxy in front",
                "with header names in lower case the upgrade works, as browsers spell them it does not",
                "mend the server: names of headers have no case (RFC 9110 5.1)",
            )
        })
    }
}
