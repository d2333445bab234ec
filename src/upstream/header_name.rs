//! How header names are spelled towards an upstream.
//!
//! Names are case-insensitive (RFC 9110 5.1), but not everywhere: KasmVNC up to 1.3.4 answers
//! 404 or 401 to anything but exactly `Host: `, `Connection: ` and `Authorization: `, and clients
//! or proxies in front of us may have lower-cased them.

/// `Title-Case-By-Dash`, with the parts that are customarily written otherwise.
pub fn canonical(name: &str) -> String {
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

fn part(part: &str) -> String {
    const SPECIAL: [&str; 9] = ["WebSocket", "WWW", "DNT", "TE", "ETag", "CH", "UA", "GPC", "MD5"];
    if let Some(special) = SPECIAL.iter().find(|s| s.eq_ignore_ascii_case(part)) {
        return special.to_string();
    }
    let mut title = part.to_ascii_lowercase();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn spelling() {
        let table = [
            ("host", "Host"),
            ("AUTHORIZATION", "Authorization"),
            ("sec-websocket-key", "Sec-WebSocket-Key"),
            ("Sec-Websocket-Extensions", "Sec-WebSocket-Extensions"),
            ("user-agent", "User-Agent"),
            ("x-forwarded-for", "X-Forwarded-For"),
            ("dnt", "DNT"),
            ("www-authenticate", "WWW-Authenticate"),
            ("etag", "ETag"),
            ("te", "TE"),
            ("sec-ch-ua-mobile", "Sec-CH-UA-Mobile"),
            ("x--odd-", "X--Odd-"),
            ("", ""),
        ];
        for (name, expected) in table {
            assert_eq!(canonical(name), expected);
        }
    }
}
