//! Keys: the part of a request that names a container (`WsRouteKey`).

use std::borrow::Cow;

use percent_encoding::percent_decode;
use regex::{Captures, Regex, RegexBuilder};

use super::cookies;
use super::refusal::Refusal;
use super::session::Claims;
use crate::upgrade::{Request, path};

/// The longest key, in bytes.
const KEY_MAX: usize = 255;
/// The longest Referer a rule looks at, in bytes.
const REFERER_MAX: usize = 2048;
/// How much memory one compiled REGEX may take, in bytes.
const REGEX_MAX: usize = 10 << 20;

/// Evaluates httpd expressions for one request; the httpd side has it.
pub trait Expressions {
    /// The text of the expression `text`, such as `%{env:desktop}`.
    ///
    /// # Errors
    /// What httpd says about it.
    fn evaluate(&self, text: &str) -> Result<String, String>;
}

/// What keys are taken from besides the request itself. Borrowed for one request.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// httpd's expressions.
    pub expressions: &'a dyn Expressions,
    /// The application's session, verified; `None` if there is none, or if no rule needs it
    /// ([`KeyRule::needs_session`]).
    pub claims: Option<&'a Claims>,
}

/// Where a key is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The host asked for, without port.
    Host,
    /// The decoded path.
    Path,
    /// The first `Referer` line.
    Referer,
    /// The authenticated user.
    User,
    /// The first query parameter of that name, decoded.
    Query(String),
    /// The first cookie of that name.
    Cookie(String),
    /// The first line of that header.
    Header(String),
    /// A claim of the application's session, perhaps inside of another one: `user.container`.
    Session(String),
    /// An httpd expression.
    Expression(String),
}

/// One `WsRouteKey` directive.
#[derive(Debug, Clone)]
pub struct KeyRule {
    source: Source,
    regex: Option<Regex>,
    substitution: Option<Vec<Piece>>,
    label: String,
}

/// A piece of a SUBSTITUTION.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

/// A key that a rule found, not yet known to any resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The key, 1 to 255 bytes without control characters.
    pub key: String,
    /// The rule as configured, for logs: `path ^/desktop/([^/]+)`.
    pub rule: String,
    /// The key as logs may show it: one from a cookie or a header may be a secret.
    pub shown: String,
    /// What `{tail}` stands for: percent-encoded, begins with `/`.
    pub tail: Option<String>,
    /// Another page left it (Referer, remember cookie): good for what a page asks for, but it does
    /// not decide where a page itself goes.
    pub hint: bool,
}

impl KeyRule {
    /// Parses the arguments of `WsRouteKey`: `SOURCE [REGEX [SUBSTITUTION]]`.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<KeyRule, String> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let (source, regex, substitution) = match args[..] {
            [source] => (source, None, None),
            [source, regex] => (source, Some(regex), None),
            [source, regex, substitution] => (source, Some(regex), Some(substitution)),
            _ => return Err("wrong number of arguments, use SOURCE [REGEX [SUBSTITUTION]]".into()),
        };
        let label = args[..args.len().min(2)].join(" ");
        let source = Source::parse(source)?;
        let regex = regex.map(|r| compile(r, &source)).transpose()?;
        let substitution = match (&regex, substitution) {
            (Some(regex), Some(text)) => Some(pieces(text, regex.captures_len())?),
            _ => None,
        };
        Ok(KeyRule { source, regex, substitution, label })
    }

    /// Where the key is taken from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The rule asks for the application's session: there must be a `WsRouteSession`.
    pub fn needs_session(&self) -> bool {
        matches!(self.source, Source::Session(_))
    }

    /// For logs. Values that may be secrets are not shown.
    fn no_match(&self, value: &str) -> String {
        match self.source {
            Source::Host | Source::Path => format!("{}: no match in {value:?}", self.label),
            _ => format!("{}: no match", self.label),
        }
    }

    /// The key in `value`, and where the match of the whole REGEX ends.
    fn apply(&self, value: &str) -> Option<(String, usize)> {
        let Some(regex) = &self.regex else {
            return Some((value.to_owned(), value.len()));
        };
        let captures = regex.captures(value)?;
        let key = match &self.substitution {
            Some(pieces) => substitute(pieces, &captures),
            None if regex.captures_len() > 1 => group(&captures, 1).to_owned(),
            None => group(&captures, 0).to_owned(),
        };
        Some((key, captures.get(0).map_or(0, |m| m.end())))
    }
}

impl Candidate {
    /// The candidate of a key that the configuration itself names, under the label `rule`.
    ///
    /// # Errors
    /// 400 if it cannot be a key.
    pub fn given(key: &str, rule: &str, request: &Request) -> Result<Candidate, Refusal> {
        check_key(key, rule)?;
        let (tail, key) = (Some(scope_tail(request)), key.to_owned());
        Ok(Candidate { shown: key.clone(), key, rule: rule.into(), tail, hint: false })
    }

    /// The candidate of a key that a cookie remembered; `None` if it cannot be a key.
    pub fn remembered(key: String, request: &Request) -> Option<Candidate> {
        let rule = "remembered".to_owned();
        check_key(&key, &rule).ok().filter(|()| !key.is_empty())?;
        let shown = key.clone();
        Some(Candidate { key, rule, shown, tail: Some(scope_tail(request)), hint: true })
    }
}

impl Source {
    fn parse(text: &str) -> Result<Source, String> {
        if text.contains("%{") {
            return Ok(Source::Expression(text.into()));
        }
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let kind = kind.to_ascii_lowercase();
        match (kind.as_str(), name) {
            ("host", None) => Ok(Source::Host),
            ("path", None) => Ok(Source::Path),
            ("referer", None) => Ok(Source::Referer),
            ("user", None) => Ok(Source::User),
            ("session", None | Some("")) => {
                Err("session needs a claim, use session:CLAIM or session:CLAIM.CLAIM".into())
            }
            ("session", Some(claim)) => Ok(Source::Session(claim.into())),
            ("query" | "cookie" | "header", None | Some("")) => {
                Err(format!("{kind} needs a name, use {kind}:NAME"))
            }
            ("query", Some(name)) => Ok(Source::Query(name.into())),
            ("cookie", Some(name)) => Ok(Source::Cookie(name.into())),
            ("header", Some(name)) => Ok(Source::Header(name.into())),
            _ => Err(format!(
                "unknown source {text:?}, use host, path, referer, user, query:NAME, cookie:NAME, \
                 header:NAME, session:CLAIM or an expression such as %{{env:NAME}}"
            )),
        }
    }

    /// The text this source has in `request`; `None` if there is none.
    fn value<'r>(
        &'r self,
        request: &'r Request,
        sources: &Sources<'_>,
    ) -> Result<Option<Cow<'r, str>>, Refusal> {
        let found = match self {
            Source::Host => Some(Cow::Borrowed(request.host.as_str())),
            Source::Path => Some(Cow::Borrowed(request.path.as_str())),
            Source::User => request.user.as_deref().map(Cow::Borrowed),
            Source::Query(name) => query(request.query.as_deref().unwrap_or(""), name)?,
            Source::Cookie(name) => cookie(request, name)?.map(Cow::Borrowed),
            Source::Header(name) => match request.header_lines(name).next() {
                Some(line) => Some(Cow::Borrowed(utf8(line, name)?)),
                None => None,
            },
            Source::Referer => match request.header_lines("referer").next() {
                Some(line) if line.len() > REFERER_MAX => {
                    return Err(Refusal::BadKey("Referer longer than 2048 bytes".into()));
                }
                Some(line) => Some(Cow::Borrowed(utf8(line, "Referer")?)),
                None => None,
            },
            Source::Expression(text) => match sources.expressions.evaluate(text) {
                Ok(value) => Some(Cow::Owned(value)),
                Err(e) => return Err(Refusal::BadConfiguration(format!("{text}: {e}"))),
            },
            Source::Session(claim) => {
                sources.claims.and_then(|claims| claims.get(claim)).map(Cow::Owned)
            }
        };
        Ok(found)
    }
}

/// The keys that `rules` find in `request`, in the order of the rules, each key once. `trace` gets
/// a line for each rule that finds none.
///
/// # Errors
/// 400 if a key is longer than 255 bytes or holds control characters, if what it is taken from is
/// not UTF-8, or if a Referer that a rule looks at is longer than 2,048 bytes; 500 if an
/// expression fails.
pub fn candidates(
    rules: &[KeyRule],
    request: &Request,
    sources: &Sources<'_>,
    trace: &mut Vec<String>,
) -> Result<Vec<Candidate>, Refusal> {
    let mut found: Vec<Candidate> = Vec::new();
    for rule in rules {
        let Some(value) = rule.source.value(request, sources)? else {
            trace.push(format!("{}: absent", rule.label));
            continue;
        };
        let Some((key, end)) = rule.apply(&value).filter(|(key, _)| !key.is_empty()) else {
            trace.push(rule.no_match(&value));
            continue;
        };
        check_key(&key, &rule.label)?;
        // What was not UTF-8 has this character: two keys could look alike.
        if matches!(rule.source, Source::Path | Source::User) && key.contains('\u{fffd}') {
            return Err(Refusal::BadKey(format!("key from {} is not UTF-8", rule.label)));
        }
        if found.iter().any(|c| c.key == key) {
            continue;
        }
        let tail = match rule.source {
            Source::Path => raw_rest(request, end),
            _ => scope_tail(request),
        };
        let shown = match rule.source {
            Source::Cookie(_) | Source::Header(_) => masked(&key),
            _ => key.clone(),
        };
        let hint = rule.source == Source::Referer;
        found.push(Candidate { key, rule: rule.label.clone(), shown, tail: Some(tail), hint });
    }
    Ok(found)
}

/// What follows the request's scope (`<Location>`) in its path: percent-encoded, begins with `/`.
/// The whole path if the scope is no leading part of it.
pub fn scope_tail(request: &Request) -> String {
    let scope = request.scope.as_deref().unwrap_or("/").trim_end_matches('/');
    match request.path.strip_prefix(scope) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => raw_rest(request, scope.len()),
        _ => request.raw_path.clone(),
    }
}

/// The path from byte `at` of the decoded path on, percent-encoded, beginning with `/`. As the
/// client encoded it, if the decoded path is what its path says.
fn raw_rest(request: &Request, at: usize) -> String {
    let rest = match raw_position(&request.raw_path, &request.path, at) {
        Some(raw_at) => request.raw_path[raw_at..].to_owned(),
        None => path::escape(request.path.get(at..).unwrap_or("")),
    };
    match rest.starts_with('/') {
        true => rest,
        false => format!("/{rest}"),
    }
}

/// Where in `raw` the byte `at` of `decoded` comes from; `None` if `raw` does not decode to
/// `decoded` (where httpd kept an encoded slash, it stands for itself).
fn raw_position(raw: &str, decoded: &str, at: usize) -> Option<usize> {
    let (raw, decoded) = (raw.as_bytes(), decoded.as_bytes());
    let (mut i, mut j, mut found) = (0, 0, None);
    while i < raw.len() {
        if j == at {
            found = Some(i);
        }
        let hex = |n: usize| raw.get(i + n).and_then(|b| char::from(*b).to_digit(16));
        let kept = decoded.get(j) == Some(&b'%')
            && raw[i] == b'%'
            && decoded.get(j..j + 3) == raw.get(i..i + 3);
        let (byte, width) = match (raw[i], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) if !kept => ((high * 16 + low) as u8, 3),
            (byte, ..) => (byte, 1),
        };
        if decoded.get(j) != Some(&byte) {
            return None;
        }
        (i, j) = (i + width, j + 1);
    }
    if j == at {
        found = Some(i);
    }
    found.filter(|_| j == decoded.len())
}

/// The first characters: enough to tell two keys apart when looking for a mistake.
fn masked(key: &str) -> String {
    key.chars().take(4).chain("...".chars()).collect()
}

fn check_key(key: &str, rule: &str) -> Result<(), Refusal> {
    if key.len() > KEY_MAX {
        return Err(Refusal::BadKey(format!("key from {rule} is longer than {KEY_MAX} bytes")));
    }
    if key.chars().any(char::is_control) {
        return Err(Refusal::BadKey(format!("key from {rule} has a control character")));
    }
    Ok(())
}

fn utf8<'v>(value: &'v [u8], what: &str) -> Result<&'v str, Refusal> {
    std::str::from_utf8(value).map_err(|_| Refusal::BadKey(format!("{what} is not UTF-8")))
}

/// The first parameter called `name`, percent-decoded, `+` being a blank.
fn query<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Refusal> {
    let decode =
        |text: &str| -> Vec<u8> { percent_decode(text.replace('+', " ").as_bytes()).collect() };
    for parameter in query.split('&') {
        let (n, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if decode(n) == name.as_bytes() {
            let what = || Refusal::BadKey(format!("query parameter {name} is not UTF-8"));
            return Ok(Some(Cow::Owned(String::from_utf8(decode(value)).map_err(|_| what())?)));
        }
    }
    Ok(None)
}

/// The first cookie called `name`.
fn cookie<'r>(request: &'r Request, name: &'r str) -> Result<Option<&'r str>, Refusal> {
    let value = cookies::values(request, name).next();
    value.map(|value| utf8(value, &format!("cookie {name}"))).transpose()
}

fn compile(text: &str, source: &Source) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .case_insensitive(*source == Source::Host)
        .size_limit(REGEX_MAX)
        .build()
        .map_err(|e| {
            let message = e.to_string();
            let reason = message.lines().last().unwrap_or("").trim().trim_start_matches("error: ");
            format!("bad REGEX {text:?}: {reason}")
        })
}

/// Cuts a SUBSTITUTION at `$0`..`$9` and `$$`; `groups` counts the whole match too.
fn pieces(text: &str, groups: usize) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '$' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('$') => plain.push('$'),
            Some(digit @ '0'..='9') => {
                let group = digit as usize - '0' as usize;
                if group >= groups {
                    let last = groups - 1;
                    return Err(format!("${group} in {text:?} has no group, use $0 to ${last}"));
                }
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Group(group));
            }
            _ => return Err(format!("lone $ in {text:?}, use $0 to $9, or $$ for a dollar sign")),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn substitute(pieces: &[Piece], captures: &Captures<'_>) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Group(n) => group(captures, *n).to_owned(),
    };
    pieces.iter().map(text).collect()
}

fn group<'h>(captures: &Captures<'h>, n: usize) -> &'h str {
    captures.get(n).map_or("", |m| m.as_str())
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
