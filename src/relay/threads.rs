//! Which runtime thread a session runs on. Sessions share one thread for as long as it keeps up: one
//! thread that is awake takes several messages at a time, where two would sleep and wake for each of
//! them. A thread that is busy most of the time gives some of its active sessions away.
//!
//! There is no timer and no table: sessions count their own polls, and a session that is to leave
//! learns so at its next one. An idle session is never asked.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// A thread that has work to do for more than this share of the time, in percent, is busy: new sessions
/// begin elsewhere, and it gives some away.
const BUSY: u32 = 60;
/// Sessions go only to a thread that is so much less busy, in percent: else they would come back.
const GAP: u32 = 30;
/// Over how long a load is measured, at least.
const WINDOW: Duration = Duration::from_millis(50);
/// A load is the mean of about so many windows: one alone is chance where threads wait for a core.
const WINDOWS: u128 = 8;
/// For how long a decision to give sessions away holds, if no other one follows.
const GIVING: Duration = Duration::from_millis(200);
/// The clock is read once in so many polls.
const POLLS: u32 = 64;

/// The runtime threads of one child.
#[derive(Debug)]
pub struct Threads {
    all: Vec<Thread>,
    /// While all are busy, sessions begin on each in turn.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    gauge: Mutex<Gauge>,
}

/// How busy a thread is. Whoever asks takes the sample.
#[derive(Debug)]
struct Gauge {
    /// When the last sample was taken, and for how long the thread had worked until then.
    taken: Instant,
    worked: Duration,
    /// In percent of the time.
    load: u32,
}

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// What a runtime thread knows about itself.
struct Here {
    threads: Arc<Threads>,
    number: usize,
    polls: u32,
    decided: Instant,
    /// Counts the decisions, so that a session is asked once for each.
    decision: u32,
    gift: Option<Gift>,
}

/// Sessions are to go to another thread.
struct Gift {
    to: usize,
    /// How many of the sessions that are asked, in percent.
    share: u32,
    due: u32,
}

impl Threads {
    /// One single-threaded runtime for each thread; at least one.
    pub fn new(runtimes: Vec<Handle>) -> Threads {
        let gauge = || Gauge { taken: Instant::now(), worked: Duration::ZERO, load: 0 };
        let thread = |runtime| Thread { runtime, gauge: Mutex::new(gauge()) };
        Threads { all: runtimes.into_iter().map(thread).collect(), turn: AtomicUsize::new(0) }
    }

    /// Tells the calling thread which one it is. To be called on each of them, once.
    pub fn enter(self: Arc<Threads>, number: usize) {
        let (threads, decided) = (self, Instant::now());
        HERE.set(Some(Here { threads, number, polls: 0, decided, decision: 0, gift: None }));
    }

    /// Where the next session begins: on the first thread that is not busy. Any thread may ask.
    pub fn next(&self) -> Handle {
        let free = self.all.iter().find(|thread| thread.load() < BUSY);
        let turn = || &self.all[self.turn.fetch_add(1, Ordering::Relaxed) % self.all.len()];
        free.unwrap_or_else(turn).runtime.clone()
    }

    /// What thread `number` should give away: as much as makes it as busy as the least busy one.
    fn gift(&self, number: usize) -> Option<Gift> {
        let load = self.all[number].load();
        if load < BUSY {
            return None;
        }
        let others = (0..self.all.len()).filter(|n| *n != number);
        let (least, to) = others.map(|n| (self.all[n].load(), n)).min()?;
        let gift = || Gift { to, share: 50 * (load - least) / load, due: 0 };
        (least + GAP <= load).then(gift)
    }
}

impl Thread {
    fn load(&self) -> u32 {
        // Consistent after every line: a panic elsewhere cannot spoil it.
        let mut gauge = self.gauge.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = gauge.taken.elapsed();
        if passed >= WINDOW {
            // The time in which it waited for a core included: it would have had something to do.
            let worked = self.runtime.metrics().worker_total_busy_duration(0);
            let new = worked.saturating_sub(gauge.worked);
            let new = (100 * new.as_micros() / passed.as_micros()).min(100);
            let weight = (passed.as_millis() / WINDOW.as_millis()).min(WINDOWS);
            let load = (u128::from(gauge.load) * (WINDOWS - weight) + new * weight) / WINDOWS;
            *gauge = Gauge { taken: Instant::now(), worked, load: load as u32 };
        }
        gauge.load
    }
}

/// Where the session that is being polled should go; mostly nowhere. `asked` is the session's own,
/// and new with each thread: it keeps it from being asked twice for one decision. `None` outside the
/// threads of [`Threads`].
pub(super) fn elsewhere(asked: &mut u32) -> Option<Handle> {
    HERE.with_borrow_mut(|here| here.as_mut()?.elsewhere(asked))
}

impl Here {
    fn elsewhere(&mut self, asked: &mut u32) -> Option<Handle> {
        self.polls += 1;
        if self.polls >= POLLS {
            self.polls = 0;
            if self.decided.elapsed() >= WINDOW {
                self.decide();
            }
        }
        let gift = self.gift.as_mut()?;
        if *asked == self.decision {
            return None;
        }
        *asked = self.decision;
        if self.decided.elapsed() >= GIVING {
            self.gift = None;
            return None;
        }
        // The one that is polled first is most likely the busiest: it stays, and others make room.
        gift.due += gift.share;
        if gift.due < 100 {
            return None;
        }
        gift.due -= 100;
        Some(self.threads.all[gift.to].runtime.clone())
    }

    fn decide(&mut self) {
        self.decided = Instant::now();
        self.decision = self.decision.wrapping_add(1);
        self.gift = self.threads.gift(self.number);
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

    impl Threads {
        /// As if it had been measured just now.
        fn measured(&self, number: usize, load: u32) {
            let taken = Instant::now() + Duration::from_secs(60);
            *self.all[number].gauge.lock().unwrap() = Gauge { taken, worked: Duration::ZERO, load };
        }
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
    fn only_a_much_less_busy_thread_gets_sessions_and_only_the_difference() {
        let (_runtimes, threads) = threads(3);
        threads.measured(1, 40);
        threads.measured(2, 35);
        let gifts = [59, 60, 65, 100].map(|load| {
            threads.measured(0, load);
            threads.gift(0).map(|gift| (gift.to, gift.share))
        });
        assert_eq!(gifts, [None, None, Some((2, 23)), Some((2, 32))]);
        // Afterwards both are as busy, and nothing comes back.
        threads.measured(0, 68);
        threads.measured(2, 67);
        assert!(threads.gift(0).is_none() && threads.gift(2).is_none());
    }

    #[test]
    fn a_thread_is_measured_whatever_it_works_on() {
        let (runtimes, threads) = threads(2);
        assert_eq!(threads.all[0].load(), 0);
        let spin = async { std::thread::sleep(8 * WINDOW) };
        runtimes[0].block_on(runtimes[0].spawn(spin)).unwrap();
        runtimes[0].block_on(tokio::task::yield_now());
        assert!(threads.all[0].load() >= 40, "{}", threads.all[0].load());
        assert_eq!(threads.all[1].load(), 0);
    }

    #[test]
    fn every_other_session_goes_and_none_is_asked_twice() {
        let (runtimes, threads) = threads(2);
        threads.enter(0);
        give(50);
        let mut asked = [0; 4];
        let goes =
            asked.each_mut().map(|asked| elsewhere(asked).is_some_and(|to| is(&to, &runtimes[1])));
        assert_eq!(goes, [false, true, false, true]);
        assert!(asked.each_mut().iter_mut().all(|asked| elsewhere(asked).is_none()));
        HERE.with_borrow_mut(|here| here.as_mut().unwrap().decided -= GIVING);
        assert!((0..4).all(|_| elsewhere(&mut 0).is_none()), "the decision is too old");
    }

    fn give(share: u32) {
        HERE.with_borrow_mut(|here| {
            let here = here.as_mut().unwrap();
            (here.decided, here.decision) = (Instant::now(), 7);
            here.gift = Some(Gift { to: 1, share, due: 0 });
        });
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
        give(100);
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
