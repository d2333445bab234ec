//! Over TLS to the upstream: whom it trusts, and whom not.

use crate::harness::*;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

async fn start(conf: String) -> Httpd {
    let pki = Pki::get();
    Httpd::with(conf)
        .file("ca.pem", pki.ca.cert.as_bytes())
        .file("self.pem", pki.self_signed.cert.as_bytes())
        .tls()
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_trusted_by_default() {
    let up = Upstream::echo_tls().await;
    let signed = Upstream::echo_tls_with(&Pki::get().signed).await;
    let httpd = start(ws("/self", &up.url()) + &ws("/signed", &signed.url())).await;
    for (_, client) in httpd.clients() {
        client.refused("/self", 502).await;
        client.refused("/signed", 502).await;
    }
    httpd.log().expect(words::TLS).await;
    let lines = httpd.log().lines();
    let said = |l: &Line| l.module == "wsroute" && l.text.to_lowercase().contains("certificate");
    assert!(lines.iter().any(said), "no line says that it was the certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_let_it_in() {
    let pki = Pki::get();
    let own = Upstream::echo_tls().await;
    let signed = Upstream::echo_tls_with(&pki.signed).await;
    let elsewhere = Upstream::echo_tls_with(&pki.elsewhere).await;
    let pin = hex(&Sha256::digest(pki.self_signed.der()));
    let table = [
        (&own, "verify=off".to_owned()),
        (&elsewhere, "verify=off".to_owned()),
        (&signed, "ca=\"${ROOT}/ca.pem\"".to_owned()),
        (&signed, "verify=on ca=\"${ROOT}/ca.pem\"".to_owned()),
        (&elsewhere, "ca=\"${ROOT}/ca.pem\" name=kasm.example".to_owned()),
        (&own, format!("pin=sha256:{pin}")),
        (&own, format!("pin=sha256:{}", pin.to_uppercase())),
    ];
    let conf = table.iter().enumerate().map(|(i, (up, options))| {
        location(&format!("/{i}"), &format!("WsRoute \"{}\"\nWsRouteUpstream {options}", up.url()))
    });
    let httpd = start(conf.collect()).await;
    for (how, client) in httpd.clients() {
        for (i, (_, options)) in table.iter().enumerate() {
            let mut ws = client.upgrade(&format!("/{i}")).await;
            ws.echo(&format!("{how} {options}")).await;
            ws.leave().await;
        }
    }
}

/// A web server without TLS, which does not wait for the end of what it cannot read.
async fn says_400() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its number");
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            let _ = tcp.shutdown().await;
            let _ = tcp.read_to_end(&mut Vec::new()).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_keep_others_out() {
    let pki = Pki::get();
    let own = Upstream::echo_tls().await;
    let elsewhere = Upstream::echo_tls_with(&pki.elsewhere).await;
    let plain = says_400().await;
    let pin = "0".repeat(64);
    let not_tls = format!("wss://{plain}");
    let table = [
        ("another authority", own.url(), "ca=\"${ROOT}/ca.pem\"".to_owned()),
        ("another name", elsewhere.url(), "ca=\"${ROOT}/ca.pem\"".to_owned()),
        ("another pin", own.url(), format!("pin=sha256:{pin}")),
        ("no TLS at all", not_tls, "verify=off".to_owned()),
        ("TLS, unexpected", own.url().replace("wss:", "ws:"), String::new()),
    ];
    for (what, url, options) in table {
        let options =
            if options.is_empty() { options } else { format!("WsRouteUpstream {options}") };
        let httpd = start(location("/ws", &format!("WsRoute \"{url}\"\n{options}"))).await;
        match httpd.client().ask("/ws").await {
            Answer::Refused(r, _) => assert_eq!(r.status, 502, "{what}"),
            Answer::Upgraded(..) => panic!("{what}: 101"),
        }
        httpd.log().expect(words::TLS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolvers_answer_takes_the_scheme() {
    let up = Upstream::echo_tls().await;
    let conf = "WsRouteResolver desktops file \"${ROOT}/routes\"\n".to_owned()
        + &location(
            "/scheme",
            "WsRoute desktops\nWsRouteKey query:k\nWsRouteUpstream scheme=wss verify=off",
        )
        + &location("/own", "WsRoute desktops\nWsRouteKey query:k\nWsRouteUpstream verify=off");
    let to = up.address;
    let routes = format!("bare {to}\nurl wss://{to}\nfield {to} scheme=wss\n");
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    for path in ["/scheme?k=bare", "/scheme?k=url", "/own?k=url", "/own?k=field"] {
        httpd.client().upgrade(path).await.echo(path).await;
    }
}
