//! Against an engine's API in this process.

use serde_json::{Value, json};

use super::*;
use crate::route::resolver::testing::docker_api::{DockerApi, container};
use crate::route::resolver::testing::{ask_beside_a_busy_runtime, query, some, target};

struct Engine {
    api: DockerApi,
    locator: String,
    _dir: tempfile::TempDir,
}

/// An engine on a Unix socket with these containers.
fn engine(containers: Vec<Value>) -> Engine {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker.sock");
    let api = DockerApi::unix(&path);
    api.set(containers);
    Engine { api, locator: format!("unix:{}", path.display()), _dir: dir }
}

fn resolver(locator: &str, options: &[&str]) -> DockerResolver {
    let options: Vec<_> = options.iter().map(|o| o.split_once('=').unwrap()).collect();
    DockerResolver::new(DockerConfig::parse(locator, &options).unwrap())
}

/// A container with the label `desktop=alice`, changed at these JSON pointers.
fn alice(changes: &[(&str, Value)]) -> Value {
    let mut alice = container(2, "desk-alice", json!({ "desktop": "alice" }));
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/");
        alice.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    alice
}

fn published(bindings: Value) -> Value {
    alice(&[("/NetworkSettings/Ports/6901~1tcp", bindings)])
}

#[tokio::test]
async fn containers_are_found_by_label_or_name() {
    let label = |value: &str| json!({ "desktop": value });
    let engine = engine(vec![
        container(2, "desk-alice", label("alice")),
        container(3, "desk-bob", label("bob")),
        container(4, "deskXbob", label("bob.2")),
        container(5, "desk-bob-2", label("a=b")),
        container(6, "other", json!({ "other": "alice" })),
        container(7, "plain", json!({})),
    ]);
    let by_label = resolver(&engine.locator, &["label=desktop"]);
    for (key, expected) in [
        ("alice", some("ws://172.17.0.2:6901")),
        ("bob", some("ws://172.17.0.3:6901")),
        ("a=b", some("ws://172.17.0.5:6901")),
        ("ALICE", Ok(None)),
        ("ali", Ok(None)),
        ("", Ok(None)),
        ("alice\"],\"label\":[\"", Ok(None)),
        ("{\"a\":1}", Ok(None)),
        ("../alice", Ok(None)),
        ("ä", Ok(None)),
    ] {
        assert_eq!(target(&by_label, key).await, expected, "{key:?}");
    }
    let by_name = resolver(&engine.locator, &["name=desk-{key}"]);
    for (key, expected) in [
        ("alice", some("ws://172.17.0.2:6901")),
        ("bob", some("ws://172.17.0.3:6901")),
        ("bob-2", some("ws://172.17.0.5:6901")),
        ("bo", Ok(None)),
        ("b.b", Ok(None)),
        (".*", Ok(None)),
        ("bob|plain", Ok(None)),
        ("bob/../plain", Ok(None)),
        ("bob\n", Ok(None)),
    ] {
        assert_eq!(target(&by_name, key).await, expected, "{key:?}");
    }
    let whole = resolver(&engine.locator, &["name={key}"]);
    assert_eq!(target(&whole, "plain").await, some("ws://172.17.0.7:6901"));
    // An id is no name, and neither is its beginning.
    assert_eq!(target(&whole, &format!("{:064x}", 2)).await, Ok(None));
    assert_eq!(target(&whole, "0000").await, Ok(None));
    // The engine was asked for these containers only.
    let received = engine.api.received();
    let first = r#"/containers/json?all=true&size=false&filters={"label":["desktop=alice"]}"#;
    assert_eq!(received[0], first);
    assert_eq!(received[1], format!("/containers/{:064x}/json", 2));
    let named = received.iter().find(|r| r.contains("b\\\\.b")).unwrap();
    assert!(named.ends_with(r#"{"name":["^/?desk-b\\.b$"]}"#), "{named}");
}

#[tokio::test]
async fn two_that_match_are_refused() {
    let label = json!({ "desktop": "alice" });
    let mut old = container(3, "desk-old", label.clone());
    old["State"]["Status"] = "exited".into();
    let engine = engine(vec![container(2, "desk-new", label), old]);
    let resolver = resolver(&engine.locator, &["label=desktop"]);
    let error = target(&resolver, "alice").await.unwrap_err();
    let expected =
        format!("{}: more than one container matches: desk-new, desk-old", engine.locator);
    assert_eq!(error, ResolveError::Failed(expected));
}

#[tokio::test]
async fn addresses_and_ports() {
    const HOST_NETWORK: &str = "/NetworkSettings/Networks";
    let two_networks = json!({
        "bridge": { "IPAddress": "172.17.0.2" },
        "desks": { "IPAddress": "10.9.0.2" },
        "none": { "IPAddress": "" },
    });
    let two_ports = json!({ "6901/tcp": {}, "22/tcp": {}, "53/udp": {} });
    let host_network = json!({ "host": { "IPAddress": "" } });
    let v6 = json!({ "v6": { "IPAddress": "", "GlobalIPv6Address": "fd00::2" } });
    let at = |ip: &str, port: &str| json!([{ "HostIp": ip, "HostPort": port }]);
    let dual = json!([{ "HostIp": "0.0.0.0", "HostPort": "32768" }, { "HostIp": "::", "HostPort": "32769" }]);
    type Case<'a> = (Value, &'a [&'a str], Result<&'a str, &'a str>);
    let table: Vec<Case<'_>> = vec![
        (alice(&[]), &[], Ok("ws://172.17.0.2:6901")),
        (alice(&[]), &["port=5900"], Ok("ws://172.17.0.2:5900")),
        (alice(&[]), &["address=published"], Err("port 6901 is not published")),
        (published(dual), &[], Ok("ws://127.0.0.1:32768")),
        (published(at("", "1")), &[], Ok("ws://127.0.0.1:1")),
        (published(at("::", "1")), &[], Ok("ws://127.0.0.1:1")),
        (published(at("127.0.0.1", "1")), &[], Ok("ws://127.0.0.1:1")),
        (published(at("10.0.0.9", "1")), &[], Ok("ws://10.0.0.9:1")),
        (published(at("fd00::9", "1")), &[], Ok("ws://[fd00::9]:1")),
        (published(at("", "")), &[], Ok("ws://172.17.0.2:6901")),
        (published(json!([])), &[], Ok("ws://172.17.0.2:6901")),
        (published(at("", "1")), &["address=container"], Ok("ws://172.17.0.2:6901")),
        (published(at("", "1")), &["port=5900"], Ok("ws://172.17.0.2:5900")),
        (
            alice(&[("/Config/ExposedPorts", two_ports.clone())]),
            &[],
            Err("It has 22, 6901; use port="),
        ),
        (
            alice(&[("/Config/ExposedPorts", two_ports.clone())]),
            &["port=22"],
            Ok("ws://172.17.0.2:22"),
        ),
        (alice(&[("/Config/ExposedPorts", json!({}))]), &[], Err("It has none; use port=")),
        (
            // Of several that are exposed the published one is meant.
            alice(&[
                ("/Config/ExposedPorts", two_ports),
                ("/NetworkSettings/Ports/6901~1tcp", at("", "1")),
                ("/NetworkSettings/Ports/22~1tcp", json!([])),
                ("/NetworkSettings/Ports/53~1udp", at("", "2")),
            ]),
            &[],
            Ok("ws://127.0.0.1:1"),
        ),
        (
            alice(&[(HOST_NETWORK, two_networks.clone())]),
            &[],
            Err("in the networks bridge, desks, use network="),
        ),
        (
            alice(&[(HOST_NETWORK, two_networks.clone())]),
            &["network=desks"],
            Ok("ws://10.9.0.2:6901"),
        ),
        (
            alice(&[(HOST_NETWORK, two_networks.clone())]),
            &["network=none"],
            Err("no address in the network \"none\""),
        ),
        (
            alice(&[(HOST_NETWORK, two_networks)]),
            &["network=x"],
            Err("no address in the network \"x\""),
        ),
        (alice(&[(HOST_NETWORK, v6)]), &[], Ok("ws://[fd00::2]:6901")),
        (alice(&[(HOST_NETWORK, host_network)]), &[], Ok("ws://127.0.0.1:6901")),
        (alice(&[(HOST_NETWORK, json!({}))]), &[], Err("it has no address of its own")),
    ];
    let engine = engine(vec![]);
    for (container, options, expected) in table {
        engine.api.set(vec![container]);
        let options = [&["label=desktop"], options].concat();
        match (target(&resolver(&engine.locator, &options), "alice").await, expected) {
            (got, Ok(expected)) => assert_eq!(got, some(expected), "{options:?}"),
            (Err(ResolveError::Failed(reason)), Err(expected)) => {
                assert!(reason.contains(expected), "{reason}");
                assert!(reason.contains("container 000000000000: "), "{reason}");
            }
            (got, Err(expected)) => panic!("{got:?} instead of {expected}"),
        }
    }
}

#[tokio::test]
async fn states_and_labels() {
    let engine = engine(vec![]);
    let resolver = resolver(&engine.locator, &["label=desktop"]);
    for (status, health, expected) in [
        ("running", "", "running"),
        ("running", "none", "running"),
        ("running", "healthy", "running"),
        ("running", "unhealthy", "running"),
        ("running", "starting", "starting"),
        ("created", "", "starting"),
        ("restarting", "", "starting"),
        ("paused", "", "paused"),
        ("exited", "", "exited"),
        ("dead", "", "exited"),
        ("removing", "", "removing"),
    ] {
        let mut container = alice(&[("/State/Status", status.into())]);
        if !health.is_empty() {
            container["State"]["Health"] = json!({ "Status": health });
        }
        engine.api.set(vec![container]);
        let answer = resolver.resolve(query("alice")).await.unwrap().unwrap();
        assert_eq!(answer.state.as_deref(), Some(expected), "{status} {health}");
        assert_eq!(answer.target.is_some(), expected == "running", "{status} {health}");
        assert_eq!(answer.id.as_deref(), Some("000000000000"));
    }

    let labels = |more: Value| {
        let mut labels = json!({ "desktop": "alice" });
        labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        alice(&[("/Config/Labels", labels)])
    };
    let all = json!({ "wsroute.owner": "alice", "wsroute.port": "5900", "wsroute.scheme": "wss",
        "wsroute.path": "/websockify", "team": "red" });
    engine.api.set(vec![labels(all)]);
    let answer = resolver.resolve(query("alice")).await.unwrap().unwrap();
    assert_eq!(answer.target.unwrap().to_string(), "wss://172.17.0.2:5900/websockify");
    assert_eq!(answer.owner.as_deref(), Some("alice"));
    let by_team = self::resolver(&engine.locator, &["label=desktop", "owner-label=team", "port=1"]);
    let answer = by_team.resolve(query("alice")).await.unwrap().unwrap();
    assert_eq!(answer.owner.as_deref(), Some("red"));
    for (bad, expected) in [
        (json!({ "wsroute.port": "x" }), "label wsroute.port=\"x\", use a number"),
        (json!({ "wsroute.port": "0" }), "bad port"),
        (json!({ "wsroute.scheme": "ftp" }), "unknown scheme"),
        (json!({ "wsroute.path": "x" }), "bad path"),
    ] {
        engine.api.set(vec![labels(bad)]);
        let error = target(&resolver, "alice").await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("docker.sock: container 000000000000: "), "{error}");
    }
}

#[tokio::test]
async fn an_engine_on_tcp() {
    let api = DockerApi::tcp();
    api.set(vec![published(json!([{ "HostIp": "0.0.0.0", "HostPort": "7001" }]))]);
    let locator = format!("http://localhost:{}", api.address().port());
    let here = resolver(&locator, &["label=desktop"]);
    assert_eq!(target(&here, "alice").await, some("ws://localhost:7001"));
    assert_eq!(target(&here, "bob").await, Ok(None));
}

/// What another machine publishes on its loopback is not on ours.
#[test]
fn an_engine_elsewhere() {
    let config = |engine: &str| DockerConfig::parse(engine, &[("label", "desktop")]).unwrap();
    for (engine, host_ip, expected) in [
        ("http://10.0.0.9:2375", "0.0.0.0", "10.0.0.9:7001"),
        ("http://docks.example.org:2375", "::", "docks.example.org:7001"),
        ("http://10.0.0.9:2375", "10.0.0.8", "10.0.0.8:7001"),
        ("http://10.0.0.9:2375", "127.0.0.1", "172.17.0.2:6901"),
        ("http://10.0.0.9:2375", "::1", "172.17.0.2:6901"),
        ("http://127.0.0.1:2375", "127.0.0.1", "127.0.0.1:7001"),
    ] {
        let json = published(json!([{ "HostIp": host_ip, "HostPort": "7001" }]));
        let container = serde_json::from_value(json).unwrap();
        let fields = container::fields(&container, &config(engine)).unwrap();
        let field = |name| &fields.iter().find(|(n, _)| *n == name).unwrap().1;
        assert_eq!(format!("{}:{}", field("host"), field("port")), expected, "{engine} {host_ip}");
    }
}

#[tokio::test]
async fn an_engine_that_is_away_comes_back() {
    let engine = engine(vec![alice(&[])]);
    let resolver = resolver(&engine.locator, &["label=desktop"]);
    let path = std::path::Path::new(&engine.locator["unix:".len()..]).to_owned();
    assert!(target(&resolver, "alice").await.is_ok());

    std::fs::remove_file(&path).unwrap();
    let error = target(&resolver, "alice").await.unwrap_err();
    let refused = ResolveError::Failed(format!("{}: connection refused", engine.locator));
    assert_eq!(error, refused);
    std::fs::write(&path, "").unwrap();
    assert_eq!(target(&resolver, "alice").await, Err(refused));
    std::fs::remove_file(&path).unwrap();
    let api = DockerApi::unix(&path);
    api.set(vec![alice(&[])]);
    assert_eq!(target(&resolver, "alice").await, some("ws://172.17.0.2:6901"));
}

#[tokio::test]
async fn a_question_that_is_given_up_ends_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker.sock");
    let silent = tokio::net::UnixListener::bind(&path).unwrap();
    let resolver = resolver(&format!("unix:{}", path.display()), &["label=desktop"]);
    let question = target(&resolver, "alice");
    let late = tokio::time::timeout(std::time::Duration::from_millis(100), question).await;
    assert!(late.is_err());
    let (mut socket, _) = silent.accept().await.unwrap();
    let mut request = String::new();
    let ended = tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut request);
    tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.unwrap().unwrap();
    assert!(request.starts_with("GET /containers/json?all=true"), "{request}");
    assert!(request.to_lowercase().contains("\r\nhost: localhost\r\n"), "{request}");
}

#[test]
fn a_busy_runtime_holds_up_nobody() {
    let engine = engine(vec![alice(&[])]);
    let resolver = resolver(&engine.locator, &["label=desktop"]);
    let (got, took) = ask_beside_a_busy_runtime(&resolver, "alice");
    assert_eq!(got, some("ws://172.17.0.2:6901"));
    assert!(took < std::time::Duration::from_millis(900), "{took:?}");
}
