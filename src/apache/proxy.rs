//! What mod_proxy is told to take: `ProxyPass`, `ProxyPassMatch`, `RewriteRule ... [P]`.

use super::config::Config;
use super::pattern::{Pattern, is_below};
use super::section::{Kind, Section};
use super::server::Server;
use super::syntax::Directive;

/// One rule that hands requests to mod_proxy.
#[derive(Debug, Clone)]
pub struct Proxied<'c> {
    /// The directive.
    pub directive: &'c Directive,
    /// Paths that it is for.
    pub pattern: Pattern,
    /// Where to, as it was written; `!` is "not at all".
    pub target: String,
    /// It is a `RewriteRule`.
    pub rewrite: bool,
    /// Its `RewriteCond` lines, the test string and the pattern of each.
    pub conditions: Vec<(String, String)>,
    /// `name=value` words of a `ProxyPass`.
    pub options: Vec<(String, String)>,
    /// The members of its balancer, if the target is one.
    pub members: Vec<String>,
}

impl Proxied<'_> {
    /// It takes requests for `path`.
    pub fn takes(&self, path: &str) -> bool {
        match &self.pattern {
            Pattern::Text(prefix) => is_below(path, prefix),
            pattern => pattern.is(path),
        }
    }

    /// The value of the option `name` of a `ProxyPass`.
    pub fn option(&self, name: &str) -> Option<&str> {
        let own = self.options.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value.as_str())
    }

    /// The targets: the balancer's members, or the one that is named.
    pub fn targets(&self) -> Vec<&str> {
        match self.members.is_empty() {
            true => vec![self.target.as_str()],
            false => self.members.iter().map(String::as_str).collect(),
        }
    }

    /// The target as it may be shown: without user and password.
    pub fn shown(&self) -> String {
        match self.target.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", without_user(rest)),
            None => self.target.clone(),
        }
    }

    /// A target has one of these schemes.
    pub fn has_scheme(&self, schemes: &[&str]) -> bool {
        let has = |target: &&str| {
            let scheme = target.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
            scheme.is_some_and(|scheme| schemes.contains(&scheme.as_str()))
        };
        self.targets().iter().any(has)
    }

    /// mod_proxy relays WebSockets for it.
    pub fn upgrades(&self) -> bool {
        let upgrade = self.option("upgrade");
        let named =
            |value: &str| ["websocket", "any"].iter().any(|v| value.eq_ignore_ascii_case(v));
        self.has_scheme(&["ws", "wss"]) || upgrade.is_some_and(named)
    }

    /// One of its conditions looks at the `Upgrade` header: it is meant for WebSockets.
    pub fn is_for_upgrades(&self) -> bool {
        let test = |text: &str| text.to_ascii_lowercase().contains("http:upgrade");
        self.conditions.iter().any(|(text, _)| test(text))
    }
}

/// `host:port/path` of `user:password@host:port/path`.
pub fn without_user(rest: &str) -> &str {
    let authority = rest.find('/').unwrap_or(rest.len());
    rest[..authority].rfind('@').map_or(rest, |at| &rest[at + 1..])
}

/// The rules of `server`, in the order in which httpd asks them: mod_rewrite's, those in
/// `<Location>`, then the others with the main server's first.
pub fn rules<'c>(config: &'c Config, server: &'c Server) -> Vec<Proxied<'c>> {
    let mut rules = Vec::new();
    if is_rewriting(&server.base) {
        rules.extend(rewrites(&server.base));
    }
    let main = (!server.main).then(|| config.main());
    let servers = || main.into_iter().chain([server]);
    for section in servers().flat_map(|server| &server.sections) {
        if let Kind::Location(pattern) = &section.kind {
            let here = section.with_inner();
            let lines = here.iter().flat_map(|s| s.all("ProxyPass").chain(s.all("ProxyPassMatch")));
            rules.extend(lines.filter_map(|line| pass(line, Some(pattern))));
        }
    }
    for line in servers().flat_map(|server| server.base.directives.iter()) {
        if line.is("ProxyPass") || line.is("ProxyPassMatch") {
            rules.extend(pass(line, None));
        }
    }
    rules.iter_mut().for_each(|rule| rule.members = members(&rule.target, servers()));
    rules
}

fn pass<'c>(line: &'c Directive, location: Option<&Pattern>) -> Option<Proxied<'c>> {
    let mut words = line.words();
    let pattern = match location {
        Some(pattern) => pattern.clone(),
        None if words.is_empty() => return None,
        None if line.is("ProxyPassMatch") => Pattern::regex(&words.remove(0)),
        None => Pattern::Text(words.remove(0)),
    };
    let mut words = words.into_iter();
    let target = words.next()?;
    let options = words.filter_map(|word| {
        let (name, value) = word.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Some(Proxied {
        directive: line,
        pattern,
        target,
        rewrite: false,
        conditions: Vec::new(),
        options: options.collect(),
        members: Vec::new(),
    })
}

/// `RewriteEngine On`
pub fn is_rewriting(section: &Section) -> bool {
    section.all("RewriteEngine").last().is_some_and(Directive::is_on)
}

/// The `[P]` rules in `section` with their conditions.
fn rewrites(section: &Section) -> Vec<Proxied<'_>> {
    let mut rules = Vec::new();
    let mut conditions = Vec::new();
    for line in &section.directives {
        if line.is("RewriteCond") {
            let mut words = line.words().into_iter();
            conditions.push((words.next().unwrap_or_default(), words.next().unwrap_or_default()));
        }
        if line.is("RewriteRule") {
            let conditions = std::mem::take(&mut conditions);
            let words = line.words();
            let [pattern, target, flags @ ..] = words.as_slice() else { continue };
            if flags.first().is_some_and(|flags| has_flag(flags, &["p", "proxy"])) {
                rules.push(Proxied {
                    directive: line,
                    pattern: Pattern::regex(pattern),
                    target: target.clone(),
                    rewrite: true,
                    conditions,
                    options: Vec::new(),
                    members: Vec::new(),
                });
            }
        }
    }
    rules
}

/// `[L,R=302]` has one of `names` (lower case).
pub fn has_flag(flags: &str, names: &[&str]) -> bool {
    let flags = flags.trim_matches(['[', ']']).split(',');
    let mut flags =
        flags.map(|flag| flag.split('=').next().unwrap_or("").trim().to_ascii_lowercase());
    flags.any(|flag| names.contains(&flag.as_str()))
}

/// The `BalancerMember`s of the balancer that `target` begins with.
fn members<'c>(target: &str, servers: impl Iterator<Item = &'c Server>) -> Vec<String> {
    let Some(name) = target.strip_prefix("balancer://") else { return Vec::new() };
    let name = name.split('/').next().unwrap_or(name);
    let mut found = Vec::new();
    for section in servers.flat_map(|server| &server.base.directives) {
        let own = format!("balancer://{name}");
        if section.is("<Proxy") && section.words().first().is_some_and(|w| w.starts_with(&own)) {
            let lines = section.inner().iter().filter(|line| line.is("BalancerMember"));
            found.extend(lines.filter_map(|line| line.words().into_iter().next()));
        }
    }
    found
}
