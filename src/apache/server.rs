//! The main server and the virtual hosts, and which of them a request belongs to.

use std::net::IpAddr;

use super::pattern::wildcard;
use super::section::Section;
use super::syntax::{Directive, Place};
use crate::config::ServerConfig;

/// One address of a `<VirtualHost>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address; `None` is `*`.
    pub host: Option<String>,
    /// `None`: any.
    pub port: Option<u16>,
}

/// The main server, or a virtual host.
pub struct Server {
    /// Where it begins.
    pub place: Place,
    /// It is no `<VirtualHost>`.
    pub main: bool,
    /// The addresses of its `<VirtualHost>`.
    pub addresses: Vec<Address>,
    /// `ServerName`: lower case, without scheme and port.
    pub name: Option<String>,
    /// `ServerAlias`: lower case, with wildcards.
    pub aliases: Vec<String>,
    /// `SSLEngine on`
    pub tls: bool,
    /// What stands in it outside of sections.
    pub base: Section,
    /// Its own `<Location>` and `<Directory>` sections, in order.
    pub sections: Vec<Section>,
    /// What our directives say, the main server's included.
    pub config: ServerConfig,
}

impl Server {
    /// The directive called `name` that counts: the last one outside of sections.
    pub fn last(&self, name: &str) -> Option<&Directive> {
        self.base.all(name).last()
    }

    /// One of its names is `host` (lower case).
    pub fn answers_to(&self, host: &str) -> bool {
        self.name.as_deref() == Some(host)
            || self.aliases.iter().any(|alias| match alias.contains(['*', '?']) {
                // A host has no slash, so a file's wildcards serve.
                true => wildcard(alias).is_some_and(|regex| regex.is_match(host)),
                false => alias == host,
            })
    }

    /// For people: `desktop.example.org:443`, `the main server`.
    pub fn title(&self) -> String {
        if self.main {
            return "the main server".to_owned();
        }
        let port = self.addresses.first().and_then(|address| address.port);
        let port = port.map_or_else(|| "*".to_owned(), |port| port.to_string());
        let first = self.addresses.first().and_then(|address| address.host.clone());
        let name = self.name.clone().or(first).unwrap_or_else(|| "*".to_owned());
        format!("{name}:{port}")
    }
}

/// The arguments of `<VirtualHost>`.
pub(super) fn addresses(section: &Directive) -> Vec<Address> {
    let address = |word: String| {
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (word.as_str(), None),
        };
        let host = host.trim_matches(['[', ']']);
        let any = host == "*" || host.eq_ignore_ascii_case("_default_");
        Address {
            host: (!any).then(|| host.to_ascii_lowercase()),
            port: port.and_then(|port| port.parse().ok()),
        }
    };
    section.words().into_iter().map(address).collect()
}

/// The value of `ServerName` without scheme and port.
pub(super) fn server_name(directive: &Directive) -> Option<String> {
    let word = directive.words().into_iter().next()?;
    let word = word.split_once("://").map_or(word.as_str(), |(_, rest)| rest);
    let host = match word.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => word,
    };
    Some(host.to_ascii_lowercase())
}

/// The server that httpd gives a request to, and what had to be assumed. `servers` begins with the
/// main server; `local` is the address it comes to, if that is known.
pub(super) fn choose<'s>(
    servers: &'s [Server],
    host: &str,
    port: u16,
    local: Option<IpAddr>,
) -> (&'s Server, Option<String>) {
    let hosts = &servers[1..];
    let on = |wanted: &dyn Fn(&Address) -> bool| -> Vec<&'s Server> {
        // httpd prefers the port over any port, and never mixes the two.
        let with = |port: Option<u16>| {
            let fits = |a: &Address| wanted(a) && a.port == port;
            hosts.iter().filter(|s| s.addresses.iter().any(fits)).collect::<Vec<_>>()
        };
        let exact = with(Some(port));
        if exact.is_empty() { with(None) } else { exact }
    };
    let named = |found: &[&'s Server]| found.iter().copied().find(|s| s.answers_to(host));
    let has = |a: &Address| a.host.as_deref().map(str::parse::<IpAddr>);
    let wild = on(&|a| a.host.is_none());
    if let Some(local) = local {
        let own = on(&|a| has(a).is_some_and(|ip| ip == Ok(local)));
        if let Some(first) = own.first() {
            return (named(&own).unwrap_or(first), None);
        }
    } else {
        let own = on(&|a| a.host.is_some());
        let found = named(&own).or(own.first().copied().filter(|_| wild.is_empty()));
        if let Some(server) = found {
            let address = server.addresses.iter().find_map(|a| a.host.clone()).unwrap_or_default();
            return (server, Some(format!("the request comes to the address {address}")));
        }
    }
    match (named(&wild), wild.first()) {
        (Some(server), _) => (server, None),
        (None, Some(first)) => (first, None),
        (None, None) => (&servers[0], None),
    }
}
