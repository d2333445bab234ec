//! One direction of a tunnel: reads from one end, writes to the other, holds what could not be
//! written and nothing else.

use super::{MESSAGE, ScratchBuffer, Traffic};
use crate::net::Io;
use crate::upgrade::frame::FrameCursor;
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// How much is read at once in bytes, where the reads before were full and all that they gave was written at
/// once: larger pieces cost less then. A direction holds this much at most; elsewhere a [`MESSAGE`].
const BULK: usize = 260 * 1024;
/// How much passes before the other direction, and other sessions, get their turn, in bytes and in reads.
const BYTES_PER_POLL: u64 = 512 * 1024;
const READS_PER_POLL: usize = 8;

thread_local! {
    /// One buffer for each thread: a session at rest owns none.
    static SCRATCH_BUFFER: RefCell<ScratchBuffer> = RefCell::new(ScratchBuffer::new(BULK));
}

/// How far the reading side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Open,
    /// End of stream.
    Ended,
    /// Reset, or broken otherwise.
    Failed,
}

/// How far the writing side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    Open,
    /// We said that no more comes (FIN, close_notify).
    ShutDown,
    /// Nobody takes what we write.
    Failed,
}

pub(super) struct Direction {
    pub source: Source,
    pub sink: Sink,
    pub frames: FrameCursor,
    bytes: u64,
    /// Read and not yet written. Empty, and without memory, whenever the sink keeps up.
    pending: Vec<u8>,
    written: usize,
    /// The last read was full, and all of it was written.
    bulk: bool,
    /// The sink may hold bytes of its own (TLS records).
    unflushed: bool,
    /// A Close frame of ours that waits for the end of the frame under way.
    seal: Option<Vec<u8>>,
    /// A Close frame of ours is the last thing that this direction carries.
    sealed: bool,
}

impl Direction {
    /// Begins with bytes that were read from the source before.
    pub fn new(mut early: Vec<u8>) -> Direction {
        // Often there are none, in a buffer that would stay for as long as nothing passes.
        early.shrink_to_fit();
        let mut frames = FrameCursor::default();
        frames.advance(&early);
        Direction {
            source: Source::Open,
            sink: Sink::Open,
            frames,
            bytes: early.len() as u64,
            pending: early,
            written: 0,
            bulk: false,
            unflushed: false,
            seal: None,
            sealed: false,
        }
    }

    /// Copies until one side has to wait. `Ready` means: nothing is left to do before the source
    /// or the sink changes its state; look at them.
    pub fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Io,
        to: &mut dyn Io,
    ) -> Poll<()> {
        let until = self.bytes + BYTES_PER_POLL;
        for _ in 0..READS_PER_POLL {
            ready!(self.poll_drain(cx, to));
            if self.source != Source::Open {
                return Poll::Ready(());
            }
            ready!(self.poll_read_once(cx, from, to));
            if self.bytes >= until {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes out what is held.
    fn poll_drain(&mut self, cx: &mut Context<'_>, to: &mut dyn Io) -> Poll<()> {
        while self.written < self.pending.len() && self.sink == Sink::Open {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.pending[self.written..])) {
                Ok(n) if n > 0 => {
                    self.written += n;
                    self.unflushed = true;
                }
                _ => self.sink = Sink::Failed,
            }
        }
        if self.written > 0 || self.sink != Sink::Open {
            self.pending = Vec::new();
            self.written = 0;
        }
        if self.unflushed && self.sink == Sink::Open {
            if ready!(Pin::new(&mut *to).poll_flush(cx)).is_err() {
                self.sink = Sink::Failed;
            }
            self.unflushed = false;
        }
        Poll::Ready(())
    }

    fn poll_read_once(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Io,
        to: &mut dyn Io,
    ) -> Poll<()> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let longest = if self.bulk { BULK } else { MESSAGE };
            let mut buf = ReadBuf::new(&mut scratch.get()[..longest]);
            let result = ready!(Pin::new(from).poll_read(cx, &mut buf));
            let bytes = buf.filled();
            match result {
                Err(_) => self.source = Source::Failed,
                Ok(()) if bytes.is_empty() => self.source = Source::Ended,
                Ok(()) => {
                    self.carry(cx, bytes, to);
                    self.bulk = bytes.len() >= MESSAGE && self.pending.is_empty();
                }
            }
            Poll::Ready(())
        })
    }

    /// Passes on what was just read; keeps what the sink does not take at once.
    fn carry(&mut self, cx: &mut Context<'_>, bytes: &[u8], to: &mut dyn Io) {
        if self.sealed || self.sink != Sink::Open {
            return;
        }
        let bytes = if self.seal.is_some() {
            &bytes[..self.frames.advance_to_boundary(bytes)]
        } else {
            self.frames.advance(bytes);
            bytes
        };
        self.bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, rest) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.unflushed = true;
                    rest = &rest[n..];
                }
                Poll::Pending => break,
                Poll::Ready(_) => {
                    self.sink = Sink::Failed;
                    return;
                }
            }
        }
        self.pending = rest.to_vec();
        self.seal_if_possible();
    }

    /// Everything that was read has been taken by the sink's transport (or never will be).
    pub fn is_drained(&self) -> bool {
        self.pending.is_empty() && !self.unflushed
    }

    /// Makes a Close frame the last bytes of this direction: now, or when the frame under way has
    /// ended. None is added once a Close frame has passed.
    pub fn seal(&mut self, close_frame: Vec<u8>) {
        if !self.sealed {
            self.seal = Some(close_frame);
            self.seal_if_possible();
        }
    }

    fn seal_if_possible(&mut self) {
        if !self.frames.at_boundary() || self.frames.close_passed() {
            return;
        }
        if let Some(close_frame) = self.seal.take() {
            self.sealed = true;
            self.pending.extend_from_slice(&close_frame);
        }
    }

    /// A Close frame of ours ended this direction.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// No more bytes to the sink after those held: says so to the other end, once.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>, to: &mut dyn Io) -> Poll<()> {
        if self.sink == Sink::Open && self.is_drained() {
            let sent = ready!(Pin::new(to).poll_shutdown(cx));
            self.sink = if sent.is_ok() { Sink::ShutDown } else { Sink::Failed };
        }
        Poll::Ready(())
    }

    pub fn traffic(&self) -> Traffic {
        Traffic { bytes: self.bytes, messages: self.frames.messages() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Seat, Side};
    use std::io;
    use std::sync::Arc;
    use std::task::Waker;
    use tokio::io::{AsyncRead, AsyncWrite};

    /// Has so many bytes for each read in turn, then nothing; takes a piece at each call, as TLS does, and
    /// sometimes nothing.
    #[derive(Default)]
    struct Ends {
        has: Vec<usize>,
        asked: Vec<usize>,
        given: Vec<u8>,
        room: Vec<bool>,
        taken: Vec<u8>,
    }

    impl AsyncRead for Ends {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(has) = self.has.pop() else { return Poll::Pending };
            self.asked.push(buf.remaining());
            let from = self.given.len();
            let some = (from..from + has.min(buf.remaining())).map(|i| (i / 7 + i / 1000) as u8);
            self.given.extend(some);
            buf.put_slice(&self.given[from..]);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Ends {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if !self.room.pop().unwrap_or(true) {
                return Poll::Pending;
            }
            let taken = bytes.len().min(MESSAGE);
            self.taken.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Io for Ends {
        fn take_seat(&mut self, _: &Arc<Seat>, _: Side) {}
    }

    /// How much each read asked for. `has` and `room` are for one call after the other, last first.
    fn asked(has: Vec<usize>, room: Vec<bool>) -> Vec<usize> {
        let mut direction = Direction::new(Vec::new());
        let (mut from, mut to) =
            (Ends { has, ..Default::default() }, Ends { room, ..Default::default() });
        let cx = &mut Context::from_waker(Waker::noop());
        while !from.has.is_empty() || !direction.is_drained() {
            let _ = direction.poll_copy(cx, &mut from, &mut to);
        }
        assert!(from.given == to.taken && from.given.len() as u64 == direction.bytes);
        from.asked
    }

    #[test]
    fn a_sender_that_fills_the_buffer_gets_a_larger_one() {
        let has = vec![1, 10, BULK, MESSAGE, 10];
        assert_eq!(asked(has, vec![]), [MESSAGE, MESSAGE, BULK, BULK, MESSAGE]);
    }

    #[test]
    fn not_so_if_the_other_side_does_not_take_it_and_nothing_is_lost() {
        // The second read is bulk: of its pieces one is taken, then the other side has no room twice.
        let room = vec![false, false, true, true];
        let has = vec![1, BULK, BULK, MESSAGE];
        assert_eq!(asked(has, room), [MESSAGE, BULK, MESSAGE, BULK]);
    }
}
