//! The lines of a token file: `key target [name=value...]`, or websockify's `token: host:port`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use crate::route::answer::Answer;
use crate::route::resolver::ResolveError;

/// What may follow the target.
const FIELDS: [&str; 10] =
    ["scheme", "path", "owner", "state", "expires", "username", "password", "pin", "headers", "id"];

/// The answers of some files, and what is wrong with the lines that were passed over.
#[derive(Debug, Default)]
pub struct Lines {
    /// By key.
    pub answers: HashMap<String, Answer>,
    /// One line each, with file and line number.
    pub warnings: Vec<String>,
}

impl Lines {
    /// Adds what the file `path` says. A key that is there already keeps its answer.
    pub fn add(&mut self, bytes: &[u8], path: &Path) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (at, line) in bytes.split(|&b| b == b'\n').enumerate() {
            let parsed = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned());
            let reason = match parsed.and_then(parse_line) {
                Ok(None) => continue,
                Ok(Some((key, answer))) => match self.answers.entry(key) {
                    Entry::Vacant(slot) => {
                        slot.insert(answer);
                        continue;
                    }
                    Entry::Occupied(slot) => format!("key {:?} is there already", slot.key()),
                },
                Err(reason) => reason,
            };
            self.warnings.push(format!("{}:{}: {reason}", path.display(), at + 1));
        }
    }
}

/// One line; `None` if it is blank or a comment.
fn parse_line(line: &str) -> Result<Option<(String, Answer)>, String> {
    let words = words(line)?;
    let Some((key, rest)) = words.split_first() else { return Ok(None) };
    let key = key.strip_suffix(':').unwrap_or(key);
    let Some((target, options)) = rest.split_first() else {
        return Err("no target".into());
    };
    if key.is_empty() {
        return Err("no key".into());
    }
    // websockify: "token: unix_socket:/path".
    let target = match target.strip_prefix("unix_socket:") {
        Some(path) => format!("ws+unix:{path}"),
        None => target.clone(),
    };
    let mut fields = vec![("target", target)];
    for option in options {
        let (name, value) = option.split_once('=').ok_or("an option without =")?;
        if !FIELDS.contains(&name) {
            return Err(format!("unknown option {name:?}"));
        }
        fields.push((name, value.to_owned()));
    }
    match Answer::from_fields(fields, false) {
        Ok(Some(answer)) => Ok(Some((key.to_owned(), answer))),
        Ok(None) => Err("no target".into()),
        Err(ResolveError::Malformed(reason)) => Err(reason),
        Err(e) => Err(e.to_string()),
    }
}

/// Splits at blanks. Double quotes hold blanks together (`\"` and `\\` inside them); a word that
/// begins with `#` begins a comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => match chars.next() {
                Some(c @ ('"' | '\\')) => word.get_or_insert_default().push(c),
                Some(c) => word.get_or_insert_default().extend(['\\', c]),
                None => {}
            },
            '#' if word.is_none() => break,
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    if quoted {
        return Err("quote without end".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> (HashMap<String, Answer>, Vec<String>) {
        let mut lines = Lines::default();
        lines.add(bytes, Path::new("/d"));
        (lines.answers, lines.warnings)
    }

    const TEXT: &str = r#"# desktops
alice   10.0.0.5:6901 owner=alice@example.org  # her own
bob     wss://10.0.0.6/vnc password="two words" headers="X-A: \"b\""
tok1: 10.0.0.7:5900
tok2: unix_socket:/run/tok2.sock
tok3:	[::1]:5900
"a key" [::1]:5901

nobody
bad     10.0.0.5
worse   10.0.0.5:1 colour=red
worst   10.0.0.5:1 owner
open    10.0.0.5:1 id="x
alice   10.0.0.9:6901
"#;

    #[test]
    fn lines() {
        let (answers, warnings) = parse(TEXT.as_bytes());
        let target = |key: &str| answers[key].target.as_ref().unwrap().to_string();
        assert_eq!(answers.len(), 6);
        assert_eq!(target("alice"), "ws://10.0.0.5:6901");
        assert_eq!(answers["alice"].owner.as_deref(), Some("alice@example.org"));
        assert_eq!(target("bob"), "wss://10.0.0.6:443/vnc");
        assert_eq!(answers["bob"].password.as_deref(), Some("two words"));
        assert_eq!(answers["bob"].headers, [("X-A".to_owned(), "\"b\"".to_owned())]);
        assert_eq!(target("tok1"), "ws://10.0.0.7:5900");
        assert_eq!(target("tok2"), "ws+unix:/run/tok2.sock");
        assert_eq!(target("tok3"), "ws://[::1]:5900");
        assert_eq!(target("a key"), "ws://[::1]:5901");
        assert_eq!(
            warnings,
            [
                "/d:9: no target",
                "/d:10: target \"10.0.0.5\": no port",
                "/d:11: unknown option \"colour\"",
                "/d:12: an option without =",
                "/d:13: quote without end",
                "/d:14: key \"alice\" is there already",
            ]
        );
    }

    #[test]
    fn odd_bytes() {
        let (answers, warnings) = parse(b"\xef\xbb\xbfa h:1\r\n\xff h:1\nb h:2\0\nc h:3");
        let mut keys: Vec<_> = answers.keys().collect();
        keys.sort();
        assert_eq!(keys, ["a", "c"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }
}
