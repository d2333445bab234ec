//! However many ask for a key at once, its resolver is asked once; and nobody waits for another
//! key than his own.

use crate::harness::http_server::{HttpServer, Then, answer};
use crate::harness::*;
use crate::never_the_wrong_container::start_with_one_child;
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Answers after a while: `slow` after 2 s, `bad` with 500, everything else is at `target`.
fn application(target: SocketAddr) -> HttpServer {
    HttpServer::tcp(move |request, write| {
        std::thread::sleep(ms(if request.target == "/slow" { 2_000 } else { 200 }));
        let status = if request.target == "/bad" { "500 No" } else { "200 OK" };
        write.write_all(&answer(status, "", &target.to_string())).map(|()| Then::Keep)
    })
}

async fn start(api: &HttpServer) -> Httpd {
    let conf = format!(
        "WsRouteResolver desktops http http://{}/{{key}} ttl=1min timeout=5s\n",
        api.address()
    ) + &location("/ws", "WsRoute desktops\nWsRouteKey query:k");
    start_with_one_child(Httpd::with(conf)).await
}

fn can_ask_at_once() -> bool {
    let can = Mpm::of_this_run() != Mpm::Prefork;
    if !can {
        println!("nothing to do on Prefork: a process asks one question at a time");
    }
    can
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_ask_once() {
    if !can_ask_at_once() {
        return;
    }
    const ASKERS: usize = 300;
    let up = Upstream::echo().await;
    let api = application(up.address);
    let httpd = start(&api).await;
    let client = httpd.client();
    let asked = Instant::now();
    let sessions = join_all((0..ASKERS).map(|_| client.upgrade("/ws?k=alice"))).await;
    println!("{ASKERS} sessions after {:?}", asked.elapsed());
    assert_eq!(sessions.len(), ASKERS);
    let targets: Vec<_> = api.received().into_iter().map(|r| r.target).collect();
    assert_eq!(targets, ["/alice"]);
    for mut ws in sessions {
        ws.echo("in").await;
    }
    assert_eq!(up.connections(), ASKERS);
}

/// A failure is shared, too: a hundred askers are no storm on an application that is in trouble.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_everybodys() {
    if !can_ask_at_once() {
        return;
    }
    let up = Upstream::echo().await;
    let api = application(up.address);
    let httpd = start(&api).await;
    let client = httpd.client();
    join_all((0..100).map(|_| client.refused("/ws?k=bad", 502))).await;
    // Who comes when the answer is already there asks again: a busy machine may be that slow.
    let asked = api.received().len();
    assert!(asked <= 5, "asked {asked} times");
    httpd.log().expect("resolver-failed").await;
    assert_eq!(up.connections(), 0);
}

/// The first asker leaves in the middle; the others are served all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_takes_nobody_along() {
    if !can_ask_at_once() {
        return;
    }
    let up = Upstream::echo().await;
    let api = application(up.address);
    let httpd = start(&api).await;
    let client = httpd.client();
    for _ in 0..10 {
        let mut io = client.connect().await;
        let (head, _) = client.upgrade_head("/ws?k=slow");
        tokio::io::AsyncWriteExt::write_all(&mut io, head.as_bytes()).await.expect("writing");
        tokio::time::sleep(ms(20)).await;
        io.reset();
    }
    let asked = Instant::now();
    client.upgrade("/ws?k=slow").await.echo("served").await;
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_slow_key() {
    if !can_ask_at_once() {
        return;
    }
    let up = Upstream::echo().await;
    let api = application(up.address);
    let httpd = start(&api).await;
    let client = httpd.client();
    let slow: Vec<_> = (0..30)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.upgrade("/ws?k=slow").await.echo("at last").await })
        })
        .collect();
    eventually(SOON, "the slow question", || !api.received().is_empty()).await;
    let asked = Instant::now();
    let others = join_all((0..20).map(|i| {
        let (client, path) = (&client, format!("/ws?k=k{i}"));
        async move { client.upgrade(&path).await.echo("at once").await }
    }));
    others.await;
    assert!(asked.elapsed() < ms(1_500), "{:?}", asked.elapsed());
    assert!(slow.iter().all(|session| !session.is_finished()), "the slow key was not slow");
    for session in slow {
        session.await.expect("101");
    }
    let asked = api.received().iter().filter(|r| r.target == "/slow").count();
    assert_eq!((asked, api.received().len()), (1, 21));
}
