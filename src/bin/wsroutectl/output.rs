//! Writing to the terminal, and the exit codes.

use std::io::Write;
use std::process::ExitCode;

/// The verb could not do its work.
pub const FAILED: u8 = 2;

/// Writes `text` to standard output. A reader that has left is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says on standard error why the verb could not do its work.
pub fn fail(text: &str) -> ExitCode {
    eprintln!("wsroutectl: {text}");
    ExitCode::from(FAILED)
}
