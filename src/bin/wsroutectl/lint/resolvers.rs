//! Resolvers: declared, used, and their files there.

use std::path::PathBuf;

use mod_wsroute::apache::{Directive, Section, Server};

use super::finding::Finding;
use super::readable::Account;
use super::site::Site;

/// A `WsRoute` names what no `WsRouteResolver` is.
pub fn undeclared(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for server in &site.config.servers {
        for line in sections(server).flat_map(|section| section.all("WsRoute").collect::<Vec<_>>())
        {
            let names = names(line).into_iter();
            for name in names.filter(|name| !server.config.resolvers.contains_key(name)) {
                let what = format!(
                    "no WsRouteResolver of this server is called {name}: httpd does not start"
                );
                let mend =
                    "declare it in this <VirtualHost> or in the main server, or mend the name";
                findings.push(Finding::error(&line.place, what, mend));
            }
        }
    }
    findings
}

/// A resolver that no `WsRoute` names.
pub fn unused(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for server in &site.config.servers {
        for line in server.base.all("WsRouteResolver") {
            let Some(name) = line.words().into_iter().next() else { continue };
            // The main server's are for all.
            let users =
                site.config.servers.iter().filter(|s| server.main || std::ptr::eq(*s, server));
            let lines = users.flat_map(sections).flat_map(|s| s.all("WsRoute").collect::<Vec<_>>());
            let named = lines.flat_map(names).any(|used| used == name);
            let mapped = site
                .config
                .servers
                .iter()
                .any(|s| s.base.all("RewriteMap").any(|map| map.args.contains("int:wsroute")));
            if !named && !mapped {
                let what = format!("no WsRoute names the resolver {name}");
                findings.push(Finding::note(
                    &line.place,
                    what,
                    "take it away, or name it in a WsRoute",
                ));
            }
        }
    }
    findings
}

/// A table that is not there, or that httpd's children cannot read: always 502.
pub fn file(site: &Site<'_>) -> Vec<Finding> {
    let account = Account::of_children(site.config);
    let mut findings = Vec::new();
    for line in site.config.servers.iter().flat_map(|s| s.base.all("WsRouteResolver")) {
        let Some(file) = table(line) else { continue };
        let shown = file.display();
        let (what, mend) = match (file.exists(), &account) {
            (false, _) => (
                format!("every key is refused with 502: {shown} is not there"),
                "make the file, or mend the path".to_owned(),
            ),
            (true, Some(account)) if !account.can_read(&file) => (
                format!("every key is refused with 502: {} cannot read {shown}", account.name),
                format!("let {} read it and enter its folders (chgrp, chmod 640)", account.name),
            ),
            _ => continue,
        };
        findings.push(Finding::error(&line.place, what, mend));
    }
    findings
}

/// The file of a `file` or `sqlite:` resolver.
fn table(line: &Directive) -> Option<PathBuf> {
    let words = line.words();
    let [_, kind, locator, ..] = words.as_slice() else { return None };
    match kind.to_ascii_lowercase().as_str() {
        "file" => Some(PathBuf::from(locator)),
        "sql" => {
            let (scheme, path) = locator.split_once(':')?;
            let path = if path.starts_with("///") { &path[2..] } else { path };
            scheme.eq_ignore_ascii_case("sqlite").then(|| PathBuf::from(path))
        }
        _ => None,
    }
}

/// The names of resolvers in a `WsRoute`.
fn names(line: &Directive) -> Vec<String> {
    let words = line.words();
    let url = words.iter().any(|word| word.contains(':'));
    let off = words.len() == 1 && words[0].eq_ignore_ascii_case("off");
    if url || off { Vec::new() } else { words }
}

fn sections(server: &Server) -> impl Iterator<Item = &Section> {
    server.sections.iter().chain([&server.base]).flat_map(Section::with_inner)
}
