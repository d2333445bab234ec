//! A request that meant to be an upgrade and is none: the log says exactly why.

use crate::harness::*;

type Change = fn(Client) -> Client;

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_its_own_words() {
    let up = Upstream::echo().await;
    let left_alone: &[u16] = &[400, 404];
    let table: &[(Change, &str, &[u16])] = &[
        (|c| c.without("Upgrade"), words::NO_UPGRADE, left_alone),
        (|c| c.without("Upgrade").without("Connection"), words::NO_UPGRADE, left_alone),
        (|c| c.header("Upgrade", "h2c"), words::OTHER_UPGRADE, left_alone),
        (|c| c.without("Connection"), words::NO_CONNECTION, left_alone),
        (|c| c.header("Connection", "keep-alive"), words::NO_TOKEN, left_alone),
        (|c| c.header("Connection", "notupgrade"), words::NO_TOKEN, left_alone),
        (|c| c.without("Sec-WebSocket-Version"), words::NO_VERSION, &[426]),
        (|c| c.header("Sec-WebSocket-Version", "8"), words::VERSION, &[426]),
        (|c| c.header("Sec-WebSocket-Version", "99"), words::VERSION, &[426]),
        (|c| c.header("Sec-WebSocket-Version", "abc"), words::VERSION, &[426]),
        (|c| c.without("Sec-WebSocket-Key"), words::NO_KEY, &[400]),
        (|c| c.header("Sec-WebSocket-Key", "short"), words::BAD_KEY, &[400]),
        (|c| c.header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA="), words::BAD_KEY, &[400]),
        (
            |c| {
                let key = "dGhlIHNhbXBsZSBub25jZQ==";
                c.header("Sec-WebSocket-Key", key).also("Sec-WebSocket-Key", key)
            },
            // httpd has joined the two lines by now.
            words::BAD_KEY,
            &[400],
        ),
    ];
    for (change, reason, statuses) in table {
        // A server for each, so that the log has exactly one reason.
        let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
        let Answer::Refused(response, _) = change(httpd.client()).ask("/ws").await else {
            panic!("{reason}: 101");
        };
        assert!(statuses.contains(&response.status), "{reason}: {}", response.status);
        if response.status == 426 {
            assert_eq!(response.all("Sec-WebSocket-Version"), ["13"], "{reason}");
        }
        let line = httpd.log().expect(words::NOT_AN_UPGRADE).await;
        assert!(line.text.contains(reason), "{reason}: {}", line.text);
        assert_eq!(line.module, "wsroute", "{reason}");
    }
    assert_eq!(up.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_versions_and_bodies() {
    let up = Upstream::echo().await;
    let head = "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (request, reason) in [
        (format!("POST /ws HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n"), words::METHOD),
        (format!("GET /ws HTTP/1.0\r\n{head}\r\n"), words::OLD_HTTP),
        (format!("GET /ws HTTP/1.1\r\n{head}Content-Length: 5\r\n\r\nhello"), words::BODY),
        (
            format!(
                "GET /ws HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ),
            words::BODY,
        ),
    ] {
        let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
        let response = httpd.client().bytes("GET", &request).await.expect("an answer");
        assert!([400, 404, 405].contains(&response.status), "{reason}: {}", response.status);
        let line = httpd.log().expect(words::NOT_AN_UPGRADE).await;
        assert!(line.text.contains(reason), "{reason}: {}", line.text);
    }
    assert_eq!(up.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_form_is_taken() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let forms: &[Change] = &[
        |c| c.header("UPGRADE", "WebSocket").header("CONNECTION", "UPGRADE"),
        |c| c.header("upgrade", "websocket").header("connection", "upgrade"),
        |c| c.header("uPgRaDe", "  WEBSOCKET  ").header("Connection", "\tupgrade"),
        |c| c.header("Connection", "keep-alive, Upgrade"),
        |c| c.header("Connection", "Upgrade ,keep-alive"),
        |c| c.header("Connection", "keep-alive").also("Connection", "Upgrade"),
        |c| c.header("Upgrade", "h2c, websocket"),
        |c| c.header("Upgrade", "h2c").also("Upgrade", "websocket"),
        |c| c.header("Content-Length", "0"),
    ];
    for (i, form) in forms.iter().enumerate() {
        let mut ws = form(httpd.client()).upgrade("/ws").await;
        ws.echo(&format!("form {i}")).await;
        ws.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_may_trickle_in() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let mut ws = Ws { io: client.connect().await, buffer: Vec::new(), client: true };
        let (head, accept) = client.upgrade_head("/ws");
        for byte in head.as_bytes().chunks(3) {
            ws.raw(byte).await;
            tokio::task::yield_now().await;
        }
        let response = ws.response("GET").await.expect("an answer");
        assert_eq!((response.status, response.header("Sec-WebSocket-Accept")), (101, &accept[..]));
        ws.echo(how).await;
    }
}
