//! `wsroutectl`: says what an Apache configuration with mod_wsroute would do, what is wrong with it,
//! and where a WebSocket breaks on its way. The decisions are the module's own code; for all but
//! `check` httpd need not run, nor be installed.

mod check;
mod completions;
mod headers;
mod lint;
mod man;
mod output;
mod resolve;
mod source;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Say what an Apache configuration with mod_wsroute does with WebSockets.
#[derive(Parser)]
#[command(name = "wsroutectl", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Check(check::Args),
    Resolve(resolve::Args),
    Lint(lint::Args),
    Completions(completions::Args),
    /// Print the man page.
    #[command(hide = true)]
    Man,
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Check(args) => check::run(&args),
        Verb::Resolve(args) => resolve::run(&args),
        Verb::Lint(args) => lint::run(&args),
        Verb::Completions(args) => completions::run(&args, Cli::command()),
        Verb::Man => man::run(Cli::command()),
    }
}
