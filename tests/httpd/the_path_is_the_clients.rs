//! Whatever httpd does with paths to files, the upstream is asked for what the client asked for;
//! and an internal redirect neither confuses nor crashes anybody.

use crate::harness::*;

/// With a document root that has an index and a directory, as every Debian has.
async fn with_files(up: &Upstream, lines: &str) -> Httpd {
    let conf = format!(
        "<Directory \"${{ROOT}}/htdocs\">\nDirectoryIndex index.html\nOptions +MultiViews\n\
         {lines}\n</Directory>\nWsRoute \"{}\"\nAllowEncodedSlashes NoDecode\n",
        up.url()
    );
    let setup = Httpd::with(conf).global("TypesConfig /dev/null");
    setup.module("dir").module("mime").module("negotiation").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mod_dir_and_multiviews_do_not_change_it() {
    let up = Upstream::echo().await;
    let httpd = with_files(&up, "").await;
    for path in ["/", "/index", "/a%2fb", "/%7Ealice/x;y=1"] {
        let mut ws = httpd.client().upgrade(path).await;
        ws.echo("hello").await;
        assert_eq!(up.last().await.target(), path);
        ws.leave().await;
    }
    assert_eq!(httpd.client().get("/").await.status, 200, "plain HTTP still has its index");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_internal_redirect_too() {
    let up = Upstream::echo().await;
    let conf = format!(
        "<Directory \"${{ROOT}}/htdocs\">\nRewriteEngine On\nRewriteRule ^old$ /ws/new [L]\n\
         </Directory>\n{}",
        ws("/ws", &up.url())
    );
    let httpd = Httpd::with(conf).tls().start().await;
    for round in 1..=3 {
        for (how, client) in httpd.clients() {
            let mut ws = client.upgrade("/old").await;
            ws.echo(how).await;
            assert_eq!(up.last().await.target(), "/ws/new");
            ws.leave().await;
            let mut other = client.upgrade("/ws/direct").await;
            other.echo(how).await;
            other.leave().await;
        }
        assert_eq!(httpd.sessions_logged(round * 6).await.len(), round * 6);
    }
}
