//! What `<Location>`, `<Directory>`, `<Files>` and `Include` compare with: text, wildcards,
//! regular expressions.

use regex::{Regex, RegexBuilder};

/// What a section names.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// As it stands.
    Text(String),
    /// With `*`, `?` or `[...]`, which do not match a slash.
    Wildcard(String, Regex),
    /// A regular expression.
    Regex(String, Regex),
    /// A regular expression that only httpd's PCRE understands (look-around, back-references).
    Unknown(String),
}

impl Pattern {
    /// Text or wildcards.
    pub fn new(text: &str) -> Pattern {
        match text.contains(['*', '?', '[']) {
            true => match wildcard(text) {
                Some(regex) => Pattern::Wildcard(text.to_owned(), regex),
                None => Pattern::Unknown(text.to_owned()),
            },
            false => Pattern::Text(text.to_owned()),
        }
    }

    /// A regular expression.
    pub fn regex(text: &str) -> Pattern {
        match Regex::new(text) {
            Ok(regex) => Pattern::Regex(text.to_owned(), regex),
            Err(_) => Pattern::Unknown(text.to_owned()),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        match self {
            Pattern::Text(text)
            | Pattern::Wildcard(text, _)
            | Pattern::Regex(text, _)
            | Pattern::Unknown(text) => text,
        }
    }

    /// It is matched, not compared.
    pub fn is_regex(&self) -> bool {
        matches!(self, Pattern::Regex(..) | Pattern::Unknown(_))
    }

    /// The whole of `text` is this; a regular expression may match any part.
    pub fn is(&self, text: &str) -> bool {
        match self {
            Pattern::Text(own) => own == text,
            Pattern::Wildcard(_, regex) | Pattern::Regex(_, regex) => regex.is_match(text),
            Pattern::Unknown(_) => false,
        }
    }

    /// As [`Pattern::is`], and text also covers what lies below it: `/a` covers `/a` and `/a/b`,
    /// not `/ab`.
    pub fn covers(&self, path: &str) -> bool {
        match self {
            Pattern::Text(own) => is_below(path, own),
            _ => self.is(path),
        }
    }

    /// A path that this covers, the simplest one that can be found.
    pub fn sample(&self) -> Option<String> {
        let plain = match self {
            Pattern::Text(text) => return Some(text.clone()),
            Pattern::Wildcard(text, _) => text.replace(['*', '?'], "x"),
            Pattern::Regex(text, _) => simplest_match(text),
            Pattern::Unknown(_) => return None,
        };
        let endings = ["", "x", "/", "/x", "/x/x", "/x/websockify", "/websockify"];
        let mut tries = endings.iter().map(|ending| format!("{plain}{ending}"));
        tries.find(|path| path.starts_with('/') && self.is(path))
    }
}

/// `path` is `prefix` or lies below it.
pub fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| {
        prefix.is_empty() || prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')
    })
}

/// Names with `*`, `?` and `[...]` as a regular expression.
pub fn wildcard(text: &str) -> Option<Regex> {
    let mut regex = String::from("^");
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                let (class, rest) = chars.as_str().split_once(']')?;
                let class = class.replace('\\', "\\\\").replace('[', "\\[");
                let class = class.strip_prefix('!').map_or(class.clone(), |c| format!("^{c}"));
                regex.push_str(&format!("[{class}]"));
                chars = rest.chars();
            }
            '\\' => regex.push_str(&regex::escape(&chars.next()?.to_string())),
            c => regex.push_str(&regex::escape(&c.to_string())),
        }
    }
    RegexBuilder::new(&(regex + "$")).build().ok()
}

/// A guess at a text that the regular expression matches: groups become `x`, what is optional or
/// repeated goes. The caller tries it.
fn simplest_match(regex: &str) -> String {
    let mut text = String::new();
    let mut chars = regex.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '^' | '$' => {}
            '(' => {
                skip_group(&mut chars, '(', ')');
                text.push('x');
            }
            '[' => {
                skip_group(&mut chars, '[', ']');
                text.push('x');
            }
            '.' => text.push('x'),
            '?' | '*' => {
                text.pop();
            }
            '+' => {}
            '|' => break,
            '\\' => text.extend(chars.next().map(|c| if c.is_alphanumeric() { 'x' } else { c })),
            c => text.push(c),
        }
    }
    match text.starts_with('/') {
        true => text,
        false => format!("/{text}"),
    }
}

fn skip_group(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, open: char, close: char) {
    let mut depth = 1;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            c if c == close => depth -= 1,
            c if c == open && open == '(' => depth += 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage() {
        let table = [
            (Pattern::new("/"), "/a", true),
            (Pattern::new("/a"), "/a", true),
            (Pattern::new("/a"), "/a/b", true),
            (Pattern::new("/a"), "/ab", false),
            (Pattern::new("/a/"), "/a", false),
            (Pattern::new("/a/"), "/a/b", true),
            (Pattern::new("/a*"), "/abc", true),
            (Pattern::new("/a*"), "/a/b", false),
            (Pattern::new("/[ab]?"), "/bx", true),
            (Pattern::new("/[!ab]"), "/b", false),
            (Pattern::new("^/a"), "/a", false),
            (Pattern::regex("^/a"), "/abc", true),
            (Pattern::regex("(?<!x)a"), "a", false),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(pattern.covers(path), expected, "{pattern:?} {path}");
        }
    }

    #[test]
    fn samples() {
        let table = [
            (Pattern::new("/desktop/"), Some("/desktop/")),
            (Pattern::new("/d/*/ws"), Some("/d/x/ws")),
            (Pattern::regex("^/desktop/([^/]+)/websockify$"), Some("/desktop/x/websockify")),
            (Pattern::regex("^/?(.*)"), Some("/x")),
            (Pattern::regex(r"^/[a-z]+\.ws"), Some("/x.ws")),
            (Pattern::regex("websockify$"), Some("/websockify")),
            (Pattern::regex("^/(a|b)/"), None),
            (Pattern::regex("(?=x)"), None),
        ];
        for (pattern, expected) in table {
            assert_eq!(pattern.sample().as_deref(), expected, "{pattern:?}");
        }
    }
}
