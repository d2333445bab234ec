//! The words of the module's log lines that tests look for. One place, so that a change of a text
//! is a change of a line here.

/// A request that meant to be an upgrade, followed by why it is none.
pub const NOT_AN_UPGRADE: &str = "not a WebSocket upgrade: ";
/// `Upgrade` is missing.
pub const NO_UPGRADE: &str = "the Upgrade header is missing (did a proxy in front strip it?)";
/// `Upgrade` names something else.
pub const OTHER_UPGRADE: &str = "the Upgrade header does not name websocket";
/// `Connection` is missing.
pub const NO_CONNECTION: &str = "the Connection header is missing";
/// `Connection` lacks the token.
pub const NO_TOKEN: &str = "the Connection header does not name Upgrade";
/// Not GET.
pub const METHOD: &str = "the method is not GET";
/// HTTP/1.0.
pub const OLD_HTTP: &str = "the request is older than HTTP/1.1";
/// No version.
pub const NO_VERSION: &str = "the Sec-WebSocket-Version header is missing";
/// Another version.
pub const VERSION: &str = "the Sec-WebSocket-Version is not 13";
/// No key.
pub const NO_KEY: &str = "the Sec-WebSocket-Key header is missing";
/// A key that is none.
pub const BAD_KEY: &str = "the Sec-WebSocket-Key is not 16 bytes in base64";
/// A body.
pub const BODY: &str = "an upgrade must not carry a body";

/// Connecting failed.
pub const REFUSED: &str = "upstream-refused";
/// The upstream's answer is no 101 that could be believed, or none at all.
pub const BROKEN: &str = "upstream-";
/// The upstream did not answer in time.
pub const LATE: &str = "-late: ";
/// The upstream's certificate was refused, or TLS failed otherwise.
pub const TLS: &str = "upstream-";
/// The owner is somebody else.
pub const NOT_YOURS: &str = "not-yours";
/// No resolver knows any of the keys.
pub const UNKNOWN_KEY: &str = "unknown-key";
/// The page comes from elsewhere.
pub const ORIGIN: &str = "origin-refused";
/// The target may not be connected to.
pub const NOT_ALLOWED: &str = "not-allowed";
/// The line at the end of each session.
pub const SESSION_ENDED: &str = "session-ended";
/// A panic was caught.
#[cfg(feature = "panic-test")]
pub const PANIC: &str = "panic";
