//! Which runtime thread a session runs on. Sessions share one thread for as long as it keeps up: one
//! thread that is awake takes several messages at a time, where two would sleep and wake for each of
//! them. A thread that is busy most of the time gives half of its active sessions away.
//!
//! There is no timer and no table: sessions count their own polls, and a session that is to leave
//! learns so at its next one. An idle session is never asked.

use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// A thread that computes for more than this share of the time, in percent, is busy: new sessions
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
    /// In percent of a core.
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
    /// When the window began, and what this thread had computed until then.
    since: Instant,
    computed: Duration,
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
        let (since, computed) = (Instant::now(), computed());
        HERE.set(Some(Here {
            threads: self,
            number,
            polls: 0,
            since,
            computed,
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
        let computed = computed();
        let load = 100 * (computed - self.computed).as_micros() / passed.as_micros();
        let load = load.min(100) as u32;
        (self.since, self.computed) = (Instant::now(), computed);
        self.threads.measured(self.number, load);
        self.gives_to = self.threads.helper(self.number, load);
        self.window = self.window.wrapping_add(1);
        self.stays = false;
    }
}

/// How long this thread has computed since it began. Not the time between sleeps: on a machine
/// that is short of cores another thread would gain nothing.
fn computed() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
