//! Why there was no HTTP answer to the upgrade.

use super::door::Door;
use super::http::{NoAnswer, beginning};
use super::report::Verdict;

/// A record of TLS begins so: an alert, version 3.x.
const TLS_ALERT: [u8; 2] = [0x15, 3];

/// The verdict.
pub async fn verdict(door: &Door, none: &NoAnswer) -> Verdict {
    if !door.target.tls && door.speaks_tls().await {
        return tls_port(door);
    }
    match none {
        NoAnswer::Late => Verdict::new(
            "no-answer",
            "httpd, or a proxy in front",
            format!("no answer to the upgrade within {} s", door.limit.as_secs()),
            "is httpd full (server-status, MaxRequestWorkers, AsyncRequestWorkerFactor)? Or the upgrade goes to something that is no WebSocket server; --timeout waits longer",
        ),
        NoAnswer::Closed(text) => Verdict::new(
            "connection-ended",
            "httpd, or a proxy in front",
            format!("the connection ended without an answer to the upgrade: {text}"),
            "look for a crash in httpd's error log; a firewall that dislikes WebSockets does so, too",
        ),
        NoAnswer::NotHttp(bytes) if bytes.starts_with(&TLS_ALERT) => tls_port(door),
        NoAnswer::NotHttp(bytes) if bytes.starts_with(b"RFB ") => Verdict::new(
            "vnc-port",
            "the URL, or the target",
            "the port speaks plain VNC, no HTTP",
            "put websockify in front of it",
        ),
        NoAnswer::NotHttp(bytes) => {
            let start = beginning(bytes);
            Verdict::new(
                "not-http",
                "the server on that port",
                format!("the answer is no HTTP: {start:?}"),
                "is it the right port? A CGI or script that breaks off looks like this, too",
            )
        }
    }
}

/// `ws://` to a port that wants TLS.
pub fn tls_port(door: &Door) -> Verdict {
    Verdict::new(
        "tls-on-http-port",
        "the URL",
        format!("port {} speaks TLS", door.target.port),
        "use wss:// (the script's protocol: https)",
    )
}
