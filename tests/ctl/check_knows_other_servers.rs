//! Broken deployments with nginx, haproxy, mod_rewrite and applications that say little.

use crate::check_is_silent_where_it_works::WEBSOCKETS;
use crate::check_servers::{Haproxy, NGINX_PASSES, nginx, python};
use crate::check_tools::{always, answer, application, check, nowhere, url};
use crate::harness::{Httpd, Upstream, drain, ws};

#[tokio::test(flavor = "multi_thread")]
async fn nginx_in_front() {
    let app = python(WEBSOCKETS);
    let upgrade_only = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;";
    let key = format!("{NGINX_PASSES} proxy_set_header Sec-WebSocket-Key \"\";");
    let version = format!("{NGINX_PASSES} proxy_set_header Sec-WebSocket-Version \"\";");
    let cut = format!("{NGINX_PASSES} proxy_read_timeout 2s;");
    let table = [
        ("", "headers-stripped", "proxy_http_version 1.1"),
        (upgrade_only, "headers-stripped", "Connection"),
        (&key, "header-lost", "Sec-WebSocket-Key was sent and did not arrive"),
        (&version, "header-lost", "Sec-WebSocket-Version was sent and did not arrive"),
        (&cut, "idle-cut", "proxy_read_timeout"),
        ("return 404;", "no-route", "nginx itself"),
    ];
    for (lines, cause, words) in table {
        let conf = format!("location / {{ proxy_pass http://127.0.0.1:{}; {lines} }}", app.port);
        let front = nginx("", &conf);
        let at = format!("ws://localhost:{}/ws", front.port);
        check(&[&at, "--hold", "4"]).finds(cause, &[words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_in_front() {
    let up = Upstream::echo().await;
    let old = always("404 Not Found", "", "the old server").await;
    let (good, bad) = (up.address.to_string(), old.address.to_string());
    let cut = Haproxy { server: good.clone(), timeout: "2s".into(), ..Haproxy::default() };
    let down = Haproxy { server: nowhere(), ..Haproxy::default() };
    // The first server in turn answers the GET, the second the upgrade.
    let in_turn = Haproxy { server: format!("{good}\n server t {bad}"), ..Haproxy::default() };
    let table = [
        (cut, "idle-cut", "with pings it stayed open"),
        (down, "upstream-down", "haproxy"),
        (in_turn, "works-at-times", "asked again"),
    ];
    for (haproxy, cause, words) in table {
        let front = haproxy.start();
        let at = format!("ws://localhost:{}/ws", front.port);
        check(&[&at, "--hold", "4"]).finds(cause, &[words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mod_proxy_by_other_means() {
    let up = application().await;
    let page = always("200 OK", "Content-Type: text/html\r\n", "<p>a page").await;
    let recipe = |to: &Upstream| {
        format!(
            "RewriteEngine on\nRewriteCond %{{HTTP:Upgrade}} websocket [NC]\n\
             RewriteRule ^/ws(.*) http://{}/$1 [P]\n",
            to.address
        )
    };
    let order = format!(
        "ProxyPass / http://{0}/\nProxyPass /ws http://{0}/ upgrade=websocket\n",
        up.address
    );
    let table = [
        (recipe(&up), "drops Upgrade"),
        (recipe(&page), "either mod_proxy drops Upgrade"),
        (order, "before all other lines"),
    ];
    for (conf, words) in table {
        let httpd = Httpd::with(conf).start().await;
        check(&[&url(&httpd, "/ws")]).finds("proxy-without-upgrade", &["mod_proxy", words]);
        httpd.log().allow("AH0");
        httpd.allow_output("AH01146");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_host_is_an_application() {
    let up = application().await;
    let httpd = Httpd::with(format!("ProxyPass / http://{}/\n", up.address)).start().await;
    let port = httpd.port();
    let address = format!("127.0.0.1:{port}");
    check(&[&format!("ws://desk.example:{port}/ws"), "--connect", &address]).finds(
        "proxy-without-upgrade",
        &["either the wrong virtual host", "apachectl -S", "mod_proxy"],
    );
    httpd.log().allow("AH0");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_come_compressed() {
    let conf = "SetOutputFilter DEFLATE\n";
    let httpd = Httpd::with(conf).module("filter").module("deflate").start().await;
    check(&[&url(&httpd, "/ws")]).finds("no-route", &["httpd itself"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_sees_the_upgrade_and_refuses() {
    let up = Upstream::serve(|conn| async move {
        match conn.seen.header("Upgrade") {
            "" => answer(conn, "426 Upgrade Required", "", "").await,
            _ => answer(conn, "400 Bad Request", "", "bad token").await,
        }
    })
    .await;
    let conf = format!("ProxyPass /ws http://{}/ upgrade=websocket\n", up.address);
    let httpd = Httpd::with(conf).start().await;
    httpd.log().allow("AH0");
    for at in [url(&httpd, "/ws"), up.url()] {
        check(&[&at]).finds("application-refuses", &["bad token", "reaches the application"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_or_hangs_up() {
    let silent = Upstream::silent().await;
    let picky = Upstream::serve(|conn| async move {
        match conn.seen.header("Upgrade") {
            "" => answer(conn, "200 OK", "", "a page").await,
            _ => drop(conn),
        }
    })
    .await;
    let to = |path: &str, up: &Upstream| {
        format!("ProxyPass {path} http://{}/ upgrade=websocket\n", up.address)
    };
    let conf = ws("/ws", &silent.url()) + &to("/silent", &silent) + &to("/picky", &picky);
    let httpd = Httpd::with(conf).start().await;
    let table = [
        (url(&httpd, "/ws"), "upstream-late", "the container, behind mod_wsroute"),
        (url(&httpd, "/silent"), "upstream-late", "the container, behind mod_proxy"),
        (silent.url(), "no-answer", "the server, or what is behind it"),
        (picky.url(), "connection-ended", "without Upgrade gets 200"),
        (url(&httpd, "/picky"), "upstream-closed", "the container, behind mod_proxy"),
    ];
    for (at, cause, words) in table {
        check(&[&at, "--timeout", "2"]).finds(cause, &[words]);
    }
    httpd.log().allow("AH0");
    drop(silent);
    ["upstream", "session"].iter().for_each(|word| httpd.log().allow(word));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_lost_on_the_way() {
    let up = Upstream::serve(|conn| async move {
        match conn.seen.header("Cookie").contains("sid=good") {
            true => drain(conn).await,
            false => answer(conn, "403 Forbidden", "", "no session").await,
        }
    })
    .await;
    let lines = format!("{NGINX_PASSES} proxy_set_header Cookie \"\";");
    let front = nginx("", &format!("location / {{ proxy_pass http://{}; {lines} }}", up.address));
    check(&[&format!("ws://localhost:{}/ws", front.port), "--cookie", "sid=good"])
        .finds("forbidden", &["a server between drops Cookie"]);
}

/// "WebSocket" in a refusal is no wish for an upgrade.
#[tokio::test(flavor = "multi_thread")]
async fn applications_that_want_a_token_or_a_login() {
    for body in [
        "WebSocket session expired, upgrade refused",
        "WebSocket token required",
        "login required for WebSocket connections",
    ] {
        let app = always("400 Bad Request", "Server: app\r\n", body).await;
        let at = format!("ws://{}/ws", app.address);
        check(&[&at]).finds("application-no-websocket", &[body]);
        let conf = format!("ProxyPass /ws http://{}/ upgrade=websocket\n", app.address);
        let httpd = Httpd::with(conf).start().await;
        let said = check(&[&url(&httpd, "/ws")]);
        said.finds(
            "proxy-without-upgrade",
            &["either mod_proxy drops", "or the application", body],
        );
        httpd.log().allow("AH0");
    }
    let app = always("400 Bad Request", "", "Sec-WebSocket-Protocol required").await;
    let lines = format!("{NGINX_PASSES} proxy_set_header Sec-WebSocket-Protocol \"\";");
    let conf = format!("location / {{ proxy_pass http://{}; {lines} }}", app.address);
    let front = nginx("", &conf);
    let at = format!("ws://localhost:{}/ws", front.port);
    check(&[&at, "--subprotocol", "binary"])
        .finds("header-lost", &["Sec-WebSocket-Protocol was sent and did not arrive"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_own_500() {
    let app = always("500 Internal Server Error", "Server: app\r\n", "Traceback").await;
    let conf = format!(
        "{}ProxyPass /proxied http://{}/ upgrade=websocket\n",
        ws("/ws", &app.url()),
        app.address
    );
    let httpd = Httpd::with(conf).start().await;
    check(&[&url(&httpd, "/ws")]).finds("upstream-declined", &["500", "Traceback"]);
    check(&[&url(&httpd, "/proxied")]).finds("server-error", &["the application", "Traceback"]);
    httpd.log().allow("AH0");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_where_a_websocket_should_be() {
    let httpd = Httpd::with("").start().await;
    check(&[&url(&httpd, "/index.html")]).finds("no-route", &["no WsRoute", "has a file"]);
    let strips = format!(
        "location /ws/ {{ proxy_pass http://127.0.0.1:{}/; {NGINX_PASSES} }}\n\
         location /page {{ return 200 \"ok\"; }}",
        httpd.port()
    );
    let front = nginx("", &strips);
    let at = |path: &str| format!("ws://localhost:{}{path}", front.port);
    check(&[&at("/ws/x")]).finds("no-route", &["httpd behind nginx", "proxy_pass with a path"]);
    check(&[&at("/page")]).finds("upgrade-not-seen", &["a page of its own"]);
}
