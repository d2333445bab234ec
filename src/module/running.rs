//! The threads of one httpd child: pairs of one with a single-threaded tokio runtime, which asks, connects and
//! shakes hands, and one with an event loop, which relays; and one that looks after the child. No lock is
//! needed for a session's bytes.

use super::runtime::{Child, child};
use crate::httpd::cpu_clock::CpuClock;
use crate::httpd::guard::guard;
use crate::net::EventLoop;
use crate::relay::{Clock, Pair, Threads};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use std::{io, mem};
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::oneshot;

/// Threads for what may block (log files, DNS, token files), for each runtime. They exist only while
/// needed. More than DNS and a few resolvers can hold: the end of a session needs one, too.
const BLOCKING_THREADS: usize = 64;

/// The threads. Dropping it ends them, and what still runs on them is dropped, too.
#[derive(Default)]
pub struct Running {
    watch: Vec<Thread>,
    relays: Vec<Thread>,
    runtimes: Vec<Thread>,
}

struct Thread {
    /// Tells it to end.
    stop: Box<dyn FnOnce() + Send>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts so many pairs, and the thread that calls `look` `every` so often. They inherit the caller's
    /// signal mask.
    pub fn start(
        pairs: usize,
        every: Duration,
        look: impl FnMut(&Child) + Send + 'static,
    ) -> io::Result<(Arc<Threads>, Running)> {
        let runtimes: Vec<_> = (0..pairs).map(|_| new_runtime()).collect::<io::Result<_>>()?;
        let loops: Vec<_> = (0..pairs).map(|_| EventLoop::new()).collect::<io::Result<_>>()?;
        let clocks: Vec<[Arc<CpuClock>; 2]> = (0..pairs).map(|_| Default::default()).collect();
        let told = runtimes.iter().zip(&loops).zip(&clocks).map(|((runtime, relays), clocks)| {
            let pair = Pair { runtime: runtime.handle().clone(), relays: relays.handle() };
            (pair, clocks.each_ref().map(teller))
        });
        let threads = Arc::new(Threads::new(told.collect()));
        let mut running = Running::default();
        running.watch.push(spawn_watch(every, look)?);
        let all = runtimes.into_iter().zip(loops).zip(clocks);
        for (n, ((runtime, relays), [first, second])) in all.enumerate() {
            let time = runtime.handle().clone();
            running.relays.push(spawn_relays(n, relays, second, threads.clone(), time)?);
            running.runtimes.push(spawn_runtime(n, runtime, first)?);
        }
        Ok((threads, running))
    }
}

impl Drop for Running {
    /// Sessions have timers of the runtimes: these end last.
    fn drop(&mut self) {
        for kind in [&mut self.watch, &mut self.relays, &mut self.runtimes] {
            let (stops, threads): (Vec<_>, Vec<_>) =
                mem::take(kind).into_iter().map(|it| (it.stop, it.thread)).unzip();
            stops.into_iter().for_each(|stop| stop());
            threads.into_iter().for_each(|thread| drop(thread.join()));
        }
    }
}

fn teller(clock: &Arc<CpuClock>) -> Clock {
    let clock = clock.clone();
    Box::new(move || clock.used())
}

fn new_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(60))
        .build()
}

fn spawn_runtime(n: usize, runtime: Runtime, clock: Arc<CpuClock>) -> io::Result<Thread> {
    let (stop, stopped) = oneshot::channel();
    let thread = Builder::new().name(format!("wsroute-{n}")).spawn(move || {
        clock.begin();
        let _ = runtime.block_on(stopped);
        runtime.shutdown_timeout(Duration::from_millis(100));
    })?;
    let stop = Box::new(move || {
        let _ = stop.send(());
    });
    Ok(Thread { stop, thread })
}

/// Sessions take their timers from the runtime `time`.
fn spawn_relays(
    n: usize,
    relays: EventLoop,
    clock: Arc<CpuClock>,
    threads: Arc<Threads>,
    time: Handle,
) -> io::Result<Thread> {
    let handle = relays.handle();
    let thread = Builder::new().name(format!("wsroute-relay-{n}")).spawn(move || {
        clock.begin();
        let _entered = time.enter();
        threads.enter(n);
        relays.run();
    })?;
    Ok(Thread { stop: Box::new(move || handle.stop()), thread })
}

/// Looks after the child that runs, if there is one yet, until it is stopped.
fn spawn_watch(
    every: Duration,
    mut look: impl FnMut(&Child) + Send + 'static,
) -> io::Result<Thread> {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = Builder::new().name("wsroute-watch".into()).spawn(move || {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            if let Some(child) = child() {
                guard(|| (), || look(&child));
            }
        }
    })?;
    Ok(Thread { stop: Box::new(move || drop(stop)), thread })
}
