//! KasmVNC up to 1.3.4 reads requests its own way (docs: handoff, the last table).

use crate::harness::*;

const USER: (&str, &str) = ("kasm_user", "password");
const BASIC: &str = "Basic a2FzbV91c2VyOnBhc3N3b3Jk";

fn browser(client: Client) -> Client {
    client
        .header("Sec-WebSocket-Protocol", "binary")
        .header("Cookie", &format!("big={}", "x".repeat(5_000)))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_credentials_from_mod_headers() {
    let up = Upstream::kasm(USER.0, USER.1).await;
    let lines = format!(
        "WsRoute \"{}/websockify\"\nWsRouteUpstream verify=off\n\
         RequestHeader set Authorization \"{BASIC}\"",
        up.url()
    );
    let httpd = Httpd::with(location("/desktop", &lines)).tls().start().await;
    for (how, client) in httpd.clients() {
        let (response, mut ws) = browser(client).upgrade_with("/desktop/", b"").await;
        assert_eq!(response.all("Sec-WebSocket-Protocol"), ["binary"], "{how}");
        ws.echo(how).await;
        ws.leave().await;
        assert!(up.last().await.reads < 10, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_credentials_from_the_resolver() {
    let up = Upstream::kasm(USER.0, USER.1).await;
    let conf = "WsRouteResolver desktops file \"${ROOT}/routes\"\n".to_owned()
        + &location(
            "/",
            "WsRoute desktops\nWsRouteKey query:k\nWsRouteUpstream scheme=wss verify=off",
        );
    let line = format!("a {} username={} password={}\n", up.address, USER.0, USER.1);
    let wrong = format!("b {} username={} password=x\n", up.address, USER.0);
    let httpd = Httpd::with(conf).file("routes", line + &wrong).start().await;
    let client = browser(httpd.client());
    client.upgrade("/?k=a").await.echo("in").await;
    // The resolver's word wins over what the browser says.
    client.clone().basic("x", "y").upgrade("/?k=a").await.echo("in").await;
    let response = client.refused("/?k=b", 401).await;
    assert_eq!(response.header("WWW-Authenticate"), "Basic realm=\"Websockify\"");
    httpd.log().allow(words::BROKEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_offers_nothing_can_be_helped() {
    let up = Upstream::kasm(USER.0, USER.1).await;
    let lines = format!(
        "WsRoute \"{}\"\nWsRouteUpstream verify=off subprotocol=binary\n\
         RequestHeader set Authorization \"{BASIC}\"",
        up.url()
    );
    let httpd = Httpd::with(location("/", &lines)).start().await;
    let (response, mut ws) = httpd.client().upgrade_with("/", b"").await;
    // RFC 6455 4.1: a client fails the connection on a subprotocol that it did not offer.
    assert_eq!(response.all("Sec-WebSocket-Protocol"), [""; 0]);
    ws.echo("in").await;
}
