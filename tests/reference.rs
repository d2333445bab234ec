//! The table of directives, conf/reference.conf and docs/configuration.md speak of the same ones.
//! (A directive that exists and is not documented, or the other way round, was never wanted.)

use std::collections::BTreeSet;

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every word that begins with `WsRoute`.
fn directives_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.starts_with("WsRoute"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_and_the_documents_agree() {
    let table: BTreeSet<String> = read("src/config/directives.rs")
        .split("c\"WsRoute")
        .skip(1)
        .map(|rest| format!("WsRoute{}", rest.split('"').next().unwrap_or_default()))
        .collect();
    assert!(table.len() >= 9, "the table was not found: {table:?}");
    for document in ["conf/reference.conf", "docs/configuration.md"] {
        assert_eq!(directives_in(&read(document)), table, "{document}");
    }
}
