//! Programs that run beside httpd until the test ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process that is ended when this is dropped, and when the test process ends.
pub struct Program(Child);

impl Program {
    /// Starts `program`.
    pub fn start(program: &str, arguments: &[&str]) -> Program {
        Program(command(program, arguments).spawn().expect("setpriv of util-linux"))
    }

    /// Starts a program whose first line of output is `{"port": N}`; gives N, too.
    pub fn with_port(program: &str, arguments: &[&str]) -> (Program, u16) {
        let mut command = command(program, arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("setpriv of util-linux");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let port: String = line.chars().filter(char::is_ascii_digit).collect();
        let port = port.parse().unwrap_or_else(|_| panic!("{arguments:?} does not start: {line}"));
        (Program(child), port)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", program]).args(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}
