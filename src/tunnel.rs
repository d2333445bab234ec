//! From an upgrade to an upstream that has switched protocols: routing and the handshake in one
//! piece, without httpd. What comes out is relayed, passed on, or refused.

use crate::route::{
    self, AllowList, Ask, Candidate, Decision, Facts, PathTemplate, Refusal, Resolvers, Route,
};
use crate::upgrade::Request;
use crate::upstream::{
    self, Answered, Deadlines, Extras, Opened, Switched, UpstreamError, UpstreamPolicy,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
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
    /// `WsRouteTimeout`
    pub deadlines: Deadlines,
}

/// Why there is no tunnel. Nothing was sent to the client yet.
#[derive(Debug, Error)]
pub enum Denied {
    /// The request may not, or cannot, be routed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The upstream could not be reached, or did not switch as it should.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Denied {
    /// The HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Denied::Refused(refusal) => refusal.status(),
            Denied::Upstream(error) => error.status(),
        }
    }

    /// Seconds for `Retry-After`.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Denied::Refused(refusal) => refusal.retry_after(),
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
pub struct Report {
    /// What came of it.
    pub result: Result<Established, Denied>,
    /// Where the request belongs, if that was found out.
    pub decision: Option<Decision>,
    /// One line for each step; no secrets.
    pub steps: Vec<String>,
    /// What the resolvers complain about (lines of a file they passed over).
    pub warnings: Vec<String>,
}

/// Routes, connects and shakes hands. Runs on a tokio runtime; dropping it closes what was opened.
pub async fn establish(plan: Plan) -> Report {
    let mut steps = Vec::new();
    let mut decision = None;
    let result = try_establish(&plan, &mut decision, &mut steps).await;
    Report { result, decision, steps, warnings: plan.resolvers.warnings() }
}

async fn try_establish(
    plan: &Plan,
    decided: &mut Option<Decision>,
    steps: &mut Vec<String>,
) -> Result<Established, Denied> {
    let facts = Facts::of(&plan.request);
    let mut asked_again = false;
    loop {
        let ask = Ask {
            route: &plan.route,
            candidates: &plan.candidates,
            resolvers: &plan.resolvers,
            owner: plan.owner.as_deref(),
            facts: &facts,
            default_tls: plan.policy.tls(),
            path: plan.path.as_deref(),
        };
        let decision = decided.insert(route::decide(ask, steps).await?);
        match open(plan, decision).await {
            Ok(Opened::Switched(switched)) => return Ok(Established::Switched(switched)),
            Ok(Opened::Answered(answered)) => return Ok(Established::Answered(answered)),
            // The answer may be old and the container moved: ask once more.
            Err(error)
                if error.connect_failed()
                    && !asked_again
                    && plan.resolvers.forget(decision).await =>
            {
                steps.push(format!("{error}; the resolver is asked once more"));
                asked_again = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn open(plan: &Plan, decision: &Decision) -> Result<Opened, UpstreamError> {
    let answer = decision.answer.as_ref();
    let extras = Extras {
        authorization: answer.and_then(|a| {
            let user = a.username.as_deref()?;
            let pair = format!("{user}:{}", a.password.as_deref().unwrap_or_default());
            Some(format!("Basic {}", STANDARD.encode(pair)))
        }),
        headers: answer.map(|a| a.headers.clone()).unwrap_or_default(),
        pin: answer.and_then(|a| a.pin),
    };
    let permit = Permit { allow: &plan.allow, literal: decision.literal };
    upstream::open(&decision.target, &plan.request, &plan.policy, &extras, plan.deadlines, &permit)
        .await
}

/// `WsRouteAllow` at work: every address is looked at after DNS, before it is connected to.
struct Permit<'a> {
    allow: &'a AllowList,
    literal: bool,
}

impl upstream::Permit for Permit<'_> {
    fn address(&self, host: &str, address: std::net::SocketAddr) -> bool {
        self.literal || self.allow.permits(host, address)
    }

    fn unix(&self, path: &std::path::Path) -> bool {
        self.literal || self.allow.permits_unix(path)
    }
}
