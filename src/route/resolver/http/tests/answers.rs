//! What answers mean, the hostile ones included.

use std::io::Write;

use super::*;

#[tokio::test]
async fn statuses_bodies_and_headers() {
    let json = "Content-Type: application/json\r\n";
    let table: [(&str, &str, &str, Result<&str, &str>); 20] = [
        ("200 OK", json, ALICE, Ok("ws://10.0.0.5:6901")),
        ("201 Created", "", ALICE, Ok("ws://10.0.0.5:6901")),
        ("200 OK", json, r#"{"host":"10.0.0.5","port":6901}"#, Ok("ws://10.0.0.5:6901")),
        ("200 OK", "", "\"10.0.0.5:6901\"", Ok("ws://10.0.0.5:6901")),
        ("200 OK", "", "10.0.0.5:6901\n", Ok("ws://10.0.0.5:6901")),
        ("200 OK", json, r#"{"target":null}"#, Ok("")),
        ("200 OK", json, "null", Ok("")),
        ("200 OK", "", "", Ok("")),
        ("404 Not Found", "", ALICE, Ok("")),
        ("410 Gone", "", "gone", Ok("")),
        ("200 OK", "X-WsRoute-Target: h:1\r\n", ALICE, Ok("ws://h:1")),
        ("200 OK", "x-wsroute-host: h\r\nX-WSROUTE-PORT: 2\r\n", "<html>", Ok("ws://h:2")),
        ("200 OK", "X-WsRoute-Target: \r\n", ALICE, Ok("")),
        ("200 OK", "X-WsRoute-State: creating\r\n", "", Ok("none")),
        ("500 Internal Server Error", "", ALICE, Err("it answers 500 Internal Server Error")),
        ("429 Too Many Requests", "", ALICE, Err("it answers 429")),
        ("200 OK", "X-WsRoute-Target: h:1\r\nX-WsRoute-Target: h:2\r\n", "", Err("is there twice")),
        ("200 OK", "X-WsRoute-Target: h\r\n", "", Err("no port")),
        ("200 OK", json, r#"{"target":"u:hunter2@h:1"}"#, Err("user information")),
        ("200 OK", json, r#"{"target":"h:1\r\nX-Evil: 1"}"#, Err("control")),
    ];
    for (status, headers, body, expected) in table {
        let server = server(answer(status, headers, body));
        let d = resolver(&url(&server, "/t/{key}?secret=hunter2"), &[]);
        match (target(&d, "alice").await, expected) {
            (got, Ok("")) => assert_eq!(got, Ok(None), "{status} {headers} {body}"),
            (got, Ok(expected)) => assert_eq!(got, some(expected), "{status} {headers} {body}"),
            (Err(error), Err(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{error}");
                assert!(error.contains(&url(&server, "/t/{key}: ")), "{error}");
                assert!(!error.contains("hunter2") && !error.contains("alice"), "{error}");
            }
            (got, Err(expected)) => panic!("{got:?} instead of {expected}"),
        }
    }
}

#[tokio::test]
async fn a_204_with_all_fields() {
    let headers = format!(
        "X-WsRoute-Target: 10.0.0.5:6901\r\nX-WsRoute-Scheme: wss\r\nX-WsRoute-Path: /p\r\n\
         X-WsRoute-Owner: alice\r\nX-WsRoute-State: running\r\nX-WsRoute-Username: u\r\n\
         X-WsRoute-Password: p\r\nX-WsRoute-Pin: {}\r\nX-WsRoute-Headers: {{\"X-A\":\"b\"}}\r\n\
         X-WsRoute-Id: c1\r\nX-WsRoute-Expires: 2123-11-14T22:13:20Z\r\n",
        "0a".repeat(32)
    );
    let server = server(format!("HTTP/1.1 204 No Content\r\n{headers}\r\n").into_bytes());
    let d = resolver(&url(&server, "/{key}"), &[]);
    for _ in 0..2 {
        let answer = d.resolve(query("alice")).await.unwrap().unwrap();
        assert_eq!(answer.target.unwrap().to_string(), "wss://10.0.0.5:6901/p");
        assert_eq!(answer.headers, [("X-A".to_owned(), "b".to_owned())]);
        assert_eq!((answer.owner.as_deref(), answer.id.as_deref()), (Some("alice"), Some("c1")));
        assert!(answer.pin.is_some() && answer.expires.is_some());
    }
    assert_eq!(server.connections(), 1);
    let empty = self::server(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    assert_eq!(target(&resolver(&url(&empty, "/{key}"), &[]), "alice").await, Ok(None));
}

#[tokio::test]
async fn unauthorized_is_passed_on() {
    for (status, code) in [("401 Unauthorized", 401), ("403 Forbidden", 403)] {
        let server = server(answer(status, "X-WsRoute-Target: h:1\r\n", ALICE));
        let d = resolver(&url(&server, "/{key}"), &[]);
        assert_eq!(target(&d, "alice").await, Err(ResolveError::Unauthorized(code)));
    }
}

#[tokio::test]
async fn the_pointer_leads_to_the_answer() {
    let body = r#"{"data":{"desk":{"host":"h","port":1},"t":"h:2","no":null,"n":5}}"#;
    let server = server(answer("200 OK", "", body));
    for (pointer, expected) in [
        ("/data/desk", some("ws://h:1")),
        ("/data/t", some("ws://h:2")),
        ("/data/no", Ok(None)),
        ("/data/missing/x", Ok(None)),
    ] {
        let d = resolver(&url(&server, "/{key}"), &[&format!("pointer={pointer}")]);
        assert_eq!(target(&d, "alice").await, expected, "{pointer}");
    }
    let d = resolver(&url(&server, "/{key}"), &["pointer=/data/n"]);
    assert!(matches!(target(&d, "alice").await, Err(ResolveError::Malformed(_))));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = server(answer("200 OK", "", ALICE));
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let location = format!("Location: {}\r\n", url(&other, "/x"));
        let server = server(answer(status, &location, ALICE));
        let d = resolver(&url(&server, "/{key}"), &["header=X-API-Key: hunter2"]);
        let error = target(&d, "alice").await.unwrap_err().to_string();
        assert!(error.ends_with("redirects are not followed, use the final URL"), "{error}");
        assert!(!error.contains("hunter2"));
    }
    assert_eq!(other.received().len(), 0);
}

#[tokio::test]
async fn hostile_bodies() {
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for head in [huge, endless, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"] {
        let server = HttpServer::tcp(move |_, out| {
            out.write_all(head.as_bytes())?;
            let chunk = format!("400\r\n{}\r\n", "a".repeat(0x400));
            loop {
                out.write_all(chunk.as_bytes())?;
            }
        });
        let d = resolver(&url(&server, "/{key}"), &[]);
        let error = target(&d, "alice").await.unwrap_err().to_string();
        assert!(error.ends_with("longer than 64 KiB"), "{head}: {error}");
    }
    for (length, expected) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let body = format!("{ALICE}{}", " ".repeat(length - ALICE.len()));
        let padded = server(answer("200 OK", "", &body));
        let got = target(&resolver(&url(&padded, "/{key}"), &[]), "a").await;
        assert_eq!(got.is_ok(), expected, "{length}: {got:?}");
    }

    let table: [(&[u8], &str); 7] = [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"target\":\"10.0.0.5:6901\"}",
            "breaks off",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nh:\xff", "not UTF-8"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "127.0.0.1"),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "127.0.0.1"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "127.0.0.1"),
        (b"\x15\x03\x01\0\x02\x02\x46", "127.0.0.1"),
        (b"", "127.0.0.1"),
    ];
    for (bytes, expected) in table {
        let server = HttpServer::tcp(move |_, out| out.write_all(bytes).map(|()| Then::Close));
        let error = target(&resolver(&url(&server, "/{key}"), &[]), "alice").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(matches!(error, ResolveError::Failed(_) | ResolveError::Malformed(_)));
    }
}

/// A slow answer is the deadline's business; giving up closes the connection.
#[tokio::test]
async fn slow_bodies() {
    let server = HttpServer::tcp(|_, out: &mut dyn Write| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
        loop {
            out.write_all(b" ")?;
            out.flush()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let d = resolver(&url(&server, "/{key}"), &[]);
    for _ in 0..2 {
        let late = tokio::time::timeout(Duration::from_millis(100), target(&d, "alice")).await;
        assert!(late.is_err());
    }
    assert_eq!(server.connections(), 2);
}
