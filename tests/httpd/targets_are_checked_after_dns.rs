//! `WsRouteAllow` is asked for what a name leads to, not for how it is written.

use crate::harness::http_server::{HttpServer, Then, answer};
use crate::harness::*;

/// What a resolver may say, what is listed, and whether httpd connects. `P` is the port of a
/// container, `Q` that of another service on this host.
const TABLE: &[(&str, &str, bool)] = &[
    // Written in any way, loopback is loopback.
    ("127.0.0.1:P", "10.0.0.0/8", false),
    ("localhost:P", "10.0.0.0/8", false),
    ("LOCALHOST:P", "10.0.0.0/8", false),
    ("localhost.:P", "10.0.0.0/8", false),
    ("[::ffff:127.0.0.1]:P", "10.0.0.0/8", false),
    ("[::ffff:7f00:1]:P", "10.0.0.0/8", false),
    ("[0:0:0:0:0:FFFF:127.0.0.1]:P", "10.0.0.0/8", false),
    ("[::ffff:127.0.0.1]:P", "::/0", false),
    ("0.0.0.0:P", "10.0.0.0/8", false),
    ("0.0.0.0:P", "", false),
    ("[::]:P", "", false),
    ("[::ffff:0.0.0.0]:P", "", false),
    ("[::127.0.0.1]:P", "", false),
    ("127.0.0.1.:P", "10.0.0.0/8", false),
    ("127.0.0.1.:P", "127.0.0.1", true),
    ("127.0.0.1:P", "127.0.0.0/8", true),
    ("127.9.9.9:P", "127.0.0.1/32", false),
    ("[::ffff:127.0.0.1]:P", "127.0.0.0/8", true),
    ("[::ffff:127.0.0.1]:P", "127.0.0.1:P", true),
    ("127.0.0.1:P", "[::ffff:127.0.0.1]:P", true),
    ("127.0.0.1:P", "::ffff:127.0.0.0/104", true),
    ("localhost:P", "127.0.0.0/8", true),
    ("localhost.:P", "127.0.0.1", true),
    ("localhost:P", "::1", false),
    // A name that is listed does not lead inwards, but localhost, which says so.
    ("localhost:P", "localhost", true),
    ("LocalHost.:P", "localhost:P", true),
    ("localhost:P", "LOCALHOST", true),
    ("localhost:P", "*.localhost", false),
    ("localhost:P", "*.example.org", false),
    ("localhost:P", "localhost.example.org", false),
    ("127.0.0.1:P", "localhost", false),
    // Ports
    ("127.0.0.1:P", "P", true),
    ("127.0.0.1:Q", "P", false),
    ("localhost:Q", "localhost:P", false),
    ("localhost:Q", "127.0.0.1:P", false),
    ("127.0.0.1:Q", "127.0.0.0/8 P", false),
    ("127.0.0.1:P", "127.0.0.0/8 P", true),
    ("[::ffff:127.0.0.1]:Q", "127.0.0.1:P", false),
    ("127.0.0.1:Q", "localhost P", false),
    // Never by default
    ("169.254.169.254:80", "", false),
    ("[::ffff:169.254.169.254]:80", "", false),
    ("[fe80::1]:80", "", false),
    ("224.0.0.1:80", "", false),
    ("255.255.255.255:80", "", false),
    ("100.64.0.1:80", "", false),
    ("[64:ff9b::7f00:1]:80", "", false),
    ("[2002:7f00:1::]:80", "", false),
    ("ws://127.0.0.1:P/x", "10.0.0.0/8", false),
    ("ws+unix:/run/docker.sock", "", false),
    ("ws+unix:/run/docker.sock", "unix:/run/desktops/", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_they_are_called() {
    let (up, other) = (Upstream::echo().await, Upstream::echo().await);
    let (p, q) = (up.address.port(), other.address.port());
    let here = |text: &str| text.replace('P', &p.to_string()).replace('Q', &q.to_string());
    let mut routes = String::new();
    let mut conf = "WsRouteResolver desktops file \"${ROOT}/routes\"\n".to_owned();
    for (i, (target, allow, _)) in TABLE.iter().enumerate() {
        routes += &format!("{i} {}\n", here(target));
        let allow = match *allow {
            "" => String::new(),
            allow => format!("WsRouteAllow {}", here(allow)),
        };
        let route = format!("WsRoute desktops\nWsRouteKey path \"([0-9]+)$\"\n{allow}");
        conf += &location(&format!("/{i}"), &route);
    }
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    httpd.log().allow(words::NOT_ALLOWED);
    let mut wrong = Vec::new();
    for (i, (target, allow, allowed)) in TABLE.iter().enumerate() {
        let before = up.connections();
        let status = match httpd.client().ask(&format!("/{i}")).await {
            Answer::Upgraded(_, ws) => {
                ws.leave().await;
                101
            }
            Answer::Refused(response, _) => response.status,
        };
        let expected = if *allowed { 101 } else { 403 };
        let connected = up.connections() - before;
        if status != expected || connected != usize::from(*allowed) {
            wrong.push(format!("{target} with {allow:?}: {status}, {connected} connections"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(other.connections(), 0);
}

/// Hosts that only some libraries take for addresses: no answer at all, so 502.
#[tokio::test(flavor = "multi_thread")]
async fn abbreviated_addresses_are_none() {
    let up = Upstream::echo().await;
    let port = up.address.port();
    let hosts = [
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.01",
        "user@127.0.0.1",
        "１２７.0.0.1",
        "[fe80::1%25lo]",
        "::1",
        "127.0.0.1\\@x",
        "a b",
        "-localhost",
        "",
    ];
    let api = HttpServer::tcp(move |request, write| {
        let n: usize = request.target.trim_start_matches('/').parse().unwrap_or(0);
        let target = serde_json::json!({"target": format!("{}:{port}", hosts[n])});
        write.write_all(&answer("200 OK", "", &target.to_string())).map(|()| Then::Keep)
    });
    let conf = format!("WsRouteResolver api http http://{}/{{key}}\n", api.address())
        + &location("/", "WsRoute api\nWsRouteKey query:k");
    let httpd = Httpd::with(conf).start().await;
    for (i, host) in hosts.iter().enumerate() {
        let answer = httpd.client().ask(&format!("/?k={i}")).await;
        let Answer::Refused(response, _) = answer else { panic!("{host:?}: 101") };
        assert_eq!(response.status, 502, "{host:?}");
    }
    httpd.log().expect("malformed answer").await;
    assert_eq!(up.connections(), 0);
}

/// A redirect of the application's is no answer: the client's cookies and the API key stay here.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let up = Upstream::echo().await;
    let target = up.address.to_string();
    let elsewhere = HttpServer::tcp(move |_, write| {
        write.write_all(&answer("200 OK", "", &target)).map(|()| Then::Keep)
    });
    let to = elsewhere.address();
    let api = HttpServer::tcp(move |request, write| {
        let status = format!("{} Elsewhere", request.target.trim_start_matches("/find/"));
        let lines = format!("Location: http://{to}/x\r\nX-WsRoute-Target: {to}\r\n");
        write.write_all(&answer(&status, &lines, "")).map(|()| Then::Keep)
    });
    let conf = format!(
        "WsRouteResolver api http http://{}/find/{{key}} forward=Cookie header=\"X-API-Key: k\"\n",
        api.address()
    ) + &location("/", "WsRoute api\nWsRouteKey query:k");
    let httpd = Httpd::with(conf).start().await;
    let client = httpd.client().header("Cookie", "session=secret");
    for status in [300, 301, 302, 303, 304, 307, 308] {
        client.refused(&format!("/?k={status}"), 502).await;
    }
    assert!(elsewhere.received().is_empty(), "{:?}", elsewhere.received());
    assert_eq!((api.received().len(), up.connections()), (7, 0));
    httpd.log().expect("redirects are not followed").await;
}
