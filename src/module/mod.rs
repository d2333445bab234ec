//! The module as httpd sees it: its record, its hooks and their order. It introduces everyone and
//! decides little.

mod answer;
mod command_table;
mod config;
mod endings;
mod finish;
mod handler;
mod handoff;
mod headroom;
mod lifecycle;
mod parked;
mod plain_http;
mod rewrite_map;
mod running;
mod runtime;
mod suspended;

use crate::config::fit;
use crate::ffi;
use crate::httpd::log::{self, Level};
use crate::httpd::{connection, filtered, log_record, mod_ssl, revision, seed, sockets_folder};
use std::ffi::{c_char, c_int};
use std::ptr;

/// What `LoadModule wsroute_module` looks for. httpd writes module_index and the list pointers
/// while it loads modules, single-threaded.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut wsroute_module: ffi::module = ffi::module {
    version: ffi::wsroute_magic_WSROUTE_MMN_MAJOR as c_int,
    minor_version: ffi::wsroute_magic_WSROUTE_MMN_MINOR as c_int,
    module_index: -1,
    // What <IfModule mod_wsroute.c> looks for.
    name: c"mod_wsroute.c".as_ptr(),
    dynamic_load_handle: ptr::null_mut(),
    next: ptr::null_mut(),
    magic: ffi::WSROUTE_MODULE_COOKIE,
    rewrite_args: None,
    create_dir_config: Some(config::create_dir),
    merge_dir_config: Some(config::merge_dir),
    create_server_config: Some(config::create_server),
    merge_server_config: Some(config::merge_server),
    cmds: command_table::TABLE.0.as_ptr(),
    register_hooks: Some(register_hooks),
    flags: 0,
};

/// This module's place in httpd's configuration vectors.
pub fn index() -> c_int {
    // SAFETY: httpd sets it once, before any hook of ours can run.
    unsafe { (&raw const wsroute_module.module_index).read() }
}

/// A list of module names for httpd's hook sorting.
struct Names<const N: usize>([*const c_char; N]);
// SAFETY: pointers to static strings.
unsafe impl<const N: usize> Sync for Names<N> {}

/// Those whose handlers would take the request first: mod_proxy claims every request that a
/// ProxyPass or a RewriteRule `[P]` has marked, and drops its hop-by-hop headers.
static BEFORE_HANDLERS: Names<4> = Names([
    c"mod_proxy.c".as_ptr(),
    c"mod_rewrite.c".as_ptr(),
    c"mod_cgid.c".as_ptr(),
    ptr::null(),
]);

static AFTER_MOD_REWRITE: Names<2> = Names([c"mod_rewrite.c".as_ptr(), ptr::null()]);

httpd_entry! {
    /// Registers everything; httpd calls it at each reading of the configuration.
    fn register_hooks(_pool: *mut ffi::apr_pool_t) = (); {
        filtered::register_filters();
        mod_ssl::hook();
        let none = ptr::null();
        // SAFETY: httpd calls this single-threaded; the functions match their hooks' types.
        unsafe {
            ffi::ap_hook_pre_config(
                Some(refuse_a_misfit),
                none,
                none,
                ffi::APR_HOOK_REALLY_FIRST as c_int,
            );
            ffi::ap_hook_pre_config(
                Some(rewrite_map::register),
                AFTER_MOD_REWRITE.0.as_ptr(),
                none,
                ffi::APR_HOOK_MIDDLE as c_int,
            );
            ffi::ap_hook_check_config(Some(check_config), none, none, ffi::APR_HOOK_MIDDLE as c_int);
            ffi::ap_hook_post_config(Some(post_config), none, none, ffi::APR_HOOK_MIDDLE as c_int);
            ffi::ap_hook_child_init(Some(child_init), none, none, ffi::APR_HOOK_MIDDLE as c_int);
            ffi::ap_hook_pre_connection(
                Some(suspended::on_connection),
                none,
                none,
                ffi::APR_HOOK_MIDDLE as c_int,
            );
            ffi::ap_hook_type_checker(
                Some(handler::claim),
                none,
                none,
                ffi::APR_HOOK_REALLY_FIRST as c_int,
            );
            ffi::ap_hook_fixups(
                Some(handler::set_environment),
                none,
                BEFORE_HANDLERS.0.as_ptr(),
                ffi::APR_HOOK_REALLY_FIRST as c_int,
            );
            // The handler, not an earlier hook: access control, authentication and ErrorDocument
            // have had their say, and mod_proxy has not yet touched the headers.
            ffi::ap_hook_handler(
                Some(handler::handle),
                none,
                BEFORE_HANDLERS.0.as_ptr(),
                ffi::APR_HOOK_FIRST as c_int,
            );
            // Last: once it has run, the connection is the session's.
            ffi::ap_hook_suspend_connection(
                Some(suspended::on_suspend),
                none,
                none,
                ffi::APR_HOOK_REALLY_LAST as c_int,
            );
            ffi::ap_hook_child_stopping(
                Some(lifecycle::child_stopping),
                none,
                none,
                ffi::APR_HOOK_MIDDLE as c_int,
            );
        }
    }
}

httpd_entry! {
    /// A pre_config hook: nothing of httpd but its version has been used by then. Another major
    /// MMN does not come here; httpd refuses it at LoadModule.
    fn refuse_a_misfit(
        _pconf: *mut ffi::apr_pool_t,
        _plog: *mut ffi::apr_pool_t,
        _ptemp: *mut ffi::apr_pool_t,
    ) -> c_int = ffi::HTTP_INTERNAL_SERVER_ERROR as c_int; {
        let built = revision::mmn_of(&raw const wsroute_module);
        match fit::misfit(built, revision::mmn(), revision::version()) {
            None => ffi::OK as c_int,
            Some(what) => {
                log::server(Level::Crit, &what);
                ffi::HTTP_INTERNAL_SERVER_ERROR as c_int
            }
        }
    }
}

httpd_entry! {
    /// Before `apache2 -t` says "Syntax OK".
    fn check_config(
        _pconf: *mut ffi::apr_pool_t,
        _plog: *mut ffi::apr_pool_t,
        _ptemp: *mut ffi::apr_pool_t,
        server: *mut ffi::server_rec,
    ) -> c_int = ffi::HTTP_INTERNAL_SERVER_ERROR as c_int; {
        // SAFETY: httpd hands over the list of servers it has just configured.
        match unsafe { config::check(server) } {
            Ok(()) => ffi::OK as c_int,
            Err(what) => {
                log::server(Level::Crit, &what);
                ffi::HTTP_INTERNAL_SERVER_ERROR as c_int
            }
        }
    }
}

httpd_entry! {
    fn post_config(
        _pconf: *mut ffi::apr_pool_t,
        _plog: *mut ffi::apr_pool_t,
        ptemp: *mut ffi::apr_pool_t,
        server: *mut ffi::server_rec,
    ) -> c_int = ffi::HTTP_INTERNAL_SERVER_ERROR as c_int; {
        connection::find_logio();
        log_record::find_loggers();
        headroom::check();
        // SAFETY: httpd hands over live pools and the list of servers it has just configured.
        let ready = unsafe {
            let seed = seed::remember_key((*(*server).process).pool);
            let seed = seed.map_err(|e| format!("no random numbers: {e}"));
            match config::uses_http(server) {
                true => seed.and(sockets_folder::prepare(&sockets_folder::path(ptemp))),
                false => seed.map(|_| ()),
            }
        };
        match ready {
            Ok(()) => ffi::OK as c_int,
            Err(what) => {
                log::server(Level::Crit, &what);
                ffi::HTTP_INTERNAL_SERVER_ERROR as c_int
            }
        }
    }
}

httpd_entry! {
    fn child_init(pchild: *mut ffi::apr_pool_t, server: *mut ffi::server_rec) = (); {
        // SAFETY: httpd runs this once in each child, before it serves, with the child's pool.
        unsafe { lifecycle::child_init(pchild, server) }
    }
}
