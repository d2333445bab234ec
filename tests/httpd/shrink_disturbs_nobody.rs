//! httpd ends children that look idle; those with sessions live on, and so do the sessions.

use crate::harness::*;
use crate::stop_sends_going_away::sessions;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_the_shrink() {
    if !Mpm::is_event_or_say("only event takes a child full of sessions for an idle one") {
        return;
    }
    let up = Upstream::echo().await;
    let conf = ws("/ws", &up.url()) + "WsRouteTimeout drain=1s\n";
    let limits = "StartServers 4\nServerLimit 16\nThreadsPerChild 5\nMinSpareThreads 5\n\
                  MaxSpareThreads 10\nMaxRequestWorkers 40\nAsyncRequestWorkerFactor 300";
    let httpd = Httpd::with(conf).tls().limits(limits).start().await;
    let mut all = sessions(&httpd, 30, "/ws").await;
    let begun = Instant::now();
    let mut stopping = 0;
    while begun.elapsed() < Duration::from_secs(6) {
        for ws in &mut all {
            ws.echo("alive").await;
        }
        let now = httpd.status().await.get("Stopping").map_or(0, |n| n.parse().unwrap_or(0));
        stopping = stopping.max(now);
        tokio::time::sleep(ms(250)).await;
    }
    assert!(stopping > 0, "httpd ended no child: this test shows nothing");
    assert_eq!(httpd.sessions_logged(0).await.len(), 0, "a session ended");
    for ws in all {
        ws.leave().await;
    }
    assert_eq!(httpd.sessions_logged(30).await.len(), 30);
}
