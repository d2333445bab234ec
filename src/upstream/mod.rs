//! Connecting to an upstream and shaking hands with it (RFC 6455 4, as the client).
//!
//! [`open`] goes from top to bottom: the request head is built ([`request_head`]), the connection
//! made ([`connect`]), TLS laid over it ([`tls`], [`verifier`]), the head sent and the answer read
//! ([`response_head`]). A 101 is checked ([`switch`]) and leaves a byte stream for the relay; any
//! other answer leaves a [`body`] for the client.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use crate::net::Io;
use crate::upgrade::Request;

pub mod body;
pub mod connect;
pub mod error;
pub mod header_lines;
pub mod header_name;
pub mod hop_by_hop;
pub mod policy;
pub mod request_head;
pub mod response_head;
pub mod spki;
pub mod switch;
pub mod target;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod verifier;

pub use body::Body;
pub use connect::{Connected, Permit};
pub use error::UpstreamError;
pub use policy::UpstreamPolicy;
pub use target::{Address, Target};

use request_head::RequestHead;
use response_head::ResponseHead;

/// What a resolver's answer adds to one request. `Debug` masks the values.
#[derive(Clone, Default)]
pub struct Extras {
    /// The whole value of Authorization; replaces the client's.
    pub authorization: Option<String>,
    /// Headers that replace the client's of the same name.
    pub headers: Vec<(String, String)>,
    /// SHA-256 of the certificate demanded of this container; wins over `pin=`.
    pub pin: Option<[u8; 32]>,
}

/// How long an upstream may take. `None` is for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadlines {
    /// DNS and connecting, all addresses together.
    pub connect: Option<Duration>,
    /// TLS and the exchange of heads together; also each wait for more of an [`Answered`] body.
    pub handshake: Option<Duration>,
}

/// An upstream that is connected to and was not asked anything.
pub struct Reached {
    /// The stream.
    pub io: Box<dyn Io>,
    /// What to call the upstream in logs.
    pub peer: String,
}

/// What became of the request.
pub enum Opened {
    /// The upstream speaks WebSocket now.
    Switched(Switched),
    /// The upstream answered otherwise, for example 401.
    Answered(Answered),
}

/// An upstream behind its 101.
pub struct Switched {
    /// The stream, positioned behind `early`.
    pub io: Box<dyn Io>,
    /// Bytes that came right behind the 101: the first frames. They go to the client first.
    pub early: Vec<u8>,
    /// Headers of the 101 for the client: end-to-end only, without Sec-WebSocket-Accept.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What to call the upstream in logs.
    pub peer: String,
}

/// An answer that is not 101, to be passed through.
pub struct Answered {
    /// 200..=999.
    pub status: u16,
    /// May be empty.
    pub reason: String,
    /// End-to-end headers. A Content-Length is there only if it frames `body` (or, with 304,
    /// tells what it would be).
    pub headers: Vec<(String, Vec<u8>)>,
    /// The rest of the answer.
    pub body: Body,
    /// What to call the upstream in logs.
    pub peer: String,
}

/// Connects to `target`, sends the client's upgrade request and reads the answer.
///
/// # Errors
/// Each kind of [`UpstreamError`]. Nothing was sent to the upstream in case of `NotAllowed`,
/// `BadRequest`, `PinMismatch` or `Tls` by its certificate.
pub async fn open(
    target: &Target,
    request: &Request,
    policy: &UpstreamPolicy,
    extras: &Extras,
    deadlines: Deadlines,
    permit: &dyn Permit,
) -> Result<Opened, UpstreamError> {
    let head = request_head::build(target, request, policy, extras)
        .map_err(|reason| UpstreamError::BadRequest { peer: target.to_string(), reason })?;
    let (Reached { mut io, peer }, clock) =
        connected(target, policy, extras, deadlines, permit).await?;
    let exchange = exchange(&mut io, &head.bytes, &peer);
    let answer = match clock.bound(&peer, "answer to the upgrade", exchange).await {
        Ok(answer) => answer,
        Err(error) => return Err(with_advice(error, target)),
    };
    match answer.status {
        101 => switched(io, answer, &head, peer).map(Opened::Switched),
        _ => answered(io, answer, deadlines.handshake, peer).map(Opened::Answered),
    }
}

/// Connects to `target` and no more: TLS is there, nothing was sent. For plain HTTP, which others
/// speak.
///
/// # Errors
/// As [`open`], up to the TLS handshake.
pub async fn reach(
    target: &Target,
    policy: &UpstreamPolicy,
    extras: &Extras,
    deadlines: Deadlines,
    permit: &dyn Permit,
) -> Result<Reached, UpstreamError> {
    Ok(connected(target, policy, extras, deadlines, permit).await?.0)
}

/// The stream to the upstream, and what is left of the handshake's time.
async fn connected(
    target: &Target,
    policy: &UpstreamPolicy,
    extras: &Extras,
    deadlines: Deadlines,
    permit: &dyn Permit,
) -> Result<(Reached, Clock), UpstreamError> {
    if extras.pin.or(policy.pin()).is_some() && !target.tls {
        // Whoever listens there now could not be told from the container that is meant.
        let reason = "a pin is demanded, but ws:// shows no certificate: use wss".into();
        return Err(UpstreamError::Tls { peer: target.to_string(), reason });
    }
    let connected = connect::connect(&target.address, deadlines.connect, permit).await?;
    let peer = connected.peer.clone();
    let clock = Clock::start(deadlines.handshake);
    let io = match target.tls {
        false => connected.io,
        true => {
            let trust = trust(target, policy, extras)
                .map_err(|reason| UpstreamError::Tls { peer: peer.clone(), reason })?;
            clock.bound(&peer, error::TLS_HANDSHAKE, tls::handshake(connected, trust)).await?
        }
    };
    Ok((Reached { io, peer }, clock))
}

fn trust<'a>(
    target: &Target,
    policy: &'a UpstreamPolicy,
    extras: &Extras,
) -> Result<tls::Trust<'a>, String> {
    let host = match &target.address {
        Address::Tcp { host, .. } => host,
        Address::Unix(_) => "localhost",
    };
    let name: ServerName<'static> = match policy.name() {
        Some(name) => name.clone(),
        None => policy::server_name(host)?,
    };
    let pin = extras.pin.or(policy.pin());
    Ok(tls::Trust { name, verify: policy.verify(), pin, settings: policy.settings() })
}

/// Sends the head in one write and reads the answer's.
async fn exchange(
    io: &mut Box<dyn Io>,
    head: &[u8],
    peer: &str,
) -> Result<ResponseHead, UpstreamError> {
    let sent = async {
        io.write_all(head).await?;
        io.flush().await
    };
    // An upstream may answer and close before it has read everything: look for the answer even if
    // sending failed. Without one, reading fails too and says why.
    let _ = sent.await;
    response_head::read(io, peer).await
}

fn switched(
    io: Box<dyn Io>,
    answer: ResponseHead,
    head: &RequestHead,
    peer: String,
) -> Result<Switched, UpstreamError> {
    match switch::check(&answer, &head.offer) {
        Ok(headers) => Ok(Switched { io, early: answer.rest, headers, peer }),
        Err(flaw) => Err(UpstreamError::BadSwitch { peer, reason: flaw.to_string() }),
    }
}

fn answered(
    io: Box<dyn Io>,
    answer: ResponseHead,
    idle: Option<Duration>,
    peer: String,
) -> Result<Answered, UpstreamError> {
    let framing = match body::Framing::of(&answer) {
        Ok(framing) => framing,
        Err(reason) => return Err(UpstreamError::NotHttp { peer, reason }),
    };
    let named = hop_by_hop::items(answer.values("Connection"));
    let framed_otherwise = matches!(framing, body::Framing::Chunked(_) | body::Framing::UntilClose);
    let passes = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let ends_here = hop_by_hop::is_hop_by_hop(&lower) || named.contains(&lower);
        let untrue = framed_otherwise && lower == "content-length";
        !ends_here && !untrue
    };
    let ResponseHead { status, reason, headers, rest, .. } = answer;
    let headers = headers.into_iter().filter(|(name, _)| passes(name)).collect();
    Ok(Answered { status, reason, headers, body: Body::new(io, rest, framing, idle), peer })
}

/// A server that wants TLS often just hangs up on plain text (KasmVNC does).
fn with_advice(error: UpstreamError, target: &Target) -> UpstreamError {
    match error {
        UpstreamError::Closed { peer, reason }
            if !target.tls && reason.ends_with("before answering") =>
        {
            UpstreamError::Closed { peer, reason: reason + " (if it wants TLS, set scheme=wss)" }
        }
        error => error,
    }
}

/// One deadline for several steps.
struct Clock {
    end: Option<(Instant, Duration)>,
}

impl Clock {
    fn start(within: Option<Duration>) -> Clock {
        // A deadline beyond what the clock can hold is none.
        Clock { end: within.and_then(|w| Some((Instant::now().checked_add(w)?, w))) }
    }

    async fn bound<T>(
        &self,
        peer: &str,
        missing: &'static str,
        step: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        match self.end {
            None => step.await,
            Some((end, within)) => timeout_at(end, step).await.unwrap_or_else(|_| {
                Err(UpstreamError::HandshakeLate { peer: peer.into(), missing, within })
            }),
        }
    }
}

impl fmt::Debug for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Extras")
            .field("authorization", &self.authorization.as_ref().map(|_| "MASKED"))
            .field("headers", &names)
            .field("pin", &self.pin.map(|p| tls::hex(&p)))
            .finish()
    }
}
