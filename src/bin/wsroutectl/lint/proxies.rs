//! mod_proxy's rules: WebSockets that it cannot relay, relays twice, never sees, or cuts.

use std::time::Duration;

use mod_wsroute::apache::Pattern;
use mod_wsroute::route::units::duration;

use super::finding::Finding;
use super::site::{Rule, Site, as_route};

/// An idle desktop is left alone for at least this long.
const PATIENT: Duration = Duration::from_secs(3600);
/// httpd's own `Timeout`.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What WebSocket servers are usually called.
const NAMES: [&str; 5] = ["websockify", "websocket", "ws", "wss", "socket.io"];

/// An application that speaks WebSocket behind a rule that cannot pass one on.
pub fn without_upgrade(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &site.proxied {
        let plain = rule.rule.has_scheme(&["http", "https"]) && !rule.rule.upgrades();
        let (named, meant) = (is_named(rule), rule.rule.is_for_upgrades());
        if !plain || !(named || meant) || site.route_of(rule).is_some() {
            continue;
        }
        let path = rule.path.as_deref().unwrap_or("/");
        let relays = |other: &Rule<'_>| {
            std::ptr::eq(other.server, rule.server)
                && other.rule.upgrades()
                && other.rule.takes(path)
        };
        if site.proxied.iter().any(relays) {
            continue;
        }
        let line = rule.rule.directive;
        let what = format!("WebSockets for {} lose their Upgrade header here", rule.rule.shown());
        let route = as_route(&rule.rule.target);
        let mend = match (route, rule.rule.rewrite) {
            (Some(route), _) => format!("write {route} in the same <VirtualHost> or <Location>"),
            (None, true) => "write ws:// instead of http://, or use WsRoute".to_owned(),
            (None, false) => "write upgrade=websocket behind it, or use WsRoute".to_owned(),
        };
        findings.push(match meant {
            true => Finding::error(&line.place, what, mend),
            false => Finding::warning(&line.place, what, mend),
        });
    }
    findings
}

/// The path, or the target's, is called like a WebSocket server.
fn is_named(rule: &Rule<'_>) -> bool {
    let texts = [rule.rule.pattern.text(), rule.rule.target.as_str()];
    let mut segments = texts.iter().flat_map(|text| text.split(['/', '?', '$', '^']));
    segments.any(|segment| NAMES.contains(&segment.to_ascii_lowercase().as_str()))
}

/// A rule for WebSockets that a `WsRoute` takes first.
pub fn duplicate(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in site.proxied.iter().filter(|rule| rule.rule.upgrades()) {
        let Some(route) = site.route_of(rule) else { continue };
        let place = &rule.rule.directive.place;
        let what = format!("never gets a WebSocket: WsRoute at {} takes it first", route.place);
        findings.push(match rule.rule.has_scheme(&["ws", "wss"]) {
            true => Finding::warning(place, what, "take the line away"),
            false => Finding::note(place, what, "take upgrade= away"),
        });
    }
    findings
}

/// A longer `ProxyPass` behind a shorter one that takes everything for it: the first one counts.
pub fn shadowed(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, rule) in site.proxied.iter().enumerate() {
        let Pattern::Text(path) = &rule.rule.pattern else { continue };
        let is_first = |other: &&Rule<'_>| {
            let whole = other.rule.conditions.is_empty() && std::ptr::eq(other.server, rule.server);
            whole && (other.rule.rewrite || is_listed(other)) && other.rule.takes(path)
        };
        if !is_listed(rule) {
            continue;
        }
        let Some(first) = site.proxied[..at].iter().find(is_first) else { continue };
        if first.rule.target == "!" || site.route_of(rule).is_some() {
            continue;
        }
        let other = first.rule.directive;
        let what = format!("never matches: {} at {} takes the path first", other.name, other.place);
        let mend = format!("put it before line {}", other.place.line);
        findings.push(Finding::warning(&rule.rule.directive.place, what, mend));
    }
    findings
}

/// `upgrade=` of a `ProxyPass` whose backend an earlier one has: both share its settings, which are
/// the earlier one's (AH01146).
pub fn upgrade_ignored(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, rule) in site.proxied.iter().enumerate() {
        if rule.rule.option("upgrade").is_none() || site.route_of(rule).is_some() {
            continue;
        }
        let shares = |other: &&Rule<'_>| {
            std::ptr::eq(other.server, rule.server)
                && !other.rule.rewrite
                && other.rule.option("upgrade").is_none()
                && has_worker_of(&other.rule.target, &rule.rule.target)
        };
        let Some(first) = site.proxied[..at].iter().find(shares) else { continue };
        let other = first.rule.directive;
        let what =
            format!("upgrade= is ignored: {} at {} has this backend", other.name, other.place);
        let mend = format!("put it before line {}, or use WsRoute", other.place.line);
        findings.push(Finding::error(&rule.rule.directive.place, what, mend));
    }
    findings
}

/// mod_proxy takes the backend of `first` for `second` as well: it goes by the beginning of the URL.
fn has_worker_of(first: &str, second: &str) -> bool {
    let rest = second.strip_prefix(first.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// It has its path in itself: of several in `<Location>` sections the last one counts.
fn is_listed(rule: &Rule<'_>) -> bool {
    let words = rule.rule.directive.words();
    words.first().is_some_and(|word| word == rule.rule.pattern.text())
}

/// A WebSocket that mod_proxy relays ends when nobody says anything for a while: for the longer one of
/// the time limits of its two sides.
pub fn idle(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in site.proxied.iter().filter(|rule| rule.rule.upgrades()) {
        if site.route_of(rule).is_some() {
            continue;
        }
        let directive = |name| site.config.last(rule.server, name).map(|d| d.args.clone());
        let (name, value) = match (rule.rule.option("timeout"), directive("ProxyTimeout")) {
            (Some(own), _) => ("timeout=", Some(own.to_owned())),
            (None, Some(value)) => ("ProxyTimeout", Some(value)),
            (None, None) => ("Timeout", directive("Timeout")),
        };
        let time = |value: Option<String>| {
            value.and_then(|value| duration(&value).ok().flatten()).unwrap_or(TIMEOUT)
        };
        let sides = [(time(value), name), (time(directive("Timeout")), "Timeout")];
        let (time, name) = sides[usize::from(sides[1].0 > sides[0].0)];
        if time < PATIENT {
            let seconds = time.as_secs();
            let what = format!("a WebSocket that is silent for {seconds} s ends here ({name})");
            let mend = "use WsRoute, which has no idle limit, or set timeout=86400 behind the URL";
            findings.push(Finding::warning(&rule.rule.directive.place, what, mend));
        }
    }
    findings
}
