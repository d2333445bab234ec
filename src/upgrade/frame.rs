//! A cursor over frame headers (RFC 6455 5.2): knows where frames begin and end in a stream of
//! bytes without copying or changing any of them. Payload is skipped unseen, except for the two
//! bytes of a Close frame's code. Reserved bits, unknown opcodes and compressed payload pass.

use super::close::CloseCode;

/// Follows one direction of a WebSocket. Feed it every byte, in order, with [`advance`].
///
/// [`advance`]: FrameCursor::advance
#[derive(Debug, Default)]
pub struct FrameCursor {
    /// Bytes of the current header so far (at most 2 + 8 + 4), then up to two bytes of a Close code.
    head: [u8; 16],
    /// How many of `head` are filled; 0 at a boundary.
    filled: u8,
    /// How long the current header is, once its first two bytes are known; else 2.
    head_len: u8,
    /// Payload bytes of the current frame still to come.
    payload_left: u64,
    messages: u64,
    close: Option<Option<CloseCode>>,
}

impl FrameCursor {
    /// Takes the next bytes of the stream.
    pub fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.advance_to_boundary(bytes)..];
        }
    }

    /// Takes bytes up to the end of the current frame (or the next one, at a boundary), or all of
    /// them; says how many.
    pub fn advance_to_boundary(&mut self, all: &[u8]) -> usize {
        let mut bytes = all;
        while !bytes.is_empty() {
            if self.filled > 0 && self.filled >= self.head_len {
                let n = self.payload_left.min(bytes.len() as u64) as usize;
                self.payload(&bytes[..n]);
                bytes = &bytes[n..];
                if self.at_boundary() {
                    break;
                }
                continue;
            }
            if self.filled < 2 {
                self.head[self.filled as usize] = bytes[0];
                self.filled += 1;
                bytes = &bytes[1..];
                if self.filled < 2 {
                    self.head_len = 2;
                    continue;
                }
                let extended = match self.head[1] & 0x7f {
                    126 => 2,
                    127 => 8,
                    _ => 0,
                };
                self.head_len = 2 + extended + if self.masked() { 4 } else { 0 };
            }
            let n = (self.head_len - self.filled).min(bytes.len().min(14) as u8);
            let at = self.filled as usize;
            self.head[at..at + n as usize].copy_from_slice(&bytes[..n as usize]);
            self.filled += n;
            bytes = &bytes[n as usize..];
            if self.filled == self.head_len {
                self.head_is_complete();
                if self.at_boundary() {
                    break;
                }
            }
        }
        all.len() - bytes.len()
    }

    /// The stream stands between two frames.
    pub fn at_boundary(&self) -> bool {
        self.filled == 0
    }

    /// A complete Close frame has passed.
    pub fn close_passed(&self) -> bool {
        self.close.is_some() && self.at_boundary()
    }

    /// The code of the Close frame that passed, if it had one.
    pub fn close_code(&self) -> Option<CloseCode> {
        self.close.flatten()
    }

    /// How many messages ended so far (frames with FIN that are no control frames).
    pub fn messages(&self) -> u64 {
        self.messages
    }

    fn masked(&self) -> bool {
        self.head[1] & 0x80 != 0
    }

    fn is_close(&self) -> bool {
        self.head[0] & 0x0f == 8
    }

    fn head_is_complete(&mut self) {
        self.payload_left = match self.head[1] & 0x7f {
            126 => u16::from_be_bytes([self.head[2], self.head[3]]).into(),
            // RFC 6455 5.2: the most significant bit must be 0; a stream that sets it has no end.
            127 => {
                let mut eight = [0; 8];
                eight.copy_from_slice(&self.head[2..10]);
                u64::from_be_bytes(eight)
            }
            n => n.into(),
        };
        if self.head[0] & 0x88 == 0x80 {
            self.messages += 1;
        }
        if self.is_close() {
            self.close = Some(None);
        }
        if self.payload_left == 0 {
            self.filled = 0;
        }
    }

    fn payload(&mut self, bytes: &[u8]) {
        self.payload_left -= bytes.len() as u64;
        if self.is_close() && self.filled < self.head_len + 2 {
            self.close_code_bytes(bytes);
        }
        if self.payload_left == 0 {
            self.filled = 0;
        }
    }

    fn close_code_bytes(&mut self, bytes: &[u8]) {
        let head_len = self.head_len as usize;
        for byte in bytes {
            let i = self.filled as usize - head_len;
            if i == 2 {
                break;
            }
            let mask = if self.masked() { self.head[head_len - 4 + i] } else { 0 };
            self.head[head_len + i] = byte ^ mask;
            self.filled += 1;
        }
        if self.filled as usize == head_len + 2 {
            let code = u16::from_be_bytes([self.head[head_len], self.head[head_len + 1]]);
            self.close = Some(Some(CloseCode(code)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, len: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut f = vec![first];
        match len {
            0..126 => f.push(bit | len as u8),
            126..65536 => {
                f.push(bit | 126);
                f.extend((len as u16).to_be_bytes());
            }
            _ => {
                f.push(bit | 127);
                f.extend((len as u64).to_be_bytes());
            }
        }
        f.extend(mask.into_iter().flatten());
        // A payload that looks like headers.
        f.extend(std::iter::repeat_n(0x88, len));
        f
    }

    #[test]
    fn boundaries_are_found_at_every_size_and_split() {
        for len in [0, 1, 2, 125, 126, 127, 65535, 65536, 70000] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let f = frame(0x82, len, mask);
                for step in [1, 2, 3, 7, f.len()] {
                    let mut c = FrameCursor::default();
                    let mut seen = 0;
                    for part in f.chunks(step) {
                        assert_eq!(c.at_boundary(), seen == 0, "{len} {mask:?} {step}");
                        c.advance(part);
                        seen += part.len();
                    }
                    assert!(c.at_boundary(), "{len} {mask:?} {step}");
                    assert_eq!((c.messages(), c.close_passed()), (1, false));
                }
            }
        }
    }

    #[test]
    fn it_stops_at_a_boundary_when_asked() {
        let (a, b) = (frame(0x82, 300, None), frame(0x81, 0, Some([7; 4])));
        let both = [a.as_slice(), &b].concat();
        let mut c = FrameCursor::default();
        assert_eq!(c.advance_to_boundary(&both[..10]), 10);
        assert_eq!(c.advance_to_boundary(&both[10..]), a.len() - 10);
        assert_eq!(c.advance_to_boundary(&both[a.len()..]), b.len());
        assert_eq!(c.messages(), 2);
    }

    #[test]
    fn messages_are_counted_by_fin_and_control_frames_are_not() {
        let mut c = FrameCursor::default();
        for (first, len) in [(0x01, 5), (0x89, 0), (0x00, 0), (0x80, 9), (0xc2, 3), (0x8a, 1)] {
            c.advance(&frame(first, len, None));
        }
        assert_eq!(c.messages(), 2);
    }

    #[test]
    fn the_code_of_a_close_frame_is_read_masked_or_not() {
        let plain = [0x88, 4, 0x03, 0xe8, b'b', b'y'];
        let masked = [0x88, 0x82, 9, 8, 7, 6, 0x03 ^ 9, 0xe8 ^ 8];
        for (bytes, step) in
            [(&plain[..], 1), (&plain, 6), (&masked, 1), (&masked, 3), (&masked, 8)]
        {
            let mut c = FrameCursor::default();
            for part in bytes.chunks(step) {
                assert!(!c.close_passed());
                c.advance(part);
            }
            assert!(c.close_passed());
            assert_eq!(c.close_code(), Some(CloseCode(1000)));
        }
        let mut empty = FrameCursor::default();
        empty.advance(&[0x88, 0]);
        assert_eq!((empty.close_passed(), empty.close_code()), (true, None));
    }

    #[test]
    fn the_length_2_pow_64_minus_1_does_no_harm() {
        let mut c = FrameCursor::default();
        c.advance(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
        c.advance(&[0; 1000]);
        assert!(!c.at_boundary());
    }
}
