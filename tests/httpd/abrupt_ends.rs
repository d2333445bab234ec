//! Either side vanishes: the other one hears of it, soon and in the right words.

use crate::harness::*;
use std::time::Duration;

const THREE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn the_client_resets() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (n, (how, client)) in httpd.clients().into_iter().enumerate() {
        let mut ws = client.upgrade("/ws").await;
        ws.echo(how).await;
        ws.io.reset();
        up.until_open(0, THREE).await;
        httpd.sessions_logged(n + 1).await;
    }
    httpd.log().expect_count(3, words::SESSION_ENDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_resets_and_the_upstream_does_not_care() {
    let up = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (n, (_, client)) in httpd.clients().into_iter().enumerate() {
        let ws = client.upgrade("/ws").await;
        ws.io.reset();
        httpd.sessions_logged(n + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_leaves_without_a_word() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (n, (how, client)) in httpd.clients().into_iter().enumerate() {
        let mut ws = client.upgrade("/ws").await;
        ws.echo(how).await;
        // With TLS: a FIN without close_notify.
        drop(ws);
        up.until_open(0, THREE).await;
        httpd.sessions_logged(n + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_vanishes_in_the_middle_of_a_frame() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (_, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        ws.raw(&frame(BINARY, true, true, &[1; 1_000])[..500]).await;
        drop(ws);
        up.until_open(0, THREE).await;
    }
    httpd.sessions_logged(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_ends_between_frames() {
    for reset in [false, true] {
        let up = Upstream::serve(move |mut conn| async move {
            conn.accept().await;
            conn.ws.send(TEXT, b"before").await;
            let frame = conn.ws.next().await;
            assert!(frame.is_some(), "the client's word");
            if reset {
                conn.ws.io.reset();
            }
        })
        .await;
        let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
        for (how, client) in httpd.clients() {
            let mut ws = client.upgrade("/ws").await;
            assert_eq!(ws.frame().await.text(), "before", "{how}");
            ws.send(TEXT, b"now vanish").await;
            within(THREE, how, ws.expect_close(1011)).await;
            ws.close(1011, "").await;
            ws.expect_end().await;
        }
        httpd.log().expect_count(3, words::SESSION_ENDED).await;
        httpd.log().allow("upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_ends_in_the_middle_of_a_frame() {
    // Anything sent now would be taken for the rest of that frame.
    for cut in [1, 3, 50] {
        let begun = frame(BINARY, true, false, &[9; 300])[..cut].to_vec();
        let expected = begun.clone();
        let up = Upstream::serve(move |mut conn| {
            let begun = begun.clone();
            async move {
                conn.accept_with("", &begun).await;
            }
        })
        .await;
        let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
        for (how, client) in httpd.clients() {
            let mut ws = client.upgrade("/ws").await;
            assert_eq!(ws.rest(THREE).await, expected, "{how} {cut}");
        }
        httpd.sessions_logged(3).await;
        httpd.log().allow("upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_came_is_delivered_before_the_end() {
    let up = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        conn.ws.send(BINARY, &[4; 5 << 20]).await;
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/ws").await;
        assert_eq!(ws.frame().await.data.len(), 5 << 20, "{how}");
        ws.expect_close(1011).await;
    }
    httpd.log().allow("upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn close_frames_of_both_sides_pass_unchanged() {
    let closing = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        conn.ws.close(4001, "grüße").await;
        let answer = conn.ws.frame().await;
        assert_eq!(answer.code(), Some(4001), "the client's answer");
    })
    .await;
    let echo = Upstream::echo().await;
    let conf = ws("/closing", &closing.url()) + &ws("/echo", &echo.url());
    let httpd = Httpd::with(conf).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = client.upgrade("/closing").await;
        let frame = ws.frame().await;
        assert_eq!(
            (frame.op, frame.code(), &frame.data[2..]),
            (CLOSE, Some(4001), "grüße".as_bytes())
        );
        ws.send(CLOSE, &frame.data).await;
        ws.expect_end().await;
        closing.until_open(0, THREE).await;

        for payload in [vec![], vec![0x03, 0xe8], b"\x0f\xa0why not".to_vec()] {
            let mut ws = client.upgrade("/echo").await;
            ws.send(CLOSE, &payload).await;
            let frame = ws.frame().await;
            assert_eq!((frame.op, &frame.data), (CLOSE, &payload), "{how}");
            ws.expect_end().await;
        }
        echo.until_open(0, THREE).await;
    }
}
