//! TLS towards the containers.

use mod_wsroute::apache::{Directive, Effective};
use mod_wsroute::route::Route;

use super::finding::Finding;
use super::site::{Routed, Site, host_of, is_loopback};

/// Any certificate is accepted, from whoever answers there.
pub fn verify_off(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let policy = routed.effective.scope.upstream.clone().unwrap_or_default();
        if policy.verify() || policy.pin().is_some() {
            continue;
        }
        let Some(line) = option(&routed.effective, "verify=off") else { continue };
        let mend = "use pin= or ca= of WsRouteUpstream, or a pin in the resolver's answer";
        match literal(routed) {
            Some(url) if !url.starts_with("wss") || is_loopback(&url) => {}
            Some(url) if !url.contains('{') => {
                let what = format!("{url} may be anybody: its certificate is not verified");
                findings.push(Finding::warning(&line.place, what, mend));
            }
            _ => {
                let what =
                    "containers on other machines may be anybody: certificates are not verified";
                findings.push(Finding::note(&line.place, what, mend));
            }
        }
    }
    findings
}

/// A password goes over a network in the clear.
pub fn plain_password(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let Some(url) = literal(routed) else { continue };
        let far = !is_loopback(&url) && !is_docker_bridge(host_of(&url));
        if !url.starts_with("ws://") || !far {
            continue;
        }
        if let Some(whose) = password(&routed.effective) {
            let what = format!("{whose} goes to {url} in the clear");
            let mend = "use wss://, or RequestHeader unset Authorization if it is not needed there";
            findings.push(Finding::warning(&routed.line.place, what, mend));
        }
    }
    findings
}

/// Whose password the container is sent, if any.
fn password(effective: &Effective<'_>) -> Option<&'static str> {
    let lines = effective.all("RequestHeader");
    let last = lines.iter().rev().find_map(|line| {
        let words = line.words();
        let own = words.get(1).is_some_and(|name| name.eq_ignore_ascii_case("Authorization"));
        own.then(|| words[0].to_ascii_lowercase())
    });
    match last.as_deref() {
        Some("unset") => None,
        Some("set" | "add") => Some("the password of RequestHeader set Authorization"),
        _ => {
            let basic = effective.auth_type().as_deref() == Some("basic");
            (basic && effective.asks_for_login()).then_some("the user's password for httpd")
        }
    }
}

/// `SSLProxyVerify none` for a server that is not this machine.
pub fn proxy_verify_none(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &site.proxied {
        let line = site.config.last(rule.server, "SSLProxyVerify");
        let none = line.filter(|line| line.args.trim_matches('"').eq_ignore_ascii_case("none"));
        let far = rule.rule.targets().into_iter().any(|target| {
            let lower = target.to_ascii_lowercase();
            (lower.starts_with("https://") || lower.starts_with("wss://")) && !is_loopback(target)
        });
        if let (Some(line), true) = (none, far) {
            let target = rule.rule.shown();
            let what =
                format!("{target} may be anybody: mod_proxy does not verify its certificate");
            let mend = "use SSLProxyVerify require with SSLProxyCACertificateFile";
            findings.push(Finding::warning(&line.place, what, mend));
        }
    }
    findings
}

/// The URL of a `WsRoute`, as it was written.
fn literal(routed: &Routed<'_>) -> Option<String> {
    let url = matches!(&*routed.route, Route::Template(_)).then(|| routed.line.words().concat())?;
    // The scheme may be in any case.
    let (scheme, rest) = url.split_once(':')?;
    Some(format!("{}:{rest}", scheme.to_ascii_lowercase()))
}

/// The `WsRouteUpstream` line with this option that counts.
fn option<'c>(effective: &Effective<'c>, option: &str) -> Option<&'c Directive> {
    let mut lines = effective.all("WsRouteUpstream").into_iter();
    lines.rfind(|line| line.words().iter().any(|word| word.eq_ignore_ascii_case(option)))
}

/// Docker's own default network does not leave this machine.
fn is_docker_bridge(host: &str) -> bool {
    host.starts_with("172.17.")
}
