//! Sections with a scope of their own, and what our directives say in each.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::pattern::Pattern;
use super::syntax::{Directive, Place, Problem};
use crate::config::directives::TABLE;
use crate::config::{Line, ScopeConfig, ServerConfig};
use crate::words::words;

/// What a section is for.
#[derive(Debug, Clone)]
pub enum Kind {
    /// The main server, or a virtual host.
    Server,
    /// `<Directory>`, `<DirectoryMatch>`
    Directory(Pattern),
    /// `<Files>`, `<FilesMatch>`
    Files(Pattern),
    /// `<Location>`, `<LocationMatch>`
    Location(Pattern),
    /// `<If>`, with its condition.
    If(String),
    /// `<ElseIf>`, with its condition.
    ElseIf(String),
    /// `<Else>`
    Else,
}

/// One section.
#[derive(Clone)]
pub struct Section {
    /// What it is for.
    pub kind: Kind,
    /// Where it begins; of the main server: the first file.
    pub place: Place,
    /// As it was written: `<Location "/desktop/">`.
    pub title: String,
    /// What stands in it, without the sections of `inner`.
    pub directives: Vec<Directive>,
    /// What our directives say in it.
    pub scope: ScopeConfig,
    /// `<If>` and `<Files>` in it, in order.
    pub inner: Vec<Section>,
}

impl Section {
    /// The directives called `name`, in order, those in `<Limit>` too.
    pub fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s Directive> + use<'s> {
        fn find<'d>(directives: &'d [Directive], name: &str, found: &mut Vec<&'d Directive>) {
            for directive in directives {
                if directive.is(name) {
                    found.push(directive);
                }
                if is_method_limit(directive) {
                    find(directive.inner(), name, found);
                }
            }
        }
        let mut found = Vec::new();
        find(&self.directives, name, &mut found);
        found.into_iter()
    }

    /// This section and all in it.
    pub fn with_inner(&self) -> Vec<&Section> {
        let inner = self.inner.iter().flat_map(Section::with_inner);
        std::iter::once(self).chain(inner).collect()
    }
}

/// `<Limit>` has no scope of its own.
fn is_method_limit(directive: &Directive) -> bool {
    directive.is("<Limit") || directive.is("<LimitExcept")
}

/// The server that sections are built for.
pub(super) struct Builder<'b> {
    /// What our directives say in it.
    pub server: &'b mut ServerConfig,
    /// It is the main server.
    pub main: bool,
    /// What is wrong with our directives.
    pub problems: &'b mut Vec<Problem>,
    /// `<Location>` and `<Directory>`, in the order of reading.
    pub sections: Vec<Section>,
}

impl Builder<'_> {
    /// Builds the section of `kind` from what stands in it. `<Location>` and `<Directory>` go to
    /// the builder's own list.
    pub fn build(
        &mut self,
        kind: Kind,
        place: Place,
        title: String,
        inside: &[Directive],
    ) -> Section {
        let path = section_path(&kind);
        let scope = ScopeConfig { section: path, ..ScopeConfig::default() };
        let (directives, inner) = (Vec::new(), Vec::new());
        let mut section = Section { kind, place, title, directives, scope, inner };
        self.fill(&mut section, inside);
        section
    }

    fn fill(&mut self, section: &mut Section, inside: &[Directive]) {
        for directive in inside {
            match kind_of(directive) {
                Some(kind) => {
                    let (place, title) = (directive.place.clone(), directive.to_string());
                    let built = self.build(kind, place, title, directive.inner());
                    match built.kind {
                        Kind::Location(_) | Kind::Directory(_) => self.sections.push(built),
                        _ => section.inner.push(built),
                    }
                }
                None => {
                    self.take(section, directive);
                    section.directives.push(directive.clone());
                }
            }
        }
    }

    /// Takes our directives over, as httpd would have the module do.
    fn take(&mut self, section: &mut Section, directive: &Directive) {
        if is_method_limit(directive) {
            directive.inner().iter().for_each(|inner| self.take(section, inner));
        }
        let named = |name: &std::ffi::CStr| name.to_str().is_ok_and(|name| directive.is(name));
        let Some(row) = TABLE.iter().find(|row| named(row.name)) else { return };
        let in_section = !matches!(section.kind, Kind::Server);
        let result = if in_section && !row.context.is_for_sections() {
            Err(format!("does not belong into {}, use it outside of sections", section.title))
        } else {
            words(&directive.args).and_then(|args| {
                row.read(&mut Line {
                    scope: &mut section.scope,
                    server: self.server,
                    in_main_server: self.main && !in_section,
                    place: &directive.place.to_string(),
                    args,
                    expressions: Vec::new(),
                    warnings: Vec::new(),
                })
            })
        };
        if let Err(text) = result {
            let text = format!("{}: {text}", row.name.to_string_lossy());
            self.problems.push(Problem { place: directive.place.clone(), text });
        }
    }
}

/// What httpd calls the section's path when it creates its configuration.
fn section_path(kind: &Kind) -> Option<Arc<str>> {
    match kind {
        Kind::Server => None,
        Kind::Directory(p) | Kind::Files(p) | Kind::Location(p) => Some(p.text().into()),
        Kind::If(_) | Kind::ElseIf(_) | Kind::Else => Some("*If".into()),
    }
}

fn kind_of(directive: &Directive) -> Option<Kind> {
    directive.children.as_ref()?;
    let words = directive.words();
    let word = |i: usize| words.get(i).map_or("", String::as_str);
    let (regex, text) = match word(0) {
        "~" => (true, word(1)),
        first => (directive.name.to_ascii_lowercase().ends_with("match"), first),
    };
    let pattern = || if regex { Pattern::regex(text) } else { Pattern::new(text) };
    Some(match directive.name.to_ascii_lowercase().as_str() {
        "location" | "locationmatch" => Kind::Location(pattern()),
        "directory" if !regex => Kind::Directory(Pattern::new(&canonical(text))),
        "directory" | "directorymatch" => Kind::Directory(pattern()),
        "files" | "filesmatch" => Kind::Files(pattern()),
        "if" => Kind::If(word(0).to_owned()),
        "elseif" => Kind::ElseIf(word(0).to_owned()),
        "else" => Kind::Else,
        _ => return None,
    })
}

/// Without `.` and `..`, and with a slash at the end.
fn canonical(path: &str) -> String {
    let mut whole = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    let text = whole.to_string_lossy();
    if text == "/" { text.into_owned() } else { format!("{text}/") }
}
