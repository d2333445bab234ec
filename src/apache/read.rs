//! Reads the files as httpd does at its start: what is looked at on reading (`Include`, `Define`,
//! `LoadModule`, `<IfModule>`, macros) is gone afterwards, and a tree of directives is left.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, mem};

use super::conditional;
use super::defines::Defines;
use super::include;
use super::installed::Installed;
use super::modules::Modules;
use super::syntax::{self, Directive, Place, Problem};

/// As httpd's own limit.
const INCLUDE_DEPTH: usize = 128;

/// What to read, as httpd's command line says it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `-f FILE`; `None`: what the installed httpd reads.
    pub file: Option<PathBuf>,
    /// `-d FOLDER`: the ServerRoot, unless the file says it.
    pub root: Option<PathBuf>,
    /// `-D NAME`
    pub defines: Vec<String>,
}

/// A section that does not count here, and has our directives in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// `<IfModule mod_x.c>`, without its inside.
    pub section: Directive,
    /// The first `WsRoute...` in it.
    pub directive: Directive,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// In the order of reading, all files in one.
    pub directives: Vec<Directive>,
    /// The modules that are loaded; all, if this is only a piece of a configuration.
    pub modules: Modules,
    /// Every file, in the order of reading.
    pub files: Vec<Arc<Path>>,
    /// Sections that do not count.
    pub skipped: Vec<Skipped>,
    /// ServerRoot.
    pub root: PathBuf,
    /// httpd's version.
    pub version: [u32; 3],
}

/// Reads what `options` name. A file that loads no MPM cannot be all that httpd reads: such a piece
/// is taken as if every module was loaded.
///
/// # Errors
/// A file that cannot be read, sections that do not fit, what httpd refuses while it reads.
pub fn read(options: &Options) -> Result<Tree, Problem> {
    let installed = Installed::ask();
    let file = options.file.clone().or_else(|| installed.main_file());
    let Some(file) = file else {
        let place = Place { file: Arc::from(Path::new("-")), line: 0 };
        let text = "no httpd is installed that would say where its configuration is, use -f FILE";
        return Err(Problem { place, text: text.into() });
    };
    let root = options.root.as_ref().or(installed.root.as_ref());
    let root = root.map_or_else(|| folder_of(&file), PathBuf::clone);
    let mut defines = Defines::new(&options.defines);
    defines.take_envvars(&file);
    let with = |modules: Modules| -> Result<Tree, Problem> {
        let (defines, root) = (defines.clone(), root.clone());
        let version = installed.version;
        let mut reader = Reader { defines, modules, root, version, ..Reader::default() };
        let directives = reader.file(&file, None)?;
        let Reader { modules, files, skipped, root, .. } = reader;
        Ok(Tree { directives, modules, files, skipped, root, version })
    };
    let tree = with(Modules::compiled_in(&installed.modules))?;
    match tree.modules.mpm() {
        Some(_) => Ok(tree),
        None => with(Modules::all()),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// What is known while the files are read.
#[derive(Default)]
pub struct Reader {
    /// `Define` and `-D`.
    pub defines: Defines,
    /// The modules loaded so far.
    pub modules: Modules,
    /// httpd's version.
    pub version: [u32; 3],
    root: PathBuf,
    macros: HashMap<String, Macro>,
    /// The macros in use, so that none uses itself.
    using: Vec<String>,
    files: Vec<Arc<Path>>,
    skipped: Vec<Skipped>,
    depth: usize,
}

#[derive(Clone)]
struct Macro {
    parameters: Vec<String>,
    body: Vec<Directive>,
}

impl Reader {
    /// A path that is relative to ServerRoot.
    pub fn absolute(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Reads a file; `from` is the line that names it.
    fn file(&mut self, path: &Path, from: Option<&Place>) -> Result<Vec<Directive>, Problem> {
        let file: Arc<Path> = Arc::from(path);
        let wrong = |text: String| {
            let place = from.cloned().unwrap_or_else(|| Place { file: file.clone(), line: 0 });
            Problem { place, text }
        };
        let bytes =
            fs::read(path).map_err(|e| wrong(format!("cannot read {}: {e}", path.display())))?;
        if self.depth > INCLUDE_DEPTH {
            return Err(wrong(format!("Include goes in circles, or deeper than {INCLUDE_DEPTH}")));
        }
        self.depth += 1;
        self.files.push(file.clone());
        let directives = syntax::parse(&file, &String::from_utf8_lossy(&bytes))?;
        let directives = self.all(directives);
        self.depth -= 1;
        directives
    }

    fn all(&mut self, directives: Vec<Directive>) -> Result<Vec<Directive>, Problem> {
        let mut kept = Vec::new();
        for directive in directives {
            self.one(directive, &mut kept)?;
        }
        Ok(kept)
    }

    /// Does what the directive says on reading, or adds it to `kept`.
    fn one(&mut self, mut directive: Directive, kept: &mut Vec<Directive>) -> Result<(), Problem> {
        directive.name = self.defines.resolve(&directive.name);
        directive.args = self.defines.resolve(&directive.args);
        let place = directive.place.clone();
        let wrong = |text: String| Problem { place: place.clone(), text };
        if directive.children.is_some() {
            return self.section(directive, kept);
        }
        let words = directive.words();
        let first = || {
            words.first().cloned().ok_or_else(|| wrong(format!("{} has no value", directive.name)))
        };
        match directive.name.to_ascii_lowercase().as_str() {
            "include" | "includeoptional" => {
                let path = self.absolute(&first()?);
                match include::files(&path) {
                    Ok(files) => {
                        for file in files {
                            kept.extend(self.file(&file, Some(&place))?);
                        }
                    }
                    Err(_) if directive.is("IncludeOptional") => {}
                    Err(text) => return Err(wrong(text)),
                }
            }
            "define" => self.defines.define(&first()?, words.get(1).map(String::as_str)),
            "undefine" => self.defines.undefine(&first()?),
            "use" => kept.extend(self.use_macro(&words, &place)?),
            "undefmacro" => drop(self.macros.remove(&first()?.to_ascii_lowercase())),
            name => {
                if name == "loadmodule" {
                    self.modules.load(&first()?);
                }
                if name == "serverroot" {
                    self.root = PathBuf::from(first()?);
                }
                kept.push(directive);
            }
        }
        Ok(())
    }

    fn section(
        &mut self,
        mut section: Directive,
        kept: &mut Vec<Directive>,
    ) -> Result<(), Problem> {
        let place = section.place.clone();
        let wrong = |text: String| Problem { place, text };
        if section.is("<Macro") {
            return self.define_macro(section).map_err(wrong);
        }
        let inner = section.children.replace(Vec::new()).unwrap_or_default();
        match conditional::holds(&section.name, &section.args, self).map_err(wrong)? {
            Some(true) => kept.extend(self.all(inner)?),
            Some(false) => {
                let directive = first_of_ours(&inner).cloned();
                self.skipped.extend(directive.map(|directive| Skipped { section, directive }));
            }
            None => {
                section.children = Some(self.all(inner)?);
                kept.push(section);
            }
        }
        Ok(())
    }

    fn define_macro(&mut self, mut section: Directive) -> Result<(), String> {
        let mut words = section.words();
        if words.is_empty() {
            return Err("<Macro> needs a name".into());
        }
        let name = words.remove(0).to_ascii_lowercase();
        let body = section.children.take().unwrap_or_default();
        self.macros.insert(name, Macro { parameters: words, body });
        Ok(())
    }

    fn use_macro(&mut self, words: &[String], place: &Place) -> Result<Vec<Directive>, Problem> {
        let wrong = |text: String| Problem { place: place.clone(), text };
        let [name, values @ ..] = words else {
            return Err(wrong("Use needs a macro's name".into()));
        };
        let name = name.to_ascii_lowercase();
        let Some(Macro { parameters, body }) = self.macros.get(&name).cloned() else {
            return Err(wrong(format!("no <Macro {name}> stands before this line")));
        };
        if parameters.len() != values.len() {
            let (wanted, given) = (parameters.len(), values.len());
            return Err(wrong(format!("<Macro {name}> takes {wanted} values, not {given}")));
        }
        if self.using.contains(&name) {
            return Err(wrong(format!("<Macro {name}> uses itself")));
        }
        let mut pairs: Vec<_> = parameters.iter().zip(values).collect();
        // $name2 before $name, as mod_macro does.
        pairs.sort_by_key(|(parameter, _)| std::cmp::Reverse(parameter.len()));
        let mut body = body;
        body.iter_mut().for_each(|directive| substitute(directive, &pairs));
        self.using.push(name);
        let directives = self.all(body);
        self.using.pop();
        directives
    }
}

fn substitute(directive: &mut Directive, pairs: &[(&String, &String)]) {
    for text in [&mut directive.name, &mut directive.args] {
        for (parameter, value) in pairs {
            *text = mem::take(text).replace(parameter.as_str(), value);
        }
    }
    directive.children.iter_mut().flatten().for_each(|inner| substitute(inner, pairs));
}

fn first_of_ours(directives: &[Directive]) -> Option<&Directive> {
    directives.iter().find_map(|directive| match &directive.children {
        Some(inner) => first_of_ours(inner),
        None => {
            let ours =
                directive.name.get(..7).is_some_and(|name| name.eq_ignore_ascii_case("WsRoute"));
            ours.then_some(directive)
        }
    })
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
