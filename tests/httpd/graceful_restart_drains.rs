//! `graceful`: sessions live on for `drain=`, new ones are served by the new generation.

use crate::harness::*;
use crate::stop_sends_going_away::sessions;
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn old_sessions_end_with_1012_after_their_time() {
    let up = Upstream::echo().await;
    let conf = ws("/ws", &up.url()) + "WsRouteTimeout drain=2s\n";
    let httpd = Httpd::with(conf).tls().room_for(20).start().await;
    let mut old = sessions(&httpd, 9, "/ws").await;
    let before = httpd.children();
    let asked = Instant::now();
    httpd.signal(Signal::USR1);
    httpd.until_started(2).await;
    // The old children hear of it a moment later: until then they may still accept.
    tokio::time::sleep(ms(300)).await;
    let mut new = sessions(&httpd, 6, "/ws").await;
    assert_eq!(httpd.client().get("/index.html").await.status, 200);
    while asked.elapsed() < ms(1_500) {
        for ws in old.iter_mut().chain(&mut new) {
            ws.echo("alive").await;
        }
        tokio::time::sleep(ms(100)).await;
    }
    for ws in &mut old {
        within(Duration::from_secs(5), "Close 1012", ws.expect_close(1012)).await;
        assert!(asked.elapsed() >= ms(1_900), "after {:?}", asked.elapsed());
        ws.expect_end().await;
    }
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    assert_eq!(httpd.sessions_logged(9).await.len(), 9);
    for ws in &mut new {
        ws.echo("not concerned").await;
    }
    let gone = || httpd.children().iter().all(|pid| !before.contains(pid));
    eventually(SOON, "the old children are gone", gone).await;
    for ws in &mut new {
        ws.echo("still not concerned").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_after_the_other_loses_nobody() {
    const ROUNDS: usize = 5;
    let up = Upstream::echo().await;
    let conf = ws("/ws", &up.url()) + "WsRouteTimeout drain=20s\n";
    let httpd = Httpd::with(conf).tls().room_for(40).start().await;
    let mut all = Vec::new();
    for round in 1..=ROUNDS {
        all.extend(sessions(&httpd, 6, "/ws").await);
        httpd.signal(Signal::USR1);
        httpd.until_started(round + 1).await;
        for ws in &mut all {
            ws.echo("alive").await;
        }
    }
    for ws in all {
        ws.leave().await;
    }
    assert_eq!(httpd.sessions_logged(6 * ROUNDS).await.len(), 6 * ROUNDS);
}
