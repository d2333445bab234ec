//! Every relative link and its anchor.

use super::{documents, prose, read, root};
use std::path::{Component, Path, PathBuf};

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        for link in links(&prose(&document.text)) {
            if let Err(why) = follow(&document.name, &link) {
                broken.push(format!("{}: {link}: {why}", document.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The targets of `[text](target)` that are not on the web.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

fn follow(from: &str, link: &str) -> Result<(), &'static str> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(f, a)| (f, Some(a)));
    let name = match file {
        "" => from.to_owned(),
        _ => beside(from, file).display().to_string(),
    };
    if !root().join(&name).exists() {
        return Err("no such file");
    }
    match anchor {
        Some(anchor) if !anchors(&read(&name)).iter().any(|a| a == anchor) => {
            Err("no such heading")
        }
        _ => Ok(()),
    }
}

/// The path of `file` as the document `from` means it.
fn beside(from: &str, file: &str) -> PathBuf {
    let mut path = PathBuf::new();
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir => {
                assert!(path.pop(), "{from}: {file} leads out of the repository")
            }
            part => path.push(part),
        }
    }
    path
}

/// The anchors that GitHub gives to the headings of a document.
fn anchors(text: &str) -> Vec<String> {
    let text = prose(text);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn anchors_are_those_of_github() {
    let text = "# How it works\n```\n# not one\n```\n### `WsRoute`, and 101!\n## drain=";
    assert_eq!(anchors(text), ["how-it-works", "wsroute-and-101", "drain"]);
}
