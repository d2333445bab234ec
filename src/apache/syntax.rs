//! The text of a configuration file: lines, continuation, comments, sections in sections. What a
//! directive means is not known here.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::words::words;

/// A line in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was opened.
    pub file: Arc<Path>,
    /// The line that the directive begins in, from 1.
    pub line: usize,
}

/// `FILE:LINE`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What is wrong with a line, or (line 0) with a file as such; one lower-case line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, and what to write instead.
    pub text: String,
}

/// `FILE:LINE: TEXT`; of a file as such the text, which names it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.line {
            0 => write!(f, "{}", self.text),
            _ => write!(f, "{}: {}", self.place, self.text),
        }
    }
}

/// One directive, or a section with what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// As it was written; a section's without `<`.
    pub name: String,
    /// The rest of the line; a section's without `>`.
    pub args: String,
    /// Where it begins.
    pub place: Place,
    /// `None`: no section.
    pub children: Option<Vec<Directive>>,
}

impl Directive {
    /// It is called `name`, in any case. A section only if `name` begins with `<`.
    pub fn is(&self, name: &str) -> bool {
        match name.strip_prefix('<') {
            Some(name) => self.children.is_some() && self.name.eq_ignore_ascii_case(name),
            None => self.children.is_none() && self.name.eq_ignore_ascii_case(name),
        }
    }

    /// The arguments, as httpd takes words out of a line.
    pub fn words(&self) -> Vec<String> {
        words(&self.args)
    }

    /// The first argument is `on`.
    pub fn is_on(&self) -> bool {
        self.words().first().is_some_and(|word| word.eq_ignore_ascii_case("on"))
    }

    /// What stands in this section; nothing in a directive.
    pub fn inner(&self) -> &[Directive] {
        self.children.as_deref().unwrap_or(&[])
    }
}

/// As it would be written, without what stands in it.
impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blank = if self.args.is_empty() { "" } else { " " };
        match self.children {
            Some(_) => write!(f, "<{}{blank}{}>", self.name, self.args),
            None => write!(f, "{}{blank}{}", self.name, self.args),
        }
    }
}

/// Takes `text` apart.
///
/// # Errors
/// A section that is not closed, or closed and not open.
pub fn parse(file: &Arc<Path>, text: &str) -> Result<Vec<Directive>, Problem> {
    let mut open: Vec<Directive> = Vec::new();
    let mut top = Vec::new();
    for (line, text) in logical_lines(text) {
        let place = Place { file: file.clone(), line };
        let wrong = |text: String| Problem { place: place.clone(), text };
        if let Some(name) = text.strip_prefix("</") {
            let name = name.strip_suffix('>').map(str::trim_end);
            let name =
                name.ok_or_else(|| wrong(format!("{text} has no closing >, use {text}>")))?;
            let Some(section) = open.pop() else {
                return Err(wrong(format!("</{name}> closes no section")));
            };
            if !section.name.eq_ignore_ascii_case(name) {
                let (opened, at) = (&section.name, section.place.line);
                return Err(wrong(format!(
                    "</{name}> stands where <{opened}> of line {at} is open, use </{opened}>"
                )));
            }
            open.last_mut().and_then(|s| s.children.as_mut()).unwrap_or(&mut top).push(section);
        } else if let Some(section) = text.strip_prefix('<') {
            let end = section
                .rfind('>')
                .ok_or_else(|| wrong(format!("{text} has no closing >, use {text}>")))?;
            let (name, args) = split_name(&section[..end]);
            open.push(Directive { name, args, place, children: Some(Vec::new()) });
        } else {
            let (name, args) = split_name(&text);
            let directive = Directive { name, args, place, children: None };
            open.last_mut().and_then(|s| s.children.as_mut()).unwrap_or(&mut top).push(directive);
        }
    }
    match open.pop() {
        None => Ok(top),
        Some(Directive { name, place, .. }) => {
            Err(Problem { place, text: format!("<{name}> is not closed, use </{name}>") })
        }
    }
}

fn split_name(text: &str) -> (String, String) {
    match text.split_once(char::is_whitespace) {
        Some((name, args)) => (name.to_owned(), args.trim().to_owned()),
        None => (text.to_owned(), String::new()),
    }
}

/// Trimmed lines with the number of their first one; a backslash at the end joins the next line,
/// in comments too. Blank lines and comments are left out.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (at, first) = lines.next()?;
        let mut joined = first.to_owned();
        while let Some(kept) = joined.strip_suffix('\\').map(str::to_owned) {
            joined = kept;
            let Some((_, more)) = lines.next() else { break };
            joined.push_str(more);
        }
        Some((at + 1, joined.trim().to_owned()))
    })
    .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Directive>, String> {
        parse(&Arc::from(Path::new("f")), text).map_err(|p| p.to_string())
    }

    /// `NAME ARGS@LINE`, sections with their inside in braces.
    fn shown(directives: &[Directive]) -> String {
        let one = |d: &Directive| match &d.children {
            None => format!("{d}@{}", d.place.line),
            Some(inner) => format!("{d}@{}{{{}}}", d.place.line, shown(inner)),
        };
        directives.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_and_sections() {
        let table = [
            ("", ""),
            ("# a\\\nb\n c d ", "c d@3"),
            ("A b \\\n  c\nD", "A b   c@1 D@3"),
            ("A \\", "A@1"),
            ("A\r\nB\r\n", "A@1 B@2"),
            ("<L \"/a b\">\nX\n</l>", "<L \"/a b\">@1{X@2}"),
            ("<If \"%{A} > 1\" >\n</If>", "<If \"%{A} > 1\">@1{}"),
            ("<A>\n<B c>\nX 1\n</B>\n</A>\nY", "<A>@1{<B c>@2{X 1@3}} Y@6"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(&read(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn unbalanced_sections() {
        let table = [
            ("<A>\n<B>\n</A>", "f:3: </A> stands where <B> of line 2 is open, use </B>"),
            ("X\n<A>\nY", "f:2: <A> is not closed, use </A>"),
            ("</A>", "f:1: </A> closes no section"),
            ("<A b", "f:1: <A b has no closing >, use <A b>"),
            ("<A>\n</A", "f:2: </A has no closing >, use </A>"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }
}
