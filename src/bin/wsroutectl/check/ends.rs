//! How a WebSocket ended before its time, and who did that.

use std::time::Duration;

use super::frames::{End, Frame};
use super::http::{beginning, printable};
use super::report::Verdict;

/// An end that is earlier counts as "at once".
const AT_ONCE: Duration = Duration::from_millis(1500);
/// httpd's own `Timeout`, and what most proxies and balancers have.
const USUAL: Duration = Duration::from_secs(60);
/// A timer may be so late, or begin so early.
const SLACK: Duration = Duration::from_secs(4);

/// What this module says when it ends a session: code, reason, what it means, what to do.
const OURS: &[(u16, &str, &str, &str)] = &[
    (1001, "the server stops", "httpd stopped", "connect again; use graceful restarts"),
    (1012, "the server restarts", "httpd restarted", "connect again; raise drain="),
    (
        1008,
        "the session is over",
        "the time that the resolver's answer gave (expires) is over",
        "log in again; is the clock of the database right?",
    ),
    (
        1011,
        "the upstream was lost",
        "the container broke the connection off without a Close frame",
        "the container's log: was it stopped, did it crash?",
    ),
];

/// An end.
#[derive(Debug)]
pub struct Ended {
    /// What was read.
    pub end: End,
    /// The Close frame, if that was it.
    pub close: Option<Frame>,
    /// Since the 101.
    pub after: Duration,
    /// Since the last frame.
    pub silent: Duration,
}

impl Ended {
    /// It came neither at once nor after something was said: a timer may have done it.
    pub fn is_timed(&self) -> bool {
        self.after > AT_ONCE && self.silent > Duration::from_secs(1) && !self.is_broken()
    }

    fn is_broken(&self) -> bool {
        matches!(self.end, End::Masked | End::Forbidden(_) | End::NotFrames(_))
    }

    /// `Close 1011 "..." after 0.2 s`
    pub fn shown(&self) -> String {
        let after = self.after.as_secs_f32();
        match (&self.close, &self.end) {
            (Some(frame), _) => format!("{} after {after:.1} s", code(frame)),
            (None, End::Ended) => format!("ended without a Close frame (1006) after {after:.1} s"),
            (None, End::Broke(text)) => format!("broken off (1006) after {after:.1} s: {text}"),
            (None, End::Masked) => "a masked frame".to_owned(),
            (None, End::Forbidden(rule)) => format!("against the rules: {rule}"),
            (None, End::NotFrames(_)) => "bytes that are no frames".to_owned(),
        }
    }

    /// Why. `with_pings`: another session that pinged outlived this one (`None`: not tried).
    pub fn verdict(&self, with_pings: Option<bool>) -> Verdict {
        if let Some(verdict) = self.of_bytes().or_else(|| self.of_ours()) {
            return verdict;
        }
        let shown = self.shown();
        if self.is_timed() && with_pings != Some(false) {
            return self.of_idling(with_pings);
        }
        if self.after > AT_ONCE {
            return Verdict::new(
                "closed-early",
                "the container, or a proxy between",
                format!("the WebSocket opened and was ended: {shown}, whatever was sent"),
                "the session-ended line in httpd's error log says by whom; then that side's log",
            );
        }
        let code = self.close.as_ref().map(number);
        let (what, mend) = match code {
            Some(Some(1011)) => {
                ("the server met an error", "its log; websockify says so if its VNC server is down")
            }
            Some(Some(1008)) => {
                ("the server refuses this client", "its log: token, password, origin or path")
            }
            Some(Some(1002 | 1003 | 1007 | 1010)) => {
                ("the server dislikes the protocol", "the right subprotocol? (--subprotocol)")
            }
            Some(Some(1012 | 1013)) => {
                ("the server restarts or is full: try again later", "its log: a limit on sessions?")
            }
            Some(Some(_)) => {
                ("the server closed in order", "its log: often a wrong token, password or path")
            }
            Some(None) => (
                "the server closed without a code: browsers show 1005",
                "the application returned at once: it must keep its handler running (a handler that returns an HTTP response closes the WebSocket)",
            ),
            None => (
                "browsers show 1006",
                "the container's log; by=upstream in the session-ended line of httpd's error log means the container, by=client what stands before httpd",
            ),
        };
        let hop =
            if code.is_some() { "the container" } else { "the container, or a proxy between" };
        let what = format!("the WebSocket opened and closed at once: {shown}; {what}");
        Verdict::new("closed-at-once", hop, what, mend)
    }

    fn of_bytes(&self) -> Option<Verdict> {
        match &self.end {
            End::Masked => Some(Verdict::new(
                "masked-by-server",
                "the container",
                "the server masks its frames, which only clients do: browsers close with 1002",
                "mend the server; a server library is used as a client, or a proxy echoes our bytes",
            )),
            End::Forbidden(rule) => Some(Verdict::new(
                "protocol-error",
                "the container, or a proxy that changes frames",
                format!("the server sent {rule}: browsers end the WebSocket with 1002 or 1007"),
                "mend the server or its WebSocket library; ask it directly to leave out what is between",
            )),
            End::NotFrames(bytes) => {
                let (kind, mend) = match &bytes[..] {
                    b if b.starts_with(b"RFB ") => {
                        ("the plain VNC protocol", "put websockify in front of the VNC server")
                    }
                    b if b.starts_with(b"HTTP/") || b.starts_with(b"<") => (
                        "an HTTP answer",
                        "the application must not return a response behind the upgrade",
                    ),
                    _ => (
                        "no WebSocket frames",
                        "something writes into the connection that speaks no WebSocket",
                    ),
                };
                let start = beginning(bytes);
                let what = format!("behind the 101 comes {kind}: {start:?}");
                Some(Verdict::new("not-websocket-bytes", "the container", what, mend))
            }
            _ => None,
        }
    }

    fn of_ours(&self) -> Option<Verdict> {
        let frame = self.close.as_ref()?;
        let reason = String::from_utf8_lossy(frame.data.get(2..)?).into_owned();
        let said = |(code, text, ..): &&(u16, &str, &str, &str)| {
            number(frame) == Some(*code) && reason == *text
        };
        let (code, _, what, mend) = OURS.iter().find(said)?;
        let (cause, hop) = match code {
            1011 => ("upstream-lost", "the container"),
            1008 => ("expired", "httpd (mod_wsroute)"),
            _ => ("server-stops", "httpd (mod_wsroute)"),
        };
        let what = format!("mod_wsroute closed with {code}: {what}");
        Some(Verdict::new(cause, hop, what, *mend))
    }

    fn of_idling(&self, with_pings: Option<bool>) -> Verdict {
        let seconds = self.silent.as_secs_f32();
        if self.silent.abs_diff(USUAL) <= SLACK {
            return Verdict::new(
                "idle-cut-60",
                "httpd (mod_proxy), or a proxy in front",
                format!(
                    "silent for {seconds:.0} s, then cut: Timeout or ProxyTimeout (60 s) ends idle WebSockets; mod_wsroute does not"
                ),
                "with mod_proxy: timeout=86400 behind the ProxyPass URL, or ProxyTimeout, or use WsRoute; else proxy_read_timeout (nginx) or the balancer's idle limit",
            );
        }
        let proof = match with_pings {
            Some(true) => "; with pings it stayed open",
            _ => "",
        };
        Verdict::new(
            "idle-cut",
            "a proxy between, or the container",
            format!(
                "silent for {seconds:.1} s, then cut: something on the way has an idle limit of about that{proof}"
            ),
            "raise it: Timeout, ProxyTimeout or timeout= of mod_proxy, proxy_read_timeout of nginx, the balancer, or the container's own; mod_wsroute has none",
        )
    }
}

fn number(frame: &Frame) -> Option<u16> {
    let code = frame.data.get(..2)?;
    Some(u16::from_be_bytes([code[0], code[1]]))
}

/// `Close 1000 "reason"`
pub fn code(frame: &Frame) -> String {
    let Some(number) = number(frame) else { return "Close without a code (1005)".to_owned() };
    let reason = printable(&String::from_utf8_lossy(&frame.data[2..]));
    match reason.is_empty() {
        true => format!("Close {number}"),
        false => format!("Close {number} {reason:?}"),
    }
}
