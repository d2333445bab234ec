//! Programs that run beside httpd until the test ends.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A port of 127.0.0.1 that nobody has, for a program that wants to be told one.
pub fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    probe.local_addr().expect("its number").port()
}

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
    /// Asks first: it may have children to end.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", program]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
