//! Which way the child is going, and what its sessions are told.
//!
//! | what happens | how it shows | order |
//! |---|---|---|
//! | stop, restart | child_stopping(graceful = 0), end of the child's pool | Stop (1001) |
//! | graceful restart | the scoreboard runs another generation than ours | Drain (1012) |
//! | graceful-stop | we are stopping, the pid file is gone | Leave (1001), Stop before the cutoff |
//! | stop during a drain | SIGTERM, which the MPM ignores then | Stop (1001) |
//! | MaxSpareThreads, MaxConnectionsPerChild | we are stopping, nothing else | none: live on |

use super::parked;
use super::runtime::{self, Child};
use crate::ffi;
use crate::httpd::log::{self, Level};
use crate::httpd::{guard, mod_ssl, mpm, seed, sockets_folder, unmap};
use crate::module::config;
use crate::relay::Order;
use std::ffi::{c_int, c_void};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a child looks which way it is going.
const LOOK: Duration = Duration::from_millis(500);
/// How long the sessions may take to end when the child exits.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// A graceful stop ends in SIGKILL at its cutoff: this long before, the sessions are closed.
const BEFORE_CUTOFF: Duration = Duration::from_secs(2);

/// SIGTERM came while the child drained.
static TERMINATED: AtomicBool = AtomicBool::new(false);
/// The MPM lets the child end when its connections have ended.
static GRACEFUL: AtomicBool = AtomicBool::new(false);

/// Starts the runtime of this child.
///
/// # Safety
/// For the child_init hook: the child's own pool and its main server.
pub unsafe fn child_init(pchild: *mut ffi::apr_pool_t, server: *mut ffi::server_rec) {
    stay_loaded();
    GRACEFUL.store(false, Ordering::Relaxed);
    TERMINATED.store(false, Ordering::Relaxed);
    guard::log_panics();
    unmap::look_at_apr();
    mod_ssl::find_openssl();
    // SAFETY: the caller guarantees server and pool; this is the child's only thread.
    let (threads, pid_file, sockets, remember) = unsafe {
        (
            config::server_config(server).threads.unwrap_or_else(runtime::default_threads),
            mpm::pid_file(pchild),
            sockets_folder::path(pchild),
            seed::remember_key((*(*server).process).pool),
        )
    };
    // A child that serves one connection has work for one thread.
    let threads = if mpm::is_threaded() { threads } else { 1 };
    let start = |remember| Child::start(threads, sockets, remember, LOOK, look(pid_file));
    match remember.and_then(start) {
        Ok(child) => {
            runtime::set_child(Some(Arc::new(child)));
            // SAFETY: the pool lives as long as the child. A pre-cleanup: the MPM's own memory,
            // which lies in pools below this one, is still there when it runs.
            unsafe {
                ffi::apr_pool_pre_cleanup_register(pchild, std::ptr::null(), Some(child_exit));
            }
        }
        Err(e) => log::server(
            Level::Crit,
            &format!("the runtime did not start, WebSockets are refused with 503: {e}"),
        ),
    }
}

httpd_entry! {
    /// The MPM ends this child, at once or when its connections have ended.
    fn child_stopping(_pchild: *mut ffi::apr_pool_t, graceful: c_int) = (); {
        let Some(child) = runtime::child() else { return };
        GRACEFUL.store(graceful != 0, Ordering::Relaxed);
        if graceful == 0 {
            child.order(Order::Stop);
        } else {
            take_sigterm();
        }
    }
}

httpd_entry! {
    /// The child exits: every session is closed and logged before its pools go.
    fn child_exit(_data: *mut c_void) -> ffi::apr_status_t = 0; {
        let Some(child) = runtime::child() else { return 0 };
        // A connection that httpd accepted in the very last moment may have become a session after
        // the MPM had counted none: it has its drain time like the others (see `look`).
        while GRACEFUL.load(Ordering::Relaxed) && !TERMINATED.load(Ordering::Relaxed) {
            if child.sessions.wait_until_empty(LOOK) == 0 {
                break;
            }
        }
        child.order(Order::Stop);
        let left = child.sessions.wait_until_empty(STOP_LIMIT);
        if left > 0 {
            let text = format!("{left} sessions did not end in time and are cut off");
            log::server(Level::Warning, &text);
        }
        parked::end_parked();
        runtime::set_child(None);
        child.stop();
        0
    }
}

/// Looks which way the child is going, and tells its sessions; to be called twice a second.
fn look(pid_file: Option<PathBuf>) -> impl FnMut(&Child) + Send + 'static {
    let mut told = Order::None;
    let mut leaving_since = None;
    move |child| {
        let order = if TERMINATED.load(Ordering::Relaxed) {
            Order::Stop
        } else if mpm::is_superseded() {
            Order::Drain
        } else if mpm::is_stopping() && pid_file.as_ref().is_some_and(|path| !path.exists()) {
            let since = *leaving_since.get_or_insert_with(Instant::now);
            if is_near_cutoff(since) { Order::Stop } else { Order::Leave }
        } else {
            Order::None
        };
        if order > told {
            let n = child.sessions.count();
            if n > 0 {
                log::server(Level::Info, &format!("drain: {}; {n} sessions here", meaning(order)));
            }
            child.order(order);
            told = order;
        }
    }
}

/// What `order` tells the sessions, for people.
fn meaning(order: Order) -> &'static str {
    match order {
        Order::None => "nothing happens",
        Order::Drain => "httpd has restarted, and this child lives until drain= is over",
        Order::Leave => "httpd stops gracefully, and this child lives until drain= is over",
        Order::Stop => "httpd stops, and the sessions are closed now",
    }
}

fn is_near_cutoff(since: Instant) -> bool {
    let limit = Duration::from_secs(mpm::graceful_shutdown_timeout());
    !limit.is_zero() && since.elapsed() + BEFORE_CUTOFF >= limit
}

/// While a child of a threaded MPM drains, it ignores SIGTERM and is killed some seconds later:
/// take the signal, so that the sessions can be closed. The MPM sends it to its own process, too,
/// to wake its main thread; that one means nothing.
fn take_sigterm() {
    extern "C" fn on_sigterm(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
        // SAFETY: the kernel gives a valid siginfo with SA_SIGINFO; only an atomic is written.
        let sender = unsafe { (*info).si_pid() };
        if sender != std::process::id() as libc::pid_t {
            TERMINATED.store(true, Ordering::Relaxed);
        }
    }
    if mpm::is_threaded() {
        // SAFETY: a zeroed sigaction is a valid one; the handler is async-signal-safe. The MPM's
        // own handler does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction =
                on_sigterm as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigaction(libc::SIGTERM, &action, std::ptr::null_mut());
        }
    }
}

/// Keeps this library in memory until the process is gone. httpd unloads modules while it exits;
/// a thread of a resolver or of the runtime may still be on its way out then. In the child only:
/// the parent must be able to load a new build at the next restart.
fn stay_loaded() {
    // SAFETY: asks the loader about our own code, and loads what is loaded already.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(stay_loaded as fn() as *const c_void, &mut info) != 0 {
            libc::dlopen(info.dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}
