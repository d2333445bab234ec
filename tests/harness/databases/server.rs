//! A server process in its folder.
//!
//! A shell stands between the test process and the server. When the test process is gone, however
//! it went, the shell ends the server and removes the folder.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Debian's user and group `nobody`: servers of databases refuse to run as root.
const NOBODY: u32 = 65534;
/// A server that takes longer does not start at all.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Runs "$@"; `stop` and `start` on standard input do that, its end is the end of all.
const WATCHER: &str = r#"
while
    "$@" >>"$FOLDER/log" 2>&1 &
    server=$!
    read -r word
    kill -"$SIGNAL" $server 2>/dev/null
    wait $server
    [ "$word" = stop ]
do
    echo stopped
    read -r word || break
done
rm -rf "$FOLDER""#;

/// A server below its watcher.
pub struct Server {
    /// Owned by the servers' user; everybody may pass.
    pub folder: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
    watcher: Child,
    said: BufReader<ChildStdout>,
    is_ready: fn(&Server) -> bool,
}

impl Server {
    /// Starts what `command` gives for a port, with `signal` to end it in good order; `None` if
    /// somebody else took the port between our look at it and the server's.
    pub fn start(
        folder: &Path,
        signal: &str,
        command: impl Fn(u16) -> Command,
        is_ready: fn(&Server) -> bool,
    ) -> Option<Server> {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = probe.local_addr().expect("its address").port();
        drop(probe);
        let command = command(port);
        let mut watcher = Command::new("/bin/sh");
        watcher.args(["-c", WATCHER, "sh"]).arg(command.get_program()).args(command.get_args());
        watcher.env("FOLDER", folder).env("SIGNAL", signal);
        // A group of its own: Ctrl-C is not for the servers.
        watcher.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut watcher = as_server(&mut watcher, folder).spawn().expect("/bin/sh");
        let said = BufReader::new(watcher.stdout.take().expect("piped"));
        let server = Server { folder: folder.to_owned(), port, watcher, said, is_ready };
        let ready = server.until_ready();
        assert!(ready || server.port_is_taken(), "{}", server.log());
        ready.then_some(server)
    }

    fn until_ready(&self) -> bool {
        let until = Instant::now() + START_LIMIT;
        while Instant::now() < until && !self.port_is_taken() {
            if (self.is_ready)(self) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// A file in the folder, which the server alone can read.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
        give(&path);
        path
    }

    fn port_is_taken(&self) -> bool {
        self.log().contains("ddress already in use")
    }

    fn tell(&mut self, word: &str) {
        let stdin = self.watcher.stdin.as_mut().expect("piped");
        writeln!(stdin, "{word}").expect("the watcher listens");
    }

    /// Ends it; returns when it is gone.
    pub fn stop(&mut self) {
        self.tell("stop");
        let mut answer = String::new();
        self.said.read_line(&mut answer).expect("the watcher answers");
        assert_eq!(answer, "stopped\n");
    }

    /// Starts it in the same folder, on the same port.
    pub fn start_again(&mut self) {
        self.tell("start");
        assert!(self.until_ready(), "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

/// A new folder that a server may use, and everybody may pass.
pub fn folder(name: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix(&format!("wsroute-{name}-")).tempdir();
    let folder = folder.expect("a folder").keep();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("permissions");
    give(&folder);
    folder
}

/// Makes the servers' user the owner.
pub fn give(path: &Path) {
    if rustix::process::getuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
}

/// Has `command` run as the servers' user, inside `folder`.
pub fn as_server<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(folder)
}

/// Whether a command runs and says that all is well.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Runs a command with some text on its standard input; gives what it says. It must not fail.
pub fn say(command: &mut Command, input: &str) -> String {
    let spawned =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|e| panic!("{command:?} is needed by the tests: {e}"));
    // A client that has failed does not read on.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("a child");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} < {input}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
