//! Names with several addresses, name servers that are silent, and what TLS and HTTP/2 can break.

use crate::check_servers::Haproxy;
use crate::check_tools::{Checked, answer, check};
use crate::harness::{Httpd, Pki, Upstream, ws};
use crate::run::Said;
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Arguments: a file, the one in /etc that it stands for, and the command.
const INSTEAD: &str = "ip link set lo up; mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
/// Takes the port of a name server, says nothing there, and runs the command meanwhile.
const SILENT: &str = "
import socket, subprocess, sys
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind(('127.0.0.1', 53))
sys.exit(subprocess.call(sys.argv[1:]))
";

/// `wsroutectl check --json ARGS` where `text` is the file /etc/NAME; `apart`: more words for
/// `unshare`, `through`: what starts the command.
fn check_where(name: &str, text: &str, apart: &[&str], through: &[&str], args: &[&str]) -> Checked {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--map-root-user"]).args(apart).args(["sh", "-c", INSTEAD, "sh"]);
    unshare.arg(file.path()).arg(format!("/etc/{name}")).args(through);
    unshare.arg(env!("CARGO_BIN_EXE_wsroutectl")).args(["check", "--json"]).args(args);
    let output = unshare.output().expect("unshare of util-linux");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("it was not killed");
    Checked::of(Said { out: text(output.stdout), err: text(output.stderr), code }, args)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_two_addresses() {
    let up = Upstream::echo().await;
    let port = up.address.port();
    let at = format!("ws://desk.example:{port}/");
    let hosts = "::1 desk.example\n127.0.0.1 desk.example\n";
    let asked = check_where("hosts", hosts, &[], &[], &[&at]);
    assert_eq!(asked.said.code, 0, "{}", asked.said.out);
    let tcp = asked.told["steps"].as_array().expect("steps").iter().find(|s| s["step"] == "tcp");
    let tcp = tcp.expect("the step")["text"].as_str().expect("text").to_owned();
    assert!(tcp.contains(&format!("[::1]:{port}: ")) && tcp.contains("browsers may"), "{tcp}");

    let old =
        Upstream::serve_at(format!("127.0.0.2:{port}").parse().expect("an address"), |conn| {
            answer(conn, "404 Not Found", "", "the old server")
        })
        .await;
    for (first, second) in [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")] {
        let hosts = format!("{first} desk.example\n{second} desk.example\n");
        check_where("hosts", &hosts, &[], &[], &[&at])
            .finds("address-differs", &["at 127.0.0.1", "at 127.0.0.2", "is 404"]);
    }
    drop(old);
}

#[test]
fn a_silent_name_server() {
    let conf = "nameserver 127.0.0.1\noptions timeout:9 attempts:1\n";
    let through = ["python3", "-c", SILENT];
    let args = ["ws://desk.example/", "--timeout", "2"];
    check_where("resolv.conf", conf, &["--net"], &through, &args)
        .finds("name-late", &["name server", "--connect"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_demanded() {
    let up = Upstream::echo().await;
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let conf = ws("/ws", &up.url())
            + "SSLVerifyClient require\nSSLCACertificateFile \"${ROOT}/ca.pem\"\n"
            + &format!("SSLProtocol -all +{protocol}\n");
        let ca = Pki::get().ca.cert.clone();
        let httpd = Httpd::with(conf).file("ca.pem", ca).tls().start().await;
        let ca = httpd.root().join("ca.pem").display().to_string();
        check(&[&format!("wss://localhost:{}/ws", httpd.tls_port()), "--ca", &ca])
            .finds("client-certificate", &["SSLVerifyClient"]);
        httpd.log().allow("AH0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_has_no_certificate() {
    let up = Upstream::echo().await;
    let bind = "ssl crt ROOT/both.pem strict-sni".to_owned();
    let front = Haproxy { server: up.address.to_string(), bind, ..Haproxy::default() }.start();
    let address = format!("127.0.0.1:{}", front.port);
    check(&["wss://desk.example/", "--connect", &address])
        .finds("tls-failed", &["UnrecognisedName"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem").display().to_string();
    std::fs::write(&ca, &Pki::get().ca.cert).expect("a file");
    let up = Upstream::echo().await;
    let front = Haproxy {
        server: up.address.to_string(),
        bind: "ssl crt ROOT/both.pem alpn h2,http/1.1".to_owned(),
        backend: "http-request deny if { fc_http_major 2 }".to_owned(),
        ..Haproxy::default()
    };
    let front = front.start();
    check(&[&format!("wss://localhost:{}/", front.port), "--ca", &ca])
        .finds("h2-fails", &["RFC 8441", "the answer is 403"]);

    let mut config = Pki::get().signed.server().as_ref().clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its number").port();
    tokio::spawn(async move {
        let tls = TlsAcceptor::from(Arc::new(config));
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = tls.accept(tcp).await;
        }
    });
    check(&[&format!("wss://localhost:{port}/"), "--ca", &ca])
        .finds("h2-only", &["Protocols h2 http/1.1"]);
}
