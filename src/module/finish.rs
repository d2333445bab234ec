//! The end of a session: one line for people, notes and byte counts for the access log.

use super::runtime::Ticket;
use crate::httpd::connection::count_bytes;
use crate::httpd::log::{self, Level};
use crate::httpd::request::RequestRef;
use crate::relay::Summary;
use crate::route::Decision;
use std::time::{Duration, Instant};

/// What is known about a session from its beginning.
#[derive(Debug, Clone)]
pub struct Details {
    id: String,
    user: String,
    key: String,
    target: String,
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
    /// For a session that is about to begin. Its name is unique among the children that live now.
    pub fn new(request: &RequestRef, decision: &Decision, ticket: &Ticket) -> Details {
        let id = format!("{:x}-{:x}", std::process::id(), ticket.session.number());
        request.set_env(c"WSROUTE_ID", &id);
        let user = request.user().unwrap_or_else(|| "-".into());
        let key = decision.shown_key.clone().unwrap_or_else(|| "-".into());
        let target = decision.target.to_string();
        log::request(Level::Debug, request, || {
            format!("session-begun: id={id} user={user} key={key} target={target}")
        });
        Details { id, user, key, target, began: Instant::now(), plaintext: false }
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
    let Details { id, user, key, target, .. } = details;
    let seconds = duration.as_secs_f64();
    let Some(summary) = summary else {
        log::request(Level::Err, request, || {
            format!(
                "session-ended: id={id} user={user} key={key} target={target} duration={seconds:.3}s by=server: a panic ended it"
            )
        });
        return;
    };
    let Summary { outcome, close, up, down } = summary;
    let close = close.map_or_else(|| "-".to_owned(), |code| code.to_string());
    let by = outcome.by();
    log::request(Level::Info, request, || {
        format!(
            "session-ended: id={id} user={user} key={key} target={target} duration={seconds:.3}s \
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
