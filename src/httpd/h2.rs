//! A WebSocket on an HTTP/2 stream (RFC 8441). The bytes of a stream only pass through httpd's
//! filters, which may block, so the thread that serves the stream carries them between the
//! filters and a socket pair; the relay has the other end and sees a client like any other.

use super::connection::drain_brigade;
use super::request::RequestRef;
use crate::ffi;
use std::ffi::{c_int, c_short};
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;

const PIECE: usize = 64 * 1024;
/// Without an event the stream is looked at again after this time, in milliseconds.
const LOOK_AGAIN: c_int = 1000;

type GetPollFd = unsafe extern "C" fn(
    *mut ffi::conn_rec,
    *mut ffi::apr_pollfd_t,
    *mut ffi::apr_interval_time_t,
) -> ffi::apr_status_t;

/// Carries bytes between the stream and `relay` until the relay lets go of its end. Blocks.
pub fn carry(request: &RequestRef, mut relay: UnixStream) -> std::io::Result<()> {
    relay.set_nonblocking(true)?;
    let c = request.connection();
    let readable = stream_descriptor(c)?;
    let mut buffer = vec![0; PIECE];
    let mut to_relay = Vec::new();
    // mod_http2 gives the end of the request's body first; what comes then is the WebSocket.
    // SAFETY: the secondary connection is live; one brigade serves as long as the WebSocket, since
    // what is allocated from a connection's pool stays there.
    let brigade = unsafe { ffi::apr_brigade_create((*c).pool, (*c).bucket_alloc) };
    let mut stream = Stream { c, brigade, body_ended: false, ended: false };
    let mut relay_ended = false;
    loop {
        if to_relay.is_empty() && !stream.ended {
            stream.read(&mut to_relay);
        }
        while !to_relay.is_empty() {
            match relay.write(&to_relay) {
                Ok(n) => drop(to_relay.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(()),
            }
        }
        if stream.ended && to_relay.is_empty() {
            let _ = relay.shutdown(std::net::Shutdown::Write);
        }
        while !relay_ended {
            match relay.read(&mut buffer) {
                Ok(0) => relay_ended = true,
                Ok(n) if stream.write(&buffer[..n]) => {}
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(()),
            }
        }
        if relay_ended && stream.ended {
            return Ok(());
        }
        let mut wanted = 0;
        if !relay_ended {
            wanted |= libc::POLLIN;
        }
        if !to_relay.is_empty() {
            wanted |= libc::POLLOUT;
        }
        let listen = if to_relay.is_empty() && !stream.ended { readable } else { -1 };
        if wait(listen, relay.as_raw_fd(), wanted) && relay_ended {
            return Ok(());
        }
    }
}

/// Waits for either; true if the relay has let go of its end.
fn wait(stream: RawFd, relay: RawFd, wanted: c_short) -> bool {
    let mut fds = [
        libc::pollfd { fd: stream, events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: relay, events: wanted, revents: 0 },
    ];
    // SAFETY: two valid entries; both descriptors are open while the caller holds their owners.
    unsafe { libc::poll(fds.as_mut_ptr(), 2, LOOK_AGAIN) };
    fds[1].revents & (libc::POLLHUP | libc::POLLERR) != 0
}

struct Stream {
    c: *mut ffi::conn_rec,
    brigade: *mut ffi::apr_bucket_brigade,
    body_ended: bool,
    ended: bool,
}

impl Stream {
    fn read(&mut self, to: &mut Vec<u8>) {
        // SAFETY: the secondary connection is live and of this thread until the handler returns.
        unsafe {
            let brigade = self.brigade;
            let status = ffi::ap_get_brigade(
                (*self.c).input_filters,
                brigade,
                ffi::ap_input_mode_t_AP_MODE_READBYTES,
                ffi::apr_read_type_e_APR_NONBLOCK_READ,
                PIECE as ffi::apr_off_t,
            );
            let before = to.len();
            let eos = drain_brigade(brigade, &mut |data| to.extend_from_slice(data));
            let lone = eos && to.len() == before && !self.body_ended;
            self.body_ended = true;
            let failed = !matches!(status as u32, ffi::APR_SUCCESS | ffi::APR_EAGAIN);
            self.ended = failed || (eos && !lone);
        }
    }

    /// Blocks while the client does not read. False if the stream is gone.
    fn write(&mut self, bytes: &[u8]) -> bool {
        // SAFETY: as in `read`; filters that keep the transient bucket copy it.
        unsafe {
            let alloc = (*self.c).bucket_alloc;
            let brigade = self.brigade;
            let data = ffi::wsroute_transient_bucket(bytes.as_ptr().cast(), bytes.len(), alloc);
            ffi::wsroute_brigade_append(brigade, data);
            ffi::wsroute_brigade_append(brigade, ffi::apr_bucket_flush_create(alloc));
            let status = ffi::ap_pass_brigade((*self.c).output_filters, brigade);
            drain_brigade(brigade, &mut |_| ());
            status == 0 && (*self.c).aborted == 0
        }
    }
}

/// The descriptor that becomes readable when the stream has data. httpd has it since 2.4.58.
fn stream_descriptor(c: *mut ffi::conn_rec) -> std::io::Result<RawFd> {
    let missing = || std::io::Error::other("this httpd gives no descriptor for HTTP/2 streams");
    let mut pollfd = MaybeUninit::<ffi::apr_pollfd_t>::zeroed();
    // SAFETY: looked up by name because older httpds lack it; if it is there it has this type.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"ap_get_pollfd_from_conn".as_ptr());
        if found.is_null() {
            return Err(missing());
        }
        let get = std::mem::transmute::<*mut libc::c_void, GetPollFd>(found);
        if get(c, pollfd.as_mut_ptr(), ptr::null_mut()) != 0 {
            return Err(missing());
        }
        let pollfd = pollfd.assume_init();
        let mut fd: c_int = -1;
        let status = match pollfd.desc_type {
            ffi::apr_datatype_e_APR_POLL_FILE => ffi::apr_os_file_get(&mut fd, pollfd.desc.f),
            _ => ffi::apr_os_sock_get(&mut fd, pollfd.desc.s),
        };
        if status == 0 && fd >= 0 { Ok(fd) } else { Err(missing()) }
    }
}
