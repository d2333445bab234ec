//! Without TLS: heads, answers, ends.

use super::*;

/// What websocket.c of KasmVNC 1.3.3 looks for, byte for byte.
fn kasmvnc_takes(head: &str, reads: usize) -> Result<(), String> {
    if reads != 1 {
        return Err(format!("{reads} reads"));
    }
    if !head.starts_with("GET /") || !head.contains(" HTTP/1.1\r\n") {
        return Err("not a GET".into());
    }
    let demanded = [
        "\r\nHost: ",
        "\r\nConnection: Upgrade",
        "\r\nUpgrade: websocket",
        "\r\nOrigin: ",
        "\r\nSec-WebSocket-Key: ",
        "\r\nSec-WebSocket-Version: 13",
        "\r\nSec-WebSocket-Protocol: binary",
        "\r\nAuthorization: Basic ",
    ];
    match demanded.iter().find(|d| head.matches(**d).count() != 1) {
        Some(missing) => Err(format!("not once: {missing:?}")),
        None => Ok(()),
    }
}

#[tokio::test]
async fn a_strict_server_takes_the_head_and_bytes_flow() {
    let address = upstream(|mut socket| async move {
        let (head, reads) = read_head(&mut socket).await;
        if let Err(e) = kasmvnc_takes(&head, reads) {
            socket.write_all(format!("HTTP/1.1 404 {e}\r\n\r\n{head}").as_bytes()).await.unwrap();
            return;
        }
        socket.write_all(format!("{SWITCH}RFB 003.008\n").as_bytes()).await.unwrap();
        let mut got = [0; 4];
        socket.read_exact(&mut got).await.unwrap();
        socket.write_all(&got).await.unwrap();
    })
    .await;
    let request = request(&[("connection", "Upgrade"), ("authorization", "Basic eA==")]);
    let (target, policy, extras) = (target(&address.to_string()), policy(""), Extras::default());
    let mut s = switched(open(&target, &request, &policy, &extras, LONG, &anything).await);
    assert_eq!(s.peer, address.to_string());
    assert_eq!(s.headers, [("Sec-WebSocket-Protocol".to_string(), b"binary".to_vec())]);
    s.io.write_all(b"ping").await.unwrap();
    let mut rest = Vec::new();
    s.io.read_to_end(&mut rest).await.unwrap();
    assert_eq!([s.early, rest].concat(), b"RFB 003.008\nping");
}

#[tokio::test]
async fn a_101_may_come_byte_by_byte() {
    let address = upstream(|mut socket| async move {
        read_head(&mut socket).await;
        socket.set_nodelay(true).unwrap();
        for byte in format!("{SWITCH}early").bytes() {
            socket.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut s = switched(open_plain(address, LONG).await);
    let mut rest = Vec::new();
    s.io.read_to_end(&mut rest).await.unwrap();
    assert_eq!([s.early, rest].concat(), b"early");
}

#[tokio::test]
async fn bad_switches() {
    let table = [
        (
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "accept differs",
        ),
        (
            "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "no Upgrade header",
        ),
        (
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
            "subprotocol \"chat\" was not offered",
        ),
    ];
    for (answer, expected) in table {
        let e = error_of(answer).await;
        assert!(
            matches!(e, UpstreamError::BadSwitch { .. }) && e.to_string().contains(expected),
            "{e}"
        );
        assert_eq!((e.status(), e.connect_failed()), (502, false));
    }
}

#[tokio::test]
async fn an_imposed_subprotocol_stays_between_us_and_the_upstream() {
    let address = answering(SWITCH).await;
    let mut request = request(&[]);
    request.headers.retain(|(n, _)| !n.ends_with("Protocol"));
    let (target, policy) = (target(&address.to_string()), policy("subprotocol=binary"));
    let s = switched(open(&target, &request, &policy, &Extras::default(), LONG, &anything).await);
    assert!(s.headers.is_empty(), "{:?}", s.headers);
}

#[tokio::test]
async fn other_answers_pass_with_their_bodies() {
    // (answer, status, headers that pass, body)
    let table = [
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\nwho?",
            401,
            "WWW-Authenticate",
            "who?",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nContent-Type: t/h\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            200,
            "Content-Type",
            "abcde",
        ),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 2\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\n\r\nno, much more",
            403,
            "Content-Length",
            "no",
        ),
        ("HTTP/1.1 204 No Content\r\nServer: s\r\n\r\nx", 204, "Server", ""),
        (
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
            426,
            "Sec-WebSocket-Version",
            "",
        ),
    ];
    for (answer, status, headers, body) in table {
        let mut a = answered(open_plain(answering(answer).await, LONG).await);
        let names: Vec<&str> = a.headers.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!((a.status, names.join(",").as_str()), (status, headers));
        assert_eq!(all(&mut a.body).await.unwrap(), body, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_stops_is_late() {
    let address = upstream(|mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 401 U\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        linger(socket).await;
    })
    .await;
    let mut a = answered(open_plain(address, SHORT).await);
    assert_eq!(a.body.next().await.unwrap().unwrap(), b"half");
    assert_eq!(a.body.next().await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn garbage_and_early_ends() {
    let table = [
        ("RFB 003.008\n", "upstream-not-http: "),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{28}", "it speaks TLS: set scheme=wss"),
        ("HTTP/1.1 101 Switching", "closed in the middle of the response head"),
        ("", "closed before answering (if it wants TLS, set scheme=wss)"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Content-Length makes no sense"),
    ];
    for (answer, expected) in table {
        let e = error_of(answer).await;
        assert!(e.to_string().contains(expected), "{answer:?}: {e}");
        assert_eq!((e.status(), e.connect_failed()), (502, false));
    }
}

#[tokio::test]
async fn a_reset_is_told() {
    let address = upstream(|socket| async move {
        // Closing with unread bytes makes the kernel send a reset.
        socket.readable().await.unwrap();
        drop(socket);
    })
    .await;
    let e = open_plain(address, LONG).await.err().unwrap();
    assert!(e.to_string().contains("connection reset before answering"), "{e}");
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_counts() {
    let address = upstream(|mut socket| async move {
        socket.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        linger(socket).await;
    })
    .await;
    assert_eq!(answered(open_plain(address, LONG).await).status, 503);
}

#[tokio::test]
async fn silence_is_late() {
    let address = upstream(linger).await;
    let e = open_plain(address, SHORT).await.err().unwrap();
    assert_eq!(
        e.to_string(),
        format!("upstream-handshake-late: {address}: no answer to the upgrade within 150ms")
    );
    assert_eq!(e.status(), 504);

    let target = Target { tls: true, ..target(&address.to_string()) };
    let e = open(&target, &request(&[]), &policy(""), &Extras::default(), SHORT, &anything).await;
    let e = e.err().unwrap();
    assert!(e.to_string().contains("no TLS handshake within 150ms"), "{e}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_even_connected() {
    let extras = Extras { authorization: Some("a\r\nb".into()), ..Extras::default() };
    let asked = AtomicUsize::new(0);
    let permit = |_: &str, _: std::net::SocketAddr| asked.fetch_add(1, Ordering::Relaxed) > 0;
    let e = open(&target("127.0.0.1:1"), &request(&[]), &policy(""), &extras, LONG, &permit).await;
    assert!(matches!(e, Err(UpstreamError::BadRequest { .. })));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert!(!format!("{extras:?}").contains("a\\r"), "{extras:?}");
}

#[tokio::test]
async fn a_unix_socket_serves() {
    struct Yes;
    impl Permit for Yes {
        fn address(&self, _: &str, _: std::net::SocketAddr) -> bool {
            false
        }
        fn unix(&self, _: &std::path::Path) -> bool {
            true
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vnc.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (head, _) = read_head(&mut socket).await;
        socket.write_all(SWITCH.as_bytes()).await.unwrap();
        head
    });
    let target = Target { tls: false, address: Address::Unix(path), path: Some("/x".into()) };
    switched(
        open(&target, &request(&[]), &policy("host=target"), &Extras::default(), LONG, &Yes).await,
    );
    let head = server.await.unwrap();
    assert!(head.starts_with("GET /x HTTP/1.1\r\nHost: localhost\r\n"), "{head}");
}

#[test]
fn open_can_be_spawned() {
    fn send<T: Send>(_: T) {}
    let (t, r, p, e) = (target("127.0.0.1:1"), request(&[]), policy(""), Extras::default());
    send(open(&t, &r, &p, &e, LONG, &anything));
    send(Body::new(Box::new(tokio::io::duplex(1).0), Vec::new(), body::Framing::Empty, None));
}
