//! 5xx: what is behind the server that answered is down, late or broken.

use super::super::http::printable;
use super::super::probes::Evidence;
use super::super::report::Verdict;

/// Who is down.
pub(super) fn verdict(evidence: &Evidence) -> Verdict {
    let Evidence { answer, .. } = evidence;
    let (status, text) = (answer.status(), answer.text());
    let ours = evidence.is_ours();
    if let (503, true) = (status, answer.has("Retry-After")) {
        let seconds = printable(answer.header("Retry-After"));
        let (hop, what) = match ours {
            true => ("the container", "the container is not running yet"),
            false => {
                ("the server, or what is behind it", "not ready: starting, busy, or in maintenance")
            }
        };
        return Verdict::new(
            "starting",
            hop,
            format!("503: {what} (try again after {seconds} s, says the server)"),
            "wait and try again; WsRouteTimeout boot= lets httpd wait for it; if it stays so: the container's state in the resolver's table",
        );
    }
    if text.contains("SSL Handshake") {
        return Verdict::new(
            "upstream-tls",
            "the container (its certificate), behind mod_proxy",
            format!("{status}: mod_proxy does not accept the container's TLS: self-signed?"),
            "SSLProxyEngine on; SSLProxyCACertificateFile, or SSLProxyVerify none with SSLProxyCheckPeerName off; the error log says which",
        );
    }
    match (status, ours) {
        (502, true) => Verdict::new(
            "upstream-failed",
            "the container",
            "502: mod_wsroute gets nowhere with the container: it is down, or its certificate is self-signed and WsRouteUpstream has verify=on, or it breaks the handshake off; or the resolver failed",
            "the error log's line tells: upstream-refused: start it; upstream-tls: verify=off, ca= or pin=; upstream-closed: scheme=wss, or websockify's token; upstream-bad-switch: its 101 is wrong; resolver-failed: the database. Give it here as --log FILE",
        ),
        (504, true) => Verdict::new(
            "upstream-late",
            "the container, or the resolver",
            "504: the container or the resolver is late",
            "the error log: upstream-connect-late (firewall, host down), upstream-handshake-late (busy), resolver-late (database). Give it here as --log FILE",
        ),
        (500, true) if evidence.page_of() != Some("httpd") => Verdict::new(
            "upstream-declined",
            "the container",
            format!(
                "mod_wsroute passed the upgrade on, and the container answered {}: an error of its own",
                evidence.said_behind()
            ),
            "the container's log; path= of WsRouteUpstream",
        ),
        (500, true) => Verdict::new(
            "bad-configuration",
            "httpd (mod_wsroute), or the container",
            "500: a configuration that cannot be evaluated, or the container's own error",
            "the error log: bad-configuration, panic, upstream-declined",
        ),
        (502, false) if evidence.is_proxied() => Verdict::new(
            "upstream-closed",
            "the container, behind mod_proxy",
            "502: mod_proxy gets no answer from the container: it hangs up (does that port want TLS? websockify does so without a valid token), says nothing until ProxyTimeout, or its name has no address",
            "https:// or wss:// in ProxyPass if it wants TLS; else its log, and httpd's error log: AH01102 (hangs up, silent), AH00898 (DNS)",
        ),
        (503, false) if evidence.is_proxied() => Verdict::new(
            "upstream-down",
            "the container, behind mod_proxy",
            "503: mod_proxy does not reach the container (down, or wrong port)",
            "start it; the error log: AH00957/AH01114 (connection refused); mod_proxy then refuses for retry=60 s more",
        ),
        (500, false) if evidence.is_proxied() && evidence.page_of() != Some("httpd") => {
            Verdict::new(
                "server-error",
                "the application, behind mod_proxy",
                format!("{} instead of 101: an error of the application's own", evidence.said()),
                "its log",
            )
        }
        (500, false) if evidence.is_proxied() => Verdict::new(
            "proxy-broken",
            "httpd (mod_proxy), or the application",
            "500: mod_proxy has no protocol handler for its target, or the application failed",
            "the error log: AH01144 (a2enmod proxy_http proxy_wstunnel), AH00961 (SSLProxyEngine on); else the application's log",
        ),
        (502 | 503, false) if matches!(evidence.page_of(), Some("nginx" | "haproxy")) => {
            Verdict::new(
                "upstream-down",
                "what is behind the proxy",
                format!(
                    "{}: {} does not reach what is behind it (down, wrong port, or it hangs up)",
                    status,
                    evidence.page_of().unwrap_or_default()
                ),
                "start it; is its port right, does it want TLS? The proxy's log says",
            )
        }
        (504, false) => Verdict::new(
            "upstream-late",
            "what is behind the proxy",
            format!("{}: what is behind the proxy is late", evidence.said()),
            "is it up and not busy? The proxy's log",
        ),
        _ => Verdict::new(
            "server-error",
            "the server, or what is behind it",
            format!("{} instead of 101", evidence.said()),
            match status {
                502 | 503 => {
                    "what is behind it is down: the log of the server that answers says why"
                }
                _ => "the error log of the server that answers",
            },
        ),
    }
}
