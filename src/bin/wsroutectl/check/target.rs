//! What is to be checked: a URL, or domain, protocol and health path as the first user's script
//! took them.

use mod_wsroute::upstream::{Address, target};

/// Where the WebSocket is.
#[derive(Debug, Clone)]
pub struct Target {
    /// `wss` or `https`.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// The port of the connection.
    pub port: u16,
    /// As in the `Host` header: the port only if it is not the usual one.
    pub authority: String,
    /// Path and query; begins with `/`.
    pub path: String,
}

impl Target {
    /// From `URL`, or from `DOMAIN[/PATH] [PROTOCOL] [HEALTH]`; gives the health path as well.
    ///
    /// # Errors
    /// What cannot be asked, as one line.
    pub fn parse(words: &[String]) -> Result<(Target, Option<String>), String> {
        let first = words.first().map_or("", |word| word.as_str());
        if first.contains("://") {
            return match words.len() {
                1 => Ok((Target::url(first)?, None)),
                _ => Err("after a URL comes nothing more, use --health PATH".to_owned()),
            };
        }
        let protocol = words.get(1).map_or("https", |word| word.as_str());
        let health = words.get(2).cloned();
        if health.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return Err("the health path begins with /, use / or /health".to_owned());
        }
        let path = match (first.contains('/'), &health) {
            (false, Some(health)) => health,
            _ => "",
        };
        Ok((Target::url(&format!("{protocol}://{first}{path}"))?, health))
    }

    fn url(url: &str) -> Result<Target, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        if !["ws", "wss", "http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(format!("{scheme}:// is no WebSocket, use ws:// or wss://"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("browsers send no name and password of a URL, use --user".to_owned());
        }
        let server = target::Target::parse_url(&format!("{scheme}://{authority}"));
        let server = server.map_err(|e| format!("{:?}: {e}", without_query(url)))?;
        let Address::Tcp { host, port } = server.address else {
            return Err("a socket cannot be checked, use ws:// or wss://".to_owned());
        };
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        if path.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("a path has no blanks, write %20".to_owned());
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        let authority = authority_of(&host, port, server.tls);
        Ok(Target { tls: server.tls, host, port, authority, path })
    }

    /// The same for a page or a WebSocket of another name.
    pub fn named(&self, host: &str) -> Target {
        let authority = authority_of(host, self.port, self.tls);
        Target { host: host.to_owned(), authority, ..self.clone() }
    }

    /// `wss://host/path`, without the query, which may hold secrets.
    pub fn shown(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority, without_query(&self.path))
    }

    /// The origin of a page of the same server.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

fn authority_of(host: &str, port: u16, tls: bool) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match (tls, port) {
        (true, 443) | (false, 80) => host,
        _ => format!("{host}:{port}"),
    }
}

/// The text up to the `?`.
pub fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_the_script_form() {
        let table: &[(&[&str], &str)] = &[
            (&["wss://h/p?t=1"], "wss://h/p"),
            (&["ws://h:81"], "ws://h:81/"),
            (&["https://h:443/"], "wss://h/"),
            (&["ws://[::1]:81/x"], "ws://[::1]:81/x"),
            (&["localhost:5020", "http", "/"], "ws://localhost:5020/"),
            (&["h"], "wss://h/"),
            (&["h/ws", "https", "/health"], "wss://h/ws"),
        ];
        for (words, expected) in table {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            assert_eq!(Target::parse(&words).unwrap().0.shown(), *expected);
        }
        for wrong in ["ftp://h/", "ws://a:b@h/", "ws://h/a b", "ws://"] {
            assert!(Target::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
