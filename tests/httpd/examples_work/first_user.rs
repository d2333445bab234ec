//! The first user's four: by host or by path, from PostgreSQL or from the application.

use super::containers::kasm;
use super::programs::Program;
use super::*;
use crate::harness::databases::Postgres;

const HUB: &str = "hub.example.org";
const ADDRESSES: &[(&str, &str)] = &[("10.0.0.5:7000-7999", "127.0.0.1")];

/// The application's tables, as far as they matter. alice's user name has a dot in the portal's
/// eyes only: her `proxy_path` has a dash there.
fn database(alice: &Upstream, bob: &Upstream) -> Postgres {
    let db = Postgres::start();
    db.sql(&format!(
        "CREATE TABLE users (id text PRIMARY KEY, username text, role text);
         CREATE TABLE oauth_sessions (id text PRIMARY KEY, user_id text, expires_at timestamp);
         CREATE TABLE containers (id text PRIMARY KEY, user_id text, session_id text,
             container_id text, container_name text UNIQUE, status text, host_port int,
             container_port int, proxy_path text UNIQUE, last_accessed timestamp);
         INSERT INTO users VALUES ('u1', 'alice', 'student'), ('u2', 'bob', 'teacher');
         INSERT INTO oauth_sessions VALUES ('s1', 'u1', (now() AT TIME ZONE 'utc') + interval '1h'),
             ('s2', 'u2', (now() AT TIME ZONE 'utc') + interval '1h'),
             ('old', 'u1', (now() AT TIME ZONE 'utc') - interval '1h'),
             ('short', 'u1', (now() AT TIME ZONE 'utc') + interval '4s');
         INSERT INTO containers VALUES
             ('1', 'u1', 's1', 'c1', 'n1', 'running', {a}, 6901, 'Alice-M-ubuntu', NULL),
             ('2', 'u2', 's2', 'c2', 'n2', 'running', {b}, 6901, 'bob-ubuntu', NULL),
             ('3', 'u1', 's1', 'c3', 'n3', 'error', {a}, 6901, 'alice-broken', NULL),
             ('4', 'u1', 'old', 'c4', 'n4', 'running', {a}, 6901, 'alice-old', NULL),
             ('5', 'u1', 'gone', 'c5', 'n5', 'running', {a}, 6901, 'alice-out', NULL),
             ('6', 'u1', 'short', 'c6', 'n6', 'running', {a}, 6901, 'alice-short', NULL);",
        a = alice.address.port(),
        b = bob.address.port()
    ));
    db
}

/// The Flask application, and its port.
fn application(alice: &Upstream, bob: &Upstream) -> (Program, u16) {
    let (a, b) = (alice.address, bob.address);
    let containers = serde_json::json!({
        "alice-m-ubuntu": { "target": a.to_string(), "owner": "alice", "state": "running" },
        "bob-ubuntu": { "target": b.to_string(), "owner": "bob" },
        "alice-broken": { "target": a.to_string(), "owner": "alice", "state": "error" },
        "alice-old": { "target": a.to_string(), "owner": "alice", "expires": 1_000_000_000 },
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/first_user/api.py");
    Program::with_port("/usr/bin/python3", &[script, &containers.to_string()])
}

/// A virtual host with `replaced`, its database or application being there.
async fn start(name: &str, replaced: &[(&str, &str)]) -> Httpd {
    let replaced = [ADDRESSES, replaced].concat();
    let setup = example(name, &[&replaced[..], &[("boot=30s", "boot=1s")]].concat())
        .file("db.pw", "unused, the server trusts\n")
        .file("api.key", "the API's key\n")
        .file("flask.secret", "the application's secret\n");
    let httpd = super::start(setup).await;
    // The secret's file: everybody may read what the harness makes.
    httpd.allow_output("is readable for everybody");
    httpd.log().allow("is readable for everybody");
    httpd
}

/// What holds for both host name examples.
async fn by_host(httpd: &Httpd) {
    let at = |desktop: &str, user| browser(httpd, &format!("desktop-{desktop}.{HUB}:8443"), user);
    let alice = at("alice-m-ubuntu", "alice");
    reaches(&alice, "/websockify", "alice's").await;
    reaches(&at("Alice-M-Ubuntu", "alice"), "/websockify?a=b", "alice's").await;
    reaches(&at("bob-ubuntu", "bob"), "/websockify", "bob's").await;
    at("alice-m-ubuntu", "bob").refused("/websockify", 403).await;
    at("bob-ubuntu", "alice").refused("/websockify", 403).await;
    at("nobody", "alice").refused("/websockify", 404).await;
    at("alice-broken", "alice").refused("/websockify", 503).await;
    at("alice-old", "alice").refused("/websockify", 403).await;
    alice.clone().without("Authorization").refused("/websockify", 401).await;
    alice.clone().header("Origin", "https://evil.example").refused("/websockify", 403).await;

    assert_eq!(alice.get("/vnc.html?x").await.text(), "alice's /vnc.html?x");
    assert_eq!(at("alice-m-ubuntu", "bob").get("/").await.status, 403);
    let gone = at("nobody", "alice").get("/").await;
    assert_eq!((gone.status, gone.header("Location")), (302, "https://portal.example.org/"));
}

/// What holds for both path examples.
async fn by_path(httpd: &Httpd) {
    let (alice, bob) = (browser(httpd, HUB, "alice"), browser(httpd, HUB, "bob"));
    reaches(&alice, "/desktop/alice-m-ubuntu/websockify", "alice's").await;
    reaches(&alice, "/desktop/ALICE-m-ubuntu/websockify", "alice's").await;
    reaches(&alice, "/desktop/alice.m-ubuntu/websockify", "alice's").await;
    reaches(&bob, "/desktop/bob-ubuntu/websockify", "bob's").await;
    bob.refused("/desktop/alice-m-ubuntu/websockify", 403).await;
    alice.refused("/desktop/nobody/websockify", 404).await;
    alice.refused("/desktop/alice-broken/websockify", 503).await;
    alice.refused("/desktop/alice-old/websockify", 403).await;
    alice.clone().without("Authorization").refused("/desktop/alice-m-ubuntu/x", 401).await;

    // Pages and what they ask for.
    assert_eq!(alice.get("/desktop/alice-m-ubuntu/").await.text(), "alice's /");
    assert_eq!(alice.get("/desktop/alice.m-ubuntu/a/b?c").await.text(), "alice's /a/b?c");
    let of_page = |client: &Client, page: &str| {
        client.clone().header("Referer", &format!("https://{HUB}{page}"))
    };
    let asset = of_page(&alice, "/desktop/alice-m-ubuntu").get("/desktop/locale/de.json").await;
    assert_eq!(asset.text(), "alice's /locale/de.json");
    assert_eq!(bob.get("/desktop/alice-m-ubuntu/").await.status, 403);
    assert_eq!(alice.get("/desktop/nobody/").await.status, 404);
    assert_eq!(alice.get("/").await.text(), "the portal");
    assert_eq!(alice.clone().without("Authorization").get("/").await.text(), "the portal");

    // noVNC's /websockify: by the page's address, by the page that was loaded, by the session.
    reaches(&of_page(&alice, "/desktop/alice-m-ubuntu/vnc.html"), "/websockify", "alice's").await;
    of_page(&bob, "/desktop/alice-m-ubuntu/vnc.html").refused("/websockify", 403).await;
    let cookie = |r: &str| r.split(';').next().unwrap_or("").to_owned();
    let page = alice.get("/desktop/alice-m-ubuntu/").await;
    let remembered = cookie(page.header("Set-Cookie"));
    assert!(remembered.starts_with("wsroute="), "{page:?}");
    reaches(&alice.clone().header("Cookie", &remembered), "/websockify", "alice's").await;
    let session = cookie(alice.get("/start/alice-m-ubuntu").await.header("Set-Cookie"));
    assert!(session.starts_with("session="), "{session}");
    reaches(&alice.clone().header("Cookie", &session), "/websockify", "alice's").await;
    bob.clone().header("Cookie", &session).refused("/websockify", 403).await;
    alice.clone().header("Cookie", &(session + "x")).refused("/websockify", 404).await;
    alice.refused("/websockify", 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subdomain_postgresql() {
    let (alice, bob) = (kasm("alice's").await, kasm("bob's").await);
    let db = database(&alice, &bob);
    let server = format!("127.0.0.1:{}/postgres", db.port());
    let replaced = [("'10.0.0.5'", "'127.0.0.1'"), ("127.0.0.1:5432/desktops", server.as_str())];
    let httpd = start("first-user-subdomain-postgresql", &replaced).await;
    let at = |desktop: &str| browser(&httpd, &format!("desktop-{desktop}.{HUB}"), "alice");
    // Its login ends in a few seconds, and so does the open WebSocket.
    let mut short = at("alice-short").upgrade("/websockify").await;
    assert_eq!(short.frame().await.text(), "alice's");
    at("alice-out").refused("/websockify", 404).await;
    let close = within(SOON, "the end of the login", short.frame()).await;
    assert_eq!((close.op, &close.data[..2]), (CLOSE, &1008u16.to_be_bytes()[..]));
    drop(short);
    by_host(&httpd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn path_postgresql() {
    let (alice, bob) = (kasm("alice's").await, kasm("bob's").await);
    let db = database(&alice, &bob);
    let (_application, port) = application(&alice, &bob);
    let server = format!("127.0.0.1:{}/postgres", db.port());
    let portal = format!("http://127.0.0.1:{port}");
    let replaced = [
        ("'10.0.0.5'", "'127.0.0.1'"),
        ("127.0.0.1:5432/desktops", server.as_str()),
        ("http://127.0.0.1:5020", portal.as_str()),
    ];
    by_path(&start("first-user-path-postgresql", &replaced).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subdomain_api() {
    let (alice, bob) = (kasm("alice's").await, kasm("bob's").await);
    let (_application, port) = application(&alice, &bob);
    let portal = format!("http://127.0.0.1:{port}");
    let replaced = [("http://127.0.0.1:5020", portal.as_str())];
    by_host(&start("first-user-subdomain-api", &replaced).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn path_api() {
    let (alice, bob) = (kasm("alice's").await, kasm("bob's").await);
    let (_application, port) = application(&alice, &bob);
    let portal = format!("http://127.0.0.1:{port}");
    let replaced = [("http://127.0.0.1:5020", portal.as_str())];
    by_path(&start("first-user-path-api", &replaced).await).await;
}
