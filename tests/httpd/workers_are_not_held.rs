//! On event a session costs no worker thread, over plaintext and TLS.

use crate::harness::*;
use crate::stop_sends_going_away::sessions;
use std::time::{Duration, Instant};

/// Few threads, and room for many connections.
pub const TEN_THREADS: &str = "StartServers 1\nServerLimit 16\nThreadsPerChild 5\nMaxRequestWorkers 10\n\
     MinSpareThreads 1\nMaxSpareThreads 10\nAsyncRequestWorkerFactor 300";

/// Plain HTTP is served at once.
pub async fn http_is_served(httpd: &Httpd, limit: Duration) {
    for (how, client) in httpd.clients() {
        let asked = Instant::now();
        for _ in 0..30 {
            assert_eq!(client.get("/index.html").await.status, 200, "{how}");
        }
        assert!(asked.elapsed() < limit, "{how}: {:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_sessions_and_ten_threads() {
    if !Mpm::is_event_or_say("worker and prefork park a thread or process for each session") {
        return;
    }
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().limits(TEN_THREADS).start().await;
    // Ten threads are few, and the module may well say so at start.
    httpd.log().allow("AsyncRequestWorkerFactor");
    let mut all = sessions(&httpd, 100, "/ws").await;
    http_is_served(&httpd, Duration::from_secs(5)).await;
    // The page itself takes one; a worker may not have let go of the page before yet.
    let mut busy = String::new();
    for _ in 0..20 {
        busy = httpd.status().await.get("BusyWorkers").cloned().unwrap_or_default();
        if busy == "1" {
            break;
        }
        tokio::time::sleep(ms(100)).await;
    }
    assert_eq!(busy, "1", "busy workers");
    for ws in &mut all {
        ws.echo("alive").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_handshakes_under_way_and_ten_threads() {
    if !Mpm::is_event_or_say("worker and prefork hold a thread or process for each handshake") {
        return;
    }
    let up = Upstream::silent().await;
    let conf =
        ws("/ws", &up.url()) + "WsRouteTimeout handshake=4s\nErrorDocument 504 /index.html\n";
    let httpd = Httpd::with(conf).tls().limits(TEN_THREADS).start().await;
    httpd.log().allow("AsyncRequestWorkerFactor");
    let mut asking = Vec::new();
    for (_, client) in httpd.clients() {
        for _ in 0..40 {
            let client = client.clone();
            asking.push(tokio::spawn(async move { client.refused("/ws", 504).await }));
        }
    }
    let all = asking.len();
    up.until_open(all, SOON).await;
    http_is_served(&httpd, Duration::from_secs(3)).await;
    for refused in asking {
        refused.await.expect("504, and the error document");
    }
    httpd.log().expect_count(all, words::LATE).await;
    up.until_open(0, SOON).await;
}
