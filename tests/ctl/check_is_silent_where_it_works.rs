//! Deployments that work: `wsroutectl check` finds nothing.

use crate::check_servers::{Haproxy, NGINX_PASSES, nginx, python};
use crate::check_tools::works;
use crate::harness::{Httpd, Pki, Upstream, location, run as command, ws};

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
    let httpd = setup.global("Protocols h2 http/1.1\nH2WebSockets on").start().await;
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
    let library = python(WEBSOCKETS);
    works(&[&format!("ws://localhost:{}", library.port)]);
}

/// A server of Python's library; it asks for an upgrade otherwise.
pub const WEBSOCKETS: &str = "
import asyncio, sys, websockets
async def echo(ws, path):
    async for message in ws:
        await ws.send(message)
async def main():
    async with websockets.serve(echo, '127.0.0.1', int(sys.argv[1]), subprotocols=['binary']):
        await asyncio.Future()
asyncio.run(main())
";

#[tokio::test(flavor = "multi_thread")]
async fn proxies_that_pass_it_on() {
    let library = python(WEBSOCKETS);
    let address = format!("127.0.0.1:{}", library.port);
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem").display().to_string();
    std::fs::write(&ca, &Pki::get().ca.cert).expect("a file");
    let pass = format!("location / {{ proxy_pass http://{address}; {NGINX_PASSES} }}");
    let front = nginx("", &pass);
    works(&[&format!("ws://localhost:{}/ws", front.port)]);
    let front = nginx("ssl http2", &pass);
    works(&[&format!("wss://localhost:{}/ws", front.port), "--ca", &ca]);
    let haproxy = Haproxy { server: address.clone(), ..Haproxy::default() }.start();
    works(&[&format!("ws://localhost:{}/ws", haproxy.port)]);
    // haproxy announces extended CONNECT: the WebSocket must work over HTTP/2, too.
    let bind = "ssl crt ROOT/both.pem alpn h2,http/1.1".to_owned();
    let haproxy = Haproxy { server: address.clone(), bind, ..Haproxy::default() }.start();
    works(&[&format!("wss://localhost:{}/ws", haproxy.port), "--ca", &ca]);
}
