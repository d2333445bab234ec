//! The handler: detection, routing, the upstream's answer. Access control and authentication have
//! had their say; no other handler has touched the request.

use super::config::{self, DirConfig};
use super::finish::Details;
use super::handoff;
use super::runtime::{self, Child};
use crate::ffi;
use crate::httpd::expression::ExpressionsOf;
use crate::httpd::log::{self, Level};
use crate::httpd::request::RequestRef;
use crate::httpd::{connection, log::Level::Info};
use crate::route::{self, Decision, Expressions, Refusal, Route};
use crate::tunnel::{self, Denied, Established, Plan, Report};
use crate::upgrade::{Detection, Malformed, Request, detect};
use crate::upstream::Answered;
use std::ffi::c_int;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Pieces of a passed-on body between the runtime and httpd's thread.
const PIECES: usize = 2;

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
            && looks_like_websocket(&request)
            && config::of_request(&request).scope.routed().is_some()
            // With a key it meant to be an upgrade: the head is copied once, by the handler.
            && (request.has_header(c"Sec-WebSocket-Key")
                || detect(&request.snapshot(None)) != Detection::NotAnUpgrade)
        {
            request.take_for_a_file();
        }
        ffi::DECLINED
    }
}

fn looks_like_websocket(request: &RequestRef) -> bool {
    (request.has_header(c"Upgrade") || request.has_header(c"Sec-WebSocket-Key"))
        && request.is_from_client()
}

fn serve(request: &RequestRef) -> c_int {
    if !looks_like_websocket(request) {
        return ffi::DECLINED;
    }
    let config = config::of_request(request);
    let Some(route) = config.scope.routed() else {
        log::request(Level::Trace1, request, || "declined: no WsRoute in this scope".into());
        return ffi::DECLINED;
    };
    let head = request.snapshot(config.scope.location.as_deref());
    match detect(&head) {
        Detection::NotAnUpgrade => ffi::DECLINED,
        Detection::Malformed(why) => refuse_malformed(request, why),
        Detection::Upgrade => match runtime::child() {
            Some(child) => upgrade(request, config, route, head, &child),
            None => ffi::HTTP_SERVICE_UNAVAILABLE as c_int,
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
    let worker = child.worker();
    let plan = match plan(request, config, route, head, &worker) {
        Ok(plan) => plan,
        Err(refusal) => return refuse(request, &refusal.into()),
    };
    handoff::park_handshake(request);
    let (report, answer) = oneshot::channel();
    let establishing = child.unless_stopped(tunnel::establish(plan));
    worker.spawn(async move {
        if let Some(done) = establishing.await {
            let _ = report.send(done);
        }
    });
    let Ok(Report { result, decision, steps, warnings }) = answer.blocking_recv() else {
        // The child stops, or a panic (which has its own line).
        return ffi::HTTP_SERVICE_UNAVAILABLE as c_int;
    };
    for step in steps {
        log::request(Level::Debug, request, || step);
    }
    for warning in warnings {
        log::request(Level::Warning, request, || format!("resolver-warning: {warning}"));
    }
    if let Some(decision) = &decision {
        name(request, decision);
    }
    match (result, decision) {
        (Ok(Established::Switched(switched)), Some(decision)) => {
            let details = Details::new(request, &decision);
            let terms = config.scope.terms(decision.expires_in());
            handoff::hand_off(request, child, &worker, switched, details, terms)
        }
        (Ok(Established::Answered(answered)), Some(decision)) => {
            log::request(Info, request, || {
                let (target, status) = (&decision.target, answered.status);
                format!(
                    "upstream-declined: {target} answered {status} instead of switching to WebSocket"
                )
            });
            pass_on(request, answered, child, &worker)
        }
        (Err(denied), _) => refuse(request, &denied),
        (Ok(_), None) => unreachable!("nothing is opened without a decision"),
    }
}

/// For logs and other modules.
fn name(request: &RequestRef, decision: &Decision) {
    request.set_env(c"WSROUTE_TARGET", &decision.target.to_string());
    if let Some(key) = &decision.key {
        request.set_env(c"WSROUTE_KEY", key);
    }
    if let Some(rule) = &decision.rule {
        request.set_env(c"WSROUTE_RULE", rule);
    }
}

/// Everything that needs httpd is evaluated here, on its own thread.
fn plan(
    request: &RequestRef,
    config: &DirConfig,
    route: &Arc<Route>,
    head: Request,
    worker: &Handle,
) -> Result<Plan, Refusal> {
    let expressions = ExpressionsOf { request, compiled: config.expressions() };
    let config = &config.scope;
    config.origin.clone().unwrap_or_default().check(&head)?;
    let candidates = route::candidates(config.key_rules(), &head, &expressions)?;
    let owner = config.owner.as_ref().map(|text| {
        expressions.evaluate(text).unwrap_or_else(|error| {
            log::request(Level::Err, request, || format!("WsRouteOwner: {error}"));
            String::new() // equals nothing
        })
    });
    Ok(Plan {
        request: head,
        route: route.clone(),
        candidates,
        resolvers: {
            let _runtime = worker.enter();
            config::of_server(request).resolvers_of(route)
        },
        owner,
        allow: config.allow.clone().unwrap_or_default(),
        policy: config.upstream.clone().unwrap_or_default(),
        path: config.path.clone(),
        deadlines: config.deadlines(),
    })
}

fn refuse_malformed(request: &RequestRef, why: Malformed) -> c_int {
    let text = format!("not a WebSocket upgrade: {why}");
    log::request(Info, request, || text.clone());
    request.explain(why.status(), &text);
    if why.status() == 426 {
        request.set_error_header(c"Sec-WebSocket-Version", "13");
        request.set_error_header(c"Upgrade", "websocket");
    }
    why.status().into()
}

/// httpd answers with its error page, or with the ErrorDocument.
fn refuse(request: &RequestRef, denied: &Denied) -> c_int {
    let status = denied.status();
    // A browser asks again and again while its container starts: nothing is wrong then.
    let level = if status >= 500 && denied.retry_after().is_none() { Level::Err } else { Info };
    log::request(level, request, || denied.to_string());
    if let Some(seconds) = denied.retry_after() {
        request.set_error_header(c"Retry-After", &seconds.to_string());
    }
    status.into()
}

/// The upstream's own answer, as it is.
fn pass_on(request: &RequestRef, answered: Answered, child: &Child, worker: &Handle) -> c_int {
    request.clear_headers_out();
    let line = format!("{} {}", answered.status, answered.reason);
    request.set_status(answered.status, Some(line.trim_end()));
    for (name, value) in &answered.headers {
        request.add_header_out(name, value);
    }
    let (send, mut pieces) = mpsc::channel(PIECES);
    let mut body = answered.body;
    worker.spawn(child.unless_stopped(async move {
        loop {
            let piece = body.next().await.transpose();
            let last = !matches!(piece, Some(Ok(_)));
            if send.send(piece).await.is_err() || last {
                return;
            }
        }
    }));
    loop {
        match pieces.blocking_recv() {
            Some(Some(Ok(piece))) if request.send_body(&piece) => {}
            Some(None) => return ffi::OK as c_int,
            Some(Some(Ok(_))) => return ffi::OK as c_int, // the client is gone
            Some(Some(Err(_))) | None => {
                // What is missing must not look complete.
                log::request(Info, request, || "upstream-lost: its answer broke off".into());
                connection::mark_closed(request);
                return ffi::OK as c_int;
            }
        }
    }
}
