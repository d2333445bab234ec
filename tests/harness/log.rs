//! httpd's error log and access log, as the tests read them.

use super::{SOON, eventually};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// `%M` comes last: it may hold anything.
pub const ERROR_FORMAT: &str = "%{cu}t|%-m|%-l|%-P|%-E|%M";

/// `%r` comes last: it may hold anything.
pub const ACCESS_FORMAT: &str = "%>s|%D|%B|%I|%O|%{WSROUTE_KEY}e|%{Host}i|%r";

/// Levels of which every line must be declared.
const LOUD: &[&str] = &["warn", "error", "crit", "alert", "emerg"];

/// The error log.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
    declared: Arc<Mutex<Vec<String>>>,
}

/// One line of the error log.
#[derive(Debug, Clone)]
pub struct Line {
    /// The module that wrote it, or `-`.
    pub module: String,
    /// Its level; `stderr` for what no module wrote.
    pub level: String,
    /// Its text.
    pub text: String,
}

impl Log {
    pub(super) fn new(path: &Path) -> Log {
        Log { path: path.to_owned(), declared: Arc::default() }
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        let text = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(line).collect()
    }

    /// How many lines contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.lines().iter().filter(|l| l.text.contains(text)).count()
    }

    /// A line with `text` must come soon. It may be a warning or an error: it is expected.
    pub async fn expect(&self, text: &str) -> Line {
        self.expect_within(SOON, text).await
    }

    /// The same, with another limit.
    pub async fn expect_within(&self, limit: Duration, text: &str) -> Line {
        self.allow(text);
        let mut found = None;
        let find = || {
            found = self.lines().into_iter().find(|l| l.text.contains(text));
            found.is_some()
        };
        eventually(limit, &format!("{text:?} in the error log"), find).await;
        found.expect("just found")
    }

    /// So many lines with `text` must be there soon.
    pub async fn expect_count(&self, n: usize, text: &str) {
        self.allow(text);
        let what = format!("{n} lines with {text:?} in the error log");
        eventually(SOON, &what, || self.count(text) >= n).await;
    }

    /// Warnings and errors with `text` may come.
    pub fn allow(&self, text: &str) {
        self.declared.lock().expect("declared").push(text.to_owned());
    }

    /// Lines that no test declared: warnings, errors, deaths of children, output of no module.
    pub fn undeclared(&self) -> Vec<String> {
        let declared = self.declared.lock().expect("declared");
        let loud = |l: &Line| {
            LOUD.contains(&l.level.as_str())
                || l.level == "stderr"
                || l.text.contains("exit signal")
        };
        let known = |l: &Line| declared.iter().any(|d| l.text.contains(d.as_str()));
        let lines = self.lines().into_iter().filter(|l| loud(l) && !known(l));
        lines.map(|l| format!("[{}:{}] {}", l.module, l.level, l.text)).collect()
    }

    /// The last lines, for the report of a failure.
    pub fn tail(&self, n: usize) -> String {
        let lines = self.lines();
        let tail = lines.iter().skip(lines.len().saturating_sub(n));
        tail.map(|l| format!("    [{}:{}] {}\n", l.module, l.level, l.text)).collect()
    }
}

fn line(text: &str) -> Line {
    let fields: Vec<&str> = text.splitn(6, '|').collect();
    match fields[..] {
        [_, module, level, _, error, text] => {
            let text = if error == "-" { text.into() } else { format!("{text} [{error}]") };
            Line { module: module.into(), level: level.into(), text }
        }
        _ => Line { module: "-".into(), level: "stderr".into(), text: text.into() },
    }
}

/// One line of the access log.
#[derive(Debug, Clone)]
pub struct Access {
    /// The final status.
    pub status: u16,
    /// How long it took.
    pub duration: Duration,
    /// Bytes of the response's body.
    pub body: u64,
    /// Bytes that came in, headers and TLS included.
    pub received: u64,
    /// Bytes that went out, headers and TLS included.
    pub sent: u64,
    /// `WSROUTE_KEY`.
    pub key: String,
    /// The request line.
    pub request: String,
}

impl Access {
    pub(super) fn all(path: &Path) -> Vec<Access> {
        let text = std::fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(access).collect()
    }
}

fn access(line: &str) -> Option<Access> {
    let fields: Vec<&str> = line.splitn(8, '|').collect();
    let [status, micros, body, received, sent, key, _, request] = fields[..] else { return None };
    Some(Access {
        status: status.parse().ok()?,
        duration: Duration::from_micros(micros.parse().ok()?),
        body: body.parse().unwrap_or(0),
        received: received.parse().unwrap_or(0),
        sent: sent.parse().unwrap_or(0),
        key: key.into(),
        request: request.into(),
    })
}
