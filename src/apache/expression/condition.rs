//! The boolean grammar of httpd's expressions (`<If>`): comparisons, `&&`, `||`, `!`.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use super::{Values, closing_brace};
use crate::route::Expressions;

/// Whether `text` holds.
pub(super) fn holds(text: &str, values: &Values<'_>) -> Result<bool, String> {
    let mut parser = Parser { rest: text, values };
    let result = parser.any()?;
    parser.blanks();
    match parser.rest.is_empty() {
        true => Ok(result),
        false => Err(parser.not_understood()),
    }
}

/// Reads and evaluates in one go: both sides of `&&` and `||` are always looked at.
struct Parser<'t, 'v> {
    rest: &'t str,
    values: &'v Values<'v>,
}

impl Parser<'_, '_> {
    fn any(&mut self) -> Result<bool, String> {
        let mut result = self.every()?;
        while self.take("||") {
            result |= self.every()?;
        }
        Ok(result)
    }

    fn every(&mut self) -> Result<bool, String> {
        let mut result = self.term()?;
        while self.take("&&") {
            result &= self.term()?;
        }
        Ok(result)
    }

    fn term(&mut self) -> Result<bool, String> {
        if !self.rest.trim_start().starts_with("!~") && self.take("!") {
            return Ok(!self.term()?);
        }
        if self.take("(") {
            let result = self.any()?;
            return if self.take(")") { Ok(result) } else { Err(self.not_understood()) };
        }
        for (word, value) in [("true", true), ("false", false)] {
            if self.take_word(word) {
                return Ok(value);
            }
        }
        self.blanks();
        match self.rest.strip_prefix('-') {
            Some(_) => self.unary(),
            None => self.comparison(),
        }
    }

    fn unary(&mut self) -> Result<bool, String> {
        let operator = self.name();
        let word = self.word()?;
        match operator.as_str() {
            "-n" => Ok(!word.is_empty()),
            "-z" => Ok(word.is_empty()),
            "-T" => {
                Ok(!["", "0", "off", "false", "no"].contains(&word.to_ascii_lowercase().as_str()))
            }
            "-R" => is_in(&self.values.request.client.to_string(), &word),
            _ => Err(format!("{operator} is known to httpd only")),
        }
    }

    fn comparison(&mut self) -> Result<bool, String> {
        let left = self.word()?;
        for (operator, wanted) in [("=~", true), ("!~", false)] {
            if self.take(operator) {
                return Ok(self.regex()?.is_match(&left) == wanted);
            }
        }
        if self.take_word("in") {
            return self.list(&left);
        }
        let symbols = ["==", "!=", "<=", ">=", "<", ">", "="];
        if let Some(symbol) = symbols.into_iter().find(|symbol| self.take(symbol)) {
            let order = left.as_str().cmp(self.word()?.as_str());
            return Ok(match symbol {
                "!=" => order.is_ne(),
                "<=" => order.is_le(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                ">" => order.is_gt(),
                _ => order.is_eq(),
            });
        }
        self.blanks();
        if !self.rest.starts_with('-') {
            return Err(self.not_understood());
        }
        let operator = self.name();
        let right = self.word()?;
        named_comparison(&operator, &left, &right)
    }

    /// `{ 'a', 'b' }`
    fn list(&mut self, left: &str) -> Result<bool, String> {
        if !self.take("{") {
            return Err(self.not_understood());
        }
        let mut found = false;
        loop {
            found |= self.word()? == left;
            if self.take("}") {
                return Ok(found);
            }
            if !self.take(",") {
                return Err(self.not_understood());
            }
        }
    }

    /// `/.../i` or `m#...#i`
    fn regex(&mut self) -> Result<Regex, String> {
        self.blanks();
        let body = self.rest.strip_prefix('m').unwrap_or(self.rest);
        let mut chars = body.chars();
        let Some(quote) = chars.next() else { return Err(self.not_understood()) };
        let Some((text, rest)) = chars.as_str().split_once(quote) else {
            return Err(self.not_understood());
        };
        let ignore_case = rest.starts_with('i');
        self.rest = if ignore_case { &rest[1..] } else { rest };
        RegexBuilder::new(text)
            .case_insensitive(ignore_case)
            .build()
            .map_err(|_| format!("{text:?} is a regular expression that httpd alone understands"))
    }

    /// A quoted text, `%{...}`, a number or `function(word)`; joined by `.`.
    fn word(&mut self) -> Result<String, String> {
        let mut word = self.one_word()?;
        while self.take(".") {
            word += &self.one_word()?;
        }
        Ok(word)
    }

    fn one_word(&mut self) -> Result<String, String> {
        self.blanks();
        let Some(first) = self.rest.chars().next() else { return Err(self.not_understood()) };
        if matches!(first, '\'' | '"') {
            let Some((text, rest)) = self.rest[1..].split_once(first) else {
                return Err(self.not_understood());
            };
            self.rest = rest;
            return self.values.evaluate(text);
        }
        if let Some(inside) = self.rest.strip_prefix("%{") {
            let end = closing_brace(inside).ok_or_else(|| self.not_understood())?;
            self.rest = &inside[end + 1..];
            return self.values.variable(&inside[..end]);
        }
        let name = self.name();
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(name);
        }
        if name.is_empty() || !self.take("(") {
            return Err(self.not_understood());
        }
        let argument = self.word()?;
        match self.take(")") {
            true => self.values.function(&name, &argument),
            false => Err(self.not_understood()),
        }
    }

    /// An operator or the name of a function.
    fn name(&mut self) -> String {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)));
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        name.to_owned()
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// As `take`, and the word ends there.
    fn take_word(&mut self, word: &str) -> bool {
        let before = self.rest;
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '(');
        let taken = self.take(word) && ends(self.rest);
        if !taken {
            self.rest = before;
        }
        taken
    }

    fn not_understood(&self) -> String {
        match self.rest.trim() {
            "" => "its end is not understood".to_owned(),
            rest => format!("{rest:?} is not understood"),
        }
    }
}

fn named_comparison(operator: &str, left: &str, right: &str) -> Result<bool, String> {
    let numbers = || {
        let number =
            |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text:?} is no number"));
        Ok::<_, String>(number(left)?.cmp(&number(right)?))
    };
    match operator.trim_start_matches('-') {
        "eq" => Ok(numbers()?.is_eq()),
        "ne" => Ok(numbers()?.is_ne()),
        "lt" => Ok(numbers()?.is_lt()),
        "le" => Ok(numbers()?.is_le()),
        "gt" => Ok(numbers()?.is_gt()),
        "ge" => Ok(numbers()?.is_ge()),
        "ipmatch" => is_in(left, right),
        "strmatch" => Ok(glob(right, false).is_match(left)),
        "strcmatch" => Ok(glob(right, true).is_match(left)),
        _ => Err(format!("{operator} is known to httpd only")),
    }
}

/// An address lies in a range, or is that address.
fn is_in(address: &str, range: &str) -> Result<bool, String> {
    let wrong = |text: &str| format!("{text:?} is no address");
    let ip: IpAddr = address.parse().map_err(|_| wrong(address))?;
    let net = range.parse::<IpNet>().or_else(|_| range.parse::<IpAddr>().map(IpNet::from));
    Ok(net.map_err(|_| wrong(range))?.contains(&ip))
}

/// `*` and `?` match slashes too here.
fn glob(text: &str, ignore_case: bool) -> Regex {
    let escaped = regex::escape(text).replace("\\*", ".*").replace("\\?", ".");
    let regex = RegexBuilder::new(&format!("^{escaped}$")).case_insensitive(ignore_case).build();
    regex.expect("escaped text is a regular expression")
}
