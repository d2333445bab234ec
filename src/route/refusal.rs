//! Every way to say no before anything is connected.

use thiserror::Error;

use super::resolver::ResolveError;
use super::template::RouteError;

/// Seconds a client is told to wait for a container that is starting.
const STARTING_RETRY: u32 = 2;

/// Why a request gets no upstream. `Display` is one log line that begins with a stable event word.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The key, or what it is taken from, is malformed: 400.
    #[error("bad-key: {0}")]
    BadKey(String),
    /// Nobody is logged in, or the answer belongs to somebody else: 403.
    #[error("not-yours: {0}")]
    NotYours(String),
    /// The page's origin may not open WebSockets here: 403.
    #[error("origin-refused: {0}")]
    OriginRefused(String),
    /// The answer was good until a time that has passed: 403.
    #[error("expired: {0}")]
    Expired(String),
    /// A resolver passed on a 401 or 403.
    #[error("not-authorized: resolver {resolver} says {status}")]
    NotAuthorized {
        /// The resolver's name.
        resolver: String,
        /// 401 or 403.
        status: u16,
    },
    /// No key, or none that a resolver knows: 404.
    #[error("unknown-key: {0}")]
    UnknownKey(String),
    /// The configuration asks for something that is not there: 500.
    #[error("bad-configuration: {0}")]
    BadConfiguration(String),
    /// A resolver could not answer: 502.
    #[error("resolver-failed: {resolver}: {reason}")]
    ResolverFailed {
        /// The resolver's name.
        resolver: String,
        /// What it said, one line.
        reason: String,
    },
    /// The container is not running yet: 503 with Retry-After.
    #[error("starting: {0}")]
    Starting(String),
    /// A resolver did not answer in time: 504.
    #[error("resolver-late: {resolver} did not answer in time")]
    ResolverLate {
        /// The resolver's name.
        resolver: String,
    },
}

impl Refusal {
    /// The HTTP status that goes to the client.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::BadKey(_) => 400,
            Refusal::NotYours(_) | Refusal::OriginRefused(_) | Refusal::Expired(_) => 403,
            Refusal::NotAuthorized { status, .. } => *status,
            Refusal::UnknownKey(_) => 404,
            Refusal::BadConfiguration(_) => 500,
            Refusal::ResolverFailed { .. } => 502,
            Refusal::Starting(_) => 503,
            Refusal::ResolverLate { .. } => 504,
        }
    }

    /// The value of `Retry-After` in seconds, if the refusal has one.
    pub fn retry_after(&self) -> Option<u32> {
        matches!(self, Refusal::Starting(_)).then_some(STARTING_RETRY)
    }

    /// Asking again a little later may help: the container is starting.
    pub fn is_starting(&self) -> bool {
        matches!(self, Refusal::Starting(_))
    }

    /// The refusal that stands for an error of the resolver `name`.
    pub fn from_resolver(name: &str, error: ResolveError) -> Refusal {
        let resolver = name.to_owned();
        let text = error.to_string();
        match error {
            ResolveError::Unauthorized(status) => Refusal::NotAuthorized { resolver, status },
            ResolveError::Failed(_) | ResolveError::Malformed(_) => {
                Refusal::ResolverFailed { resolver, reason: text }
            }
            ResolveError::Late => Refusal::ResolverLate { resolver },
        }
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Refusal {
        match error {
            RouteError::NoKey => Refusal::UnknownKey("no WsRouteKey rule gave a key".into()),
            RouteError::Key { .. } | RouteError::Target(_) => Refusal::BadKey(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_event_words() {
        let late = Refusal::from_resolver("desktops", ResolveError::Late);
        let failed = Refusal::from_resolver("desktops", ResolveError::Failed("no disk".into()));
        let unauthorized = Refusal::from_resolver("desktops", ResolveError::Unauthorized(401));
        let table = [
            (Refusal::BadKey("x".into()), 400, "bad-key: x"),
            (Refusal::NotYours("x".into()), 403, "not-yours: x"),
            (Refusal::OriginRefused("x".into()), 403, "origin-refused: x"),
            (Refusal::Expired("x".into()), 403, "expired: x"),
            (unauthorized, 401, "not-authorized: resolver desktops says 401"),
            (RouteError::NoKey.into(), 404, "unknown-key: no WsRouteKey rule gave a key"),
            (Refusal::BadConfiguration("x".into()), 500, "bad-configuration: x"),
            (failed, 502, "resolver-failed: desktops: no disk"),
            (Refusal::Starting("x".into()), 503, "starting: x"),
            (late, 504, "resolver-late: desktops did not answer in time"),
        ];
        for (refusal, status, text) in table {
            assert_eq!(refusal.status(), status, "{text}");
            assert_eq!(refusal.to_string(), text);
            assert_eq!(refusal.retry_after(), (status == 503).then_some(2), "{text}");
        }
    }
}
