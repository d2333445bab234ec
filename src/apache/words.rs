//! Words of a line as httpd's `ap_getword_conf` takes them. It lets pass what [`crate::words`]
//! refuses in our own directives: a quote without its end, text right behind a quote.

/// Splits at blanks. A word may stand in double or single quotes; inside them a backslash takes
/// the quote literally, and two backslashes are one everywhere.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(&first) = chars.peek() else { return words };
        let quote = chars.next_if(|c| matches!(c, '"' | '\'')).map(|_| first);
        let mut word = String::new();
        while let Some(c) = chars.next() {
            if Some(c) == quote {
                break;
            }
            let escaped = |next: &char| *next == '\\' || Some(*next) == quote;
            match (c, quote) {
                ('\\', _) => word.push(chars.next_if(escaped).unwrap_or('\\')),
                (c, _) => word.push(c),
            }
            if quote.is_none() && chars.peek().is_none_or(|c| c.is_whitespace()) {
                break;
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_line() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" a  b\tc ", &["a", "b", "c"]),
            ("\"a b\" 'c \"d\"'", &["a b", "c \"d\""]),
            (r#""say \"x\" \d" \\ \."#, &[r#"say "x" \d"#, r"\", r"\."]),
            ("\"\" a", &["", "a"]),
            ("\"a b", &["a b"]),
            ("\"a\"b", &["a", "b"]),
            (r#"a"b c"#, &[r#"a"b"#, "c"]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text), *expected, "{text}");
        }
    }
}
