//! The documents tell the truth where a machine can see it: links lead somewhere, what they name
//! exists, and the reference is the table of directives.
//! (A page that names a file which moved, or a log word which changed, costs its reader an hour.)

mod links;
mod names;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown file of this repository.
struct Document {
    /// Its path, from the repository's root.
    name: String,
    /// The text.
    text: String,
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// All documents, those at the root first.
fn documents() -> Vec<Document> {
    let mut paths = Vec::new();
    for folder in [root().to_owned(), root().join("docs")] {
        paths.extend(
            files(&folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    assert!(paths.len() > 15, "the documents were not found: {paths:?}");
    let document = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        Document { text: read(&name), name }
    };
    paths.into_iter().map(document).collect()
}

/// The files in `folder` itself, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

/// The text without fenced and indented blocks of code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// What stands in backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
