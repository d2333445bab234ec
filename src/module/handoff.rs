//! The hand-off: the 101 goes out and the client's connection leaves httpd, for a session on the
//! runtime.
//!
//! | MPM, protocol | the connection | the worker thread | file |
//! |---|---|---|---|
//! | event, HTTP/1.1 | suspended before the upstream is asked; the session ends it | goes back to its pool at once | [`super::suspended`] |
//! | event, after an internal redirect; worker, prefork | stays with its request | parks until the session is over | [`super::parked`] |
//! | HTTP/2 stream | stays with mod_http2 | carries the bytes between filters and relay | [`super::parked`] |

use super::answer::Instead;
use super::config;
use super::finish::Details;
use super::runtime::Ticket;
use crate::httpd::connection::{self, Client};
use crate::httpd::log::{self, Level};
use crate::httpd::mpm;
use crate::httpd::request::RequestRef;
use crate::relay::{End, Pair, Terms};
use crate::route::{Decision, Refused};
use crate::tunnel::{Denied, Established, Report};
use crate::upgrade::accept;
use crate::upstream::Switched;
use std::io;

/// A session that has everything but its client.
pub struct Beginning {
    /// The threads it begins on.
    pub pair: Pair,
    /// Its upstream, which has switched.
    pub upstream: End,
    /// How it may end.
    pub terms: Terms,
    /// Its place in the table.
    pub ticket: Ticket,
    /// What the log says about it.
    pub details: Details,
    headers: Vec<(String, Vec<u8>)>,
}

/// What came of asking, on whichever thread owns the request: a session, or what is answered
/// instead. Logs the steps.
pub fn conclude(
    request: &RequestRef,
    report: Option<Report<Established>>,
    ticket: Ticket,
    pair: &Pair,
) -> Result<Beginning, (Instead, Ticket)> {
    let Some(report) = report else {
        return Err((Instead::Unavailable, ticket));
    };
    let Report { result, decision, .. } = log_report(request, report);
    match (result, decision) {
        (Ok(Established::Switched(switched)), Some(decision)) => {
            Ok(Beginning::new(request, switched, &decision, ticket, pair.clone()))
        }
        (Ok(Established::Answered(answered)), Some(decision)) => {
            Err((Instead::Answered(Box::new(answered), decision.target), ticket))
        }
        (Err(denied), _) => Err((Instead::Denied(denied), ticket)),
        (Ok(_), None) => unreachable!("nothing is opened without a decision"),
    }
}

/// Logs the steps and says where the request belongs.
pub fn log_report<T>(request: &RequestRef, mut report: Report<T>) -> Report<T> {
    for step in report.steps.drain(..) {
        log::request(Level::Debug, request, || step);
    }
    log_warnings(request, &mut report);
    match (&report.decision, &report.result) {
        (Some(decision), _) => name(request, decision),
        (None, Err(Denied::Refused(Refused { candidate: Some(candidate), .. }))) => {
            name_key(request, &candidate.key, &candidate.rule);
        }
        (None, _) => {}
    }
    report
}

/// What the resolvers complain about.
pub fn log_warnings<T>(request: &RequestRef, report: &mut Report<T>) {
    for warning in report.warnings.drain(..) {
        log::request(Level::Warning, request, || format!("resolver-warning: {warning}"));
    }
}

/// For logs and other modules.
fn name(request: &RequestRef, decision: &Decision) {
    request.set_env(c"WSROUTE_TARGET", &decision.target.to_string());
    if let (Some(key), Some(rule)) = (&decision.key, &decision.rule) {
        name_key(request, key, rule);
    }
}

fn name_key(request: &RequestRef, key: &str, rule: &str) {
    request.set_env(c"WSROUTE_KEY", key);
    request.set_env(c"WSROUTE_RULE", rule);
}

/// A client's connection could not be taken out of httpd.
pub fn log_failure(request: &RequestRef, error: &io::Error) {
    // A child that stops at once closes the sockets that its workers have.
    let level = if mpm::is_stopping() { Level::Info } else { Level::Err };
    log::request(level, request, || format!("hand-off failed: {error}"));
}

impl Beginning {
    fn new(
        request: &RequestRef,
        switched: Switched,
        decision: &Decision,
        ticket: Ticket,
        pair: Pair,
    ) -> Beginning {
        let Switched { io, early, headers, .. } = switched;
        let terms = config::of_request(request).scope.terms(decision.expires_in());
        let details = Details::new(request, decision, &ticket);
        let upstream = End { io, early, half_close: true };
        Beginning { pair, upstream, terms, ticket, details, headers }
    }

    /// Answers with 101: RFC 6455 4.2.2, with what the upstream said beside it. False if the
    /// client is gone.
    pub fn send_101(&self, request: &RequestRef) -> bool {
        let key = request.header_in(c"Sec-WebSocket-Key").unwrap_or_default();
        request.clear_headers_out();
        request.add_header_out("Upgrade", b"websocket");
        request.add_header_out("Connection", b"Upgrade");
        request.add_header_out("Sec-WebSocket-Accept", accept(key.trim()).as_bytes());
        for (name, value) in &self.headers {
            request.add_header_out(name, value);
        }
        let sent = request.send_switching_protocols();
        if !sent {
            log::request(Level::Info, request, || {
                "client-lost: it went away before the 101".into()
            });
        }
        sent
    }

    /// Takes the client's connection out of httpd, after the 101.
    pub fn take_client(&mut self, request: &RequestRef) -> io::Result<End> {
        let Client { io, early, half_close } = connection::take_client(request)?;
        self.details.plaintext = half_close;
        Ok(End { io, early, half_close })
    }
}
