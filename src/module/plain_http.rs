//! Plain HTTP to the same container (`WsRouteHttp`). The request is routed as a WebSocket is and
//! the upstream connected to by the same rules; then mod_proxy speaks HTTP over that connection,
//! which it reaches through a [`Bridge`].

use super::answer::{refuse, say, unavailable};
use super::config::{self, DirConfig};
use super::handler;
use super::handoff::log_report;
use super::runtime::{self, Child};
use crate::config::HttpMode;
use crate::ffi;
use crate::httpd::log::{self, Level};
use crate::httpd::request::RequestRef;
use crate::relay::Bridge;
use crate::route::{Decision, Route};
use crate::tunnel::{self, Plan, Report};
use crate::upstream::Reached;
use crate::upstream::request_head::{HttpHead, plain_http};
use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::runtime::Handle;

/// What of a scope is needed, if it wants its plain HTTP routed in this way and this request is
/// some.
fn wanted<'r>(request: &RequestRef<'r>, mode: HttpMode) -> Option<(&'r DirConfig, &'r Arc<Route>)> {
    let config = config::of_request(request);
    let wanted =
        config.scope.http == Some(mode) && request.is_from_client() && request.names_a_path();
    wanted.then(|| Some((config, config.scope.routed()?)))?
}

/// For the type_checker hook: [`serve`] will want this request.
pub fn is_for_a_container(request: &RequestRef) -> bool {
    wanted(request, HttpMode::On).is_some_and(|(config, route)| {
        let head = request.snapshot(None);
        is_literal(route)
            // The handler finds them again, and tells how.
            || handler::candidates(request, config, &head, &mut Vec::new())
                .is_ok_and(|c| !c.is_empty())
    })
}

/// A request that is to be routed.
struct Routed<'r> {
    config: &'r DirConfig,
    child: Arc<Child>,
    runtime: Handle,
    plan: Plan,
}

impl<'r> Routed<'r> {
    /// The error is the hook's result: the request is not routed, or it is answered already.
    fn new(request: &RequestRef<'r>, mode: HttpMode) -> Result<Routed<'r>, c_int> {
        let (config, route) = wanted(request, mode).ok_or(ffi::DECLINED)?;
        let child = runtime::child().ok_or_else(|| unavailable(request))?;
        let runtime = child.pair().runtime;
        let head = request.snapshot(config.scope.location.as_deref());
        let plan = handler::plan(request, config, route, head, &child, &runtime)
            .map_err(|refusal| refuse(request, &refusal.into()))?;
        // A literal URL takes all there is; else there must be a key.
        if !is_literal(&plan.route) && plan.candidates.is_empty() {
            let text = || "plain HTTP without a key is not routed".into();
            log::request(Level::Debug, request, text);
            return Err(ffi::DECLINED);
        }
        Ok(Routed { config, child, runtime, plan })
    }
}

/// For the handler hook: prepares the request for mod_proxy, whose handler comes next, or answers.
pub fn serve(request: &RequestRef) -> c_int {
    let Routed { config, child, runtime, plan } = match Routed::new(request, HttpMode::On) {
        Ok(routed) => routed,
        Err(result) => return result,
    };
    let reached = child.wait_for(&runtime, async move { (tunnel::reach(&plan).await, plan) });
    let Some((report, plan)) = reached else { return unavailable(request) };
    let Report { result, decision, .. } = log_report(request, report);
    match (result, decision) {
        (Ok(reached), Some(decision)) => {
            let _runtime = runtime.enter();
            match hand_to_mod_proxy(request, config, &plan, decision, reached, &child) {
                Ok(()) => ffi::DECLINED,
                Err(error) => {
                    say(Level::Err, request, &format!("bridge-failed: {error}"));
                    ffi::HTTP_INTERNAL_SERVER_ERROR as c_int
                }
            }
        }
        // A container that is gone must not take the portal's own pages along.
        (Err(denied), _) if denied.is_unknown_key() && only_hints(&plan) => ffi::DECLINED,
        (Err(denied), _) => refuse(request, &denied),
        (Ok(_), None) => unreachable!("nothing is reached without a decision"),
    }
}

fn is_literal(route: &Route) -> bool {
    matches!(route, Route::Template(template) if template.literal())
}

fn only_hints(plan: &Plan) -> bool {
    plan.candidates.iter().all(|candidate| candidate.hint)
}

fn hand_to_mod_proxy(
    request: &RequestRef,
    config: &DirConfig,
    plan: &Plan,
    mut decision: Decision,
    reached: Reached,
    child: &Arc<Child>,
) -> io::Result<()> {
    if !keeps_template(plan, &decision) {
        decision.target.path = None;
    }
    let extras = tunnel::extras(&decision);
    let HttpHead { host, uri, headers } =
        plain_http(&decision.target, &plan.request, &plan.policy, &extras)
            .map_err(io::Error::other)?;
    let bridge = Bridge::new(&child.sockets)?;
    let path = bridge.path().to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    for (name, value) in &headers {
        request.replace_header_in(name, value.as_deref());
    }
    if config.scope.remember == Some(true) {
        remember(request, plan, &decision, child);
    }
    request.take_for_mod_proxy(&format!("proxy:unix:{path}|http://{host}"), &uri);
    tokio::spawn(child.unless_stopped(bridge.carry(reached.io)));
    Ok(())
}

/// The path of a `WsRoute` or an answer is the WebSocket's, unless it is made of the request's.
fn keeps_template(plan: &Plan, decision: &Decision) -> bool {
    match &*plan.route {
        Route::Template(template) => template.follows_the_request(),
        _ => {
            let own = decision.answer.as_ref().and_then(|a| a.target.as_ref()?.path.as_ref());
            own.is_none() && plan.path.as_ref().is_some_and(|path| path.follows_the_request())
        }
    }
}

/// Sets the cookie, unless it is there. A key that logs may not show is not remembered.
fn remember(request: &RequestRef, plan: &Plan, decision: &Decision, child: &Child) {
    let Some(key) = decision.key.as_ref().filter(|_| decision.shown_key == decision.key) else {
        return;
    };
    if plan.remembered.as_ref() != Some(key) {
        let cookie = child.remember.cookie(key, &plan.request, SystemTime::now());
        request.add_error_header(c"Set-Cookie", &cookie);
    }
}

/// For the fixups hook (`WsRouteHttp Env`): only says where the request belongs, for rules of
/// mod_rewrite or a ProxyPass that the administrator writes.
pub fn set_environment(request: &RequestRef) -> c_int {
    let Routed { child, runtime, plan, .. } = match Routed::new(request, HttpMode::Env) {
        Ok(routed) => routed,
        Err(result) => return result,
    };
    let report = child.wait_for(&runtime, async move { tunnel::locate(&plan).await });
    let Some(report) = report else { return unavailable(request) };
    match log_report(request, report).result {
        Ok(()) => ffi::DECLINED,
        Err(denied) if denied.is_unknown_key() => ffi::DECLINED,
        Err(denied) => refuse(request, &denied),
    }
}
