//! The hand-off: the 101 goes out, the client's connection leaves httpd, a session begins on the
//! runtime.
//!
//! | MPM, protocol | the connection | the worker thread |
//! |---|---|---|
//! | event, HTTP/1.1 | suspended; the session ends it | goes back to its pool |
//! | event, after an internal redirect; worker, prefork | stays with its request | parks until the session is over |
//! | HTTP/2 stream | stays with mod_http2 | carries the bytes between filters and relay |

use super::finish::{self, Details};
use super::runtime::{Child, Ticket};
use crate::ffi;
use crate::httpd::connection::{self, Client, Suspended};
use crate::httpd::guard::guard_future;
use crate::httpd::log::{self, Level};
use crate::httpd::mpm::HeldSignals;
use crate::httpd::request::RequestRef;
use crate::httpd::{h2, mpm, pool};
use crate::relay::{End, Summary, Terms, relay};
use crate::upgrade::accept;
use crate::upstream::Switched;
use std::ffi::c_int;
use std::io;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A session that has everything but its client.
struct Beginning {
    worker: Handle,
    upstream: End,
    terms: Terms,
    ticket: Ticket,
    details: Details,
}

/// A session that waits for its connection to be suspended.
struct Waiting {
    session: Beginning,
    client: End,
    suspended: Suspended,
}

/// Answers with 101 and lets the session begin. The result is the handler's.
pub fn hand_off(
    request: &RequestRef,
    child: &Arc<Child>,
    worker: &Handle,
    switched: Switched,
    mut details: Details,
    terms: Terms,
) -> c_int {
    // From here on the child's exit waits for the session: it must not come in between.
    let signals = HeldSignals::hold();
    let ticket = Ticket::new(child.clone());
    details.set_id(request, &ticket);
    if request.is_http2() {
        request.discard_body();
    }
    let upstream = End { io: switched.io, early: switched.early, half_close: true };
    if !send_101(request, &switched.headers) {
        log::request(Level::Info, request, || "client-lost: it went away before the 101".into());
        return ffi::OK as c_int;
    }
    let session = Beginning { worker: worker.clone(), upstream, terms, ticket, details };
    let begun = if request.is_http2() {
        carry_stream(request, session)
    } else if mpm::is_event() && !request.is_redirected() {
        suspend(request, session)
    } else {
        park(request, session, signals)
    };
    begun.unwrap_or_else(|error| {
        // A child that stops at once closes the sockets that its workers have.
        let level = if mpm::is_stopping() { Level::Info } else { Level::Err };
        log::request(level, request, || format!("hand-off failed: {error}"));
        connection::mark_closed(request);
        ffi::OK as c_int
    })
}

/// RFC 6455 4.2.2, with what the upstream said beside it.
fn send_101(request: &RequestRef, headers: &[(String, Vec<u8>)]) -> bool {
    let key = request.header_in(c"Sec-WebSocket-Key").unwrap_or_default();
    request.clear_headers_out();
    request.add_header_out("Upgrade", b"websocket");
    request.add_header_out("Connection", b"Upgrade");
    request.add_header_out("Sec-WebSocket-Accept", accept(key.trim()).as_bytes());
    for (name, value) in headers {
        request.add_header_out(name, value);
    }
    request.send_switching_protocols()
}

impl Beginning {
    fn take_client(&mut self, request: &RequestRef) -> io::Result<End> {
        let _runtime = self.worker.enter();
        let Client { io, early, half_close } = connection::take_client(request)?;
        self.details.plaintext = half_close;
        Ok(End { io, early, half_close })
    }
}

// === event ===

fn suspend(request: &RequestRef, mut session: Beginning) -> io::Result<c_int> {
    let client = session.take_client(request)?;
    // SAFETY: we return SUSPENDED, and `suspended` below is what uses it first.
    let suspended = unsafe { Suspended::new(request) };
    connection::put_into_slot(request, Waiting { session, client, suspended });
    connection::suspend(request);
    Ok(ffi::SUSPENDED)
}

httpd_entry! {
    /// A worker lets go of a connection. If a session waits for it, it begins now, not earlier.
    fn suspended(c: *mut ffi::conn_rec, _r: *mut ffi::request_rec) = (); {
        let Some(c) = NonNull::new(c) else { return };
        let slot = connection::slot::<Waiting>(c);
        // SAFETY: the slot lies in the connection's pool; only this hook takes from it.
        if let Some(waiting) = slot.and_then(|mut slot| unsafe { slot.as_mut() }.take()) {
            // Somebody ended the request all the same and goes on with the connection: hands off.
            if !connection::is_suspended(c) {
                return;
            }
            let worker = waiting.session.worker.clone();
            worker.spawn(run(waiting));
        }
    }
}

/// A session on event, from its first byte to the access-log line.
async fn run(waiting: Waiting) {
    let Waiting { session, client, mut suspended } = waiting;
    let Beginning { upstream, terms, ticket, details, .. } = session;
    suspended.is_held(); // most often not: the grace at the end counts from here
    let summary = guard_future(relay(client, upstream, terms, &ticket.session)).await;
    let ended = details.ended(summary);
    while suspended.is_held() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The log may be a pipe whose reader is slow: no place for a runtime thread.
    let logging = tokio::task::spawn_blocking(move || {
        finish::record(&suspended.request(), &ended);
        suspended.log()
    });
    if let Ok(mut connection) = logging.await {
        while let Some(wait) = connection.grace() {
            tokio::time::sleep(wait).await;
        }
        connection.give_back();
    }
    drop(ticket);
}

// === worker, prefork ===

/// On prefork the child can be told to exit in a signal handler, above a parked request: this is
/// what is needed to log it all the same.
static PARKED: Mutex<Option<Parked>> = Mutex::new(None);

struct Parked {
    request: NonNull<ffi::request_rec>,
    /// `None` while the upstream is still being asked.
    session: Option<(Details, Arc<OnceLock<Option<Summary>>>)>,
}

// SAFETY: set and used by the process's main thread only, on a single-threaded MPM.
unsafe impl Send for Parked {}

fn park(
    request: &RequestRef,
    mut session: Beginning,
    signals: Option<HeldSignals>,
) -> io::Result<c_int> {
    let client = session.take_client(request)?;
    let Beginning { worker, upstream, terms, ticket, details } = session;
    let summary = Arc::new(OnceLock::new());
    set_parked(request, Some((details.clone(), summary.clone())));
    let (done, over) = oneshot::channel();
    let result = summary.clone();
    worker.spawn(async move {
        let summary = guard_future(relay(client, upstream, terms, &ticket.session)).await;
        let _ = result.set(summary);
        drop(ticket);
        let _ = done.send(());
    });
    drop(signals);
    let _ = over.blocking_recv();
    finish::record(request, &details.ended(summary.get().copied().flatten()));
    connection::mark_closed(request);
    Ok(ffi::OK as c_int)
}

/// The request waits for the upstream's answer: should the child exit meanwhile, it is logged.
/// Nothing to do where a child is threaded.
pub fn park_handshake(request: &RequestRef) {
    if !mpm::is_threaded() {
        set_parked(request, None);
        // SAFETY: the handler's thread owns the request and its pool.
        unsafe { pool::keep(request.pool(), Unpark) };
    }
}

fn set_parked(request: &RequestRef, session: Option<(Details, Arc<OnceLock<Option<Summary>>>)>) {
    if !mpm::is_threaded() {
        let request = NonNull::new(request.as_ptr()).expect("a RequestRef is not NULL");
        let _signals = HeldSignals::hold();
        *lock_parked() = Some(Parked { request, session });
    }
}

fn lock_parked() -> MutexGuard<'static, Option<Parked>> {
    PARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lives in the request's pool: when that goes, the request has been logged.
struct Unpark;

impl Drop for Unpark {
    fn drop(&mut self) {
        let _signals = HeldSignals::hold();
        *lock_parked() = None;
    }
}

/// Called when the child exits, on its main thread, after all relays have ended: logs the request
/// that is still parked below, if one is.
pub fn end_parked() {
    let Some(parked) = lock_parked().take() else { return };
    // SAFETY: the handler that parked it never runs again: the process exits.
    unsafe {
        if let Some(request) = RequestRef::new(parked.request.as_ptr()) {
            match parked.session {
                Some((details, summary)) => {
                    finish::record(&request, &details.ended(summary.get().copied().flatten()));
                }
                None => request.set_status(503, None),
            }
            connection::end_request(request.as_ptr());
        }
    }
}

// === HTTP/2 ===

fn carry_stream(request: &RequestRef, session: Beginning) -> io::Result<c_int> {
    let Beginning { worker, upstream, terms, ticket, details } = session;
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let client = {
        let _runtime = worker.enter();
        let io = Box::new(tokio::net::UnixStream::from_std(theirs)?);
        End { io, early: Vec::new(), half_close: true }
    };
    let (done, over) = oneshot::channel();
    worker.spawn(async move {
        let summary = guard_future(relay(client, upstream, terms, &ticket.session)).await;
        drop(ticket);
        let _ = done.send(summary);
    });
    let carried = h2::carry(request, ours);
    let summary = over.blocking_recv().ok().flatten();
    finish::record(request, &details.ended(summary));
    carried.map(|()| ffi::OK as c_int)
}
