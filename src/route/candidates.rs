//! All keys of one request, from everything that keys are taken from.

use super::key::{self, Candidate, Expressions, KeyRule, Sources};
use super::refusal::Refusal;
use super::remember;
use super::session::{SessionPolicy, claims_for};
use crate::upgrade::Request;
use std::time::SystemTime;

/// The keys that `rules` find in `request`, in order. The session (`WsRouteSession`) is read if a
/// rule asks for it. A page does not go where another page left a [hint](Candidate::hint).
/// `trace` gets a line for what was said of the session, and for each rule that finds no key.
///
/// # Errors
/// As [`key::candidates`] and [`claims_for`].
pub fn candidates(
    rules: &[KeyRule],
    session: Option<&SessionPolicy>,
    expressions: &dyn Expressions,
    request: &Request,
    trace: &mut Vec<String>,
) -> Result<Vec<Candidate>, Refusal> {
    let claims = claims_for(rules, session, request, SystemTime::now(), trace)?;
    let sources = Sources { expressions, claims: claims.as_ref() };
    let mut candidates = key::candidates(rules, request, &sources, trace)?;
    if candidates.iter().any(|candidate| candidate.hint) && !remember::may_use_hints(request) {
        candidates.retain(|candidate| !candidate.hint);
    }
    Ok(candidates)
}
