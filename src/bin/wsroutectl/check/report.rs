//! What was seen step by step, printed as it happens, and what it comes to.

use std::io::IsTerminal;

use serde_json::{Value, json};

use crate::output;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, and not for everybody.
    Warn,
    /// It does not work.
    Fail,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Note => "note",
            Mark::Warn => "warn",
            Mark::Fail => "FAIL",
        }
    }
}

/// Why it does not work. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// A stable name for scripts.
    pub cause: &'static str,
    /// Who has to change something.
    pub hop: String,
    /// What it means, one line.
    pub what: String,
    /// What to do, one line or two.
    pub mend: String,
}

impl Verdict {
    /// One verdict.
    pub fn new(
        cause: &'static str,
        hop: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Verdict {
        Verdict { cause, hop: hop.into(), what: what.into(), mend: mend.into() }
    }
}

/// Everything about one check.
pub struct Report {
    url: String,
    json: bool,
    steps: Vec<(&'static str, Mark, String)>,
    verdicts: Vec<Verdict>,
}

impl Report {
    /// Nothing yet. With `json` nothing is printed before [`Report::end`].
    pub fn new(url: String, json: bool) -> Report {
        Report { url, json, steps: Vec::new(), verdicts: Vec::new() }
    }

    /// Adds a step and prints it.
    pub fn step(&mut self, name: &'static str, mark: Mark, text: impl Into<String>) {
        let text = text.into();
        if !self.json {
            output::print(&format!("{:4}  {name:11}  {text}\n", mark.word()));
        }
        self.steps.push((name, mark, text));
    }

    /// Adds a step that failed, and why.
    pub fn fail(&mut self, name: &'static str, text: impl Into<String>, verdict: Verdict) {
        self.step(name, Mark::Fail, text);
        self.verdicts.push(verdict);
    }

    /// Says on a terminal what is being waited for; the next step overwrites it.
    pub fn waiting(&self, text: &str) {
        if !self.json && std::io::stderr().is_terminal() {
            eprint!("      {text} ...\r");
        }
    }

    /// Takes the verdict `cause` back: another one explains it.
    pub fn withdraw(&mut self, cause: &str) {
        self.verdicts.retain(|verdict| verdict.cause != cause);
    }

    /// Nothing is wrong so far.
    pub fn works(&self) -> bool {
        self.verdicts.is_empty()
    }

    /// Prints the verdicts, or everything as one JSON object.
    pub fn end(&self) {
        if self.json {
            return output::print(&format!("{:#}\n", self.object()));
        }
        let mut text = String::from("\n");
        for Verdict { cause, hop, what, mend } in &self.verdicts {
            text += &format!("verdict  {what} [{cause}]\nat       {hop}\nmend     {mend}\n");
        }
        if self.works() {
            text += &format!("verdict  {} works\n", self.url);
        }
        output::print(&text);
    }

    fn object(&self) -> Value {
        let step = |(name, mark, text): &(&str, Mark, String)| json!({"step": name, "result": mark.word(), "text": text});
        let verdict =
            |v: &Verdict| json!({"cause": v.cause, "hop": v.hop, "what": v.what, "mend": v.mend});
        json!({
            "url": self.url,
            "works": self.works(),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "verdict": self.verdicts.first().map(verdict),
            "also": self.verdicts.iter().skip(1).map(verdict).collect::<Vec<_>>(),
        })
    }
}
