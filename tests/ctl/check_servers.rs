//! nginx, haproxy and programs in Python, each on a port of its own, ended when dropped.

use crate::harness::Pki;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a `location` of nginx needs for WebSockets.
pub const NGINX_PASSES: &str = "proxy_http_version 1.1; proxy_set_header Host $http_host; \
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// A running server.
pub struct Server {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    child: Child,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx with one `server`; `listen` are more words of that line.
pub fn nginx(listen: &str, server: &str) -> Server {
    let port = free_port();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path ROOT/{name};\n"))
        .collect();
    let conf = format!(
        "daemon off; master_process off; pid ROOT/pid; error_log ROOT/error.log;\n\
         events {{}}\nhttp {{ access_log off;\n{temporary}server {{\n\
         listen 127.0.0.1:{port} {listen};\nssl_certificate ROOT/both.pem;\n\
         ssl_certificate_key ROOT/both.pem;\n{server}\n}} }}\n"
    );
    start("/usr/sbin/nginx", &["-p", "ROOT", "-c", "ROOT/conf"], &conf, port)
}

/// haproxy with one frontend and one backend.
pub struct Haproxy {
    /// `ADDR:PORT` of the server, and what may follow.
    pub server: String,
    /// More words of `bind`.
    pub bind: String,
    /// More lines of `backend`.
    pub backend: String,
    /// `timeout client`, `server` and `tunnel`.
    pub timeout: String,
}

impl Default for Haproxy {
    fn default() -> Haproxy {
        let none = String::new;
        Haproxy { server: none(), bind: none(), backend: none(), timeout: "30s".to_owned() }
    }
}

impl Haproxy {
    /// Starts it.
    pub fn start(self) -> Server {
        let (port, Haproxy { server, bind, backend, timeout }) = (free_port(), self);
        let conf = format!(
            "defaults\n mode http\n retries 0\n timeout connect 3s\n timeout client {timeout}\n \
             timeout server {timeout}\n timeout tunnel {timeout}\nfrontend f\n \
             bind 127.0.0.1:{port} {bind}\n default_backend b\nbackend b\n {backend}\n \
             server s {server}\n"
        );
        start("/usr/sbin/haproxy", &["-db", "-f", "ROOT/conf"], &conf, port)
    }
}

/// A program in Python, which gets its port as the only argument.
pub fn python(program: &str) -> Server {
    let port = free_port();
    start("/usr/bin/python3", &["-c", program, &port.to_string()], "", port)
}

/// `ROOT` is a folder with `conf` and `both.pem`, a certificate for localhost and its key.
fn start(program: &str, arguments: &[&str], conf: &str, port: u16) -> Server {
    let folder = tempfile::Builder::new().prefix("check-").tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    let signed = &Pki::get().signed;
    std::fs::write(folder.path().join("both.pem"), signed.cert.clone() + &signed.key)
        .expect("a file");
    std::fs::write(folder.path().join("conf"), conf.replace("ROOT", &root)).expect("a file");
    let log = std::fs::File::create(folder.path().join("log")).expect("a file");
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|word| word.replace("ROOT", &root)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let child = command.spawn();
    let child = child.unwrap_or_else(|e| panic!("{program} is needed by the tests: {e}"));
    let server = Server { port, child, _folder: folder };
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let said = || std::fs::read_to_string(format!("{root}/log")).unwrap_or_default();
        assert!(Instant::now() < until, "{program} does not start: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its number").port()
}
