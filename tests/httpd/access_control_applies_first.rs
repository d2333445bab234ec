//! httpd's own access control, authentication and ErrorDocument know nothing of WebSockets, and
//! need not: they apply as to any request.

use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::users;

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_have_the_page_may_not_have_the_websocket() {
    let up = Upstream::echo().await;
    let login = "AuthType Basic\nAuthName x\nAuthUserFile \"${ROOT}/users\"\nRequire user alice";
    let conf = ws("/", &up.url())
        + &location("/denied", "Require all denied")
        + &location("/login", login)
        + "<Directory \"${ROOT}/htdocs/secret\">\nRequire all denied\n</Directory>\n";
    let httpd =
        Httpd::with(conf).file("users", users()).file("htdocs/secret/x", "").tls().start().await;
    httpd.log().allow("AH01630");
    httpd.log().allow("AH01617");
    httpd.log().allow("AH01631");
    for (how, client) in httpd.clients() {
        let asked = up.connections();
        client.refused("/denied/ws", 403).await;
        client.refused("/secret/x", 403).await;
        let response = client.refused("/login/ws", 401).await;
        assert_eq!(response.header("WWW-Authenticate"), "Basic realm=\"x\"", "{how}");
        client.clone().basic("alice", "wrong").refused("/login/ws", 401).await;
        client.clone().basic("bob", "builder").refused("/login/ws", 401).await;
        assert_eq!(up.connections(), asked, "{how}: the upstream was asked");
        client.clone().basic("alice", "wonder").upgrade("/login/ws").await.echo(how).await;
        client.upgrade("/open").await.echo(how).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn also_where_mod_proxy_serves_the_pages() {
    let up = Upstream::echo().await;
    let conf = format!("ProxyPass / http://{}/\n", up.address)
        + &ws("/", &up.url())
        + &location("/denied", "Require all denied");
    let httpd = Httpd::with(conf).start().await;
    httpd.client().refused("/denied/ws", 403).await;
    httpd.log().expect("AH01630").await;
    assert_eq!(up.connections(), 0);
    httpd.client().upgrade("/open").await.echo("open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn error_documents_are_served() {
    let up = Upstream::echo().await;
    let conf = "ErrorDocument 403 \"our 403\"\nErrorDocument 404 \"our 404\"\n\
                ErrorDocument 502 /index.html\nErrorDocument 426 \"our 426\"\n\
                WsRouteResolver desktops file \"${ROOT}/routes\"\n"
        .to_owned()
        + &location("/k", "WsRoute desktops\nWsRouteKey query:k")
        + &ws("/ws", &up.url());
    let httpd = Httpd::with(conf).file("routes", "down 127.0.0.1:9\n").start().await;
    let client = httpd.client();
    let foreign = client.clone().header("Origin", "http://evil.example");
    assert_eq!(foreign.refused("/ws", 403).await.text(), "our 403");
    assert_eq!(client.refused("/k?k=nobody", 404).await.text(), "our 404");
    assert_eq!(client.refused("/k?k=down", 502).await.text(), "the index\n");
    let old = client.clone().header("Sec-WebSocket-Version", "8");
    let response = old.refused("/ws", 426).await;
    assert_eq!(response.text(), "our 426");
    assert_eq!(response.header("Sec-WebSocket-Version"), "13");
    for word in [words::ORIGIN, words::UNKNOWN_KEY, words::REFUSED, words::NOT_AN_UPGRADE] {
        httpd.log().expect(word).await;
    }
}
