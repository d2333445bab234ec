//! The upstream gets the browser's own handshake, and the browser the upstream's.

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn headers_arrive_once_and_unchanged() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    let sent = [
        ("Cookie", "s=abc; t=\"q\""),
        ("Authorization", "Basic a2FzbV91c2VyOnBhc3N3b3Jk"),
        ("Sec-WebSocket-Protocol", "binary, base64"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Accept-Language", "de,en;q=0.5"),
        ("User-Agent", "Mozilla/5.0 (X11)"),
        ("X-App", "a,b ;c"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (how, client) in httpd.clients() {
        let client = sent.iter().fold(client, |c, (n, v)| c.header(n, v));
        let mut ws = Ws { io: client.connect().await, buffer: Vec::new(), client: true };
        ws.raw(client.upgrade_head("/ws").0.as_bytes()).await;
        let response = ws.response("GET").await.expect("an answer");
        assert_eq!(response.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let seen = up.last().await;
        for (name, value) in sent {
            assert_eq!(seen.all(name), [value], "{how} {name}");
        }
        assert_eq!(seen.all("Sec-WebSocket-Version"), ["13"], "{how}");
        assert_eq!(seen.all("Host").len(), 1, "{how}");
        assert_eq!(seen.all("Upgrade").len(), 1, "{how}");
        assert_eq!(seen.all("Connection").len(), 1, "{how}");
        let scheme = if how == "plaintext" { "http" } else { "https" };
        assert!(seen.header("Origin").starts_with(&format!("{scheme}://localhost:")), "{how}");
        assert_eq!(seen.header("X-Forwarded-For"), "127.0.0.1", "{how}");
        assert_eq!(seen.header("X-Forwarded-Proto"), scheme, "{how}");
        assert!(seen.header("X-Forwarded-Host").starts_with("localhost"), "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_have_their_canonical_case_and_the_head_is_one_write() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let lower = format!(
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive, upgrade\r\n\
         upgrade: websocket\r\norigin: http://localhost\r\nsec-websocket-version: 13\r\n\
         sec-websocket-protocol: binary\r\nauthorization: Basic eA==\r\ncookie: a={}\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "x".repeat(7_000)
    );
    let response = httpd.client().bytes("GET", &lower).await.expect("an answer");
    assert_eq!(response.status, 101);
    let seen = up.last().await;
    for line in [
        "Host: ",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Origin: http://localhost\r\n",
        "Authorization: Basic eA==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Protocol: binary\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "Cookie: a=xxx",
    ] {
        assert!(seen.head.contains(&format!("\r\n{line}")), "{line:?} in {}", seen.head);
    }
    assert!(seen.reads <= 2, "the head came in {} reads", seen.reads);
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_headers_stay_here() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let client = httpd
        .client()
        .header("Connection", "Upgrade, X-Secret")
        .header("X-Secret", "1")
        .header("Keep-Alive", "timeout=5")
        .header("TE", "trailers")
        .header("Proxy-Authorization", "Basic Zm9v")
        .header("Proxy-Connection", "keep-alive");
    client.upgrade("/ws").await.leave().await;
    let seen = up.last().await;
    for name in ["X-Secret", "Keep-Alive", "TE", "Proxy-Authorization", "Proxy-Connection"] {
        assert_eq!(seen.all(name), [""; 0], "{name}");
    }
    assert!(!seen.header("Connection").to_ascii_lowercase().contains("secret"), "{}", seen.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_proxy_stays_named() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let client = httpd.client().header("X-Forwarded-For", "203.0.113.9");
    client.upgrade("/ws").await.leave().await;
    assert_eq!(up.last().await.all("X-Forwarded-For").join(", "), "203.0.113.9, 127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn mod_headers_has_its_say() {
    let up = Upstream::echo().await;
    let lines = "RequestHeader set Authorization \"Basic eDp5\"\nRequestHeader set X-Made here\n\
                 RequestHeader unset X-Gone";
    let conf = location("/ws", &format!("WsRoute \"{}\"\n{lines}", up.url()));
    let httpd = Httpd::with(conf).start().await;
    let client = httpd.client().header("X-Gone", "1").basic("alice", "wonder");
    client.upgrade("/ws").await.leave().await;
    let seen = up.last().await;
    assert_eq!(seen.all("Authorization"), ["Basic eDp5"]);
    assert_eq!(seen.all("X-Made"), ["here"]);
    assert_eq!(seen.all("X-Gone"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_headers_reach_the_client() {
    let up = Upstream::serve(|mut conn| async move {
        let lines = "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; HttpOnly\r\nX-Custom: v1, v2\r\n\
                     Sec-WebSocket-Extensions: permessage-deflate\r\n";
        conn.accept_with(lines, b"").await;
        drain(conn).await;
    })
    .await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().start().await;
    for (how, client) in httpd.clients() {
        let client = client
            .header("Sec-WebSocket-Protocol", "binary, base64")
            .header("Sec-WebSocket-Extensions", "permessage-deflate");
        let (response, _ws) = client.upgrade_with("/ws", b"").await;
        assert_eq!(response.all("Set-Cookie"), ["a=1; Path=/", "b=2; HttpOnly"], "{how}");
        assert_eq!(response.all("X-Custom"), ["v1, v2"], "{how}");
        assert_eq!(response.all("Sec-WebSocket-Protocol"), ["binary"], "{how}");
        assert_eq!(response.all("Sec-WebSocket-Extensions"), ["permessage-deflate"], "{how}");
        assert_eq!(response.all("Content-Length"), [""; 0], "{how}");
        assert_eq!(response.all("Transfer-Encoding"), [""; 0], "{how}");
    }
}
