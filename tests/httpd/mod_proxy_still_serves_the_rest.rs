//! mod_proxy, mod_rewrite and mod_wsroute side by side in one virtual host.

use crate::harness::*;

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nthe page";

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_through_mod_proxy_and_websockets_through_us() {
    let (pages, up) = (Upstream::says(PAGE).await, Upstream::echo().await);
    let proxy = format!("ProxyPass / http://{}/\n", pages.address);
    let rewrite =
        format!("RewriteEngine On\nRewriteRule ^/(.*)$ http://{}/$1 [P]\n", pages.address);
    let handler = format!("SetHandler \"proxy:http://{}/\"", pages.address);
    for conf in [proxy, rewrite, location("/", &handler)] {
        let httpd = Httpd::with(conf.clone() + &ws("/", &up.url())).tls().start().await;
        for (how, client) in httpd.clients() {
            assert_eq!(client.get("/a/page?x=1").await.text(), "the page", "{how} {conf}");
            assert_eq!(client.plain("POST", "/form", "a=b").await.text(), "the page", "{how}");
            let mut ws = client.upgrade("/a/websocket?x=1").await;
            ws.echo(how).await;
            ws.leave().await;
        }
        assert_eq!(up.last().await.target(), "/a/websocket?x=1", "{conf}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mod_proxys_own_websockets_go_on_elsewhere() {
    let (theirs, ours) = (Upstream::named("theirs").await, Upstream::named("ours").await);
    let conf = format!("ProxyPass /theirs http://{}/ upgrade=websocket\n", theirs.address)
        + &ws("/ours", &ours.url());
    let httpd = Httpd::with(conf).start().await;
    for name in ["theirs", "ours"] {
        let mut ws = httpd.client().upgrade(&format!("/{name}")).await;
        assert_eq!(ws.frame().await.text(), name);
        ws.echo(name).await;
        ws.leave().await;
    }
    assert_eq!((theirs.connections(), ours.connections()), (1, 1));
}
