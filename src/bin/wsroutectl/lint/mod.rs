//! `wsroutectl lint [FILE]`: what breaks WebSockets in a configuration, and what is unsafe.

mod access;
mod finding;
mod headers;
mod modules;
mod order;
mod places;
mod proxies;
mod readable;
mod resolvers;
mod room;
mod secrets;
mod site;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;

use mod_wsroute::apache::Config;
use serde_json::json;

use crate::output;
use crate::source::Source;
use finding::{Finding, Level};
use site::Site;

/// Look for what breaks WebSockets in a configuration, and for what is unsafe
///
/// Reads the configuration as httpd does and evaluates it: which section counts where, who takes a
/// request first, who may pass. Prints nothing if all is well. A file that loads no MPM is taken for
/// a piece of a configuration: what depends on modules is not looked at then.
///
/// Exit code 0: nothing, or notes only. 1: warnings or errors. 2: the configuration cannot be read.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The configuration; default: what the installed httpd reads.
    file: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// How many WebSockets there shall be room for at once.
    #[arg(long, value_name = "N")]
    sessions: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One check: its name, and what looks.
type Check = (&'static str, fn(&Site<'_>) -> Vec<Finding>);

/// Every check. `configuration`, the errors of our own directives, comes before them.
const CHECKS: &[Check] = &[
    ("header-recipe", headers::recipe),
    ("header-damage", headers::damage),
    ("header-origin", headers::origin),
    ("proxy-without-upgrade", proxies::without_upgrade),
    ("proxy-duplicate", proxies::duplicate),
    ("proxy-shadowed", proxies::shadowed),
    ("proxy-upgrade-ignored", proxies::upgrade_ignored),
    ("proxy-idle", proxies::idle),
    ("redirected", order::redirected),
    ("section-replaced", order::replaced),
    ("section-pattern", places::pattern),
    ("section-directory", places::directory),
    ("other-vhost", places::other_vhost),
    ("module-guard", modules::guarded),
    ("module-missing", modules::missing),
    ("module-proxy", modules::proxy),
    ("mpm", room::mpm),
    ("headroom", room::headroom),
    ("sessions", room::sessions),
    ("key-missing", access::key_missing),
    ("key-unguarded", access::key_unguarded),
    ("owner-of-url", access::owner_of_url),
    ("owner-without-login", access::owner_without_login),
    ("allow-all", access::allow_all),
    ("origin-any", access::origin_any),
    ("verify-off", tls::verify_off),
    ("plain-password", tls::plain_password),
    ("proxy-verify-none", tls::proxy_verify_none),
    ("default-password", secrets::default_password),
    ("readable-secret", secrets::readable_secret),
    ("resolver-undeclared", resolvers::undeclared),
    ("resolver-unused", resolvers::unused),
    ("resolver-file", resolvers::file),
];

/// Looks, prints, and says by the exit code how it went.
pub fn run(args: &Args) -> ExitCode {
    let config = match args.source.read(args.file.as_ref()) {
        Ok(config) => config,
        Err(text) => return output::fail(&text),
    };
    let findings = findings(&config, args.sessions);
    output::print(&if args.json { json(&findings) } else { text(&findings) });
    match findings.iter().any(|(_, finding)| finding.level > Level::Note) {
        true => ExitCode::from(1),
        false => ExitCode::SUCCESS,
    }
}

/// What all checks find, in the order of the files' names and lines, each thing once.
fn findings(config: &Config, sessions: Option<u32>) -> Vec<(&'static str, Finding)> {
    let site = Site::new(config, sessions);
    let wrong = config.problems.iter().map(|problem| {
        let mend = "mend the line; httpd does not start with it";
        ("configuration", Finding::error(&problem.place, problem.text.clone(), mend))
    });
    let checked = CHECKS
        .iter()
        .flat_map(|(name, look)| look(&site).into_iter().map(move |finding| (*name, finding)));
    let mut found: Vec<(&'static str, Finding)> = wrong.chain(checked).collect();
    found.sort_by(|(_, a), (_, b)| a.place.cmp(&b.place).then(b.level.cmp(&a.level)));
    found.dedup();
    found
}

/// `FILE:LINE: LEVEL: TEXT [NAME]`, and the mend below it.
fn text(findings: &[(&'static str, Finding)]) -> String {
    let mut text = String::new();
    for (name, Finding { level, place, what, mend }) in findings {
        text += &format!("{place}: {}: {what} [{name}]\n    {mend}\n", level.word());
    }
    if !findings.is_empty() {
        let count = |level| findings.iter().filter(|(_, finding)| finding.level == level).count();
        let (errors, warnings, notes) =
            (count(Level::Error), count(Level::Warning), count(Level::Note));
        text += &format!("errors: {errors}, warnings: {warnings}, notes: {notes}\n");
    }
    text
}

fn json(findings: &[(&'static str, Finding)]) -> String {
    let one = |(name, finding): &(&'static str, Finding)| {
        json!({
            "check": name,
            "level": finding.level.word(),
            "file": finding.place.file.display().to_string(),
            "line": finding.place.line,
            "what": finding.what,
            "mend": finding.mend,
        })
    };
    format!("{:#}\n", json!({ "findings": findings.iter().map(one).collect::<Vec<_>>() }))
}
