//! A resolver's answer is no permission: httpd connects to allowed targets only.

use crate::harness::*;

const RESOLVER: &str = "WsRouteResolver desktops file \"${ROOT}/routes\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_only_by_default() {
    let up = Upstream::echo().await;
    let port = up.address.port();
    let conf = RESOLVER.to_owned() + &location("/", "WsRoute desktops\nWsRouteKey query:k");
    let routes = format!(
        "here {}\nname localhost:{port}\nworld 192.0.2.7:{port}\nv6 [2001:db8::1]:{port}\n\
         meta 169.254.169.254:80\n",
        up.address
    );
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    httpd.client().upgrade("/?k=here").await.leave().await;
    httpd.client().upgrade("/?k=name").await.leave().await;
    for key in ["world", "v6", "meta"] {
        httpd.client().refused(&format!("/?k={key}"), 403).await;
    }
    httpd.log().expect_count(3, words::NOT_ALLOWED).await;
    assert_eq!(up.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_instead_of_the_default() {
    let (a, b) = (Upstream::echo().await, Upstream::echo().await);
    let route = "WsRoute desktops\nWsRouteKey query:k";
    let (a_port, b_port) = (a.address.port(), b.address.port());
    let (low, high) = (a_port.min(b_port), a_port.max(b_port));
    let conf = RESOLVER.to_owned()
        + &location("/one", &format!("{route}\nWsRouteAllow 127.0.0.1:{a_port}"))
        + &location("/net", &format!("{route}\nWsRouteAllow 10.0.0.0/8 127.0.0.0/8"))
        + &location("/far", &format!("{route}\nWsRouteAllow 10.0.0.0/8"))
        + &location("/range", &format!("{route}\nWsRouteAllow 127.0.0.1:{low}-{high}"));
    let routes = format!("a {}\nb {}\n", a.address, b.address);
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    for (path, allowed) in [
        ("/one?k=a", true),
        ("/one?k=b", false),
        ("/net?k=a", true),
        ("/net?k=b", true),
        ("/far?k=a", false),
        ("/range?k=a", true),
        ("/range?k=b", true),
    ] {
        match (httpd.client().ask(path).await, allowed) {
            (Answer::Upgraded(..), true) => {}
            (Answer::Refused(r, _), false) => assert_eq!(r.status, 403, "{path}"),
            (answer, _) => panic!("{path}: {answer:?}"),
        }
    }
    httpd.log().expect(words::NOT_ALLOWED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_literal_url_is_always_allowed_and_a_key_is_not() {
    let up = Upstream::echo().await;
    let port = up.address.port();
    let conf = "WsRouteAllow 10.0.0.0/8\n".to_owned()
        + &ws("/literal", &up.url())
        + &location("/key", &format!("WsRoute \"ws://{{key}}:{port}\"\nWsRouteKey query:k"));
    let httpd = Httpd::with(conf).start().await;
    httpd.client().upgrade("/literal").await.leave().await;
    httpd.client().refused("/key?k=127.0.0.1", 403).await;
    httpd.client().refused("/key?k=192.0.2.7", 403).await;
    httpd.log().expect(words::NOT_ALLOWED).await;
    assert_eq!(up.connections(), 1);
}
