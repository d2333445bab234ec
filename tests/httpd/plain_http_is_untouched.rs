//! Whatever is no WebSocket upgrade, mod_wsroute leaves alone.

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_and_out_of_scope_are_served() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let page = client.get("/index.html").await;
        assert_eq!((page.status, page.text().as_str()), (200, "the index\n"), "{how}");
        assert_eq!(client.get("/nothing").await.status, 404, "{how}");
        let head = client.plain("HEAD", "/index.html", "").await;
        assert_eq!((head.status, head.header("Content-Length")), (200, "10"), "{how}");
        let post = client.plain("POST", "/index.html", "some=thing").await;
        assert_eq!(post.status, 200, "{how}");
    }
    assert_eq!(up.connections(), 0, "the upstream was asked");
    assert_eq!(httpd.log().count(words::NOT_AN_UPGRADE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_to_something_else_are_ignored() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/", &up.url())).start().await;
    for upgrade in ["h2c", "websocket2", "TLS/1.0, irc"] {
        let client = httpd.client().header("Upgrade", upgrade).header("Connection", "Upgrade");
        let head = format!(
            "GET /index.html HTTP/1.1\r\nHost: localhost\r\nUpgrade: {upgrade}\r\n\
             Connection: Upgrade\r\n\r\n"
        );
        let page = client.bytes("GET", &head).await.expect("an answer");
        assert_eq!((page.status, page.text().as_str()), (200, "the index\n"), "{upgrade}");
    }
    assert_eq!(up.connections(), 0, "the upstream was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_out_of_scope_are_ignored() {
    let up = Upstream::echo().await;
    let off = location("/ws/off", "WsRoute Off");
    let httpd = Httpd::with(ws("/ws", &up.url()) + &off).start().await;
    for path in ["/", "/index.html", "/ws/off/x", "/wsx"] {
        match httpd.client().ask(path).await {
            Answer::Refused(r, _) => assert!([200, 404, 403].contains(&r.status), "{path}: {r:?}"),
            Answer::Upgraded(..) => panic!("{path} was upgraded"),
        }
    }
    httpd.client().upgrade("/ws").await.echo("and this one is in scope").await;
    assert_eq!(up.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_pages_before_its_upgrade() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = Ws { io: client.connect().await, buffer: Vec::new(), client: true };
        for _ in 0..3 {
            ws.raw(b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            let page = ws.response("GET").await.expect("a page");
            assert_eq!(page.text(), "the index\n", "{how}");
        }
        let (head, accept) = client.upgrade_head("/ws");
        ws.raw(head.as_bytes()).await;
        let answer = ws.response("GET").await.expect("an answer");
        assert_eq!((answer.status, answer.header("Sec-WebSocket-Accept")), (101, &accept[..]));
        ws.echo("after three pages").await;
        ws.leave().await;
    }
}
