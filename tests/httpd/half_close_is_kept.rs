//! One side has said all; the other has not.

use crate::harness::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn the_client_ends_and_still_hears_the_upstream() {
    let up = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        let mut heard = std::mem::take(&mut conn.ws.buffer);
        conn.ws.io.read_to_end(&mut heard).await.expect("a FIN, no reset");
        // The client is done: now it gets to hear what it said, and more.
        tokio::time::sleep(ms(200)).await;
        conn.ws.send(BINARY, &heard).await;
        conn.ws.send(BINARY, &[3; 500_000]).await;
        conn.ws.close(1000, "done").await;
        let _ = conn.ws.io.shutdown().await;
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let mut ws = httpd.client().upgrade("/ws").await;
    let said = frame(TEXT, true, true, b"my last words");
    ws.raw(&said).await;
    ws.fin().await;
    assert!(ws.frame().await.data == said, "the last words");
    assert_eq!(ws.frame().await.data.len(), 500_000);
    ws.expect_close(1000).await;
    ws.expect_end().await;
    httpd.log().expect(words::SESSION_ENDED).await;
}

/// An upstream that says something, maybe Close, ends, and reports what it still hears.
async fn ended(close: bool) -> (Upstream, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (tell, told) = mpsc::unbounded_channel();
    let up = Upstream::serve(move |mut conn| {
        let tell = tell.clone();
        async move {
            conn.accept().await;
            conn.ws.send(TEXT, b"I leave").await;
            if close {
                conn.ws.close(4001, "no more").await;
            }
            let _ = conn.ws.io.shutdown().await;
            let mut heard = std::mem::take(&mut conn.ws.buffer);
            let _ = conn.ws.io.read_to_end(&mut heard).await;
            let _ = tell.send(heard);
        }
    })
    .await;
    (up, told)
}

async fn upstream_still_hears(
    httpd: &Httpd,
    close: bool,
    told: &mut mpsc::UnboundedReceiver<Vec<u8>>,
) {
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        assert_eq!(ws.frame().await.text(), "I leave", "{how}");
        ws.expect_close(if close { 4001 } else { 1011 }).await;
        let mut said = frame(BINARY, true, true, &[5; 100_000]);
        said.extend(frame(CLOSE, true, true, &1000u16.to_be_bytes()));
        ws.raw(&said).await;
        // A browser leaves now; a client over TLS says close_notify first.
        ws.fin().await;
        let heard = within(SOON, "the upstream's report", told.recv()).await.expect("a report");
        assert!(heard == said, "{how}: {} of {} bytes", heard.len(), said.len());
        ws.expect_end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_ends_and_still_hears_the_client() {
    for close in [true, false] {
        let (up, mut told) = ended(close).await;
        let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
        upstream_still_hears(&httpd, close, &mut told).await;
        up.until_open(0, Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_upstream_ends_and_still_hears_the_client() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let up = Upstream::serve_tls(&Pki::get().self_signed, move |mut conn| {
        let tell = tell.clone();
        async move {
            conn.accept().await;
            conn.ws.send(TEXT, b"I leave").await;
            conn.ws.close(4001, "no more").await;
            let _ = conn.ws.io.shutdown().await;
            let mut heard = std::mem::take(&mut conn.ws.buffer);
            let _ = conn.ws.io.read_to_end(&mut heard).await;
            let _ = tell.send(heard);
        }
    })
    .await;
    let lines = format!("WsRoute \"{}\"\nWsRouteUpstream verify=off", up.url());
    let httpd = Httpd::with(location("/ws", &lines)).tls().start().await;
    upstream_still_hears(&httpd, true, &mut told).await;
}
