//! The module is loaded, unloaded and loaded again without anybody noticing.

use crate::harness::*;
use rustix::process::Signal;

#[test]
fn configtest_is_quiet() {
    let (fine, said) = Httpd::with(ws("/", "ws://127.0.0.1:9")).configtest();
    assert!(fine, "{said}");
    assert_eq!(said.trim(), "Syntax OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_it_twice_is_httpds_own_warning() {
    let up = Upstream::echo().await;
    let setup = Httpd::with(ws("/ws", &up.url())).load_twice();
    let (fine, said) = setup.configtest();
    assert!(fine && said.contains("AH01574"), "{said}");
    let httpd = setup.start().await;
    httpd.allow_output("AH01574");
    httpd.log().allow("AH01574");
    httpd.client().upgrade("/ws").await.echo("once is enough").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_leave_nothing_in_the_parent() {
    let up = Upstream::echo().await;
    let conf = "WsRouteResolver d file \"${ROOT}/routes\"\n".to_owned()
        + &location("/d", "WsRoute d\nWsRouteKey query:k\nWsRouteUpstream ca=\"${ROOT}/cert.pem\"")
        + &ws("/ws", &up.url());
    let httpd = Httpd::with(conf).file("routes", "").tls().start().await;
    let mut descriptors = Vec::new();
    for n in 2..=11 {
        httpd.signal(Signal::USR1);
        httpd.until_started(n).await;
        drop(httpd.client().upgrade("/ws").await);
        descriptors.push(httpd.parent_descriptors());
    }
    assert!(descriptors[9] <= descriptors[1], "{descriptors:?}");
    httpd.signal(Signal::HUP);
    httpd.until_started(12).await;
    httpd.client().upgrade("/ws").await.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_directive_it_does_nothing() {
    let httpd = Httpd::with("").start().await;
    assert_eq!(httpd.client().get("/index.html").await.status, 200);
    let Answer::Refused(response, _) = httpd.client().ask("/index.html").await else {
        panic!("101 without a route");
    };
    assert_eq!(response.status, 200);
    let lines = httpd.log().lines();
    let loud = |l: &&Line| l.module == "wsroute" && !["info", "debug"].contains(&&l.level[..]);
    let loud: Vec<_> = lines.iter().filter(loud).collect();
    assert!(loud.len() <= 1, "more than the one line at start: {loud:?}");
}
