//! The configuration as httpd merges it. Filled while httpd reads its files, read-only afterwards.

use super::runtime;
use crate::ffi;
use crate::httpd::expression::Expression;
use crate::httpd::pool;
use crate::httpd::request::RequestRef;
use crate::relay;
use crate::route::{
    AllowList, CachedResolver, KeyRule, OriginPolicy, PathTemplate, ResolverConfig, Route,
};
use crate::upstream::{Deadlines, UpstreamPolicy};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What holds in one scope (virtual host, `<Location>`, `<Directory>`, `<If>`). `None`: not said
/// here. Cheap to merge: httpd does so for each request.
#[derive(Default, Clone)]
pub struct DirConfig {
    /// The path of the section that holds `route`.
    pub scope: Option<Arc<str>>,
    /// `WsRoute`
    pub route: Option<Arc<Route>>,
    /// `WsRouteKey`, in order.
    pub keys: Option<Arc<Vec<KeyRule>>>,
    /// `WsRouteOwner`: the text of an expression.
    pub owner: Option<Arc<str>>,
    /// All expressions of this scope, compiled.
    pub expressions: Option<Arc<Vec<Expression>>>,
    /// `WsRouteAllow`
    pub allow: Option<Arc<AllowList>>,
    /// `WsRouteUpstream`
    pub upstream: Option<Arc<UpstreamPolicy>>,
    /// The parsed `path=` of `WsRouteUpstream`.
    pub path: Option<Arc<PathTemplate>>,
    /// `WsRouteOrigin`
    pub origin: Option<Arc<OriginPolicy>>,
    /// `WsRouteTimeout connect=`; the inner `None` is `off`.
    pub connect: Option<Option<Duration>>,
    /// `WsRouteTimeout handshake=`
    pub handshake: Option<Option<Duration>>,
    /// `WsRouteTimeout drain=`
    pub drain: Option<Option<Duration>>,
    /// The path that httpd gave when it created this section.
    pub section: Option<Arc<str>>,
}

impl DirConfig {
    /// Deadlines for connecting and for the handshake.
    pub fn deadlines(&self) -> Deadlines {
        const DEFAULT: Option<Duration> = Some(Duration::from_secs(10));
        Deadlines {
            connect: self.connect.unwrap_or(DEFAULT),
            handshake: self.handshake.unwrap_or(DEFAULT),
        }
    }

    /// What a session is told about its end.
    pub fn terms(&self, expires: Option<Duration>) -> relay::Terms {
        let drain = self.drain.unwrap_or(Some(Duration::from_secs(30)));
        // `off`: the sessions decide how long the old child lives.
        relay::Terms { drain: drain.unwrap_or(Duration::from_secs(365 * 86400)), expires }
    }

    fn merge(base: &DirConfig, add: &DirConfig) -> DirConfig {
        fn newer<T: Clone>(add: &Option<T>, base: &Option<T>) -> Option<T> {
            add.as_ref().or(base.as_ref()).cloned()
        }
        DirConfig {
            scope: newer(&add.scope, &base.scope),
            route: newer(&add.route, &base.route),
            keys: newer(&add.keys, &base.keys),
            owner: newer(&add.owner, &base.owner),
            expressions: match (&base.expressions, &add.expressions) {
                (Some(base), Some(add)) => {
                    Some(Arc::new(base.iter().chain(add.iter()).cloned().collect()))
                }
                _ => newer(&add.expressions, &base.expressions),
            },
            allow: newer(&add.allow, &base.allow),
            upstream: match (&base.upstream, &add.upstream) {
                (Some(base), Some(add)) => Some(Arc::new(UpstreamPolicy::merged(base, add))),
                _ => newer(&add.upstream, &base.upstream),
            },
            path: newer(&add.path, &base.path),
            origin: newer(&add.origin, &base.origin),
            connect: newer(&add.connect, &base.connect),
            handshake: newer(&add.handshake, &base.handshake),
            drain: newer(&add.drain, &base.drain),
            section: None,
        }
    }
}

/// One `WsRouteResolver`: declared in the parent, started in the child at its first use.
pub struct Declared {
    config: ResolverConfig,
    running: OnceLock<Arc<CachedResolver>>,
}

impl Declared {
    /// A resolver that is not started yet.
    pub fn new(config: ResolverConfig) -> Arc<Declared> {
        Arc::new(Declared { config, running: OnceLock::new() })
    }

    /// The running resolver. Must be called inside a runtime.
    pub fn running(&self) -> Arc<CachedResolver> {
        self.running.get_or_init(|| self.config.build()).clone()
    }
}

/// A name that `WsRoute` used, and where.
struct Reference {
    resolver: String,
    place: String,
}

/// What holds in one server.
#[derive(Default)]
pub struct ServerConfig {
    /// `WsRouteResolver` by name.
    pub resolvers: HashMap<String, Arc<Declared>>,
    /// `WsRouteThreads`, main server only.
    pub threads: Option<usize>,
    references: Vec<Reference>,
}

impl ServerConfig {
    /// Remembers that `WsRoute` at `place` names a resolver, for the check when all is read.
    pub fn refer(&mut self, resolver: &str, place: String) {
        self.references.push(Reference { resolver: resolver.to_owned(), place });
    }

    /// tokio worker threads of a child.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(runtime::default_threads)
    }
}

httpd_entry! {
    fn create_dir(pool: *mut ffi::apr_pool_t, dir: *mut c_char) -> *mut c_void
        = std::ptr::null_mut(); {
        // SAFETY: httpd gives a live pool, and NULL or the section's path.
        unsafe {
            let section = (!dir.is_null()).then(|| CStr::from_ptr(dir).to_string_lossy().into());
            pool::keep(pool, DirConfig { section, ..DirConfig::default() }).cast()
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
            let (base, add) = (&*base.cast::<ServerConfig>(), &mut *add.cast::<ServerConfig>());
            let mut resolvers = base.resolvers.clone();
            resolvers.extend(add.resolvers.iter().map(|(k, v)| (k.clone(), v.clone())));
            let references = std::mem::take(&mut add.references);
            let merged = ServerConfig { resolvers, threads: base.threads, references };
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

/// Every resolver that a `WsRoute` names must exist in its server.
///
/// # Safety
/// `server` must head httpd's list of configured servers.
pub unsafe fn check_references(mut server: *mut ffi::server_rec) -> Result<(), String> {
    while !server.is_null() {
        // SAFETY: the caller guarantees the list.
        let config = unsafe { server_config(server) };
        for Reference { resolver, place } in &config.references {
            if !config.resolvers.contains_key(resolver) {
                return Err(format!(
                    "WsRoute at {place} names the resolver \"{resolver}\", which no \
                     WsRouteResolver declares in this virtual host or in the main server"
                ));
            }
        }
        // SAFETY: as above.
        server = unsafe { (*server).next };
    }
    Ok(())
}
