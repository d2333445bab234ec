//! Passwords: those that everybody knows, and those that everybody on this machine can read.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mod_wsroute::apache::{Directive, Place};

use super::finding::Finding;
use super::readable;
use super::site::Site;

/// What KasmVNC, its images and other VNC images ship with.
const DEFAULTS: [&str; 8] = [
    "kasm_user:password",
    "kasm_user:vncpassword",
    "kasm-user:password",
    "kasm_user:kasm_user",
    "abc:abc",
    "admin:admin",
    "vnc:vncpassword",
    "headless:headless",
];

/// `RequestHeader set Authorization "Basic ..."` with a password that everybody knows.
pub fn default_password(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in lines(site, "RequestHeader") {
        let Some(pair) = basic(line) else { continue };
        if DEFAULTS.contains(&pair.as_str()) {
            let user = pair.split(':').next().unwrap_or_default();
            let what = format!("the password of {user} is the default one of its image");
            let mend = "give each container a password of its own: username and password of the resolver's answer";
            findings.push(Finding::error(&line.place, what, mend));
        }
    }
    findings
}

/// Passwords and keys in files that every user of this machine can read.
pub fn readable_secret(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    // One finding for each file, at the first line that is to be kept secret.
    let mut files: HashMap<Arc<Path>, &Place> = HashMap::new();
    let headers = lines(site, "RequestHeader").into_iter().filter(|line| basic(line).is_some());
    let locators = lines(site, "WsRouteResolver");
    let locators = locators.into_iter().filter(|line| line.words().iter().any(|w| has_password(w)));
    for line in headers.chain(locators) {
        let first = files.entry(line.place.file.clone()).or_insert(&line.place);
        if line.place < **first {
            *first = &line.place;
        }
    }
    for (file, place) in files {
        if readable::by_everybody(&file) {
            let what =
                format!("everybody on this machine can read this password: {}", file.display());
            let mend = "chown root and chmod 600 the file; httpd reads it as root";
            findings.push(Finding::warning(place, what, mend));
        }
    }
    for line in
        ["WsRouteResolver", "WsRouteUpstream", "WsRouteSession"].iter().flat_map(|n| lines(site, n))
    {
        for file in secret_files(line) {
            let file = Path::new(&file);
            if readable::by_everybody(file) {
                let what = format!("everybody on this machine can read {}", file.display());
                let mend = "chmod 640 it, with httpd's Group as its group";
                findings.push(Finding::warning(&line.place, what, mend));
            }
        }
    }
    findings
}

fn lines<'c>(site: &Site<'c>, name: &str) -> Vec<&'c Directive> {
    let sections = site.sections().into_iter();
    sections.flat_map(|(_, section)| section.all(name).collect::<Vec<_>>()).collect()
}

/// `USER:PASSWORD` of `RequestHeader set Authorization "Basic ..."`.
fn basic(line: &Directive) -> Option<String> {
    let words = line.words();
    let [action, header, value, ..] = words.as_slice() else { return None };
    let sets = !action.eq_ignore_ascii_case("unset");
    let header = header.trim_end_matches(':');
    if !sets || !header.eq_ignore_ascii_case("Authorization") {
        return None;
    }
    let (kind, code) = value.trim_start_matches("expr=").split_once(' ')?;
    let code = if kind.eq_ignore_ascii_case("basic") { code.trim() } else { return None };
    String::from_utf8(STANDARD.decode(code).ok()?).ok()
}

/// `postgres://user:password@host/db`, `password=...` that is no `file:`.
fn has_password(word: &str) -> bool {
    if let Some(value) = word.strip_prefix("password=") {
        return !value.starts_with("file:") && !value.starts_with("env:");
    }
    let authority = word.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':') && !user.ends_with(':'))
}

/// Files that hold keys and passwords.
fn secret_files(line: &Directive) -> Vec<String> {
    let words = line.words();
    let mut files = Vec::new();
    for word in &words {
        let Some((name, value)) = word.split_once('=') else { continue };
        if let Some(file) = value.strip_prefix("file:")
            && ["password", "secret", "key"].contains(&name)
        {
            files.push(file.to_owned());
        } else if name == "key" && line.is("WsRouteUpstream") {
            files.push(value.to_owned());
        }
    }
    let is_table = line.is("WsRouteResolver") && words.get(1).is_some_and(|kind| kind == "file");
    if let (true, Some(file)) = (is_table, words.get(2)) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.lines().any(|l| !l.trim_start().starts_with('#') && l.contains(" password=")) {
            files.push(file.clone());
        }
    }
    files
}
