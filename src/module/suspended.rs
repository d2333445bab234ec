//! Sessions on event. The request is suspended before anybody is asked, so that no worker thread
//! waits for a resolver, for a container that boots, or for an upstream's handshake. From then on
//! a task on the runtime owns it; only an answer that is no 101 goes back to a worker thread.

use super::answer::Instead;
use super::endings;
use super::finish::{self, Ended};
use super::handoff::{Beginning, conclude, log_failure};
use super::runtime::{self, Child, Ticket};
use crate::ffi;
use crate::httpd::connection::{self, Client};
use crate::httpd::errand::Errand;
use crate::httpd::guard::guard_future;
use crate::httpd::mpm;
use crate::httpd::request::RequestRef;
use crate::httpd::suspended::{Held, Resting, Suspended};
use crate::relay::{End, Pair, linger};
use crate::tunnel::{self, Plan};
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long a child that stops is given to answer through one of its worker threads.
const STOPPING_WORKERS: Duration = Duration::from_millis(300);

/// A request that waits for its connection to be suspended.
struct Waiting {
    child: Arc<Child>,
    pair: Pair,
    ticket: Ticket,
    plan: Plan,
    suspended: Suspended,
}

/// This connection can be suspended.
pub fn is_possible(request: &RequestRef) -> bool {
    mpm::is_event() && !request.is_http2() && !request.is_redirected()
}

/// Suspends the request; the rest happens on the runtime. The result is the handler's.
pub fn begin(request: &RequestRef, child: &Arc<Child>, pair: Pair, plan: Plan) -> c_int {
    // What came before on this connection is sent here: later nothing may wait for the client.
    if !connection::flush(request) {
        connection::mark_closed(request);
        return ffi::OK as c_int;
    }
    let (child, ticket) = (child.clone(), Ticket::new(child.clone()));
    // SAFETY: we return SUSPENDED, and `on_suspend` below is what uses it first.
    let suspended = unsafe { Suspended::new(request) };
    connection::leave(request, Waiting { child, pair, ticket, plan, suspended });
    connection::suspend(request);
    ffi::SUSPENDED
}

httpd_entry! {
    /// A pre_connection hook, on the thread that will serve the new connection.
    fn on_connection(c: *mut ffi::conn_rec, _socket: *mut c_void) -> c_int = ffi::DECLINED; {
        if let Some(c) = NonNull::new(c) {
            connection::lend_blocks(c);
        }
        ffi::DECLINED
    }
}

httpd_entry! {
    /// A worker lets go of a connection. If a request waits for it, it goes on now, not earlier.
    fn on_suspend(c: *mut ffi::conn_rec, _r: *mut ffi::request_rec) = (); {
        let Some(c) = NonNull::new(c) else { return };
        // SAFETY: httpd gives a live connection to the thread that lets go of it.
        let left = unsafe { connection::kept(c) }.and_then(|kept| kept.left.take());
        if let Some(waiting) = left.and_then(|left| left.downcast::<Waiting>().ok()) {
            // Somebody ended the request all the same and goes on with the connection: hands off.
            if !connection::is_suspended(c) {
                return;
            }
            let runtime = waiting.pair.runtime.clone();
            runtime.spawn(run(*waiting));
        }
    }
}

/// A suspended request, until its connection goes back to httpd.
async fn run(waiting: Waiting) {
    let Waiting { child, pair, ticket, plan, mut suspended } = waiting;
    // In a box, with the plan: it is large, and every layer around it would copy it.
    let establish = Box::pin(async move { tunnel::establish(&plan).await });
    let report = child.unless_stopped(guard_future(establish)).await.flatten();
    while suspended.is_held() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let concluded = conclude(&suspended.request(), report, ticket, &pair);
    match concluded {
        Ok(session) => serve(suspended, session),
        Err((instead, ticket)) => {
            if let Some(held) = answer(suspended, instead, &child, &pair.runtime).await {
                give_back(held, ticket).await;
            }
        }
    }
}

/// The connection goes back to httpd, and the session leaves the table.
async fn give_back(mut held: Held, ticket: Ticket) {
    while let Some(wait) = held.grace() {
        tokio::time::sleep(wait).await;
    }
    held.give_back();
    drop(ticket);
}

/// The session, from the 101 to its end. A task of its own: the one that led here is ten times as
/// large as a session that may last for days needs.
fn serve(suspended: Suspended, mut session: Beginning) {
    let client = take_client(&suspended.request(), &mut session);
    let Beginning { pair, upstream, terms, ticket, details, .. } = session;
    let is_tls = !details.plaintext;
    let resting = suspended.rest(is_tls);
    let Some(client) = client else { return end(resting, None, ticket) };
    let session = ticket.session.clone();
    runtime::relay(&pair, (client, upstream), terms, session, move |summary| {
        end(resting, Some(details.ended(summary)), ticket);
    });
}

/// Logs and gives back what httpd gave, unless something is still to be waited for.
fn end(resting: Resting, ended: Option<Ended>, ticket: Ticket) {
    endings::soon(move || {
        let suspended = resting.wake();
        if let Some(ended) = ended {
            finish::record(&suspended.request(), &ended);
        }
        let mut held = suspended.log();
        match held.grace() {
            None => {
                held.give_back();
                drop(ticket);
            }
            Some(_) => drop(tokio::spawn(give_back(held, ticket))),
        }
    });
}

fn take_client(request: &RequestRef, session: &mut Beginning) -> Option<End> {
    if !session.send_101(request) {
        return None;
    }
    session.take_client(request).inspect_err(|error| log_failure(request, error)).ok()
}

/// Answers without a 101, through httpd and its error documents, then ends the connection.
async fn answer(
    suspended: Suspended,
    instead: Instead,
    child: &Arc<Child>,
    runtime: &Handle,
) -> Option<Held> {
    let (done, answered) = oneshot::channel();
    let work = {
        let (child, runtime) = (child.clone(), runtime.clone());
        move || {
            let _ = done.send(answer_now(suspended, instead, &child, &runtime));
        }
    };
    let errand = Errand::send(work);
    let mut answered = std::pin::pin!(answered);
    let answered = tokio::select! {
        answered = &mut answered => answered,
        () = stopping(child) => {
            if let Some(work) = errand.take_back() {
                let _ = tokio::task::spawn_blocking(work).await;
            }
            answered.await
        }
    };
    let (held, client) = answered.ok()?;
    if let Some(client) = client {
        linger(client.io).await;
    }
    Some(held)
}

async fn stopping(child: &Child) {
    child.unless_stopped(std::future::pending::<()>()).await;
    tokio::time::sleep(STOPPING_WORKERS).await;
}

/// On a thread that may block.
fn answer_now(
    suspended: Suspended,
    instead: Instead,
    child: &Child,
    runtime: &Handle,
) -> (Held, Option<Client>) {
    let client = {
        let request = suspended.request();
        request.close_after();
        let status = instead.answer(&request, child, runtime);
        request.finish(status);
        // Without a socket there is nobody left to wait for.
        connection::flush(&request).then(|| connection::take_client(&request).ok()).flatten()
    };
    (suspended.log(), client)
}
