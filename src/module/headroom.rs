//! Does the configuration leave room for suspended connections? Looked at once, at start.

use crate::ffi;
use crate::httpd::log::{self, Level};
use crate::httpd::mpm;
use std::ffi::CStr;

/// Below this factor a child stops accepting after a few hundred WebSockets.
const ENOUGH: f64 = 20.0;
/// httpd's own AsyncRequestWorkerFactor.
const DEFAULT_FACTOR: f64 = 2.0;

/// Warns if WebSockets would soon stop httpd from accepting connections at all.
pub fn check() {
    // SAFETY: a plain query of httpd's main state.
    let state = unsafe { ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE as i32) };
    if state == ffi::AP_SQ_MS_CREATE_PRE_CONFIG as i32 {
        return; // httpd reads its configuration twice at start
    }
    let mut found = Found::default();
    // SAFETY: httpd keeps the tree of the configuration it has just read.
    unsafe { walk(ffi::ap_conftree, &mut found) };
    if !found.uses_wsroute {
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    log::server(Level::Notice, &format!("mod_wsroute {version} is ready"));
    if !mpm::is_event() {
        let text =
            "this MPM cannot suspend connections: each WebSocket holds a worker; use mpm_event";
        log::server(Level::Info, text);
        return;
    }
    let factor = found.factor.unwrap_or(DEFAULT_FACTOR);
    let threads = mpm::query(ffi::AP_MPMQ_MAX_THREADS).unwrap_or(0);
    if factor < ENOUGH {
        let most = f64::from(threads) * (factor + 1.0);
        log::server(
            Level::Warning,
            &format!(
                "AsyncRequestWorkerFactor is {factor}: a child takes at most {most:.0} connections, \
                 WebSockets included, and then no HTTP request either; set it to 300 as \
                 conf/wsroute.conf does"
            ),
        );
    }
    let limit = mpm::query(ffi::AP_MPMQ_HARD_LIMIT_DAEMONS).unwrap_or(0);
    let most = mpm::query(ffi::AP_MPMQ_MAX_DAEMONS).unwrap_or(0);
    if limit <= most {
        log::server(
            Level::Warning,
            &format!(
                "ServerLimit is {limit} and MaxRequestWorkers needs {most} children: after a \
                 graceful restart no new child can start while WebSockets live in the old ones; \
                 raise ServerLimit as conf/wsroute.conf does"
            ),
        );
    }
}

#[derive(Default)]
struct Found {
    uses_wsroute: bool,
    factor: Option<f64>,
}

/// # Safety
/// `node` must be NULL or a node of httpd's configuration tree.
unsafe fn walk(mut node: *mut ffi::ap_directive_t, found: &mut Found) {
    while !node.is_null() {
        // SAFETY: the caller guarantees the tree; its names and arguments are C strings.
        unsafe {
            let name = CStr::from_ptr((*node).directive).to_bytes();
            if name.eq_ignore_ascii_case(b"WsRoute") {
                found.uses_wsroute = true;
            }
            if name.eq_ignore_ascii_case(b"AsyncRequestWorkerFactor") {
                let args = CStr::from_ptr((*node).args).to_string_lossy();
                found.factor = args.trim().trim_matches('"').parse().ok();
            }
            walk((*node).first_child, found);
            node = (*node).next;
        }
    }
}
