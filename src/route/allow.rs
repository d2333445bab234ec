//! Which targets may be connected to (`WsRouteAllow`): a wrong row in a database or a clever key
//! must not turn httpd into a way into the local network.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

use ipnet::IpNet;

use crate::upstream::target::{parse_host, parse_port, split_host_port};

/// What is allowed without any address or name entry: private and loopback ranges.
const DEFAULT_RANGES: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "127.0.0.0/8", "::1/128"];

/// The entries of all `WsRouteAllow` directives in a scope. The default (no entry) allows the
/// private and loopback ranges on every port, and no Unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    ranges: Vec<Range>,
    names: Vec<Name>,
    ports: Vec<RangeInclusive<u16>>,
    sockets: Vec<Socket>,
}

/// A CIDR range or an address; with ports if the entry names some.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    net: IpNet,
    port: Option<RangeInclusive<u16>>,
}

/// A host name or `*.suffix`; with ports if the entry names some.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    pattern: HostPattern,
    port: Option<RangeInclusive<u16>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    /// Everything below this directory.
    Directory(PathBuf),
    Path(PathBuf),
}

/// A host name, or every name below one (`*.example.org`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostPattern {
    Exact(String),
    /// With its leading dot.
    Suffix(String),
}

impl HostPattern {
    /// `host`, `[::1]` or `*.suffix`; `None` if it is none of these.
    pub(crate) fn parse(text: &str) -> Option<HostPattern> {
        match text.strip_prefix("*.") {
            Some(suffix) => {
                let suffix = parse_host(suffix).ok()?;
                let name = suffix.parse::<IpAddr>().is_err();
                name.then(|| HostPattern::Suffix(format!(".{suffix}")))
            }
            None => parse_host(text).ok().map(HostPattern::Exact),
        }
    }

    /// `host` is lower case, without final dot.
    pub(crate) fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => host == name,
            HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        }
    }
}

impl AllowList {
    /// Parses the arguments of one `WsRouteAllow`.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<AllowList, String> {
        let mut list = AllowList::default();
        list.add(args)?;
        Ok(list)
    }

    /// Adds the arguments of another `WsRouteAllow` in the same scope.
    ///
    /// # Errors
    /// As [`AllowList::parse`]; entries before the wrong one stay.
    pub fn add<S: AsRef<str>>(&mut self, args: &[S]) -> Result<(), String> {
        if args.is_empty() {
            return Err("no entry, use a CIDR range, host, host:port, *.suffix or port".into());
        }
        args.iter().try_for_each(|entry| self.add_entry(entry.as_ref()))
    }

    /// Whether to connect to `address`, which is what `host` (a name, or the literal that was
    /// asked for, IPv6 without brackets) resolved to.
    pub fn permits(&self, host: &str, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let port = address.port();
        let listed_port = self.ports.is_empty() || self.ports.iter().any(|r| r.contains(&port));
        let port_fits = |entry: &Option<RangeInclusive<u16>>| {
            entry.as_ref().map_or(listed_port, |ports| ports.contains(&port))
        };

        if self.ranges.iter().any(|r| r.contains(ip) && port_fits(&r.port)) {
            return true;
        }
        if self.uses_default_ranges() {
            let ranges = DEFAULT_RANGES.iter().filter_map(|r| r.parse::<IpNet>().ok());
            return listed_port && ranges.into_iter().any(|net| net.contains(&ip));
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let mut names = self.names.iter().filter(|n| n.pattern.matches(&host));
        names.any(|n| port_fits(&n.port) && (!is_special(ip) || n.is_localhost(ip)))
    }

    /// Whether to connect to the Unix socket `path`.
    pub fn permits_unix(&self, path: &Path) -> bool {
        let plain = path.is_absolute() && !path.components().any(|c| c == Component::ParentDir);
        plain
            && self.sockets.iter().any(|socket| match socket {
                Socket::Directory(directory) => path != directory && path.starts_with(directory),
                Socket::Path(allowed) => path == allowed,
            })
    }

    /// Only ports are listed, or nothing is.
    fn uses_default_ranges(&self) -> bool {
        let no_host = self.ranges.is_empty() && self.names.is_empty();
        no_host && (self.sockets.is_empty() || !self.ports.is_empty())
    }

    fn add_entry(&mut self, entry: &str) -> Result<(), String> {
        let wrong = || {
            format!(
                "{entry:?} is no entry, use 10.0.0.0/8, 10.0.0.5:6901, 10.0.0.5:7000-7999, \
                 [::1]:6901, host.example.org, *.example.org, 6901, 7000-7999 or unix:/run/desktops/"
            )
        };
        if let Some(path) = entry.strip_prefix("unix:") {
            self.sockets.push(socket(path).ok_or_else(wrong)?);
        } else if let Some(ports) = ports(entry) {
            self.ports.push(ports.ok_or_else(wrong)?);
        } else if entry.contains('/') {
            let net = entry.parse::<IpNet>().ok().and_then(canonical).ok_or_else(wrong)?;
            self.ranges.push(Range { net, port: None });
        } else if let Ok(ip) = entry.parse::<IpAddr>() {
            self.ranges.push(Range { net: ip.to_canonical().into(), port: None });
        } else {
            let (host, port) = split_host_port(entry).map_err(|_| wrong())?;
            let port = match port.map(ports) {
                None => None,
                Some(Some(Some(ports))) => Some(ports),
                Some(_) => return Err(wrong()),
            };
            match HostPattern::parse(host).ok_or_else(wrong)? {
                HostPattern::Exact(name) if name.parse::<IpAddr>().is_ok() => {
                    let ip: IpAddr = name.parse().map_err(|_| wrong())?;
                    self.ranges.push(Range { net: ip.to_canonical().into(), port });
                }
                pattern => self.names.push(Name { pattern, port }),
            }
        }
        Ok(())
    }
}

impl Range {
    /// The unspecified address (which Linux takes for loopback) counts only if it is the entry.
    fn contains(&self, ip: IpAddr) -> bool {
        let whole = self.net.prefix_len() == self.net.max_prefix_len();
        self.net.contains(&ip) && (whole || !ip.is_unspecified())
    }
}

impl Name {
    /// `localhost` is listed by name, and this is where it lives.
    fn is_localhost(&self, ip: IpAddr) -> bool {
        self.pattern == HostPattern::Exact("localhost".into()) && ip.is_loopback()
    }
}

/// Addresses that a name may never lead to: whoever runs the DNS zone would reach this host, its
/// neighbours or its cloud's metadata service.
fn is_special(ip: IpAddr) -> bool {
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || match ip {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
            // The deprecated IPv4-compatible form ::a.b.c.d is here for its ::127.0.0.1.
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments()[..6] == [0; 6],
        }
}

/// `6901` or `7000-7999`; the inner `None` is a range that is none, the outer one another entry.
fn ports(entry: &str) -> Option<Option<RangeInclusive<u16>>> {
    if entry.is_empty() || !entry.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let (low, high) = entry.split_once('-').unwrap_or((entry, entry));
    Some(match (parse_port(low), parse_port(high)) {
        (Ok(low), Ok(high)) if low <= high => Some(low..=high),
        _ => None,
    })
}

/// An IPv4-mapped range as the IPv4 range it is. One that covers more than the mapped addresses
/// (such as `::/0`) stays.
fn canonical(net: IpNet) -> Option<IpNet> {
    match net.network().to_canonical() {
        IpAddr::V4(v4) if net.max_prefix_len() == 128 => match net.prefix_len().checked_sub(96) {
            Some(prefix) => IpNet::new(v4.into(), prefix).ok(),
            None => Some(net),
        },
        _ => Some(net),
    }
}

fn socket(path: &str) -> Option<Socket> {
    let whole = PathBuf::from(path);
    if !path.starts_with('/') || whole.components().any(|c| c == Component::ParentDir) {
        return None;
    }
    Some(if path.ends_with('/') { Socket::Directory(whole) } else { Socket::Path(whole) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(entries: &[&str], host: &str, address: &str) -> bool {
        let mut list = AllowList::default();
        if !entries.is_empty() {
            list.add(entries).unwrap();
        }
        list.permits(host, address.parse().unwrap())
    }

    #[test]
    fn addresses_and_names() {
        let table: &[(&[&str], &str, &str, bool)] = &[
            // The default.
            (&[], "10.1.2.3", "10.1.2.3:6901", true),
            (&[], "172.16.0.1", "172.31.255.255:1", true),
            (&[], "x", "172.32.0.0:1", false),
            (&[], "x", "192.168.0.1:1", true),
            (&[], "x", "[fd00::1]:1", true),
            (&[], "x", "127.0.0.1:22", true),
            (&[], "x", "[::1]:22", true),
            (&[], "x", "[::ffff:127.0.0.1]:22", true),
            (&[], "x", "[::ffff:8.8.8.8]:22", false),
            (&[], "x", "8.8.8.8:443", false),
            (&[], "x", "169.254.169.254:80", false),
            (&[], "x", "[fe80::1]:80", false),
            (&[], "x", "0.0.0.0:80", false),
            (&[], "x", "[::]:80", false),
            (&[], "x", "[::ffff:0.0.0.0]:80", false),
            (&[], "x", "255.255.255.255:80", false),
            (&[], "x", "[2001:db8::1]:80", false),
            // Ranges and ports.
            (&["10.0.0.0/24"], "x", "10.0.0.9:1", true),
            (&["10.0.0.0/24"], "x", "10.0.1.9:1", false),
            (&["10.0.0.0/24"], "x", "127.0.0.1:1", false),
            (&["10.0.0.7/24"], "x", "10.0.0.9:1", true),
            (&["10.0.0.5"], "x", "10.0.0.5:1", true),
            (&["10.0.0.5"], "x", "10.0.0.6:1", false),
            (&["10.0.0.5:6901"], "x", "10.0.0.5:6901", true),
            (&["10.0.0.5:6901"], "x", "10.0.0.5:22", false),
            (&["[fd00::1]:6901"], "x", "[fd00::1]:6901", true),
            (&["[fd00::1]:6901"], "x", "[fd00::1]:22", false),
            (&["fd00::1"], "x", "[fd00::1]:22", true),
            (&["::ffff:10.0.0.0/120"], "x", "10.0.0.9:1", true),
            (&["::ffff:10.0.0.5"], "x", "10.0.0.5:1", true),
            (&["10.0.0.0/8"], "x", "[::ffff:10.0.0.5]:1", true),
            (&["::/0"], "x", "[::ffff:10.0.0.5]:1", false),
            (&["6901"], "x", "10.0.0.5:6901", true),
            (&["6901"], "x", "10.0.0.5:22", false),
            (&["6901"], "x", "8.8.8.8:6901", false),
            (&["7000-7999"], "x", "127.0.0.1:7999", true),
            (&["7000-7999"], "x", "127.0.0.1:8000", false),
            (&["10.0.0.0/8", "6901", "7000-7999"], "x", "10.0.0.1:7000", true),
            (&["10.0.0.0/8", "6901", "7000-7999"], "x", "10.0.0.1:22", false),
            (&["10.0.0.0/8", "6901"], "x", "192.168.0.1:6901", false),
            (&["10.0.0.5:22", "6901"], "x", "10.0.0.5:22", true),
            // 0.0.0.0 and :: only when they are the entry.
            (&["0.0.0.0/0"], "x", "8.8.8.8:1", true),
            (&["0.0.0.0/0"], "x", "0.0.0.0:1", false),
            (&["::/0"], "x", "[::]:1", false),
            (&["0.0.0.0"], "x", "0.0.0.0:1", true),
            (&["::"], "x", "[::]:1", true),
            (&["169.254.0.0/16"], "x", "169.254.169.254:80", true),
            // Names.
            (&["desk.example.org"], "desk.example.org", "8.8.8.8:1", true),
            (&["desk.example.org"], "Desk.Example.Org.", "8.8.8.8:1", true),
            (&["desk.example.org"], "xdesk.example.org", "8.8.8.8:1", false),
            (&["desk.example.org"], "desk.example.org", "10.0.0.1:1", true),
            (&["desk.example.org"], "other", "10.0.0.1:1", false),
            (&["desk.example.org:6901"], "desk.example.org", "8.8.8.8:6901", true),
            (&["desk.example.org:6901"], "desk.example.org", "8.8.8.8:22", false),
            (&["desk.example.org", "6901"], "desk.example.org", "8.8.8.8:22", false),
            (&["*.example.org"], "a.example.org", "8.8.8.8:1", true),
            (&["*.example.org"], "a.b.example.org", "8.8.8.8:1", true),
            (&["*.example.org"], "example.org", "8.8.8.8:1", false),
            (&["*.example.org"], ".example.org", "8.8.8.8:1", false),
            (&["*.example.org"], "evilexample.org", "8.8.8.8:1", false),
            (&["*.example.org"], "a.example.org.evil", "8.8.8.8:1", false),
            (&["*.example.org:6901"], "a.example.org", "8.8.8.8:6901", true),
            // A name never leads to this host, its link or a crowd (DNS rebinding).
            (&["*.example.org"], "a.example.org", "127.0.0.1:1", false),
            (&["*.example.org"], "a.example.org", "127.9.9.9:1", false),
            (&["*.example.org"], "a.example.org", "[::1]:1", false),
            (&["*.example.org"], "a.example.org", "[::ffff:127.0.0.1]:1", false),
            (&["*.example.org"], "a.example.org", "[::127.0.0.1]:1", false),
            (&["*.example.org"], "a.example.org", "169.254.169.254:80", false),
            (&["*.example.org"], "a.example.org", "[::ffff:169.254.169.254]:80", false),
            (&["*.example.org"], "a.example.org", "[fe80::1]:1", false),
            (&["*.example.org"], "a.example.org", "0.0.0.0:1", false),
            (&["*.example.org"], "a.example.org", "0.1.2.3:1", false),
            (&["*.example.org"], "a.example.org", "[::]:1", false),
            (&["*.example.org"], "a.example.org", "224.0.0.1:1", false),
            (&["*.example.org"], "a.example.org", "[ff02::1]:1", false),
            (&["*.example.org"], "a.example.org", "255.255.255.255:1", false),
            (&["*.example.org", "127.0.0.1"], "a.example.org", "127.0.0.1:1", true),
            (&["localhost"], "localhost", "127.0.0.1:1", true),
            (&["localhost"], "localhost", "[::1]:1", true),
            (&["localhost"], "localhost", "169.254.169.254:1", false),
            (&["localhost"], "127.0.0.1", "127.0.0.1:1", false),
            (&["*.localhost"], "a.localhost", "127.0.0.1:1", false),
            // Only sockets: nothing over TCP.
            (&["unix:/run/d/"], "x", "127.0.0.1:1", false),
            (&["unix:/run/d/", "6901"], "x", "127.0.0.1:6901", true),
        ];
        for (entries, host, address, expected) in table {
            assert_eq!(permits(entries, host, address), *expected, "{entries:?} {host} {address}");
        }
    }

    #[test]
    fn sockets() {
        let list = AllowList::parse(&["unix:/run/desktops/", "unix:/run/one.sock"]).unwrap();
        for (path, expected) in [
            ("/run/desktops/alice.sock", true),
            ("/run/desktops/a/b.sock", true),
            ("/run/desktops", false),
            ("/run/desktops/", false),
            ("/run/desktopsx/a", false),
            ("/run/desktops/../docker.sock", false),
            ("/run/one.sock", true),
            ("/run/one.sock2", false),
            ("run/one.sock", false),
        ] {
            assert_eq!(list.permits_unix(Path::new(path)), expected, "{path}");
        }
        assert!(!AllowList::default().permits_unix(Path::new("/var/run/docker.sock")));
    }

    #[test]
    fn directives_add_up() {
        let mut list = AllowList::parse(&["10.0.0.0/8"]).unwrap();
        list.add(&["192.168.0.0/16"]).unwrap();
        assert!(list.permits("x", "192.168.1.1:1".parse().unwrap()));
        assert!(list.permits("x", "10.1.1.1:1".parse().unwrap()));
    }

    #[test]
    fn bad_entries() {
        for entry in [
            "",
            "*",
            "*.",
            "*.*.org",
            "a.*.org",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0",
            "0",
            "65536",
            "7999-7000",
            "1-2-3",
            "-",
            "a:0",
            "a:x",
            "a/b",
            "http://a",
            "u@a",
            "::1:80:",
            "[::1",
            "[a]:1",
            "*.1.2.3.4",
            "*.5",
            "unix:",
            "unix:run/a",
            "unix:/run/../etc/",
            "a b",
        ] {
            assert!(AllowList::parse(&[entry]).is_err(), "{entry:?}");
        }
        assert!(AllowList::parse::<&str>(&[]).is_err());
    }
}
