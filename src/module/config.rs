//! The configuration in httpd's pools. Filled while httpd reads its files, read-only afterwards.

use crate::config::{ScopeConfig, ServerConfig};
use crate::ffi;
use crate::httpd::expression::Expression;
use crate::httpd::pool;
use crate::httpd::request::RequestRef;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

/// What holds in one scope, and what httpd needs to evaluate it.
#[derive(Default, Clone)]
pub struct DirConfig {
    /// The directives.
    pub scope: ScopeConfig,
    /// All expressions of this scope, compiled.
    pub expressions: Option<Arc<Vec<Expression>>>,
}

impl DirConfig {
    fn merge(base: &DirConfig, add: &DirConfig) -> DirConfig {
        DirConfig {
            scope: ScopeConfig::merge(&base.scope, &add.scope),
            expressions: match (&base.expressions, &add.expressions) {
                (Some(base), Some(add)) => {
                    Some(Arc::new(base.iter().chain(add.iter()).cloned().collect()))
                }
                (one, other) => one.as_ref().or(other.as_ref()).cloned(),
            },
        }
    }

    /// The compiled expressions.
    pub fn expressions(&self) -> &[Expression] {
        self.expressions.as_ref().map_or(&[], |all| all)
    }
}

httpd_entry! {
    fn create_dir(pool: *mut ffi::apr_pool_t, dir: *mut c_char) -> *mut c_void
        = std::ptr::null_mut(); {
        // SAFETY: httpd gives a live pool, and NULL or the section's path.
        unsafe {
            let section = (!dir.is_null()).then(|| CStr::from_ptr(dir).to_string_lossy().into());
            let scope = ScopeConfig { section, ..ScopeConfig::default() };
            pool::keep(pool, DirConfig { scope, expressions: None }).cast()
        }
    }
}

httpd_entry! {
    fn merge_dir(pool: *mut ffi::apr_pool_t, base: *mut c_void, add: *mut c_void) -> *mut c_void
        = add; {
        // SAFETY: httpd merges what create_dir and merge_dir made.
        unsafe {
            let merged = DirConfig::merge(&*base.cast::<DirConfig>(), &*add.cast::<DirConfig>());
            pool::keep(pool, merged).cast()
        }
    }
}

httpd_entry! {
    fn create_server(pool: *mut ffi::apr_pool_t, _server: *mut ffi::server_rec) -> *mut c_void
        = std::ptr::null_mut(); {
        // SAFETY: httpd gives a live pool.
        unsafe { pool::keep(pool, ServerConfig::default()).cast() }
    }
}

httpd_entry! {
    fn merge_server(pool: *mut ffi::apr_pool_t, base: *mut c_void, add: *mut c_void) -> *mut c_void
        = add; {
        // SAFETY: httpd merges what create_server made.
        unsafe {
            let (base, add) = (&*base.cast::<ServerConfig>(), &*add.cast::<ServerConfig>());
            let merged = ServerConfig::merge(base, add);
            pool::keep(pool, merged).cast()
        }
    }
}

/// The configuration in force for a request.
pub fn of_request<'r>(request: &RequestRef<'r>) -> &'r DirConfig {
    // SAFETY: httpd keeps one pointer for each module, made by create_dir or merge_dir, as long
    // as the request.
    unsafe { &*at::<DirConfig>(request.per_dir_config()) }
}

/// The configuration of a request's virtual host.
pub fn of_server<'r>(request: &RequestRef<'r>) -> &'r ServerConfig {
    // SAFETY: the server lives as long as the configuration.
    unsafe { server_config(request.server()) }
}

/// # Safety
/// `server` must be a configured server.
pub unsafe fn server_config<'a>(server: *mut ffi::server_rec) -> &'a ServerConfig {
    // SAFETY: the caller guarantees the server; its vector holds what create_server made.
    unsafe { &*at::<ServerConfig>((*server).module_config) }
}

/// # Safety
/// `vector` must be a configuration vector of httpd's.
pub unsafe fn at<T>(vector: *mut ffi::ap_conf_vector_t) -> *mut T {
    // SAFETY: the caller guarantees the vector; it has a pointer for each module index.
    unsafe { (*vector.cast::<*mut c_void>().add(super::index() as usize)).cast() }
}

/// All servers.
///
/// # Safety
/// `server` must head httpd's list of configured servers.
unsafe fn all<'a>(server: *mut ffi::server_rec) -> impl Iterator<Item = &'a ServerConfig> {
    let next = |s: &*mut ffi::server_rec| {
        // SAFETY: the caller guarantees the list.
        Some(unsafe { (**s).next }).filter(|s| !s.is_null())
    };
    // SAFETY: as above.
    std::iter::successors(Some(server), next).map(|s| unsafe { server_config(s) })
}

/// What must hold when all servers are configured.
///
/// # Safety
/// `server` must head httpd's list of configured servers.
pub unsafe fn check(server: *mut ffi::server_rec) -> Result<(), String> {
    // SAFETY: the caller guarantees the list.
    unsafe { all(server) }.try_for_each(ServerConfig::check)?;
    for module in [c"mod_proxy.c", c"mod_proxy_http.c"] {
        // SAFETY: as above; httpd looks for a name in its list of modules.
        let missing = unsafe { ffi::ap_find_linked_module(module.as_ptr()).is_null() };
        // SAFETY: as above.
        if missing && unsafe { uses_http(server) } {
            return Err("WsRouteHttp On needs mod_proxy and mod_proxy_http, load them (Debian: \
                        a2enmod proxy_http)"
                .into());
        }
    }
    Ok(())
}

/// Some scope says `WsRouteHttp On`.
///
/// # Safety
/// As for [`check`].
pub unsafe fn uses_http(server: *mut ffi::server_rec) -> bool {
    // SAFETY: the caller guarantees the list.
    unsafe { all(server) }.any(|server| server.uses_http)
}
