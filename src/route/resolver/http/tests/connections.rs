//! Connections that are kept, closed, refused and shared.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn a_connection_is_used_again() {
    for status in ["200 OK", "404 Not Found", "500 Internal Server Error"] {
        let server = server(answer(status, "", ALICE));
        let d = resolver(&url(&server, "/{key}"), &[]);
        for n in 0..20 {
            let _ = target(&d, &n.to_string()).await;
        }
        assert_eq!((server.received().len(), server.connections()), (20, 1), "{status}");
    }
}

#[tokio::test]
async fn many_at_once_are_answered_each_with_its_own() {
    let server = HttpServer::tcp(|request, out| {
        let body = format!(r#"{{"target":"h{}:1"}}"#, &request.target[1..]);
        out.write_all(&answer("200 OK", "", &body)).map(|()| Then::Keep)
    });
    let d = Arc::new(resolver(&url(&server, "/{key}"), &[]));
    let mut askers = Vec::new();
    for n in 0..300u64 {
        let (asked, cancelled) = (Arc::clone(&d), Arc::clone(&d));
        askers.push(tokio::spawn(async move {
            assert_eq!(target(&*asked, &n.to_string()).await, some(&format!("ws://h{n}:1")));
        }));
        let cancelled = tokio::spawn(async move { target(&*cancelled, "x").await });
        tokio::time::sleep(Duration::from_micros(n % 50)).await;
        cancelled.abort();
    }
    for asker in askers {
        asker.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let server = server(answer("200 OK", "", ALICE));
    let d = resolver(&url(&server, "/{key}"), &[]);
    assert_eq!(target(&d, "alice").await, some("ws://10.0.0.5:6901"));
    server.close_connections();
    assert_eq!(target(&d, "alice").await, some("ws://10.0.0.5:6901"));
    assert_eq!(server.connections(), 2);
}

/// The request is on its way when the server hangs up.
#[tokio::test]
async fn a_connection_closed_in_the_moment_of_use_is_replaced() {
    let asked = AtomicUsize::new(0);
    let server = HttpServer::tcp(move |_, out| match asked.fetch_add(1, Ordering::SeqCst) {
        1 => Ok(Then::Close),
        _ => out.write_all(&answer("200 OK", "", ALICE)).map(|()| Then::Keep),
    });
    let d = resolver(&url(&server, "/{key}"), &[]);
    assert_eq!(target(&d, "alice").await, some("ws://10.0.0.5:6901"));
    assert_eq!(target(&d, "alice").await, some("ws://10.0.0.5:6901"));
    assert_eq!(server.received().len(), 3);

    // One that always does so is asked twice, not for ever.
    let server = HttpServer::tcp(|_, _| Ok(Then::Close));
    let error = target(&resolver(&url(&server, "/{key}"), &[]), "alice").await.unwrap_err();
    assert!(matches!(error, ResolveError::Failed(_)), "{error}");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_down_comes_back() {
    let first = server(answer("200 OK", "", ALICE));
    let address = first.address();
    let d = resolver(&url(&first, "/{key}?secret=hunter2"), &["header=X-API-Key: hunter2"]);
    assert_eq!(target(&d, "alice").await, some("ws://10.0.0.5:6901"));
    drop(first);
    let began = Instant::now();
    for _ in 0..3 {
        let error = target(&d, "alice").await.unwrap_err();
        let expected = format!("http://{address}/{{key}}: Connection refused (os error 111)");
        assert_eq!(error, ResolveError::Failed(expected));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let again = HttpServer::tcp_at(address, |_, out| {
        out.write_all(&answer("200 OK", "", "\"h:1\"")).map(|()| Then::Keep)
    });
    assert_eq!(target(&d, "alice").await, some("ws://h:1"));
    drop(again);
}

#[tokio::test]
async fn names_are_looked_up() {
    let server = server(answer("200 OK", "", ALICE));
    let d = resolver(&format!("http://localhost:{}/{{key}}", server.address().port()), &[]);
    assert_eq!(target(&d, "alice").await, some("ws://10.0.0.5:6901"));
    let nowhere = resolver("http://nowhere.invalid/{key}?secret=hunter2", &[]);
    let error = target(&nowhere, "alice").await.unwrap_err().to_string();
    assert!(error.starts_with("http://nowhere.invalid/{key}: "), "{error}");
    assert!(error.contains("lookup") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn unix_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let server = HttpServer::unix(&path, |_, out| {
        out.write_all(&answer("200 OK", "", ALICE)).map(|()| Then::Keep)
    });
    let d = resolver(&format!("http+unix:{}:/t/{{key}}?v=1", path.display()), &[]);
    for _ in 0..2 {
        assert_eq!(target(&d, "a/b").await, some("ws://10.0.0.5:6901"));
    }
    let received = server.received().pop().unwrap();
    assert_eq!((received.target.as_str(), received.connection), ("/t/a%2Fb?v=1", 0));
    assert_eq!(received.header("host"), "localhost");
    let gone = resolver("http+unix:/no/such.sock:/{key}", &[]);
    let error = target(&gone, "alice").await.unwrap_err().to_string();
    assert!(error.starts_with("http+unix:/no/such.sock:/{key}: No such file"), "{error}");
}

#[test]
fn a_busy_runtime_holds_up_nobody() {
    let server = server(answer("200 OK", "", ALICE));
    let d = resolver(&url(&server, "/{key}"), &[]);
    for _ in 0..2 {
        // The second time the runtimes of the first are gone.
        let (got, took) = ask_beside_a_busy_runtime(&d, "alice");
        assert_eq!(got, some("ws://10.0.0.5:6901"));
        assert!(took < Duration::from_millis(900), "{took:?}");
    }
}

/// A variable of the environment is no configuration of httpd's.
#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    const INNER: &str = "WSROUTE_TEST_PROXY_TARGET";
    if let Ok(url) = std::env::var(INNER) {
        assert_eq!(target(&resolver(&url, &[]), "alice").await, some("ws://10.0.0.5:6901"));
        return;
    }
    let (proxy, server) =
        (server(answer("200 OK", "", "\"evil:1\"")), server(answer("200 OK", "", ALICE)));
    let this = "route::resolver::http::tests::connections::proxies_of_the_environment_are_not_used";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this])
        .env(INNER, url(&server, "/{key}"))
        .envs(
            ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"]
                .map(|name| (name, url(&proxy, ""))),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((server.received().len(), proxy.received().len()), (1, 0));
}
