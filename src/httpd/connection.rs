//! Taking a client's connection out of httpd, and giving it back. The order of the steps
//! matters, and was found by measuring; each one says why it is there.

use super::blocks;
use super::filtered::Filtered;
use super::log::{self, Level};
use super::mod_ssl::{Ssl, Tls};
use super::pool;
use super::request::RequestRef;
use crate::ffi;
use crate::net::{Io, Socket};
use crate::upstream::connect::tune;
use std::any::Any;
use std::ffi::{CStr, c_void};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{io, net};

/// How long a read of leftovers may be at once, in bytes. They are what httpd had in memory.
const LEFTOVER_READ: ffi::apr_off_t = 1 << 20;

/// The client's side, out of httpd's hands.
pub struct Client {
    /// The bytes, decrypted if need be. Must be used inside a tokio runtime.
    pub io: Box<dyn Io>,
    /// What httpd had read of them already (plaintext; for TLS it is inside `io`).
    pub early: Vec<u8>,
    /// The client can be read on after the server's side was shut down. Not so through mod_ssl,
    /// which lets go of the TLS session then.
    pub half_close: bool,
}

/// Takes the socket from httpd. From here on httpd neither reads nor writes nor closes it: the
/// descriptor is ours (a duplicate; httpd's own is closed at once, so that nothing httpd does to
/// it, a forced close at stop for one, can meet a descriptor that was given out again).
///
/// Must run on the thread that owns the request, after the 101 was sent and flushed.
pub fn take_client(request: &RequestRef) -> io::Result<Client> {
    let c = request.connection();
    // SAFETY: the connection is live and this thread owns it. Filters are unlinked and buckets
    // freed by httpd's own functions.
    unsafe {
        trim_filters(request);
        (*c).keepalive = ffi::ap_conn_keepalive_e_AP_CONN_CLOSE;
        let socket = take_socket(c)?;
        let plaintext = is_plaintext(c);
        let leftovers =
            read_leftovers(if plaintext { (*c).input_filters } else { last_filter(c) }, c);
        if plaintext {
            return Ok(Client { io: Box::new(socket), early: leftovers, half_close: true });
        }
        let filtered = Filtered::new(c, socket, leftovers, tls_of(request));
        Ok(Client { io: Box::new(filtered), early: Vec::new(), half_close: false })
    }
}

/// Filters that have no business in a tunnel go: those of the request, mod_reqtimeout, mod_ssl's
/// coalescing.
///
/// # Safety
/// The request's connection must be owned by this thread.
unsafe fn trim_filters(request: &RequestRef) {
    // SAFETY: the caller guarantees it; httpd keeps the filter records for the process's life.
    unsafe {
        let r = request.as_ptr();
        let c = request.connection();
        remove_filters((*c).input_filters, c"reqtimeout", ffi::ap_remove_input_filter);
        remove_filters((*c).output_filters, c"reqtimeout", ffi::ap_remove_output_filter);
        let coalescing = c"ssl/tls coalescing filter";
        remove_filters((*c).output_filters, coalescing, ffi::ap_remove_output_filter);
        (*r).input_filters = (*c).input_filters;
        (*r).proto_input_filters = (*c).input_filters;
        (*r).output_filters = (*c).output_filters;
        (*r).proto_output_filters = (*c).output_filters;
        // The answer is the 101: nothing is finalized when the request ends.
        (*r).eos_sent = 1;
    }
}

/// # Safety
/// `filter` must head a live chain of this thread's connection.
unsafe fn remove_filters(
    mut filter: *mut ffi::ap_filter_t,
    name: &CStr,
    remove: unsafe extern "C" fn(*mut ffi::ap_filter_t),
) {
    while let Some(f) = NonNull::new(filter) {
        // SAFETY: the caller guarantees the chain; `next` is read before the removal.
        unsafe {
            filter = f.as_ref().next;
            if filter_name(f.as_ptr()).to_bytes().eq_ignore_ascii_case(name.to_bytes()) {
                remove(f.as_ptr());
            }
        }
    }
}

/// # Safety
/// `f` must be a live filter.
unsafe fn filter_name<'a>(f: *mut ffi::ap_filter_t) -> &'a CStr {
    // SAFETY: a filter's record and its name live as long as the process.
    unsafe { CStr::from_ptr((*(*f).frec).name) }
}

/// Only httpd's own socket filter and the byte counter of mod_logio stand in the way in: what the
/// client sends is what the socket gives.
///
/// # Safety
/// `c` must be a live connection of this thread.
unsafe fn is_plaintext(c: *mut ffi::conn_rec) -> bool {
    // SAFETY: the caller guarantees the connection and so its chain.
    unsafe { other_than((*c).input_filters, &[b"core_in", b"log_input_output"]).is_none() }
}

/// mod_ssl's session, if nothing but mod_ssl (and a counter of bytes) stands between the client's bytes and
/// its socket.
///
/// # Safety
/// The request's connection must be owned by this thread. Nobody may use the result after mod_ssl has ended
/// its session, or while httpd has the connection.
unsafe fn tls_of(request: &RequestRef) -> Option<Tls> {
    let names: [&[u8]; 4] = [b"ssl/tls filter", b"core_in", b"core", b"log_input_output"];
    // SAFETY: the caller guarantees the connection and so its chains.
    unsafe {
        let c = NonNull::new(request.connection())?;
        let [input, output] = [c.as_ref().input_filters, c.as_ref().output_filters];
        if let Some(name) = other_than(input, &names).or_else(|| other_than(output, &names)) {
            log::request(Level::Debug, request, || {
                format!("client-tls: by httpd's filters, as {name:?} is among them")
            });
            return None;
        }
        Tls::new(kept(c)?.ssl?)
    }
}

/// The name of the first filter that is none of these.
///
/// # Safety
/// `filter` must be NULL or in a live chain of this thread's connection.
unsafe fn other_than<'a>(mut filter: *mut ffi::ap_filter_t, names: &[&[u8]]) -> Option<&'a CStr> {
    while let Some(f) = NonNull::new(filter) {
        // SAFETY: the caller guarantees the chain.
        let name = unsafe { filter_name(f.as_ptr()) };
        if !names.iter().any(|one| name.to_bytes().eq_ignore_ascii_case(one)) {
            return Some(name);
        }
        // SAFETY: as above.
        filter = unsafe { f.as_ref().next };
    }
    None
}

/// # Safety
/// `c` must be a live connection of this thread.
unsafe fn last_filter(c: *mut ffi::conn_rec) -> *mut ffi::ap_filter_t {
    // SAFETY: the caller guarantees the connection; it always has the core's filter.
    unsafe {
        let mut filter = (*c).input_filters;
        while !(*filter).next.is_null() {
            filter = (*filter).next;
        }
        filter
    }
}

/// # Safety
/// `c` must be a live connection of this thread, not one of HTTP/2's secondary ones.
unsafe fn take_socket(c: *mut ffi::conn_rec) -> io::Result<Socket> {
    // SAFETY: the caller guarantees the connection; the descriptor is open until we close it.
    let duplicate: OwnedFd = unsafe {
        let theirs = ffi::ap_get_conn_socket(c);
        let mut fd: ffi::apr_os_sock_t = -1;
        if theirs.is_null() || ffi::apr_os_sock_get(&mut fd, theirs) != 0 || fd < 0 {
            return Err(io::Error::other("httpd has no socket for this connection"));
        }
        let duplicate = BorrowedFd::borrow_raw(fd).try_clone_to_owned()?;
        ffi::apr_socket_close(theirs);
        duplicate
    };
    let socket = net::TcpStream::from(duplicate);
    socket.set_nonblocking(true)?;
    tune(&socket);
    Ok(socket.into())
}

/// What httpd had read from the socket and not used. The socket behind the filter is closed, so
/// that this ends where httpd's memory ends, whatever the client sends meanwhile.
///
/// # Safety
/// `filter` must be of the live connection `c`, of this thread, whose socket is closed.
unsafe fn read_leftovers(filter: *mut ffi::ap_filter_t, c: *mut ffi::conn_rec) -> Vec<u8> {
    let mut bytes = Vec::new();
    // SAFETY: the caller guarantees filter and connection; the brigade is destroyed before the end.
    unsafe {
        let brigade = ffi::apr_brigade_create((*c).pool, (*c).bucket_alloc);
        loop {
            let before = bytes.len();
            let status = ffi::ap_get_brigade(
                filter,
                brigade,
                ffi::ap_input_mode_t_AP_MODE_READBYTES,
                ffi::apr_read_type_e_APR_NONBLOCK_READ,
                LEFTOVER_READ,
            );
            drain_brigade(brigade, &mut |data| bytes.extend_from_slice(data));
            if status != 0 || bytes.len() == before {
                break;
            }
        }
        ffi::apr_brigade_destroy(brigade);
    }
    bytes
}

/// Hands the data of all buckets to `take`, in order, and empties the brigade. Says whether an
/// end of stream was among them.
///
/// # Safety
/// `brigade` must be live and of this thread.
pub(super) unsafe fn drain_brigade(
    brigade: *mut ffi::apr_bucket_brigade,
    take: &mut dyn FnMut(&[u8]),
) -> bool {
    let mut ended = false;
    // SAFETY: the caller guarantees the brigade; the data is used before its bucket goes.
    unsafe {
        while let Some(bucket) = NonNull::new(ffi::wsroute_brigade_first(brigade)) {
            let bucket = bucket.as_ptr();
            if ffi::wsroute_bucket_is_metadata(bucket) == 0 {
                let (mut data, mut len) = (std::ptr::null(), 0);
                if ffi::wsroute_bucket_read(bucket, &mut data, &mut len) == 0 && len > 0 {
                    take(std::slice::from_raw_parts(data.cast::<u8>(), len));
                }
            }
            ended |= ffi::wsroute_bucket_is_eos(bucket) != 0;
            ffi::wsroute_bucket_delete(bucket);
        }
    }
    ended
}

/// What we keep with a connection.
#[derive(Default)]
pub struct Kept {
    /// mod_ssl's object for it, if it is TLS by mod_ssl.
    pub ssl: Option<NonNull<Ssl>>,
    /// What the handler leaves for the suspend hook; it is dropped with the connection if nobody takes it.
    pub left: Option<Box<dyn Any>>,
}

/// What we keep with `c`, if there is something.
///
/// # Safety
/// `c` must be live and of this thread; the result must be gone before the next call.
pub unsafe fn kept<'a>(c: NonNull<ffi::conn_rec>) -> Option<&'a mut Kept> {
    // SAFETY: the caller guarantees c; the slot is NULL or what `keep` made, which lives as long as c.
    unsafe { (*slot(c)).as_mut() }
}

/// The same, made if need be.
///
/// # Safety
/// As for [`kept`].
pub unsafe fn keep<'a>(c: NonNull<ffi::conn_rec>) -> &'a mut Kept {
    // SAFETY: as above.
    unsafe {
        let slot = slot(c);
        if (*slot).is_null() {
            *slot = pool::keep((*c.as_ptr()).pool, Kept::default());
        }
        &mut **slot
    }
}

/// # Safety
/// `c` must be live and of this thread.
unsafe fn slot(c: NonNull<ffi::conn_rec>) -> *mut *mut Kept {
    // SAFETY: the caller guarantees c; a module's config vector has a pointer for each module index.
    unsafe { (*c.as_ptr()).conn_config.cast::<*mut Kept>().add(crate::module::index() as usize) }
}

/// Leaves `value` for the suspend hook.
pub fn leave<T: 'static>(request: &RequestRef, value: T) {
    let c = NonNull::new(request.connection()).expect("a live request has a connection");
    // SAFETY: a request's connection lives, and is of its thread.
    unsafe { keep(c).left = Some(Box::new(value)) };
}

/// Says to the MPM that this connection is suspended. The handler returns SUSPENDED after this.
pub fn suspend(request: &RequestRef) {
    // SAFETY: event gives each connection a state; this thread owns it until the handler returns.
    unsafe { (*(*request.connection()).cs).state = ffi::conn_state_e_CONN_STATE_SUSPENDED }
}

/// The MPM leaves this connection alone from now on.
pub fn is_suspended(c: NonNull<ffi::conn_rec>) -> bool {
    // SAFETY: hooks get live connections; event gives each one a state.
    unsafe {
        let cs = (*c.as_ptr()).cs;
        !cs.is_null() && (*cs).state == ffi::conn_state_e_CONN_STATE_SUSPENDED
    }
}

/// Lends memory to a connection that has just begun, on its thread. Only event's suspended
/// connections leave any: elsewhere, where a pool's allocator is not the connection's own, there is
/// nothing to lend.
pub fn lend_blocks(c: NonNull<ffi::conn_rec>) {
    // SAFETY: the connection is live and of this thread.
    unsafe {
        if (*c.as_ptr()).master.is_null() {
            blocks::lend((*c.as_ptr()).pool);
        }
    }
}

/// Logs a request and frees it, as httpd does when the last byte of its answer is gone.
///
/// # Safety
/// `r` must be live and owned by this thread; it is gone afterwards.
pub unsafe fn end_request(r: *mut ffi::request_rec) {
    // SAFETY: the caller guarantees r; the bucket goes with the brigade.
    unsafe {
        let c = (*r).connection;
        let brigade = ffi::apr_brigade_create((*c).pool, (*c).bucket_alloc);
        ffi::wsroute_brigade_append(brigade, ffi::ap_bucket_eor_create((*c).bucket_alloc, r));
        ffi::apr_brigade_destroy(brigade);
    }
}

/// Sends what httpd still has for the client; blocks as long as httpd lets a client take. False if
/// the client is gone.
pub fn flush(request: &RequestRef) -> bool {
    let c = request.connection();
    // SAFETY: the connection is live and of this thread; the brigade goes with its flush bucket.
    unsafe {
        let brigade = ffi::apr_brigade_create((*c).pool, (*c).bucket_alloc);
        ffi::wsroute_brigade_append(brigade, ffi::apr_bucket_flush_create((*c).bucket_alloc));
        let status = ffi::ap_pass_brigade((*c).output_filters, brigade);
        ffi::apr_brigade_destroy(brigade);
        status == 0 && (*c).aborted == 0
    }
}

/// Looks, without reading, whether the client has ended its side. The function may be called from
/// any thread as long as the request is alive; on HTTP/2 it always says no.
pub fn is_gone(request: &RequestRef) -> impl Fn() -> bool + Send + Sync + use<> {
    let mut fd: ffi::apr_os_sock_t = -1;
    if !request.is_http2() {
        // SAFETY: the connection is live and of this thread.
        unsafe {
            let socket = ffi::ap_get_conn_socket(request.connection());
            if !socket.is_null() {
                ffi::apr_os_sock_get(&mut fd, socket);
            }
        }
    }
    move || {
        let mut look = libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: one local pollfd, no waiting; httpd keeps the descriptor open with the request,
        // and a negative one is passed over.
        let found = unsafe { libc::poll(&mut look, 1, 0) };
        found == 1 && look.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }
}

/// After a parked relay: httpd must not linger on a connection that is closed already.
pub fn mark_closed(request: &RequestRef) {
    // SAFETY: the handler's thread owns the connection again.
    unsafe { (*request.connection()).aborted = 1 }
}

type AddBytes = unsafe extern "C" fn(*mut ffi::conn_rec, ffi::apr_off_t);
static ADD_BYTES_IN: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static ADD_BYTES_OUT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Looks for mod_logio, once the modules are loaded.
pub fn find_logio() {
    let find = |name: &CStr| {
        // SAFETY: APR's registry of optional functions is complete after the configuration.
        let found = unsafe { ffi::apr_dynamic_fn_retrieve(name.as_ptr()) };
        found.map_or(std::ptr::null_mut(), |f| f as *mut c_void)
    };
    ADD_BYTES_IN.store(find(c"ap_logio_add_bytes_in"), Ordering::Relaxed);
    ADD_BYTES_OUT.store(find(c"ap_logio_add_bytes_out"), Ordering::Relaxed);
}

/// Tells mod_logio (if it is loaded) about bytes that did not pass through its filters.
pub fn count_bytes(request: &RequestRef, bytes_in: u64, bytes_out: u64) {
    // SAFETY: a live request has a live connection, of the same thread.
    unsafe { count_bytes_of(request.connection(), bytes_in, bytes_out) }
}

/// # Safety
/// `c` must be live and of this thread.
pub(super) unsafe fn count_bytes_of(c: *mut ffi::conn_rec, bytes_in: u64, bytes_out: u64) {
    for (function, bytes) in [(&ADD_BYTES_IN, bytes_in), (&ADD_BYTES_OUT, bytes_out)] {
        let function = function.load(Ordering::Relaxed);
        if !function.is_null() && bytes > 0 {
            // SAFETY: mod_logio registered it under this name with this type; the caller guarantees c.
            unsafe {
                let add = std::mem::transmute::<*mut c_void, AddBytes>(function);
                add(c, bytes as ffi::apr_off_t);
            }
        }
    }
}
