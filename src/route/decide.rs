//! The decision: from the candidates of a request to one target, or to a refusal.
//!
//! The outcomes, in the order in which they are looked for:
//! no key (404), the resolver is out of order (502, 504; never the next resolver, which might know
//! another container by that name), somebody else's (403), expired (403), starting (503), found.

use std::time::{Duration, SystemTime};

use thiserror::Error;

use super::answer::Answer;
use super::cache::Lookup;
use super::key::Candidate;
use super::refusal::Refusal;
use super::resolver::{Facts, Query};
use super::template::{PathTemplate, Template};
use super::{Resolvers, Route};
use crate::upstream::target::Target;

/// What is to be decided. Borrowed for the time of the decision.
pub struct Ask<'a> {
    /// The value of `WsRoute`.
    pub route: &'a Route,
    /// The request's keys, from [`candidates`](super::key::candidates).
    pub candidates: &'a [Candidate],
    /// The child's resolvers.
    pub resolvers: &'a Resolvers,
    /// The evaluated `WsRouteOwner`; `None` without the directive.
    pub owner: Option<&'a str>,
    /// What else the request says.
    pub facts: &'a Facts,
    /// `WsRouteUpstream scheme=wss`.
    pub default_tls: bool,
    /// `WsRouteUpstream path=`.
    pub path: Option<&'a PathTemplate>,
}

/// Where a request goes, and why. Owned.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Where to connect to.
    pub target: Target,
    /// The key that decided; `None` for a literal URL.
    pub key: Option<String>,
    /// The key as logs may show it.
    pub shown_key: Option<String>,
    /// The rule the key came from, as configured.
    pub rule: Option<String>,
    /// The resolver that knew the key.
    pub resolver: Option<String>,
    /// Its answer: credentials, pin, headers, expiry.
    pub answer: Option<Answer>,
    /// The target is what the administrator wrote: `WsRouteAllow` does not apply.
    pub literal: bool,
    /// What the resolver was asked, for [`Resolvers::forget`].
    pub query: Option<Query>,
}

impl Decision {
    /// How long the answer is good for from now on, if it has an end: the session's own deadline.
    pub fn expires_in(&self) -> Option<Duration> {
        let until = self.answer.as_ref()?.expires?;
        Some(until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
    }
}

/// No, and the candidate that decided so. Owned.
#[derive(Debug, Clone, Error)]
#[error("{refusal}")]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The candidate whose answer it was, or whose resolver failed; `None` if none decided.
    pub candidate: Option<Box<Candidate>>,
}

impl Refused {
    fn for_key(candidate: &Candidate, refusal: impl Into<Refusal>) -> Refused {
        Refused { refusal: refusal.into(), candidate: Some(Box::new(candidate.clone())) }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused { refusal, candidate: None }
    }
}

/// Decides where a request goes. `trace` gets one line for each step, without secrets.
///
/// # Errors
/// See the head of this file.
pub async fn decide(ask: Ask<'_>, trace: &mut Vec<String>) -> Result<Decision, Refused> {
    let result = match ask.route {
        Route::Off => Err(Refusal::BadConfiguration("WsRoute is Off".into()).into()),
        Route::Template(template) => ask.fill(template, trace),
        Route::Resolvers(names) => ask.resolve(names, trace).await,
    };
    if let Err(Refused { refusal, .. }) = &result {
        trace.push(format!("refused ({}): {refusal}", refusal.status()));
    }
    result
}

impl Ask<'_> {
    fn fill(&self, template: &Template, trace: &mut Vec<String>) -> Result<Decision, Refused> {
        if self.owner.is_some() {
            let why = "a URL template has no owner; use a resolver, or take WsRouteOwner away";
            return Err(Refusal::NotYours(why.into()).into());
        }
        let literal = template.literal();
        let candidate = self.candidates.first().filter(|_| !literal);
        // {tail} without {key} still follows a path rule, if one matched.
        let tail = self.candidates.first().and_then(|c| c.tail.as_deref());
        let tail = tail.unwrap_or(&self.facts.tail);
        let key = candidate.map(|c| c.key.as_str());
        let target = template.expand(key, &self.facts.raw_path, Some(tail));
        let target = target.map_err(|error| match candidate {
            Some(candidate) => Refused::for_key(candidate, error),
            None => Refusal::from(error).into(),
        })?;
        trace.push(match candidate {
            Some(c) => format!("{}: template: {target}", named(c)),
            None => format!("literal URL: {target}"),
        });
        Ok(Decision {
            target,
            key: candidate.map(|c| c.key.clone()),
            shown_key: candidate.map(|c| c.shown.clone()),
            rule: candidate.map(|c| c.rule.clone()),
            resolver: None,
            answer: None,
            literal,
            query: None,
        })
    }

    async fn resolve(
        &self,
        names: &[String],
        trace: &mut Vec<String>,
    ) -> Result<Decision, Refused> {
        let unclear = |text: &str| text.contains('\u{fffd}');
        if unclear(&self.facts.path) || self.facts.user.as_deref().is_some_and(unclear) {
            return Err(Refusal::BadKey("the path or the user's name is not UTF-8".into()).into());
        }
        if self.owner == Some("") {
            let why = "WsRouteOwner is empty: is nobody logged in?";
            return Err(Refusal::NotYours(why.into()).into());
        }
        if self.candidates.is_empty() {
            return Err(Refusal::UnknownKey("no WsRouteKey rule gave a key".into()).into());
        }
        for candidate in self.candidates {
            let query = self.facts.query(&candidate.key);
            let refused = |refusal| Refused::for_key(candidate, refusal);
            for name in names {
                let lookup = self.lookup(name, &query, candidate, trace).await;
                if let Some(answer) = lookup.map_err(refused)?.answer {
                    return self.judge(candidate, name, query, answer).map_err(refused);
                }
            }
        }
        let keys: Vec<_> = self.candidates.iter().map(|c| format!("{:?}", c.shown)).collect();
        Err(Refusal::UnknownKey(format!("no resolver knows {}", keys.join(", "))).into())
    }

    async fn lookup(
        &self,
        name: &str,
        query: &Query,
        candidate: &Candidate,
        trace: &mut Vec<String>,
    ) -> Result<Lookup, Refusal> {
        let resolver = self.resolvers.get(name).ok_or_else(|| {
            Refusal::BadConfiguration(format!(
                "WsRoute names {name:?}, which no WsRouteResolver is"
            ))
        })?;
        let who = format!("{}: resolver {name}", named(candidate));
        let lookup = resolver.resolve(query).await.map_err(|error| {
            trace.push(format!("{who}: {error}"));
            Refusal::from_resolver(name, error)
        })?;
        let said = match &lookup.answer {
            None => "unknown".to_owned(),
            Some(answer) => match &answer.target {
                Some(target) => self.with_scheme(answer, target).to_string(),
                None => "no target yet".to_owned(),
            },
        };
        trace.push(match &lookup.stale {
            Some(error) => format!("{who}: {said} (stale: {error})"),
            None => format!("{who}: {said}"),
        });
        Ok(lookup)
    }

    /// The answer is there; whether it is for this request. Never the next key after this.
    fn judge(
        &self,
        candidate: &Candidate,
        name: &str,
        query: Query,
        answer: Answer,
    ) -> Result<Decision, Refusal> {
        let (key, shown) = (&candidate.key, &candidate.shown);
        if let Some(owner) = self.owner {
            match answer.owner.as_deref() {
                Some(real) if real == owner => {}
                Some(_) => {
                    return Err(Refusal::NotYours(format!(
                        "{shown:?} does not belong to {owner:?}"
                    )));
                }
                None => {
                    return Err(Refusal::NotYours(format!(
                        "the answer for {shown:?} has no owner"
                    )));
                }
            }
        }
        if answer.expires.is_some_and(|until| until <= SystemTime::now()) {
            return Err(Refusal::Expired(format!("the answer for {shown:?} has expired")));
        }
        let target = match &answer.target {
            Some(target) if answer.is_running() => self.with_scheme(&answer, target),
            _ => {
                let state = answer.state.as_deref().unwrap_or("starting");
                return Err(Refusal::Starting(format!("{shown:?} is {state:?}")));
            }
        };
        Ok(Decision {
            target: self.with_path(target, candidate)?,
            key: Some(key.clone()),
            shown_key: Some(shown.clone()),
            rule: Some(candidate.rule.clone()),
            resolver: Some(name.to_owned()),
            answer: Some(answer),
            literal: false,
            query: Some(query),
        })
    }

    /// The answer's target, with the configured scheme if it has none of its own.
    fn with_scheme(&self, answer: &Answer, target: &Target) -> Target {
        let tls = if answer.scheme_given { target.tls } else { self.default_tls };
        Target { tls, ..target.clone() }
    }

    /// The target with the configured path if the answer has none.
    fn with_path(&self, mut target: Target, candidate: &Candidate) -> Result<Target, Refusal> {
        if let (None, Some(template)) = (&target.path, self.path) {
            let tail = candidate.tail.as_deref().unwrap_or(&self.facts.tail);
            let raw_path = &self.facts.raw_path;
            target.path = Some(template.expand(Some(&candidate.key), raw_path, Some(tail))?);
        }
        Ok(target)
    }
}

fn named(candidate: &Candidate) -> String {
    format!("key {:?} from {}", candidate.shown, candidate.rule)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
