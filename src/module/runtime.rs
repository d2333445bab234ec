//! What one httpd child has beside httpd: its threads and its sessions, from child_init to its end. The parent
//! never has any.

use super::running::Running;
use crate::httpd::guard::guard_future;
use crate::httpd::mpm::HeldSignals;
use crate::net::LoopHandle;
use crate::relay::{End, Order, Pair, Pause, Relay, Session, Sessions, Summary, Terms, Threads};
use crate::route::remember::RememberKey;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use std::{io, thread};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

static CHILD: RwLock<Option<Arc<Child>>> = RwLock::new(None);

/// This child, while its runtime runs.
pub fn child() -> Option<Arc<Child>> {
    CHILD.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Makes `child` the one that [`child`] gives; `None` when it ends.
pub fn set_child(child: Option<Arc<Child>>) {
    *CHILD.write().unwrap_or_else(PoisonError::into_inner) = child;
}

/// `WsRouteThreads` if the configuration does not say it.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get().min(4))
}

/// The runtime and the sessions of this process.
pub struct Child {
    /// The table of open sessions.
    pub sessions: Sessions,
    /// Where mod_proxy finds the bridges of `WsRouteHttp`.
    pub sockets: PathBuf,
    /// What remember cookies are signed with.
    pub remember: RememberKey,
    /// Set when the child stops at once: handshakes under way are given up.
    stopping: watch::Sender<bool>,
    threads: Arc<Threads>,
    running: Mutex<Option<Running>>,
}

impl Child {
    /// Starts the threads. They take no signals: those are httpd's. `look` is called `every` so often, on
    /// a thread of its own.
    pub fn start(
        threads: usize,
        sockets: PathBuf,
        remember: RememberKey,
        every: Duration,
        look: impl FnMut(&Child) + Send + 'static,
    ) -> io::Result<Child> {
        // Threads inherit what is held back here: no signal of httpd's ever runs on one of ours.
        let _signals = HeldSignals::all();
        let (threads, running) = Running::start(threads, every, look)?;
        let running = Mutex::new(Some(running));
        let stopping = watch::Sender::new(false);
        let sessions = Sessions::default();
        Ok(Child { sessions, sockets, remember, stopping, threads, running })
    }

    /// Tells all sessions, and those to come; `Stop` also gives up handshakes under way.
    pub fn order(&self, order: Order) {
        self.sessions.order(order);
        if order == Order::Stop {
            self.stopping.send_replace(true);
        }
    }

    /// Runs `work` unless the child stops at once before it is done.
    pub fn unless_stopped<F: Future>(
        &self,
        work: F,
    ) -> impl Future<Output = Option<F::Output>> + use<F> {
        let mut stopping = self.stopping.subscribe();
        async move {
            tokio::select! {
                output = work => Some(output),
                _ = stopping.wait_for(|stopping| *stopping) => None,
            }
        }
    }

    /// Has `work` done on `runtime`, and blocks httpd's thread until it is; `None` if the child
    /// stops at once, or if it panicked.
    pub fn wait_for<T: Send + 'static>(
        &self,
        runtime: &Handle,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let work = self.unless_stopped(Box::pin(work));
        runtime.spawn(async move { done.send(work.await) });
        result.blocking_recv().ok().flatten()
    }

    /// The threads for the next session.
    pub fn pair(&self) -> Pair {
        self.threads.next()
    }

    /// Ends the threads; what still runs on them is dropped.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(running);
    }
}

/// Relays on `pair`, or wherever there is more room for it later, until the session is over. Then
/// `done` is called, on that thread or at once on this one; without a summary if the relay panicked.
pub fn relay(
    pair: &Pair,
    (client, upstream): (End, End),
    terms: Terms,
    session: Arc<Session>,
    done: impl FnOnce(Option<Summary>) + Send + 'static,
) {
    let _runtime = pair.runtime.enter();
    go_on(&pair.relays, Relay::new(client, upstream, terms, session), done);
}

fn go_on(
    relays: &LoopHandle,
    mut relay: Relay,
    done: impl FnOnce(Option<Summary>) + Send + 'static,
) {
    relays.spawn(|seat| {
        relay.take_seat(seat);
        async move {
            let summary = match guard_future(relay.run()).await {
                Some(Pause::MoveTo(other)) => return go_on(&other, relay, done),
                Some(Pause::Over(summary)) => Some(summary),
                None => None,
            };
            // The client's stream goes before the connection under it.
            drop(relay);
            done(summary);
        }
    });
}

/// A session's place in the table; leaves it when dropped.
pub struct Ticket {
    child: Arc<Child>,
    /// The session as the table knows it.
    pub session: Arc<Session>,
}

impl Ticket {
    /// Enters the table.
    pub fn new(child: Arc<Child>) -> Ticket {
        let session = child.sessions.enter();
        Ticket { child, session }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.child.sessions.leave(&self.session);
    }
}
