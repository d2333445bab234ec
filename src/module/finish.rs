//! The end of a session: one line for people, notes and byte counts for the access log.

use super::runtime::Ticket;
use crate::httpd::connection::count_bytes;
use crate::httpd::log::{self, Level};
use crate::httpd::request::RequestRef;
use crate::relay::Summary;
use crate::route::Decision;
use std::time::{Duration, Instant};

/// What is known about a session from its beginning, and not from its request.
#[derive(Debug, Clone)]
pub struct Details {
    number: u64,
    key: Option<Box<str>>,
    target: Box<str>,
    began: Instant,
    /// The client's bytes do not pass through httpd's filters.
    pub plaintext: bool,
}

/// A session that is over.
pub struct Ended {
    details: Details,
    duration: Duration,
    /// `None`: it ended by a panic.
    summary: Option<Summary>,
}

impl Details {
    /// For a session that is about to begin.
    pub fn new(request: &RequestRef, decision: &Decision, ticket: &Ticket) -> Details {
        let details = Details {
            number: ticket.session.number(),
            key: decision.shown_key.as_deref().map(Box::from),
            target: decision.target.to_string().into(),
            began: Instant::now(),
            plaintext: false,
        };
        request.set_env(c"WSROUTE_ID", &details.id());
        log::request(Level::Debug, request, || {
            format!("session-begun: {}", details.shown(request))
        });
        details
    }

    /// Unique among the children that live now.
    fn id(&self) -> String {
        format!("{:x}-{:x}", std::process::id(), self.number)
    }

    fn shown(&self, request: &RequestRef) -> String {
        let user = request.user().unwrap_or_else(|| "-".into());
        let key = self.key.as_deref().unwrap_or("-");
        format!("id={} user={user} key={key} target={}", self.id(), self.target)
    }

    /// Stops the clock.
    pub fn ended(self, summary: Option<Summary>) -> Ended {
        Ended { duration: self.began.elapsed(), details: self, summary }
    }
}

/// Writes the session's line and fills in what the access log takes from the request. On the
/// thread that owns the request; the access-log line itself is written when the request ends.
pub fn record(request: &RequestRef, ended: &Ended) {
    let Ended { details, duration, summary } = ended;
    let seconds = duration.as_secs_f64();
    let Some(summary) = summary else {
        log::request(Level::Err, request, || {
            let shown = details.shown(request);
            format!("session-ended: {shown} duration={seconds:.3}s by=server: a panic ended it")
        });
        return;
    };
    let Summary { outcome, close, up, down } = summary;
    let close = close.map_or_else(|| "-".to_owned(), |code| code.to_string());
    let by = outcome.by();
    log::request(Level::Info, request, || {
        let shown = details.shown(request);
        format!(
            "session-ended: {shown} duration={seconds:.3}s \
             up={}B/{} down={}B/{} close={close} by={by}: {outcome}",
            up.bytes, up.messages, down.bytes, down.messages
        )
    });
    request.set_note(c"wsroute-duration", &format!("{seconds:.3}"));
    request.set_note(c"wsroute-up-bytes", &up.bytes.to_string());
    request.set_note(c"wsroute-up-messages", &up.messages.to_string());
    request.set_note(c"wsroute-down-bytes", &down.bytes.to_string());
    request.set_note(c"wsroute-down-messages", &down.messages.to_string());
    request.set_note(c"wsroute-close", &close);
    request.set_note(c"wsroute-by", by);
    request.set_bytes_sent(down.bytes);
    // mod_logio sees what its own filter sees (the way in), and what httpd's socket filter tells.
    count_bytes(request, if details.plaintext { up.bytes } else { 0 }, down.bytes);
}
