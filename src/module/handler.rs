//! The handler: detection, routing, the upstream's answer. Access control and authentication have
//! had their say; no other handler has touched the request.

use super::answer::{refuse, refuse_malformed, unavailable};
use super::config::{self, DirConfig};
use super::runtime::{self, Child};
use super::{parked, plain_http, suspended};
use crate::ffi;
use crate::httpd::connection;
use crate::httpd::expression::ExpressionsOf;
use crate::httpd::log::{self, Level};
use crate::httpd::request::RequestRef;
use crate::route::{self, Candidate, Expressions, Refusal, Route, remember};
use crate::tunnel::Plan;
use crate::upgrade::{Detection, Request, detect};
use std::ffi::c_int;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::runtime::Handle;

httpd_entry! {
    /// Every request comes by here; all but WebSocket upgrades in a scope with `WsRoute` go on.
    fn handle(r: *mut ffi::request_rec) -> c_int = ffi::HTTP_INTERNAL_SERVER_ERROR as c_int; {
        // SAFETY: httpd gives a live request to the thread that serves it.
        match unsafe { RequestRef::new(r) } {
            Some(request) => serve(&request),
            None => ffi::DECLINED,
        }
    }
}

httpd_entry! {
    /// A type_checker hook: after access control, before mod_negotiation and mod_dir look for a
    /// file that fits.
    fn claim(r: *mut ffi::request_rec) -> c_int = ffi::DECLINED; {
        // SAFETY: httpd gives a live request to the thread that serves it.
        if let Some(request) = unsafe { RequestRef::new(r) }
            && (is_upgrade_in_scope(&request) || plain_http::is_for_a_container(&request))
        {
            request.take_for_a_file();
        }
        ffi::DECLINED
    }
}

httpd_entry! {
    /// A fixups hook, before mod_rewrite's rules for folders: `WsRouteHttp Env`.
    fn set_environment(r: *mut ffi::request_rec) -> c_int = ffi::HTTP_INTERNAL_SERVER_ERROR as c_int; {
        // SAFETY: httpd gives a live request to the thread that serves it.
        match unsafe { RequestRef::new(r) } {
            Some(request) if !looks_like_websocket(&request) => plain_http::set_environment(&request),
            _ => ffi::DECLINED,
        }
    }
}

fn is_upgrade_in_scope(request: &RequestRef) -> bool {
    looks_like_websocket(request)
        && config::of_request(request).scope.routed().is_some()
        // With a key it meant to be an upgrade: the head is copied once, by the handler.
        && (request.has_header(c"Sec-WebSocket-Key")
            || detect(&request.snapshot(None)) != Detection::NotAnUpgrade)
}

fn looks_like_websocket(request: &RequestRef) -> bool {
    (request.has_header(c"Upgrade") || request.has_header(c"Sec-WebSocket-Key"))
        && request.is_from_client()
}

fn serve(request: &RequestRef) -> c_int {
    if !looks_like_websocket(request) {
        return plain_http::serve(request);
    }
    let config = config::of_request(request);
    let Some(route) = config.scope.routed() else {
        log::request(Level::Trace1, request, || "declined: no WsRoute in this scope".into());
        return ffi::DECLINED;
    };
    let head = request.snapshot(config.scope.location.as_deref());
    match detect(&head) {
        Detection::NotAnUpgrade => plain_http::serve(request),
        Detection::Malformed(why) => refuse_malformed(request, why),
        Detection::Upgrade => match runtime::child() {
            Some(child) => upgrade(request, config, route, head, &child),
            None => unavailable(request),
        },
    }
}

fn upgrade(
    request: &RequestRef,
    config: &DirConfig,
    route: &Arc<Route>,
    head: Request,
    child: &Arc<Child>,
) -> c_int {
    #[cfg(feature = "panic-test")]
    assert!(!request.has_header(c"X-WsRoute-Panic"), "asked for by X-WsRoute-Panic");
    let pair = child.pair();
    let origin = config.scope.origin.clone().unwrap_or_default();
    let plan = match origin
        .check(&head)
        .and_then(|()| plan(request, config, route, head, child, &pair.runtime))
    {
        Ok(plan) => plan,
        Err(refusal) => return refuse(request, &refusal.into()),
    };
    match suspended::is_possible(request) {
        true => suspended::begin(request, child, pair, plan),
        false => parked::serve(request, child, pair, plan),
    }
}

/// Everything that needs httpd is evaluated here, on its own thread.
pub fn plan(
    request: &RequestRef,
    config: &DirConfig,
    route: &Arc<Route>,
    mut head: Request,
    child: &Child,
    runtime: &Handle,
) -> Result<Plan, Refusal> {
    let mut steps = Vec::new();
    let candidates = candidates(request, config, &head, &mut steps);
    for step in steps {
        log::request(Level::Debug, request, || step);
    }
    let mut candidates = candidates?;
    let mut remembered = None;
    if config.scope.remember == Some(true) {
        remembered = child.remember.add_to(&mut candidates, &head, SystemTime::now());
        head.headers = remember::stripped(head.headers);
    }
    Ok(Plan { remembered, ..plan_for(request, config, route, head, candidates, runtime) })
}

/// The plan for keys that are known.
pub fn plan_for(
    request: &RequestRef,
    config: &DirConfig,
    route: &Arc<Route>,
    head: Request,
    candidates: Vec<Candidate>,
    runtime: &Handle,
) -> Plan {
    let expressions = ExpressionsOf { request, compiled: config.expressions() };
    let scope = &config.scope;
    let owner = scope.owner.as_ref().map(|text| {
        expressions.evaluate(text).unwrap_or_else(|error| {
            log::request(Level::Err, request, || format!("WsRouteOwner: {error}"));
            String::new() // equals nothing
        })
    });
    Plan {
        request: head,
        route: route.clone(),
        candidates,
        remembered: None,
        resolvers: {
            let _runtime = runtime.enter();
            config::of_server(request).resolvers_of(route)
        },
        owner,
        allow: scope.allow.clone().unwrap_or_default(),
        policy: scope.upstream.clone().unwrap_or_default(),
        path: scope.path.clone(),
        deadlines: scope.deadlines(),
        boot: scope.boot(),
        client_is_gone: Box::new(connection::is_gone(request)),
    }
}

/// The keys that the request's own rules find; `steps` says how.
pub fn candidates(
    request: &RequestRef,
    config: &DirConfig,
    head: &Request,
    steps: &mut Vec<String>,
) -> Result<Vec<Candidate>, Refusal> {
    let expressions = ExpressionsOf { request, compiled: config.expressions() };
    let session = config.scope.session.as_deref();
    route::candidates(config.scope.key_rules(), session, &expressions, head, steps)
}
