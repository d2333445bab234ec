//! Close codes and Close frames (RFC 6455 5.5.1, 7.4).

use std::fmt;

/// The status code of a Close frame. Only those that this module itself has to do with have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The server stops.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The Close frame that came had no code (only for logs: it is never sent).
    pub const NONE: CloseCode = CloseCode(1005);
    /// Policy: the session's time is over.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// The upstream was lost.
    pub const UPSTREAM_LOST: CloseCode = CloseCode(1011);
    /// The server restarts; come back.
    pub const RESTART: CloseCode = CloseCode(1012);
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An unmasked Close frame, as a server sends it. `reason` must be at most 123 bytes.
pub fn close_frame(code: CloseCode, reason: &str) -> Vec<u8> {
    debug_assert!(reason.len() <= 123);
    let mut frame = vec![0x88, 2 + reason.len() as u8];
    frame.extend_from_slice(&code.0.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_has_code_and_reason() {
        assert_eq!(close_frame(CloseCode::GOING_AWAY, ""), [0x88, 2, 0x03, 0xe9]);
        assert_eq!(close_frame(CloseCode(1012), "ab"), [0x88, 4, 0x03, 0xf4, b'a', b'b']);
    }
}
