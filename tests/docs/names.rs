//! Files, directives, log words, make's targets and functions that the documents name.

use super::{Document, documents, files, prose, quoted, read, root};
use mod_wsroute::config::directives::TABLE;
use std::collections::BTreeSet;
use std::path::Path;

/// Folders of the repository whose files documents name.
const FOLDERS: [&str; 8] =
    ["src/", "tests/", "conf/", "docs/", "demo/", "benches/", "apache-headers/", ".ci/"];

/// Fails with all that is `missing`, document by document.
fn each_document(missing: impl Fn(&Document) -> Vec<String>) {
    let mut all = Vec::new();
    for document in documents() {
        all.extend(missing(&document).iter().map(|what| format!("{}: {what}", document.name)));
    }
    assert!(all.is_empty(), "not there:\n{}", all.join("\n"));
}

#[test]
fn files_that_are_named_exist() {
    each_document(|document| {
        let text = prose(&document.text);
        let names = quoted(&text).filter(|word| is_path(word));
        names.filter(|name| !root().join(name).exists()).map(str::to_owned).collect()
    });
}

fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    FOLDERS.iter().any(|folder| word.starts_with(folder)) && word.chars().all(plain)
}

#[test]
fn directives_that_are_named_exist() {
    let known: BTreeSet<&str> =
        TABLE.iter().map(|directive| directive.name.to_str().expect("ASCII")).collect();
    each_document(|document| {
        let words = document.text.split(|c: char| !c.is_ascii_alphanumeric());
        let directives = words.filter(|word| word.starts_with("WsRoute"));
        directives.filter(|word| !known.contains(word)).map(str::to_owned).collect()
    });
}

#[test]
fn targets_of_make_that_are_named_exist() {
    let makefile = read("Makefile");
    let known = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    each_document(|document| {
        let text = prose(&document.text);
        let targets = quoted(&text).filter_map(|word| word.strip_prefix("make "));
        let targets = targets.flat_map(|targets| targets.split_whitespace());
        targets.filter(|target| !known(target)).map(str::to_owned).collect()
    });
}

#[test]
fn log_words_are_those_of_the_code() {
    let code = code();
    let logging = read("docs/logging.md");
    let section = logging.split("### Words to search for").nth(1).expect("the list of words");
    let listed: BTreeSet<&str> =
        quoted(section).filter_map(|word| word.strip_suffix(':')).collect();
    let unknown: Vec<_> =
        listed.iter().filter(|word| !code.contains(&format!("{word}:"))).collect();
    assert!(unknown.is_empty(), "logging.md lists what nobody logs: {unknown:?}");
    // The refusals and errors all begin with such a word.
    for file in ["src/route/refusal.rs", "src/upstream/error.rs"] {
        let text = read(file);
        for rest in text.split("#[error(").skip(1) {
            let word =
                rest.trim_start().trim_start_matches('"').split(':').next().unwrap_or_default();
            assert!(listed.contains(word), "{file}: logging.md does not list {word}:");
        }
    }
}

#[test]
fn the_life_of_a_websocket_is_that_of_the_code() {
    let code = code();
    let words: BTreeSet<&str> =
        code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let text = prose(&read("docs/life-of-a-websocket.md"));
    let names = quoted(&text).flat_map(|name| name.split("::"));
    let names = names.filter(|n| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let gone: Vec<_> = names.filter(|name| !words.contains(name)).collect();
    assert!(gone.is_empty(), "not in src: {gone:?}");
}

/// All of src in one text.
fn code() -> String {
    fn add(folder: &Path, text: &mut String) {
        for file in files(folder) {
            text.push_str(&std::fs::read_to_string(file).expect("a source file"));
        }
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(&path, text);
            }
        }
    }
    let mut text = String::new();
    add(&root().join("src"), &mut text);
    text
}
