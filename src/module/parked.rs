//! Sessions whose worker thread stays with them: on worker and prefork, after an internal redirect
//! (whose request httpd cannot suspend), and for HTTP/2 streams, which mod_http2 owns.

use super::finish::{self, Details};
use super::handoff::{Beginning, conclude, log_failure};
use super::runtime::{self, Child, Ticket};
use crate::ffi;
use crate::httpd::connection;
use crate::httpd::mpm::HeldSignals;
use crate::httpd::request::RequestRef;
use crate::httpd::{h2, mpm, pool};
use crate::net::Socket;
use crate::relay::{End, Pair, Summary};
use crate::tunnel::{self, Plan};
use std::ffi::c_int;
use std::io;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::oneshot;

/// Asks, and serves the session to its end. The result is the handler's.
pub fn serve(request: &RequestRef, child: &Arc<Child>, pair: Pair, plan: Plan) -> c_int {
    park_handshake(request);
    let report = child.wait_for(&pair.runtime, async move { tunnel::establish(&plan).await });
    // From here on the child's exit waits for the session: it must not come in between.
    let signals = HeldSignals::hold();
    match conclude(request, report, Ticket::new(child.clone()), &pair) {
        Ok(session) => run(request, session, signals),
        Err((instead, ticket)) => {
            drop((ticket, signals));
            instead.answer(request, child, &pair.runtime)
        }
    }
}

fn run(request: &RequestRef, session: Beginning, signals: Option<HeldSignals>) -> c_int {
    if request.is_http2() {
        request.discard_body();
    }
    if !session.send_101(request) {
        return ffi::OK as c_int;
    }
    let served = match request.is_http2() {
        true => carry_stream(request, session),
        false => park(request, session, signals),
    };
    served.unwrap_or_else(|error| {
        log_failure(request, &error);
        connection::mark_closed(request);
        ffi::OK as c_int
    })
}

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
    let Beginning { pair, upstream, terms, ticket, details, .. } = session;
    let summary = Arc::new(OnceLock::new());
    set_parked(request, Some((details.clone(), summary.clone())));
    let (done, over) = oneshot::channel();
    let (session, result) = (ticket.session.clone(), summary.clone());
    runtime::relay(&pair, (client, upstream), terms, session, move |summary| {
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
fn park_handshake(request: &RequestRef) {
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

fn carry_stream(request: &RequestRef, session: Beginning) -> io::Result<c_int> {
    let Beginning { pair, upstream, terms, ticket, details, .. } = session;
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let io = Box::new(Socket::from(theirs));
    let client = End { io, early: Vec::new(), half_close: true };
    let (done, over) = oneshot::channel();
    let session = ticket.session.clone();
    runtime::relay(&pair, (client, upstream), terms, session, move |summary| {
        drop(ticket);
        let _ = done.send(summary);
    });
    let carried = h2::carry(request, ours);
    let summary = over.blocking_recv().ok().flatten();
    finish::record(request, &details.ended(summary));
    carried.map(|()| ffi::OK as c_int)
}
