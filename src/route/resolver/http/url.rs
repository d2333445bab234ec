//! The URL that is asked, with the key in it.
//!
//! A value becomes one path segment or a part of the query, whatever it holds. What servers might
//! still read as a way out of the path (`..` behind an encoded slash) is not asked at all.

use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use crate::route::resolver::Query;
use crate::route::resolver::bind::Bind;
use crate::route::resolver::pattern::Pattern;
use crate::upstream::connect::host_port;
use crate::upstream::target::{self, Rest, TargetError, has_dot_segment};

/// Everything but RFC 3986 unreserved characters.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL with placeholders in its path and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    /// The URL is `https`.
    pub tls: bool,
    /// The Unix socket to connect to instead of the URL's host.
    pub socket: Option<PathBuf>,
    /// The URL for logs: as configured, without the query, which may hold secrets.
    pub shown: String,
    origin: String,
    segments: Vec<Pattern>,
    query: Option<Pattern>,
}

impl UrlTemplate {
    /// Parses `http://host[:port]/path?query`, `https://...` or `http+unix:/path.sock:/path?query`
    /// with `{key}`, `{user}`, `{host}`, `{path}` and `{client}` in path and query.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line. It does not quote credentials.
    pub fn parse(text: &str) -> Result<UrlTemplate, String> {
        target::check_characters(text).map_err(explain)?;
        if !text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) {
            return Err("the URL has another scheme, use http://, https:// or http+unix:".into());
        }
        let (tls, rest) = target::split_scheme(text).map_err(explain)?;
        let (socket, origin, path) = match rest {
            Rest::Unix(_) if tls => return Err("https+unix: makes no sense, use http+unix:".into()),
            Rest::Unix(rest) => {
                let (socket, path) = target::split_socket(rest);
                target::socket_address(socket).map_err(explain)?;
                (Some(PathBuf::from(socket)), "http://localhost".to_owned(), path)
            }
            Rest::Tcp(rest) => {
                let (authority, path) = target::split_authority(rest);
                (None, origin(tls, authority)?, path)
            }
        };
        let path = path.unwrap_or("/");
        if path.contains('#') {
            return Err("the URL has a fragment (#), leave it away".into());
        }
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(Pattern::parse(query)?)),
            None => (path, None),
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments = path.split('/').map(Pattern::parse).collect::<Result<_, _>>()?;
        let shown = text.split('?').next().unwrap_or_default().to_owned();
        let template = UrlTemplate { tls, socket, shown, origin, segments, query };
        // A sample, so that a URL that can never work is an error at the start.
        let sample = |value: &str| value.to_owned();
        let query = Query {
            key: sample("a"),
            user: Some(sample("a")),
            host: sample("a"),
            path: sample("/a"),
            client: sample("a"),
            ..Query::default()
        };
        match template.expand(&query) {
            Some(_) => Ok(template),
            None => Err(format!("{:?} is no URL that can be asked", template.shown)),
        }
    }

    /// The URL for `query`. `None`: it cannot be asked, so its key is unknown. A value is missing
    /// or empty, or a segment would be (or decode to) a dot segment.
    pub fn expand(&self, query: &Query) -> Option<Url> {
        let encode = |value: &str| utf8_percent_encode(value, VALUE).to_string();
        let mut url = self.origin.clone();
        for segment in &self.segments {
            let segment = segment.expand(query, encode)?;
            if has_dot_segment(&segment) {
                return None;
            }
            url.push('/');
            url.push_str(&segment);
        }
        if let Some(pattern) = &self.query {
            url.push('?');
            url.push_str(&pattern.expand(query, encode)?);
        }
        url.parse().ok()
    }

    /// The values that the URL depends on.
    pub fn binds(&self) -> impl Iterator<Item = Bind> {
        self.segments.iter().chain(&self.query).flat_map(Pattern::binds)
    }
}

fn explain(error: TargetError) -> String {
    match error {
        TargetError::UserInfo => {
            "credentials in the URL, use header-file=Authorization:FILE".into()
        }
        TargetError::BadCharacter => {
            "a blank, control or non-ASCII character in the URL, percent-encode it".into()
        }
        // Its own text would propose ws://.
        TargetError::NoHost => "the URL has no host".into(),
        error => error.to_string(),
    }
}

/// `http://host[:port]`
fn origin(tls: bool, authority: &str) -> Result<String, String> {
    if authority.contains('{') {
        return Err("a placeholder in the URL's host, use it in path or query only".into());
    }
    let (host, port) = target::split_host_port(authority).map_err(explain)?;
    let port = port.map_or(Ok(target::default_port(tls)), target::parse_port).map_err(explain)?;
    let host = target::parse_host(host).map_err(explain)?;
    let scheme = if tls { "https" } else { "http" };
    Ok(format!("{scheme}://{}", host_port(&host, port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn query(key: &str) -> Query {
        Query {
            key: key.into(),
            host: "desk.example.org".into(),
            path: "/desktop/a b".into(),
            client: "fd00::1".into(),
            ..Query::default()
        }
    }

    fn expand(template: &str, key: &str) -> Option<String> {
        UrlTemplate::parse(template).unwrap().expand(&query(key)).map(String::from)
    }

    #[test]
    fn urls() {
        let table = [
            ("http://127.0.0.1:5000/api/{key}", Some("http://127.0.0.1:5000/api/alice")),
            ("HTTPS://App.Example.org/t/{key}?v=1", Some("https://app.example.org/t/alice?v=1")),
            ("http://h/{key}", Some("http://h/alice")),
            ("http://h:8080?key={key}", Some("http://h:8080/?key=alice")),
            ("http://[::1]:1/{key}.json", Some("http://[::1]:1/alice.json")),
            ("http://h/a%20b/{key}/", Some("http://h/a%20b/alice/")),
            ("http://h//{key}", Some("http://h//alice")),
            (
                "http://h/{host}/{client}?p={path}",
                Some("http://h/desk.example.org/fd00%3A%3A1?p=%2Fdesktop%2Fa%20b"),
            ),
            ("http+unix:/run/app.sock:/t/{key}?a", Some("http://localhost/t/alice?a")),
            ("http+unix:///run/app.sock", Some("http://localhost/")),
            ("http://h/{user}/{key}", None),
            ("http://h/{key}?user={user}", None),
        ];
        for (template, expected) in table {
            assert_eq!(expand(template, "alice").as_deref(), expected, "{template}");
        }
        let unix = UrlTemplate::parse("http+unix:/run/app.sock:/t/{key}?secret=x").unwrap();
        assert_eq!(unix.socket.as_deref(), Some(Path::new("/run/app.sock")));
        assert_eq!(unix.shown, "http+unix:/run/app.sock:/t/{key}");
    }

    #[test]
    fn no_key_leads_elsewhere() {
        let table = [
            ("a/b", Some("a%2Fb")),
            ("a?b", Some("a%3Fb")),
            ("a#b", Some("a%23b")),
            ("a&b=c;d", Some("a%26b%3Dc%3Bd")),
            ("%2f", Some("%252f")),
            ("%2e%2e", Some("%252e%252e")),
            ("a b+c", Some("a%20b%2Bc")),
            ("a\r\nHost: b", Some("a%0D%0AHost%3A%20b")),
            ("\0", Some("%00")),
            ("@host", Some("%40host")),
            ("//host", Some("%2F%2Fhost")),
            ("http://host", Some("http%3A%2F%2Fhost")),
            ("{user}", Some("%7Buser%7D")),
            ("ä", Some("%C3%A4")),
            ("a..b", Some("a..b")),
            ("...", Some("...")),
            (".", None),
            ("..", None),
            ("../x", None),
            ("x/..", None),
            ("a/./b", None),
            ("..\\x", None),
        ];
        for (key, expected) in table {
            let expected = expected.map(|e| format!("http://h/t/{e}"));
            assert_eq!(expand("http://h/t/{key}", key), expected, "{key:?}");
        }
        assert_eq!(expand("http://h/t/.{key}", "."), None);
        assert_eq!(expand("http://h/{key}{key}/x", "."), None);
        // In a query there is nothing to get out of.
        assert_eq!(
            expand("http://h/?k={key}", "../x&a=b").as_deref(),
            Some("http://h/?k=..%2Fx%26a%3Db")
        );
    }

    #[test]
    fn bad_urls() {
        let table = [
            ("", "another scheme"),
            ("ws://h/{key}", "another scheme"),
            ("ftp://h/{key}", "another scheme"),
            ("httpx://h/{key}", "unknown scheme"),
            ("http:/h/{key}", "unknown scheme"),
            ("https+unix:/run/a:/x", "use http+unix:"),
            ("http+unix:run/a:/{key}", "bad socket path"),
            ("http:///{key}", "no host"),
            ("http://{key}/x", "use it in path or query only"),
            ("http://{key}.h/x", "use it in path or query only"),
            ("http://h:{key}/x", "use it in path or query only"),
            ("http://root:hunter2@h/{key}", "credentials in the URL, use header-file="),
            ("http://h:0/{key}", "bad port"),
            ("http://127.1/{key}", "bad host"),
            ("http://h/{key}#x", "fragment"),
            ("http://h/#{key}", "fragment"),
            ("http://h/a b", "percent-encode it"),
            ("http://h/ä", "percent-encode it"),
            ("http://h/{name}", "unknown {name}, use {key}"),
            ("http://h/{key", "a stray brace"),
            ("http://h/../{key}", "no URL that can be asked"),
            ("http://h/%2e/{key}", "no URL that can be asked"),
        ];
        for (text, expected) in table {
            let error = UrlTemplate::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
