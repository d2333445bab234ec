//! The byte copying inside a tunnel: from the hand-off until one [`Outcome`].
//!
//! Bytes pass as they are. A cursor that sees frame headers only follows both directions, so that
//! a Close frame can be added at a frame boundary, and none is added after one has passed.
//!
//! | what happens | what the client sees | what the upstream sees |
//! |---|---|---|
//! | a Close frame passes | that frame | that frame |
//! | the upstream ends without one, between frames | Close 1011, end | - |
//! | the upstream ends without one, inside a frame | end | - |
//! | the client ends | what the upstream still sends | end |
//! | the child stops | Close 1001, end | the client's answer, end |
//! | the drain time is over | Close 1012, end | the client's answer, end |
//! | the session expires | Close 1008, end | the client's answer, end |

mod bridge;
mod close_code;
mod direction;
mod linger;
mod pump;
mod scratch;
mod session;
mod threads;

pub use bridge::Bridge;
pub use linger::linger;
pub use pump::{Pause, Relay};
pub use scratch::ScratchBuffer;
pub use session::{Order, Session, Sessions};
pub use threads::{Clock, Pair, Threads};

use crate::net::Io;
use crate::upgrade::close::CloseCode;
use std::fmt;
use std::time::Duration;

/// A message of 64 KiB with its header, in bytes: read, encrypted and written in one piece it is half the
/// calls and packets.
pub const MESSAGE: usize = 68 * 1024;

/// One side of a tunnel. The early bytes were read before the relay began and belong in front
/// of what `io` gives; they are part of the type so that nobody forgets them.
pub struct End {
    /// The stream.
    pub io: Box<dyn Io>,
    /// What had been read from it already.
    pub early: Vec<u8>,
    /// It can still be read after its writing side was shut down.
    pub half_close: bool,
}

/// What the configuration and the route say about one session.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long the session lives on after [`Order::Drain`].
    pub drain: Duration,
    /// How long from now until the session is over (Close 1008).
    pub expires: Option<Duration>,
}

/// How a tunnel ended. None of these is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client sent a Close frame first.
    ClientClosed,
    /// The upstream sent a Close frame first.
    UpstreamClosed,
    /// The client went away without a Close frame (what a browser calls 1006).
    ClientLost,
    /// The upstream went away without a Close frame, and the client was told (1011).
    UpstreamLost,
    /// The upstream went away inside a frame, so that no Close could be sent (a browser's 1006).
    UpstreamBroke,
    /// The child stops.
    Stopped,
    /// The drain time after a graceful restart is over.
    Drained,
    /// The session's own deadline passed.
    Expired,
}

impl Outcome {
    /// Who ended it: `client`, `upstream` or `server`.
    pub fn by(self) -> &'static str {
        match self {
            Outcome::ClientClosed | Outcome::ClientLost => "client",
            Outcome::UpstreamClosed | Outcome::UpstreamLost | Outcome::UpstreamBroke => "upstream",
            Outcome::Stopped | Outcome::Drained | Outcome::Expired => "server",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::ClientClosed => "the client closed it",
            Outcome::UpstreamClosed => "the upstream closed it",
            Outcome::ClientLost => "the client went away without a Close frame",
            Outcome::UpstreamLost => "the upstream went away without a Close frame",
            Outcome::UpstreamBroke => "the upstream went away inside a frame",
            Outcome::Stopped => "the server stops",
            Outcome::Drained => "the drain time after a restart is over",
            Outcome::Expired => "the session's time is over",
        })
    }
}

/// What a tunnel did, for the log.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// The code in the first Close frame that the client or the upstream sent, or that was added.
    pub close: Option<CloseCode>,
    /// From the client to the upstream.
    pub up: Traffic,
    /// From the upstream to the client.
    pub down: Traffic,
}

/// What passed in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes, frame headers included, TLS not.
    pub bytes: u64,
    /// Messages that ended (control frames are none).
    pub messages: u64,
}
