//! Keys from every source, templates, resolvers: each upgrade arrives where it belongs.

use crate::harness::*;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::os::unix::fs::PermissionsExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_template_without_a_path_keeps_the_requests_own() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let raw = "/ws/a%20b?x=%2F%20b&c=1%3D2&d=x+y&path=/a/../b&t==&u";
    httpd.client().upgrade(raw).await.leave().await;
    assert_eq!(up.last().await.line(), format!("GET {raw} HTTP/1.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_with_a_path_asks_for_that() {
    let up = Upstream::echo().await;
    let url = up.url();
    let key = "WsRouteKey path \"^/desktop/([^/]+)\"";
    let conf = location("/fixed", &format!("WsRoute \"{url}/websockify\""))
        + &location("/path", &format!("WsRoute \"{url}/x{{path}}\""))
        + &location("/tail", &format!("WsRoute \"{url}{{tail}}\""))
        + &location("/desktop", &format!("WsRoute \"{url}/c/{{key}}{{tail}}\"\n{key}"));
    let httpd = Httpd::with(conf).start().await;
    for (asked, seen) in [
        ("/fixed", "/websockify"),
        ("/fixed/and/more?q=1", "/websockify?q=1"),
        ("/path/a", "/x/path/a"),
        ("/tail/websockify?token=1", "/websockify?token=1"),
        ("/desktop/alice/websockify", "/c/alice/websockify"),
        ("/desktop/bob/a/b?c", "/c/bob/a/b?c"),
    ] {
        httpd.client().upgrade(asked).await.leave().await;
        assert_eq!(up.last().await.target(), seen, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_every_source() {
    let up = Upstream::echo().await;
    let template = format!("{}/c/{{key}}", up.url());
    let login = "AuthType Basic\nAuthName desktops\nAuthUserFile \"${ROOT}/users\"\n\
                 Require valid-user";
    let keys = [
        r#"WsRouteKey host "^desktop-([^.]+)\.""#,
        r#"WsRouteKey path "^/1/([^/]+)""#,
        r#"WsRouteKey query:desktop"#,
        r#"WsRouteKey cookie:desktop"#,
        r#"WsRouteKey referer "/desktop/([^/?#]+)""#,
        r#"WsRouteKey header:X-Desktop"#,
        r#"WsRouteKey "%{HTTP:X-Desktop}""#,
        r#"WsRouteKey header:X-Desktop "^(..)-(..)$" "$2$1""#,
        r#"WsRouteKey user"#,
        r#"WsRouteKey user "^(.*)ce$" "desk-$1""#,
    ];
    let conf = (0..keys.len()).map(|i| {
        let login = if keys[i].contains("user") { login } else { "" };
        location(&format!("/{i}"), &format!("WsRoute \"{template}\"\n{}\n{login}", keys[i]))
    });
    let httpd = Httpd::with(conf.collect::<String>()).file("users", users()).start().await;
    let client = httpd.client();
    let alice = client.clone().basic("alice", "wonder");
    for (client, path, key) in [
        (client.clone().host("desktop-alice.example.org"), "/0", "alice"),
        (client.clone().host("DESKTOP-Alice.example.org:8443"), "/0", "alice"),
        (client.clone(), "/1/alice/websockify", "alice"),
        (client.clone(), "/1/a%20b", "a%20b"),
        (client.clone(), "/2?a=1&desktop=alice&b", "alice"),
        (client.clone().header("Cookie", "a=b; desktop=alice; c=d"), "/3", "alice"),
        (client.clone().header("Referer", "https://x/desktop/alice?y#z"), "/4", "alice"),
        (client.clone().header("X-Desktop", "alice"), "/5", "alice"),
        (client.clone().header("X-Desktop", "a/b%c d"), "/5", "a%2Fb%25c%20d"),
        (client.clone().header("X-Desktop", "alice"), "/6", "alice"),
        (client.clone().header("X-Desktop", "ab-cd"), "/7", "cdab"),
        (alice.clone(), "/8", "alice"),
        (alice, "/9", "desk-ali"),
    ] {
        client.upgrade(path).await.leave().await;
        let target = up.last().await.target().to_owned();
        let target = target.split('?').next().unwrap_or("");
        assert_eq!(target, format!("/c/{key}"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_may_be_the_host() {
    let up = Upstream::echo().await;
    let port = up.address.port();
    let conf = location("/ws", &format!("WsRoute \"ws://{{key}}:{port}/x\"\nWsRouteKey query:to"));
    let httpd = Httpd::with(conf).start().await;
    httpd.client().upgrade("/ws?to=127.0.0.1").await.leave().await;
    for bad in ["evil.example%2Fx", "127.0.0.1%2F", "a%40127.0.0.1", "127.0.0.1%3A1", "a%20b"] {
        let answer = httpd.client().ask(&format!("/ws?to={bad}")).await;
        let Answer::Refused(response, _) = answer else { panic!("{bad} became a host") };
        assert!((400..=404).contains(&response.status), "{bad}: {}", response.status);
    }
    assert_eq!(up.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreasonable_keys_are_refused() {
    let up = Upstream::echo().await;
    let template = format!("{}/c/{{key}}", up.url());
    let conf = location("/q", &format!("WsRoute \"{template}\"\nWsRouteKey query:desktop"))
        + &location("/r", &format!("WsRoute \"{template}\"\nWsRouteKey referer \"/d/(.+)\""));
    let httpd = Httpd::with(conf).start().await;
    let client = httpd.client();
    httpd.log().allow("");
    client.refused(&format!("/q?desktop={}", "x".repeat(256)), 400).await;
    client.upgrade(&format!("/q?desktop={}", "x".repeat(255))).await.leave().await;
    client.refused("/q?desktop=a%00b", 400).await;
    client.refused("/q?desktop=a%0d%0ab", 400).await;
    let long = format!("https://x/d/alice?{}", "x".repeat(2048));
    client.clone().header("Referer", &long).refused("/r", 400).await;
    assert_eq!(up.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_candidate_that_resolves_wins() {
    let (a, b) = (Upstream::named("a").await, Upstream::named("b").await);
    let lines = "WsRoute one two\nWsRouteKey cookie:desktop\nWsRouteKey query:desktop\n\
                 WsRouteKey path \"^/ws/([^/]+)\"";
    let conf = "WsRouteResolver one file \"${ROOT}/one\"\n\
                WsRouteResolver two file \"${ROOT}/two\"\n"
        .to_owned()
        + &location("/ws", lines);
    let httpd = Httpd::with(conf)
        .file("one", format!("# desktops\n\nalice {}\n", a.address))
        .file("two", format!("bob {}\nalice 127.0.0.1:9\n", b.address))
        .start()
        .await;
    let client = httpd.client();
    let with = |cookie: &str| client.clone().header("Cookie", &format!("desktop={cookie}"));
    for (client, path, name) in [
        (with("alice"), "/ws/bob", "a"),
        (with("bob"), "/ws/alice", "b"),
        (with("gone"), "/ws/bob?desktop=alice", "a"),
        (with("gone"), "/ws/bob?desktop=gone", "b"),
        (client.clone(), "/ws/bob", "b"),
        (client.clone(), "/ws/alice", "a"),
    ] {
        let mut ws = client.upgrade(path).await;
        assert_eq!(ws.frame().await.text(), name, "{path}");
        ws.leave().await;
    }
    client.refused("/ws/nobody", 404).await;
    client.refused("/ws/", 404).await;
    httpd.log().expect(words::UNKNOWN_KEY).await;
    let sessions = httpd.sessions_logged(6).await;
    let alice = sessions.iter().filter(|a| a.key == "alice").count();
    let bob = sessions.iter().filter(|a| a.key == "bob").count();
    assert_eq!((alice, bob), (3, 3), "WSROUTE_KEY in the access log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_file_is_read_again_when_it_changes() {
    let (a, b) = (Upstream::named("a").await, Upstream::named("b").await);
    let conf = "WsRouteResolver desktops file \"${ROOT}/routes\" ttl=100ms negative=100ms\n"
        .to_owned()
        + &location("/ws", "WsRoute desktops\nWsRouteKey query:token");
    let httpd = Httpd::with(conf)
        // A websockify token file.
        .file("routes", format!("alice: {}\n", a.address))
        .start()
        .await;
    let client = httpd.client();
    assert_eq!(client.upgrade("/ws?token=alice").await.frame().await.text(), "a");
    client.refused("/ws?token=bob", 404).await;
    let routes = format!("alice: {}\nbob {}\n", b.address, b.address);
    std::fs::write(httpd.root().join("routes"), routes).expect("a file");
    tokio::time::sleep(ms(1_500)).await;
    assert_eq!(client.upgrade("/ws?token=alice").await.frame().await.text(), "b");
    assert_eq!(client.upgrade("/ws?token=bob").await.frame().await.text(), "b");
    httpd.log().allow(words::UNKNOWN_KEY);
}

async fn database(httpd: &Httpd, statements: &str) {
    let file = httpd.root().join("desktops.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut connection = options.connect().await.expect("a database");
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("SQL");
}

const SQL: &str = "WsRouteResolver desktops sql \"sqlite:${ROOT}/desktops.db\" \
    query=\"SELECT host, port, owner FROM desktops WHERE name = :key AND state = 'running'\"";

const TABLE: &str =
    "CREATE TABLE desktops (name TEXT, host TEXT, port INT, owner TEXT, state TEXT)";

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_answers() {
    let (a, b) = (Upstream::named("a").await, Upstream::named("b").await);
    let conf = format!("{SQL}\n") + &location("/", "WsRoute desktops\nWsRouteKey query:name");
    let httpd = Httpd::with(conf).start().await;
    let row = |name: &str, up: &Upstream, state: &str| {
        let port = up.address.port();
        format!("INSERT INTO desktops VALUES ('{name}', '127.0.0.1', {port}, NULL, '{state}');")
    };
    let rows = row("alice", &a, "running") + &row("bob", &b, "running") + &row("c", &b, "stopped");
    database(&httpd, &format!("{TABLE};{rows}")).await;
    let client = httpd.client();
    assert_eq!(client.upgrade("/?name=alice").await.frame().await.text(), "a");
    assert_eq!(client.upgrade("/?name=bob").await.frame().await.text(), "b");
    for nobody in ["c", "d", "x'%20OR%20'1'='1", "alice'--", "%25"] {
        client.refused(&format!("/?name={nobody}"), 404).await;
    }
    httpd.log().expect(words::UNKNOWN_KEY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_answer_is_dropped_when_connecting_fails() {
    let (a, b) = (Upstream::named("a").await, Upstream::named("b").await);
    let conf =
        format!("{SQL} ttl=10min\n") + &location("/", "WsRoute desktops\nWsRouteKey query:n");
    let httpd = Httpd::with(conf).start().await;
    let (first, second) = (a.address.port(), b.address.port());
    let row = format!("INSERT INTO desktops VALUES ('x', '127.0.0.1', {first}, NULL, 'running')");
    database(&httpd, &format!("{TABLE};{row}")).await;
    let client = httpd.client();
    assert_eq!(client.upgrade("/?n=x").await.frame().await.text(), "a");
    database(&httpd, &format!("UPDATE desktops SET port = {second}")).await;
    a.end().await;
    httpd.log().allow(words::REFUSED);
    assert_eq!(client.upgrade("/?n=x").await.frame().await.text(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_no_answer() {
    let conf =
        format!("{SQL} stale=off\n") + &location("/", "WsRoute desktops\nWsRouteKey query:n");
    let httpd = Httpd::with(conf).start().await;
    httpd.log().allow("");
    let answer = httpd.client().ask("/?n=x").await;
    let Answer::Refused(response, _) = answer else { panic!("101 without a database") };
    assert!([502, 504].contains(&response.status), "{}", response.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_may_listen_on_a_unix_socket() {
    let up = Upstream::echo().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("up.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    for (file, mode) in [(folder.path(), 0o755), (path.as_path(), 0o777)] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file, mode).expect("permissions");
    }
    let address = up.address;
    let bridge = tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let mut there = tokio::net::TcpStream::connect(address).await.expect("the echo");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
        }
    });
    let httpd = Httpd::with(ws("/ws", &format!("ws+unix:{}:/uri", path.display()))).start().await;
    let mut ws = httpd.client().upgrade("/ws?a").await;
    ws.echo("through a Unix socket").await;
    ws.leave().await;
    assert_eq!(up.last().await.target(), "/uri?a");
    bridge.abort();
}

/// Lines of a section that only those of the file `users` may enter.
pub const LOGIN: &str =
    "AuthType Basic\nAuthName desktops\nAuthUserFile \"${ROOT}/users\"\nRequire valid-user\n";

/// That file: alice:wonder and bob:builder.
pub fn users() -> String {
    let hash = |word: &str| run("openssl", &["passwd", "-apr1", word]);
    format!("alice:{}bob:{}", hash("wonder"), hash("builder"))
}
