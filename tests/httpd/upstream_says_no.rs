//! Anything but a 101 goes to the client as it is, and nothing is tunnelled.

use crate::harness::*;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn status_headers_and_body_pass_through() {
    let page = "no, thank you ".repeat(300);
    let length = page.len();
    let table: &[(u16, &str, String, &str)] = &[
        (200, "OK", format!("Content-Length: {length}\r\n\r\n{page}"), &page),
        (
            301,
            "Moved",
            "Location: https://login.example/x?y=1\r\nContent-Length: 0\r\n\r\n".into(),
            "",
        ),
        (302, "Found", "Location: /login\r\nContent-Length: 2\r\n\r\nhi".into(), "hi"),
        (
            401,
            "Unauthorized",
            format!("WWW-Authenticate: Basic realm=\"Websockify\"\r\n\r\n{page}"),
            &page,
        ),
        (403, "Forbidden", format!("Connection: close\r\n\r\n{page}"), &page),
        (404, "Not Found", "Content-Length: 4\r\n\r\nnone".into(), "none"),
        (
            500,
            "Oops",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n again\r\n0\r\n\r\n".into(),
            "hello again",
        ),
        (503, "Busy", "Retry-After: 7\r\nContent-Length: 4\r\n\r\nlate".into(), "late"),
    ];
    for (status, reason, rest, body) in table {
        let up = Upstream::says(format!("HTTP/1.1 {status} {reason}\r\nSet-Cookie: a=1\r\n{rest}"))
            .await;
        let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
        for (how, client) in httpd.clients() {
            let response = client.refused("/ws", *status).await;
            assert_eq!(response.text(), *body, "{status} {how}");
            assert_eq!(response.all("Set-Cookie"), ["a=1"], "{status} {how}");
            match status {
                301 => assert_eq!(response.header("Location"), "https://login.example/x?y=1"),
                302 => assert!(response.header("Location").ends_with("/login"), "{response:?}"),
                401 => {
                    let realm = "Basic realm=\"Websockify\"";
                    assert_eq!(response.header("WWW-Authenticate"), realm);
                }
                503 => assert_eq!(response.header("Retry-After"), "7"),
                _ => {}
            }
        }
        httpd.log().allow(words::BROKEN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_is_tunnelled_after_a_refusal() {
    let answers = [
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    ];
    for answer in answers {
        let (tell, mut told) = mpsc::unbounded_channel();
        let up = Upstream::serve(move |mut conn| {
            let tell = tell.clone();
            async move {
                let _ = conn.ws.try_raw(answer.as_bytes()).await;
                let mut after = conn.ws.buffer;
                // To the end, or until nothing can be expected any more.
                let reading = conn.ws.io.read_to_end(&mut after);
                let _ = tokio::time::timeout(ms(1_000), reading).await;
                let _ = tell.send(after);
            }
        })
        .await;
        let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
        httpd.log().allow("");
        let Answer::Refused(response, mut ws) = httpd.client().ask("/ws").await else {
            panic!("{answer}: 101");
        };
        assert_eq!(response.text(), "no", "{answer}");
        ws.knock(b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n").await;
        ws.knock(&frame(TEXT, true, true, b"smuggled")).await;
        let after = within(SOON, "the upstream's report", told.recv()).await.expect("a report");
        assert!(after.is_empty(), "{answer}: tunnelled {:?}", String::from_utf8_lossy(&after));
        assert_eq!(up.connections(), 1, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn early_frames_of_a_refused_client_go_nowhere() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let up = Upstream::serve(move |mut conn| {
        let tell = tell.clone();
        async move {
            let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
            let _ = conn.ws.try_raw(answer.as_bytes()).await;
            let mut after = conn.ws.buffer;
            let reading = conn.ws.io.read_to_end(&mut after);
            let _ = tokio::time::timeout(ms(1_000), reading).await;
            let _ = tell.send(after);
        }
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    httpd.log().allow("");
    let early = frame(TEXT, true, true, b"too early");
    let Answer::Refused(response, _ws) = httpd.client().ask_with("/ws", &early).await else {
        panic!("101");
    };
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    let after = within(SOON, "the upstream's report", told.recv()).await.expect("a report");
    assert!(after.is_empty(), "tunnelled {after:?}");
}
