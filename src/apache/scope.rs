//! What holds for one request: the sections that apply, in httpd's order, merged.

use std::path::{Path, PathBuf};

use super::config::Config;
use super::pattern::{Pattern, is_below};
use super::proxy;
use super::section::{Kind, Section};
use super::server::Server;
use super::syntax::Directive;
use crate::config::ScopeConfig;

/// What holds for a request.
pub struct Effective<'c> {
    /// The server it belongs to.
    pub server: &'c Server,
    /// The sections that apply, the general ones first.
    pub chain: Vec<&'c Section>,
    /// Our directives of all of them, merged.
    pub scope: ScopeConfig,
    /// What could not be known, one line each.
    pub assumed: Vec<String>,
}

impl<'c> Effective<'c> {
    /// That of the sections of `chain`.
    pub fn of(server: &'c Server, chain: Vec<&'c Section>) -> Effective<'c> {
        let nothing = ScopeConfig::default();
        let merge =
            |base: ScopeConfig, section: &&Section| ScopeConfig::merge(&base, &section.scope);
        let scope = chain.iter().fold(nothing, merge);
        Effective { server, chain, scope, assumed: Vec::new() }
    }

    /// The directive called `name` that counts: the last one of the innermost section.
    pub fn last(&self, name: &str) -> Option<&'c Directive> {
        self.chain.iter().rev().find_map(|section| section.all(name).last())
    }

    /// All directives called `name` of the innermost section that has one: what counts of a
    /// directive that adds up within its section.
    pub fn innermost(&self, name: &str) -> Vec<&'c Directive> {
        let own = self.chain.iter().rev().map(|section| section.all(name).collect::<Vec<_>>());
        own.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// All directives called `name`, the outer ones first: what counts of a directive that adds up.
    pub fn all(&self, name: &str) -> Vec<&'c Directive> {
        self.chain.iter().flat_map(|section| section.all(name).collect::<Vec<_>>()).collect()
    }

    /// The section whose `WsRoute` counts.
    pub fn section(&self) -> Option<&'c Section> {
        self.chain.iter().rev().copied().find(|section| section.scope.route.is_some())
    }
}

/// The value of a condition of `<If>`; an error says why it cannot be known.
pub type Conditions<'a> = &'a dyn Fn(&str) -> Result<bool, String>;

impl Config {
    /// What holds in `server` for the decoded `path`. A condition that cannot be known counts as
    /// false, and is said so.
    pub fn scope<'c>(
        &'c self,
        server: &'c Server,
        path: &str,
        conditions: Conditions<'_>,
    ) -> Effective<'c> {
        let bases = self.bases(server);
        let sections: Vec<&Section> = bases.iter().flat_map(|server| &server.sections).collect();
        let file = self.file(server, path);
        let mut chain: Vec<&Section> = bases.iter().map(|server| &server.base).collect();
        if let Some(file) = &file {
            chain.extend(directories(&sections, file, &self.document_root(server)));
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let inner: Vec<&Section> = chain.iter().flat_map(|section| &section.inner).collect();
            chain.extend(inner.into_iter().filter(|section| match &section.kind {
                Kind::Files(pattern) => pattern.is(&name),
                _ => false,
            }));
        }
        chain.extend(sections.iter().copied().filter(|section| match &section.kind {
            Kind::Location(pattern) => pattern.covers(path),
            _ => false,
        }));
        let (mut ifs, mut assumed) = (Vec::new(), Vec::new());
        for section in &chain {
            apply_ifs(section, conditions, &mut ifs, &mut assumed);
        }
        chain.extend(ifs);
        Effective { assumed, ..Effective::of(server, chain) }
    }

    /// The main server, and `server` if it is another.
    fn bases<'c>(&'c self, server: &'c Server) -> Vec<&'c Server> {
        let main = (!server.main).then(|| self.main());
        main.into_iter().chain([server]).collect()
    }

    /// The file that httpd makes of `path`; `None` if mod_proxy takes it, or nothing maps it.
    fn file(&self, server: &Server, path: &str) -> Option<PathBuf> {
        let rule = proxy::rules(self, server)
            .into_iter()
            .find(|rule| rule.conditions.is_empty() && rule.takes(path));
        if rule.is_some_and(|rule| rule.target != "!") {
            return None;
        }
        let aliases = server.base.all("Alias").chain(self.main().base.all("Alias"));
        for words in aliases.map(Directive::words) {
            if let [from, to] = words.as_slice()
                && is_below(path, from)
            {
                return Some(PathBuf::from(format!("{to}{}", &path[from.len()..])));
            }
        }
        let root = self.document_root(server)?;
        Some(root.join(path.trim_start_matches('/')))
    }

    fn document_root(&self, server: &Server) -> Option<PathBuf> {
        let root = self.last(server, "DocumentRoot")?.words().into_iter().next()?;
        Some(self.root.join(root))
    }
}

/// Those that cover `file`: text and wildcards, shorter ones first; then regular expressions. httpd
/// looks at folders that are there, so those below the DocumentRoot must be.
fn directories<'c>(
    sections: &[&'c Section],
    file: &Path,
    root: &Option<PathBuf>,
) -> Vec<&'c Section> {
    let is_there = |folder: &Path| {
        folder.is_dir() || root.as_ref().is_some_and(|root| root.starts_with(folder))
    };
    let folders = file.ancestors().filter(|folder| is_there(folder));
    let folders: Vec<String> =
        folders.map(|f| format!("{}/", f.display()).replace("//", "/")).collect();
    let mut found = Vec::new();
    let mut regexes = Vec::new();
    for &section in sections {
        let Kind::Directory(pattern) = &section.kind else { continue };
        if pattern.is_regex() {
            regexes.extend(pattern.is(&file.to_string_lossy()).then_some(section));
        } else if folders.iter().any(|folder| pattern.is(folder)) {
            found.push((depth(pattern), section));
        }
    }
    found.sort_by_key(|(depth, _)| *depth);
    found.into_iter().map(|(_, section)| section).chain(regexes).collect()
}

fn depth(pattern: &Pattern) -> usize {
    pattern.text().matches('/').count()
}

/// Adds the `<If>` sections in `section` whose conditions hold, and those in them.
fn apply_ifs<'c>(
    section: &'c Section,
    conditions: Conditions<'_>,
    found: &mut Vec<&'c Section>,
    assumed: &mut Vec<String>,
) {
    // Whether one of the present chain of <If>, <ElseIf>, <Else> has held.
    let mut done = false;
    for inner in &section.inner {
        let condition = match &inner.kind {
            Kind::If(condition) => {
                done = false;
                Some(condition)
            }
            Kind::ElseIf(condition) => Some(condition),
            Kind::Else => None,
            _ => continue,
        };
        let holds = !done
            && condition.is_none_or(|condition| {
                conditions(condition).unwrap_or_else(|why| {
                    assumed
                        .push(format!("{} at {} does not hold: {why}", inner.title, inner.place));
                    false
                })
            });
        if holds {
            done = true;
            found.push(inner);
            apply_ifs(inner, conditions, found, assumed);
        }
    }
}
