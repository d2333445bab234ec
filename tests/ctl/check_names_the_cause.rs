//! Deployments that are broken: `wsroutectl check` names the cause of each, and the hop.

use crate::check_tools::{always, application, check, nowhere, url};
use crate::harness::{
    Conn, Httpd, Pki, Upstream, accept_of, drain, frame, location, run as command, ws,
};
use crate::run::wsroutectl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn mod_proxy_without_upgrade() {
    let up = application().await;
    let proxy = format!("ProxyPass /ws http://{}/\n", up.address);
    let recipe = "SetEnvIf Upgrade (?i)websocket WS\nRequestHeader set Upgrade websocket env=WS\n\
                  RequestHeader set Connection Upgrade env=WS\n";
    for conf in [proxy.clone(), format!("{recipe}{proxy}")] {
        let httpd = Httpd::with(conf).start().await;
        check(&[&url(&httpd, "/ws")])
            .finds("proxy-without-upgrade", &["mod_proxy", "upgrade=websocket"]);
        httpd.log().allow("AH0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_mod_proxy_what_cannot_be_known_is_said() {
    let says = "speaking plain HTTP to an SSL-enabled server port";
    let table = [
        (always("200 OK", "", "<p>a page").await, "proxy-without-upgrade", "either mod_proxy"),
        (
            always("400 Bad Request", "", "NOT a WebSocket upgrade request").await,
            "proxy-without-upgrade",
            "asks for an upgrade",
        ),
        (always("400 Bad Request", "", says).await, "upstream-tls", "wants TLS"),
        (
            always("403 Forbidden", "Content-Type: text/plain\r\n", "invalid Origin").await,
            "foreign-origin",
            "the application refuses",
        ),
    ];
    for (up, cause, words) in table {
        let httpd = Httpd::with(format!("ProxyPass /ws http://{}/\n", up.address)).start().await;
        check(&[&url(&httpd, "/ws")]).finds(cause, &[words]);
        httpd.log().allow("AH0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_pages_of_other_proxies() {
    let nginx = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<center>nginx</center>";
    let haproxy = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available";
    let lost = "NOT a WebSocket upgrade request";
    let table = [
        (always("502 Bad Gateway", "Server: nginx\r\n", nginx).await, "upstream-down", "nginx"),
        (always("503 Service Unavailable", "", haproxy).await, "upstream-down", "haproxy"),
        (always("400 Bad Request", "Server: nginx\r\n", lost).await, "headers-stripped", "nginx"),
        (always("200 OK", "Server: nginx\r\n", "").await, "upgrade-not-seen", "either it"),
        (always("429 Too Many Requests", "", "").await, "rate-limit", "too many"),
    ];
    for (up, cause, words) in table {
        check(&[&up.url()]).finds(cause, &[words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_virtual_host() {
    let up = Upstream::echo().await;
    let address = nowhere();
    let vhost = |name: &str, lines: &str| {
        format!("<VirtualHost {address}>\nServerName {name}\n{lines}\n</VirtualHost>\n")
    };
    let both = vhost("portal.example", "DocumentRoot \"${ROOT}/htdocs\"")
        + &vhost("desktop.example", &ws("/ws", &up.url()));
    let httpd = Httpd::with("").global(&format!("Listen {address}\n{both}")).start().await;
    let port = address.rsplit(':').next().expect("a port");
    let ask = |name: &str| check(&[&format!("ws://{name}:{port}/ws"), "--connect", &address]);
    ask("desk.example")
        .finds("wrong-vhost", &["wrong virtual host", "desk.example", "apachectl -S"]);
    let right = ask("desktop.example");
    assert_eq!(right.said.code, 0, "{:#}", right.told);
    drop(httpd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_upstream() {
    let up = Upstream::echo_tls().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let log = httpd.root().join("error.log").display().to_string();
    check(&[&url(&httpd, "/ws")]).finds("upstream-failed", &["self-signed", "upstream-tls", "ca="]);
    check(&[&url(&httpd, "/ws"), "--log", &log])
        .finds("upstream-tls", &["certificate", "verify=off"]);
    httpd.log().allow("upstream-tls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_down() {
    let conf = ws("/ws", &format!("ws://{}", nowhere()))
        + &format!("ProxyPass /proxied http://{}/ upgrade=websocket\n", nowhere());
    let httpd = Httpd::with(conf).start().await;
    let log = httpd.root().join("error.log").display().to_string();
    check(&[&url(&httpd, "/ws")]).finds("upstream-failed", &["down"]);
    check(&[&url(&httpd, "/ws"), "--log", &log]).finds("upstream-down", &["refused"]);
    check(&[&url(&httpd, "/proxied")]).finds("upstream-down", &["mod_proxy"]);
    ["upstream-refused", "AH0"].iter().for_each(|words| httpd.log().allow(words));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_starts_or_is_unknown() {
    let conf = "WsRouteResolver desktops file \"${ROOT}/routes\"\n".to_owned()
        + &location("/ws", "WsRoute desktops\nWsRouteKey query:k");
    let routes = "x 127.0.0.1:9 state=creating\n";
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    check(&[&url(&httpd, "/ws?k=x")]).finds("starting", &["not running yet"]);
    check(&[&url(&httpd, "/ws?k=y")]).finds("unknown-key", &["wsroutectl resolve"]);
    check(&[&url(&httpd, "/other")]).finds("no-route", &["WsRoute", "/other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_required() {
    let up = Upstream::kasm("kasm_user", "secret").await;
    let login = "AuthType Basic\nAuthName x\nAuthUserFile \"${ROOT}/users\"\nRequire valid-user\n\
                 RequestHeader unset Authorization";
    let conf = ws("/", &up.url())
        + "WsRouteUpstream verify=off\n"
        + &location("/login", login)
        + "RedirectMatch 302 ^/portal https://sso.example/auth?client_id=x\n";
    let users = command("openssl", &["passwd", "-apr1", "wonder"]);
    let httpd = Httpd::with(conf).file("users", format!("alice:{users}")).start().await;
    httpd.log().allow("AH01617");
    let at = url(&httpd, "/login/ws");
    check(&[&at]).finds("login-required", &["--user"]);
    let wrong = check(&[&at, "--user", "alice:tell-nobody"]);
    wrong.finds("login-required", &["refused"]);
    assert!(!wrong.said.out.contains("tell-nobody"), "{}", wrong.said.out);
    check(&[&at, "--user", "alice:wonder"])
        .finds("container-login", &["container", "RequestHeader set Authorization"]);
    check(&[&url(&httpd, "/portal")]).finds("login-redirect", &["sso.example", "--cookie"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_origin() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let asked = check(&[&url(&httpd, "/ws"), "--origin", "https://portal.example"]);
    asked.finds("foreign-origin", &["WsRouteOrigin https://portal.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_that_take_no_websockets() {
    let table = [
        (always("200 OK", "", "a page").await, "application-no-websocket", "as to any page"),
        (always("426 Upgrade Required", "", "no").await, "upgrade-not-seen", "lost on the way"),
        (
            always("200 OK", "Server: KasmVNC/4.0\r\n", "<title>KasmVNC</title>").await,
            "application-no-websocket",
            "KasmVNC",
        ),
        (Upstream::says("HTTP/1.0 200 OK\r\n\r\nold").await, "http-1.0", "HTTP/1.0"),
        (Upstream::says("RFB 003.008\n").await, "vnc-port", "websockify"),
        (
            always("401 Unauthorized", "WWW-Authenticate: Basic realm=\"Websockify\"\r\n", "")
                .await,
            "container-login",
            "password",
        ),
    ];
    for (up, cause, words) in table {
        check(&[&format!("{}/websockify", up.url())]).finds(cause, &[words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kasmvnc_behind_the_module_that_misses_a_header() {
    let up = Upstream::kasm("u", "p").await;
    let conf = ws("/ws", &up.url())
        + "WsRouteUpstream verify=off\nRequestHeader unset Origin\nRequestHeader unset Sec-WebSocket-Protocol\n";
    let httpd = Httpd::with(conf).start().await;
    let asked = check(&[&url(&httpd, "/ws"), "--user", "u:p"]);
    asked.finds("upstream-declined", &["Origin", "Sec-WebSocket-Protocol"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_behind_the_101() {
    let behind = |bytes: Vec<u8>| {
        Upstream::serve(move |mut conn: Conn| {
            let bytes = bytes.clone();
            async move {
                conn.accept_with("", &bytes).await;
                let _ = conn.ws.io.shutdown().await;
                drain(conn).await;
            }
        })
    };
    let table = [
        (vec![], "closed-at-once", "1006"),
        (frame(8, true, false, b""), "closed-at-once", "1005"),
        (frame(8, true, false, &[0x03, 0xf3]), "closed-at-once", "1011"),
        (frame(2, true, true, b"x"), "masked-by-server", "1002"),
        (frame(0, true, false, b"x"), "protocol-error", "never began"),
        (frame(1, true, false, b"\xff"), "protocol-error", "UTF-8"),
        (frame(8, true, false, &[0x03, 0xed]), "protocol-error", "nobody may send"),
        (vec![0xc2, 1, 0], "protocol-error", "compression"),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), "not-websocket-bytes", "response"),
        (b"RFB 003.008\n".to_vec(), "not-websocket-bytes", "websockify"),
    ];
    for (bytes, cause, words) in table {
        let up = behind(bytes).await;
        check(&[&up.url()]).finds(cause, &[words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_101_that_is_none() {
    let switch = |lines: &'static str| {
        Upstream::serve(move |mut conn: Conn| async move {
            let accept = accept_of(conn.seen.header("Sec-WebSocket-Key"));
            let head =
                format!("HTTP/1.1 101 Switching\r\n{}\r\n", lines.replace("ACCEPT", &accept));
            let _ = conn.ws.try_raw(head.as_bytes()).await;
            drain(conn).await;
        })
    };
    let table = [
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n",
            "wrong-accept",
            "key",
        ),
        ("Upgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n", "bad-switch", "Connection"),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: base64\r\n",
            "wrong-subprotocol",
            "base64",
        ),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Accept: ACCEPT\r\n",
            "wrong-accept",
            "more than one",
        ),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: binary\r\nSec-WebSocket-Protocol: binary\r\n",
            "wrong-subprotocol",
            "more than one",
        ),
    ];
    for (lines, cause, words) in table {
        let up = switch(lines).await;
        check(&[&up.url()]).finds(cause, &[words]);
    }
}

/// A proxy that passes everything on but the lines that begin with `lost`.
async fn front(to: u16, lost: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its number").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut chunk = [0; 4096];
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read(&mut chunk).await {
                        Ok(n @ 1..) => head.extend_from_slice(&chunk[..n]),
                        _ => return,
                    }
                }
                let head = String::from_utf8(head).expect("ASCII");
                let kept = head.lines().filter(|l| !lost.iter().any(|lost| l.starts_with(lost)));
                let head: String = kept.map(|line| format!("{line}\r\n")).collect();
                let mut server = TcpStream::connect(("127.0.0.1", to)).await.expect("httpd");
                server.write_all(head.as_bytes()).await.expect("sent");
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_front_strips_headers() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let lost: [&'static [&'static str]; 2] = [&["Upgrade:", "Connection:"], &["Connection:"]];
    for lost in lost {
        let port = front(httpd.port(), lost).await;
        let asked = check(&[&format!("ws://localhost:{port}/ws")]);
        asked.finds("headers-stripped", &["proxy in front", "proxy_set_header"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn httpd_itself_strips_headers() {
    let up = Upstream::echo().await;
    let conf = location("/upgrade", "RequestHeader unset Upgrade")
        + &location("/connection", "RequestHeader unset Connection")
        + &location("/key", "RequestHeader unset Sec-WebSocket-Key")
        + &ws("/", &up.url());
    let httpd = Httpd::with(conf).start().await;
    httpd.log().allow("AH00132");
    for path in ["/upgrade", "/connection"] {
        check(&[&url(&httpd, path)])
            .finds("headers-stripped", &["or this httpd's own configuration", "wsroutectl lint"]);
    }
    check(&[&url(&httpd, "/key")]).finds("header-lost", &["Sec-WebSocket-Key", "did not arrive"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many() {
    let own_page = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<title>429 Too Many Requests</title>";
    let container = always("429 Too Many Requests", "", "slow down").await;
    let ours = always("429 Too Many Requests", "Content-Type: text/html\r\n", own_page).await;
    let conf = ws("/container", &container.url()) + &ws("/ours", &ours.url());
    let httpd = Httpd::with(conf).start().await;
    check(&[&url(&httpd, "/container")]).finds("rate-limit", &["the container", "slow down"]);
    check(&[&url(&httpd, "/ours")]).finds("session-limit", &["mod_wsroute"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_make_no_difference() {
    let moved = always("302 Found", "Location: /login?next=x\r\n", "").await;
    let forbidden = always("403 Forbidden", "", "no session").await;
    for (up, cause) in [(moved, "login-redirect"), (forbidden, "forbidden")] {
        check(&[&up.url(), "--cookie", "sid=tell-nobody"])
            .finds(cause, &["without the cookies the answer is the same", "drops Cookie"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_limit() {
    let up = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        let idle = std::time::Duration::from_secs(2);
        let mut chunk = [0; 4096];
        while let Ok(Ok(1..)) = tokio::time::timeout(idle, conn.ws.io.read(&mut chunk)).await {}
    })
    .await;
    check(&[&up.url(), "--hold", "4"])
        .finds("idle-cut", &["idle limit", "with pings it stayed open", "timeout="]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_protocol_on_the_port() {
    let plain = Upstream::echo().await;
    let tls = Upstream::echo_tls().await;
    let httpd = Httpd::with("Redirect 301 /ws https://localhost/ws\n").start().await;
    check(&[&plain.url().replace("ws:", "wss:")]).finds("http-on-tls-port", &["ws://"]);
    check(&[&tls.url().replace("wss:", "ws:")]).finds("tls-on-http-port", &["wss://"]);
    check(&[&url(&httpd, "/ws")]).finds("redirect-to-https", &["wss://"]);
    check(&[&format!("ws://{}", nowhere())]).finds("tcp-refused", &["Listen"]);
    check(&["wss://no-such-name.invalid/"]).finds("no-such-name", &["DNS"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_browsers_refuse() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &Pki::get().ca.cert).expect("a file");
    let ca = ca.display().to_string();
    let own = Upstream::echo_tls().await;
    let elsewhere = Upstream::echo_tls_with(&Pki::get().elsewhere).await;
    check(&[&own.url()]).finds("certificate-self-signed", &["self-signed"]);
    check(&[&elsewhere.url()]).finds("certificate-untrusted", &["--ca"]);
    check(&[&elsewhere.url(), "--ca", &ca]).finds("certificate-name", &["kasm.example"]);
    assert_eq!(check(&[&own.url(), "--insecure"]).said.code, 0);
}

#[test]
fn what_cannot_be_tested_is_2() {
    let mistakes: [&[&str]; 7] = [
        &["ftp://localhost/"],
        &["ws://user:password@localhost/"],
        &["ws://localhost/", "--ca", "/nonexistent"],
        &["ws://localhost/", "--log", "/nonexistent"],
        &["ws://localhost/", "-H", "no colon"],
        &["ws://localhost/", "--user", "alice"],
        &["localhost", "http", "no-slash"],
    ];
    for args in mistakes {
        let said = wsroutectl(&[&["check"], args].concat());
        assert_eq!(said.code, 2, "{args:?}: {}{}", said.out, said.err);
        assert!(!said.err.contains("password@"), "{}", said.err);
    }
}
