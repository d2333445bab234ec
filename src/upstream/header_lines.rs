//! The header lines of a request that is being put together.

use super::header_name::canonical;
use super::policy::is_token;

/// Header lines in order, names in canonical spelling.
#[derive(Default)]
pub struct Lines(Vec<(String, Vec<u8>)>);

impl Lines {
    /// One more line at the end.
    pub fn push(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((canonical(name), value.into()));
    }

    /// One more line before all others.
    pub fn push_front(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.insert(0, (canonical(name), value.into()));
    }

    /// The values of all lines of the header `name` (any case), in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice())
    }

    /// Without the lines of the header `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// One line with this value, where the first such line stood, else at the end.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let place = self.0.iter().position(|(n, _)| n.eq_ignore_ascii_case(name));
        self.remove(name);
        self.0.insert(place.unwrap_or(self.0.len()), (canonical(name), value.into()));
    }

    /// Makes one line of several.
    pub fn join(&mut self, name: &str, separator: &[u8]) {
        let values: Vec<&[u8]> = self.values(name).collect();
        if values.len() > 1 {
            let joined = values.join(separator);
            self.set(name, joined);
        }
    }

    /// Adds an item to a list, which becomes one line.
    pub fn append(&mut self, name: &str, item: &[u8]) {
        let values: Vec<&[u8]> = self.values(name).chain([item]).collect();
        let joined = values.join(&b", "[..]);
        self.set(name, joined);
    }

    /// Each name once, the values of several lines as one list.
    pub fn into_single(mut self) -> Vec<(String, Option<Vec<u8>>)> {
        let names: Vec<String> = self.0.iter().map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.join(name, b", "));
        self.0.into_iter().map(|(name, value)| (name, Some(value))).collect()
    }

    /// The whole head of a GET request.
    ///
    /// # Errors
    /// A name that is no token, or a CR, LF or NUL in a value.
    pub fn write(&self, uri: &str) -> Result<Vec<u8>, String> {
        let mut head = format!("GET {uri} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &self.0 {
            if !is_token(name) || value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
                return Err(format!("the header {name:?} cannot be sent"));
            }
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept() {
        let mut lines = Lines::default();
        for (name, value) in [("a", "1"), ("b", "2"), ("A", "3"), ("c", "4"), ("C", "5")] {
            lines.push(name, value);
        }
        lines.set("a", "x");
        lines.append("b", b"y");
        lines.append("d", b"z");
        lines.join("c", b"; ");
        lines.push_front("e", "0");
        lines.remove("none");
        let head = String::from_utf8(lines.write("/").unwrap()).unwrap();
        assert_eq!(head, "GET / HTTP/1.1\r\nE: 0\r\nA: x\r\nB: 2, y\r\nC: 4; 5\r\nD: z\r\n\r\n");
    }
}
