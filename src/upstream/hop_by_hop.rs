//! Which headers belong to one connection only and must not be forwarded (RFC 9110 7.6.1).

/// Headers that never pass: the fixed ones of RFC 9110 7.6.1 and RFC 7540 3.2.1, and all of
/// `Proxy-*`, which speak to the next proxy.
pub fn is_hop_by_hop(name: &str) -> bool {
    const FIXED: [&str; 7] = [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ];
    let name = name.to_ascii_lowercase();
    FIXED.contains(&name.as_str()) || name.starts_with("proxy-")
}

/// The items of comma-separated header lines, trimmed, in lower case. `values` are all lines of
/// one header; lines that are not UTF-8 are passed over.
pub fn items<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    values
        .filter_map(|v| std::str::from_utf8(v).ok())
        .flat_map(|v| v.split(','))
        .map(|item| item.trim().to_ascii_lowercase())
        .filter(|item| !item.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table = [
            ("Connection", true),
            ("KEEP-ALIVE", true),
            ("Proxy-Connection", true),
            ("proxy-authenticate", true),
            ("TE", true),
            ("Trailer", true),
            ("Transfer-Encoding", true),
            ("Upgrade", true),
            ("HTTP2-Settings", true),
            ("Content-Length", false),
            ("Upgrade-Insecure-Requests", false),
            ("Proxy", false),
            ("Set-Cookie", false),
        ];
        for (name, expected) in table {
            assert_eq!(is_hop_by_hop(name), expected, "{name}");
        }
    }

    #[test]
    fn lists() {
        let lines: [&[u8]; 3] = [b"keep-alive,  Upgrade ,,", b"\xff", b"X-Foo"];
        assert_eq!(items(lines.into_iter()), ["keep-alive", "upgrade", "x-foo"]);
    }
}
