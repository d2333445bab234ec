//! The `http` resolver: one GET to the application, whose answer is the target.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url};
use sha2::{Digest, Sha256};

use super::cause::cause;
use super::per_runtime::PerRuntime;
use super::{Query, Resolution, ResolveError, Resolver};
use crate::route::answer::Answer;
use crate::upstream::tls::hex;

mod config;
mod reply;
#[cfg(test)]
mod tests;
mod url;

pub use config::HttpConfig;

/// An HTTP service that knows where containers are.
pub struct HttpResolver {
    shared: Arc<Shared>,
}

struct Shared {
    config: HttpConfig,
    clients: PerRuntime<Client>,
}

impl HttpResolver {
    /// A resolver that connects at the first question and keeps its connections for a while.
    pub fn new(config: HttpConfig) -> HttpResolver {
        HttpResolver { shared: Arc::new(Shared { config, clients: PerRuntime::default() }) }
    }
}

impl Resolver for HttpResolver {
    fn resolve(&self, query: Query) -> Resolution {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.ask(&query).await })
    }

    fn cache_key(&self, query: &Query) -> Vec<Option<String>> {
        let config = &self.shared.config;
        let values = config.url.binds().map(|bind| bind.value(query));
        values.chain([self.shared.forwarded_digest(query)]).collect()
    }
}

impl Shared {
    async fn ask(&self, query: &Query) -> Result<Option<Answer>, ResolveError> {
        let Some(url) = self.config.url.expand(query) else { return Ok(None) };
        let headers = self.headers(query)?;
        let client = self.clients.get(|| self.config.client()).map_err(|e| self.failed(&e))?;
        let response = send(&client, url, headers).await.map_err(|e| self.failed(&cause(&e)))?;
        reply::read(response, self.config.pointer.as_deref()).await.map_err(|e| match e {
            ResolveError::Failed(reason) => self.failed(&reason),
            ResolveError::Malformed(reason) => {
                ResolveError::Malformed(format!("{}: {reason}", self.config.url.shown))
            }
            other => other,
        })
    }

    /// The configured headers, and those of the client that go along.
    fn headers(&self, query: &Query) -> Result<HeaderMap, ResolveError> {
        let mut headers = self.config.headers.clone();
        for name in &self.config.forward {
            for line in query.headers.lines(name.as_str()) {
                let mut value = HeaderValue::from_bytes(line)
                    .map_err(|_| self.failed(&format!("the client's {name} cannot be sent on")))?;
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        Ok(headers)
    }

    /// What stands for the forwarded headers in the cache: their values are not kept there.
    fn forwarded_digest(&self, query: &Query) -> Option<String> {
        let mut digest = Sha256::new();
        for (at, name) in self.config.forward.iter().enumerate() {
            for line in query.headers.lines(name.as_str()) {
                digest.update(at.to_le_bytes());
                digest.update(line.len().to_le_bytes());
                digest.update(line);
            }
        }
        (!self.config.forward.is_empty()).then(|| hex(&digest.finalize()))
    }

    fn failed(&self, reason: &str) -> ResolveError {
        ResolveError::Failed(format!("{}: {reason}", self.config.url.shown))
    }
}

/// Sends the question, twice if need be: a server may close a kept connection in the very moment
/// in which it is used again.
async fn send(client: &Client, url: Url, headers: HeaderMap) -> Result<Response, reqwest::Error> {
    let get = || client.get(url.clone()).headers(headers.clone()).send();
    match get().await {
        Err(error) if !error.is_connect() => get().await,
        result => result,
    }
}
