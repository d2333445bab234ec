//! A private httpd: own ServerRoot, own ports, a child process of the test.

use super::log::{ACCESS_FORMAT, Access, ERROR_FORMAT, Log};
use super::{Client, Pki, SOON, Tls, eventually, ms, procs};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A multi-processing module of httpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mpm {
    /// Hands idle and suspended connections to a poller.
    Event,
    /// A thread for each connection.
    Worker,
    /// A process for each connection.
    Prefork,
}

impl Mpm {
    /// The MPM of this run, from the environment.
    pub fn of_this_run() -> Mpm {
        match std::env::var("MPM").as_deref() {
            Ok("event") | Err(_) => Mpm::Event,
            Ok("worker") => Mpm::Worker,
            Ok("prefork") => Mpm::Prefork,
            Ok(other) => panic!("MPM={other}: event, worker or prefork"),
        }
    }

    /// Whether this run is on event. If not, says on the terminal why the test has nothing to do.
    pub fn is_event_or_say(why: &str) -> bool {
        let event = Mpm::of_this_run() == Mpm::Event;
        if !event {
            println!("nothing to do on {:?}: {why}", Mpm::of_this_run());
        }
        event
    }

    fn module(self) -> &'static str {
        match self {
            Mpm::Event => "mpm_event",
            Mpm::Worker => "mpm_worker",
            Mpm::Prefork => "mpm_prefork",
        }
    }

    /// Room for the sessions of a test.
    fn limits(self) -> &'static str {
        match self {
            Mpm::Event => {
                "StartServers 1\nServerLimit 32\nThreadsPerChild 25\nMaxRequestWorkers 150\n\
                 AsyncRequestWorkerFactor 300"
            }
            Mpm::Worker => {
                "StartServers 1\nServerLimit 32\nThreadsPerChild 50\nMaxRequestWorkers 400\n\
                 MinSpareThreads 25\nMaxSpareThreads 400"
            }
            Mpm::Prefork => {
                "StartServers 6\nServerLimit 250\nMaxRequestWorkers 250\nMinSpareServers 4\n\
                 MaxSpareServers 250"
            }
        }
    }
}

const MODULES: &[&str] = &[
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_host",
    "authz_user",
    "auth_basic",
    "alias",
    "headers",
    "rewrite",
    "setenvif",
    "env",
    "proxy",
    "proxy_http",
    "status",
    "reqtimeout",
];

/// How an httpd shall be.
#[derive(Debug, Clone)]
pub struct Setup {
    conf: String,
    global: String,
    mpm: Mpm,
    limits: Option<String>,
    modules: Vec<&'static str>,
    tls: bool,
    wsroute: bool,
    twice: bool,
    files: Vec<(String, Vec<u8>)>,
}

impl Setup {
    /// Another MPM than that of the run.
    #[allow(dead_code, reason = "one of the words of the harness")]
    pub fn mpm(mut self, mpm: Mpm) -> Setup {
        self.mpm = mpm;
        self
    }

    /// Other limits of the MPM than the usual ones.
    pub fn limits(mut self, lines: &str) -> Setup {
        self.limits = Some(lines.to_owned());
        self
    }

    /// Processes and threads for so many sessions at once, from the start.
    pub fn room_for(self, sessions: usize) -> Setup {
        let lines = match self.mpm {
            Mpm::Event => return self,
            Mpm::Worker => format!(
                "StartServers {n}\nServerLimit 32\nThreadsPerChild 50\nMaxRequestWorkers 800\n\
                 MinSpareThreads 25\nMaxSpareThreads 800",
                n = sessions / 50 + 1
            ),
            Mpm::Prefork => format!(
                "StartServers {n}\nServerLimit 300\nMaxRequestWorkers 300\nMinSpareServers 4\n\
                 MaxSpareServers 300",
                n = sessions + 5
            ),
        };
        self.limits(&lines)
    }

    /// Lines outside of any virtual host. `${TLS_PORT}` is for one of their own, without [`Setup::tls`].
    pub fn global(mut self, lines: &str) -> Setup {
        self.global += lines;
        self.global.push('\n');
        self
    }

    /// A second virtual host, over TLS, with the same configuration.
    pub fn tls(mut self) -> Setup {
        self.tls = true;
        self.module("ssl").module("socache_shmcb")
    }

    /// One more of httpd's modules.
    pub fn module(mut self, name: &'static str) -> Setup {
        if !self.modules.contains(&name) {
            self.modules.push(name);
        }
        self
    }

    /// Leaves mod_wsroute out.
    pub fn without_wsroute(mut self) -> Setup {
        self.wsroute = false;
        self
    }

    /// Loads mod_wsroute a second time.
    pub fn load_twice(mut self) -> Setup {
        self.twice = true;
        self
    }

    /// A file in the ServerRoot, `${ROOT}/name` in the configuration.
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Setup {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// Starts it, and waits until it serves.
    pub async fn start(self) -> Httpd {
        for _ in 0..8 {
            let mut httpd = Httpd::launch(&self);
            match httpd.until_ready().await {
                Ok(()) => return httpd,
                // Somebody else took the port between our look at it and httpd's.
                Err(log) if log.contains("could not bind") => httpd.forget(),
                Err(log) => {
                    httpd.forget();
                    panic!("httpd does not start:\n{log}\n{}", httpd.configuration())
                }
            }
        }
        panic!("no free port in eight attempts");
    }

    /// Only has the configuration checked (`apache2 -t`): whether it is fine, and what was said.
    pub fn configtest(&self) -> (bool, String) {
        let root = self.prepare([9, 10, 11]);
        let output = command(root.path()).arg("-t").output().expect("httpd");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn prepare(&self, ports: [u16; 3]) -> TempDir {
        let root = tempfile::Builder::new().prefix("wsroute-").tempdir().expect("a folder");
        let path = root.path();
        // The children may run as another user.
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("permissions");
        for folder in ["run", "htdocs"] {
            fs::create_dir(path.join(folder)).expect("a folder");
        }
        let write = |name: &str, content: &[u8]| {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
            fs::write(file, content).expect("a file");
        };
        write("htdocs/index.html", b"the index\n");
        write("cert.pem", Pki::get().signed.cert.as_bytes());
        write("key.pem", Pki::get().signed.key.as_bytes());
        for (name, content) in &self.files {
            write(name, content);
        }
        write("httpd.conf", self.text(path, ports).as_bytes());
        root
    }

    fn text(&self, root: &Path, ports: [u16; 3]) -> String {
        let [port, tls_port, status] = ports;
        let modules = std::env::var("HTTPD_MODULES");
        let modules = modules.unwrap_or_else(|_| "/usr/lib/apache2/modules".into());
        let mut text = format!("Define ROOT \"{}\"\nDefine TLS_PORT {tls_port}\n", root.display());
        for module in [self.mpm.module()].iter().chain(MODULES).chain(&self.modules) {
            text += &format!("LoadModule {module}_module \"{modules}/mod_{module}.so\"\n");
        }
        if self.wsroute {
            let line = format!("LoadModule wsroute_module \"{}\"\n", module_file().display());
            text += &line.repeat(if self.twice { 2 } else { 1 });
        }
        if rustix::process::getuid().is_root() {
            text += "User www-data\nGroup www-data\n";
        }
        let level = if self.wsroute { "info wsroute:debug" } else { "info" };
        text += &format!(
            "ServerRoot \"${{ROOT}}\"\nDefaultRuntimeDir \"${{ROOT}}/run\"\n\
             PidFile \"${{ROOT}}/run/httpd.pid\"\nServerName localhost\n\
             ErrorLog \"${{ROOT}}/error.log\"\nErrorLogFormat \"{ERROR_FORMAT}\"\n\
             LogLevel {level}\nLogFormat \"{ACCESS_FORMAT}\" harness\nCustomLog \"${{ROOT}}/access.log\" harness\n\
             DocumentRoot \"${{ROOT}}/htdocs\"\nExtendedStatus On\n\
             <Directory \"${{ROOT}}/htdocs\">\nRequire all granted\n</Directory>\n\
             Listen 127.0.0.1:{status}\n<VirtualHost 127.0.0.1:{status}>\n\
             <Location \"/\">\nSetHandler server-status\n</Location>\n</VirtualHost>\n"
        );
        text += self.limits.as_deref().unwrap_or_else(|| self.mpm.limits());
        text += &format!("\n{}\n", self.global);
        let conf = &self.conf;
        text += &format!(
            "Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\n{conf}\n</VirtualHost>\n"
        );
        if self.tls {
            text += &format!(
                "SSLSessionCache \"shmcb:${{ROOT}}/run/cache(512000)\"\n\
                 SSLProtocol -all +TLSv1.2 +TLSv1.3\n\
                 Listen 127.0.0.1:{tls_port}\n<VirtualHost 127.0.0.1:{tls_port}>\n\
                 SSLEngine on\nSSLCertificateFile \"${{ROOT}}/cert.pem\"\n\
                 SSLCertificateKeyFile \"${{ROOT}}/key.pem\"\n{conf}\n</VirtualHost>\n"
            );
        }
        text
    }
}

/// The module under test.
pub fn module_file() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/mod_wsroute.so");
    let file = std::env::var_os("WSROUTE_SO").map_or_else(|| default.into(), PathBuf::from);
    assert!(file.is_file(), "{}: build the module first, or set WSROUTE_SO", file.display());
    file.canonicalize().expect("an absolute path")
}

fn command(root: &Path) -> Command {
    let program = std::env::var("HTTPD").unwrap_or_else(|_| "/usr/sbin/apache2".into());
    assert!(Path::new(&program).is_file(), "{program}: the tests need httpd (or set HTTPD)");
    // A test process that is killed cannot stop its httpd: then the kernel does.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", &program]);
    command.arg("-f").arg(root.join("httpd.conf")).arg("-d").arg(root);
    command
}

/// All held at once, so that they differ.
fn free_ports() -> [u16; 3] {
    let any = (Ipv4Addr::LOCALHOST, 0);
    let sockets = [(); 3].map(|()| TcpListener::bind(any).expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("its number").port())
}

/// A running httpd. It is stopped, and its error log judged, when it is dropped.
#[derive(Debug)]
pub struct Httpd {
    process: Child,
    exited: Option<ExitStatus>,
    root: TempDir,
    /// For plaintext, for TLS, and for mod_status alone.
    ports: [u16; 3],
    log: Log,
    judged: bool,
    output_allowed: Mutex<Vec<String>>,
}

impl Httpd {
    /// The beginning of every test: lines for the virtual host.
    pub fn with(conf: impl Into<String>) -> Setup {
        Setup {
            conf: conf.into(),
            global: String::new(),
            mpm: Mpm::of_this_run(),
            limits: None,
            modules: Vec::new(),
            tls: false,
            wsroute: true,
            twice: false,
            files: Vec::new(),
        }
    }

    fn launch(setup: &Setup) -> Httpd {
        let ports = free_ports();
        let root = setup.prepare(ports);
        let output = File::create(root.path().join("output.log")).expect("a file");
        let process = command(root.path())
            .arg("-DFOREGROUND")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a descriptor"))
            .stderr(output)
            .env("RUST_BACKTRACE", "1")
            // Its own group: a straggler can be ended together with its parent.
            .process_group(0)
            .spawn()
            .expect("httpd");
        let log = Log::new(&root.path().join("error.log"));
        // The machine's OpenSSL is older than the one that its mod_ssl was built with: not ours.
        log.allow("AH01882");
        // One of the races of `let_it_settle`.
        log.allow("AH03093");
        Httpd {
            process,
            exited: None,
            root,
            ports,
            log,
            judged: false,
            output_allowed: Mutex::default(),
        }
    }

    async fn until_ready(&mut self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.poll_exit() {
                return Err(format!("{status}\n{}{}", self.output(), self.log.tail(50)));
            }
            // The log line as well: the port alone could be a stranger's.
            let up = self.log.count("resuming normal operations") > 0
                && TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[0])).is_ok();
            if up {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("not ready\n{}{}", self.output(), self.log.tail(50)));
            }
            tokio::time::sleep(ms(5)).await;
        }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.root.path().join("output.log")).unwrap_or_default()
    }

    /// Lines with `text` may appear on its stdout and stderr, which should be silent.
    pub fn allow_output(&self, text: &str) {
        self.output_allowed.lock().expect("allowed").push(text.to_owned());
    }

    fn undeclared_output(&self) -> String {
        let allowed = self.output_allowed.lock().expect("allowed");
        let known = |line: &&str| allowed.iter().any(|a| line.contains(a.as_str()));
        let output = self.output();
        output.lines().filter(|l| !known(l)).collect::<Vec<_>>().join("\n")
    }

    fn configuration(&self) -> String {
        fs::read_to_string(self.root.path().join("httpd.conf")).unwrap_or_default()
    }

    /// No judgement at the end: it never ran.
    fn forget(&mut self) {
        self.judged = true;
    }

    /// The ServerRoot.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where it listens for plaintext.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Where it listens for TLS.
    pub fn tls_port(&self) -> u16 {
        self.ports[1]
    }

    fn client_at(&self, port: u16, tls: Option<Tls>) -> Client {
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), tls)
    }

    /// A client over plaintext.
    pub fn client(&self) -> Client {
        self.client_at(self.ports[0], None)
    }

    /// A client over TLS.
    pub fn tls_client(&self, tls: Tls) -> Client {
        self.client_at(self.tls_port(), Some(tls))
    }

    /// Clients over plaintext, TLS 1.2 and TLS 1.3.
    pub fn clients(&self) -> [(&'static str, Client); 3] {
        [
            ("plaintext", self.client()),
            ("TLS 1.2", self.tls_client(Tls::V12)),
            ("TLS 1.3", self.tls_client(Tls::V13)),
        ]
    }

    /// Its error log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The lines so far of a log in its ServerRoot.
    pub fn lines(&self, log: &str) -> Vec<String> {
        let text = fs::read_to_string(self.root.path().join(log)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The access log so far.
    pub fn access(&self) -> Vec<Access> {
        Access::all(&self.root.path().join("access.log"))
    }

    /// The access log once it has `n` lines with status 101.
    pub async fn sessions_logged(&self, n: usize) -> Vec<Access> {
        let sessions = || self.access().into_iter().filter(|a| a.status == 101);
        let what = format!("{n} lines with 101 in the access log");
        eventually(SOON, &what, || sessions().count() >= n).await;
        sessions().collect()
    }

    /// The process ids of its children.
    pub fn children(&self) -> Vec<u32> {
        procs::children(self.process.id())
    }

    /// Descriptors that the parent has open.
    pub fn parent_descriptors(&self) -> usize {
        procs::descriptors(self.process.id())
    }

    /// Descriptors that the children have open.
    pub fn descriptors(&self) -> usize {
        self.children().into_iter().map(procs::descriptors).sum()
    }

    /// Memory of all its processes in bytes.
    pub fn memory(&self) -> usize {
        let all = self.children().into_iter().chain([self.process.id()]);
        all.map(procs::memory).sum()
    }

    /// mod_status, as its `?auto` page says it.
    pub async fn status(&self) -> HashMap<String, String> {
        let page = self.client_at(self.ports[2], None).get("/?auto").await.text();
        let fields = page.lines().filter_map(|l| l.split_once(": "));
        fields.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    /// Sends a signal to the parent, as `apachectl` does.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).expect("httpd lives");
    }

    /// Waits until it has started `n` times (once at first, then at each restart).
    pub async fn until_started(&self, n: usize) {
        let what = format!("start number {n}");
        let count = || self.log.count("resuming normal operations");
        eventually(SOON, &what, || count() >= n).await;
    }

    fn poll_exit(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.process.try_wait().expect("our child");
        }
        self.exited
    }

    /// Waits for its end.
    pub async fn until_exit(&mut self, limit: Duration) -> ExitStatus {
        eventually(limit, "the end of httpd", || self.poll_exit().is_some()).await;
        self.exited.expect("just polled")
    }

    /// httpd has races of its own between a stop and a worker that is still busy with a
    /// connection; without any of our code on the stack, prefork crashed inside OpenSSL's
    /// `SSL_free` and event in `close_worker_sockets` (2.4.71). So stop it when workers are idle.
    fn let_it_settle(&self) {
        for _ in 0..20 {
            let status = (Ipv4Addr::LOCALHOST, self.ports[2]);
            let Ok(mut tcp) = TcpStream::connect(status) else { return };
            let request = b"GET /?auto HTTP/1.0\r\n\r\n";
            let mut page = String::new();
            let asked = tcp.set_read_timeout(Some(ms(500))).and_then(|()| tcp.write_all(request));
            let answered = asked.and_then(|()| tcp.read_to_string(&mut page));
            drop(tcp);
            std::thread::sleep(ms(10));
            if answered.is_err() || page.contains("BusyWorkers: 1\n") {
                return;
            }
        }
    }

    fn stop(&mut self) {
        let pid = Pid::from_child(&self.process);
        if self.poll_exit().is_none() {
            if !self.judged {
                self.let_it_settle();
            }
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + Duration::from_secs(15);
        while self.poll_exit().is_none() && Instant::now() < until {
            std::thread::sleep(ms(5));
        }
        if self.exited.is_none() {
            println!("httpd did not stop within 15 s of SIGTERM");
        }
        // Its group has our child's number, so this reaches nobody else; usually it is empty.
        let _ = kill_process_group(pid, Signal::KILL);
        if self.exited.is_none() {
            let _ = self.process.wait();
        }
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        let died = self.exited.is_none() && self.poll_exit().is_some();
        let stopping = Instant::now();
        self.stop();
        if self.judged {
            return;
        }
        if std::thread::panicking() {
            println!("error log of httpd:\n{}{}", self.output(), self.log.tail(60));
            return;
        }
        let undeclared = self.log.undeclared();
        let output = self.undeclared_output();
        if died || !undeclared.is_empty() || !output.is_empty() {
            println!("error log of httpd:\n{}", self.log.tail(60));
            panic!("httpd died: {died}; output: {output:?}; undeclared lines: {undeclared:#?}");
        }
        assert!(stopping.elapsed() < Duration::from_secs(10), "httpd was slow to stop");
    }
}
