//! The recipes of `docs/moving-from-mod_proxy.md` and `docs/moving-from-nginx.md`: what was there
//! before and what comes after, side by side.

use super::containers::{kasm, plain_at};
use super::programs::{Program, free_port};
use super::*;
use crate::harness::http_server::{HttpServer, Then, answer};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Lines before, lines after, a host, a path, and what the container is asked for.
type Recipe = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// `AT` is the container, `PORT` its port.
const FROM_MOD_PROXY: &[Recipe] = &[
    (
        "ProxyPass /ws ws://AT/ws",
        "<Location \"/ws\">\nWsRoute \"ws://AT\"\n</Location>",
        "localhost",
        "/ws/a?b=c",
        "/ws/a?b=c",
    ),
    (
        "ProxyPass /desk ws://AT/websockify",
        "<Location \"/desk\">\nWsRoute \"ws://AT/websockify\"\n</Location>",
        "localhost",
        "/desk?token=x",
        "/websockify?token=x",
    ),
    (
        "ProxyPass /desk/ ws://AT/",
        "<Location \"/desk/\">\nWsRoute \"ws://AT{tail}\"\n</Location>",
        "localhost",
        "/desk/a/b",
        "/a/b",
    ),
    (
        "ProxyPass / http://AT/ upgrade=websocket",
        "ProxyPass / http://AT/\nWsRoute \"ws://AT\"",
        "localhost",
        "/a",
        "/a",
    ),
    (
        "RewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket [NC]\n\
         RewriteRule ^/?(.*) ws://AT/$1 [P]",
        "WsRoute \"ws://AT\"",
        "localhost",
        "/a/b?c",
        "/a/b?c",
    ),
    (
        "RewriteEngine On\nRewriteCond %{HTTP_HOST} ^desktop-([^.]+)\\.\n\
         RewriteRule ^/(.*) ws://%1:PORT/$1 [P]",
        "WsRouteKey host \"^desktop-([^.]+)\\.\"\nWsRoute \"ws://{key}:PORT\"",
        "desktop-localhost.example.org",
        "/a",
        "/a",
    ),
    (
        "RewriteEngine On\nRewriteMap m txt:${ROOT}/map.txt\n\
         RewriteRule ^/desktop/([^/]+)/(.*) ws://${m:$1}/$2 [P]",
        "WsRouteResolver m file ${ROOT}/map.txt\nWsRoute m\n\
         WsRouteKey path \"^/desktop/([^/]+)\"\nWsRouteUpstream path={tail}",
        "localhost",
        "/desktop/alice/a?b",
        "/a?b",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn from_mod_proxy() {
    let up = Upstream::echo().await;
    let (at, port) = (up.address.to_string(), up.address.port().to_string());
    for (before, after, host, path, expected) in FROM_MOD_PROXY {
        for lines in [before, after] {
            let conf = lines.replace("AT", &at).replace("PORT", &port);
            let map = format!("alice {at}\n");
            let httpd = Httpd::with(conf).file("map.txt", map).start().await;
            httpd.client().host(host).upgrade(path).await.echo("through").await;
            assert_eq!(up.last().await.target(), *expected, "{lines}");
            // mod_proxy's way of ending one.
            httpd.log().allow("AH");
        }
    }
}

/// The blocks of `docs/moving-from-nginx.md` in a language.
fn blocks(language: &str) -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/moving-from-nginx.md");
    let text = std::fs::read_to_string(file).expect("moving-from-nginx.md");
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

/// An nginx with these lines for `http` and for its one server.
struct Nginx {
    _program: Program,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(http: &str, server: &str, files: &[(&str, &str)]) -> Nginx {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, port) = (folder.path().display(), free_port());
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("mode");
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {root}/{name};\n"));
        let conf = format!(
            "daemon off;\npid {root}/pid;\nerror_log {root}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off;\n{}{http}\nserver {{\nlisten 127.0.0.1:{port};\n{server}\n}}\n}}\n",
            temporary.concat()
        );
        let conf = conf.replace("/etc/nginx/", &format!("{root}/"));
        for (name, content) in files.iter().chain([&("nginx.conf", conf.as_str())]) {
            std::fs::write(folder.path().join(name), content).expect("a file");
        }
        let file = format!("{root}/nginx.conf");
        run("/usr/sbin/nginx", &["-t", "-q", "-c", &file]);
        let _program = Program::start("/usr/sbin/nginx", &["-c", &file]);
        let up = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        eventually(SOON, "nginx listens", up).await;
        Nginx { _program, port, _folder: folder }
    }
}

/// The status of an upgrade, by curl, as `docs/testing.md` asks for it.
fn status(port: u16, path: &str, more: &[&str]) -> String {
    let (url, host) = (format!("http://127.0.0.1:{port}{path}"), format!("Host: localhost:{port}"));
    let origin = format!("Origin: http://localhost:{port}");
    let mut curl = Command::new("curl");
    curl.args(["-s", "--http1.1", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}"]);
    for header in [&host, &origin, "Connection: Upgrade", "Upgrade: websocket"] {
        curl.args(["-H", header]);
    }
    curl.args(["-H", "Sec-WebSocket-Version: 13"]);
    curl.args(["-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]).args(more).arg(url);
    // An open WebSocket ends by -m.
    String::from_utf8(curl.output().expect("curl").stdout).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_nginx_server() {
    let up = Upstream::echo_tls().await;
    let at = up.address;
    let whole = &blocks("nginx")[0];
    let (maps, location) = whole.split_at(whole.find("location").expect("a location"));
    let files = [("desktops.map", &*format!("alice {at};\n")), ("users", &users())];
    let nginx = Nginx::start(maps, location, &files).await;
    let conf = blocks("apache")[0].replace("/etc/apache2/wsroute/", "${ROOT}/");
    let setup = Httpd::with(conf).file("users", users());
    let httpd = setup.file("desktops.txt", format!("alice {at}\n")).start().await;
    httpd.log().allow("");
    let table = [
        ("alice:wonder", "/desktop/alice/websockify", "101"),
        ("bob:builder", "/desktop/alice/websockify", "101"),
        ("alice:wonder", "/desktop/nobody/websockify", "404"),
        ("alice:wrong", "/desktop/alice/websockify", "401"),
    ];
    for (who, path, expected) in table {
        for (name, port) in [("nginx", nginx.port), ("httpd", httpd.port())] {
            assert_eq!(status(port, path, &["-u", who]), expected, "{name}: {who} {path}");
            if expected == "101" {
                assert_eq!(up.last().await.target(), path, "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_may_stay_in_front() {
    let up = Upstream::echo().await;
    let remote = "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n\
                  LogFormat \"%a %>s\" address\nCustomLog ${ROOT}/addresses.log address\n";
    let conf = remote.to_owned() + &ws("/ws", &up.url());
    let httpd = Httpd::with(conf).module("remoteip").start().await;
    httpd.log().allow("");
    let map = blocks("nginx")[0].lines().next().expect("the map").to_owned();
    let block =
        blocks("nginx")[1].replace("127.0.0.1:8080", &format!("127.0.0.1:{}", httpd.port()));
    let nginx = Nginx::start(&map, &block, &[]).await;
    assert_eq!(status(nginx.port, "/ws", &[]), "101");
    assert!(up.last().await.header("X-Forwarded-For").starts_with("127.0.0.1"));
    // Without the two lines.
    let stripped: Vec<_> = block.lines().filter(|l| !l.contains("pgrade")).collect();
    let nginx = Nginx::start(&map, &stripped.join("\n"), &[]).await;
    assert_eq!(status(nginx.port, "/ws", &[]), "400");
    httpd.log().expect(words::NO_UPGRADE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nginx_line_by_line() {
    let (alice, other) = (plain_at(ANY, "alice's").await, plain_at(ANY, "the default").await);
    let desktop = kasm("a desktop").await;
    let to = alice.address;
    // auth_request: the application knows its users by their cookie.
    let app = HttpServer::tcp(move |request, out| {
        let found = format!("X-WsRoute-Target: {to}\r\nX-WsRoute-Owner: alice\r\n");
        let bytes = match request.header("cookie").as_str() {
            "session=alice" => answer("200 OK", &found, ""),
            "session=bob" => answer("403 Forbidden", "", ""),
            _ => answer("401 Unauthorized", "", ""),
        };
        out.write_all(&bytes).map(|()| Then::Keep)
    });
    let route = |path: &str, more: &str| location(path, more);
    let conf = format!(
        "WsRouteResolver m file ${{ROOT}}/table\n\
         WsRouteResolver app http \"http://{}/auth/{{key}}\" forward=Cookie\n",
        app.address()
    ) + &route("/list", "WsRoute m\nWsRouteKey host")
        + &route("/default", "WsRoute m\nWsRouteKey host\nWsRouteKey host \".*\" \"default\"")
        + &route("/auth/", "WsRoute app\nWsRouteKey path ^/auth/([^/]+)")
        + &route(
            "/tls",
            "WsRoute m\nWsRouteKey query:name\nWsRouteUpstream scheme=wss verify=off\n\
                          RequestHeader set Authorization \"Basic a2FzbV91c2VyOnMzY3JldA==\"\n\
                          RequestHeader unset Cookie",
        )
        + &route("/from", "Require ip 192.0.2.0/24\nWsRoute m\nWsRouteKey host");
    let table =
        format!("alice.example.org {to}\ndefault {}\ntls {}\n", other.address, desktop.address);
    let httpd = Httpd::with(conf).file("table", table).start().await;
    httpd.log().allow("");
    let cases = [
        ("/list", "alice.example.org", "", "alice's"),
        ("/list", "bob.example.org", "", "404"),
        ("/default", "alice.example.org:8443", "", "alice's"),
        ("/default", "bob.example.org", "", "the default"),
        ("/auth/alice/x", "localhost", "session=alice", "alice's"),
        ("/auth/alice/x", "localhost", "session=bob", "403"),
        ("/auth/alice/x", "localhost", "", "401"),
        ("/tls?name=tls", "localhost", "session=alice", "a desktop"),
        ("/from", "alice.example.org", "", "403"),
    ];
    for (path, host, cookie, expected) in cases {
        let client = httpd.client().host(host).header("Cookie", cookie);
        assert_eq!(outcome(&client, path).await, expected, "{host} {path} {cookie}");
    }
    assert_eq!(desktop.last().await.header("Cookie"), "");
}
