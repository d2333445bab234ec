//! An upstream that is not there, is late, or talks nonsense.

use crate::harness::*;
use std::time::{Duration, Instant};

/// A port on which nobody listens.
fn nowhere() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its number").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    let httpd = Httpd::with(ws("/ws", &format!("ws://{}", nowhere()))).tls().start().await;
    for (how, client) in httpd.clients() {
        let asked = Instant::now();
        client.refused("/ws", 502).await;
        assert!(asked.elapsed() < Duration::from_secs(3), "{how}: {:?}", asked.elapsed());
    }
    httpd.log().expect_count(3, words::REFUSED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back() {
    let up = Upstream::echo().await;
    let routes = |up: &Upstream| format!("x {}\n", up.address);
    let conf = "WsRouteResolver desktops file \"${ROOT}/routes\" ttl=0 negative=0\n".to_owned()
        + &location("/ws", "WsRoute desktops\nWsRouteKey query:k");
    let httpd = Httpd::with(conf).file("routes", routes(&up)).start().await;
    httpd.client().upgrade("/ws?k=x").await.leave().await;
    let address = up.end().await;
    httpd.client().refused("/ws?k=x", 502).await;
    let up = Upstream::echo_at(address).await;
    httpd.client().upgrade("/ws?k=x").await.echo("no sulking").await;
    httpd.log().expect(words::REFUSED).await;
    drop(up);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_silent() {
    let up = Upstream::silent().await;
    let conf = ws("/ws", &up.url()) + "WsRouteTimeout handshake=1s\n";
    let httpd = Httpd::with(conf).tls().start().await;
    for (how, client) in httpd.clients() {
        let asked = Instant::now();
        client.refused("/ws", 504).await;
        let took = asked.elapsed();
        assert!(took > ms(900) && took < ms(4_000), "{how}: {took:?}");
    }
    httpd.log().expect(words::LATE).await;
    up.until_open(0, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_the_middle_of_its_head() {
    let up = Upstream::serve(|mut conn| async move {
        let _ = conn.ws.try_raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso").await;
        drain(conn).await;
    })
    .await;
    let conf = ws("/ws", &up.url()) + "WsRouteTimeout handshake=500ms\n";
    let httpd = Httpd::with(conf).start().await;
    let asked = Instant::now();
    httpd.client().refused("/ws", 504).await;
    assert!(asked.elapsed() < ms(3_500), "{:?}", asked.elapsed());
    httpd.log().expect(words::LATE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_answer_is_broken() {
    let accept = "Sec-WebSocket-Accept: ACCEPT\r\n";
    let (up, conn) = ("Upgrade: websocket\r\n", "Connection: Upgrade\r\n");
    let first = "HTTP/1.1 101 Switching Protocols\r\n";
    let protocol = "Sec-WebSocket-Protocol: chat\r\n";
    let wrong = "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n";
    let table = [
        ("a wrong accept", format!("{first}{up}{conn}{wrong}\r\n")),
        ("no accept", format!("{first}{up}{conn}\r\n")),
        ("no Upgrade", format!("{first}{conn}{accept}\r\n")),
        ("another Upgrade", format!("{first}Upgrade: h2c\r\n{conn}{accept}\r\n")),
        ("no Connection", format!("{first}{up}{accept}\r\n")),
        ("a subprotocol nobody offered", format!("{first}{up}{conn}{accept}{protocol}\r\n")),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".into()),
        ("garbage", "\u{1}\u{2}\u{3} nonsense\r\n\r\n".into()),
        ("half a head", format!("{first}Upgrade: webso")),
        ("nothing at all", String::new()),
    ];
    for (what, answer) in table {
        let up = Upstream::serve(move |mut conn| {
            let accept = accept_of(conn.seen.header("Sec-WebSocket-Key"));
            let answer = answer.replace("ACCEPT", &accept);
            async move {
                let _ = conn.ws.try_raw(answer.as_bytes()).await;
                if answer.len() < 200 {
                    return;
                }
                drain(conn).await;
            }
        })
        .await;
        let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
        let asked = Instant::now();
        match httpd.client().ask("/ws").await {
            Answer::Refused(r, _) => assert_eq!(r.status, 502, "{what}"),
            Answer::Upgraded(..) => panic!("{what}: 101"),
        }
        assert!(asked.elapsed() < Duration::from_secs(3), "{what}: {:?}", asked.elapsed());
        httpd.log().expect(words::BROKEN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_resets_at_once() {
    let up = Upstream::serve(|conn| async move { conn.ws.io.reset() }).await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    httpd.client().refused("/ws", 502).await;
    httpd.log().expect(words::BROKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_101_may_trickle_in() {
    let up = Upstream::serve(|mut conn| async move {
        let head = conn.switching() + "\r\n";
        for byte in head.as_bytes().chunks(1) {
            conn.ws.raw(byte).await;
            tokio::task::yield_now().await;
        }
        conn.ws.send(TEXT, b"all of it").await;
        drain(conn).await;
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        assert_eq!(client.upgrade("/ws").await.frame().await.text(), "all of it", "{how}");
    }
}
