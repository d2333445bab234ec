//! The arguments of a directive, as words. As httpd's own `ap_getword_conf`, and an option's
//! value may be quoted too: `query="SELECT host, port FROM t"`.

/// Splits at blanks. A word, or what follows `name=`, may stand in double or single quotes; inside
/// them a backslash takes the quote (and itself) literally.
///
/// # Errors
/// A quote without its end.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut word = String::new();
        while let Some(c) = rest.chars().next().filter(|c| !c.is_whitespace()) {
            if matches!(c, '"' | '\'') && (word.is_empty() || is_option(&word)) {
                rest = quoted(&rest[1..], c, &mut word)
                    .ok_or_else(|| format!("a {c} has no end after: {word}"))?;
                if rest.starts_with(|c: char| !c.is_whitespace()) {
                    return Err(format!("a blank is missing after: {word}"));
                }
                break;
            }
            word.push(c);
            rest = &rest[c.len_utf8()..];
        }
        words.push(word);
        rest = rest.trim_start();
    }
    Ok(words)
}

/// `name=`
fn is_option(word: &str) -> bool {
    let name = word.strip_suffix('=').unwrap_or_default();
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// Takes the text up to the closing quote; gives what follows it.
fn quoted<'a>(text: &'a str, quote: char, word: &mut String) -> Option<&'a str> {
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => match chars.next_if(|(_, next)| *next == quote || *next == '\\') {
                Some((_, next)) => word.push(next),
                None => word.push('\\'),
            },
            c if c == quote => return Some(&text[i + 1..]),
            c => word.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quotes() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  a  b\tc ", &["a", "b", "c"]),
            ("\"a b\" 'c \"d\"' e", &["a b", "c \"d\"", "e"]),
            (r#""say \"x\" \\ \d""#, &[r#"say "x" \ \d"#]),
            ("query=\"SELECT a, b\" ttl=2s", &["query=SELECT a, b", "ttl=2s"]),
            ("x='a b'", &["x=a b"]),
            (r#"^[^"]+ "" b"#, &[r#"^[^"]+"#, "", "b"]),
            (r"^desktop-([^.]+)\.", &[r"^desktop-([^.]+)\."]),
            ("header=\"X-Key: ä b\"", &["header=X-Key: ä b"]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text).unwrap(), *expected, "{text}");
        }
        assert!(words("a \"b c").unwrap_err().contains("no end"));
        assert!(words("\"a\"b").unwrap_err().contains("blank is missing"));
    }
}
