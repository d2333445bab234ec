//! Directives in the wrong place: sections that never match, the wrong virtual host.

use mod_wsroute::apache::{Kind, Pattern};

use super::finding::Finding;
use super::site::Site;

/// A regular expression in a `<Location>`, which takes none.
pub fn pattern(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, section) in site.sections() {
        let Kind::Location(pattern) = &section.kind else { continue };
        let title = section.title.to_ascii_lowercase();
        if title.starts_with("<locationmatch") || title.starts_with("<location ~") {
            continue;
        }
        let text = pattern.text();
        let mend = format!("write <LocationMatch \"{text}\">");
        if text.starts_with('^') {
            let what = format!("{} never matches: no path begins with ^", section.title);
            findings.push(Finding::error(&section.place, what, mend));
        } else if ["(", ".*", ".+", "]+", "]*"].iter().any(|sign| text.contains(sign)) {
            let what = format!("{} is no regular expression for httpd", section.title);
            findings.push(Finding::warning(&section.place, what, mend));
        }
    }
    findings
}

/// A `WsRoute` in a `<Directory>` that mod_proxy's requests never come to.
pub fn directory(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let Kind::Directory(Pattern::Text(folder)) = &routed.section.kind else { continue };
        let server = routed.effective.server;
        let Some(root) = site.config.last(server, "DocumentRoot") else { continue };
        let root = site.config.root.join(root.words().concat());
        let Ok(path) = std::path::Path::new(folder).strip_prefix(&root) else { continue };
        let path = format!("/{}", path.display());
        let taken = site.proxied.iter().find(|rule| {
            std::ptr::eq(rule.server, server)
                && rule.rule.conditions.is_empty()
                && rule.rule.target != "!"
                && rule.rule.takes(&path)
        });
        if let Some(rule) = taken {
            let line = rule.rule.directive;
            let what = format!(
                "{} does not apply to what {} at {} takes",
                routed.section.title, line.name, line.place
            );
            let mend = format!("put it into <Location \"{path}\">");
            findings.push(Finding::warning(&routed.line.place, what, mend));
        }
    }
    findings
}

/// A `WsRoute` in the plaintext virtual host only, while pages come over TLS.
pub fn other_vhost(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let server = routed.effective.server;
        let (Some(path), false) = (&routed.path, server.tls) else { continue };
        let twin = site.servers().into_iter().find(|other| {
            other.tls && server.name.as_deref().is_some_and(|name| other.answers_to(name))
        });
        let Some(twin) = twin else { continue };
        let same = site.scope(twin, path);
        let off = same.scope.route.is_some() && same.scope.routed().is_none();
        if same.scope.routed().is_none() && !off {
            let what = format!(
                "pages over https get no WebSocket: {} at {} has no WsRoute for {path}",
                twin.base.title, twin.place
            );
            let mend = "put it into that <VirtualHost>, too";
            findings.push(Finding::warning(&routed.line.place, what, mend));
        }
    }
    findings
}
