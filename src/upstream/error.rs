//! What can go wrong between us and an upstream, before bytes are relayed.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// What [`UpstreamError::HandshakeLate`] says is missing when TLS is.
pub const TLS_HANDSHAKE: &str = "TLS handshake";

/// Why an upstream could not be opened. `Display` begins with a stable event word, then names the
/// upstream (`peer`: `host:port`, with the address behind it if the host is a name, or a socket's
/// path), then says why: `upstream-refused: 127.0.0.1:5901: connection refused`.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// Nobody listens there (ECONNREFUSED, or a Unix socket that does not exist).
    #[error("upstream-refused: {peer}: connection refused")]
    Refused {
        /// The upstream.
        peer: String,
    },
    /// Connecting failed in another way (no route, reset, permission...).
    #[error("upstream-unreachable: {peer}: {source}")]
    Unreachable {
        /// The upstream.
        peer: String,
        /// The system's answer.
        source: io::Error,
    },
    /// `WsRouteAllow` covers none of the addresses.
    #[error("upstream-not-allowed: {peer}: not covered by WsRouteAllow")]
    NotAllowed {
        /// The upstream, with all its addresses.
        peer: String,
    },
    /// The name has no address.
    #[error("upstream-unresolved: {peer}: {source}")]
    Resolve {
        /// The upstream.
        peer: String,
        /// What the system's resolver said.
        source: io::Error,
    },
    /// No connection (DNS included) within the connect deadline.
    #[error("upstream-connect-late: {peer}: no connection within {within:?}")]
    ConnectLate {
        /// The upstream.
        peer: String,
        /// The deadline.
        within: Duration,
    },
    /// The TLS handshake failed, or our own TLS settings do.
    #[error("upstream-tls: {peer}: {reason}")]
    Tls {
        /// The upstream.
        peer: String,
        /// In plain words, with what to do about it.
        reason: String,
    },
    /// The certificate is not the pinned one. Fingerprints are SHA-256 of its DER, in hex.
    #[error(
        "upstream-pin-mismatch: {peer}: the certificate is sha256:{found}, but pin=sha256:{pinned} is demanded"
    )]
    PinMismatch {
        /// The upstream.
        peer: String,
        /// What the upstream showed.
        found: String,
        /// What was demanded.
        pinned: String,
    },
    /// TLS and the response head did not come within the handshake deadline.
    #[error("upstream-handshake-late: {peer}: no {missing} within {within:?}{}", hint(missing))]
    HandshakeLate {
        /// The upstream.
        peer: String,
        /// [`TLS_HANDSHAKE`] or `answer to the upgrade`.
        missing: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// The connection ended before a whole response head came.
    #[error("upstream-closed: {peer}: {reason}")]
    Closed {
        /// The upstream.
        peer: String,
        /// After how many bytes, and how.
        reason: String,
    },
    /// What came is no HTTP/1 response.
    #[error("upstream-not-http: {peer}: {reason}")]
    NotHttp {
        /// The upstream.
        peer: String,
        /// What it is instead, where that can be told.
        reason: String,
    },
    /// The response head has more than 16 KiB or 100 headers.
    #[error("upstream-head-too-large: {peer}: the response head exceeds {limit}")]
    HeadTooLarge {
        /// The upstream.
        peer: String,
        /// `16 KiB` or `100 headers`.
        limit: &'static str,
    },
    /// A 101 that breaks RFC 6455 4.2.2.
    #[error("upstream-bad-switch: {peer}: {reason}")]
    BadSwitch {
        /// The upstream.
        peer: String,
        /// Which demand it breaks.
        reason: String,
    },
    /// The request head cannot be built: the client's request lacks something, or a resolver's
    /// answer has a header or path that cannot be sent.
    #[error("upstream-bad-request: {peer}: {reason}")]
    BadRequest {
        /// The upstream.
        peer: String,
        /// What is wrong.
        reason: String,
    },
}

impl UpstreamError {
    /// The HTTP status for the client: 403 not allowed, 504 late, else 502.
    pub fn status(&self) -> u16 {
        match self {
            UpstreamError::NotAllowed { .. } => 403,
            UpstreamError::ConnectLate { .. } | UpstreamError::HandshakeLate { .. } => 504,
            _ => 502,
        }
    }

    /// No connection came about: a cached route to this upstream may be out of date. A
    /// certificate other than the pinned one counts too: somebody else has the address now.
    pub fn connect_failed(&self) -> bool {
        use UpstreamError::*;
        matches!(
            self,
            Refused { .. }
                | Unreachable { .. }
                | Resolve { .. }
                | ConnectLate { .. }
                | PinMismatch { .. }
        )
    }

    /// This is how a container looks that is not up yet: nobody listens, its address or name is
    /// not there, or what listens hangs up or keeps silent.
    pub fn may_be_booting(&self) -> bool {
        use UpstreamError::*;
        matches!(
            self,
            Refused { .. }
                | Unreachable { .. }
                | Resolve { .. }
                | ConnectLate { .. }
                | HandshakeLate { .. }
                | Closed { .. }
        )
    }
}

fn hint(missing: &str) -> &'static str {
    match missing {
        TLS_HANDSHAKE => " (if it does not speak TLS, set scheme=ws)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let peer = || "127.0.0.1:5901".to_string();
        let io = || io::Error::from(io::ErrorKind::HostUnreachable);
        let within = Duration::from_millis(500);
        // (error, (status, connect failed, may be booting), text)
        let table = [
            (
                UpstreamError::Refused { peer: peer() },
                (502, true, true),
                "upstream-refused: 127.0.0.1:5901: connection refused",
            ),
            (
                UpstreamError::Unreachable { peer: peer(), source: io() },
                (502, true, true),
                "upstream-unreachable: 127.0.0.1:5901: host unreachable",
            ),
            (
                UpstreamError::NotAllowed { peer: peer() },
                (403, false, false),
                "upstream-not-allowed: 127.0.0.1:5901: not covered by WsRouteAllow",
            ),
            (
                UpstreamError::ConnectLate { peer: peer(), within },
                (504, true, true),
                "upstream-connect-late: 127.0.0.1:5901: no connection within 500ms",
            ),
            (
                UpstreamError::HandshakeLate { peer: peer(), missing: TLS_HANDSHAKE, within },
                (504, false, true),
                "upstream-handshake-late: 127.0.0.1:5901: no TLS handshake within 500ms (if it does not speak TLS, set scheme=ws)",
            ),
            (
                UpstreamError::BadSwitch { peer: peer(), reason: "no Upgrade header".into() },
                (502, false, false),
                "upstream-bad-switch: 127.0.0.1:5901: no Upgrade header",
            ),
        ];
        for (error, expected, text) in table {
            assert_eq!(
                (error.status(), error.connect_failed(), error.may_be_booting()),
                expected,
                "{error}"
            );
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn size() {
        assert!(size_of::<UpstreamError>() <= 80, "{}", size_of::<UpstreamError>());
    }
}
