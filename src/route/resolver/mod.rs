//! Resolvers: who knows where the container of a key is.
//!
//! A [`Resolver`] answers one question, `resolve(query)`; one file for each kind. Everything else
//! (cache, deadline, one flight for each key) is in [`super::cache`], for all of them alike.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

use super::answer::Answer;
use super::key::scope_tail;
use crate::upgrade::Request;

pub mod bind;
mod cause;
pub mod config;
mod dial;
pub mod docker;
pub mod file;
pub mod http;
mod json;
mod pattern;
mod per_runtime;
pub mod redis;
mod secret;
pub mod sql;
#[cfg(test)]
mod testing;
mod trust;

pub use config::ResolverConfig;

/// What a resolver is asked, and may bind. Owned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Query {
    /// The key.
    pub key: String,
    /// The authenticated user.
    pub user: Option<String>,
    /// The host asked for: lower case, without port.
    pub host: String,
    /// The decoded path.
    pub path: String,
    /// The client's address.
    pub client: String,
    /// The request's header lines.
    pub headers: Headers,
}

/// The header lines of a request, for a resolver that sends some of them along. Cheap to clone;
/// `Debug` masks the values.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Headers(Arc<[(String, Vec<u8>)]>);

impl Headers {
    /// The values of all lines of the header `name` (any case), in order.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }
}

impl From<&[(String, Vec<u8>)]> for Headers {
    fn from(lines: &[(String, Vec<u8>)]) -> Headers {
        Headers(lines.into())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| (name, "MASKED"))).finish()
    }
}

/// What a decision needs to know about a request besides its keys. Owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The authenticated user.
    pub user: Option<String>,
    /// The host asked for: lower case, without port.
    pub host: String,
    /// The decoded path.
    pub path: String,
    /// The path as it goes upstream: percent-encoded.
    pub raw_path: String,
    /// What follows the request's scope in `raw_path`: `{tail}` where there is no key.
    pub tail: String,
    /// The client's address.
    pub client: String,
    /// The request's header lines.
    pub headers: Headers,
}

impl Facts {
    /// The facts of `request`.
    pub fn of(request: &Request) -> Facts {
        Facts {
            user: request.user.clone(),
            host: request.host.clone(),
            path: request.path.clone(),
            raw_path: request.raw_path.clone(),
            tail: scope_tail(request),
            client: request.client.to_string(),
            headers: request.headers.as_slice().into(),
        }
    }

    /// The question for `key`.
    pub fn query(&self, key: &str) -> Query {
        Query {
            key: key.to_owned(),
            user: self.user.clone(),
            host: self.host.clone(),
            path: self.path.clone(),
            client: self.client.clone(),
            headers: self.headers.clone(),
        }
    }
}

/// Why a resolver has no answer. An unknown key is none of these.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The resolver says 401 or 403, which goes to the client as such.
    #[error("not authorized ({0})")]
    Unauthorized(u16),
    /// It could not answer: 502.
    #[error("{0}")]
    Failed(String),
    /// It answered, and a field of the answer is malformed: 502. No earlier answer stands in.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// It did not answer in time: 504.
    #[error("no answer in time")]
    Late,
}

impl ResolveError {
    /// The HTTP status if there is no stale answer.
    pub fn status(&self) -> u16 {
        match self {
            ResolveError::Unauthorized(status) => *status,
            ResolveError::Failed(_) | ResolveError::Malformed(_) => 502,
            ResolveError::Late => 504,
        }
    }

    /// The error says nothing about the key, so that an earlier answer may stand in for it.
    pub fn is_outage(&self) -> bool {
        matches!(self, ResolveError::Failed(_) | ResolveError::Late)
    }
}

/// The answer to come.
pub type Resolution = Pin<Box<dyn Future<Output = Result<Option<Answer>, ResolveError>> + Send>>;

/// A source of answers. Shared by all threads of a child; asked inside a tokio runtime.
pub trait Resolver: Send + Sync {
    /// Asks for the answer to `query`; `None`: the key is unknown. No deadline, no cache: these
    /// are around it.
    fn resolve(&self, query: Query) -> Resolution;

    /// The values of `query` that the answer depends on: what the cache takes for its key.
    fn cache_key(&self, query: &Query) -> Vec<Option<String>> {
        vec![Some(query.key.clone())]
    }

    /// Warnings since the last call, one line each, for the error log.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
