//! Deployments that work: `wsroutectl check` finds nothing.

use crate::harness::{Httpd, Pki, Upstream, location, run as command, ws};
use crate::run::wsroutectl;

fn works(args: &[&str]) {
    let said = wsroutectl(&[&["check", "--hold", "1"], args].concat());
    let marked = |mark| said.out.lines().any(|line: &str| line.starts_with(mark));
    assert!(
        said.code == 0 && !marked("FAIL") && !marked("warn"),
        "{args:?}: {}{}",
        said.out,
        said.err
    );
    assert!(said.out.contains(" works\n"), "{}", said.out);
    for step in ["tcp", "http", "upgrade", "subprotocol", "ping", "frames", "open", "close"] {
        assert!(said.out.contains(&format!("  {step:11}  ")), "{step}: {}", said.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_module_and_mod_proxy() {
    let up = Upstream::echo().await;
    let login = "AuthType Basic\nAuthName x\nAuthUserFile \"${ROOT}/users\"\nRequire valid-user\n";
    let conf = ws("/ws", &up.url())
        + &location("/login", &format!("{login}WsRoute \"{}\"", up.url()))
        + &format!("ProxyPass /proxied http://{}/ upgrade=websocket\n", up.address);
    let users = command("openssl", &["passwd", "-apr1", "wonder"]);
    let setup = Httpd::with(conf).file("users", format!("alice:{users}"));
    let setup = setup.file("ca.pem", Pki::get().ca.cert.clone()).tls().module("http2");
    let httpd = setup.global("Protocols h2 http/1.1").start().await;
    httpd.log().allow("AH0");
    let (port, ca) = (httpd.port(), httpd.root().join("ca.pem").display().to_string());
    works(&[&format!("ws://localhost:{port}/ws")]);
    works(&[&format!("localhost:{port}/ws"), "http", "/index.html"]);
    works(&[&format!("ws://localhost:{port}/login/ws"), "--user", "alice:wonder"]);
    works(&[&format!("ws://localhost:{port}/proxied")]);
    let tls = httpd.tls_port();
    works(&[&format!("wss://localhost:{tls}/ws"), "--ca", &ca]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_httpd() {
    let up = Upstream::echo().await;
    works(&[&up.url()]);
    let named = Upstream::named("RFB 003.008\n").await;
    works(&[&named.url(), "--subprotocol", ""]);
}
