//! The guides in `docs/moving-from-*.md`: what their tables promise and no example has.

use super::containers::{kasm, plain_at};
use super::*;
use crate::harness::databases::Redis;
use crate::harness::http_server::{HttpServer, Then, answer};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The application's API: an answer for each key of `containers`, a bare number being a status;
/// 404 for others.
fn api(containers: Value) -> HttpServer {
    HttpServer::tcp(move |request, out| {
        let key = request.target.rsplit(['/', '=']).next().unwrap_or_default();
        let bytes = match &containers[key] {
            Value::Null if containers.get(key).is_none() => answer("404 Not Found", "", ""),
            Value::Number(status) => answer(&format!("{status} X"), "", ""),
            found => answer("200 OK", "", &found.to_string()),
        };
        out.write_all(&bytes).map(|()| Then::Keep)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_flask_proxy() {
    let (alice, closed) = (plain_at(ANY, "alice's").await, Upstream::echo().await.end().await);
    let (desktop, silent) = (kasm("a desktop").await, Upstream::silent().await);
    let [at, closed, desktop, silent] =
        [alice.address, closed, desktop.address, silent.address].map(|a| a.to_string());
    let pin = fingerprint(&Pki::get().self_signed);
    let api = api(json!({
        "alice": { "target": at, "owner": "alice" },
        "no-target": { "target": null, "owner": "alice" },
        "no-port": { "host": "127.0.0.1", "port": null, "owner": "alice" },
        "out": { "target": at, "owner": "alice", "expires": "2020-01-01 00:00:00" },
        "stopped": { "target": closed, "owner": "alice" },
        "silent": { "target": silent, "owner": "alice" },
        "own": { "target": desktop, "owner": "alice", "scheme": "wss", "pin": pin,
                 "username": "kasm_user", "password": "s3cret" },
        "moved": { "target": desktop, "owner": "alice", "scheme": "wss", "pin": "00".repeat(32) },
    }));
    let section = |path: &str, more: &str| {
        let rules = format!(
            "AuthType Basic\nAuthName x\nAuthUserFile \"${{ROOT}}/users\"\nRequire valid-user\n\
             WsRoute portal\nWsRouteKey path \"^{path}([^/]+)\"\n\
             WsRouteKey referer \"{path}([^/?#]+)\"\nWsRouteOwner \"%{{REMOTE_USER}}\"\n\
             WsRouteUpstream path={{tail}}\nWsRouteHttp On\nWsRouteTimeout handshake=1s {more}"
        );
        location(path, &rules)
    };
    let conf = section("/desktop/", "") + &section("/boot/", "boot=1s");
    let resolver = format!("WsRouteResolver portal http \"http://{}/{{key}}\"\n", api.address());
    let setup = Httpd::with(resolver + &conf).module("ssl").module("socache_shmcb");
    let httpd = setup.file("users", users()).start().await;
    httpd.log().allow("");
    let (long, longer) = ("k".repeat(256), "r".repeat(2048));
    let (long_key, long_path) = (format!("/desktop/{long}/x"), format!("/desktop/alice/{long}"));
    let long_referer = format!("http://localhost/desktop/{longer}");
    let page = "http://localhost/desktop/alice/vnc.html";
    let table = [
        ("/desktop/alice/websockify", "", "alice's"),
        ("/desktop/no-target/websockify", "", "404"),
        ("/desktop/no-port/websockify", "", "502"),
        ("/desktop/nobody/websockify", "", "404"),
        ("/desktop/nobody/websockify", page, "alice's"),
        (&long_key, "", "400"),
        (&long_path, "", "alice's"),
        ("/desktop/nobody/websockify", &long_referer, "400"),
        ("/desktop/out/websockify", "", "403"),
        ("/desktop/stopped/websockify", "", "502"),
        ("/desktop/silent/websockify", "", "504"),
        ("/boot/stopped/websockify", "", "503 later"),
        ("/desktop/own/websockify", "", "a desktop"),
        ("/desktop/moved/websockify", "", "502"),
    ];
    let client = httpd.client().basic("alice", "wonder");
    for (path, referer, expected) in table {
        let client = client.clone().header("Referer", referer);
        assert_eq!(outcome(&client, path).await, expected, "{path} from {referer:.40}");
    }
    let bob = httpd.client().basic("bob", "builder");
    assert_eq!(outcome(&bob, "/desktop/alice/websockify").await, "403");
    let pages = [
        ("/desktop/alice/vnc.html", 200),
        ("/desktop/own/vnc.html", 200),
        ("/desktop/no-target/", 404),
        ("/desktop/no-port/", 502),
        ("/desktop/out/", 403),
        ("/desktop/stopped/", 502),
        ("/boot/stopped/", 503),
    ];
    for (path, status) in pages {
        assert_eq!(client.get(path).await.status, status, "the page {path}");
    }
}

/// As `openssl x509 -fingerprint -sha256` prints it.
fn fingerprint(certificate: &Certificate) -> String {
    use sha2::Digest;
    let digits = sha2::Sha256::digest(certificate.der());
    digits.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_rewritemap() {
    let desktop = kasm("alice's").await;
    let api = api(json!({
        "alice": { "target": desktop.address.to_string() },
        "null": null,
        "broken": 500,
        "starting": { "target": desktop.address.to_string(), "state": "created" },
        "secret": 401,
    }));
    let conf = format!(
        "WsRouteResolver portal http \"http://{}/api/{{key}}\"\n\
         <Location \"/ws/\">\nWsRoute portal\nWsRouteKey path \"^/ws/([^/]+)\"\n\
         WsRouteUpstream scheme=wss verify=off\n</Location>\n\
         SSLProxyEngine on\nSSLProxyVerify none\nSSLProxyCheckPeerName off\n\
         SSLProxyCheckPeerExpire off\nRewriteEngine On\nRewriteMap m int:wsroute\n\
         RewriteCond ${{m:portal:$1}} =\"\"\nRewriteRule ^/desktop/([^/]+)/ - [R=404,L]\n\
         RewriteRule ^/desktop/([^/]+)/(.*) https://${{m:portal:$1}}/$2 [P]\n",
        api.address()
    );
    let httpd = Httpd::with(conf).module("ssl").module("socache_shmcb").start().await;
    httpd.log().allow("");
    let client = httpd.client().basic("kasm_user", "s3cret");
    let table = [
        ("alice", "alice's"),
        ("null", "404"),
        ("nobody", "404"),
        ("broken", "502"),
        ("starting", "503 later"),
        ("secret", "401"),
    ];
    for (key, expected) in table {
        assert_eq!(outcome(&client, &format!("/ws/{key}/websockify")).await, expected, "{key}");
    }
    assert_eq!(client.get("/desktop/alice/a?b").await.text(), "alice's /a?b");
    for key in ["null", "nobody", "broken", "starting"] {
        assert_eq!(client.get(&format!("/desktop/{key}/a")).await.status, 404, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_websockifys_options() {
    let (up, tls) = (plain_at(ANY, "tcp").await, Upstream::echo_tls().await);
    let at = up.address;
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("desktop.sock");
    let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
    for (file, mode) in [(folder.path(), 0o755), (socket.as_path(), 0o777)] {
        std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).expect("permissions");
    }
    let bridge = tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let mut there = tokio::net::TcpStream::connect(at).await.expect("the container");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
        }
    });
    let redis = Redis::start();
    redis.command(&["SET", "plain", &at.to_string()]);
    redis.command(&["SET", "json", &json!({ "host": at.to_string() }).to_string()]);
    let api = api(json!({ "vm": { "host": at.ip().to_string(), "port": at.port() } }));

    let socket = socket.display();
    let route = |name: &str, more: &str| location(&format!("/{name}"), &format!("WsRoute {more}"));
    let token = "\nWsRouteKey query:token";
    let conf = format!(
        "WsRouteResolver file file ${{ROOT}}/tokens\nWsRouteResolver directory file ${{ROOT}}/d\n\
         WsRouteResolver redis redis \"redis://127.0.0.1:{}/0\" name=\"{{key}}\"\n\
         WsRouteResolver json http \"http://{}/vm?name={{key}}\"\n",
        redis.port(),
        api.address()
    ) + &route("file", &format!("file{token}"))
        + &route("directory", &format!("directory{token}"))
        + &route("unix", &format!("file{token}\nWsRouteAllow unix:{socket}"))
        + &route("both", &format!("file{token}\nWsRouteAllow unix:{socket} 127.0.0.1"))
        + &route("redis", &format!("redis{token}"))
        + &route("json", &format!("json{token}"))
        + &route("host", "file\nWsRouteKey host")
        + &route("ssl", &format!("file{token}\nWsRouteUpstream scheme=wss"))
        + &route("any-ssl", &format!("file{token}\nWsRouteUpstream scheme=wss verify=off"))
        + &route("origin", &format!("file{token}\nWsRouteOrigin https://portal.example.org"));
    let tokens = format!(
        "# tokens\ntcp: {at}\nunix: unix_socket:{socket}\ndesk.example.org: {at}\ntls: {}\n",
        tls.address
    );
    let setup = Httpd::with(conf).file("tokens", tokens).file("d/class", format!("tcp: {at}\n"));
    let httpd = setup.start().await;
    httpd.log().allow("");
    let table = [
        ("/file?token=tcp", "tcp"),
        ("/file?token=none", "404"),
        ("/file?token=unix", "403"),
        ("/unix?token=unix", "tcp"),
        ("/unix?token=tcp", "403"),
        ("/both?token=unix", "tcp"),
        ("/both?token=tcp", "tcp"),
        ("/directory?token=tcp", "tcp"),
        ("/redis?token=plain", "tcp"),
        ("/redis?token=json", "tcp"),
        ("/redis?token=none", "404"),
        ("/json?token=vm", "tcp"),
        ("/json?token=none", "404"),
        ("/ssl?token=tls", "502"),
        ("/origin?token=tcp", "403"),
    ];
    for (path, expected) in table {
        assert_eq!(outcome(&httpd.client(), path).await, expected, "{path}");
    }
    httpd.client().upgrade("/any-ssl?token=tls").await.echo("not verified").await;
    let host = httpd.client().host("desk.example.org:8443");
    assert_eq!(outcome(&host, "/host").await, "tcp");
    let portal = httpd.client().header("Origin", "https://portal.example.org");
    assert_eq!(outcome(&portal, "/origin?token=tcp").await, "tcp");
    bridge.abort();
}
