//! `docs/reference.md` is made from the table of directives and from `conf/reference.conf`, which
//! therefore agree. `WSROUTE_WRITE=1 cargo test --release --no-default-features --test docs` writes it anew.

use super::{read, root};
use mod_wsroute::config::directives::TABLE;
use std::fmt::Write;

const HEAD: &str = "# Reference

Every directive, made from the module's own table (`src/config/directives.rs`) and from [conf/reference.conf](../conf/reference.conf), which has an example of each.
A name leads to its description. Contexts, in httpd's terms: `server config` is outside of any section, `virtual host` is `<VirtualHost>`, `directory` is `<Location>`, `<Directory>` and `<If>`.
None is allowed in `.htaccess`. What stands in the server config holds for all virtual hosts that do not say otherwise.

| directive | | default | contexts |
|---|---|---|---|
";

#[test]
fn the_reference_is_the_table() {
    let mut page = HEAD.to_owned();
    for directive in &TABLE {
        let name = directive.name.to_str().expect("ASCII");
        let Described { syntax, default, contexts } = described(name);
        let (context, more) = contexts.split_once("; ").unwrap_or((&contexts, ""));
        assert_eq!(context, directive.context.name(), "{name} in conf/reference.conf");
        assert!(["", "repeatable"].contains(&more), "{name} in conf/reference.conf: {more}");
        let link = format!("[{name}](configuration.md#{}) {syntax}", name.to_lowercase());
        let help = directive.help.to_str().expect("ASCII");
        let meaning = help.split_once(": ").map_or(help, |(_, meaning)| meaning);
        let cells = [&link, meaning, &default, &contexts].map(|cell| cell.replace('|', "\\|"));
        writeln!(page, "| {} |", cells.join(" | ")).expect("a String takes everything");
    }
    let path = root().join("docs/reference.md");
    if std::env::var_os("WSROUTE_WRITE").is_some() {
        std::fs::write(&path, &page).expect("docs/reference.md");
    }
    let how = "docs/reference.md is old: WSROUTE_WRITE=1 cargo test --release --no-default-features --test docs";
    assert!(read("docs/reference.md") == page, "{how}");
}

/// What `conf/reference.conf` says about a directive.
struct Described {
    syntax: String,
    default: String,
    contexts: String,
}

fn described(name: &str) -> Described {
    let text = read("conf/reference.conf");
    let mut lines = text.lines().map(str::trim);
    let begin = format!("# {name} ");
    let mut syntaxes = Vec::new();
    for line in &mut lines {
        if let Some(syntax) = line.strip_prefix(&begin) {
            syntaxes.push(format!("`{syntax}`"));
        } else if !syntaxes.is_empty() {
            let rest = line.strip_prefix("#   Default: ");
            let rest = rest.unwrap_or_else(|| panic!("{name}: no default behind its syntax"));
            let (default, contexts) = rest.split_once("Context: ").expect("a context");
            let (default, contexts) = (default.trim().to_owned(), contexts.to_owned());
            return Described { syntax: syntaxes.join(" or "), default, contexts };
        }
    }
    panic!("conf/reference.conf does not describe {name}")
}
