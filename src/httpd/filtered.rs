//! A client whose bytes pass through TLS, or through any other of httpd's connection filters. Under those sit
//! two of our own: the way in takes ciphertext from the [`Network`] without ever waiting, the way out
//! collects it there. So TLS is a pure transformation of bytes, and all waiting is the event loop's.
//!
//! Where nothing but mod_ssl is in the way, its filters carry no more than what they hold in the beginning and
//! the goodbye at the end; between, the session itself is asked ([`Tls`]): less work for each record.
//!
//! One session owns a `Filtered` and drives it from one task at a time. Filters,
//! buckets and pools of a connection are not bound to a thread, and nobody else touches them while
//! the connection is suspended or its worker parked.

use super::connection::{count_bytes_of, drain_brigade};
use super::log::{self, Level};
use super::mod_ssl::{self, Tls};
use super::network::Network;
use crate::ffi;
use crate::net::{Io, Seat, Side, Socket};
use crate::relay::MESSAGE;
use std::ffi::c_void;
use std::io;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much one of httpd's filters gets at once, in bytes.
const PIECE: ffi::apr_off_t = 64 * 1024;
/// How often in one poll a filter may eat something that was no data.
const TRIES: usize = 16;

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
    /// mod_ssl's session, if nothing but mod_ssl is in the way. Attached: it is asked instead of the filters.
    tls: Option<Tls>,
    /// More may come without a word from the socket.
    may_have_more: bool,
    /// mod_ssl has said goodbye and let go of the TLS session: what comes is ciphertext nobody
    /// can read.
    shut_down: bool,
}

// SAFETY: see the module's own words: one task owns it, and httpd has let go of the connection.
unsafe impl Send for Filtered {}

impl Filtered {
    /// Puts our filters under those of `c`. `leftovers` is ciphertext that httpd had read; `tls` is for a
    /// connection without other filters than mod_ssl's.
    ///
    /// # Safety
    /// `c` must be live, out of httpd's hands for as long as this value lives, and must outlive it.
    pub unsafe fn new(
        c: *mut ffi::conn_rec,
        socket: Socket,
        leftovers: Vec<u8>,
        tls: Option<Tls>,
    ) -> Filtered {
        let mut network = Box::new(Network::new(socket, leftovers));
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
                tls,
                may_have_more: true,
                shut_down: false,
            }
        }
    }

    /// Runs `work` with the task known to the network.
    fn with_task<T>(&mut self, cx: &mut Context<'_>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.network.resume(cx);
        let result = work(self);
        self.network.pause();
        result
    }

    /// The session, once it is asked directly.
    fn attached(&self) -> Option<&Tls> {
        self.tls.as_ref().filter(|tls| tls.is_attached())
    }

    /// Decrypts what is there.
    fn read(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<Received> {
        if self.attached().is_some() {
            return self.read_session(buf);
        }
        let received = self.read_filters(buf)?;
        if received == Received::Nothing {
            self.attach();
        }
        Ok(received)
    }

    /// Nothing is left in mod_ssl's own buffers: from now on its session is asked.
    fn attach(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        // SAFETY: the network lives in a Box, which is dropped after `tls`; `with_task` is its only user.
        if unsafe { tls.attach(&raw mut *self.network) } {
            let text = || "client-tls: by mod_ssl's session itself".into();
            // SAFETY: the connection is ours.
            unsafe { log::connection(Level::Debug, self.c.as_ptr(), text) };
        } else {
            self.tls = None;
        }
    }

    /// Decrypts what is there, from the session itself.
    fn read_session(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<Received> {
        let Some(tls) = &self.tls else { return Ok(Received::Nothing) };
        let before = buf.filled().len();
        let mut tries = 0;
        while buf.remaining() > 0 {
            match tls.read(buf.initialize_unfilled()) {
                mod_ssl::Received::Data(n) => {
                    buf.advance(n);
                    if self.network.is_silent() && !tls.has_pending() {
                        // To ask again would be for nothing, and it costs as much as a message.
                        self.may_have_more = false;
                        return Ok(Received::Data);
                    }
                }
                _ if buf.filled().len() > before => break,
                mod_ssl::Received::Nothing if self.network.is_dry() => {
                    return Ok(Received::Nothing);
                }
                // OpenSSL ate something that was no data. (With its read-ahead it could eat thousands.)
                mod_ssl::Received::Nothing if tries < TRIES => tries += 1,
                mod_ssl::Received::Nothing => {
                    self.may_have_more = true;
                    return Ok(Received::AskAgain);
                }
                mod_ssl::Received::Broken(why) if !self.network.has_ended() => {
                    if let Some(why) = why {
                        let text = || format!("client-tls: {why}");
                        // SAFETY: the connection is ours.
                        unsafe { log::connection(Level::Info, self.c.as_ptr(), text) };
                    }
                    return Err(broken());
                }
                mod_ssl::Received::Broken(_) | mod_ssl::Received::End => return Ok(Received::End),
            }
        }
        self.may_have_more = true;
        Ok(Received::Data)
    }

    /// Decrypts what is there, by way of the filters.
    fn read_filters(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<Received> {
        let mut received = Received::Nothing;
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
                ffi::APR_EAGAIN | ffi::APR_SUCCESS if self.network.is_dry() => break,
                // A filter ate something that was no data (mod_ssl stops after each key update)
                // and did not look whether more is there.
                ffi::APR_EAGAIN | ffi::APR_SUCCESS if tries < TRIES => tries += 1,
                ffi::APR_EAGAIN | ffi::APR_SUCCESS => return Ok(Received::AskAgain),
                ffi::APR_EOF => return Ok(Received::End),
                _ => return Err(broken()),
            }
        }
        Ok(received)
    }

    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(tls) = self.attached() {
            return tls.write(bytes);
        }
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

fn broken() -> io::Error {
    io::Error::other("the client's TLS connection broke")
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
        self.network.take_seat(seat, side);
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
        if self.network.is_full() {
            ready!(self.network.poll_send(cx))?;
        }
        if !self.may_have_more && self.network.is_silent() {
            ready!(self.network.poll_send(cx))?;
            return Poll::Pending;
        }
        let received = self.with_task(cx, |this| this.read(buf));
        // Reading may have made something to say (a key update, an alert).
        let sent = self.network.poll_send(cx);
        let received = received?;
        if let Poll::Ready(Err(e)) = sent
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
        let sent = self.network.send_and_return_buffer(cx);
        encrypted.and(sent)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut_down {
            self.tls = None;
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
        self.network.poll_shutdown(cx)
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        self.tls = None;
        // SAFETY: the connection outlives this value, and its session is still the one that drives it.
        unsafe { count_bytes_of(self.c.as_ptr(), self.network.unseen(), 0) };
        // The filters stay in the connection's chain until its pool goes; they must find nothing.
        for filter in self.filters {
            // SAFETY: the connection, and so its filters, outlive this value.
            unsafe { (*filter.as_ptr()).ctx = ptr::null_mut() };
        }
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
            let want = want.clamp(1, PIECE) as usize;
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
            let mut network = network(f);
            let lost = network.is_none();
            drain_brigade(brigade, &mut |data| {
                if let Some(network) = &mut network {
                    network.send_later(data);
                }
            });
            if lost { ffi::APR_ECONNABORTED as ffi::apr_status_t } else { 0 }
        }
    }
}
