//! `conf/examples`: each file as it stands, with real things around it. What must differ from a
//! real server (addresses, ports, paths of files) is replaced, each replacement is listed in the
//! test, and each must be needed.

mod cluster;
mod containers;
mod first_user;
mod guides;
mod ides;
mod installed;
mod others;
mod programs;
mod recipes;
mod vscode;

use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::users;

/// What is replaced in every example.
const EVERYWHERE: &[(&str, &str)] = &[
    ("<VirtualHost *:443>", "<VirtualHost 127.0.0.1:${TLS_PORT}>"),
    ("/etc/apache2/tls/desktop.pem", "${ROOT}/cert.pem"),
    ("/etc/apache2/tls/desktop.key", "${ROOT}/key.pem"),
    ("/etc/apache2/wsroute/", "${ROOT}/"),
];

/// An httpd with the example `name`, these texts replaced; alice (wonder) and bob (builder) may
/// log in.
fn example(name: &str, replaced: &[(&str, &str)]) -> Setup {
    let file = format!("{}/conf/examples/{name}.conf", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    for (from, to) in EVERYWHERE.iter().chain(replaced) {
        assert!(text.contains(from), "{name}: nothing to replace: {from}");
        text = text.replace(from, to);
    }
    let global =
        format!("Define KASM_BASIC {KASM_BASIC}\nListen 127.0.0.1:${{TLS_PORT}} https\n{text}");
    Httpd::with("").global(&global).module("ssl").module("socache_shmcb").file("users", users())
}

/// Starts it; what the certificate of the tests and their refusals bring into the log is no fault.
async fn start(setup: Setup) -> Httpd {
    let httpd = setup.start().await;
    // The certificate is for localhost, and there is no cache of TLS sessions.
    httpd.log().allow("AH01909");
    httpd.log().allow("AH01873");
    for refusal in ["AH01617", words::NOT_YOURS, words::UNKNOWN_KEY, words::ORIGIN, words::REFUSED]
    {
        httpd.log().allow(refusal);
    }
    httpd
}

/// What every KasmVNC container of the tests wants: kasm_user:s3cret.
const KASM_BASIC: &str = "a2FzbV91c2VyOnMzY3JldA==";

/// A browser that asks for `host`, and is logged in as alice or bob.
fn browser(httpd: &Httpd, host: &str, user: &str) -> Client {
    let password = if user == "alice" { "wonder" } else { "builder" };
    httpd.tls_client(Tls::V13).host(host).basic(user, password)
}

/// What becomes of an upgrade: the container says its name, or there is a status.
async fn outcome(client: &Client, path: &str) -> String {
    match client.ask(path).await {
        Answer::Upgraded(_, mut ws) => ws.frame().await.text(),
        Answer::Refused(response, _) => match response.header("Retry-After") {
            "" => response.status.to_string(),
            _ => format!("{} later", response.status),
        },
    }
}

/// The upgrade of `path` reaches the container that calls itself `name`, and bytes go both ways.
async fn reaches(client: &Client, path: &str, name: &str) {
    let mut ws = client.clone().header("Sec-WebSocket-Protocol", "binary").upgrade(path).await;
    assert_eq!(ws.frame().await.text(), name, "{path}");
    ws.echo("there and back").await;
    ws.leave().await;
}
