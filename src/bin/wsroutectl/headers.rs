//! Header lines of a request as the options give them.

/// Header lines in their order.
pub type Headers = Vec<(String, String)>;

/// `Name: value`
///
/// # Errors
/// Something else.
pub fn parse(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("use \"Name: value\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// The browser's headers with the given ones in place of those of the same name; without the empty
/// ones.
pub fn complete<'a>(
    usual: impl IntoIterator<Item = (&'a str, String)>,
    given: &[(String, String)],
) -> Headers {
    let is_given = |name: &str| given.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let usual = usual.into_iter().map(|(name, value)| (name.to_owned(), value));
    let kept = usual.filter(|(name, _)| !is_given(name));
    kept.chain(given.iter().cloned()).filter(|(_, value)| !value.is_empty()).collect()
}

/// The first value of a header, or nothing.
pub fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    let mut same = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    same.next().map_or("", |(_, value)| value)
}
