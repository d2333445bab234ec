//! `wsroutectl resolve URL`: which container would this request get, and why.

mod decision;
mod mend;
mod report;
mod request;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::output;
use crate::source::Source;

/// Say which container a WebSocket would get, and why
///
/// Reads the configuration, makes the request that a browser would send to URL, and decides as the
/// module does: virtual host, sections, keys, resolvers, owner, allow-list. The resolvers are really
/// asked; nothing connects to the container.
///
/// Exit code 0: there is a target. 1: the request would be refused. 2: it could not be decided.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The URL that the page opens: wss://desktop.example.org/desktop/alice/websockify
    url: String,
    /// The configuration; default: what the installed httpd reads.
    #[arg(short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// A request header, "Name: value"; repeatable. "Name:" takes one away.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = crate::headers::parse)]
    headers: Vec<(String, String)>,
    /// The user that httpd's authentication would find.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The client's address.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client: IpAddr,
    /// An environment variable of the request, as SetEnvIf would set it; repeatable.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// Print one JSON object with the same facts.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn environment(&self) -> HashMap<String, String> {
        self.environment.iter().cloned().collect()
    }
}

/// Decides, prints, and says by the exit code how it went.
pub fn run(args: &Args) -> ExitCode {
    let config = match args.source.read(args.file.as_ref()) {
        Ok(config) => config,
        Err(text) => return output::fail(&text),
    };
    if !config.problems.is_empty() {
        config.problems.iter().for_each(|problem| eprintln!("wsroutectl: {problem}"));
        return ExitCode::from(output::FAILED);
    }
    match decision::report(args, &config) {
        Ok(report) => {
            output::print(&if args.json { report.json() } else { report.text() });
            ExitCode::from(if report.outcome.is_ok() { 0 } else { 1 })
        }
        Err(text) => output::fail(&text),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("use NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
