//! A panic in the module is caught: one request fails, all sessions go on. Needs a module built
//! with the feature "panic-test", where the header X-WsRoute-Panic makes an entry point panic.

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn and_no_session() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    httpd.allow_output("panicked");
    let mut others = Vec::new();
    for (_, client) in httpd.clients() {
        others.push(client.upgrade("/ws").await);
    }
    let children = httpd.children();
    for _ in 0..3 {
        httpd.client().header("X-WsRoute-Panic", "handler").refused("/ws", 500).await;
    }
    let line = httpd.log().expect(words::PANIC).await;
    assert_eq!(line.level, "crit");
    for ws in &mut others {
        ws.echo("alive").await;
    }
    assert!(children.iter().all(|c| httpd.children().contains(c)), "a child died");
    httpd.client().upgrade("/ws").await.echo("as before").await;
}
