//! What the MPM tells: which one it is, how many of what, and which way this child is going.

use crate::ffi;
use std::ffi::{CStr, c_int};
use std::path::PathBuf;

/// Connections can be suspended: the worker thread goes back to its pool.
pub fn is_event() -> bool {
    // SAFETY: ap_show_mpm returns a static string.
    let name = unsafe { CStr::from_ptr(ffi::ap_show_mpm()) };
    name == c"event" && query(ffi::AP_MPMQ_IS_ASYNC) == Some(1)
}

/// A child serves more than one connection at a time.
pub fn is_threaded() -> bool {
    query(ffi::AP_MPMQ_IS_THREADED).is_some_and(|threaded| threaded != 0)
}

/// One `AP_MPMQ_` value; `None` if this MPM does not know it.
pub fn query(code: u32) -> Option<c_int> {
    let mut value: c_int = 0;
    // SAFETY: ap_mpm_query writes one int; MPMs answer from static variables, on any thread.
    let status = unsafe { ffi::ap_mpm_query(code as c_int, &mut value) };
    (status == 0).then_some(value)
}

/// A graceful or full restart has begun: the server runs another generation than this child.
pub fn is_superseded() -> bool {
    // SAFETY: the scoreboard is shared memory that outlives the child; the field is one int that
    // only the parent writes.
    let running = unsafe {
        let scoreboard = ffi::ap_scoreboard_image;
        if scoreboard.is_null() || (*scoreboard).global.is_null() {
            return false;
        }
        (&raw const (*(*scoreboard).global).running_generation).read_volatile()
    };
    query(ffi::AP_MPMQ_GENERATION).is_some_and(|mine| mine != running)
}

/// This child takes no more connections.
pub fn is_stopping() -> bool {
    query(ffi::AP_MPMQ_MPM_STATE) == Some(ffi::AP_MPMQ_STOPPING as c_int)
}

/// The parent's pid file, if it is there now. Its absence later means that the whole server stops,
/// gracefully if the child is still there to ask.
///
/// # Safety
/// `pool` must be a live pool, used by no other thread during this call.
pub unsafe fn pid_file(pool: *mut ffi::apr_pool_t) -> Option<PathBuf> {
    // SAFETY: httpd sets ap_pid_fname while it reads the configuration and leaves it alone then;
    // the caller guarantees the pool.
    let name = unsafe {
        let name = ffi::ap_pid_fname;
        if name.is_null() {
            return None;
        }
        ffi::ap_server_root_relative(pool, name)
    };
    if name.is_null() {
        return None;
    }
    // SAFETY: httpd returned a C string in the pool.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    Some(PathBuf::from(name)).filter(|path| path.exists())
}

/// `GracefulShutdownTimeout` in seconds; 0 is none.
pub fn graceful_shutdown_timeout() -> u64 {
    // SAFETY: one int, written while the configuration is read.
    let seconds = unsafe { (&raw const ffi::ap_graceful_shutdown_timeout).read() };
    seconds.max(0) as u64
}

/// While this lives, some signals wait on the thread that made it.
pub struct HeldSignals(libc::sigset_t);

impl HeldSignals {
    /// Holds back those that make a prefork child exit: they come in the middle of whatever the
    /// child does, and run its exit on top of that. `None` where a child is threaded.
    pub fn hold() -> Option<HeldSignals> {
        (!is_threaded()).then(|| HeldSignals::these(&[libc::SIGTERM, libc::SIGHUP]))
    }

    /// Holds back all.
    pub fn all() -> HeldSignals {
        HeldSignals::these(&[])
    }

    /// No signal means all.
    fn these(signals: &[c_int]) -> HeldSignals {
        // SAFETY: plain libc calls on local sets, for this thread only.
        unsafe {
            let (mut set, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            match signals {
                [] => libc::sigfillset(&mut set),
                _ => libc::sigemptyset(&mut set),
            };
            for signal in signals {
                libc::sigaddset(&mut set, *signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before);
            HeldSignals(before)
        }
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // SAFETY: puts back the set that `these` found.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}
