//! Lines for httpd's error log, under this module's index, so that `LogLevel wsroute:debug` works.
//! May be called from any thread.

use super::request::RequestRef;
use crate::ffi;
use std::ffi::{CString, c_char, c_int};
use std::panic::Location;

/// httpd's levels, as far as this module uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Level {
    Crit = ffi::APLOG_CRIT as u8,
    Err = ffi::APLOG_ERR as u8,
    Warning = ffi::APLOG_WARNING as u8,
    Notice = ffi::APLOG_NOTICE as u8,
    Info = ffi::APLOG_INFO as u8,
    Debug = ffi::APLOG_DEBUG as u8,
    Trace1 = ffi::APLOG_TRACE1 as u8,
}

/// A line about the server as a whole. Before httpd has a server it goes to stderr.
#[track_caller]
pub fn server(level: Level, text: &str) {
    // SAFETY: ap_server_conf is set by httpd's main and stays valid while the process lives;
    // ap_log_error_ takes NULL as well, copies the text and is thread-safe.
    unsafe {
        let server = ffi::ap_server_conf;
        let configured = ffi::ap_get_server_module_loglevel(server, module_index());
        let text = || text.to_owned();
        write(level, configured, text, |file, line, index, level, text| {
            ffi::ap_log_error_(file, line, index, level, 0, server, c"%s".as_ptr(), text);
        });
    }
}

/// A line about one request. The text is only made when the level is on.
#[track_caller]
pub fn request(level: Level, request: &RequestRef, text: impl FnOnce() -> String) {
    let r = request.as_ptr();
    // SAFETY: RequestRef guarantees a live request_rec; httpd copies the text.
    unsafe {
        let configured = ffi::ap_get_request_module_loglevel(r, module_index());
        write(level, configured, text, |file, line, index, level, text| {
            ffi::ap_log_rerror_(file, line, index, level, 0, r, c"%s".as_ptr(), text);
        });
    }
}

/// A line about one connection, as [`request`].
///
/// # Safety
/// `c` must be live and owned by the caller.
#[track_caller]
pub unsafe fn connection(level: Level, c: *mut ffi::conn_rec, text: impl FnOnce() -> String) {
    // SAFETY: the caller guarantees c; httpd copies the text.
    unsafe {
        let configured = ffi::ap_get_conn_module_loglevel(c, module_index());
        write(level, configured, text, |file, line, index, level, text| {
            ffi::ap_log_cerror_(file, line, index, level, 0, c, c"%s".as_ptr(), text);
        });
    }
}

/// Gives `to` file, line, module, level and text, if `level` is on. Both strings live during that call. File and
/// line are the caller's caller's, for httpd to show at debug.
#[track_caller]
fn write(
    level: Level,
    configured: c_int,
    text: impl FnOnce() -> String,
    to: impl FnOnce(*const c_char, c_int, c_int, c_int, *const c_char),
) {
    if level as c_int <= configured {
        let place = Location::caller();
        let (file, text) = (c_text(place.file()), c_text(&text()));
        let line = place.line() as c_int;
        to(file.as_ptr(), line, module_index(), level as c_int, text.as_ptr());
    }
}

fn module_index() -> c_int {
    crate::module::index()
}

/// httpd escapes control characters itself; only NUL must go.
fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
