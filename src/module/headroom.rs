//! Does the configuration leave room for suspended connections? Looked at once, at start.

use crate::config::headroom::{DEFAULT_FACTOR, Headroom};
use crate::ffi;
use crate::httpd::log::{self, Level};
use crate::httpd::mpm;
use std::ffi::CStr;

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
    let asked = |what| mpm::query(what).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let headroom = Headroom {
        factor: found.factor.unwrap_or(DEFAULT_FACTOR),
        threads: asked(ffi::AP_MPMQ_MAX_THREADS),
        children: asked(ffi::AP_MPMQ_MAX_DAEMONS),
        server_limit: asked(ffi::AP_MPMQ_HARD_LIMIT_DAEMONS),
    };
    let warnings = [headroom.factor_warning(), headroom.limit_warning()];
    warnings.into_iter().flatten().for_each(|text| log::server(Level::Warning, &text));
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
