//! Who does not read stops the one who writes; httpd does not grow, and nothing is lost.

use crate::harness::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};

/// More than all the sockets' buffers on the way can hold.
const LONG: usize = 64 << 20;
const GROWTH: usize = 12 << 20;
const PATIENCE: Duration = Duration::from_millis(1_000);

fn assert_bounded(httpd: &Httpd, before: usize, what: &str) {
    let now = httpd.memory();
    let growth = now.saturating_sub(before) >> 10;
    assert!(now < before + GROWTH, "{what}: httpd grew by {growth} KB while it was stalled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_does_not_read() {
    let go = Arc::new(Notify::new());
    let (tell, mut told) = mpsc::unbounded_channel();
    let may_go = go.clone();
    let up = Upstream::serve(move |mut conn| {
        let (go, tell) = (may_go.clone(), tell.clone());
        async move {
            conn.accept().await;
            go.notified().await;
            let mut checked = Checked::new(patterned(11, LONG, true));
            checked.take(&conn.ws.buffer);
            checked.drink(&mut conn.ws.io).await;
            let _ = tell.send(checked.received);
        }
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        let before = httpd.memory();
        let mut stream = patterned(11, LONG, true);
        stream.pour_until_stalled(&mut ws.io, PATIENCE).await;
        assert_bounded(&httpd, before, how);
        go.notify_one();
        within(SOON * 3, "the rest", stream.pour(&mut ws.io)).await.expect("written");
        let all = within(SOON * 3, "everything upstream", told.recv()).await;
        assert!(all.is_some_and(|n| n > LONG), "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_does_not_read() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let up = Upstream::serve(move |mut conn| {
        let tell = tell.clone();
        async move {
            conn.accept().await;
            let mut stream = patterned(12, LONG, false);
            let taken = stream.pour_until_stalled(&mut conn.ws.io, PATIENCE).await;
            let _ = tell.send(taken);
            stream.pour(&mut conn.ws.io).await.expect("the rest");
            drain(conn).await;
        }
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let before = httpd.memory();
        let mut ws = client.small_buffer().upgrade("/ws").await;
        let taken = within(SOON * 2, "a stall", told.recv()).await.expect("a report");
        assert!(taken < LONG, "{how}");
        assert_bounded(&httpd, before, how);
        let mut checked = Checked::new(patterned(12, LONG, false));
        checked.take(&ws.buffer);
        within(SOON * 3, "the rest", checked.drink(&mut ws.io)).await;
    }
}

/// A KeyUpdate that asks for one back makes TLS write although nobody sends anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_that_asks_for_new_keys_blocks_nobody() {
    let up = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        if conn.seen.target() == "/ws?flood" {
            let _ = patterned(13, LONG, false).pour(&mut conn.ws.io).await;
            return drain(conn).await;
        }
        while let Some(f) = conn.ws.next().await {
            conn.ws.send(f.op, &f.data).await;
        }
    })
    .await;
    // One tokio thread: if it is blocked, everybody notices.
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().global("WsRouteThreads 1").start().await;
    let client = httpd.tls_client(Tls::V13);
    let mut other = httpd.client().upgrade("/ws").await;
    let before = httpd.memory();
    let mut stalled = client.small_buffer().upgrade("/ws?flood").await;
    tokio::time::sleep(ms(500)).await;
    let mut slowest = Duration::ZERO;
    // rustls takes at most 32 answers in a row, and this client does not read any.
    for _ in 0..30 {
        stalled.io.update_keys();
        // A frame of one byte, so that the KeyUpdate travels.
        let byte = frame(BINARY, true, true, b"x");
        let _ = tokio::time::timeout(ms(20), stalled.try_raw(&byte)).await;
        let asked = std::time::Instant::now();
        other.echo("are you there?").await;
        slowest = slowest.max(asked.elapsed());
        // The stall lasts three seconds in all.
        tokio::time::sleep(ms(90)).await;
    }
    println!("the slowest echo of another session during the stall: {slowest:?}");
    assert!(slowest < ms(700), "another session waited {slowest:?}");
    assert_bounded(&httpd, before, "KeyUpdates");
    let mut checked = Checked::new(patterned(13, LONG, false));
    checked.take(&stalled.buffer);
    within(SOON * 3, "everything, under many keys", checked.drink(&mut stalled.io)).await;
}

/// Each one is 27 bytes, and its answer as long: who reads none of them must not have all of them made.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_new_keys_fills_no_memory_and_stops_nobody() {
    const STORM: usize = 2_000_000;
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().global("WsRouteThreads 1").start().await;
    let mut other = httpd.client().upgrade("/ws").await;
    let mut stalled = httpd.tls_client(Tls::V13).small_buffer().upgrade("/ws").await;
    let before = httpd.memory();
    let storm = tokio::spawn(async move {
        let mut sent = 0;
        while sent < STORM {
            (0..100).for_each(|_| stalled.io.update_keys());
            if tokio::time::timeout(PATIENCE, stalled.io.flush()).await.is_err() {
                break;
            }
            sent += 100;
        }
        (stalled, sent)
    });
    while !storm.is_finished() {
        other.echo("are you there?").await;
        tokio::time::sleep(ms(10)).await;
    }
    assert_bounded(&httpd, before, "KeyUpdates");
    let (_stalled, sent) = storm.await.expect("no panic");
    assert!(sent < STORM, "it is still read, with all its answers in memory");
}
