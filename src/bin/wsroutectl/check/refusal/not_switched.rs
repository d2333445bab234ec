//! 200 and 4xx: whoever answered did not want to, or did not see that it was an upgrade.

use super::super::http::printable;
use super::super::probes::Evidence;
use super::super::report::Verdict;
use super::super::silence;
use super::super::target::Target;
use super::{Refused, lost};
use crate::headers::value;

/// How mod_proxy is made to pass a WebSocket on, or spared it.
const PROXY_MEND: &str = "WsRoute ws://TARGET in that <Location>, or ProxyPass ... upgrade=websocket before all other lines for that backend; RequestHeader set Upgrade cannot bring it back";

impl Refused<'_> {
    /// Whoever answered did not want to, or did not see that it was an upgrade.
    pub(super) async fn not_switched(&self, evidence: &Evidence) -> Verdict {
        let Evidence { answer, .. } = evidence;
        let path = self.path();
        let said = evidence.said();
        if answer.0.minor == 0 {
            return Verdict::new(
                "http-1.0",
                "the server, or a proxy between",
                format!("the answer ({said}) came in HTTP/1.0, which has no upgrades"),
                "speak HTTP/1.1: no force-response-1.0 or downgrade-1.0 in httpd, proxy_http_version 1.1 in nginx; a simple HTTP/1.0 server takes no WebSockets",
            );
        }
        if answer.status() == 421 {
            return wrong_vhost(&self.door.target, path, &said);
        }
        if let Some(verdict) = plain_to_tls(evidence) {
            return verdict;
        }
        if answer.text().starts_with("RFB ") {
            return silence::vnc_port("the container, behind a proxy");
        }
        if answer.status() == 429 && evidence.is_ours() && evidence.page_of() == Some("httpd") {
            return Verdict::new(
                "session-limit",
                "httpd (mod_wsroute)",
                "429: a limit of mod_wsroute on open WebSockets is reached",
                "close sessions that nobody needs, or raise the limit; httpd's error log says which one",
            );
        }
        if answer.status() == 429 {
            let hop = match evidence.is_ours() {
                true => "the container",
                false => "the server, or a proxy in front",
            };
            return Verdict::new(
                "rate-limit",
                hop,
                format!("{said}: too many requests from here"),
                "wait; raise the limit, or except the WebSocket's path from it",
            );
        }
        if evidence.is_ours() {
            return behind_us(evidence, path);
        }
        if evidence.is_blind() {
            let mut verdict = self.blind(evidence);
            let default = self.is_named() && evidence.is_default_host();
            if verdict.cause != "wrong-vhost" && default && evidence.has_virtual_hosts() {
                verdict.hop = format!("the virtual hosts, or {}", verdict.hop);
                verdict.what = format!(
                    "either the wrong virtual host answers for {} (a name that nobody has gets the same), or: {}",
                    self.host(),
                    verdict.what
                );
                verdict.mend = format!(
                    "apachectl -S (nginx -T) shows which virtual host has that name. If it is the right one: {}",
                    verdict.mend
                );
            }
            return verdict;
        }
        let indifferent = match self.indifferent(&evidence.answer).await {
            names if names.is_empty() => String::new(),
            names => format!(
                "; it is the same without {}: they are not looked at, or a proxy between drops one",
                names.join(", ")
            ),
        };
        Verdict::new(
            "application-refuses",
            "the application",
            format!(
                "the upgrade reaches the application, which answers {said} instead of 101{indifferent}"
            ),
            format!(
                "its log; is {path} its WebSocket path, are subprotocol, token and login right?"
            ),
        )
    }

    fn host(&self) -> &str {
        host_of(value(self.sent, "Host"))
    }

    /// A virtual host can be chosen by this name.
    fn is_named(&self) -> bool {
        self.host().contains('.') && self.host().parse::<std::net::IpAddr>().is_err()
    }

    /// With `Upgrade` and without the same answer.
    fn blind(&self, evidence: &Evidence) -> Verdict {
        let Evidence { answer, .. } = evidence;
        let (path, said) = (self.path(), evidence.said());
        let kasm = if evidence.is_kasm() {
            " (KasmVNC answers so, also if Origin or Sec-WebSocket-Protocol does not arrive)"
        } else {
            ""
        };
        let asks = evidence.asks_for_upgrade();
        if evidence.is_proxied() && asks {
            return Verdict::new(
                "proxy-without-upgrade",
                "httpd (mod_proxy)",
                format!(
                    "mod_proxy takes {path}, and the application behind it asks for an upgrade although one was sent ({said}): mod_proxy drops Upgrade{kasm}"
                ),
                format!(
                    "{PROXY_MEND}; if upgrade= is there, the application itself refuses every upgrade: ask it directly"
                ),
            );
        }
        if evidence.is_proxied() {
            return Verdict::new(
                "proxy-without-upgrade",
                "httpd (mod_proxy), or the application behind it",
                format!(
                    "mod_proxy takes {path}, and the answer is the same with Upgrade and without ({said}){kasm}: either mod_proxy drops Upgrade, or the application takes no WebSockets at that path"
                ),
                format!(
                    "if the ProxyPass or RewriteRule that takes this path has no upgrade=: {PROXY_MEND}. If it has: the application's path; wsroutectl check ws://ADDRESS:PORT/PATH asks it directly"
                ),
            );
        }
        if let Some(server @ ("nginx" | "haproxy")) = evidence.page_of() {
            return Verdict::new(
                "no-route",
                server,
                format!("{server} itself answers {said}: it passes {path} on to nobody"),
                "is it the right path, and the right server (server_name, location, frontend)?",
            );
        }
        if evidence.is_nginx() && asks {
            return lost::stripped(&format!(
                "nginx passes the request on, and the application behind it asks for an upgrade although one was sent ({said})"
            ));
        }
        if evidence.is_nginx() && evidence.page_of() == Some("httpd") {
            return Verdict::new(
                "no-route",
                "httpd behind nginx",
                format!(
                    "httpd behind nginx answers {status}: no WsRoute (and no proxy) takes the path that nginx asks it for",
                    status = answer.status()
                ),
                "proxy_pass with a path (also /) replaces the location's own: proxy_pass http://HOST:PORT; passes it as it is. Then: does <Location> with WsRoute cover it, in the virtual host for that Host (proxy_set_header Host $http_host)?",
            );
        }
        if evidence.is_nginx() {
            return Verdict::new(
                "upgrade-not-seen",
                "nginx, or the application behind it",
                format!(
                    "at {path} nginx gives the same answer with Upgrade and without ({said}){kasm}: either it drops Upgrade (it does so unless told otherwise), or the application takes no WebSockets at that path, or nginx has a page of its own there (root, try_files, return)"
                ),
                "a location with proxy_pass; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\". If they are there: the application's path (KasmVNC answers 404 also if Origin or Sec-WebSocket-Protocol does not arrive); wsroutectl check ws://ADDRESS:PORT/PATH asks it directly",
            );
        }
        let sees_key = answer.status() == 400 && !evidence.is_for_everybody();
        if sees_key {
            return lost::stripped("the WebSocket's other headers arrive, Upgrade does not");
        }
        if answer.has("Via") {
            let via = printable(answer.header("Via"));
            return lost::stripped(&format!(
                "with Upgrade and without it the answer is the same ({said}), and it came via {via}"
            ));
        }
        if evidence.is_httpds_own() {
            let host = self.host();
            if evidence.is_default_host() && self.is_named() {
                return wrong_vhost(&self.door.target.named(host), path, &said);
            }
            return Verdict::new(
                "no-route",
                "httpd",
                format!(
                    "httpd itself answers {said}: no WsRoute (and no proxy) takes {path} in the virtual host that answers for {host}"
                ),
                "is it the right path, and the right virtual host (apachectl -S)? <Location> with WsRoute must cover the path; the module must be loaded (a2enmod wsroute)",
            );
        }
        match answer.status() {
            200 if evidence.is_apache() => Verdict::new(
                "no-route",
                "httpd, or a program in it",
                format!(
                    "{said}, as to any page: no WsRoute (and no proxy) takes {path}; httpd has a file or a FallbackResource there, or PHP or WSGI answers{kasm}"
                ),
                "is it the WebSocket's path (often /websockify or /ws), and the virtual host that was meant (apachectl -S)? <Location> with WsRoute must cover it",
            ),
            _ if asks => Verdict::new(
                "upgrade-not-seen",
                "the application, or a proxy in front of it",
                format!(
                    "{said}: Upgrade was sent, and the answer asks for it: it was lost on the way, or the application refuses every upgrade"
                ),
                "ask the application directly (wsroutectl check ws://ADDRESS:PORT/PATH): if that works, the proxy between strips Upgrade (mod_proxy: upgrade=websocket or WsRoute; nginx: proxy_set_header Upgrade $http_upgrade)",
            ),
            404 => Verdict::new(
                "application-not-found",
                "the application",
                format!("{said}: the application does not know {path}"),
                "noVNC and KasmVNC: /websockify; path= of WsRouteUpstream; or the upgrade goes to the wrong application",
            ),
            _ => Verdict::new(
                "application-no-websocket",
                "the application",
                format!(
                    "the application answers {said} as to any page{kasm}: at {path} it takes no WebSockets, or it does not see Upgrade"
                ),
                "is it the WebSocket's path (often /websockify or /ws)? Is it the virtual host that was meant (apachectl -S)? Does a proxy between strip Upgrade? Ask the application directly to know",
            ),
        }
    }
}

/// A proxy speaks plain HTTP to a port that wants TLS: httpd and nginx answer 400 and say so.
fn plain_to_tls(evidence: &Evidence) -> Option<Verdict> {
    let text = evidence.answer.text();
    let says = text.contains("plain HTTP") && (text.contains("SSL") || text.contains("HTTPS"));
    (evidence.answer.status() == 400 && says).then(|| {
        Verdict::new(
            "upstream-tls",
            "the proxy, or httpd (its target)",
            "400: what is behind the proxy wants TLS, and the proxy speaks plain HTTP to it",
            "https:// or wss:// in its target: SSLProxyEngine on with mod_proxy, scheme=wss in WsRouteUpstream, proxy_pass https:// in nginx",
        )
    })
}

/// mod_wsroute took the upgrade, and what is behind it answered.
fn behind_us(evidence: &Evidence, path: &str) -> Verdict {
    let Evidence { answer, .. } = evidence;
    let said = evidence.said_behind();
    if answer.status() == 404 && evidence.page_of() == Some("httpd") {
        return Verdict::new(
            "unknown-key",
            "httpd (WsRouteKey, the resolver)",
            format!("404 by mod_wsroute: {path} gives no key, or no resolver knows it"),
            "wsroutectl resolve URL shows which; the error log has an unknown-key line; is the container's row there?",
        );
    }
    let kasm = match answer.status() {
        200 | 404 => "; KasmVNC answers so if Origin or Sec-WebSocket-Protocol do not arrive",
        _ => "",
    };
    Verdict::new(
        "upstream-declined",
        "the container",
        format!("mod_wsroute passed the upgrade on, and the container answered {said}{kasm}"),
        "the container's log; path= of WsRouteUpstream; no RequestHeader unset of Origin or Sec-WebSocket-Protocol in httpd; noVNC's path is /websockify",
    )
}

fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn wrong_vhost(target: &Target, path: &str, said: &str) -> Verdict {
    let host = &target.host;
    Verdict::new(
        "wrong-vhost",
        "httpd (virtual hosts)",
        format!(
            "the wrong virtual host answers: {host} gets what a name that nobody knows gets ({said}), and nothing there takes WebSockets at {path}"
        ),
        format!(
            "ServerName or ServerAlias {host} in the <VirtualHost> with WsRoute, for this port; apachectl -S shows who answers. If it is the right one: <Location> must cover the path"
        ),
    )
}
