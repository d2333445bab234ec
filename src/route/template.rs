//! URL and path templates: `ws://{key}:6901{tail}` and the like.
//!
//! A key is the client's to choose, so each place has its own rule for it: one DNS label or a whole
//! address in the host, a decimal number in the port, one label in a socket's path, and
//! percent-encoding in the path. Nothing is ever pasted into a URL that is parsed afterwards.

use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use crate::upstream::target::{
    self, Address, Rest, Target, TargetError, check_path, has_dot_segment, is_dns_label,
    parse_host, parse_port, socket_address,
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
    /// [`RouteError::NoKey`], a key with a dot segment in it, or a path that no request line can hold.
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
                    let encoded = utf8_percent_encode(key, SEGMENT).to_string();
                    if has_dot_segment(&encoded) {
                        return Err(bad_key(key, "leads to another path"));
                    }
                    path.push_str(&encoded);
                }
                Part::Path => push_path(&mut path, request_path),
                Part::Tail => push_path(&mut path, tail.unwrap_or(request_path)),
            }
        }
        check_path(&path)?;
        match has_dot_segment(&path) {
            true => Err(TargetError::Path(path).into()),
            false => Ok(path),
        }
    }
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
#[path = "template_tests.rs"]
mod tests;
