//! Which pages may open a WebSocket: cross-site WebSocket hijacking ends here.

use crate::harness::*;

async fn check(httpd: &Httpd, path: &str, origins: &[(&str, bool)]) {
    for (origin, allowed) in origins {
        let origin = origin.replace("PORT", &httpd.port().to_string());
        let client = httpd.client().header("Origin", &origin);
        match client.ask(path).await {
            Answer::Upgraded(..) => assert!(allowed, "{origin} was let in to {path}"),
            Answer::Refused(r, _) => {
                assert_eq!((r.status, *allowed), (403, false), "{origin} at {path}")
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_sites_own_pages_by_default() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
    let origins = [
        ("http://localhost:PORT", true),
        ("http://evil.example", false),
        ("http://evil.example:PORT", false),
        ("http://localhost.evil.example:PORT", false),
        ("http://evil.example/localhost:PORT", false),
        ("null", false),
        ("nonsense", false),
    ];
    check(&httpd, "/ws", &origins).await;
    // Programs other than browsers send no Origin.
    httpd.client().without("Origin").upgrade("/ws").await.leave().await;
    let two = httpd.client().also("Origin", "http://evil.example");
    let Answer::Refused(..) = two.ask("/ws").await else { panic!("two Origins were let in") };
    httpd.log().expect(words::ORIGIN).await;
    assert_eq!(up.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_if_they_are_named() {
    let up = Upstream::echo().await;
    let route = format!("WsRoute \"{}\"", up.url());
    let named = "WsRouteOrigin app.example.org *.example.net";
    let conf = location("/any", &format!("{route}\nWsRouteOrigin any"))
        + &location("/named", &format!("{route}\n{named}"))
        + &location("/both", &format!("{route}\nWsRouteOrigin same app.example.org"));
    let httpd = Httpd::with(conf).start().await;
    check(&httpd, "/any", &[("http://evil.example", true), ("null", true)]).await;
    let origins = [
        ("https://app.example.org", true),
        ("https://a.example.net", true),
        ("https://example.org", false),
        ("https://app.example.org.evil.example", false),
        ("https://evilexample.net", false),
        ("https://evil.example", false),
    ];
    check(&httpd, "/named", &origins).await;
    let origins =
        [("http://localhost:PORT", true), ("http://app.example.org", true), ("http://x", false)];
    check(&httpd, "/both", &origins).await;
    httpd.log().expect(words::ORIGIN).await;
}
