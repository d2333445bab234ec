//! From an upgrade to an upstream that has switched protocols: routing and the handshake in one
//! piece, without httpd. What comes out is relayed, passed on, or refused.

mod boot;

use boot::BootWait;

use crate::route::{
    self, AllowList, Ask, Candidate, Decision, Facts, PathTemplate, Refusal, Refused, Resolvers,
    Route,
};
use crate::upgrade::Request;
use crate::upstream::{
    self, Address, Answered, Deadlines, Extras, Opened, Reached, Switched, UpstreamError,
    UpstreamPolicy,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// All that is known about an upgrade before anybody is asked. Owned, so that it can leave
/// httpd's thread.
pub struct Plan {
    /// The request head.
    pub request: Request,
    /// `WsRoute`
    pub route: Arc<Route>,
    /// Candidate keys, in order.
    pub candidates: Vec<Candidate>,
    /// The key that a cookie of the request remembers.
    pub remembered: Option<String>,
    /// The resolvers that the route names.
    pub resolvers: Resolvers,
    /// The value of `WsRouteOwner`; `None` if there is no such directive.
    pub owner: Option<String>,
    /// `WsRouteAllow`
    pub allow: Arc<AllowList>,
    /// `WsRouteUpstream`
    pub policy: Arc<UpstreamPolicy>,
    /// `WsRouteUpstream path=`
    pub path: Option<Arc<PathTemplate>>,
    /// `WsRouteTimeout connect= handshake=`
    pub deadlines: Deadlines,
    /// `WsRouteTimeout boot=`: how long a container that starts is waited for.
    pub boot: Option<Duration>,
    /// Says whether the client has gone away; asked while a container boots.
    pub client_is_gone: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Why there is no tunnel. Nothing was sent to the client yet.
#[derive(Debug, Error)]
pub enum Denied {
    /// The request may not, or cannot, be routed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The upstream could not be reached, or did not switch as it should.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        Denied::Refused(refusal.into())
    }
}

impl Denied {
    /// The HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Denied::Refused(Refused { refusal, .. }) => refusal.status(),
            Denied::Upstream(error) => error.status(),
        }
    }

    /// No key, or none that a resolver knows.
    pub fn is_unknown_key(&self) -> bool {
        matches!(self, Denied::Refused(Refused { refusal: Refusal::UnknownKey(_), .. }))
    }

    /// Seconds for `Retry-After`.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Denied::Refused(Refused { refusal, .. }) => refusal.retry_after(),
            Denied::Upstream(_) => None,
        }
    }
}

/// What the upstream made of the handshake.
pub enum Established {
    /// It switched: relay.
    Switched(Switched),
    /// It answered something else: pass that on.
    Answered(Answered),
}

/// The result, and the steps that led to it, for the debug log.
pub struct Report<T> {
    /// What came of it.
    pub result: Result<T, Denied>,
    /// Where the request belongs, if that was found out.
    pub decision: Option<Decision>,
    /// One line for each step; no secrets.
    pub steps: Vec<String>,
    /// What the resolvers complain about (lines of a file they passed over).
    pub warnings: Vec<String>,
}

/// Routes, connects and shakes hands. Runs on a tokio runtime; dropping it closes what was opened.
pub async fn establish(plan: &Plan) -> Report<Established> {
    run::<WebSocket>(plan).await
}

/// Routes and connects, and sends nothing: for plain HTTP to the same container. As [`establish`].
pub async fn reach(plan: &Plan) -> Report<Reached> {
    run::<PlainHttp>(plan).await
}

/// Only says where the request belongs; connects to nothing and waits for nobody. As [`establish`].
pub async fn locate(plan: &Plan) -> Report<()> {
    let mut steps = Vec::new();
    let (result, decision) = match decide(plan, &Facts::of(&plan.request), &mut steps).await {
        Ok(decision) => {
            (may_connect(&decision, &plan.allow).await.map_err(Denied::from), Some(decision))
        }
        Err(refused) => (Err(refused.into()), None),
    };
    Report { result, decision, steps, warnings: plan.resolvers.warnings() }
}

/// For somebody else who will connect, and will not ask again: every address behind the decision's
/// target is covered by `allow`.
///
/// # Errors
/// `Resolve`, `NotAllowed`
async fn may_connect(decision: &Decision, allow: &AllowList) -> Result<(), UpstreamError> {
    let permit = Permit { allow, literal: decision.literal };
    let allowed = match &decision.target.address {
        Address::Unix(path) => upstream::Permit::unix(&permit, path),
        Address::Tcp { host, port } => {
            let found = upstream::connect::resolve(host, *port).await?;
            found.iter().all(|address| upstream::Permit::address(&permit, host, *address))
        }
    };
    match allowed {
        true => Ok(()),
        false => Err(UpstreamError::NotAllowed { peer: decision.target.to_string() }),
    }
}

async fn run<A: Attempt>(plan: &Plan) -> Report<A::Done> {
    let mut steps = Vec::new();
    let mut decision = None;
    let result = try_until_up::<A>(plan, &mut decision, &mut steps).await;
    Report { result, decision, steps, warnings: plan.resolvers.warnings() }
}

/// What is wanted of an upstream.
trait Attempt {
    type Done: Send;

    /// One attempt at the upstream of `decision`.
    fn attempt(
        plan: &Plan,
        decision: &Decision,
    ) -> impl Future<Output = Result<Tried<Self::Done>, UpstreamError>> + Send;
}

/// What one attempt gave.
enum Tried<T> {
    Done(T),
    /// The last word, unless there is time to ask again; and why.
    PerhapsBooting(T, String),
}

struct WebSocket;

impl Attempt for WebSocket {
    type Done = Established;

    async fn attempt(
        plan: &Plan,
        decision: &Decision,
    ) -> Result<Tried<Established>, UpstreamError> {
        let Plan { request, policy, deadlines, .. } = plan;
        let (extras, permit) = (extras(decision), Permit::of(plan, decision));
        let opened =
            upstream::open(&decision.target, request, policy, &extras, *deadlines, &permit).await?;
        Ok(match opened {
            Opened::Switched(switched) => Tried::Done(Established::Switched(switched)),
            // What stands in front of a container that is not up yet says so.
            Opened::Answered(answered) if matches!(answered.status, 502 | 503) => {
                let why = format!("{} answered {}", answered.peer, answered.status);
                Tried::PerhapsBooting(Established::Answered(answered), why)
            }
            Opened::Answered(answered) => Tried::Done(Established::Answered(answered)),
        })
    }
}

struct PlainHttp;

impl Attempt for PlainHttp {
    type Done = Reached;

    async fn attempt(plan: &Plan, decision: &Decision) -> Result<Tried<Reached>, UpstreamError> {
        let (extras, permit) = (extras(decision), Permit::of(plan, decision));
        let (target, policy) = (&decision.target, &plan.policy);
        upstream::reach(target, policy, &extras, plan.deadlines, &permit).await.map(Tried::Done)
    }
}

/// Decides and tries; again at once if the answer may be old, and again until the boot time is
/// over if the container may be starting.
async fn try_until_up<A: Attempt>(
    plan: &Plan,
    decided: &mut Option<Decision>,
    steps: &mut Vec<String>,
) -> Result<A::Done, Denied> {
    let facts = Facts::of(&plan.request);
    let mut boot = BootWait::new(plan.boot);
    let mut asked_again = false;
    loop {
        let decision = match decide(plan, &facts, steps).await {
            Ok(decision) => decided.insert(decision),
            Err(no) if no.refusal.is_starting() && boot.wait(plan).await => continue,
            Err(no) => return Err(no.into()),
        };
        let error = match A::attempt(plan, decision).await {
            Ok(Tried::Done(done)) => return Ok(done),
            Ok(Tried::PerhapsBooting(done, why)) => match boot.wait(plan).await {
                true => {
                    note(steps, format!("{why}; trying again"));
                    continue;
                }
                false => return Ok(done),
            },
            Err(error) => error,
        };
        // The answer may be old and the container moved: ask once more, at once.
        let forgotten = error.connect_failed() && plan.resolvers.forget(decision).await;
        if forgotten && !asked_again {
            note(steps, format!("{error}; the resolver is asked once more"));
            asked_again = true;
        } else if error.may_be_booting() && boot.wait(plan).await {
            note(steps, format!("{error}; trying again"));
        } else if error.may_be_booting() && boot.is_configured() {
            return Err(Refusal::Starting(format!("the container is not up: {error}")).into());
        } else {
            return Err(error.into());
        }
    }
}

async fn decide(plan: &Plan, facts: &Facts, steps: &mut Vec<String>) -> Result<Decision, Refused> {
    let ask = Ask {
        route: &plan.route,
        candidates: &plan.candidates,
        resolvers: &plan.resolvers,
        owner: plan.owner.as_deref(),
        facts,
        default_tls: plan.policy.tls(),
        path: plan.path.as_deref(),
    };
    let mut said = Vec::new();
    let decision = route::decide(ask, &mut said).await;
    said.into_iter().for_each(|step| note(steps, step));
    decision
}

/// Each step once, however often a container that boots is asked.
fn note(steps: &mut Vec<String>, step: String) {
    if !steps.contains(&step) {
        steps.push(step);
    }
}

/// What the answer behind `decision` adds to a request for its upstream.
pub fn extras(decision: &Decision) -> Extras {
    let answer = decision.answer.as_ref();
    Extras {
        authorization: answer.and_then(|a| {
            let user = a.username.as_deref()?;
            let pair = format!("{user}:{}", a.password.as_deref().unwrap_or_default());
            Some(format!("Basic {}", STANDARD.encode(pair)))
        }),
        headers: answer.map(|a| a.headers.clone()).unwrap_or_default(),
        pin: answer.and_then(|a| a.pin),
    }
}

/// `WsRouteAllow` at work: every address is looked at after DNS, before it is connected to.
struct Permit<'a> {
    allow: &'a AllowList,
    literal: bool,
}

impl<'a> Permit<'a> {
    fn of(plan: &'a Plan, decision: &Decision) -> Permit<'a> {
        Permit { allow: &plan.allow, literal: decision.literal }
    }
}

impl upstream::Permit for Permit<'_> {
    fn address(&self, host: &str, address: std::net::SocketAddr) -> bool {
        self.literal || self.allow.permits(host, address)
    }

    fn unix(&self, path: &std::path::Path) -> bool {
        self.literal || self.allow.permits_unix(path)
    }
}
