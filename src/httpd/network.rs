//! What lies below a client's TLS session: its socket, and ciphertext on the way in and out. It never waits:
//! whoever reads is told that nothing is there, and what the socket does not take stays here.

use crate::ffi;
use crate::net::{Io, Seat, Side, Socket};
use crate::relay::ScratchBuffer;
use std::cell::Cell;
use std::ops::Range;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{io, mem};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much ciphertext may wait for the socket before no more is made, in bytes.
const UNSENT: usize = 64 * 1024;
/// How much ciphertext is read from the socket at once.
const RECEIVE: usize = 64 * 1024;

thread_local! {
    /// Buffers of this thread, for as long as one poll takes: for ciphertext that comes in, and
    /// for ciphertext on its way out. What is left of it after the poll is the session's own.
    static IN_BUFFER: Cell<Option<Box<ScratchBuffer>>> = const { Cell::new(None) };
    static OUT_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// See the module's own words.
pub struct Network {
    socket: Socket,
    /// Ciphertext that was read in an earlier poll, or by httpd, and what of it was taken.
    left: Vec<u8>,
    left_taken: usize,
    /// The thread's buffer while a poll is under way, and where in it ciphertext lies.
    received: Option<Box<ScratchBuffer>>,
    untaken: Range<usize>,
    /// Ciphertext that waits for the socket.
    unsent: Vec<u8>,
    sent: usize,
    /// The socket said that it has no more for now, in this poll.
    dry: bool,
    /// The client's stream has ended.
    ended: bool,
    /// The socket is broken.
    failed: bool,
    /// Ciphertext that none of httpd's filters has seen, in bytes.
    unseen: u64,
    /// The poll under way, if one is.
    task: *mut Context<'static>,
}

impl Network {
    /// `left` is ciphertext that httpd had read.
    pub fn new(socket: Socket, left: Vec<u8>) -> Network {
        Network {
            socket,
            left,
            left_taken: 0,
            received: None,
            untaken: 0..0,
            unsent: Vec::new(),
            sent: 0,
            dry: false,
            ended: false,
            failed: false,
            unseen: 0,
            task: ptr::null_mut(),
        }
    }

    /// The socket goes to an event loop.
    pub fn take_seat(&mut self, seat: &Arc<Seat>, side: Side) {
        self.socket.take_seat(seat, side);
    }

    /// From now on [`Network::receive`] may ask the socket; `cx` must live until [`Network::pause`].
    pub fn resume(&mut self, cx: &mut Context<'_>) {
        self.task = ptr::from_mut(cx).cast();
        self.received = IN_BUFFER.take();
        self.dry = false;
    }

    /// Gives the thread's buffer back. What was not taken of it moves into one of our own.
    pub fn pause(&mut self) {
        self.task = ptr::null_mut();
        if self.left_taken == self.left.len() {
            // At rest a session owns no buffer.
            (self.left, self.left_taken) = (Vec::new(), 0);
        }
        let untaken = mem::take(&mut self.untaken);
        if let Some(received) = &mut self.received {
            self.left.extend_from_slice(&received.get()[untaken]);
        }
        IN_BUFFER.set(self.received.take());
    }

    /// Gives up to `want` bytes of ciphertext to `take`. An APR status: EAGAIN if nothing is there, EOF at the
    /// end of the stream.
    pub fn receive(&mut self, want: usize, take: &mut dyn FnMut(&[u8])) -> u32 {
        if self.left_taken < self.left.len() {
            let end = self.left.len().min(self.left_taken + want);
            take(&self.left[self.left_taken..end]);
            self.left_taken = end;
            return ffi::APR_SUCCESS;
        }
        // After an error a socket only says that its stream has ended.
        let task = NonNull::new(self.task).filter(|_| !self.failed);
        let Some(mut task) = task else { return ffi::APR_ECONNABORTED };
        // SAFETY: `resume` set it for the poll under way, which asks us.
        let cx = unsafe { task.as_mut() };
        let received = self.received.get_or_insert_with(|| Box::new(ScratchBuffer::new(RECEIVE)));
        if self.untaken.is_empty() {
            let mut buf = ReadBuf::new(received.get());
            match Pin::new(&mut self.socket).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    self.dry = true;
                    return ffi::APR_EAGAIN;
                }
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    self.ended = true;
                    return ffi::APR_EOF;
                }
                Poll::Ready(Ok(())) => self.untaken = 0..buf.filled().len(),
                Poll::Ready(Err(_)) => {
                    self.failed = true;
                    return ffi::APR_ECONNABORTED;
                }
            }
        }
        let end = self.untaken.end.min(self.untaken.start + want);
        take(&received.get()[self.untaken.start..end]);
        self.untaken.start = end;
        ffi::APR_SUCCESS
    }

    /// [`Network::receive`] has said in this poll that the socket will wake the task.
    pub fn is_dry(&self) -> bool {
        self.dry
    }

    /// [`Network::receive`] would say so without asking the socket.
    pub fn is_silent(&self) -> bool {
        self.untaken.is_empty() && self.left_taken == self.left.len() && self.socket.is_silent()
    }

    /// The client's stream has ended.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// So many of the bytes received went by all of httpd's filters.
    pub fn count(&mut self, bytes: u64) {
        self.unseen += bytes;
    }

    /// How many did so.
    pub fn unseen(&self) -> u64 {
        self.unseen
    }

    /// Keeps ciphertext for the socket.
    pub fn send_later(&mut self, ciphertext: &[u8]) {
        self.unsent.extend_from_slice(ciphertext);
    }

    /// So much waits for the socket that no more should be made.
    pub fn is_full(&self) -> bool {
        self.unsent.len() - self.sent > UNSENT
    }

    /// Sends what is unsent; `Ready(Ok)` when nothing is left.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unsent.is_empty() {
            ready!(self.poll_write_out(cx))?;
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let rest = &self.unsent[self.sent..];
            match ready!(Pin::new(&mut self.socket).poll_write(cx, rest)) {
                Ok(n) if n > 0 => self.sent += n,
                Ok(_) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Lends the thread's buffer for what is about to be encrypted. Nothing must be unsent.
    pub fn borrow_buffer(&mut self) {
        (self.unsent, self.sent) = (OUT_BUFFER.take(), 0);
    }

    /// Sends what was encrypted and gives the thread's buffer back. What the socket does not take moves into one
    /// of our own.
    pub fn send_and_return_buffer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let sent = self.poll_write_out(cx);
        let left = self.unsent[self.sent..].to_vec();
        let mut buffer = mem::replace(&mut self.unsent, left);
        self.sent = 0;
        buffer.clear();
        OUT_BUFFER.set(buffer);
        match sent {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    /// Reads to the end of the stream and forgets it.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waste = [0; 4096];
        for _ in 0..16 {
            let mut buf = ReadBuf::new(&mut waste);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// No more comes from us: FIN, once everything is sent.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
