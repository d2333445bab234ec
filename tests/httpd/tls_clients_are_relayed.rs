//! Over plaintext, TLS 1.2 and TLS 1.3: every message arrives as it was sent.

use crate::harness::*;
use std::net::SocketAddr;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_size() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        for n in [0, 1, 125, 126, 127, 4_096, 16_384, 16_385, 65_535, 65_536, 131_072, 1 << 20] {
            let data: Vec<u8> = (0..n).map(|i| (i * 7 + i / 251) as u8).collect();
            ws.send(BINARY, &data).await;
            let frame = ws.frame().await;
            assert_eq!(frame.op, BINARY, "{how} {n}");
            assert!(frame.data == data, "{how}: {n} bytes came back otherwise");
        }
        ws.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_modules_filter_sees_every_byte() {
    const BYTES: usize = 100_000;
    let up = Upstream::echo().await;
    let (alone, among_filters) =
        ("by mod_ssl's session itself", "by httpd's filters, as \"dumpio_in\"");
    for (extra, way) in [("", alone), ("DumpIOInput On\nDumpIOOutput On\n", among_filters)] {
        let lines = "LogLevel wsroute:debug dumpio:trace7\n".to_owned() + extra;
        let setup = Httpd::with(lines + &ws("/ws", &up.url())).module("dumpio");
        let httpd = setup.tls().start().await;
        let [_, tls @ ..] = httpd.clients();
        for (how, client) in tls {
            let mut ws = client.upgrade("/ws").await;
            ws.send(BINARY, &[b'z'; BYTES]).await;
            assert_eq!(ws.frame().await.data.len(), BYTES, "{how}");
            ws.leave().await;
        }
        let ways = httpd.log().count("client-tls: ");
        assert_eq!((ways, httpd.log().count(way)), (2, 2), "{way}");
        assert_eq!(httpd.log().count("stays in memory"), 0, "{way}");
        for line in httpd.sessions_logged(2).await {
            assert!(line.received > BYTES as u64, "{way}: {line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_and_pings_keep_their_order() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    let frames: &[(u8, bool, &[u8])] = &[
        (TEXT, false, b"frag-"),
        (CONTINUATION, false, b""),
        (PING, true, b"ping in between"),
        (CONTINUATION, false, b"ment"),
        (CONTINUATION, true, b""),
        (BINARY, true, b""),
        (PING, true, b""),
        (PONG, true, b"nobody asked"),
        (BINARY, false, &[b'z'; 70_000]),
        (CONTINUATION, true, b"end"),
    ];
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        for (op, fin, data) in frames {
            ws.raw(&frame(*op, *fin, true, data)).await;
        }
        for (op, fin, data) in frames {
            let got = ws.frame().await;
            let op = if *op == PING { PONG } else { *op };
            assert_eq!((got.op, got.fin, got.rsv), (op, *fin, 0), "{how}");
            assert!(got.data == *data, "{how}");
        }
        ws.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_is_relayed_as_well() {
    // Not ours to judge: the bytes that came are the bytes that go.
    let up = Upstream::bytes().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        let part = bytes.len() / 7;
        for piece in bytes.chunks(part) {
            ws.raw(piece).await;
        }
        let back = within(SOON, "the bytes", ws.exactly(bytes.len())).await;
        assert!(back.expect("all of them") == bytes, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_over_tls() {
    let up = Upstream::echo_tls().await;
    let lines = format!("WsRoute \"{}\"\nWsRouteUpstream verify=off", up.url());
    let httpd = Httpd::with(location("/ws", &lines)).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        ws.echo(how).await;
        ws.send(BINARY, &[7; 300_000]).await;
        assert_eq!(ws.frame().await.data.len(), 300_000, "{how}");
        ws.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_sees_nothing_strange() {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let io = client.connect().await;
        let port = io.tcp().peer_addr().as_ref().map_or(0, SocketAddr::port);
        let url = format!("ws://localhost:{port}/ws");
        let (ws, _) = tokio_tungstenite::client_async(url, io).await.expect("an upgrade");
        let (mut sink, mut stream) = futures_util::StreamExt::split(ws);
        for message in [Message::text("grüß"), Message::binary(vec![9u8; 200_000])] {
            futures_util::SinkExt::send(&mut sink, message.clone()).await.expect("sent");
            let next = within(SOON, how, futures_util::StreamExt::next(&mut stream)).await;
            assert_eq!(next.expect("a message").expect("a right one"), message, "{how}");
        }
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
        let close = Message::Close(Some(goodbye.clone()));
        futures_util::SinkExt::send(&mut sink, close).await.expect("sent");
        let next = within(SOON, how, futures_util::StreamExt::next(&mut stream)).await;
        assert_eq!(next.expect("Close").expect("right"), Message::Close(Some(goodbye)), "{how}");
        let end = within(SOON, how, futures_util::StreamExt::next(&mut stream)).await;
        assert!(end.is_none(), "{how}: {end:?}");
    }
}
