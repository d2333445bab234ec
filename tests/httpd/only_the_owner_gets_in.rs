//! A desktop belongs to somebody: nobody else reaches it.

use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::{LOGIN, users};

const ROUTE: &str = "WsRoute desktops\nWsRouteKey path \"^/desktop/([^/]+)\"\n\
                     WsRouteOwner \"%{REMOTE_USER}\"";
const RESOLVER: &str = "WsRouteResolver desktops file \"${ROOT}/routes\"\n";

fn routes(up: &Upstream) -> String {
    let to = up.address;
    format!("alice {to} owner=alice\nbob {to} owner=bob\nempty {to} owner=\nnobodys {to}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn alice_sees_hers_and_bob_sees_his() {
    let up = Upstream::echo().await;
    let conf = RESOLVER.to_owned() + &location("/desktop", &format!("{ROUTE}\n{LOGIN}"));
    let httpd =
        Httpd::with(conf).file("users", users()).file("routes", routes(&up)).tls().start().await;
    for (how, client) in httpd.clients() {
        let asked = up.connections();
        let alice = client.clone().basic("alice", "wonder");
        let bob = client.clone().basic("bob", "builder");
        alice.upgrade("/desktop/alice/x").await.echo(how).await;
        bob.upgrade("/desktop/bob/x").await.echo(how).await;
        alice.refused("/desktop/bob/x", 403).await;
        bob.refused("/desktop/alice/x", 403).await;
        alice.refused("/desktop/nobodys/x", 403).await;
        alice.refused("/desktop/empty/x", 403).await;
        client.refused("/desktop/alice/x", 401).await;
        client.clone().basic("alice", "builder").refused("/desktop/alice/x", 401).await;
        assert_eq!(up.connections(), asked + 2, "{how}: a refused one was asked for upstream");
    }
    httpd.log().expect(words::NOT_YOURS).await;
    httpd.log().allow("AH01617");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_owner_is_nobody() {
    let up = Upstream::echo().await;
    let conf = RESOLVER.to_owned() + &location("/desktop", ROUTE);
    let httpd = Httpd::with(conf).file("routes", routes(&up)).start().await;
    for desktop in ["alice", "empty", "nobodys"] {
        httpd.client().refused(&format!("/desktop/{desktop}/"), 403).await;
    }
    // Credentials that nobody asked for and nobody checked name no user.
    let claims = httpd.client().basic("alice", "wonder");
    claims.refused("/desktop/alice/", 403).await;
    httpd.log().expect(words::NOT_YOURS).await;
    assert_eq!(up.connections(), 0);
}
