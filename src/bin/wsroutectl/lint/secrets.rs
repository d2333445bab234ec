//! Passwords: those that everybody knows, and those that everybody on this machine can read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mod_wsroute::apache::{Config, Directive, Place};

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
    let mut files: BTreeMap<Arc<Path>, Place> = BTreeMap::new();
    let headers = lines(site, "RequestHeader").into_iter();
    let headers = headers.filter_map(|line| Some((line, code_of_basic(line)?)));
    let locators = lines(site, "WsRouteResolver").into_iter();
    let locators = locators.flat_map(|line| {
        line.words().iter().filter_map(|w| password(w)).map(|p| (line, p)).collect::<Vec<_>>()
    });
    for (line, secret) in headers.chain(locators) {
        for place in written_at(site.config, line, &secret) {
            let first = files.entry(place.file.clone()).or_insert_with(|| place.clone());
            if place < *first {
                *first = place;
            }
        }
    }
    for (file, place) in files {
        if readable::by_everybody(&file) {
            let what =
                format!("everybody on this machine can read this password: {}", file.display());
            let mend = "chown root and chmod 600 the file; httpd reads it as root";
            findings.push(Finding::warning(&place, what, mend));
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

/// Where `secret`, which `line` has, is written: in `line`, or in the `Define` of a variable that
/// it uses. Nowhere, if it comes from the environment.
fn written_at(config: &Config, line: &Directive, secret: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for file in &config.files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().zip(1..).find(|(written, number)| {
            let own = *file == line.place.file && *number >= line.place.line;
            let first = written.split_whitespace().next().unwrap_or_default();
            written.contains(secret) && (own || first.eq_ignore_ascii_case("define"))
        });
        places.extend(found.map(|(_, line)| Place { file: file.clone(), line }));
    }
    places
}

/// `USER:PASSWORD` of `RequestHeader set Authorization "Basic ..."`.
fn basic(line: &Directive) -> Option<String> {
    String::from_utf8(STANDARD.decode(code_of_basic(line)?).ok()?).ok()
}

/// What stands behind `Basic`.
fn code_of_basic(line: &Directive) -> Option<String> {
    let words = line.words();
    let [action, header, value, ..] = words.as_slice() else { return None };
    let sets = !action.eq_ignore_ascii_case("unset");
    let header = header.trim_end_matches(':');
    if !sets || !header.eq_ignore_ascii_case("Authorization") {
        return None;
    }
    let (kind, code) = value.trim_start_matches("expr=").split_once(' ')?;
    (kind.eq_ignore_ascii_case("basic") && !code.contains("${")).then(|| code.trim().to_owned())
}

/// Of `postgres://user:password@host/db`, or of `password=...` that is no `file:`.
fn password(word: &str) -> Option<String> {
    if let Some(value) = word.strip_prefix("password=") {
        let elsewhere = ["file:", "env:"].iter().any(|kind| value.starts_with(kind));
        return (!elsewhere && !value.is_empty()).then(|| value.to_owned());
    }
    let authority = word.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
    let (user, _) = authority?.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then(|| password.to_owned())
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
