//! `wsroutectl completions SHELL`

use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_complete::Shell;

use crate::output;

/// Print a completion script for a shell
///
/// For bash: wsroutectl completions bash > /etc/bash_completion.d/wsroutectl
#[derive(clap::Args)]
pub struct Args {
    /// The shell.
    shell: Shells,
}

/// The shells that people of httpd use.
#[derive(Clone, Copy, ValueEnum)]
enum Shells {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script for `command`.
pub fn run(args: &Args, mut command: Command) -> ExitCode {
    let shell = match args.shell {
        Shells::Bash => Shell::Bash,
        Shells::Zsh => Shell::Zsh,
        Shells::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "wsroutectl", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
