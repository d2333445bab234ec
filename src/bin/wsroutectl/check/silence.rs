//! Why there was no HTTP answer to the upgrade.

use super::door::{self, Door};
use super::h2;
use super::http::{NoAnswer, beginning};
use super::probes::{self, with};
use super::report::Verdict;
use crate::headers::Headers;

/// A record of TLS begins so: an alert, version 3.x.
const TLS_ALERT: [u8; 2] = [0x15, 3];

/// The verdict.
pub async fn verdict(door: &Door, sent: &Headers, none: &NoAnswer) -> Verdict {
    if !door.target.tls && door.speaks_tls().await {
        return tls_port(door);
    }
    match none {
        NoAnswer::Late => late(door, sent).await,
        NoAnswer::Closed(text) if door.asks_for_certificate() => door::client_certificate(text),
        NoAnswer::Closed(text) => hung_up(door, sent, text).await,
        NoAnswer::NotHttp(bytes) if bytes.starts_with(&TLS_ALERT) => tls_port(door),
        NoAnswer::NotHttp(bytes) if bytes.starts_with(b"RFB ") => {
            vnc_port("the URL, or the target")
        }
        // An HTTP/2 server begins with a SETTINGS frame (type 4).
        NoAnswer::NotHttp(bytes) if matches!(bytes[..], [0, _, _, 4, ..]) => h2::only(),
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

/// Who is silent: what takes the upgrade answers other questions at once.
async fn late(door: &Door, sent: &Headers) -> Verdict {
    let seconds = door.limit.as_secs();
    let old = with(sent, "Sec-WebSocket-Version", "12");
    let stopped = with(sent, "Max-Forwards", "0");
    let behind = if door.ask(&door.target, &old).await.is_ok_and(|a| probes::is_ours(&a)) {
        "mod_wsroute"
    } else if door.ask(&door.target, &stopped).await.is_ok_and(|a| a.status() >= 400) {
        "mod_proxy"
    } else {
        return Verdict::new(
            "no-answer",
            "the server, or what is behind it",
            format!("no answer to the upgrade within {seconds} s"),
            "is what is behind it busy, or no WebSocket server? Is httpd full (server-status, MaxRequestWorkers, AsyncRequestWorkerFactor)? --timeout waits longer",
        );
    };
    Verdict::new(
        "upstream-late",
        format!("the container, behind {behind}"),
        format!(
            "no answer within {seconds} s: {behind} has passed the upgrade on, and the container says nothing"
        ),
        "is it busy, still starting, or no WebSocket server? httpd's error log says more after its own limit (--timeout waits longer)",
    )
}

/// Does it hang up on everybody?
async fn hung_up(door: &Door, sent: &Headers, text: &str) -> Verdict {
    let plain = with(&with(sent, "Upgrade", ""), "Connection", "close");
    match door.ask(&door.target, &plain).await {
        Ok(answer) => Verdict::new(
            "connection-ended",
            "the application, or a firewall in front",
            format!(
                "whoever takes the upgrade hangs up without an answer ({text}); the same request without Upgrade gets {}",
                answer.shown()
            ),
            "is it the WebSocket's path, does the application take upgrades there? A firewall or intrusion detection that dislikes WebSockets does so, too",
        ),
        Err(_) => Verdict::new(
            "connection-ended",
            "the server on that port, or a firewall in front",
            format!("the connection ended without an answer, whatever was asked: {text}"),
            "look for a crash in its error log (httpd's: a child that exits); is it an HTTP server at all, does it want TLS?",
        ),
    }
}

/// A VNC server without WebSockets.
pub fn vnc_port(hop: &str) -> Verdict {
    let mend = "put websockify in front of it";
    Verdict::new("vnc-port", hop, "the port speaks plain VNC, no HTTP", mend)
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
