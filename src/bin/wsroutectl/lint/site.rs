//! The configuration as the checks look at it: every scope with a `WsRoute`, every rule of mod_proxy.

use std::sync::Arc;

use mod_wsroute::apache::proxy::{self, Proxied, without_user};
use mod_wsroute::apache::{Config, Directive, Effective, Kind, Section, Server};
use mod_wsroute::route::Route;

/// What the checks are given.
pub struct Site<'c> {
    /// The configuration.
    pub config: &'c Config,
    /// `--sessions`
    pub sessions: Option<u32>,
    /// Every scope with a `WsRoute` that is not `Off`.
    pub routed: Vec<Routed<'c>>,
    /// Every rule of mod_proxy.
    pub proxied: Vec<Rule<'c>>,
}

/// A section with a `WsRoute`, in one server.
pub struct Routed<'c> {
    /// What holds there.
    pub effective: Effective<'c>,
    /// The section.
    pub section: &'c Section,
    /// Its `WsRoute`.
    pub line: &'c Directive,
    /// The value of it.
    pub route: Arc<Route>,
    /// A path in it, if one could be found.
    pub path: Option<String>,
}

/// A rule of mod_proxy, in one server.
pub struct Rule<'c> {
    /// The server.
    pub server: &'c Server,
    /// The rule.
    pub rule: Proxied<'c>,
    /// A path that it takes, if one could be found.
    pub path: Option<String>,
}

impl<'c> Site<'c> {
    /// Looks at everything once.
    pub fn new(config: &'c Config, sessions: Option<u32>) -> Site<'c> {
        let mut site = Site { config, sessions, routed: Vec::new(), proxied: Vec::new() };
        for server in site.servers() {
            let own = server.sections.iter().flat_map(Section::with_inner);
            let main = config.main();
            let inherited = main.sections.iter().chain([&main.base]).flat_map(Section::with_inner);
            let inherited = inherited.filter(|_| !server.main);
            for section in server.base.with_inner().into_iter().chain(own).chain(inherited) {
                let routed = site.routed(server, section);
                site.routed.extend(routed);
            }
            let rules = proxy::rules(config, server).into_iter();
            site.proxied.extend(rules.map(|rule| {
                let path = rule.pattern.sample();
                Rule { server, rule, path }
            }));
        }
        site
    }

    /// Those that serve requests: the main server only where there are no virtual hosts.
    pub fn servers(&self) -> Vec<&'c Server> {
        match self.config.servers.as_slice() {
            [main] => vec![main],
            [_, hosts @ ..] => hosts.iter().collect(),
            [] => Vec::new(),
        }
    }

    /// What holds for `path` in `server`. `<If>` sections count as not there.
    pub fn scope(&self, server: &'c Server, path: &str) -> Effective<'c> {
        self.config.scope(server, path, &|_| Ok(false))
    }

    /// The `WsRoute` that takes the WebSockets of a rule.
    pub fn route_of(&self, rule: &Rule<'c>) -> Option<&'c Directive> {
        let effective = self.scope(rule.server, rule.path.as_deref()?);
        effective.scope.routed().and_then(|_| effective.last("WsRoute"))
    }

    /// Every section of every server, the inner ones too, with the server.
    pub fn sections(&self) -> Vec<(&'c Server, &'c Section)> {
        let all = |server: &'c Server| {
            let own = server.sections.iter().chain([&server.base]);
            own.flat_map(Section::with_inner).map(move |section| (server, section))
        };
        self.config.servers.iter().flat_map(all).collect()
    }

    /// What holds in a section of `server`.
    pub fn effective(&self, server: &'c Server, section: &'c Section) -> Effective<'c> {
        let main = self.config.main();
        let mut chain = match section_path(server, section) {
            Some(path) => self.scope(server, &path).chain,
            None if server.main => vec![&main.base],
            None => vec![&main.base, &server.base],
        };
        if !chain.iter().any(|s| std::ptr::eq(*s, section)) {
            chain.push(section);
        }
        Effective::of(server, chain)
    }

    fn routed(&self, server: &'c Server, section: &'c Section) -> Option<Routed<'c>> {
        let route = section.scope.routed()?.clone();
        let line = section.all("WsRoute").last()?;
        let effective = self.effective(server, section);
        let path = section_path(server, section);
        Some(Routed { effective, section, line, route, path })
    }
}

/// A path in the section, if one can be found.
fn section_path(server: &Server, section: &Section) -> Option<String> {
    match &section.kind {
        Kind::Location(pattern) => pattern.sample(),
        Kind::Server => Some("/".to_owned()),
        Kind::If(_) | Kind::ElseIf(_) | Kind::Else => {
            // That of the section it stands in.
            let outer = server
                .sections
                .iter()
                .find(|outer| outer.with_inner().iter().any(|inner| std::ptr::eq(*inner, section)));
            outer.map_or_else(|| Some("/".to_owned()), |outer| section_path(server, outer))
        }
        Kind::Directory(_) | Kind::Files(_) => None,
    }
}

/// `http://localhost:5020/x$1` as the URL of a `WsRoute`, without its path.
pub fn as_route(target: &str) -> Option<String> {
    let (scheme, rest) = target.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return None,
    };
    let host = without_user(rest).split(['/', '$', '%']).next().filter(|host| !host.is_empty())?;
    Some(format!("WsRoute \"{scheme}://{host}\""))
}

/// The target leads to this machine.
pub fn is_loopback(target: &str) -> bool {
    let host = host_of(target);
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        || target.starts_with("unix:")
        || target.contains("+unix:")
}

/// The host of a URL, without brackets.
pub fn host_of(target: &str) -> &str {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let authority = without_user(rest).split('/').next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or(inside),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}
