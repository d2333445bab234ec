//! The sessions of this child, and the orders that reach them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// What a session is told from outside. A later order may only be stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Order {
    /// Go on.
    None = 0,
    /// A graceful restart: close with 1012 when the drain time is over.
    Drain = 1,
    /// A graceful stop: as `Drain`, with 1001.
    Leave = 2,
    /// Close with 1001 now.
    Stop = 3,
}

impl From<u8> for Order {
    fn from(n: u8) -> Order {
        match n {
            0 => Order::None,
            1 => Order::Drain,
            2 => Order::Leave,
            _ => Order::Stop,
        }
    }
}

/// The strongest order so far. One for all sessions of a child: each looks at it whenever it is polled,
/// and finds it in the cache.
#[derive(Debug, Default, Clone)]
pub(super) struct Standing(Arc<Line>);

/// A line of memory of its own: the counters of the `Arc` change with each session.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU8);

impl Standing {
    pub fn order(&self) -> Order {
        self.0.0.load(Ordering::Acquire).into()
    }

    /// True if it is stronger than those before.
    fn give(&self, order: Order) -> bool {
        self.0.0.fetch_max(order as u8, Ordering::AcqRel) < order as u8
    }
}

/// One session as seen from outside its task. Orders may come from any thread.
#[derive(Debug)]
pub struct Session {
    number: u64,
    standing: Standing,
    /// Of the task that relays. It stays there: an order may come while another one is obeyed.
    waker: Mutex<Option<Waker>>,
}

impl Session {
    /// Unique in its child.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What sessions are told.
    pub(super) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Has orders wake the task behind `waker` from now on. It looks for those that came before.
    pub(super) fn register(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        waker.iter().for_each(Waker::wake_by_ref);
    }
}

/// The table of sessions. Its lock is taken when a session begins and when it ends, never for a
/// byte.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<u64, Arc<Session>>>,
    standing: Standing,
    next: AtomicU64,
    empty: Condvar,
}

impl Sessions {
    /// Enters a session into the table. It stays there until [`Sessions::leave`].
    pub fn enter(&self) -> Arc<Session> {
        let session = Arc::new(Session {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            standing: self.standing.clone(),
            waker: Mutex::new(None),
        });
        self.lock().insert(session.number, session.clone());
        session
    }

    /// Takes a session out, when all is done and logged.
    pub fn leave(&self, session: &Session) {
        let mut open = self.lock();
        open.remove(&session.number);
        if open.is_empty() {
            self.empty.notify_all();
        }
    }

    /// Gives an order to all sessions, and to those to come.
    pub fn order(&self, order: Order) {
        if self.standing.give(order) {
            self.lock().values().for_each(|session| session.wake());
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Blocks until the table is empty or `limit` is over; says how many are left. Never call it
    /// on a runtime's thread.
    pub fn wait_until_empty(&self, limit: Duration) -> usize {
        let until = Instant::now() + limit;
        let mut open = self.lock();
        while !open.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.empty.wait_timeout(open, left);
            open = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        open.len()
    }

    /// A panic elsewhere must not take the table away: it is consistent between any two lines.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_reach_the_present_and_the_coming_and_grow_only_stronger() {
        let sessions = Sessions::default();
        let early = sessions.enter();
        assert_eq!(early.standing().order(), Order::None);
        sessions.order(Order::Stop);
        sessions.order(Order::Drain);
        let late = sessions.enter();
        let told = [&early, &late].map(|session| session.standing().order());
        assert_eq!(told, [Order::Stop; 2]);
        assert_eq!(sessions.wait_until_empty(Duration::from_millis(1)), 2);
        sessions.leave(&early);
        sessions.leave(&late);
        assert_eq!(sessions.wait_until_empty(Duration::ZERO), 0);
    }

    struct Counter(AtomicU64);

    impl std::task::Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_stronger_order_wakes_the_task_even_if_it_saw_the_one_before_first() {
        let (sessions, counter) = (Sessions::default(), Arc::new(Counter(AtomicU64::new(0))));
        sessions.enter().register(&counter.clone().into());
        sessions.order(Order::Drain);
        sessions.order(Order::Drain);
        sessions.order(Order::Stop);
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
    }
}
