//! `graceful-stop`: sessions get their drain time, then Close 1001, and httpd ends cleanly.

use crate::harness::*;
use crate::stop_sends_going_away::sessions;
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn drains_and_leaves() {
    let up = Upstream::echo().await;
    let conf = ws("/ws", &up.url()) + "WsRouteTimeout drain=1s\n";
    stops(conf, ms(800), Duration::from_secs(4), &up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_faster_than_httpds_own_deadline() {
    // The default drain= is 30 s: the deadline of 5 s comes first.
    let up = Upstream::echo().await;
    stops(ws("/ws", &up.url()), ms(500), Duration::from_secs(6), &up).await;
}

async fn stops(conf: String, earliest: Duration, latest: Duration, up: &Upstream) {
    let mut httpd =
        Httpd::with(conf).tls().global("GracefulShutdownTimeout 5").room_for(9).start().await;
    let mut all = sessions(&httpd, 9, "/ws").await;
    let asked = Instant::now();
    httpd.signal(Signal::WINCH);
    tokio::time::sleep(ms(300)).await;
    for ws in &mut all {
        ws.echo("alive").await;
    }
    for mut ws in all {
        within(SOON, "Close", ws.expect_close(1001)).await;
        let took = asked.elapsed();
        assert!(took > earliest && took < latest, "Close after {took:?}");
        ws.expect_end().await;
    }
    let status = httpd.until_exit(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    assert_eq!(httpd.sessions_logged(9).await.len(), 9);
    up.until_open(0, SOON).await;
}
