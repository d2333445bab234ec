//! The configuration, without httpd: what the directives say in one scope and in one server, how
//! scopes merge, and what must hold when all is read. httpd's side keeps it in its pools;
//! `wsroutectl` fills it from the files.

mod declared;
pub mod directives;
pub mod fit;
pub mod headroom;

pub use declared::Declared;
pub use directives::{Context, Directive, Line};

use crate::relay;
use crate::route::session::SessionPolicy;
use crate::route::{AllowList, KeyRule, OriginPolicy, PathTemplate, Resolvers, Route};
use crate::upstream::{Deadlines, UpstreamPolicy};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What holds in one scope (virtual host, `<Location>`, `<Directory>`, `<If>`). `None`: not said
/// here. Cheap to merge: httpd does so for each request.
#[derive(Default, Clone)]
pub struct ScopeConfig {
    /// The path that httpd gave when it created this section; not merged.
    pub section: Option<Arc<str>>,
    /// The path of the section that holds `route`.
    pub location: Option<Arc<str>>,
    /// `WsRoute`
    pub route: Option<Arc<Route>>,
    /// `WsRouteKey`, in order.
    pub keys: Option<Arc<Vec<KeyRule>>>,
    /// `WsRouteOwner`: the text of an expression.
    pub owner: Option<Arc<str>>,
    /// `WsRouteSession`
    pub session: Option<Arc<SessionPolicy>>,
    /// `WsRouteRemember`
    pub remember: Option<bool>,
    /// `WsRouteHttp`
    pub http: Option<HttpMode>,
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
    /// `WsRouteTimeout boot=`
    pub boot: Option<Option<Duration>>,
    /// `WsRouteTimeout drain=`
    pub drain: Option<Option<Duration>>,
}

impl ScopeConfig {
    /// The scope's `WsRoute`, unless it is `Off`.
    pub fn routed(&self) -> Option<&Arc<Route>> {
        self.route.as_ref().filter(|route| ***route != Route::Off)
    }

    /// The rules for keys, in order.
    pub fn key_rules(&self) -> &[KeyRule] {
        self.keys.as_ref().map_or(&[], |keys| keys)
    }

    /// Deadlines for connecting and for the handshake.
    pub fn deadlines(&self) -> Deadlines {
        const DEFAULT: Option<Duration> = Some(Duration::from_secs(10));
        Deadlines {
            connect: self.connect.unwrap_or(DEFAULT),
            handshake: self.handshake.unwrap_or(DEFAULT),
        }
    }

    /// How long a container that boots is waited for.
    pub fn boot(&self) -> Option<Duration> {
        self.boot.flatten().filter(|boot| !boot.is_zero())
    }

    /// What a session is told about its end.
    pub fn terms(&self, expires: Option<Duration>) -> relay::Terms {
        let drain = self.drain.unwrap_or(Some(Duration::from_secs(30)));
        // `off`: the sessions decide how long the old child lives.
        relay::Terms { drain: drain.unwrap_or(Duration::from_secs(365 * 86400)), expires }
    }

    /// What holds where `add` stands inside `base`.
    pub fn merge(base: &ScopeConfig, add: &ScopeConfig) -> ScopeConfig {
        fn newer<T: Clone>(add: &Option<T>, base: &Option<T>) -> Option<T> {
            add.as_ref().or(base.as_ref()).cloned()
        }
        ScopeConfig {
            section: None,
            location: newer(&add.location, &base.location),
            route: newer(&add.route, &base.route),
            keys: newer(&add.keys, &base.keys),
            owner: newer(&add.owner, &base.owner),
            session: newer(&add.session, &base.session),
            remember: newer(&add.remember, &base.remember),
            http: newer(&add.http, &base.http),
            allow: newer(&add.allow, &base.allow),
            upstream: match (&base.upstream, &add.upstream) {
                (Some(base), Some(add)) => Some(Arc::new(UpstreamPolicy::merged(base, add))),
                _ => newer(&add.upstream, &base.upstream),
            },
            path: newer(&add.path, &base.path),
            origin: newer(&add.origin, &base.origin),
            connect: newer(&add.connect, &base.connect),
            handshake: newer(&add.handshake, &base.handshake),
            boot: newer(&add.boot, &base.boot),
            drain: newer(&add.drain, &base.drain),
        }
    }
}

/// The value of `WsRouteHttp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMode {
    /// Plain HTTP is not ours.
    Off,
    /// It goes to the container, through mod_proxy.
    On,
    /// The environment says where it belongs; whoever wants sends it there.
    Env,
}

/// A name that `WsRoute` used, and where.
#[derive(Clone)]
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
    /// Some scope says `WsRouteHttp On`.
    pub uses_http: bool,
    /// Where a scope says `WsRouteKey session:`.
    session_key: Option<String>,
    /// Some scope says `WsRouteSession`.
    has_session: bool,
    references: Vec<Reference>,
}

impl ServerConfig {
    /// Remembers that `WsRoute` at `place` names a resolver, for the check when all is read.
    fn refer(&mut self, resolver: &str, place: &str) {
        self.references.push(Reference { resolver: resolver.to_owned(), place: place.to_owned() });
    }

    /// What holds in the virtual host `add` of the main server `base`.
    pub fn merge(base: &ServerConfig, add: &ServerConfig) -> ServerConfig {
        let mut resolvers = base.resolvers.clone();
        resolvers.extend(add.resolvers.iter().map(|(k, v)| (k.clone(), v.clone())));
        ServerConfig {
            resolvers,
            threads: base.threads,
            uses_http: add.uses_http,
            session_key: add.session_key.clone(),
            has_session: base.has_session || add.has_session,
            references: add.references.clone(),
        }
    }

    /// What must hold when all is read: every resolver that a `WsRoute` of this server names
    /// exists, and who says `WsRouteKey session:` says `WsRouteSession` somewhere.
    ///
    /// # Errors
    /// The name and the place, as one line.
    pub fn check(&self) -> Result<(), String> {
        if let (Some(place), false) = (&self.session_key, self.has_session) {
            return Err(format!(
                "WsRouteKey session: at {place} has no WsRouteSession to read it with, use \
                 WsRouteSession flask|jwt ... in the same scope"
            ));
        }
        match self.references.iter().find(|r| !self.resolvers.contains_key(&r.resolver)) {
            None => Ok(()),
            Some(Reference { resolver, place }) => Err(format!(
                "WsRoute at {place} names the resolver \"{resolver}\", which no \
                 WsRouteResolver declares in this virtual host or in the main server"
            )),
        }
    }

    /// The running resolvers that `route` names. Must be called inside a runtime.
    pub fn resolvers_of(&self, route: &Route) -> Resolvers {
        let Route::Resolvers(names) = route else { return Resolvers::default() };
        names.iter().filter_map(|name| Some(self.resolvers.get(name)?.running())).collect()
    }
}
