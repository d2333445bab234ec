//! docs/check.md has every verdict of the code, and no other.

use crate::run::repository;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;

/// Where verdicts are made.
const CODE: &str = "src/bin/wsroutectl/check";

#[test]
fn all_and_no_others() {
    let code = code(&Path::new(env!("CARGO_MANIFEST_DIR")).join(CODE));
    // Made in place, chosen by a match, or one of the log's events.
    let made = Regex::new(r#"(?:Verdict::new\(|=> \(|: ",)\s*"([a-z0-9.-]+)""#).expect("a pattern");
    let made: BTreeSet<&str> =
        made.captures_iter(&code).map(|found| found.get(1).expect("a cause").as_str()).collect();
    assert!(made.len() > 40, "the verdicts were not found: {made:?}");

    let page = repository("docs/check.md");
    let table = page.split("## Verdicts").nth(1).expect("the list of verdicts");
    let row = Regex::new(r"(?m)^\| `([^`]+)` \|").expect("a pattern");
    let rows: Vec<&str> =
        row.captures_iter(table).map(|found| found.get(1).expect("a cause").as_str()).collect();
    let told: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(told.len(), rows.len(), "a verdict has two rows: {rows:?}");
    let missing: Vec<_> = made.difference(&told).collect();
    assert!(missing.is_empty(), "docs/check.md does not tell: {missing:?}");
    let unknown: Vec<_> = told.iter().filter(|c| !code.contains(&format!("\"{c}\""))).collect();
    assert!(unknown.is_empty(), "nobody finds: {unknown:?}");
}

/// The folder's files in one text.
fn code(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries
        .map(|path| match path.is_dir() {
            true => code(&path),
            false => std::fs::read_to_string(path).expect("a source file"),
        })
        .collect()
}
