//! The tokio runtime of one httpd child: some threads with a single-threaded runtime each, so
//! that no lock is needed for a session's bytes. It exists from child_init to the child's end; the
//! parent never starts one.

use crate::httpd::guard::{guard, guard_future};
use crate::httpd::mpm::HeldSignals;
use crate::relay::{End, Order, Pause, Relay, Session, Sessions, Summary, Terms, Threads};
use crate::route::remember::RememberKey;
use std::future::Future;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

/// Threads for what may block (log files, DNS, token files), per worker. They exist only while
/// needed. More than DNS and a few resolvers can hold: the end of a session needs one, too.
const BLOCKING_THREADS: usize = 64;

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
    running: Mutex<Vec<Worker>>,
}

struct Worker {
    stop: Box<dyn FnOnce() + Send>,
    thread: JoinHandle<()>,
}

impl Child {
    /// Starts the threads. They take no signals: those are httpd's. `look` is called `every` so often, on
    /// a thread of its own: a relay thread with a timer sets and clears it each time it waits for bytes.
    pub fn start(
        threads: usize,
        sockets: PathBuf,
        remember: RememberKey,
        every: Duration,
        look: impl FnMut(&Child) + Send + 'static,
    ) -> io::Result<Child> {
        // Threads inherit what is held back here: no signal of httpd's ever runs on one of ours.
        let _signals = HeldSignals::all();
        let mut runtimes = Vec::new();
        for _ in 0..threads {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .thread_keep_alive(Duration::from_secs(60))
                .build()?;
            runtimes.push(runtime);
        }
        let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        let threads = Arc::new(Threads::new(handles));
        let mut running = Vec::new();
        for (n, runtime) in runtimes.into_iter().enumerate() {
            let (threads, (stop, stopped)) = (threads.clone(), oneshot::channel());
            let thread = thread::Builder::new().name(format!("wsroute-{n}")).spawn(move || {
                threads.enter(n);
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(Duration::from_millis(100));
            })?;
            let stop = Box::new(move || {
                let _ = stop.send(());
            });
            running.push(Worker { stop, thread });
        }
        running.push(spawn_watch(every, look)?);
        let running = Mutex::new(running);
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

    /// Has `work` done on `worker`, and blocks httpd's thread until it is; `None` if the child
    /// stops at once, or if it panicked.
    pub fn wait_for<T: Send + 'static>(
        &self,
        worker: &Handle,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let work = self.unless_stopped(Box::pin(work));
        worker.spawn(async move { done.send(work.await) });
        result.blocking_recv().ok().flatten()
    }

    /// The runtime thread for the next session.
    pub fn worker(&self) -> Handle {
        self.threads.next()
    }

    /// Ends the threads; what still runs on them is dropped.
    pub fn stop(&self) {
        let workers =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let (stops, threads): (Vec<_>, Vec<_>) =
            workers.into_iter().map(|worker| (worker.stop, worker.thread)).unzip();
        stops.into_iter().for_each(|stop| stop());
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// Looks after the child that runs, if there is one yet, until it is stopped.
fn spawn_watch(
    every: Duration,
    mut look: impl FnMut(&Child) + Send + 'static,
) -> io::Result<Worker> {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = thread::Builder::new().name("wsroute-watch".into()).spawn(move || {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            if let Some(child) = child() {
                guard(|| (), || look(&child));
            }
        }
    })?;
    Ok(Worker { stop: Box::new(move || drop(stop)), thread })
}

/// Relays on `worker`, or wherever there is more room for it later, until the session is over. Then
/// `done` is called on that thread; without a summary if the relay panicked.
pub fn relay(
    worker: &Handle,
    (client, upstream): (End, End),
    terms: Terms,
    session: Arc<Session>,
    done: impl FnOnce(Option<Summary>) + Send + 'static,
) {
    let _runtime = worker.enter();
    go_on(worker, Relay::new(client, upstream, terms, session), done);
}

fn go_on(worker: &Handle, mut relay: Relay, done: impl FnOnce(Option<Summary>) + Send + 'static) {
    worker.spawn(async move {
        let summary = match guard_future(relay.run()).await {
            Some(Pause::MoveTo(other)) => {
                relay.move_to(&other);
                return go_on(&other, relay, done);
            }
            Some(Pause::Over(summary)) => Some(summary),
            None => None,
        };
        // The client's stream goes before the connection under it.
        drop(relay);
        done(summary);
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
