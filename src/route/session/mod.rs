//! The application's session (`WsRouteSession`): where `session:CLAIM` keys come from.
//!
//! The application signs what it gives to the browser; [`SessionPolicy`] verifies it and reads it:
//! a session cookie of Flask's, or a JSON Web Token. What cannot be verified is no session: never
//! an error, only a line in the trace. Reading is pure; files and environment are read by
//! [`SessionPolicy::parse`] alone.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::cookies;
use super::key::KeyRule;
use super::refusal::Refusal;
use crate::upgrade::Request;

mod config;
mod flask;
mod jwt;
mod public_key;
mod secret;
mod tagged;

use flask::Flask;
use jwt::Jwt;

/// The longest cookie or token that is looked at, in bytes.
const TOKEN_MAX: usize = 8192;
/// How many cookies of one name are tried: each costs a signature.
const TRIES: usize = 8;
/// How far the application's clock may be off, in seconds, if nothing else is configured.
const LEEWAY: u64 = 60;

/// The value of `WsRouteSession`, secrets included (`Debug` masks them). Filled while the
/// configuration is read, read-only afterwards.
#[derive(Debug)]
pub struct SessionPolicy {
    place: Place,
    format: Format,
    warnings: Vec<String>,
}

/// Where the client brings it.
#[derive(Debug)]
enum Place {
    Cookie(String),
    Header(String),
}

#[derive(Debug)]
enum Format {
    Flask(Flask),
    Jwt(Jwt),
}

/// What a verified session says. `Debug` masks it.
#[derive(Clone)]
pub struct Claims(Map<String, Value>);

/// The claims for `rules`: read once, however many of them ask; `None` if none asks, or if there is
/// no session. `policy` is the `WsRouteSession` in force. See [`SessionPolicy::claims`].
///
/// # Errors
/// 500 if a rule asks and there is no `WsRouteSession`.
pub fn claims_for(
    rules: &[KeyRule],
    policy: Option<&SessionPolicy>,
    request: &Request,
    now: SystemTime,
    trace: &mut Vec<String>,
) -> Result<Option<Claims>, Refusal> {
    if !rules.iter().any(KeyRule::needs_session) {
        return Ok(None);
    }
    match policy {
        Some(policy) => Ok(policy.claims(request, now, trace)),
        None => Err(Refusal::BadConfiguration(
            "a session: key has no WsRouteSession here, use both or neither".into(),
        )),
    }
}

impl SessionPolicy {
    /// Parses the arguments of `WsRouteSession`, and reads the secrets they name.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line: an unknown option, or a secret that cannot be
    /// read or does not fit. No secret is in it.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<SessionPolicy, String> {
        config::parse(args)
    }

    /// What the administrator should look at although it works, one line each: a secret that
    /// everybody can read, or a short one.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The claims of the request's session, if it has one that verifies at `now`. Of several
    /// cookies by that name the first that verifies. `trace` gets a line for each that was looked
    /// at, without values. Costs a signature: call it once for a request.
    pub fn claims(
        &self,
        request: &Request,
        now: SystemTime,
        trace: &mut Vec<String>,
    ) -> Option<Claims> {
        let place = &self.place;
        let tokens = place.tokens(request);
        if tokens.is_empty() {
            trace.push(format!("session in {place}: there is none"));
        }
        for token in tokens {
            match self.verify(token, now) {
                Ok(claims) => {
                    trace.push(format!("session in {place}: verified"));
                    return Some(claims);
                }
                Err(why) => trace.push(format!("session in {place}: {why}")),
            }
        }
        None
    }

    /// The reason is a literal text: it cannot hold a secret.
    fn verify(&self, token: &[u8], now: SystemTime) -> Result<Claims, &'static str> {
        if token.len() > TOKEN_MAX {
            return Err("longer than 8 KiB");
        }
        let token = std::str::from_utf8(token).map_err(|_| "not UTF-8")?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = match &self.format {
            Format::Flask(flask) => flask.verify(token, now)?,
            Format::Jwt(jwt) => jwt.verify(token, now)?,
        };
        Ok(Claims(claims))
    }
}

impl Place {
    fn tokens<'r>(&'r self, request: &'r Request) -> Vec<&'r [u8]> {
        match self {
            Place::Cookie(name) => cookies::values(request, name).take(TRIES).collect(),
            Place::Header(name) => {
                let lines = request.header_lines(name).take(TRIES);
                match name.eq_ignore_ascii_case("authorization") {
                    true => lines.filter_map(bearer).collect(),
                    false => lines.map(<[u8]>::trim_ascii).collect(),
                }
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Cookie(name) => write!(f, "cookie {name}"),
            Place::Header(name) => write!(f, "header {name}"),
        }
    }
}

impl Claims {
    /// The text of the claim at `path`: a string or a whole number. A dot leads into an object
    /// (`user.container`), unless the claim's own name has it. `None` for anything else: a boolean,
    /// a list, a fraction (a large number could be another one rounded).
    pub fn get(&self, path: &str) -> Option<String> {
        match find(&self.0, path)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        }
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(MASKED)")
    }
}

fn find<'v>(object: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    object.get(path).or_else(|| {
        path.match_indices('.')
            .find_map(|(dot, _)| find(object.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
    })
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 2.1).
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    let (scheme, token) = line.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii_start())
}

#[cfg(test)]
mod tests;
