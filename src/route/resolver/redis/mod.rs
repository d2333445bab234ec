//! The `redis` resolver: one name for each key, whose value is the target or a hash of fields.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult};

use super::cause::one_line;
use super::{Query, Resolution, ResolveError, Resolver, json};
use crate::route::answer::Answer;

mod config;
mod link;
#[cfg(test)]
mod tests;

pub use config::RedisConfig;

use link::Links;

/// A Redis server that knows where containers are.
pub struct RedisResolver {
    shared: Arc<Shared>,
}

struct Shared {
    config: RedisConfig,
    links: Links,
    /// The last value found was a hash: the next one is likely to be one too.
    hashes: AtomicBool,
}

/// What is kept under a name.
enum Found {
    Nothing,
    Text(Vec<u8>),
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// A list, a set...
    Other,
}

impl RedisResolver {
    /// A resolver that connects at the first question, and again whenever it has to.
    pub fn new(config: RedisConfig) -> RedisResolver {
        let (links, hashes) = (Links::default(), AtomicBool::default());
        RedisResolver { shared: Arc::new(Shared { config, links, hashes }) }
    }
}

impl Resolver for RedisResolver {
    fn resolve(&self, query: Query) -> Resolution {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.ask(&query).await })
    }

    fn cache_key(&self, query: &Query) -> Vec<Option<String>> {
        self.shared.config.name.binds().map(|bind| bind.value(query)).collect()
    }
}

impl Shared {
    async fn ask(&self, query: &Query) -> Result<Option<Answer>, ResolveError> {
        let Some(name) = self.config.name.expand(query, str::to_owned) else { return Ok(None) };
        match self.look_up(&name).await? {
            Found::Nothing => Ok(None),
            Found::Text(text) => json::parse(&self.text(text)?, None).map_err(|e| self.named(e)),
            Found::Hash(pairs) => {
                let text = |bytes| self.text(bytes);
                let fields: Result<_, ResolveError> = pairs
                    .into_iter()
                    .map(|(field, value)| Ok((text(field)?, text(value)?)))
                    .collect();
                json::from_fields(fields?).map_err(|e| self.named(e))
            }
            Found::Other => Err(self.malformed("the value is neither a string nor a hash")),
        }
    }

    /// Asks over the kept connection, and once more over a new one if the server has closed that.
    async fn look_up(&self, name: &str) -> Result<Found, ResolveError> {
        let mut retry = true;
        loop {
            let attempt = self.links.begin();
            retry &= attempt.kept;
            let mut connection =
                attempt.connection(&self.config).await.map_err(|e| self.failed(&e))?;
            match self.fetch(&mut connection, name).await {
                Err(error) if !is_reply(&error) && retry => retry = false,
                Err(error) if !is_reply(&error) => return Err(self.failed(&error.to_string())),
                result => {
                    attempt.proved_good();
                    return result.map_err(|e| self.failed(&e.to_string()));
                }
            }
        }
    }

    /// One round trip if the value is of the type of the last one.
    async fn fetch(
        &self,
        connection: &mut MultiplexedConnection,
        name: &str,
    ) -> RedisResult<Found> {
        let hash_first = self.hashes.load(Ordering::Relaxed);
        for hash in [hash_first, !hash_first] {
            let found = match hash {
                false => get(connection, name).await,
                true => get_hash(connection, name).await,
            };
            match found {
                Err(error) if error.code() == Some("WRONGTYPE") => {}
                Ok(Found::Nothing) => return Ok(Found::Nothing),
                found => {
                    self.hashes.store(hash, Ordering::Relaxed);
                    return found;
                }
            }
        }
        Ok(Found::Other)
    }

    fn text(&self, bytes: Vec<u8>) -> Result<String, ResolveError> {
        String::from_utf8(bytes).map_err(|_| self.malformed("the value is not UTF-8"))
    }

    fn named(&self, error: ResolveError) -> ResolveError {
        match error {
            ResolveError::Malformed(reason) => self.malformed(&reason),
            other => other,
        }
    }

    fn malformed(&self, reason: &str) -> ResolveError {
        ResolveError::Malformed(format!("{}: {reason}", self.config.shown))
    }

    fn failed(&self, reason: &str) -> ResolveError {
        ResolveError::Failed(format!("{}: {}", self.config.shown, one_line(reason)))
    }
}

async fn get(connection: &mut MultiplexedConnection, name: &str) -> RedisResult<Found> {
    let value: Option<Vec<u8>> = redis::cmd("GET").arg(name).query_async(connection).await?;
    Ok(value.map_or(Found::Nothing, Found::Text))
}

async fn get_hash(connection: &mut MultiplexedConnection, name: &str) -> RedisResult<Found> {
    let pairs: Vec<_> = redis::cmd("HGETALL").arg(name).query_async(connection).await?;
    Ok(if pairs.is_empty() { Found::Nothing } else { Found::Hash(pairs) })
}

/// The server said so itself: the connection is in order.
fn is_reply(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_))
}
