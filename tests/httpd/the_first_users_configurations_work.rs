//! The two configurations that everybody tries first. mod_proxy_http strips the hop-by-hop headers
//! after mod_headers has set them, so neither works; with one line of ours, both do.

use crate::harness::*;

/// A small application: 101 for an upgrade, 426 for anything else at /socket, and pages.
async fn application() -> Upstream {
    Upstream::serve(|mut conn| async move {
        if conn.seen.header("Upgrade").eq_ignore_ascii_case("websocket") {
            conn.accept().await;
            while let Some(f) = conn.ws.next().await {
                let bytes = frame(f.op, f.fin, false, &f.data);
                if conn.ws.try_raw(&bytes).await.is_err() || f.op == CLOSE {
                    return;
                }
            }
            return;
        }
        let status = if conn.seen.target().starts_with("/socket") { "426 X" } else { "200 OK" };
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere");
        let _ = conn.ws.try_raw(answer.as_bytes()).await;
        drain(conn).await;
    })
    .await
}

fn with_setenvif(to: &str) -> String {
    format!(
        "SetEnvIf Upgrade \"(?i)^websocket$\" IS_WEBSOCKET\n\
         RequestHeader set Upgrade \"websocket\" env=IS_WEBSOCKET\n\
         RequestHeader set Connection \"Upgrade\" env=IS_WEBSOCKET\n\
         ProxyPreserveHost On\nProxyPass / http://{to}/\nProxyPassReverse / http://{to}/\n"
    )
}

fn with_rewrite(to: &str) -> String {
    format!(
        "RewriteEngine On\n\
         RewriteCond %{{HTTP:Upgrade}} websocket [NC]\n\
         RewriteCond %{{HTTP:Connection}} upgrade [NC]\n\
         RewriteRule ^/?(.*)$ http://{to}/$1 \
         [P,L,E=UPGRADE:%{{HTTP:Upgrade}},E=CONNECTION:%{{HTTP:Connection}}]\n\
         RequestHeader set Upgrade \"%{{UPGRADE}}e\" env=UPGRADE\n\
         RequestHeader set Connection \"%{{CONNECTION}}e\" env=CONNECTION\n\
         ProxyPass / http://{to}/\nProxyPassReverse / http://{to}/\n"
    )
}

async fn fails_without_and_works_with(conf: fn(&str) -> String) {
    let app = application().await;
    let conf = conf(&app.address.to_string());

    let httpd = Httpd::with(conf.clone()).without_wsroute().start().await;
    let page = httpd.client().get("/page").await;
    assert_eq!((page.status, page.text().as_str()), (200, "here"));
    httpd.client().refused("/socket", 426).await;
    assert_eq!(app.last().await.header("Upgrade"), "", "mod_proxy forwarded Upgrade after all");
    drop(httpd);

    let httpd = Httpd::with(conf + &format!("WsRoute \"{}\"\n", app.url())).start().await;
    let page = httpd.client().get("/page").await;
    assert_eq!((page.status, page.text().as_str()), (200, "here"));
    let client = httpd.client().header("Cookie", "session=\"a b\"; x=1");
    let client = client.header("Referer", "http://localhost/page");
    let mut ws = client.upgrade("/socket?room=1").await;
    ws.echo("hello").await;
    tokio::time::sleep(ms(300)).await;
    ws.echo("still there").await;
    let seen = app.last().await;
    assert_eq!(seen.target(), "/socket?room=1");
    assert_eq!(seen.header("Upgrade").to_ascii_lowercase(), "websocket");
    assert!(seen.header("Connection").eq_ignore_ascii_case("upgrade"), "{}", seen.head);
    assert_eq!(seen.all("Referer"), ["http://localhost/page"]);
    assert_eq!(seen.all("Cookie"), ["session=\"a b\"; x=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn setenvif_and_requestheader() {
    fails_without_and_works_with(with_setenvif).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rewriterule_with_environment() {
    fails_without_and_works_with(with_rewrite).await;
}
