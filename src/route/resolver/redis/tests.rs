//! Against a real redis-server.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::route::resolver::testing::{ask_beside_a_busy_runtime, pki, query, some, target};

/// A private redis-server: on a Unix socket and on a loopback port, without persistence. It ends
/// with the test.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    process: Child,
}

impl Server {
    fn start(options: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|o| o.to_string()).collect();
        // Somebody else may take a free port first.
        for _ in 0..5 {
            let port = free_port();
            if let Some(process) = run(&dir, port, &options) {
                return Server { dir, port, options, process };
            }
        }
        panic!("redis-server ends at once");
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs commands with redis-cli's own quoting.
    fn run(&self, commands: &[&str]) {
        for command in commands {
            let mut words = vec!["-s".to_owned(), self.socket().display().to_string()];
            if let Some(at) = self.options.iter().position(|o| o == "--requirepass") {
                words.extend([
                    "--no-auth-warning".into(),
                    "-a".into(),
                    self.options[at + 1].clone(),
                ]);
            }
            words.extend(crate::words::words(command).unwrap());
            let output = Command::new("redis-cli").args(&words).output().expect("redis-cli");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && !text.contains("ERR"), "{command}: {text}");
        }
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.process = run(&self.dir, self.port, &self.options).expect("the same port");
    }

    /// `-STOP` or `-CONT`
    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server and waits until it listens; `None` if it ended instead.
fn run(dir: &tempfile::TempDir, port: u16, options: &[String]) -> Option<Child> {
    let socket = dir.path().join("redis.sock");
    let _ = std::fs::remove_file(&socket);
    let mut process = Command::new("redis-server")
        .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port"])
        .arg(port.to_string())
        .arg("--dir")
        .arg(dir.path())
        .arg("--unixsocket")
        .arg(&socket)
        .args(options)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is needed by the tests: RUNLEVEL=1 apt-get install redis-server");
    let until = Instant::now() + Duration::from_secs(10);
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < until, "redis-server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(process)
}

fn resolver(locator: &str, options: &[&str]) -> RedisResolver {
    let options: Vec<_> = options.iter().map(|o| o.split_once('=').unwrap()).collect();
    RedisResolver::new(RedisConfig::parse(locator, &options).unwrap())
}

#[tokio::test]
async fn values_become_answers() {
    let server = Server::start(&[]);
    server.run(&[
        "SET plain 10.0.0.5:6901",
        "SET url wss://10.0.0.5/vnc",
        r#"SET json '{"target":"10.0.0.5:6901","owner":"alice"}'"#,
        r#"SET websockify '{"host": "127.0.0.1:5000"}'"#,
        r#"SET pair '{"host":"10.0.0.5","port":6901}'"#,
        r#"SET text '"h:1"'"#,
        "SET null null",
        r#"SET no '{"target":null}'"#,
        r#"SET empty """#,
        "HSET hash host 10.0.0.5 port 6901 owner alice state running",
        "HSET hosthash host 10.0.0.5:6901",
        "HSET starting state creating",
        "HSET nothing colour red",
        "SET bad '{\"target\":'",
        "SET worse no",
        "HSET hashbad target 10.0.0.5",
        "RPUSH list a",
        "SADD set a",
        r#"SET "a b/../:{x}" h:1"#,
        "SET ä h:2",
        "EVAL \"redis.call('set','bytes',string.char(255))\" 0",
        "EVAL \"redis.call('hset','hashbytes','target',string.char(255))\" 0",
        "EVAL \"redis.call('set',string.char(97,13,10,98),'h:3')\" 0",
    ]);
    let d = resolver(&server.url(), &[]);
    let table = [
        ("plain", Ok("ws://10.0.0.5:6901")),
        ("hash", Ok("ws://10.0.0.5:6901")),
        ("url", Ok("wss://10.0.0.5:443/vnc")),
        ("json", Ok("ws://10.0.0.5:6901")),
        ("websockify", Ok("ws://127.0.0.1:5000")),
        ("pair", Ok("ws://10.0.0.5:6901")),
        ("text", Ok("ws://h:1")),
        ("hosthash", Ok("ws://10.0.0.5:6901")),
        ("starting", Ok("none")),
        ("null", Ok("")),
        ("no", Ok("")),
        ("empty", Ok("")),
        ("nothing", Ok("")),
        ("missing", Ok("")),
        ("PLAIN", Ok("")),
        ("*", Ok("")),
        ("plain\r\nSET x y\r\n", Ok("")),
        ("\0", Ok("")),
        ("a b/../:{x}", Ok("ws://h:1")),
        ("ä", Ok("ws://h:2")),
        ("a\r\nb", Ok("ws://h:3")),
        ("bad", Err("this is no JSON")),
        ("worse", Err("no port")),
        ("hashbad", Err("no port")),
        ("bytes", Err("not UTF-8")),
        ("hashbytes", Err("not UTF-8")),
        ("list", Err("neither a string nor a hash")),
        ("set", Err("neither a string nor a hash")),
    ];
    for (key, expected) in table {
        match (target(&d, key).await, expected) {
            (got, Ok(expected)) => {
                assert_eq!(got, Ok((!expected.is_empty()).then(|| expected.into())), "{key:?}")
            }
            (Err(ResolveError::Malformed(reason)), Err(expected)) => {
                assert!(reason.contains(expected), "{key:?}: {reason}");
                assert!(reason.starts_with(&server.url()), "{reason}");
            }
            (got, Err(expected)) => panic!("{key:?}: {got:?} instead of {expected}"),
        }
    }
    for key in ["json", "hash"] {
        let answer = d.resolve(query(key)).await.unwrap().unwrap();
        assert_eq!(answer.owner.as_deref(), Some("alice"), "{key}");
    }
}

#[tokio::test]
async fn names_databases_and_sockets() {
    let server = Server::start(&[]);
    server.run(&["SET desktop:alice h:1", "SET alice h:2", "-n 3 SET alice h:3"]);
    let socket = format!("redis+unix://{}", server.socket().display());
    let table = [
        (server.url(), "name=desktop:{key}", "ws://h:1"),
        (server.url(), "name={key}", "ws://h:2"),
        (format!("{}/3", server.url()), "name={key}", "ws://h:3"),
        (socket.clone(), "name={key}", "ws://h:2"),
        (format!("{socket}?db=3"), "name={key}", "ws://h:3"),
    ];
    for (locator, name, expected) in table {
        assert_eq!(
            target(&resolver(&locator, &[name]), "alice").await,
            some(expected),
            "{locator}"
        );
    }
    let by_user = resolver(&server.url(), &["name=desktop:{user}"]);
    assert_eq!(target(&by_user, "alice").await, Ok(None));
    let alice = Query { user: Some("alice".into()), ..query("any") };
    assert_eq!(by_user.cache_key(&alice), [Some("alice".into())]);
    assert!(by_user.resolve(alice).await.unwrap().is_some());
    let out_of_range = target(&resolver(&format!("{}/99", server.url()), &[]), "a").await;
    let error = out_of_range.unwrap_err().to_string();
    assert!(error.contains("out of range") && !error.contains('\n'), "{error}");
}

#[tokio::test]
async fn passwords() {
    let server = Server::start(&["--requirepass", "hunter2/@:"]);
    server.run(&["SET alice h:1", "ACL SETUSER wsroute on >hunter3 ~* +get +hgetall"]);
    let file = server.dir.path().join("password");
    std::fs::write(&file, "hunter2/@:\n").unwrap();
    let option = format!("password=file:{}", file.display());
    let at = |credentials: &str| format!("redis://{credentials}127.0.0.1:{}", server.port);
    assert_eq!(target(&resolver(&at(""), &[&option]), "alice").await, some("ws://h:1"));
    assert_eq!(target(&resolver(&at(":hunter2%2F%40%3A@"), &[]), "alice").await, some("ws://h:1"));
    // A user who may do nothing else.
    let least = resolver(&at("wsroute:hunter3@"), &[]);
    assert_eq!(target(&least, "alice").await, some("ws://h:1"));
    for locator in [at(""), at(":hunter4@"), at("nobody:hunter4@")] {
        let error = target(&resolver(&locator, &[]), "alice").await.unwrap_err();
        assert!(matches!(error, ResolveError::Failed(_)), "{error}");
        let error = error.to_string();
        assert!(error.starts_with(&server.url()) && !error.contains("hunter"), "{error}");
    }
}

#[tokio::test]
async fn tls() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (pki, other) = (pki("localhost"), pki("localhost"));
    let (ca, other) = (write("ca", &pki.authority), write("other", &other.authority));
    let (cert, key) = (write("cert", &pki.certificate), write("key", &pki.key));
    let port = free_port();
    let server = Server::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ]);
    server.run(&["SET alice h:1"]);
    let (ca, other) = (format!("ca={ca}"), format!("ca={other}"));
    let table: [(&str, &[&str], bool); 5] = [
        ("localhost", &[&ca], true),
        ("localhost", &["verify=off"], true),
        ("localhost", &[&other], false),
        ("localhost", &[], false),
        ("127.0.0.1", &[&ca], false),
    ];
    for (host, options, expected) in table {
        let d = resolver(&format!("rediss://{host}:{port}"), options);
        let got = target(&d, "alice").await;
        assert_eq!(got == some("ws://h:1"), expected, "{host} {options:?}: {got:?}");
        assert!(expected || got.unwrap_err().to_string().contains("certificate"), "{options:?}");
    }
    let plain = resolver(&format!("redis://localhost:{port}"), &[]);
    assert!(matches!(target(&plain, "alice").await, Err(ResolveError::Failed(_))));
}

#[tokio::test]
async fn an_outage_is_told_at_once_and_ends_by_itself() {
    let mut server = Server::start(&[]);
    server.run(&["SET alice h:1"]);
    let d = resolver(&server.url(), &[]);
    assert_eq!(target(&d, "alice").await, some("ws://h:1"));
    // Restarted between two questions: nobody notices.
    server.stop();
    server.start_again();
    server.run(&["SET alice h:2"]);
    assert_eq!(target(&d, "alice").await, some("ws://h:2"));

    server.stop();
    let began = Instant::now();
    for _ in 0..3 {
        let error = target(&d, "alice").await.unwrap_err();
        let expected = format!("{}: connection refused", server.url());
        assert_eq!(error, ResolveError::Failed(expected));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    server.start_again();
    server.run(&["SET alice h:3"]);
    assert_eq!(target(&d, "alice").await, some("ws://h:3"));

    // The server closes connections on its own account, too.
    server.run(&["CLIENT KILL TYPE normal SKIPME yes"]);
    assert_eq!(target(&d, "alice").await, some("ws://h:3"));
}

/// A server that hangs, and one that is gone without a word, look the same: the connection is
/// given up with the question.
#[tokio::test]
async fn a_silent_connection_is_not_asked_twice() {
    let server = Server::start(&[]);
    server.run(&["SET alice h:1"]);
    let d = resolver(&server.url(), &[]);
    assert_eq!(target(&d, "alice").await, some("ws://h:1"));
    server.signal("-STOP");
    let late = tokio::time::timeout(Duration::from_millis(100), target(&d, "alice")).await;
    assert!(late.is_err());
    server.signal("-CONT");
    server.run(&["CONFIG RESETSTAT"]);
    assert_eq!(target(&d, "alice").await, some("ws://h:1"));
    assert_eq!(target(&d, "alice").await, some("ws://h:1"));
    let output = Command::new("redis-cli")
        .arg("-s")
        .arg(server.socket())
        .args(["INFO", "stats"])
        .output()
        .unwrap();
    let stats = String::from_utf8_lossy(&output.stdout).into_owned();
    // One for the new connection, one for this redis-cli.
    assert!(stats.contains("total_connections_received:2\r"), "{stats}");
}

#[tokio::test]
async fn a_cancelled_question_disturbs_no_other() {
    let server = Server::start(&[]);
    for n in 0..100 {
        server.run(&[&format!("SET k{n} h:{}", n + 1)]);
    }
    let d = Arc::new(resolver(&server.url(), &[]));
    let mut askers = Vec::new();
    for n in 0..2000u64 {
        let asked = Arc::clone(&d);
        askers.push(tokio::spawn(async move {
            let got = target(&*asked, &format!("k{}", n % 100)).await;
            assert_eq!(got, some(&format!("ws://h:{}", n % 100 + 1)));
        }));
        if n % 3 == 0 {
            let d = Arc::clone(&d);
            let cancelled = tokio::spawn(async move { target(&*d, "k1").await });
            tokio::time::sleep(Duration::from_micros(n % 50)).await;
            cancelled.abort();
        }
    }
    for asker in askers {
        asker.await.unwrap();
    }
}

#[test]
fn a_busy_runtime_holds_up_nobody() {
    let server = Server::start(&[]);
    server.run(&["SET alice h:1"]);
    let d = resolver(&server.url(), &[]);
    for _ in 0..2 {
        // The second time the runtimes of the first are gone.
        let (got, took) = ask_beside_a_busy_runtime(&d, "alice");
        assert_eq!(got, some("ws://h:1"));
        assert!(took < Duration::from_millis(900), "{took:?}");
    }
}
