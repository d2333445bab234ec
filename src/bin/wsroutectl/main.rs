//! `wsroutectl`: says what an Apache configuration with mod_wsroute would do, and what is wrong
//! with it. The decisions are the module's own code; httpd need not run, nor be installed.

mod completions;
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
    Resolve(resolve::Args),
    Lint(lint::Args),
    Completions(completions::Args),
    /// Print the man page.
    #[command(hide = true)]
    Man,
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Resolve(args) => resolve::run(&args),
        Verb::Lint(args) => lint::run(&args),
        Verb::Completions(args) => completions::run(&args, Cli::command()),
        Verb::Man => man::run(Cli::command()),
    }
}
