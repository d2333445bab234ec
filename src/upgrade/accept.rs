//! Sec-WebSocket-Accept (RFC 6455 4.2.2, step 5.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that proves that a request with this `Sec-WebSocket-Key` was
/// understood. The key is taken as it stands in the header (not decoded), without blanks around it.
pub fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::accept;

    #[test]
    fn examples() {
        let table = [
            ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), // RFC 6455 1.3
            ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="), // Wikipedia, "WebSocket"
        ];
        for (key, expected) in table {
            assert_eq!(accept(key), expected, "{key}");
        }
    }
}
