//! Which Close code a client gets when the tunnel is not ended by one of its two sides with a Close
//! frame of its own (RFC 6455 7.4.1; 1012 is of IANA's registry).

use super::Outcome;
use crate::upgrade::close::CloseCode;

/// The code for `outcome`, and the reason that stands beside it in the frame.
pub(super) fn close_code(outcome: Outcome) -> (CloseCode, &'static str) {
    match outcome {
        Outcome::Stopped => (CloseCode::GOING_AWAY, "the server stops"),
        Outcome::Drained => (CloseCode::RESTART, "the server restarts"),
        Outcome::Expired => (CloseCode::POLICY, "the session is over"),
        _ => (CloseCode::UPSTREAM_LOST, "the upstream was lost"),
    }
}
