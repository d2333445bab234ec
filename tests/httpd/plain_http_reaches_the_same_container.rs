//! `WsRouteHttp`: the container's pages and assets, found by the rules that find its WebSockets.

use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::users;

/// A container with a page for every path; it says its name, and what it was asked for.
async fn container(name: &'static str, tls: bool) -> Upstream {
    let behaviour = move |mut conn: Conn| async move {
        if !conn.seen.header("Upgrade").is_empty() {
            conn.accept_with("", &frame(TEXT, true, false, name.as_bytes())).await;
            return drain(conn).await;
        }
        let body = format!("{name} {}", conn.seen.line());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = conn.ws.try_raw((head + &body).as_bytes()).await;
    };
    match tls {
        false => Upstream::serve(behaviour).await,
        true => Upstream::serve_tls(&Pki::get().self_signed, behaviour).await,
    }
}

const RESOLVER: &str = "WsRouteResolver desktops file \"${ROOT}/routes\"\n";
const BY_PATH: &str = "WsRoute desktops\nWsRouteKey path \"^/desktop/([^/]+)\"\n\
                       WsRouteKey referer \"/desktop/([^/?#]+)\"\n\
                       WsRouteUpstream path={tail}\nWsRouteHttp On";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_its_assets_and_its_websocket() {
    for tls in [false, true] {
        let alice = container("alice", tls).await;
        let bob = container("bob", tls).await;
        let routes = format!("alice {}\nbob {}\n", alice.url(), bob.url());
        let rules = BY_PATH.replace("path={tail}", "path={tail} verify=off");
        let conf = RESOLVER.to_owned() + &location("/", &rules);
        let httpd = Httpd::with(conf).file("routes", routes).tls().start().await;
        for (how, client) in httpd.clients() {
            for name in ["alice", "bob"] {
                let page = client.get(&format!("/desktop/{name}/vnc.html?a=b%2F")).await;
                assert_eq!(page.status, 200, "{how}");
                assert_eq!(page.text(), format!("{name} GET /vnc.html?a=b%2F HTTP/1.1"), "{how}");
                let post = client.plain("POST", &format!("/desktop/{name}/api"), "body").await;
                assert_eq!(post.text(), format!("{name} POST /api HTTP/1.1"), "{how}");
                let from_page =
                    client.clone().header("Referer", &format!("http://h/desktop/{name}/"));
                let asset = from_page.get("/assets/app%20x.js").await;
                assert_eq!(
                    asset.text(),
                    format!("{name} GET /assets/app%20x.js HTTP/1.1"),
                    "{how}"
                );
                let mut ws = client.upgrade(&format!("/desktop/{name}/websockify")).await;
                assert_eq!(ws.frame().await.text(), name, "{how}");
            }
        }
        let post = alice.seen(1).await;
        assert_eq!(post.all("X-Forwarded-Proto"), ["http"]);
        assert_eq!(post.header("X-Forwarded-For"), "127.0.0.1");
        assert!(post.header("Host").starts_with("localhost:"), "{}", post.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_key_is_left_alone() {
    let alice = container("alice", false).await;
    let routes = format!("alice {}\n", alice.address);
    let conf = RESOLVER.to_owned() + &location("/", BY_PATH);
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    let client = httpd.client();
    let portal = client.get("/index.html").await;
    assert_eq!(portal.status, 200);
    // A page is no part of the page that links to it.
    let back =
        client.clone().header("Referer", "http://h/desktop/alice/").header("Accept", "text/html");
    assert_eq!(back.get("/index.html").await.text(), portal.text());
    // A container that is gone does not take the portal's pictures along.
    let gone = client.clone().header("Referer", "http://h/desktop/nobody/");
    assert_eq!(gone.get("/index.html").await.text(), portal.text());
    assert_eq!(client.get("/desktop/nobody/").await.status, 404);
    assert_eq!(alice.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_before_a_proxypass_and_keeps_owners_apart() {
    let (alice, other) = (container("alice", false).await, container("other", false).await);
    let routes = format!("alice {} owner=alice username=kasm password=s\n", alice.address);
    let rules = "WsRoute desktops\nWsRouteKey path \"^/desktop/([^/]+)\"\nWsRouteHttp On\n\
                 WsRouteOwner \"%{REMOTE_USER}\"\nAuthType Basic\nAuthName d\n\
                 AuthUserFile \"${ROOT}/users\"\nRequire valid-user";
    let conf = format!("{RESOLVER}{}ProxyPass / http://{}/\n", location("/", rules), other.address);
    let httpd = Httpd::with(conf).file("users", users()).file("routes", routes).start().await;
    let client = |user, password| httpd.client().basic(user, password);
    let page = client("alice", "wonder").get("/desktop/alice/x").await;
    assert_eq!(page.text(), "alice GET /desktop/alice/x HTTP/1.1");
    let authorization = alice.last_seen().header("Authorization").to_owned();
    assert_eq!(authorization, "Basic a2FzbTpz");
    assert_eq!(client("bob", "builder").get("/desktop/alice/x").await.status, 403);
    assert_eq!(httpd.client().get("/desktop/alice/x").await.status, 401);
    assert_eq!(client("bob", "builder").get("/else").await.text(), "other GET /else HTTP/1.1");
    httpd.log().expect(words::NOT_YOURS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_checked_as_for_websockets() {
    let up = container("x", false).await;
    let conf = RESOLVER.to_owned() + "WsRouteAllow 10.0.0.0/8\n" + &location("/", BY_PATH);
    let httpd = Httpd::with(conf).file("routes", format!("x {}\n", up.address)).start().await;
    assert_eq!(httpd.client().get("/desktop/x/").await.status, 403);
    assert_eq!(up.connections(), 0);
    httpd.log().allow("upstream-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_asks_for_is_remembered() {
    let alice = container("alice", false).await;
    let routes = format!("alice {}\n", alice.address);
    let rules = "WsRoute desktops\nWsRouteKey path \"^/desktop/([^/]+)\"\nWsRouteHttp On\n\
                 WsRouteRemember On\nWsRouteUpstream path={tail}";
    let conf = RESOLVER.to_owned() + &location("/", rules);
    let httpd = Httpd::with(conf).file("routes", routes).tls().start().await;
    for (how, client) in httpd.clients() {
        let page = client.get("/desktop/alice/").await;
        let cookie = page.header("Set-Cookie").to_owned();
        assert!(cookie.starts_with("wsroute=") && cookie.contains("HttpOnly"), "{how}: {cookie}");
        assert_eq!(cookie.contains("Secure"), how != "plaintext", "{how}: {cookie}");
        let cookie = cookie.split(';').next().expect("a value").to_owned();
        let client = client.clone().header("Cookie", &format!("a=b; {cookie}; c=d"));
        let font = client.clone().header("Referer", "http://h/assets/app.css");
        assert_eq!(
            font.get("/assets/font.woff").await.text(),
            "alice GET /assets/font.woff HTTP/1.1"
        );
        assert_eq!(alice.last_seen().header("Cookie"), "a=b; c=d", "{how}");
        assert_eq!(client.upgrade("/websockify").await.frame().await.text(), "alice", "{how}");
        assert_eq!(alice.last_seen().header("Cookie"), "a=b; c=d", "{how}");
        let page = client.clone().header("Accept", "text/html").get("/index.html").await;
        assert!(!page.text().starts_with("alice"), "{how}");
        let again = client.get("/desktop/alice/").await;
        assert_eq!(again.header("Set-Cookie"), "", "{how}: it is there already");
        let forged = client.clone().header("Cookie", &(cookie.clone() + "x"));
        forged.refused("/websockify", 404).await;
    }
    // All children sign alike, also those after a graceful restart.
    let cookie = httpd.client().get("/desktop/alice/").await.header("Set-Cookie").to_owned();
    httpd.signal(rustix::process::Signal::USR1);
    httpd.until_started(2).await;
    let client = httpd.client().header("Cookie", cookie.split(';').next().expect("a value"));
    assert_eq!(client.upgrade("/websockify").await.frame().await.text(), "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_ones_own_read_the_environment() {
    let alice = container("alice", false).await;
    let routes = format!("alice {}\n", alice.address);
    let rules = "WsRoute desktops\nWsRouteKey path \"^/desktop/([^/]+)\"\nWsRouteHttp Env\n\
                 RewriteEngine On\nRewriteCond %{ENV:WSROUTE_TARGET} ^ws://(.+)\n\
                 RewriteRule /desktop/[^/]+/(.*) http://%1/$1 [P]";
    let conf = RESOLVER.to_owned() + &location("/desktop", rules);
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    assert_eq!(httpd.client().get("/desktop/alice/x").await.text(), "alice GET /x HTTP/1.1");
    assert_eq!(httpd.client().get("/desktop/nobody/x").await.status, 404);
    std::fs::write(httpd.root().join("routes"), "far 8.8.8.8:80\n").expect("the file");
    assert_eq!(httpd.client().get("/desktop/far/x").await.status, 403);
    httpd.log().allow("upstream-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bridges_leave_nothing_behind() {
    let up = container("x", false).await;
    let conf = RESOLVER.to_owned() + &location("/", BY_PATH);
    let routes = format!("x {}\ngone 127.0.0.1:9\n", up.address);
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    for _ in 0..20 {
        assert_eq!(httpd.client().get("/desktop/x/").await.status, 200);
    }
    assert_eq!(httpd.client().get("/desktop/gone/").await.status, 502);
    httpd.log().expect("upstream-refused").await;
    let folder = httpd.root().join("run/wsroute");
    let left = || std::fs::read_dir(&folder).expect("the folder").count();
    eventually(SOON, "no socket is left", || left() == 0).await;
    up.until_open(0, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mod_rewrite_asks_the_same_resolvers() {
    let alice = container("alice", false).await;
    let to = alice.address;
    let routes = format!("alice {to}\nbob 8.8.8.8:80\nnew {to} state=creating\n");
    let conf = RESOLVER.to_owned()
        + "RewriteEngine On\nRewriteMap desktop int:wsroute\n\
           RewriteCond ${desktop:desktops:$1|none} !=none\n\
           RewriteRule ^/desktop/([^/]+)/(.*) http://${desktop:desktops:$1}/$2 [P,L]\n\
           RewriteRule ^/desktop/ - [R=404,L]\n";
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    assert_eq!(httpd.client().get("/desktop/alice/x").await.text(), "alice GET /x HTTP/1.1");
    for other in ["bob", "new", "nobody", "a%00b"] {
        assert_eq!(httpd.client().get(&format!("/desktop/{other}/x")).await.status, 404, "{other}");
    }
}
