//! `:key` in a query becomes a bound parameter: the value never becomes SQL.

use super::Query;

/// Whose SQL a query is written in: what is a string or a comment, and how a parameter looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite: `?1`.
    Sqlite,
    /// PostgreSQL: `$1`.
    Postgres,
    /// MySQL and MariaDB: `?`, by position.
    MySql,
}

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

/// A query with parameters in its dialect, and what is bound to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundQuery {
    /// The SQL that is prepared.
    pub sql: String,
    /// The binds, in the order of the parameters.
    pub binds: Vec<Bind>,
}

impl Bind {
    /// The bind called `name`: `key`, `user`, `host`, `path` or `client`.
    pub fn parse(name: &str) -> Option<Bind> {
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
    /// Translates `:name` to parameters; string literals, quoted identifiers, comments, `::` and
    /// `:=` are left alone.
    ///
    /// # Errors
    /// An unknown name, another kind of parameter (it would be NULL), a second statement, a
    /// literal without end, or no bind at all, as one line.
    pub fn parse(query: &str, dialect: Dialect) -> Result<BoundQuery, String> {
        let mut bound = BoundQuery { sql: String::new(), binds: Vec::new() };
        let mut rest = query;
        let mut ended = false;
        while let Some(c) = rest.chars().next() {
            let passage = Passage::at(rest, dialect)?;
            let blank = c.is_whitespace() || passage.as_ref().is_some_and(|p| p.is_comment);
            if ended && !blank && c != ';' {
                return Err("query= has more than one statement, use one".into());
            }
            let taken = if let Some(passage) = passage {
                bound.verbatim(rest, passage.length)
            } else if rest.starts_with("::") || rest.starts_with(":=") {
                bound.verbatim(rest, 2)
            } else if let Some(after) = rest.strip_prefix(':') {
                1 + bound.parameter(word(after), dialect)?
            } else if dialect.has_parameter(c) {
                return Err(refusal(c, dialect));
            } else {
                ended |= c == ';';
                // A word is taken whole: a $ inside a name is no parameter.
                bound.verbatim(rest, word(rest).len().max(c.len_utf8()))
            };
            rest = &rest[taken..];
        }
        match bound.binds.is_empty() {
            true => Err("query= binds nothing, use :key (all requests would be the same)".into()),
            false => Ok(bound),
        }
    }

    /// Appends the beginning of `text` and returns its length.
    fn verbatim(&mut self, text: &str, length: usize) -> usize {
        self.sql.push_str(&text[..length]);
        length
    }

    /// Appends the parameter `name` and returns the length of the name.
    fn parameter(&mut self, name: &str, dialect: Dialect) -> Result<usize, String> {
        let bind = Bind::parse(name).ok_or_else(|| {
            format!("unknown bind :{name} in query=, use :key, :user, :host, :path, :client")
        })?;
        let known = self.binds.iter().position(|b| *b == bind);
        // A parameter without a number is bound as often as it occurs.
        let known = known.filter(|_| dialect != Dialect::MySql);
        let at = known.unwrap_or_else(|| {
            self.binds.push(bind);
            self.binds.len() - 1
        });
        self.sql += &match dialect {
            Dialect::Sqlite => format!("?{}", at + 1),
            Dialect::Postgres => format!("${}", at + 1),
            Dialect::MySql => "?".to_owned(),
        };
        Ok(name.len())
    }
}

impl Dialect {
    /// `c` begins a parameter that nothing would be bound to.
    fn has_parameter(self, c: char) -> bool {
        match self {
            Dialect::Sqlite => matches!(c, '?' | '@' | '$'),
            Dialect::Postgres | Dialect::MySql => matches!(c, '?' | '$'),
        }
    }
}

fn refusal(c: char, dialect: Dialect) -> String {
    let operator = match (c, dialect) {
        ('?', Dialect::Postgres) => "; instead of the operator ? use jsonb_exists()",
        _ => "",
    };
    format!("query= has a {c:?}, use :key, :user, :host, :path, :client{operator}")
}

/// The leading letters, digits, `_` and `$`, provided it does not begin with a `$`.
fn word(text: &str) -> &str {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    if text.starts_with('$') {
        return "";
    }
    &text[..text.find(|c| !part(c)).unwrap_or(text.len())]
}

/// A literal, a quoted identifier or a comment: no parameter is looked for inside.
struct Passage {
    length: usize,
    is_comment: bool,
}

impl Passage {
    /// The one that `text` begins with.
    fn at(text: &str, dialect: Dialect) -> Result<Option<Passage>, String> {
        use Dialect::{MySql, Postgres, Sqlite};
        let (length, what) = match (text.as_bytes(), dialect) {
            ([b'-', b'-', ..], Sqlite | Postgres) | ([b'#', ..], MySql) => line(text),
            // --1 is a number there.
            ([b'-', b'-'], MySql) => line(text),
            ([b'-', b'-', next, ..], MySql) if next.is_ascii_whitespace() => line(text),
            ([b'/', b'*', ..], Postgres) => (nested_comment(text), "comment"),
            ([b'/', b'*', ..], _) => (through(text, 2, "*/"), "comment"),
            ([b'\'', ..], _) => (quoted(text, 0, dialect == MySql), "string"),
            ([b'E' | b'e', b'\'', ..], Postgres) => (quoted(text, 1, true), "string"),
            ([b'"', ..], MySql) => (quoted(text, 0, true), "string"),
            ([b'"', ..], _) | ([b'`', ..], Sqlite | MySql) => {
                (quoted(text, 0, false), "identifier")
            }
            ([b'[', ..], Sqlite) => (through(text, 1, "]"), "identifier"),
            ([b'$', ..], Postgres) => match dollar_quote(text) {
                Some(quote) => (through(text, quote.len(), quote), "string"),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let is_comment = what == "comment";
        match length {
            Some(length) => Ok(Some(Passage { length, is_comment })),
            None => Err(format!("{what} without end in query=")),
        }
    }
}

fn line(text: &str) -> (Option<usize>, &'static str) {
    (through(text, 0, "\n").or(Some(text.len())), "comment")
}

/// The length up to and with the first `mark` at or after `from`.
fn through(text: &str, from: usize, mark: &str) -> Option<usize> {
    text[from..].find(mark).map(|at| from + at + mark.len())
}

/// The length of a quoted text whose quote stands at `start`. A doubled quote stands for itself,
/// and so does one after a backslash if that `escapes`.
fn quoted(text: &str, start: usize, escapes: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if escapes => at += 2,
            byte if byte == bytes[start] && bytes.get(at + 1) == Some(&byte) => at += 2,
            byte if byte == bytes[start] => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of a comment with comments in it.
fn nested_comment(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    loop {
        match text.as_bytes().get(at..at + 2)? {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// `$$` or `$name$` at the beginning.
fn dollar_quote(text: &str) -> Option<&str> {
    let tag = text[1..].find('$').map(|end| &text[1..=end])?;
    let is_name = tag.chars().all(|c| c.is_alphanumeric() || c == '_');
    let begins_well = !tag.starts_with(|c: char| c.is_ascii_digit());
    (is_name && begins_well).then(|| &text[..tag.len() + 2])
}

#[cfg(test)]
mod tests {
    use super::Dialect::{MySql, Postgres, Sqlite};
    use super::*;

    #[test]
    fn names_become_parameters() {
        use Bind::*;
        let table: &[(Dialect, &str, &str, &[Bind])] = &[
            (Sqlite, "SELECT a FROM t WHERE n = :key", "SELECT a FROM t WHERE n = ?1", &[Key]),
            (Sqlite, ":user=:key", "?1=?2", &[User, Key]),
            (Sqlite, ":key :host :key :path :client", "?1 ?2 ?1 ?3 ?4", &[Key, Host, Path, Client]),
            (Sqlite, "(:key)", "(?1)", &[Key]),
            (Sqlite, "':user' :key", "':user' ?1", &[Key]),
            (Sqlite, "'it''s :user' || :key", "'it''s :user' || ?1", &[Key]),
            (Sqlite, "'a\\' :key", "'a\\' ?1", &[Key]),
            (Sqlite, "\":user\" `:user` [:user] :key", "\":user\" `:user` [:user] ?1", &[Key]),
            (Sqlite, "\"a\"\":user\" :key", "\"a\"\":user\" ?1", &[Key]),
            (Sqlite, ":key -- it's :user\n, :host", "?1 -- it's :user\n, ?2", &[Key, Host]),
            (Sqlite, ":key -- end", "?1 -- end", &[Key]),
            (Sqlite, ":key /* it's :user */ = 1", "?1 /* it's :user */ = 1", &[Key]),
            (Sqlite, "/* /* */ :key", "/* /* */ ?1", &[Key]),
            (Sqlite, ":key::text", "?1::text", &[Key]),
            (Sqlite, "a::text = :key", "a::text = ?1", &[Key]),
            (Sqlite, "a$b = :key", "a$b = ?1", &[Key]),
            (Sqlite, "'?' = :key;", "'?' = ?1;", &[Key]),
            (Sqlite, "é = :key ; -- done", "é = ?1 ; -- done", &[Key]),
            (Postgres, ":user = :key OR :user", "$1 = $2 OR $1", &[User, Key]),
            (Postgres, "id = :key::int", "id = $1::int", &[Key]),
            (Postgres, "'a\\' || :key", "'a\\' || $1", &[Key]),
            (Postgres, "E'a\\':user' || :key", "E'a\\':user' || $1", &[Key]),
            (Postgres, "e'it''s :user' || :key", "e'it''s :user' || $1", &[Key]),
            (Postgres, "typE'a\\' || :key", "typE'a\\' || $1", &[Key]),
            (Postgres, "$$:user$$ || :key", "$$:user$$ || $1", &[Key]),
            (Postgres, "$q$ $$ ; :user $q$ || :key", "$q$ $$ ; :user $q$ || $1", &[Key]),
            (Postgres, "a @> ARRAY[:key] AND b[1] = 1", "a @> ARRAY[$1] AND b[1] = 1", &[Key]),
            (Postgres, "/* /* :user */ :user */ :key", "/* /* :user */ :user */ $1", &[Key]),
            (Postgres, "a #>> '{b}' = :key", "a #>> '{b}' = $1", &[Key]),
            (Postgres, "f(a := :key)", "f(a := $1)", &[Key]),
            (MySql, ":key = :user OR :key", "? = ? OR ?", &[Key, User, Key]),
            (MySql, "'a\\':user' = :key", "'a\\':user' = ?", &[Key]),
            (MySql, "\"it's \\\" :user\" = :key", "\"it's \\\" :user\" = ?", &[Key]),
            (MySql, "'\\\\' = :key", "'\\\\' = ?", &[Key]),
            (MySql, "`a\\` = :key", "`a\\` = ?", &[Key]),
            (MySql, ":key # it's :user", "? # it's :user", &[Key]),
            (MySql, "1--:key -- it's :user\n", "1--? -- it's :user\n", &[Key]),
            (MySql, "(@n := :key) = @n; --", "(@n := ?) = @n; --", &[Key]),
        ];
        for (dialect, query, sql, binds) in table {
            let expected = BoundQuery { sql: (*sql).into(), binds: binds.to_vec() };
            assert_eq!(BoundQuery::parse(query, *dialect), Ok(expected), "{query}");
        }
    }

    #[test]
    fn bad_queries() {
        for (dialect, query, text) in [
            (Sqlite, "", "binds nothing"),
            (Sqlite, "SELECT 1", "binds nothing"),
            (Sqlite, "':key'", "binds nothing"),
            (Sqlite, ":name", "unknown bind :name"),
            (Sqlite, ":keys", "unknown bind :keys"),
            (Sqlite, ":Key", "unknown bind :Key"),
            (Sqlite, ": key", "unknown bind :"),
            (Sqlite, ":1", "unknown bind :1"),
            (Sqlite, ":key = ?", "'?'"),
            (Sqlite, ":key = ?1", "'?'"),
            (Sqlite, ":key = @x", "'@'"),
            (Sqlite, ":key = $x", "'$'"),
            (Sqlite, "':key", "string without end"),
            (Sqlite, "':key''", "string without end"),
            (Sqlite, "\":key", "identifier without end"),
            (Sqlite, "[:key", "identifier without end"),
            (Sqlite, "/* :key", "comment without end"),
            (Sqlite, "SELECT :key; DROP TABLE t", "more than one statement"),
            (Sqlite, "SELECT :key; 'x'", "more than one statement"),
            (Postgres, ":key = $1", "'$'"),
            (Postgres, ":key = $ 1", "'$'"),
            (Postgres, "a ? :key", "instead of the operator ? use jsonb_exists()"),
            (Postgres, "$q$ :key $$", "string without end"),
            (Postgres, "E'\\' :key", "string without end"),
            (Postgres, "/* /* */ :key", "comment without end"),
            (Postgres, "SELECT :key; $$x$$", "more than one statement"),
            (MySql, "a = ? AND :key", "'?'"),
            (MySql, "'\\' :key", "string without end"),
            (MySql, "\":key", "string without end"),
            (MySql, "`:key", "identifier without end"),
            (MySql, "SELECT :key; # x\nSELECT 1", "more than one statement"),
        ] {
            let error = BoundQuery::parse(query, dialect).unwrap_err();
            assert!(error.contains(text), "{query}: {error}");
        }
    }
}
