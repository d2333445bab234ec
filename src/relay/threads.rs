//! Which thread a session runs on. Sessions share one thread for as long as it keeps up: one
//! thread that is awake takes several messages at a time, where two would sleep and wake for each of
//! them. A thread that is busy most of the time gives some of its active sessions away.
//!
//! There is no timer and no table: sessions count their own polls, and a session that is to leave
//! learns so at its next one. An idle session is never asked.

use crate::net::LoopHandle;
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// A thread that needs more than this share of a core, in percent, is busy: new sessions begin elsewhere, and it
/// gives some away. To wait for a core is no need: where all are taken, a second thread would only take more.
const BUSY: u32 = 60;
/// Sessions go only to a thread that is so much less busy, in percent: else they would come back.
const GAP: u32 = 30;
/// Over how long a load is measured, at least.
const WINDOW: Duration = Duration::from_millis(50);
/// A load is the mean of about so many windows: one alone is chance.
const WINDOWS: u128 = 8;
/// For how long a decision to give sessions away holds, if no other one follows.
const GIVING: Duration = Duration::from_millis(200);
/// The clock is read once in so many polls.
const POLLS: u32 = 64;

/// Two threads that belong together: most of the time, at most one of them has something to do.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Asks, connects and shakes hands.
    pub runtime: Handle,
    /// Relays.
    pub relays: LoopHandle,
}

/// Tells how much CPU time a thread has used. It may be asked from any thread.
pub type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// The pairs of one child.
pub struct Threads {
    all: Vec<Thread>,
    /// While all are busy, sessions begin on each in turn.
    turn: AtomicUsize,
}

struct Thread {
    pair: Pair,
    clocks: [Clock; 2],
    gauge: Mutex<Gauge>,
}

/// How busy the busier thread of a pair is. Whoever asks takes the sample.
#[derive(Debug)]
struct Gauge {
    /// When the last sample was taken, and what both threads had used until then.
    taken: Instant,
    used: [Duration; 2],
    /// In percent of a core.
    load: u32,
}

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// What a relay thread knows about itself.
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
    /// At least one.
    pub fn new(pairs: Vec<(Pair, [Clock; 2])>) -> Threads {
        let gauge = || Gauge { taken: Instant::now(), used: Default::default(), load: 0 };
        let thread = |(pair, clocks)| Thread { pair, clocks, gauge: Mutex::new(gauge()) };
        Threads { all: pairs.into_iter().map(thread).collect(), turn: AtomicUsize::new(0) }
    }

    /// Tells the calling thread that it relays for pair `number`. To be called on each of them, once.
    pub fn enter(self: Arc<Threads>, number: usize) {
        let (threads, decided) = (self, Instant::now());
        HERE.set(Some(Here { threads, number, polls: 0, decided, decision: 0, gift: None }));
    }

    /// Where the next session begins: on the first thread that is not busy. Any thread may ask.
    pub fn next(&self) -> Pair {
        let free = self.all.iter().find(|thread| thread.load() < BUSY);
        let turn = || &self.all[self.turn.fetch_add(1, Ordering::Relaxed) % self.all.len()];
        free.unwrap_or_else(turn).pair.clone()
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
            let used = self.clocks.each_ref().map(|clock| clock());
            let new = used.iter().zip(gauge.used).map(|(now, then)| now.saturating_sub(then));
            let new = new.max().unwrap_or_default();
            let new = (100 * new.as_micros() / passed.as_micros()).min(100);
            let weight = (passed.as_millis() / WINDOW.as_millis()).min(WINDOWS);
            let load = (u128::from(gauge.load) * (WINDOWS - weight) + new * weight) / WINDOWS;
            *gauge = Gauge { taken: Instant::now(), used, load: load as u32 };
        }
        gauge.load
    }
}

/// Where the session that is being polled should go; mostly nowhere. `asked` is the session's own and
/// keeps it from being asked twice for one decision, also while it takes its first turn at its new place,
/// here. `None` outside the relay threads of [`Threads`].
pub(super) fn elsewhere(asked: &mut u32) -> Option<LoopHandle> {
    HERE.with_borrow_mut(|here| here.as_mut()?.elsewhere(asked))
}

impl Here {
    fn elsewhere(&mut self, asked: &mut u32) -> Option<LoopHandle> {
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
        Some(self.threads.all[gift.to].pair.relays.clone())
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
    use crate::net::{EventLoop, Socket};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn threads(n: usize) -> (Vec<(Runtime, EventLoop)>, Arc<Threads>) {
        let pairs: Vec<_> = (0..n).map(|_| (runtime(), EventLoop::new().unwrap())).collect();
        let pair = |(runtime, relays): &(Runtime, EventLoop)| Pair {
            runtime: runtime.handle().clone(),
            relays: relays.handle(),
        };
        let rest = || -> Clock { Box::new(|| Duration::ZERO) };
        let told = pairs.iter().map(|it| (pair(it), [rest(), rest()])).collect();
        (pairs, Arc::new(Threads::new(told)))
    }

    impl Threads {
        /// As if it had been measured just now.
        fn measured(&self, number: usize, load: u32) {
            let taken = Instant::now() + Duration::from_secs(60);
            let used = Default::default();
            *self.all[number].gauge.lock().unwrap() = Gauge { taken, used, load };
        }
    }

    /// Which one it is.
    fn number(pair: &Pair, pairs: &[(Runtime, EventLoop)]) -> usize {
        let is = |(runtime, relays): &(Runtime, EventLoop)| {
            runtime.handle().id() == pair.runtime.id() && relays.handle() == pair.relays
        };
        pairs.iter().position(is).unwrap()
    }

    #[test]
    fn sessions_begin_on_the_first_thread_that_is_not_busy() {
        let (pairs, threads) = threads(3);
        let next = || number(&threads.next(), &pairs);
        assert_eq!(next(), 0);
        threads.measured(0, 59);
        assert_eq!(next(), 0);
        threads.measured(0, 60);
        assert_eq!(next(), 1);
        threads.measured(1, 100);
        threads.measured(2, 100);
        assert_eq!([next(), next(), next()], [0, 1, 2]);
    }

    #[test]
    fn only_a_much_less_busy_thread_gets_sessions_and_only_the_difference() {
        let (_pairs, threads) = threads(3);
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
    fn a_pair_is_as_busy_as_the_busier_of_its_threads() {
        let (_pairs, threads) = threads(1);
        let pair = &threads.all[0].pair;
        let half = || -> Clock {
            let begun = Instant::now();
            Box::new(move || begun.elapsed() / 2)
        };
        let rest = || -> Clock { Box::new(|| Duration::ZERO) };
        for which in [0, 1] {
            let mut clocks = [rest(), rest()];
            clocks[which] = half();
            let threads = Threads::new(vec![(pair.clone(), clocks)]);
            assert_eq!(threads.all[0].load(), 0, "nothing is known yet");
            std::thread::sleep(8 * WINDOW);
            let load = threads.all[0].load();
            assert!((40..=90).contains(&load), "{load}");
        }
    }

    #[test]
    fn every_other_session_goes_and_none_is_asked_twice() {
        let (pairs, threads) = threads(2);
        threads.enter(0);
        give(50);
        let mut asked = [0; 4];
        let second = pairs[1].1.handle();
        let goes = asked.each_mut().map(|asked| elsewhere(asked).is_some_and(|to| to == second));
        assert_eq!(goes, [false, true, false, true]);
        assert!(asked.each_mut().iter_mut().all(|asked| elsewhere(asked).is_none()));
        HERE.with_borrow_mut(|here| here.as_mut().unwrap().decided = Instant::now() - GIVING);
        assert!((0..4).all(|_| elsewhere(&mut 0).is_none()), "the decision is too old");
    }

    fn give(share: u32) {
        HERE.with_borrow_mut(|here| {
            let here = here.as_mut().unwrap();
            // However slow the machine is, it holds.
            (here.decided, here.decision) = (Instant::now() + Duration::from_secs(60), 7);
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
        let (mut pairs, threads) = threads(2);
        let (second, first) = (pairs.pop().unwrap().1, pairs.pop().unwrap().1);
        let (to, from) = (second.handle(), first.handle());
        let outside = runtime();
        let ((mut client, client_end), (mut upstream, upstream_end)) =
            outside.block_on(async { (pair().await, pair().await) });
        let _entered = outside.enter();
        let end = |io: TcpStream| End {
            io: Box::new(Socket::from(io)),
            early: Vec::new(),
            half_close: true,
        };
        let terms = Terms { drain: Duration::from_secs(30), expires: None };
        let session = Sessions::default().enter();
        let mut relay = Relay::new(end(client_end), end(upstream_end), terms, session);
        let (moved, over) = std::sync::mpsc::channel();
        let there = to.clone();
        from.clone().spawn(|seat| {
            relay.take_seat(seat);
            async move {
                let Pause::MoveTo(other) = relay.run().await else { panic!("it should move") };
                assert!(other == there);
                other.spawn(|seat| {
                    relay.take_seat(seat);
                    async move { moved.send(matches!(relay.run().await, Pause::Over(_))).unwrap() }
                });
                from.stop();
            }
        });
        outside.block_on(client.write_all(b"\x82\x04abcd")).unwrap();
        // It moves at its first event here, which the other loop has to see as well.
        threads.enter(0);
        give(100);
        first.run();
        HERE.set(None);
        let time = outside.handle().clone();
        let second = std::thread::spawn(move || {
            let _entered = time.enter();
            second.run();
        });
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
        assert!(over.recv().unwrap());
        to.stop();
        second.join().unwrap();
    }
}
