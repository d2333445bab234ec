//! Where to connect to: an address and, if the route says so, a path.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// The transport address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A DNS name or an IP literal (IPv6 without brackets) and a port.
    Tcp {
        /// Name or address.
        host: String,
        /// 1..=65535.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// An upstream: address, TLS or not, and the path if it is not the request's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// `wss` rather than `ws`.
    pub tls: bool,
    /// Where to connect to.
    pub address: Address,
    /// The path to ask for (percent-encoded, begins with `/`, without query); `None`: the
    /// request's own.
    pub path: Option<String>,
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// A blank, a control character, or something that is not ASCII.
    #[error("blank, control or non-ASCII character")]
    BadCharacter,
    /// Neither `ws` nor `wss`, nor one of their synonyms.
    #[error("unknown scheme {0:?}, use ws://, wss:// or ws+unix:")]
    Scheme(String),
    /// `user@host`: credentials do not belong in a target.
    #[error("user information (@) is not allowed")]
    UserInfo,
    /// `#fragment`.
    #[error("a fragment (#) is not allowed")]
    Fragment,
    /// `?query`: the request's own query is kept.
    #[error("a query (?) is not allowed, the request's own is kept")]
    Query,
    /// Nothing where the host should be.
    #[error("no host, use ws://host:port/path")]
    NoHost,
    /// No DNS name and no IP address.
    #[error("bad host {0:?}")]
    Host(String),
    /// An IPv6 address without brackets, or brackets that do not hold one.
    #[error("bad brackets in {0:?}, an IPv6 address is written [::1]:6901")]
    Brackets(String),
    /// No port where one is needed.
    #[error("no port")]
    NoPort,
    /// Not 1..=65535.
    #[error("bad port {0:?}, use 1 to 65535")]
    Port(String),
    /// Not absolute, not percent-encoded, or with a forbidden character.
    #[error("bad path {0:?}")]
    Path(String),
    /// A socket path that is relative, too long (107 bytes), or holds `..`.
    #[error("bad socket path {0:?}, use an absolute path of at most 107 bytes")]
    Socket(String),
}

/// The longest path a `sockaddr_un` takes on Linux, in bytes.
const SOCKET_PATH_MAX: usize = 107;

impl Target {
    /// Parses `ws://host[:port][/path]` (`http` is a synonym of `ws`, `https` of `wss`) or
    /// `ws+unix:/path.sock[:/uri]`. The default ports are 80 and 443.
    ///
    /// # Errors
    /// Anything else, credentials, queries, fragments, and hosts that resolvers read in surprising
    /// ways (`127.1`, `0x7f000001`).
    pub fn parse_url(url: &str) -> Result<Target, TargetError> {
        check_characters(url)?;
        let (tls, rest) = split_scheme(url)?;
        match rest {
            Rest::Unix(rest) => {
                let (socket, path) = split_socket(rest);
                Ok(Target { tls, address: socket_address(socket)?, path: owned_path(path)? })
            }
            Rest::Tcp(rest) => {
                let (authority, path) = split_authority(rest);
                let (host, port) = split_host_port(authority)?;
                let port = port.map_or(Ok(default_port(tls)), parse_port)?;
                let address = Address::Tcp { host: parse_host(host)?, port };
                Ok(Target { tls, address, path: owned_path(path)? })
            }
        }
    }

    /// Parses `10.0.0.5:6901`, `[::1]:6901` or `name:6901`. The port is needed.
    ///
    /// # Errors
    /// Anything else, such as a URL or an IPv6 address without brackets.
    pub fn parse_host_port(text: &str, tls: bool) -> Result<Target, TargetError> {
        check_characters(text)?;
        if text.contains('/') {
            return Err(TargetError::Host(text.into()));
        }
        let (host, port) = split_host_port(text)?;
        let port = parse_port(port.ok_or(TargetError::NoPort)?)?;
        Ok(Target { tls, address: Address::Tcp { host: parse_host(host)?, port }, path: None })
    }
}

/// `ws://host:port`, `wss://[::1]:port`, `ws+unix:/path.sock`, followed by the path if there is
/// one (`ws+unix:/path.sock:/uri`).
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.tls { "wss" } else { "ws" };
        let path = self.path.as_deref().unwrap_or("");
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => {
                write!(f, "{s}://[{host}]:{port}{path}")
            }
            Address::Tcp { host, port } => write!(f, "{s}://{host}:{port}{path}"),
            Address::Unix(p) if path.is_empty() => write!(f, "{s}+unix:{}", p.display()),
            Address::Unix(p) => write!(f, "{s}+unix:{}:{path}", p.display()),
        }
    }
}

/// What follows the scheme of a URL.
pub(crate) enum Rest<'a> {
    /// Authority and path.
    Tcp(&'a str),
    /// Socket path, then `:` and the path.
    Unix(&'a str),
}

/// Refuses what no part of a target may hold.
pub(crate) fn check_characters(text: &str) -> Result<(), TargetError> {
    match text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(TargetError::BadCharacter),
    }
}

/// Splits off the scheme; true is TLS.
pub(crate) fn split_scheme(url: &str) -> Result<(bool, Rest<'_>), TargetError> {
    let (scheme, rest) = url.split_once(':').ok_or_else(|| TargetError::Scheme(String::new()))?;
    let (tls, unix) = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => (false, false),
        "wss" | "https" => (true, false),
        "ws+unix" | "http+unix" => (false, true),
        "wss+unix" | "https+unix" => (true, true),
        _ => return Err(TargetError::Scheme(scheme.into())),
    };
    if unix {
        // ws+unix:///run/x.sock is the same with an empty authority.
        let rest = if rest.starts_with("///") { &rest[2..] } else { rest };
        return Ok((tls, Rest::Unix(rest)));
    }
    match rest.strip_prefix("//") {
        Some(rest) => Ok((tls, Rest::Tcp(rest))),
        None => Err(TargetError::Scheme(scheme.into())),
    }
}

/// Splits `host:port/path`; the path keeps its slash.
pub(crate) fn split_authority(rest: &str) -> (&str, Option<&str>) {
    match rest.find(['/', '?', '#']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    }
}

/// Splits `/path.sock:/uri` at the first `:/`.
pub(crate) fn split_socket(rest: &str) -> (&str, Option<&str>) {
    match rest.find(":/") {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    }
}

/// Splits `host[:port]`. An IPv6 host keeps its brackets, so that [`parse_host`] knows it.
pub(crate) fn split_host_port(authority: &str) -> Result<(&str, Option<&str>), TargetError> {
    if authority.contains('@') {
        return Err(TargetError::UserInfo);
    }
    if authority.starts_with('[') {
        let bad = || TargetError::Brackets(authority.into());
        let end = authority.find(']').ok_or_else(bad)?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(bad()),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(TargetError::Brackets(authority.into())),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

/// A DNS name (lower-cased, without its final dot), an IPv4 address, or an IPv6 address in
/// brackets (which are taken off). Zones are refused: an interface is not the caller's to name.
pub(crate) fn parse_host(host: &str) -> Result<String, TargetError> {
    if host.is_empty() {
        return Err(TargetError::NoHost);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|a| a.parse::<Ipv6Addr>().ok());
        let address = address.ok_or_else(|| TargetError::Brackets(host.into()))?;
        return Ok(address.to_string());
    }
    let bad = || TargetError::Host(host.into());
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > 253 || !name.split('.').all(is_dns_label) {
        return Err(bad());
    }
    // getaddrinfo() takes 127.1, 2130706433 and 0x7f.1 for addresses; what ends in a number must
    // therefore be one in full (WHATWG URL, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or(name);
    if looks_like_a_number(last) && name.parse::<Ipv4Addr>().is_err() {
        return Err(bad());
    }
    Ok(name.to_ascii_lowercase())
}

/// One DNS label: letters, digits, `_` and inner `-`, 1 to 63 bytes.
pub(crate) fn is_dns_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Decimal digits, 1..=65535.
pub(crate) fn parse_port(port: &str) -> Result<u16, TargetError> {
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(n) if digits && n > 0 => Ok(n),
        _ => Err(TargetError::Port(port.into())),
    }
}

/// 80, or 443 with TLS.
pub(crate) fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// An absolute path of a socket, short enough for the kernel.
pub(crate) fn socket_address(path: &str) -> Result<Address, TargetError> {
    let bad = || TargetError::Socket(path.into());
    if !path.starts_with('/') || path.len() < 2 || path.len() > SOCKET_PATH_MAX {
        return Err(bad());
    }
    if path.ends_with('/') || path.split('/').any(|s| s == ".." || s == ".") {
        return Err(bad());
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

/// Checks that `path` can stand in a request line: absolute, percent-encoded, without query.
pub(crate) fn check_path(path: &str) -> Result<(), TargetError> {
    if path.contains('?') {
        return Err(TargetError::Query);
    }
    if path.contains('#') {
        return Err(TargetError::Fragment);
    }
    let bad = || TargetError::Path(path.into());
    if !path.starts_with('/') {
        return Err(bad());
    }
    let bytes = path.as_bytes();
    for (at, &b) in bytes.iter().enumerate() {
        let fine = match b {
            b'%' => bytes.get(at + 1..at + 3).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit)),
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => false,
            _ => b.is_ascii_graphic(),
        };
        if !fine {
            return Err(bad());
        }
    }
    Ok(())
}

/// `.` or `..` stands between slashes once `path` is decoded, as some servers do first; some take `\\`
/// for a slash, too.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
}

fn owned_path(path: Option<&str>) -> Result<Option<String>, TargetError> {
    let Some(path) = path else { return Ok(None) };
    check_path(path)?;
    Ok(Some(path.to_owned()))
}

fn looks_like_a_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_and_printed_in_one_form() {
        let table = [
            ("ws://10.0.0.5:6901", "ws://10.0.0.5:6901"),
            ("WS://Desk.Example.org", "ws://desk.example.org:80"),
            ("wss://desk.example.org.", "wss://desk.example.org:443"),
            ("http://a/", "ws://a:80/"),
            ("https://a:6901/websockify", "wss://a:6901/websockify"),
            ("ws://[::1]:6901/a%20b", "ws://[::1]:6901/a%20b"),
            ("ws://[0:0:0:0:0:0:0:1]", "ws://[::1]:80"),
            ("ws://kasm_1-x:1", "ws://kasm_1-x:1"),
            ("ws+unix:/run/a.sock", "ws+unix:/run/a.sock"),
            ("ws+unix:///run/a.sock", "ws+unix:/run/a.sock"),
            ("wss+unix:/run/a.sock:/uri", "wss+unix:/run/a.sock:/uri"),
            ("ws+unix:/run/a:b.sock:/", "ws+unix:/run/a:b.sock:/"),
        ];
        for (url, shown) in table {
            let target = Target::parse_url(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert_eq!(target.to_string(), shown, "{url}");
            assert_eq!(Target::parse_url(shown).as_ref(), Ok(&target), "{url}");
        }
    }

    #[test]
    fn bad_urls_are_refused() {
        let table = [
            "",
            "10.0.0.5:6901",
            "ftp://a",
            "ws:/a",
            "ws:a",
            "ws://",
            "ws:///x",
            "ws://:80",
            "ws://a:",
            "ws://a:0",
            "ws://a:65536",
            "ws://a:+80",
            "ws://a:8o",
            "ws://a:80:80",
            "ws://::1:80",
            "ws://[::1",
            "ws://[::1]x",
            "ws://[::1]80",
            "ws://[fe80::1%eth0]:80",
            "ws://[fe80::1%25eth0]:80",
            "ws://[127.0.0.1]:80",
            "ws://[a]:80",
            "ws://u@a",
            "ws://u:p@a",
            "ws://a@127.0.0.1:22",
            "ws://a#b",
            "ws://a/#b",
            "ws://a?b",
            "ws://a/?b",
            "ws://a b",
            " ws://a",
            "ws://a/b c",
            "ws://a\r\nHost: b",
            "ws://a/\u{0}",
            "ws://a/\u{7f}",
            "ws://a\t",
            "ws://ä.example",
            "ws://a\u{3002}b",
            "ws://a..b",
            "ws://.a",
            "ws://-a",
            "ws://a-.b",
            "ws://a%2eb",
            "ws://a\\b",
            "ws://127.1",
            "ws://127.0.0.01",
            "ws://0177.0.0.1",
            "ws://2130706433",
            "ws://0x7f000001",
            "ws://127.0.0.0x1",
            "ws://a.1",
            "ws://0x",
            "ws://256.0.0.1",
            "ws://a/%",
            "ws://a/%2",
            "ws://a/%zz",
            "ws://a/\"",
            "ws://a/<b>",
            "ws://a/\\b",
            "ws://a/{key}",
            "ws+unix:run/a.sock",
            "ws+unix://run/../a.sock",
            "ws+unix:/run/../a.sock",
            "ws+unix:/",
            "ws+unix:",
            "ws+unix:/run/",
            "ws+unix:/run/a.sock:/u?q",
        ];
        for url in table {
            assert!(Target::parse_url(url).is_err(), "{url:?} gave {:?}", Target::parse_url(url));
        }
        let long = format!("ws+unix:/{}", "a".repeat(SOCKET_PATH_MAX));
        assert!(Target::parse_url(&long).is_err());
        let long = format!("ws://{}", "a".repeat(64));
        assert!(Target::parse_url(&long).is_err());
    }

    #[test]
    fn host_and_port() {
        let table = [
            ("10.0.0.5:6901", Some("ws://10.0.0.5:6901")),
            ("[::1]:6901", Some("ws://[::1]:6901")),
            ("[::ffff:127.0.0.1]:1", Some("ws://[::ffff:127.0.0.1]:1")),
            ("Name:6901", Some("ws://name:6901")),
            ("name", None),
            ("name:", None),
            ("::1:6901", None),
            ("[::1]", None),
            (":6901", None),
            ("a:6901/x", None),
            ("u@a:6901", None),
            ("a:6901#x", None),
            ("ws://a:1", None),
            ("a :1", None),
            ("a:1\n", None),
        ];
        for (text, expected) in table {
            let target = Target::parse_host_port(text, false).ok().map(|t| t.to_string());
            assert_eq!(target.as_deref(), expected, "{text:?}");
        }
        assert!(Target::parse_host_port("a:1", true).unwrap().tls);
    }
}
