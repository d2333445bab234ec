//! URL and path templates: `ws://{key}:6901{tail}` and the like.
//!
//! A key is the client's to choose, so each place has its own rule for it: one DNS label or a whole
//! address in the host, a decimal number in the port, one label in a socket's path, and
//! percent-encoding in the path. Nothing is ever pasted into a URL that is parsed afterwards.

use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use crate::upstream::target::{
    self, Address, Rest, Target, TargetError, check_path, is_dns_label, parse_host, parse_port,
    socket_address,
};

/// Why a template gives no target for a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The template has `{key}` and the request has no key.
    #[error("no key")]
    NoKey,
    /// The key may not stand where the template has it.
    #[error("key {key:?} {reason}")]
    Key {
        /// The key, as the rule took it.
        key: String,
        /// What it is not.
        reason: &'static str,
    },
    /// The parts do not make a target together.
    #[error("{0}")]
    Target(#[from] TargetError),
}

/// Everything but RFC 3986 unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Key,
    Path,
    Tail,
}

/// A URL in `WsRoute`, such as `wss://desktop-{key}.example.org:6901/{tail}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    tls: bool,
    address: AddressTemplate,
    path: Option<PathTemplate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum AddressTemplate {
    /// `host` keeps its brackets.
    Tcp {
        host: Vec<Part>,
        port: Vec<Part>,
    },
    Unix(Vec<Part>),
}

/// A path with placeholders: that of a [`Template`], or `path=` of `WsRouteUpstream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    parts: Vec<Part>,
}

impl Template {
    /// Parses a URL template: `ws://host[:port][/path]`, `wss://...` or
    /// `ws+unix:/path.sock[:/uri]` with `{key}` anywhere, `{path}` and `{tail}` in the path.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse(text: &str) -> Result<Template, String> {
        let explain = |e: TargetError| format!("{text:?}: {e}");
        target::check_characters(text).map_err(explain)?;
        if text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) {
            return Err(format!("{text:?} is no WebSocket URL, use ws:// or wss://"));
        }
        let (tls, rest) = target::split_scheme(text).map_err(explain)?;
        let (address, path) = match rest {
            Rest::Unix(rest) => {
                let (socket, path) = target::split_socket(rest);
                (AddressTemplate::Unix(address_parts(socket)?), path)
            }
            Rest::Tcp(rest) => {
                let (authority, path) = split_authority(rest);
                let (host, port) = target::split_host_port(authority).map_err(explain)?;
                let port = match port {
                    Some(port) => address_parts(port)?,
                    None => vec![Part::Text(target::default_port(tls).to_string())],
                };
                (AddressTemplate::Tcp { host: address_parts(host)?, port }, path)
            }
        };
        let path = path.map(PathTemplate::parse).transpose()?;
        let template = Template { tls, address, path };
        template.check().map_err(|e| format!("{text:?}: {e}"))?;
        Ok(template)
    }

    /// Its path is made of the request's, by `{path}` or `{tail}`.
    pub fn follows_the_request(&self) -> bool {
        self.path.as_ref().is_some_and(PathTemplate::follows_the_request)
    }

    /// There is no `{key}` at all: the target is what the administrator wrote.
    pub fn literal(&self) -> bool {
        let in_address = match &self.address {
            AddressTemplate::Tcp { host, port } => has_key(host) || has_key(port),
            AddressTemplate::Unix(socket) => has_key(socket),
        };
        !in_address && !self.path.as_ref().is_some_and(|p| has_key(&p.parts))
    }

    /// The target for one request. `request_path` is the raw (percent-encoded) path; `tail` is raw
    /// too, begins with `/`, and is the whole path if there is none.
    ///
    /// # Errors
    /// [`RouteError::NoKey`] if the template needs a key, else what is wrong with the key.
    pub fn expand(
        &self,
        key: Option<&str>,
        request_path: &str,
        tail: Option<&str>,
    ) -> Result<Target, RouteError> {
        let address = match &self.address {
            AddressTemplate::Tcp { host, port } => {
                Address::Tcp { host: expand_host(host, key)?, port: expand_port(port, key)? }
            }
            AddressTemplate::Unix(socket) => socket_address(&expand_labels(socket, key)?)?,
        };
        let path = match &self.path {
            Some(path) => Some(path.expand(key, request_path, tail)?),
            None => None,
        };
        Ok(Target { tls: self.tls, address, path })
    }

    /// Tries sample keys, so that a template that can never work is an error at the start.
    fn check(&self) -> Result<(), RouteError> {
        let mut result = Ok(());
        for sample in ["a", "1", "::1"] {
            match self.expand(Some(sample), "/", None) {
                Ok(_) => return Ok(()),
                // The first failure names what the administrator wrote best.
                Err(e) if result.is_ok() => result = Err(e),
                Err(_) => {}
            }
        }
        result
    }
}

/// As [`target::split_authority`]; `{path}` and `{tail}` begin a path too.
fn split_authority(rest: &str) -> (&str, Option<&str>) {
    let starts = ["/", "?", "#", "{path}", "{tail}"];
    match starts.iter().filter_map(|start| rest.find(start)).min() {
        Some(0) | None => target::split_authority(rest),
        Some(at) => (&rest[..at], Some(&rest[at..])),
    }
}

impl PathTemplate {
    /// Parses a path with `{key}`, `{path}` and `{tail}`.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse(text: &str) -> Result<PathTemplate, String> {
        let parts = parts(text)?;
        let template = match parts.first() {
            Some(Part::Text(first)) if first.starts_with('/') => PathTemplate { parts },
            Some(Part::Path | Part::Tail) => PathTemplate { parts },
            _ => return Err(format!("path {text:?} is not absolute, begin it with /")),
        };
        template.expand(Some("a"), "/", None).map_err(|e| format!("{text:?}: {e}"))?;
        Ok(template)
    }

    /// It is made of the request's path, by `{path}` or `{tail}`.
    pub fn follows_the_request(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Path | Part::Tail))
    }

    /// The path for one request, percent-encoded, beginning with `/`; for the parameters see
    /// [`Template::expand`]. `{path}` and `{tail}` bring their own slash: `/a/{tail}` and
    /// `/a{tail}` are the same.
    ///
    /// # Errors
    /// [`RouteError::NoKey`], a key that is `.` or `..`, or a path that no request line can hold.
    pub fn expand(
        &self,
        key: Option<&str>,
        request_path: &str,
        tail: Option<&str>,
    ) -> Result<String, RouteError> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Key => {
                    let key = key.ok_or(RouteError::NoKey)?;
                    if key == "." || key == ".." {
                        return Err(bad_key(key, "is a dot segment"));
                    }
                    path.extend(utf8_percent_encode(key, SEGMENT));
                }
                Part::Path => push_path(&mut path, request_path),
                Part::Tail => push_path(&mut path, tail.unwrap_or(request_path)),
            }
        }
        check_path(&path)?;
        match path.split('/').any(is_dot_segment) {
            true => Err(TargetError::Path(path).into()),
            false => Ok(path),
        }
    }
}

/// `.` or `..`, encoded or not: it would lead out of what the template says.
fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// Appends an absolute path without doubling the slash.
fn push_path(path: &mut String, more: &str) {
    if path.ends_with('/') && more.starts_with('/') {
        path.pop();
    }
    path.push_str(more);
}

/// Cuts a template at its placeholders.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, placeholder) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        let end = placeholder.find('}').filter(|_| placeholder.starts_with('{'));
        let end = end.ok_or_else(|| format!("brace without its pair in {text:?}, use {{key}}"))?;
        parts.push(match &placeholder[1..end] {
            "key" => Part::Key,
            "path" => Part::Path,
            "tail" => Part::Tail,
            other => {
                return Err(format!(
                    "unknown placeholder {{{other}}}, use {{key}}, {{path}} or {{tail}}"
                ));
            }
        });
        rest = &placeholder[end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

/// As [`parts`], for a host, a port or a socket's path.
fn address_parts(text: &str) -> Result<Vec<Part>, String> {
    let parts = parts(text)?;
    match parts.iter().any(|p| matches!(p, Part::Path | Part::Tail)) {
        true => Err(format!(
            "{{path}} and {{tail}} may not stand in {text:?}, use them in the path, behind a /"
        )),
        false => Ok(parts),
    }
}

fn has_key(parts: &[Part]) -> bool {
    parts.contains(&Part::Key)
}

/// Joins text and key; `check` says why the key may not stand here.
fn join(
    parts: &[Part],
    key: Option<&str>,
    check: impl Fn(&str) -> Option<&'static str>,
) -> Result<String, RouteError> {
    let mut joined = String::new();
    for part in parts {
        match part {
            Part::Text(text) => joined.push_str(text),
            _ => {
                let key = key.ok_or(RouteError::NoKey)?;
                if let Some(reason) = check(key) {
                    return Err(bad_key(key, reason));
                }
                joined.push_str(key);
            }
        }
    }
    Ok(joined)
}

fn expand_labels(parts: &[Part], key: Option<&str>) -> Result<String, RouteError> {
    join(parts, key, |k| (!is_dns_label(k)).then_some("is no DNS label"))
}

fn expand_host(parts: &[Part], key: Option<&str>) -> Result<String, RouteError> {
    if parts == [Part::Key] {
        let key = key.ok_or(RouteError::NoKey)?;
        if let Ok(address) = key.parse::<IpAddr>() {
            return Ok(address.to_string());
        }
        if !is_dns_label(key) {
            return Err(bad_key(key, "is neither a DNS label nor an IP address"));
        }
        return parse_host(key).map_err(|_| bad_key(key, "is an abbreviated address"));
    }
    let bracketed = matches!(parts, [Part::Text(open), Part::Key, Part::Text(close)]
        if open == "[" && close == "]");
    let host = match bracketed {
        true => {
            join(parts, key, |k| k.parse::<Ipv6Addr>().is_err().then_some("is no IPv6 address"))?
        }
        false => expand_labels(parts, key)?,
    };
    Ok(parse_host(&host)?)
}

fn expand_port(parts: &[Part], key: Option<&str>) -> Result<u16, RouteError> {
    let port = join(parts, key, |k| {
        let digits = !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit());
        (!digits).then_some("is no port")
    })?;
    match (parse_port(&port), key) {
        (Err(_), Some(key)) if has_key(parts) => Err(bad_key(key, "is no port")),
        (port, _) => Ok(port?),
    }
}

fn bad_key(key: &str, reason: &'static str) -> RouteError {
    RouteError::Key { key: key.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, key: Option<&str>, path: &str, tail: Option<&str>) -> String {
        let template = Template::parse(template).unwrap();
        match template.expand(key, path, tail) {
            Ok(target) => target.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn templates_expand() {
        let table = [
            ("ws://127.0.0.1:6080/websockify", None, "ws://127.0.0.1:6080/websockify"),
            ("ws://127.0.0.1:6080", None, "ws://127.0.0.1:6080"),
            ("wss://{key}:6901", Some("Alice"), "wss://alice:6901"),
            ("wss://{key}", Some("10.0.0.5"), "wss://10.0.0.5:443"),
            ("ws://{key}:1", Some("fd00::5"), "ws://[fd00::5]:1"),
            ("ws://[{key}]:1", Some("fd00::5"), "ws://[fd00::5]:1"),
            ("ws://[fd00::{key}]:1", Some("5"), "ws://[fd00::5]:1"),
            ("ws://desktop-{key}.lan:1", Some("12"), "ws://desktop-12.lan:1"),
            ("ws://10.0.0.{key}:1", Some("5"), "ws://10.0.0.5:1"),
            ("ws://{key}.0.0.1:1", Some("10"), "ws://10.0.0.1:1"),
            ("ws://10.0.0.5:{key}", Some("6901"), "ws://10.0.0.5:6901"),
            ("ws://10.0.0.5:70{key}", Some("01"), "ws://10.0.0.5:7001"),
            ("ws://h:1/{key}/x", Some("a b/../c"), "ws://h:1/a%20b%2F..%2Fc/x"),
            ("ws://h:1/{key}", Some("ä%2e?#"), "ws://h:1/%C3%A4%252e%3F%23"),
            ("ws://h:1/b{path}", None, "ws://h:1/b/desktop/alice/x"),
            ("ws://h:1/b/{path}", None, "ws://h:1/b/desktop/alice/x"),
            ("ws://h:1/{tail}", None, "ws://h:1/x"),
            ("ws://h:1/b{tail}", None, "ws://h:1/b/x"),
            ("ws://h:1{tail}", None, "ws://h:1/x"),
            ("ws+unix:/run/{key}.sock:/{tail}", Some("alice"), "ws+unix:/run/alice.sock:/x"),
            ("ws+unix:/run/{key}.sock", Some("alice"), "ws+unix:/run/alice.sock"),
        ];
        for (template, key, expected) in table {
            let got = expand(template, key, "/desktop/alice/x", Some("/x"));
            assert_eq!(got, expected, "{template}");
        }
        assert_eq!(expand("ws://h:1/{tail}", None, "/all", None), "ws://h:1/all");
    }

    #[test]
    fn literal_means_no_key() {
        for (template, literal) in [
            ("ws://h:1", true),
            ("ws://h:1/{path}", true),
            ("ws://h:1/{tail}", true),
            ("ws://{key}:1", false),
            ("ws://h:{key}", false),
            ("ws://h:1/{key}", false),
            ("ws+unix:/run/{key}", false),
        ] {
            assert_eq!(Template::parse(template).unwrap().literal(), literal, "{template}");
        }
    }

    #[test]
    fn a_missing_key_is_an_error() {
        for template in ["ws://{key}:1", "ws://h:{key}", "ws://h:1/{key}", "ws+unix:/{key}"] {
            let template = Template::parse(template).unwrap();
            assert_eq!(template.expand(None, "/", None), Err(RouteError::NoKey));
        }
    }

    /// Keys of an attacker: none gets out of its place.
    #[test]
    fn hostile_keys_are_refused() {
        let everywhere = [
            "",
            ".",
            "..",
            "../etc",
            "a/b",
            "a\\b",
            "@127.0.0.1",
            "a@127.0.0.1",
            "127.0.0.1:22",
            "127.0.0.1/",
            "127.0.0.1#",
            "127.0.0.1?",
            "a:22",
            "a:b@c",
            "a b",
            " a",
            "a ",
            "a\t",
            "a\r\nHost: evil",
            "a\n",
            "a\0b",
            "a\u{7f}",
            "a'b",
            "a\"b",
            "a`b",
            "a;b",
            "a&b",
            "a|b",
            "$(id)",
            "{key}",
            "{tail}",
            "a{b",
            "%2e%2e",
            "%2f",
            "%00",
            "%0d%0a",
            "a%00.example",
            "a.b",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "-",
            "169.254.169.254.nip.io",
            "127.1",
            "0x7f.1",
            "0177.0.0.1",
            "127.0.0.01",
            "1.2.3.4.5",
            "256.256.256.256",
            "[::1]",
            "[::1]:22",
            "::1:22:",
            "fe80::1%eth0",
            "fe80::1%25eth0",
            "::ffff:127.0.0.1:22",
            "a\u{3002}b",
            "127\u{ff0e}0\u{ff0e}0\u{ff0e}1",
            "\u{ff0f}",
            "\u{2024}",
            "ex\u{e4}mple",
            "\u{202e}a",
            "\u{feff}a",
            "１２７",
            "' OR 1=1 --",
            "ws://evil",
            "//evil",
            "http:evil",
        ];
        for template in
            ["ws://{key}:6901/x", "ws://d-{key}.lan:6901", "ws://h:{key}", "ws+unix:/run/{key}.s"]
        {
            let parsed = Template::parse(template).unwrap();
            for key in everywhere {
                let got = parsed.expand(Some(key), "/", None);
                assert!(
                    matches!(got, Err(RouteError::Key { .. })),
                    "{template} with {key:?} gave {got:?}"
                );
            }
        }
        // Addresses that getaddrinfo() would read from a "label".
        for key in ["2130706433", "0x7f000001", "017700000001", "0", "127", "0x"] {
            let parsed = Template::parse("ws://{key}:6901").unwrap();
            let got = parsed.expand(Some(key), "/", None);
            assert!(matches!(got, Err(RouteError::Key { .. })), "{key:?} gave {got:?}");
        }
        for key in ["0", "00000", "65536", "99999", "100000", "-1", "+80", "0x50", "8_0", "８０"]
        {
            let parsed = Template::parse("ws://h:{key}").unwrap();
            let got = parsed.expand(Some(key), "/", None);
            assert!(matches!(got, Err(RouteError::Key { .. })), "{key:?} gave {got:?}");
        }
        let parsed = Template::parse("ws://10.0.0.{key}:1").unwrap();
        for key in ["256", "05", "0x1"] {
            assert!(parsed.expand(Some(key), "/", None).is_err(), "{key:?}");
        }
        // In a path everything is encoded: it stays one segment of that path.
        let parsed = Template::parse("ws://h:1/d/{key}/x").unwrap();
        for key in everywhere {
            match parsed.expand(Some(key), "/", None) {
                Ok(target) => {
                    let path = target.path.unwrap();
                    assert_eq!(path.matches('/').count(), 3, "{key:?} gave {path}");
                    assert!(path.starts_with("/d/") && path.ends_with("/x"), "{path}");
                    assert!(!path.contains(['?', '#', ' ', '\r', '\n', '\\', '@']), "{path}");
                }
                Err(_) => assert!(key == "." || key == "..", "{key:?}"),
            }
        }
    }

    #[test]
    fn a_request_path_that_no_request_line_can_hold() {
        for path in [
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e%2E/a",
            "/.%2e",
            "/a b",
            "/a\r\n",
            "/a?b",
            "/a#b",
            "/\u{e4}",
            "/%",
            "/a\0",
            "a",
        ] {
            let path_template = PathTemplate::parse("{path}").unwrap();
            assert!(path_template.expand(None, path, None).is_err(), "{path:?}");
        }
    }

    #[test]
    fn bad_templates() {
        let table = [
            ("ws://{name}:1", "unknown placeholder {name}, use {key}, {path} or {tail}"),
            ("ws://{key:1", "brace without its pair"),
            ("ws://key}:1", "brace without its pair"),
            ("ws://{tail}:1/", "may not stand in \"{tail}\""),
            ("ws://h:{path}", "bad port"),
            ("http://h:1", "use ws:// or wss://"),
            ("ws+unix:/run{tail}", "may not stand in"),
            ("ws://u@{key}:1", "user information"),
            ("ws://{key}@h:1", "user information"),
            ("ws://{key}:1/?a", "a query"),
            ("ws://{key}:1/#a", "a fragment"),
            ("ws://{key}:0", "bad port"),
            ("ws://{key}:x", "bad port"),
            ("ws://:1", "no host"),
            ("ws:///{key}", "no host"),
            ("ws://{key}..lan", "bad host"),
            ("ws://{key}_{key}.127", "bad host"),
            ("ws://[{key}", "brackets"),
            ("ws://[fd00:{key}]:1", "brackets"),
            ("ws://::1:80", "brackets"),
            ("{key}://h", "unknown scheme"),
            ("ftp://{key}", "unknown scheme"),
            ("ws://{key} :1", "blank"),
            ("ws+unix:{key}", "bad socket path"),
            ("ws+unix:/run/../{key}", "bad socket path"),
        ];
        for (template, text) in table {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains(text), "{template}: {error}");
        }
        for path in ["", "x", "{key}/x", "x{tail}", "/a b", "/a?b", "/{x}", "/{"] {
            assert!(PathTemplate::parse(path).is_err(), "{path:?}");
        }
    }
}
