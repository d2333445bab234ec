//! `stop` and `restart`: everybody gets Close 1001, and every session its line in the access log.

use crate::harness::*;
use rustix::process::Signal;
use std::time::Duration;

const SESSIONS: usize = 50;

/// Sessions over plaintext and TLS by turns, each of them heard.
pub async fn sessions(httpd: &Httpd, n: usize, path: &str) -> Vec<Ws> {
    let clients = [httpd.client(), httpd.tls_client(Tls::V13), httpd.tls_client(Tls::V12)];
    let mut all = Vec::new();
    for i in 0..n {
        let mut ws = clients[i % 3].upgrade(path).await;
        ws.echo("in").await;
        all.push(ws);
    }
    all
}

async fn everybody_gets(code: u16, all: Vec<Ws>, limit: Duration) {
    let until = std::time::Instant::now() + limit;
    for (i, mut ws) in all.into_iter().enumerate() {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let what = format!("Close at session {i}");
        within(left, &what, ws.expect_close(code)).await;
        ws.expect_end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop() {
    let up = Upstream::echo().await;
    let mut httpd = Httpd::with(ws("/ws", &up.url())).tls().room_for(SESSIONS).start().await;
    let all = sessions(&httpd, SESSIONS, "/ws").await;
    httpd.signal(Signal::TERM);
    everybody_gets(1001, all, SOON).await;
    let status = httpd.until_exit(Duration::from_secs(8)).await;
    assert!(status.success(), "{status}");
    assert_eq!(httpd.sessions_logged(SESSIONS).await.len(), SESSIONS);
    httpd.log().expect_count(SESSIONS, words::SESSION_ENDED).await;
    up.until_open(0, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().room_for(SESSIONS).start().await;
    let all = sessions(&httpd, SESSIONS, "/ws").await;
    httpd.signal(Signal::HUP);
    everybody_gets(1001, all, SOON).await;
    httpd.until_started(2).await;
    assert_eq!(httpd.sessions_logged(SESSIONS).await.len(), SESSIONS);
    sessions(&httpd, 3, "/ws").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_listen_does_not_delay_it() {
    let up = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        let _ = patterned(5, 64 << 20, false).pour(&mut conn.ws.io).await;
    })
    .await;
    let mut httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    let mut deaf = Vec::new();
    for (_, client) in httpd.clients() {
        deaf.push(client.small_buffer().upgrade("/ws").await);
    }
    tokio::time::sleep(ms(700)).await;
    httpd.signal(Signal::TERM);
    let status = httpd.until_exit(Duration::from_secs(9)).await;
    assert!(status.success(), "{status}");
    assert_eq!(httpd.sessions_logged(3).await.len(), 3);
}
