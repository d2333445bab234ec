//! 401, 403 and 407: who wants a login, and who forbids.

use super::super::probes::Evidence;
use super::super::report::Verdict;
use super::Refused;
use crate::headers::value;

impl Refused<'_> {
    pub(super) fn login(&self, evidence: &Evidence) -> Verdict {
        let tried = !value(self.sent, "Authorization").is_empty();
        let by_container = evidence.is_ours() || evidence.is_kasm();
        let what = match (by_container, tried) {
            (true, false) => "the container wants its own password (KasmVNC and websockify do)",
            (true, true) => {
                "the container refuses this password, or a server between changes Authorization"
            }
            (false, false) => "a login is required",
            (false, true) => {
                "this login is refused (name, password, or Require wants somebody else), or a server between drops Authorization"
            }
        };
        let status = evidence.answer.status();
        if by_container {
            return Verdict::new(
                "container-login",
                "the container",
                format!("{status}: {what}; the request came all the way to it"),
                "let httpd send it: username and password of the resolver's answer, or RequestHeader set Authorization in this <Location>; to test: --user NAME:PASSWORD",
            );
        }
        let hop = match evidence.page_of() {
            Some("httpd") => "httpd (authentication)",
            Some("nginx") => "nginx (auth_basic, auth_request)",
            Some("haproxy") => "haproxy (http-request auth)",
            _ => "the application, or the authentication of a server in front of it",
        };
        Verdict::new(
            "login-required",
            hop,
            format!("{status}: {what}"),
            match evidence.answer.has("WWW-Authenticate") {
                true => {
                    "give the login as the browser would: --user NAME:PASSWORD or --cookie; a browser has it from the page, so AuthName and path of both must be the same; a proxy between must pass Authorization"
                }
                false => {
                    "no password is asked for, but a session: --cookie with what the browser has after the login; a proxy between must pass Cookie"
                }
            },
        )
    }

    pub(super) fn forbidden(&self, evidence: &Evidence) -> Verdict {
        let (path, said) = (self.path(), evidence.said());
        if evidence.says_origin() {
            return Verdict::new(
                "foreign-origin",
                "the application, or what changes Origin on the way to it",
                format!("the application refuses the page's origin: {said}"),
                "list the origin there (here: --origin); if it is listed, no server between may unset or change Origin",
            );
        }
        if evidence.is_ours() && evidence.page_of() == Some("httpd") {
            return Verdict::new(
                "not-yours",
                "httpd (mod_wsroute), or the container",
                "403: mod_wsroute refuses: not the owner's container, an answer whose expires has passed, a foreign Origin, or a target outside of WsRouteAllow",
                "the error log says which (not-yours, expired, origin-refused, upstream-not-allowed); log in as the owner with --user; wsroutectl resolve shows the decision",
            );
        }
        if evidence.is_ours() {
            return Verdict::new(
                "upstream-declined",
                "the container, or mod_wsroute with an ErrorDocument",
                format!("the upgrade came as far as mod_wsroute, and the answer is {said}"),
                "httpd's error log: upstream-declined is the container (origin, token, cookie: its log says); not-yours and origin-refused are mod_wsroute",
            );
        }
        let everybody = evidence.is_for_everybody();
        let (hop, mend) = match evidence.page_of() {
            Some("httpd") if everybody => (
                "httpd (Require)",
                "LogLevel authz_core:debug shows which Require refuses (Require ip looks at your address); log in with --user or --cookie; an SSLVerifyClient for the path wants a certificate, which WebSockets cannot give later",
            ),
            Some("httpd") => (
                "httpd (mod_security, or a rewrite rule)",
                "httpd's error log says who forbids the upgrade",
            ),
            Some("nginx") => {
                ("nginx (deny, return)", "deny, allow and return in its location; its error log")
            }
            Some("haproxy") => {
                ("haproxy (http-request deny)", "http-request deny in its frontend or backend")
            }
            _ if everybody => (
                "the application, or a server in front of it",
                "log in as the page does: --cookie or --user; if that changes nothing, ask the application directly: it, or a server between that loses the cookie",
            ),
            _ => (
                "the application, or a firewall in front",
                "the application's log: origin, token or session; or mod_security and the like forbid upgrades",
            ),
        };
        let what = match everybody {
            true => format!("{said} for {path}, WebSocket or not"),
            false => {
                format!("{said} for the upgrade of {path}, while a plain GET gets another answer")
            }
        };
        Verdict::new("forbidden", hop, what, mend)
    }
}
