//! IDEs in the browser, a process for each user: real ones, from PyPI and npm.

use super::programs::{Program, free_port};
use super::vscode::VsCode;
use super::*;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tempfile::TempDir;

/// How long an IDE may take: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// The IDE of one user. The program is ended before its home goes.
struct Ide {
    address: SocketAddr,
    _program: Program,
    home: TempDir,
}

impl Ide {
    /// Starts `command`, `{home}` and `{port}` in it replaced, and waits until it listens.
    async fn start(command: &[&str]) -> Ide {
        let home = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (folder, port) = (home.path().display().to_string(), address.port().to_string());
        let filled = |word: &&str| word.replace("{home}", &folder).replace("{port}", &port);
        // What it writes stays in a folder that goes with the test.
        let words: Vec<String> =
            [format!("HOME={folder}")].into_iter().chain(command.iter().map(filled)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let _program = Program::start("/usr/bin/env", &words);
        let up = || TcpStream::connect(address).is_ok();
        eventually(PATIENCE, &format!("{command:?} listens"), up).await;
        Ide { address, _program, home }
    }
}

/// alice's or bob's JupyterLab, as the example says to start it.
async fn jupyterlab(user: &str) -> Ide {
    let program = installed::jupyter_lab();
    let base = format!("--ServerApp.base_url=/user/{user}/");
    let token = format!("JUPYTER_TOKEN={user}-s3cret");
    // Behind the example's: tests run as root, it must not take another port, its files go.
    let command = [
        &token,
        &program,
        "--no-browser",
        "--ip=127.0.0.1",
        "--port={port}",
        &base,
        "--ServerApp.allow_remote_access=True",
        "--allow-root",
        "--ServerApp.port_retries=0",
        "--ServerApp.root_dir={home}",
    ];
    Ide::start(&command).await
}

/// What JupyterLab's page sends to have code run.
fn execute(code: &str) -> String {
    json!({
        "channel": "shell", "metadata": {}, "parent_header": {}, "buffers": [],
        "header": { "msg_id": "m1", "username": "", "session": "s1", "version": "5.3",
                    "msg_type": "execute_request", "date": "2026-01-01T00:00:00Z" },
        "content": { "code": code, "silent": false, "store_history": false,
                     "user_expressions": {}, "allow_stdin": false },
    })
    .to_string()
}

/// Reads a kernel's messages until one has the result of what was executed.
async fn result(ws: &mut Ws) -> String {
    let reading = async {
        loop {
            let frame = ws.next().await.expect("the kernel goes on talking");
            let message: Value = serde_json::from_slice(&frame.data).unwrap_or_default();
            if message["msg_type"] == "execute_result" {
                return message["content"]["data"]["text/plain"].as_str().expect("text").to_owned();
            }
        }
    };
    within(PATIENCE, "the kernel's result", reading).await
}

#[tokio::test(flavor = "multi_thread")]
async fn jupyterlab_per_user() {
    let (alice, bob) = (jupyterlab("alice").await, jupyterlab("bob").await);
    let line = |user: &str, ide: &Ide| {
        let address = ide.address;
        format!("{user} {address} owner={user} headers=\"Authorization: token {user}-s3cret\"\n")
    };
    let labs = line("alice", &alice) + &line("bob", &bob);
    let replaced = [("127.0.0.1:8800-8899", "127.0.0.1")];
    let httpd = start(example("jupyterlab-per-user", &replaced).file("labs.txt", labs)).await;
    let client = |user: &str| browser(&httpd, "lab.example.org", user);
    for (user, ide, other) in [("alice", &alice, "bob"), ("bob", &bob, "alice")] {
        let lab = format!("/user/{user}");
        let page = client(user).get(&format!("{lab}/lab")).await;
        assert!(page.status == 200 && page.text().contains("JupyterLab"), "{page:?}");
        let kernel = client(user).plain("POST", &format!("{lab}/api/kernels"), "{}").await;
        assert_eq!(kernel.status, 201, "{}", kernel.text());
        let kernel: Value = serde_json::from_slice(&kernel.body).expect("JSON");
        let channels = format!("{lab}/api/kernels/{}/channels", kernel["id"].as_str().expect("id"));
        let mut ws = client(user).upgrade(&channels).await;
        ws.send(TEXT, execute("1+1").as_bytes()).await;
        assert_eq!(result(&mut ws).await, "2");
        ws.send(TEXT, execute("import os; os.environ['HOME']").as_bytes()).await;
        assert_eq!(result(&mut ws).await, format!("'{}'", ide.home.path().display()));

        let around = format!("http://{}{lab}/api/kernels", ide.address);
        let status = ["-s", "-o", "/dev/null", "-w", "%{http_code}", &around];
        assert_eq!(run("curl", &status), "403", "without the token");
        for path in [format!("{lab}/lab"), format!("{lab}/api/kernels")] {
            assert_eq!(client(other).get(&path).await.status, 403, "{other} at {path}");
            let stranger = client(user).without("Authorization");
            assert_eq!(stranger.get(&path).await.status, 401, "{path}");
        }
        client(other).refused(&channels, 403).await;
    }
    client("alice").refused("/user/carol/api/kernels/x/channels", 404).await;
}

/// A code-server, as the example says to start it.
async fn code_server() -> Ide {
    let [node, script] = installed::code_server();
    Ide::start(&[&node, &script, "--bind-addr", "127.0.0.1:{port}", "--auth", "none"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn code_server_per_user() {
    let (alice, bob) = (code_server().await, code_server().await);
    let line = |user: &str, ide: &Ide| format!("{user} {} owner={user}\n", ide.address);
    let ides = line("alice", &alice) + &line("bob", &bob);
    let replaced = [("127.0.0.1:8900-8999", "127.0.0.1")];
    let httpd = start(example("code-server", &replaced).file("code.txt", ides)).await;
    let at = |name: &str, user: &str| browser(&httpd, &format!("code-{name}.example.org"), user);
    let commit = installed::vscode_commit();
    for (user, ide, other) in [("alice", &alice, "bob"), ("bob", &bob, "alice")] {
        let page = at(user, user).get("/").await;
        assert!(page.status == 200 && page.text().contains(&commit), "{page:?}");
        let script = format!("/stable-{commit}/static/out/vs/code/browser/workbench/workbench.js");
        assert_eq!(at(user, user).get(&script).await.status, 200, "{script}");

        let home = ide.home.path().display().to_string();
        let file = format!("{home}/hello.txt");
        std::fs::write(&file, format!("{user} says hello")).expect("a file");
        let mut session = VsCode::open(&at(user, user), &commit).await;
        let tests = json!({ "remoteAuthority": "tests" });
        let channel = "remoteextensionsenvironment";
        session.call(channel, "getEnvironmentData", tests, &home).await;
        let uri = json!([{ "scheme": "vscode-remote", "authority": "tests", "path": file }]);
        session.call("remoteFilesystem", "readFile", uri, &format!("{user} says hello")).await;

        at(user, other).refused(&VsCode::path(&commit), 403).await;
        assert_eq!(at(user, other).get("/").await.status, 403);
        assert_eq!(at(user, user).without("Authorization").get("/").await.status, 401);
        let foreign = at(user, user).header("Origin", "https://evil.example");
        foreign.refused(&VsCode::path(&commit), 403).await;
    }
    at("carol", "alice").refused(&VsCode::path(&commit), 404).await;
}
