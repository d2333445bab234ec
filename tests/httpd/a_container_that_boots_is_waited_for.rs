//! `WsRouteTimeout boot=`: a container that is not up yet is asked again until it is.

use crate::harness::*;
use crate::workers_are_not_held::TEN_THREADS;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A port on which nobody listens, yet.
fn nowhere() -> SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its number")
}

const RESOLVER: &str =
    "WsRouteResolver desktops file \"${ROOT}/routes\" ttl=500ms negative=200ms\n";

fn desktops(boot: &str) -> String {
    let route = "WsRoute desktops\nWsRouteKey query:k\nWsRouteTimeout boot=";
    RESOLVER.to_owned() + &location("/ws", &format!("{route}{boot}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn until_somebody_listens() {
    let address = nowhere();
    let conf = ws("/ws", &format!("ws://{address}")) + "WsRouteTimeout boot=20s\n";
    let httpd = Httpd::with(conf).tls().start().await;
    let clients = httpd.clients();
    let asking = clients.into_iter().map(|(how, client)| async move {
        client.upgrade("/ws").await.echo(how).await;
    });
    let boots = async {
        tokio::time::sleep(ms(1_500)).await;
        Upstream::echo_at(address).await
    };
    futures_util::future::join(futures_util::future::join_all(asking), boots).await;
    httpd.log().expect("trying again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn until_its_row_says_running_and_where() {
    let up = Upstream::echo().await;
    let httpd =
        Httpd::with(desktops("20s")).file("routes", "x 127.0.0.1:9 state=creating\n").start().await;
    let client = httpd.client();
    let asking = tokio::spawn(async move { client.upgrade("/ws?k=x").await.echo("up").await });
    tokio::time::sleep(ms(1_000)).await;
    assert!(!asking.is_finished());
    std::fs::write(httpd.root().join("routes"), format!("x {}\n", up.address)).expect("the file");
    asking.await.expect("101");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_come_up_elsewhere() {
    let up = Upstream::echo().await;
    let routes = format!("x {}\n", nowhere());
    let httpd = Httpd::with(desktops("20s")).file("routes", routes).start().await;
    let client = httpd.client();
    let asking = tokio::spawn(async move { client.upgrade("/ws?k=x").await.echo("up").await });
    tokio::time::sleep(ms(700)).await;
    std::fs::write(httpd.root().join("routes"), format!("x {}\n", up.address)).expect("the file");
    asking.await.expect("101");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_last_503() {
    let table =
        [("x", format!("x {}\n", nowhere())), ("y", "y 127.0.0.1:9 state=creating\n".into())];
    for (key, routes) in table {
        let httpd = Httpd::with(desktops("1s")).file("routes", routes).tls().start().await;
        for (how, client) in httpd.clients() {
            let asked = Instant::now();
            let answer = client.refused(&format!("/ws?k={key}"), 503).await;
            let took = asked.elapsed();
            assert!(took > ms(900) && took < ms(4_000), "{how}: {took:?}");
            assert!(!answer.header("Retry-After").is_empty(), "{how}");
        }
        httpd.log().expect("starting: ").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_nobody_waits() {
    let httpd = Httpd::with(ws("/ws", &format!("ws://{}", nowhere()))).start().await;
    let asked = Instant::now();
    httpd.client().refused("/ws", 502).await;
    assert!(asked.elapsed() < ms(900), "{:?}", asked.elapsed());
    httpd.log().expect(words::REFUSED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_takes_no_thread_from_others() {
    if !Mpm::is_event_or_say("worker and prefork hold a thread or process for each handshake") {
        return;
    }
    let address = nowhere();
    let conf = ws("/ws", &format!("ws://{address}")) + "WsRouteTimeout boot=30s\n";
    let httpd = Httpd::with(conf).limits(TEN_THREADS).start().await;
    httpd.log().allow("AsyncRequestWorkerFactor");
    let waiting: Vec<_> = (0..60)
        .map(|_| {
            let client = httpd.client();
            tokio::spawn(async move { client.upgrade("/ws").await.echo("up").await })
        })
        .collect();
    tokio::time::sleep(ms(1_000)).await;
    let asked = Instant::now();
    for _ in 0..30 {
        assert_eq!(httpd.client().get("/index.html").await.status, 200);
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let up = Upstream::echo_at(address).await;
    for session in waiting {
        session.await.expect("101");
    }
    drop(up);
}
