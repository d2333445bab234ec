//! A client whose bytes pass through httpd's connection filters: TLS by mod_ssl (or any other
//! module). Under those filters sit two of our own: the way in takes ciphertext from the socket
//! without ever waiting, the way out collects ciphertext in memory. So TLS is a pure
//! transformation of bytes, and all waiting is the event loop's.
//!
//! One session owns a `Filtered` and drives it from one task at a time. Filters,
//! buckets and pools of a connection are not bound to a thread, and nobody else touches them while
//! the connection is suspended or its worker parked.

use super::connection::drain_brigade;
use crate::ffi;
use crate::net::{Io, Seat, Side, Socket};
use crate::relay::{MESSAGE, ScratchBuffer};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
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
    static SCRATCH_BUFFER: RefCell<ScratchBuffer> = RefCell::new(ScratchBuffer::new(RECEIVE));
    static OUT_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

static INPUT: AtomicPtr<ffi::ap_filter_rec_t> = AtomicPtr::new(ptr::null_mut());
static OUTPUT: AtomicPtr<ffi::ap_filter_rec_t> = AtomicPtr::new(ptr::null_mut());

/// Declares both filters; called while hooks are registered. They sit right above the core's own.
pub fn register_filters() {
    let layer = ffi::ap_filter_type_AP_FTYPE_NETWORK - 1;
    // SAFETY: called from the register_hooks function, single-threaded; the names are static.
    unsafe {
        let name = c"WSROUTE_NETWORK";
        let input = ffi::ap_register_input_filter(name.as_ptr(), Some(network_in), None, layer);
        let output = ffi::ap_register_output_filter(name.as_ptr(), Some(network_out), None, layer);
        INPUT.store(input, Ordering::Relaxed);
        OUTPUT.store(output, Ordering::Relaxed);
    }
}

/// See the module's own words.
pub struct Filtered {
    c: NonNull<ffi::conn_rec>,
    brigade: NonNull<ffi::apr_bucket_brigade>,
    network: Box<Network>,
    filters: [NonNull<ffi::ap_filter_t>; 2],
    /// mod_ssl has said goodbye and let go of the TLS session: what comes is ciphertext nobody
    /// can read.
    shut_down: bool,
}

/// What lies under the filters; both of ours point here.
struct Network {
    socket: Socket,
    /// Ciphertext read from the socket and not yet taken by the filter above.
    received: Vec<u8>,
    taken: usize,
    /// Ciphertext that waits for the socket.
    unsent: Vec<u8>,
    sent: usize,
    /// The socket said that it has no more for now, in this poll.
    dry: bool,
    /// The poll under way, if one is.
    task: *mut Context<'static>,
}

// SAFETY: see the module's own words: one task owns it, and httpd has let go of the connection.
unsafe impl Send for Filtered {}

impl Filtered {
    /// Puts our filters under those of `c`. `leftovers` is ciphertext that httpd had read.
    ///
    /// # Safety
    /// `c` must be live, out of httpd's hands for as long as this value lives, and must outlive it.
    pub unsafe fn new(c: *mut ffi::conn_rec, socket: Socket, leftovers: Vec<u8>) -> Filtered {
        let mut network = Box::new(Network {
            socket,
            received: leftovers,
            taken: 0,
            unsent: Vec::new(),
            sent: 0,
            dry: false,
            task: ptr::null_mut(),
        });
        let context: *mut c_void = (&raw mut *network).cast();
        // SAFETY: the caller guarantees c; the context lives in a Box that `drop` unhooks first.
        unsafe {
            let input = INPUT.load(Ordering::Relaxed);
            let output = OUTPUT.load(Ordering::Relaxed);
            let filters = [
                ffi::ap_add_input_filter_handle(input, context, ptr::null_mut(), c),
                ffi::ap_add_output_filter_handle(output, context, ptr::null_mut(), c),
            ];
            Filtered {
                c: NonNull::new_unchecked(c),
                brigade: NonNull::new_unchecked(ffi::apr_brigade_create(
                    (*c).pool,
                    (*c).bucket_alloc,
                )),
                network,
                filters: filters.map(|f| NonNull::new(f).expect("httpd adds what it registered")),
                shut_down: false,
            }
        }
    }

    /// Runs `work` with the task known to the filters.
    fn with_task<T>(&mut self, cx: &mut Context<'_>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.network.task = ptr::from_mut(cx).cast();
        let result = work(self);
        self.network.task = ptr::null_mut();
        result
    }

    /// Decrypts what is there.
    fn read_filters(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<Received> {
        let mut received = Received::Nothing;
        self.network.dry = false;
        let mut tries = 0;
        while buf.remaining() > 0 {
            // SAFETY: the connection is ours; what the filters call is ours or pure.
            let status = unsafe {
                ffi::ap_get_brigade(
                    (*self.c.as_ptr()).input_filters,
                    self.brigade.as_ptr(),
                    ffi::ap_input_mode_t_AP_MODE_READBYTES,
                    ffi::apr_read_type_e_APR_NONBLOCK_READ,
                    buf.remaining() as ffi::apr_off_t,
                )
            };
            let before = buf.filled().len();
            // SAFETY: the brigade is ours. READBYTES gives no more than was asked for.
            unsafe { drain_brigade(self.brigade.as_ptr(), &mut |data| buf.put_slice(data)) };
            let progress = buf.filled().len() > before;
            if progress {
                received = Received::Data;
            }
            match status as u32 {
                ffi::APR_SUCCESS if progress => {}
                _ if received == Received::Data => break,
                ffi::APR_EAGAIN | ffi::APR_SUCCESS if self.network.dry => break,
                // A filter ate something that was no data (mod_ssl stops after each key update)
                // and did not look whether more is there.
                ffi::APR_EAGAIN | ffi::APR_SUCCESS if tries < 16 => tries += 1,
                ffi::APR_EAGAIN | ffi::APR_SUCCESS => return Ok(Received::AskAgain),
                ffi::APR_EOF => return Ok(Received::End),
                _ => return Err(io::Error::other("the client's TLS connection broke")),
            }
        }
        Ok(received)
    }

    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: the connection is ours; mod_ssl reads the transient bucket before it returns.
        let status = unsafe {
            let alloc = (*self.c.as_ptr()).bucket_alloc;
            let brigade = self.brigade.as_ptr();
            let bucket = ffi::wsroute_transient_bucket(bytes.as_ptr().cast(), bytes.len(), alloc);
            ffi::wsroute_brigade_append(brigade, bucket);
            let status = ffi::ap_pass_brigade((*self.c.as_ptr()).output_filters, brigade);
            ffi::apr_brigade_cleanup(brigade.cast::<c_void>());
            status
        };
        if status == 0 { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

#[derive(PartialEq, Clone, Copy)]
enum Received {
    /// The socket has no more; it will wake the task.
    Nothing,
    /// Nothing so far, and nobody will wake the task.
    AskAgain,
    Data,
    End,
}

impl Io for Filtered {
    fn take_seat(&mut self, seat: &Arc<Seat>, side: Side) {
        self.network.socket.take_seat(seat, side);
    }
}

impl AsyncRead for Filtered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shut_down {
            return self.network.poll_discard(cx);
        }
        // A client that asks for key updates and reads nothing must not fill memory.
        if self.network.unsent_len() > UNSENT {
            ready!(self.network.poll_send(cx))?;
        }
        let received = self.with_task(cx, |this| this.read_filters(buf))?;
        // Reading may have made something to say (a key update, an alert).
        if let Poll::Ready(Err(e)) = self.network.poll_send(cx)
            && received == Received::Nothing
        {
            return Poll::Ready(Err(e));
        }
        match received {
            Received::Nothing => Poll::Pending,
            Received::AskAgain => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Received::Data | Received::End => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Filtered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.shut_down {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.network.poll_send(cx))?;
        let bytes = &bytes[..bytes.len().min(MESSAGE)];
        self.network.borrow_buffer();
        let encrypted = self.with_task(cx, |this| this.encrypt(bytes));
        let sent = self.network.poll_write_out(cx);
        self.network.return_buffer();
        encrypted?;
        if let Poll::Ready(Err(e)) = sent {
            return Poll::Ready(Err(e));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut_down {
            self.with_task(cx, |this| {
                let c = this.c.as_ptr();
                // SAFETY: the connection is ours. Without FLUSH this passes an end-of-connection
                // bucket, for which mod_ssl writes its close_notify to our filter.
                unsafe {
                    ffi::ap_prep_lingering_close(c);
                    ffi::ap_shutdown_conn(c, 0);
                }
            });
            self.shut_down = true;
        }
        ready!(self.network.poll_send(cx))?;
        Pin::new(&mut self.network.socket).poll_shutdown(cx)
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        // The filters stay in the connection's chain until its pool goes; they must find nothing.
        for filter in self.filters {
            // SAFETY: the connection, and so its filters, outlive this value.
            unsafe { (*filter.as_ptr()).ctx = ptr::null_mut() };
        }
    }
}

impl Network {
    fn unsent_len(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Sends what is unsent; `Ready(Ok)` when nothing is left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        (self.unsent, self.sent) = (Vec::new(), 0);
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

    /// The thread's buffer for what is about to be encrypted. Nothing is unsent.
    fn borrow_buffer(&mut self) {
        (self.unsent, self.sent) = (OUT_BUFFER.take(), 0);
    }

    /// Gives the thread's buffer back. What the socket did not take moves into one of our own.
    fn return_buffer(&mut self) {
        let left = self.unsent[self.sent..].to_vec();
        let mut buffer = mem::replace(&mut self.unsent, left);
        self.sent = 0;
        buffer.clear();
        OUT_BUFFER.set(buffer);
    }

    /// Reads to the end of the stream and forgets it.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// Gives up to `want` bytes of ciphertext to `take`.
    fn receive(&mut self, want: usize, take: &mut dyn FnMut(&[u8])) -> u32 {
        if self.taken == self.received.len() {
            let Some(mut task) = NonNull::new(self.task) else {
                return ffi::APR_ECONNABORTED;
            };
            // SAFETY: `with_task` set it for the poll under way, which called the filters.
            let cx = unsafe { task.as_mut() };
            self.received.clear();
            self.taken = 0;
            let status = SCRATCH_BUFFER.with_borrow_mut(|scratch| {
                let mut buf = ReadBuf::new(scratch.get());
                let result = Pin::new(&mut self.socket).poll_read(cx, &mut buf);
                self.received.extend_from_slice(buf.filled());
                match result {
                    Poll::Pending => {
                        self.dry = true;
                        ffi::APR_EAGAIN
                    }
                    Poll::Ready(Ok(())) if self.received.is_empty() => ffi::APR_EOF,
                    Poll::Ready(Ok(())) => ffi::APR_SUCCESS,
                    Poll::Ready(Err(_)) => ffi::APR_ECONNABORTED,
                }
            });
            if status != ffi::APR_SUCCESS {
                // At rest a session owns no buffer.
                self.received = Vec::new();
                return status;
            }
        }
        let end = self.received.len().min(self.taken + want);
        take(&self.received[self.taken..end]);
        self.taken = end;
        ffi::APR_SUCCESS
    }
}

/// The network behind one of our filters, if its session still lives.
///
/// # Safety
/// `f` must be one of our filters.
unsafe fn network<'a>(f: *mut ffi::ap_filter_t) -> Option<&'a mut Network> {
    // SAFETY: ctx is NULL or the Box of a living `Filtered`; only its own poll calls the filters.
    unsafe { (*f).ctx.cast::<Network>().as_mut() }
}

httpd_entry! {
    /// The way in: ciphertext from memory or from the socket, never waiting.
    fn network_in(
        f: *mut ffi::ap_filter_t,
        brigade: *mut ffi::apr_bucket_brigade,
        _mode: ffi::ap_input_mode_t,
        block: ffi::apr_read_type_e,
        want: ffi::apr_off_t,
    ) -> ffi::apr_status_t = ffi::APR_ECONNABORTED as ffi::apr_status_t; {
        // SAFETY: httpd calls this with our filter and a live brigade. The bucket is transient:
        // mod_ssl copies it into OpenSSL before it asks for more.
        unsafe {
            let Some(network) = network(f) else {
                return ffi::APR_ECONNABORTED as ffi::apr_status_t;
            };
            let alloc = (*(*f).c).bucket_alloc;
            let want = want.clamp(1, RECEIVE as ffi::apr_off_t) as usize;
            let status = network.receive(want, &mut |data| {
                let bucket = ffi::wsroute_transient_bucket(data.as_ptr().cast(), data.len(), alloc);
                ffi::wsroute_brigade_append(brigade, bucket);
            });
            // Whoever asks to wait asks the wrong one: a relay thread never waits.
            if status == ffi::APR_EAGAIN && block == ffi::apr_read_type_e_APR_BLOCK_READ {
                return ffi::APR_ECONNABORTED as ffi::apr_status_t;
            }
            status as ffi::apr_status_t
        }
    }
}

httpd_entry! {
    /// The way out: ciphertext goes to memory, flushes and other signs go nowhere.
    fn network_out(
        f: *mut ffi::ap_filter_t,
        brigade: *mut ffi::apr_bucket_brigade,
    ) -> ffi::apr_status_t = ffi::APR_ECONNABORTED as ffi::apr_status_t; {
        // SAFETY: httpd calls this with our filter and a live brigade.
        unsafe {
            let network = network(f);
            let lost = network.is_none();
            let mut nowhere = Vec::new();
            let unsent = network.map_or(&mut nowhere, |n| &mut n.unsent);
            drain_brigade(brigade, &mut |data| unsent.extend_from_slice(data));
            if lost { ffi::APR_ECONNABORTED as ffi::apr_status_t } else { 0 }
        }
    }
}
