//! A session's place in an event loop: what is known of its two sockets, and how it is woken.

use super::LoopHandle;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Token};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::task::Wake;

/// One of the two sockets of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Towards the client.
    Client = 0,
    /// Towards the upstream.
    Upstream = 1,
}

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
/// The kernel said that no more will come, or that the socket is broken: to read never has to wait again.
const READ_CLOSED: u8 = 4;
/// The loop is asked to say when the socket is writable; at first it is not.
const WATCHED_FOR_WRITING: u8 = 8;
/// The loop cannot watch the socket: to wait for it would be for ever.
const UNWATCHED: u8 = 16;

const NO_FD: RawFd = -1;

/// See the module's own words. Its sockets use it from the task that has the seat, one thread at a time; to
/// wake it is for any thread.
#[derive(Debug)]
pub struct Seat {
    pub(super) number: usize,
    pub(super) event_loop: LoopHandle,
    /// Somebody asked for a turn, and it was not given yet.
    pub(super) woken: AtomicBool,
    sides: [At; 2],
}

#[derive(Debug)]
struct At {
    state: AtomicU8,
    fd: AtomicI32,
}

impl Seat {
    pub(super) fn new(number: usize, event_loop: LoopHandle) -> Seat {
        let at = || At { state: AtomicU8::new(WRITABLE), fd: AtomicI32::new(NO_FD) };
        Seat { number, event_loop, woken: AtomicBool::new(false), sides: [at(), at()] }
    }

    fn at(&self, side: Side) -> &At {
        &self.sides[side as usize]
    }

    /// The socket `fd` will be watched once the session has arrived. Until then it is taken for not readable.
    pub(super) fn take(&self, side: Side, fd: RawFd) {
        self.at(side).fd.store(fd, Ordering::Relaxed);
    }

    /// The socket leaves, for another seat or because it will be closed. A registration can outlive the
    /// descriptor: until a process that was just forked has begun its own program, it has it, too.
    pub(super) fn leave(&self, side: Side) {
        let fd = self.at(side).fd.swap(NO_FD, Ordering::Relaxed);
        // It fails if the session had not arrived yet.
        let _ = self.event_loop.registry().deregister(&mut SourceFd(&fd));
    }

    /// Has the loop watch both sockets. What came before now is an event as well.
    pub(super) fn watch(&self) -> io::Result<()> {
        for side in [Side::Client, Side::Upstream] {
            let at = self.at(side);
            let fd = at.fd.load(Ordering::Relaxed);
            if fd != NO_FD {
                let interest = at.interest();
                self.event_loop.registry().register(
                    &mut SourceFd(&fd),
                    self.token(side),
                    interest,
                )?;
            }
        }
        Ok(())
    }

    fn token(&self, side: Side) -> Token {
        Token(2 * self.number + side as usize)
    }

    /// Whose event it is: a seat's number, and which of its sockets.
    pub(super) fn of(token: Token) -> (usize, Side) {
        let side = if token.0.is_multiple_of(2) { Side::Client } else { Side::Upstream };
        (token.0 / 2, side)
    }

    /// What the kernel said.
    pub(super) fn note(&self, side: Side, event: &Event) {
        let mut news = 0;
        if event.is_readable() {
            news |= READABLE;
        }
        if event.is_read_closed() {
            news |= READABLE | READ_CLOSED;
        }
        if event.is_writable() || event.is_write_closed() {
            news |= WRITABLE;
        }
        if event.is_error() {
            news |= READABLE | READ_CLOSED | WRITABLE;
        }
        self.at(side).add(news);
    }

    /// The sockets could not be watched: whoever would have to wait for one gets an error.
    pub(super) fn give_up(&self) {
        self.sides.iter().for_each(|at| at.add(UNWATCHED | READABLE | WRITABLE));
    }

    pub(super) fn is_readable(&self, side: Side) -> bool {
        self.at(side).get() & READABLE != 0
    }

    /// The socket gave all that it had.
    pub(super) fn is_empty_now(&self, side: Side) {
        let at = self.at(side);
        if at.get() & (READ_CLOSED | UNWATCHED) == 0 {
            at.remove(READABLE);
        }
    }

    /// After the kernel said that one would have to wait.
    pub(super) fn may_wait(&self, side: Side) -> io::Result<()> {
        match self.at(side).get() & UNWATCHED {
            0 => Ok(()),
            _ => Err(io::Error::other("the socket cannot be watched")),
        }
    }

    pub(super) fn is_writable(&self, side: Side) -> bool {
        self.at(side).get() & WRITABLE != 0
    }

    /// The socket took as much as it can. The loop says when there is room.
    pub(super) fn is_full_now(&self, side: Side) -> io::Result<()> {
        self.may_wait(side)?;
        let at = self.at(side);
        at.remove(WRITABLE);
        if at.get() & WATCHED_FOR_WRITING != 0 {
            return Ok(());
        }
        at.add(WATCHED_FOR_WRITING);
        let fd = at.fd.load(Ordering::Relaxed);
        let again = self.event_loop.registry().reregister(
            &mut SourceFd(&fd),
            self.token(side),
            at.interest(),
        );
        match again {
            // It has not arrived yet: then it will be watched for both.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// After less was taken than was offered: true if the loop will say when there is room again.
    pub(super) fn is_watched_for_writing(&self, side: Side) -> bool {
        self.at(side).get() & WATCHED_FOR_WRITING != 0
    }
}

impl At {
    fn get(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }

    fn add(&self, bits: u8) {
        self.state.store(self.get() | bits, Ordering::Relaxed);
    }

    fn remove(&self, bits: u8) {
        self.state.store(self.get() & !bits, Ordering::Relaxed);
    }

    fn interest(&self) -> Interest {
        match self.get() & WATCHED_FOR_WRITING {
            0 => Interest::READABLE,
            _ => Interest::READABLE | Interest::WRITABLE,
        }
    }
}

impl Wake for Seat {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.event_loop.ask_for_turn(self.number);
        }
    }
}
