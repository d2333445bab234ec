//! Who comes first: redirects before the module, later sections after earlier ones.

use mod_wsroute::apache::proxy::{has_flag, is_rewriting};
use mod_wsroute::apache::{Directive, Kind, Pattern, Section};

use super::finding::Finding;
use super::site::{Routed, Site};

/// A redirect, or a refusal by mod_rewrite, for all paths of a `WsRoute`.
pub fn redirected(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let Some(path) = &routed.path else { continue };
        let samples = samples(routed, path);
        let server = &routed.effective.server.base;
        let redirects = server.directives.iter().filter_map(redirect);
        for (line, pattern) in redirects.chain(refusing_rewrites(server)) {
            if samples.iter().all(|path| pattern.covers(path)) {
                let what = format!(
                    "answers the WebSockets of WsRoute at {} before the module sees them",
                    routed.line.place
                );
                let mend =
                    "narrow its pattern, or give it RewriteCond %{HTTP:Upgrade} !websocket [NC]";
                findings.push(Finding::warning(&line.place, what, mend));
            }
        }
    }
    findings
}

/// Some paths in the scope; what takes all of them takes it whole.
fn samples(routed: &Routed<'_>, path: &str) -> Vec<String> {
    match routed.section.kind {
        Kind::Location(Pattern::Text(_)) | Kind::Server => {
            let below = path.trim_end_matches('/');
            ["", "/x", "/x/websockify"].iter().map(|end| format!("{below}{end}")).collect()
        }
        _ => vec![path.to_owned()],
    }
}

fn redirect(line: &Directive) -> Option<(&Directive, Pattern)> {
    let matches = line.is("RedirectMatch");
    if !matches && !["Redirect", "RedirectPermanent", "RedirectTemp"].iter().any(|n| line.is(n)) {
        return None;
    }
    let words = line.words();
    let status = |word: &str| !word.starts_with(['/', '^', '(']) && !word.contains('/');
    let from = words.iter().find(|word| !status(word))?;
    Some((line, if matches { Pattern::regex(from) } else { Pattern::Text(from.clone()) }))
}

/// RewriteRules without conditions that redirect or refuse.
fn refusing_rewrites(section: &Section) -> Vec<(&Directive, Pattern)> {
    let mut found = Vec::new();
    let mut conditional = false;
    for line in section.directives.iter().filter(|_| is_rewriting(section)) {
        if line.is("RewriteCond") {
            conditional = true;
        }
        if line.is("RewriteRule") {
            let words = line.words();
            if let [pattern, _, flags] = words.as_slice()
                && !std::mem::take(&mut conditional)
                && has_flag(flags, &["r", "redirect", "f", "forbidden", "g", "gone"])
            {
                found.push((line, Pattern::regex(pattern)));
            }
            conditional = false;
        }
    }
    found
}

/// A `<Location>` whose `WsRoute` a later, wider one replaces.
pub fn replaced(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let Kind::Location(_) = routed.section.kind else { continue };
        let Some(winner) = routed.effective.section() else { continue };
        if !std::ptr::eq(winner, routed.section) {
            let what = format!(
                "{} at {} comes later and replaces this WsRoute",
                winner.title, winner.place
            );
            let mend = "put the wider section first: of those that match, the last one counts";
            findings.push(Finding::warning(&routed.line.place, what, mend));
        }
    }
    findings
}
