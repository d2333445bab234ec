//! Texts with placeholders, in locators and options: `desktop:{key}`.

use super::Query;
use super::bind::Bind;

/// A text with `{key}`, `{user}`, `{host}`, `{path}` or `{client}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Bind),
}

impl Pattern {
    /// Cuts a text at its placeholders.
    ///
    /// # Errors
    /// An unknown placeholder, or a brace that belongs to none, as one line.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let placeholder = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let (name, after) = placeholder.ok_or_else(|| format!("a stray brace in {text:?}"))?;
            let bind = Bind::parse(name).ok_or_else(|| {
                format!(
                    "unknown {{{name}}}, use {{key}}, {{user}}, {{host}}, {{path}} or {{client}}"
                )
            })?;
            parts.push(Part::Value(bind));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Pattern { parts })
    }

    /// The values it holds, in order.
    pub fn binds(&self) -> impl Iterator<Item = Bind> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value(bind) => Some(*bind),
        })
    }

    /// There is no placeholder in it.
    pub fn is_fixed(&self) -> bool {
        self.binds().next().is_none()
    }

    /// The text with its values, each as `encode` writes it. `None` if a value is missing (nobody
    /// is logged in) or empty: what is asked then is not what the administrator wrote.
    pub fn expand(&self, query: &Query, encode: impl Fn(&str) -> String) -> Option<String> {
        let mut expanded = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => expanded.push_str(text),
                Part::Value(bind) => {
                    let value = bind.value(query).filter(|value| !value.is_empty())?;
                    expanded.push_str(&encode(&value));
                }
            }
        }
        Some(expanded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let query = Query { key: "k".into(), host: "h".into(), ..Query::default() };
        let table = [
            ("", Some("")),
            ("a", Some("a")),
            ("{key}", Some("k")),
            ("a:{key}{host}:b", Some("a:kh:b")),
            ("{user}:{key}", None),
        ];
        for (text, expected) in table {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(pattern.expand(&query, str::to_owned).as_deref(), expected, "{text}");
        }
        for (text, error) in [
            ("{Key}", "unknown {Key}, use {key}"),
            ("{}", "unknown {}"),
            ("{tail}", "unknown {tail}"),
            ("{key", "a stray brace"),
            ("key}", "a stray brace"),
            ("{{key}}", "unknown {{key}"),
        ] {
            let got = Pattern::parse(text).unwrap_err();
            assert!(got.contains(error), "{text}: {got}");
        }
    }
}
