//! The thread under the sessions that relay: it waits for the sockets of all of them at once, and gives a
//! turn to each one that can go on.

use super::Seat;
use mio::{Events, Poll, Registry, Token};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Context, Waker};
use std::time::Duration;

/// How many events are taken from the kernel at once.
const EVENTS: usize = 256;
/// What the waker's own event is called; no seat has this number.
const MAIL: Token = Token(usize::MAX);

thread_local! {
    /// Which loop this thread runs: the address of its [`Shared`].
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// A loop, for the thread that runs it.
#[derive(Debug)]
pub struct EventLoop {
    poll: Poll,
    remote: LoopHandle,
    /// By the seat's number.
    tasks: Vec<Option<Task>>,
    /// Seats of tasks that are over. Not given out again before the last event of this round.
    left: Vec<usize>,
}

/// A loop, for all others. A clone is the same loop.
#[derive(Debug, Clone)]
pub struct LoopHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    registry: Registry,
    waker: mio::Waker,
    mail: Mutex<Mail>,
    /// There is some: looked at after each wait, without the lock.
    has_mail: AtomicBool,
}

#[derive(Debug, Default)]
struct Mail {
    /// Seats given out so far, and those that are free again.
    seats: usize,
    free: Vec<usize>,
    /// Sessions that nothing has happened to yet.
    arrived: Vec<Task>,
    /// Seats that want a turn.
    woken: Vec<usize>,
    stopped: bool,
}

struct Task {
    seat: Arc<Seat>,
    waker: Waker,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task({})", self.seat.number)
    }
}

impl EventLoop {
    /// A loop that does not run yet.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new() -> io::Result<EventLoop> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(poll.registry(), MAIL)?;
        let (mail, has_mail) = (Mutex::default(), AtomicBool::new(false));
        let shared = Shared { registry, waker, mail, has_mail };
        let (tasks, left) = (Vec::new(), Vec::new());
        Ok(EventLoop { poll, remote: LoopHandle(Arc::new(shared)), tasks, left })
    }

    /// For the threads that bring sessions.
    pub fn handle(&self) -> LoopHandle {
        self.remote.clone()
    }

    /// Gives turns until [`LoopHandle::stop`]. Then all tasks are dropped.
    pub fn run(mut self) {
        HERE.set(self.remote.address());
        let mut events = Events::with_capacity(EVENTS);
        let mut stopped = false;
        while !stopped {
            let wait = self.remote.has_mail().then_some(Duration::ZERO);
            if let Err(e) = self.poll.poll(&mut events, wait) {
                assert_eq!(e.kind(), io::ErrorKind::Interrupted, "epoll_wait: {e}");
            }
            for event in &events {
                if event.token() != MAIL {
                    let (number, side) = Seat::of(event.token());
                    if let Some(task) = self.task(number) {
                        task.seat.note(side, event);
                        self.turn(number);
                    }
                }
            }
            if self.remote.has_mail() {
                stopped = self.read_mail();
            }
            if !self.left.is_empty() {
                self.remote.lock().free.append(&mut self.left);
            }
        }
    }

    /// The task of a seat. None if it is over, as it may be before the last event of a round.
    fn task(&mut self, number: usize) -> Option<&Task> {
        if !matches!(self.tasks.get(number), Some(Some(_))) {
            self.admit();
        }
        self.tasks.get(number)?.as_ref()
    }

    /// Those that have arrived get their places.
    fn admit(&mut self) {
        let arrived = std::mem::take(&mut self.remote.lock().arrived);
        for task in arrived {
            let number = task.seat.number;
            if number >= self.tasks.len() {
                self.tasks.resize_with(number + 1, || None);
            }
            self.tasks[number] = Some(task);
        }
    }

    fn turn(&mut self, number: usize) {
        let Some(Some(task)) = self.tasks.get_mut(number) else { return };
        let turn = || task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        // One that panics ends alone; nobody looks at what it leaves.
        if !matches!(catch_unwind(AssertUnwindSafe(turn)), Ok(task::Poll::Pending)) {
            let over = self.tasks[number].take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(over)));
            self.left.push(number);
        }
    }

    /// Gives a turn to those that asked for one. True if the loop is to end.
    fn read_mail(&mut self) -> bool {
        let (woken, stopped) = {
            let mut mail = self.remote.lock();
            self.remote.0.has_mail.store(false, Ordering::Release);
            (std::mem::take(&mut mail.woken), mail.stopped)
        };
        for number in woken {
            // One that has not arrived is asked again when it does.
            if let Some(task) = self.task(number) {
                // Whoever finds it set has said before why: this turn must see it.
                task.seat.woken.swap(false, Ordering::AcqRel);
                self.turn(number);
            }
        }
        stopped
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.remote.stop();
        // Those that nothing has happened to go as well.
        self.admit();
        HERE.set(0);
    }
}

impl PartialEq for LoopHandle {
    fn eq(&self, other: &LoopHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl LoopHandle {
    /// Brings a task. `begin` makes it and may give its seat to sockets. Its first turn it has here, on the
    /// calling thread: what is in memory already gives no event. After [`LoopHandle::stop`] it has no other one.
    pub fn spawn<F>(&self, begin: impl FnOnce(&Arc<Seat>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let seat = Arc::new(Seat::new(self.lock().next_seat(), self.clone()));
        let waker = Waker::from(seat.clone());
        let mut future = Box::pin(begin(&seat));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.lock().free.push(seat.number);
            return;
        }
        self.arrive(Task { seat, waker, future });
    }

    fn arrive(&self, task: Task) {
        let mut mail = self.lock();
        if mail.stopped {
            drop(mail);
            return drop(task);
        }
        let number = task.seat.number;
        let failed = task.seat.watch().is_err();
        if failed {
            task.seat.give_up();
        }
        let wants_turn = failed || task.seat.woken.load(Ordering::Acquire);
        mail.arrived.push(task);
        drop(mail);
        if wants_turn {
            self.ask_for_turn(number);
        }
    }

    /// Ends the thread that runs the loop, soon.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.there_is_mail();
    }

    pub(super) fn ask_for_turn(&self, number: usize) {
        self.lock().woken.push(number);
        self.there_is_mail();
    }

    fn there_is_mail(&self) {
        let known = self.0.has_mail.swap(true, Ordering::AcqRel);
        // The loop's own thread looks before it waits.
        if !known && HERE.get() != self.address() {
            // It fails only if the kernel has no memory for eight bytes.
            let _ = self.0.waker.wake();
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    fn has_mail(&self) -> bool {
        self.0.has_mail.load(Ordering::Acquire)
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// A panic elsewhere must not end all sessions: it is consistent between any two lines.
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.0.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail {
    fn next_seat(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.seats += 1;
            self.seats - 1
        })
    }
}

#[cfg(test)]
#[path = "event_loop_tests.rs"]
mod tests;
