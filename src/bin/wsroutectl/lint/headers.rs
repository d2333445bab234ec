//! mod_headers: recipes that cannot work, and lines that spoil a handshake.

use mod_wsroute::apache::{Directive, Section};
use mod_wsroute::route::OriginPolicy;
use mod_wsroute::upgrade::{Detection, Request, detect};

use super::finding::Finding;
use super::site::{Rule, Site, as_route};

/// One `RequestHeader` line.
struct Operation<'c> {
    line: &'c Directive,
    action: String,
    header: String,
    value: String,
    /// `env=` or `expr=`, or a value that depends on the request.
    conditional: bool,
}

impl<'c> Operation<'c> {
    fn of(line: &'c Directive) -> Option<Operation<'c>> {
        let words = line.words();
        let [action, header, rest @ ..] = words.as_slice() else { return None };
        let action = action.to_ascii_lowercase();
        let value = rest.first().filter(|_| action != "unset").cloned().unwrap_or_default();
        let condition = |word: &String| word.starts_with("env=") || word.starts_with("expr=");
        let conditional = rest.iter().any(condition) || action.starts_with("edit");
        let header = header.trim_end_matches(':').to_owned();
        Some(Operation { line, action, header, value, conditional })
    }

    fn is_for(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.header.eq_ignore_ascii_case(name))
    }

    /// What mod_headers makes of `request`.
    fn apply(&self, request: &Request) -> Request {
        let mut changed = request.clone();
        let own = |name: &String| name.eq_ignore_ascii_case(&self.header);
        let has = changed.headers.iter().any(|(name, _)| own(name));
        // A variable that is not set.
        let value = if self.value.contains("%{") { "(null)" } else { &self.value };
        if matches!(self.action.as_str(), "set" | "unset") {
            changed.headers.retain(|(name, _)| !own(name));
        }
        let adds = match self.action.as_str() {
            "set" | "add" | "append" | "merge" => true,
            "setifempty" => !has,
            _ => false,
        };
        if adds {
            changed.headers.push((self.header.clone(), value.as_bytes().to_vec()));
        }
        changed
    }
}

fn operations(section: &Section) -> impl Iterator<Item = Operation<'_>> {
    section.all("RequestHeader").filter_map(Operation::of)
}

/// `RequestHeader set Upgrade` before a `ProxyPass http://`: mod_proxy drops the header afterwards.
pub fn recipe(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (server, section) in site.sections() {
        let own = |rule: &&Rule<'_>| std::ptr::eq(rule.server, server) || server.main;
        let lost = |rule: &&Rule<'_>| {
            let plain = rule.rule.has_scheme(&["http", "https"]) && !rule.rule.upgrades();
            let path = rule.path.as_deref().unwrap_or("/");
            plain && section_covers(section, path) && site.route_of(rule).is_none()
        };
        let Some(rule) = site.proxied.iter().filter(own).find(lost) else { continue };
        let routed = site.routed.iter().any(|r| std::ptr::eq(r.effective.server, rule.server));
        let lines = operations(section).filter(|o| {
            o.is_for(&["Upgrade", "Connection"]) && o.action != "unset" && meant_for_upgrades(o)
        });
        for Operation { line, header, .. } in lines {
            let what = format!(
                "mod_proxy drops {header} after mod_headers has set it, so {} gets a plain GET",
                rule.rule.shown()
            );
            let route = as_route(&rule.rule.target).unwrap_or_else(|| "WsRoute URL".to_owned());
            findings.push(match routed {
                false => {
                    let mend = format!("take the line away and write {route} in the same place");
                    Finding::error(&line.place, what, mend)
                }
                // There is a WsRoute elsewhere in this server: most likely a remnant.
                true => Finding::note(&line.place, what, "take the line away: it has no effect"),
            });
        }
    }
    findings
}

fn section_covers(section: &Section, path: &str) -> bool {
    match &section.kind {
        mod_wsroute::apache::Kind::Location(pattern) => pattern.covers(path),
        _ => true,
    }
}

/// The value makes, or passes on, an upgrade.
fn meant_for_upgrades(operation: &Operation<'_>) -> bool {
    let value = operation.value.to_ascii_lowercase();
    value.contains("websocket") || value.contains("upgrade") || value.contains("%{")
}

/// Lines without a condition that break an upgrade, or make one of a plain request.
pub fn damage(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let routed = site.routed.iter().map(|routed| (&routed.effective.chain, true));
    let proxied = site.proxied.iter().filter(|rule| rule.rule.upgrades());
    let proxied: Vec<_> = proxied
        .filter_map(|rule| Some(site.scope(rule.server, rule.path.as_deref()?).chain))
        .collect();
    let scopes = routed.chain(proxied.iter().map(|chain| (chain, false)));
    for (chain, ours) in scopes {
        for operation in chain.iter().flat_map(|section| operations(section)) {
            findings.extend(damage_of(&operation, ours));
        }
    }
    findings
}

fn damage_of(operation: &Operation<'_>, ours: bool) -> Option<Finding> {
    let Operation { line, header, action, conditional, value } = operation;
    if *conditional {
        return None;
    }
    let place = &line.place;
    let upgrade = handshake();
    let depends = value.contains("%{");
    if !depends && detect(&operation.apply(&upgrade)) != Detection::Upgrade {
        let what = format!("{action} {header} breaks every WebSocket handshake in this scope");
        return Some(Finding::error(
            place,
            what,
            "take the line away, or give it a condition (env=)",
        ));
    }
    if !ours {
        return None;
    }
    let plain = Request { headers: upgrade.headers[..1].to_vec(), ..Request::default() };
    if let Detection::Malformed(why) = detect(&operation.apply(&plain)) {
        let status = why.status();
        let what =
            format!("{action} {header} makes every plain request a broken upgrade ({status})");
        let mend = "take the line away: WsRoute needs no header tricks";
        return Some(Finding::error(place, what, mend));
    }
    (action == "unset" && operation.is_for(&["Sec-WebSocket-Protocol"])).then(|| {
        let what = "the container gets no subprotocol; KasmVNC and others refuse that";
        Finding::warning(place, what, "take the line away, or set subprotocol= of WsRouteUpstream")
    })
}

/// `Origin` is changed before `WsRouteOrigin` looks at it.
pub fn origin(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        if routed.effective.scope.origin.as_deref() == Some(&OriginPolicy::Any) {
            continue;
        }
        let lines = routed.effective.chain.iter().flat_map(|section| operations(section));
        for Operation { line, action, .. } in lines.filter(|o| o.is_for(&["Origin"])) {
            let what =
                format!("{action} Origin comes before WsRouteOrigin, which then checks nothing");
            let mend = "take the line away and use origin= of WsRouteUpstream";
            findings.push(Finding::warning(&line.place, what, mend));
        }
    }
    findings
}

/// A well-formed upgrade; `Host` comes first.
fn handshake() -> Request {
    let lines = [
        ("Host", "a.example"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let headers = lines.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec()));
    Request { headers: headers.collect(), ..Request::default() }
}
