//! Which runtime thread a session runs on. Sessions share one thread for as long as it keeps up: one
//! thread that is awake takes several messages at a time, where two would sleep and wake for each of
//! them. A thread that is busy most of the time gives half of its active sessions away.
//!
//! There is no timer and no table: sessions count their own polls, and a session that is to leave
//! learns so at its next one. An idle session is never asked.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// A thread that has work to do for more than this share of the time, in percent, is busy: new sessions
/// begin elsewhere, and it gives some away.
const BUSY: u32 = 60;
/// Sessions go only to a thread that is so much less busy, in percent: else they would come back.
const GAP: u32 = 30;
/// Over how long a load is measured, at least.
const WINDOW: Duration = Duration::from_millis(50);
/// A load that was measured earlier than this says nothing: the thread had next to nothing to do.
const STALE: Duration = Duration::from_secs(1);
/// The clock is read once in so many polls.
const POLLS: u32 = 64;

/// The runtime threads of one child.
#[derive(Debug)]
pub struct Threads {
    all: Vec<Thread>,
    started: Instant,
    /// While all are busy, sessions begin on each in turn.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    /// In percent of the time.
    load: AtomicU32,
    /// When it was measured, in milliseconds since the start.
    measured: AtomicU64,
}

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// What a runtime thread knows about itself.
struct Here {
    threads: Arc<Threads>,
    number: usize,
    polls: u32,
    /// When the window began, and for how long this thread had worked until then.
    since: Instant,
    worked: Duration,
    /// Counts the windows, so that a session is asked once in each.
    window: u32,
    /// Where every other session that is asked in this window has to go.
    gives_to: Option<usize>,
    stays: bool,
}

impl Threads {
    /// One single-threaded runtime for each thread; at least one.
    pub fn new(runtimes: Vec<Handle>) -> Threads {
        let thread = |runtime| Thread { runtime, load: 0.into(), measured: 0.into() };
        let all = runtimes.into_iter().map(thread).collect();
        Threads { all, started: Instant::now(), turn: AtomicUsize::new(0) }
    }

    /// Tells the calling thread which one it is. To be called on each of them, once.
    pub fn enter(self: Arc<Threads>, number: usize) {
        let worked = self.all[number].worked();
        HERE.set(Some(Here {
            threads: self,
            number,
            polls: 0,
            since: Instant::now(),
            worked,
            window: 0,
            gives_to: None,
            stays: false,
        }));
    }

    /// Where the next session begins: on the first thread that is not busy. Any thread may ask.
    pub fn next(&self) -> Handle {
        let free = (0..self.all.len()).find(|n| self.load(*n) < BUSY);
        let turn = || self.turn.fetch_add(1, Ordering::Relaxed) % self.all.len();
        self.all[free.unwrap_or_else(turn)].runtime.clone()
    }

    /// The thread that does what is not a session's.
    pub fn first(&self) -> Handle {
        self.all[0].runtime.clone()
    }

    fn load(&self, number: usize) -> u32 {
        let thread = &self.all[number];
        let measured = Duration::from_millis(thread.measured.load(Ordering::Relaxed));
        let age = self.started.elapsed().saturating_sub(measured);
        if age < STALE { thread.load.load(Ordering::Relaxed) } else { 0 }
    }

    fn measured(&self, number: usize, load: u32) {
        let thread = &self.all[number];
        thread.load.store(load, Ordering::Relaxed);
        thread.measured.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Who takes sessions off thread `number`, which is so busy.
    fn helper(&self, number: usize, load: u32) -> Option<usize> {
        let least = (0..self.all.len()).filter(|n| *n != number).min_by_key(|n| self.load(*n))?;
        (load >= BUSY && self.load(least) + GAP <= load).then_some(least)
    }
}

/// Where the session that is being polled should go; mostly nowhere. `asked` is the session's own,
/// and new with each thread: it keeps it from being asked twice in one window. `None` outside the
/// threads of [`Threads`].
pub(super) fn elsewhere(asked: &mut u32) -> Option<Handle> {
    HERE.with_borrow_mut(|here| here.as_mut()?.elsewhere(asked))
}

impl Here {
    fn elsewhere(&mut self, asked: &mut u32) -> Option<Handle> {
        self.polls += 1;
        if self.polls >= POLLS {
            self.polls = 0;
            self.measure();
        }
        let to = self.gives_to?;
        if *asked == self.window {
            return None;
        }
        *asked = self.window;
        // The one that is polled first is most likely the busiest: it stays, and the others make
        // room for it.
        self.stays = !self.stays;
        (!self.stays).then(|| self.threads.all[to].runtime.clone())
    }

    fn measure(&mut self) {
        let passed = self.since.elapsed();
        if passed < WINDOW {
            return;
        }
        let worked = self.threads.all[self.number].worked();
        let load = 100 * worked.saturating_sub(self.worked).as_micros() / passed.as_micros();
        let load = load.min(100) as u32;
        (self.since, self.worked) = (Instant::now(), worked);
        self.threads.measured(self.number, load);
        self.gives_to = self.threads.helper(self.number, load);
        self.window = self.window.wrapping_add(1);
        self.stays = false;
    }
}

impl Thread {
    /// How long it had something to do since it began, the time in which it waited for a core included.
    fn worked(&self) -> Duration {
        self.runtime.metrics().worker_total_busy_duration(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{End, Pause, Relay, Sessions, Terms};
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn threads(n: usize) -> (Vec<Runtime>, Arc<Threads>) {
        let runtimes: Vec<_> = (0..n).map(|_| runtime()).collect();
        let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        (runtimes, Arc::new(Threads::new(handles)))
    }

    fn is(handle: &Handle, runtime: &Runtime) -> bool {
        handle.id() == runtime.handle().id()
    }

    #[test]
    fn sessions_begin_on_the_first_thread_that_is_not_busy() {
        let (runtimes, threads) = threads(3);
        assert!(is(&threads.next(), &runtimes[0]));
        threads.measured(0, 59);
        assert!(is(&threads.next(), &runtimes[0]));
        threads.measured(0, 60);
        assert!(is(&threads.next(), &runtimes[1]));
        threads.measured(1, 100);
        threads.measured(2, 100);
        let turns: Vec<_> = (0..3).map(|_| threads.next().id()).collect();
        assert_eq!(turns, runtimes.iter().map(|r| r.handle().id()).collect::<Vec<_>>());
    }

    #[test]
    fn only_a_much_less_busy_thread_helps() {
        let (_runtimes, threads) = threads(3);
        threads.measured(1, 40);
        threads.measured(2, 35);
        let helpers = [59, 60, 65, 100].map(|load| threads.helper(0, load));
        assert_eq!(helpers, [None, None, Some(2), Some(2)]);
    }

    #[test]
    fn every_other_session_goes_and_none_is_asked_twice() {
        let (runtimes, threads) = threads(2);
        threads.enter(0);
        HERE.with_borrow_mut(|here| {
            let here = here.as_mut().unwrap();
            (here.gives_to, here.window) = (Some(1), 7);
        });
        let mut asked = [0; 4];
        let goes =
            asked.each_mut().map(|asked| elsewhere(asked).is_some_and(|to| is(&to, &runtimes[1])));
        assert_eq!(goes, [false, true, false, true]);
        assert!(asked.each_mut().iter_mut().all(|asked| elsewhere(asked).is_none()));
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    /// The bytes of a session pass as before on a thread that has never seen its sockets.
    #[test]
    fn a_session_that_moves_loses_nothing() {
        let (mut runtimes, threads) = threads(2);
        let (second, first) = (runtimes.pop().unwrap(), runtimes.pop().unwrap());
        let outside = runtime();
        let ((mut client, client_end), (mut upstream, upstream_end)) =
            outside.block_on(async { (pair().await, pair().await) });
        let mut relay = first.block_on(async {
            let end = |io: TcpStream| {
                let io = Box::new(TcpStream::from_std(io.into_std().unwrap()).unwrap());
                End { io, early: Vec::new(), half_close: true }
            };
            let terms = Terms { drain: Duration::from_secs(30), expires: None };
            let session = Sessions::default().enter();
            Relay::new(end(client_end), end(upstream_end), terms, session)
        });
        outside.block_on(client.write_all(b"\x82\x04abcd")).unwrap();
        threads.enter(0);
        HERE.with_borrow_mut(|here| {
            let here = here.as_mut().unwrap();
            (here.gives_to, here.window, here.stays) = (Some(1), 1, true);
        });
        let Pause::MoveTo(to) = first.block_on(relay.run()) else { panic!("it should move") };
        assert!(is(&to, &second));
        relay.move_to(&to);
        HERE.set(None);
        drop(first);
        let told = second.spawn(async move { matches!(relay.run().await, Pause::Over(_)) });
        let driving = std::thread::spawn(move || second.block_on(told).unwrap());
        outside.block_on(async {
            let mut got = [0; 6];
            upstream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"\x82\x04abcd");
            upstream.write_all(b"\x82\x02ok\x88\x00").await.unwrap();
            let mut got = [0; 6];
            client.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"\x82\x02ok\x88\x00");
            drop((client, upstream));
        });
        assert!(driving.join().unwrap());
    }
}
