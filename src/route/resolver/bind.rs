//! `:key` in a query becomes a bound parameter: the value never becomes SQL.

use super::Query;

/// A value a query may bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// `:key`
    Key,
    /// `:user`; NULL if nobody is logged in.
    User,
    /// `:host`
    Host,
    /// `:path`
    Path,
    /// `:client`
    Client,
}

/// A query with numbered parameters (`?1`, `?2`) and what is bound to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundQuery {
    /// The SQL that is prepared.
    pub sql: String,
    /// The binds, `?1` first, each once.
    pub binds: Vec<Bind>,
}

impl Bind {
    fn parse(name: &str) -> Option<Bind> {
        Some(match name {
            "key" => Bind::Key,
            "user" => Bind::User,
            "host" => Bind::Host,
            "path" => Bind::Path,
            "client" => Bind::Client,
            _ => return None,
        })
    }

    /// The value in `query`.
    pub fn value(self, query: &Query) -> Option<String> {
        match self {
            Bind::Key => Some(query.key.clone()),
            Bind::User => query.user.clone(),
            Bind::Host => Some(query.host.clone()),
            Bind::Path => Some(query.path.clone()),
            Bind::Client => Some(query.client.clone()),
        }
    }
}

impl BoundQuery {
    /// Translates `:name` to numbered parameters; string literals, quoted identifiers, comments
    /// and `::` are left alone.
    ///
    /// # Errors
    /// An unknown name, another kind of parameter (it would be NULL), a second statement, a
    /// literal without end, or no bind at all, as one line.
    pub fn parse(query: &str) -> Result<BoundQuery, String> {
        let mut bound = BoundQuery { sql: String::new(), binds: Vec::new() };
        let mut rest = query;
        let mut ended = false;
        while let Some(c) = rest.chars().next() {
            let skip = opaque(rest)?;
            let blank = c.is_whitespace() || rest.starts_with("--") || rest.starts_with("/*");
            if ended && !blank && c != ';' {
                return Err("query= has more than one statement, use one".into());
            }
            let taken = if let Some(length) = skip {
                bound.sql.push_str(&rest[..length]);
                length
            } else if rest.starts_with("::") {
                bound.sql.push_str("::");
                2
            } else if let Some(after) = rest.strip_prefix(':') {
                1 + bound.parameter(word(after))?
            } else if matches!(c, '?' | '@' | '$') {
                return Err(format!("query= has a {c:?}, use :key, :user, :host, :path, :client"));
            } else {
                // A word is taken whole: a $ inside a name is no parameter.
                let length = word(rest).len().max(c.len_utf8());
                ended |= c == ';';
                bound.sql.push_str(&rest[..length]);
                length
            };
            rest = &rest[taken..];
        }
        match bound.binds.is_empty() {
            true => Err("query= binds nothing, use :key (all requests would be the same)".into()),
            false => Ok(bound),
        }
    }

    /// Appends the parameter `name` and returns the length of the name.
    fn parameter(&mut self, name: &str) -> Result<usize, String> {
        let bind = Bind::parse(name).ok_or_else(|| {
            format!("unknown bind :{name} in query=, use :key, :user, :host, :path, :client")
        })?;
        let known = self.binds.iter().position(|b| *b == bind);
        let at = known.unwrap_or_else(|| {
            self.binds.push(bind);
            self.binds.len() - 1
        });
        self.sql.push_str(&format!("?{}", at + 1));
        Ok(name.len())
    }
}

/// The leading letters, digits, `_` and `$`, provided it does not begin with a `$`.
fn word(text: &str) -> &str {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    if text.starts_with('$') {
        return "";
    }
    &text[..text.find(|c| !part(c)).unwrap_or(text.len())]
}

/// The length of the literal, quoted identifier or comment that `text` begins with.
fn opaque(text: &str) -> Result<Option<usize>, String> {
    let end = |from: usize, mark: &str| text[from..].find(mark).map(|at| from + at + mark.len());
    let (length, what) = match text.as_bytes() {
        [b'-', b'-', ..] => (Some(end(2, "\n").unwrap_or(text.len())), ""),
        [b'/', b'*', ..] => (end(2, "*/"), "comment"),
        [b'\'', ..] => (quoted(text, '\''), "string"),
        [b'"', ..] => (quoted(text, '"'), "identifier"),
        [b'`', ..] => (quoted(text, '`'), "identifier"),
        [b'[', ..] => (end(1, "]"), "identifier"),
        _ => return Ok(None),
    };
    length.map(Some).ok_or_else(|| format!("{what} without end in query="))
}

/// The length of a quoted text; a doubled quote stands for itself.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find(quote)? + 1;
        if !text[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers() {
        use Bind::*;
        let table: &[(&str, &str, &[Bind])] = &[
            ("SELECT a FROM t WHERE n = :key", "SELECT a FROM t WHERE n = ?1", &[Key]),
            (":user=:key", "?1=?2", &[User, Key]),
            (":key :host :key :path :client", "?1 ?2 ?1 ?3 ?4", &[Key, Host, Path, Client]),
            ("(:key)", "(?1)", &[Key]),
            ("':user' :key", "':user' ?1", &[Key]),
            ("'it''s :user' || :key", "'it''s :user' || ?1", &[Key]),
            ("\":user\" `:user` [:user] :key", "\":user\" `:user` [:user] ?1", &[Key]),
            ("\"a\"\":user\" :key", "\"a\"\":user\" ?1", &[Key]),
            (":key -- it's :user\n, :host", "?1 -- it's :user\n, ?2", &[Key, Host]),
            (":key -- end", "?1 -- end", &[Key]),
            (":key /* it's :user */ = 1", "?1 /* it's :user */ = 1", &[Key]),
            (":key::text", "?1::text", &[Key]),
            ("a::text = :key", "a::text = ?1", &[Key]),
            ("a$b = :key", "a$b = ?1", &[Key]),
            ("'?' = :key;", "'?' = ?1;", &[Key]),
            ("é = :key ; -- done", "é = ?1 ; -- done", &[Key]),
        ];
        for (query, sql, binds) in table {
            let expected = BoundQuery { sql: (*sql).into(), binds: binds.to_vec() };
            assert_eq!(BoundQuery::parse(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn bad_queries() {
        for (query, text) in [
            ("", "binds nothing"),
            ("SELECT 1", "binds nothing"),
            ("':key'", "binds nothing"),
            (":name", "unknown bind :name"),
            (":keys", "unknown bind :keys"),
            (":Key", "unknown bind :Key"),
            (": key", "unknown bind :"),
            (":1", "unknown bind :1"),
            (":key = ?", "'?'"),
            (":key = ?1", "'?'"),
            (":key = @x", "'@'"),
            (":key = $x", "'$'"),
            ("':key", "string without end"),
            ("':key''", "string without end"),
            ("\":key", "identifier without end"),
            ("[:key", "identifier without end"),
            ("/* :key", "comment without end"),
            ("SELECT :key; DROP TABLE t", "more than one statement"),
            ("SELECT :key; 'x'", "more than one statement"),
        ] {
            let error = BoundQuery::parse(query).unwrap_err();
            assert!(error.contains(text), "{query}: {error}");
        }
    }
}
