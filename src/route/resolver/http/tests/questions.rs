//! What the service receives.

use super::*;
use crate::route::cache::CachedResolver;
use crate::route::resolver::config::Times;

fn lines(headers: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn with_headers(key: &str, headers: &[(&str, &str)]) -> Query {
    Query { headers: lines(headers).as_slice().into(), ..query(key) }
}

#[tokio::test]
async fn a_key_stays_one_segment() {
    let server = server(answer("200 OK", "", ALICE));
    let d = resolver(&url(&server, "/api/{key}/target?k={key}&v=1"), &[]);
    let table = [
        ("alice", "alice"),
        ("a/b", "a%2Fb"),
        ("/etc/passwd", "%2Fetc%2Fpasswd"),
        ("a?b", "a%3Fb"),
        ("a#b", "a%23b"),
        ("a&v=2", "a%26v%3D2"),
        ("%2f", "%252f"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        (
            "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1",
            "a%0D%0AX-Evil%3A%201%0D%0A%0D%0AGET%20%2Fevil%20HTTP%2F1.1",
        ),
        ("a\tb\0", "a%09b%00"),
        ("@host", "%40host"),
        ("//host/x", "%2F%2Fhost%2Fx"),
        ("http://host", "http%3A%2F%2Fhost"),
        ("ä日", "%C3%A4%E6%97%A5"),
        ("{host}", "%7Bhost%7D"),
        ("a;b,c'\"<>\\^`|", "a%3Bb%2Cc%27%22%3C%3E%5C%5E%60%7C"),
    ];
    for (key, encoded) in table {
        assert_eq!(target(&d, key).await, some("ws://10.0.0.5:6901"), "{key:?}");
        let received = server.received().pop().unwrap();
        assert_eq!(received.target, format!("/api/{encoded}/target?k={encoded}&v=1"), "{key:?}");
        assert_eq!(received.header("x-evil"), "");
    }
    let asked = server.received().len();
    for key in [".", "..", "../x", "x/../../y", "x/.", "..\\x"] {
        assert_eq!(target(&d, key).await, Ok(None), "{key:?}");
    }
    assert_eq!(server.received().len(), asked);
}

#[tokio::test]
async fn other_values() {
    let server = server(answer("200 OK", "", ALICE));
    let d = resolver(&url(&server, "/{user}/{client}?h={host}&p={path}"), &[]);
    let query = Query {
        key: "k".into(),
        user: Some("a/b@c".into()),
        host: "desk.example.org".into(),
        path: "/desktop/x y".into(),
        client: "::1".into(),
        ..Query::default()
    };
    assert!(d.resolve(query.clone()).await.unwrap().is_some());
    let expected = "/a%2Fb%40c/%3A%3A1?h=desk.example.org&p=%2Fdesktop%2Fx%20y";
    assert_eq!(server.received()[0].target, expected);
    // The key is not in the URL, so it does not matter; the others do.
    let key = d.cache_key(&query);
    assert_eq!(key, d.cache_key(&Query { key: "other".into(), ..query.clone() }));
    assert_ne!(key, d.cache_key(&Query { user: Some("b".into()), ..query.clone() }));
    let nobody = Query { user: None, ..query };
    assert_eq!(d.resolve(nobody).await, Ok(None));
}

#[tokio::test]
async fn headers_go_along() {
    let server = server(answer("200 OK", "", ALICE));
    let port = server.address().port();
    let d = resolver(
        &url(&server, "/{key}"),
        &[
            "header=X-API-Key: hunter2",
            "header=X-Two: a",
            "header=X-Two: b",
            "forward=Cookie,X-Session",
        ],
    );
    let asked = with_headers(
        "alice",
        &[
            ("cookie", "a=1"),
            ("Cookie", "b=2"),
            ("X-SESSION", "s\u{e9}"),
            ("Authorization", "Basic secret"),
            ("X-API-Key", "forged"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Host", "evil"),
        ],
    );
    assert!(d.resolve(asked).await.unwrap().is_some());
    let received = server.received().pop().unwrap();
    let agent = concat!("mod_wsroute/", env!("CARGO_PKG_VERSION"));
    for (name, expected) in [
        ("x-api-key", "hunter2"),
        ("x-two", "a|b"),
        ("cookie", "a=1|b=2"),
        ("x-session", "sé"),
        ("authorization", ""),
        ("connection", ""),
        ("upgrade", ""),
        ("host", &format!("127.0.0.1:{port}")),
        ("accept", "application/json"),
        ("user-agent", agent),
        ("accept-encoding", ""),
        ("referer", ""),
    ] {
        assert_eq!(received.header(name), expected, "{name}");
    }
    let d = resolver(&url(&server, "/{key}"), &["header=Host: app.example.org", "forward=X-A"]);
    assert!(d.resolve(query("alice")).await.unwrap().is_some());
    assert_eq!(server.received().pop().unwrap().header("host"), "app.example.org");
    // A header that no request can have is not sent in pieces.
    let bad = d.resolve(with_headers("alice", &[("X-A", "a\r\nX-B: c")])).await.unwrap_err();
    assert!(bad.to_string().ends_with("the client's x-a cannot be sent on"), "{bad}");
}

/// What belongs to one user's cookie is never another's answer.
#[tokio::test]
async fn forwarded_headers_separate_answers() {
    let server = HttpServer::tcp(|request, out| {
        let body = match request.header("cookie").as_str() {
            "" => r#"{"target":null}"#.to_owned(),
            cookie => format!(r#"{{"target":"{}:1"}}"#, cookie.replace(['=', '|'], "-")),
        };
        out.write_all(&answer("200 OK", "", &body)).map(|()| Then::Keep)
    });
    let d = Arc::new(resolver(&url(&server, "/mine"), &["forward=Cookie,Authorization"]));
    let cached = CachedResolver::new("d", d.clone(), Times::default());
    type Case = (&'static [(&'static str, &'static str)], Option<&'static str>);
    let users: [Case; 5] = [
        (&[("Cookie", "s=alice")], Some("ws://s-alice:1")),
        (&[("Cookie", "s=bob")], Some("ws://s-bob:1")),
        (&[("Cookie", "s"), ("Cookie", "alice")], Some("ws://s-alice:1")),
        (&[("Cookie", "s=alice"), ("Authorization", "x")], Some("ws://s-alice:1")),
        (&[], None),
    ];
    for _ in 0..2 {
        for (headers, expected) in users {
            let lookup = cached.resolve(&with_headers("k", headers)).await.unwrap();
            let got = lookup.answer.map(|a| a.target.unwrap().to_string());
            assert_eq!(got.as_deref(), expected, "{headers:?}");
        }
    }
    // Each was asked for once, and the cache holds none of the values.
    assert_eq!(server.received().len(), users.len());
    let shown = format!("{:?}", d.cache_key(&with_headers("k", &[("Cookie", "s=alice")])));
    assert!(!shown.contains("alice"), "{shown}");
    let shown = format!("{:?}", with_headers("k", &[("Cookie", "s=alice")]));
    assert!(!shown.contains("alice") && shown.contains("Cookie"), "{shown}");
}
