//! noVNC behind a login, and KasmVNC in Docker.

use super::containers::kasm;
use super::programs::{Program, free_port};
use super::*;
use crate::harness::docker_api::{DockerApi, container};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use tokio::io::AsyncWriteExt;

const DESKTOP: &str = "desktop.example.org";

/// A VNC server, as far as websockify sees it: it says its name and echoes. Gives its port.
async fn vnc(name: &'static str) -> u16 {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("its number").port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = tcp.write_all(name.as_bytes()).await;
                let (mut read, mut write) = tcp.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

/// websockify with tokens of `source`, a file or a directory; gives its port when it listens.
async fn websockify(source: &std::path::Path) -> (Program, u16) {
    let port = free_port();
    let (listen, source) = (format!("127.0.0.1:{port}"), source.display().to_string());
    let arguments = [&listen, "--token-plugin", "TokenFile", "--token-source", &source];
    let program = Program::start("/usr/bin/websockify", &arguments);
    let up = || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    eventually(SOON, "websockify listens", up).await;
    (program, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn novnc_websockify_tokens() {
    let (a, b) = (vnc("RFB alice").await, vnc("RFB bob").await);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens");
    let directory = folder.path().join("tokens.d");
    std::fs::create_dir(&directory).expect("a folder");
    std::fs::write(&file, format!("tok-alice: 127.0.0.1:{a}\n")).expect("a file");
    std::fs::write(directory.join("class"), format!("tok-bob: 127.0.0.1:{b}\n")).expect("a file");
    let (_one, one) = websockify(&file).await;
    let (_two, two) = websockify(&directory).await;
    let replaced = [("127.0.0.1:6080-6089", "127.0.0.1")];
    let setup = example("novnc-websockify-tokens", &replaced)
        .file("desktops.txt", format!("tok-alice 127.0.0.1:{one} owner=alice\n"))
        .file("desktops.d/class", format!("tok-bob 127.0.0.1:{two} owner=bob\n"));
    let httpd = start(setup).await;
    let client = |user| browser(&httpd, DESKTOP, user).header("Sec-WebSocket-Protocol", "binary");
    for (user, other) in [("alice", "bob"), ("bob", "alice")] {
        let path = format!("/websockify?token=tok-{user}");
        let mut ws = client(user).upgrade(&path).await;
        // websockify makes frames of what it happens to read.
        let expected = format!("RFB {user}pixels");
        ws.send(BINARY, b"pixels").await;
        let mut said = Vec::new();
        while said.len() < expected.len() {
            said.extend(ws.frame().await.data);
        }
        assert_eq!(String::from_utf8_lossy(&said), expected);
        ws.leave().await;
        client(other).refused(&path, 403).await;
    }
    client("alice").refused("/websockify?token=tok-carol", 404).await;
    client("alice").refused("/websockify", 404).await;
    let page = client("alice").get("/vnc.html").await;
    assert!(page.status == 200 && page.text().contains("noVNC"), "the package novnc: {page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kasmvnc_docker() {
    let (alice, bob) = (kasm("alice's").await, kasm("bob's").await);
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    let engine = DockerApi::unix(&socket);
    for (path, mode) in [(folder.path(), 0o755), (socket.as_path(), 0o777)] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("permissions");
    }
    let running = |n, user: &str, up: &Upstream| {
        let labels = serde_json::json!({ "wsroute.owner": user });
        let mut container = container(n, &format!("desktop-{user}"), labels);
        let port = up.address.port().to_string();
        let published = serde_json::json!([{ "HostIp": "127.0.0.1", "HostPort": port }]);
        container["NetworkSettings"]["Ports"]["6901/tcp"] = published;
        container
    };
    engine.set(vec![running(2, "alice", &alice), running(3, "bob", &bob)]);
    let socket = format!("unix:{}", socket.display());
    let replaced = [("unix:/var/run/docker.sock", socket.as_str()), ("boot=30s", "boot=1s")];
    let httpd = start(example("kasmvnc-docker", &replaced)).await;
    let at = |desktop: &str, user| browser(&httpd, &format!("desktop-{desktop}.example.org"), user);
    reaches(&at("alice", "alice"), "/websockify", "alice's").await;
    reaches(&at("bob", "bob"), "/websockify", "bob's").await;
    at("alice", "bob").refused("/websockify", 403).await;
    at("carol", "alice").refused("/websockify", 404).await;
    assert_eq!(at("alice", "alice").get("/vnc.html").await.text(), "alice's /vnc.html");
    assert_eq!(at("alice", "bob").get("/vnc.html").await.status, 403);
}
