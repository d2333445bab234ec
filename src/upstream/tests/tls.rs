//! TLS: whom to trust, and whom to tell nothing.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair};
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};

use super::*;
use crate::upstream::tls::hex;

/// What a TLS upstream has seen.
#[derive(Default)]
struct Seen {
    heads: AtomicUsize,
    resumed: AtomicUsize,
}

/// An upstream behind TLS that counts the heads it got and the sessions that were resumed.
async fn tls_upstream(
    certificate: &str,
    key: &str,
    version: &'static rustls::SupportedProtocolVersion,
) -> (std::net::SocketAddr, Arc<Seen>) {
    let acceptor = acceptor(certificate, key, &[version]);
    let seen = Arc::new(Seen::default());
    let counted = seen.clone();
    let address = upstream(move |socket| {
        let (acceptor, counted) = (acceptor.clone(), counted.clone());
        async move {
            let Ok(mut tls) = acceptor.accept(socket).await else { return };
            if tls.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
                counted.resumed.fetch_add(1, Ordering::Relaxed);
            }
            let (head, reads) = read_head(&mut tls).await;
            if head.is_empty() {
                return;
            }
            counted.heads.fetch_add(1, Ordering::Relaxed);
            assert_eq!(reads, 1, "one TLS record");
            tls.write_all(format!("{SWITCH}early").as_bytes()).await.unwrap();
            let _ = tls.shutdown().await;
        }
    })
    .await;
    (address, seen)
}

async fn open_tls(host: &str, port: u16, policy: &UpstreamPolicy, pin: Option<[u8; 32]>) -> String {
    let address = Address::Tcp { host: host.into(), port };
    let target = Target { tls: true, address, path: None };
    let extras = Extras { pin, ..Extras::default() };
    let v4 = |_: &str, a: std::net::SocketAddr| a.is_ipv4();
    match open(&target, &request(&[]), policy, &extras, LONG, &v4).await {
        Ok(Opened::Switched(mut s)) => {
            let mut rest = Vec::new();
            s.io.read_to_end(&mut rest).await.unwrap();
            String::from_utf8([s.early, rest].concat()).unwrap()
        }
        Ok(Opened::Answered(a)) => panic!("answered {}", a.status),
        Err(e) => e.to_string(),
    }
}

#[tokio::test]
async fn certificates() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pems = |made: CertifiedKey<KeyPair>| (made.cert.pem(), made.signing_key.serialize_pem());
    let mut ca = CertificateParams::new(["desktop".to_string()]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut old = CertificateParams::new(["localhost".to_string()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let named = pems(certificate(&["localhost", "127.0.0.1"]));
    let only_desktop = pems(certificate(&["desktop"]));
    let nameless = pems(certificate(&[]));
    let a_ca = pems(sign(ca));
    let expired = pems(sign(old));
    let v1 = (V1_CERTIFICATE.to_string(), V1_KEY.to_string());
    let pin = |pem: &str| {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        hex(&Sha256::digest(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()))
    };
    let wrong = "00".repeat(32);
    let other = file("other.pem", &only_desktop.0);

    const OK: &str = "early";
    // (certificate, host, options with files and fingerprints to be filled in, expected)
    let table = [
        (&named, "localhost", "", "self-signed or from an unknown CA: set verify=off, ca= or pin="),
        (&named, "localhost", "verify=off", OK),
        (&named, "localhost", "ca={ca}", OK),
        (&named, "127.0.0.1", "ca={ca}", OK),
        (&named, "127.0.0.1", "ca={other}", "one has the same name, but another key"),
        (&named, "localhost", "pin=sha256:{pin}", OK),
        (&named, "localhost", "pin=sha256:{wrong}", "upstream-pin-mismatch: localhost"),
        (&named, "localhost", "pin=sha256:{wrong} verify=off", "upstream-pin-mismatch: localhost"),
        (&only_desktop, "127.0.0.1", "ca={ca}", "not for 127.0.0.1, it has desktop: set name="),
        (&only_desktop, "127.0.0.1", "ca={ca} name=desktop", OK),
        (&only_desktop, "localhost", "ca={ca} name=desktop", OK),
        (&only_desktop, "localhost", "pin=sha256:{pin}", OK),
        (&nameless, "localhost", "ca={ca}", "it has no subjectAltName"),
        (&nameless, "localhost", "verify=off", OK),
        (&nameless, "localhost", "pin=sha256:{pin}", OK),
        (&a_ca, "localhost", "ca={ca} name=desktop", OK),
        (&a_ca, "localhost", "ca={ca}", "not for localhost"),
        (&a_ca, "localhost", "", "self-signed"),
        (&expired, "localhost", "ca={ca}", "has expired"),
        (&expired, "localhost", "pin=sha256:{pin}", OK),
        (&v1, "localhost", "", "X.509 version 1"),
        (&v1, "localhost", "verify=off", OK),
        (&v1, "127.0.0.1", "pin=sha256:{pin}", OK),
    ];
    for version in [&TLS12, &TLS13] {
        for ((cert, key), host, options, expected) in table {
            let (address, seen) = tls_upstream(cert, key, version).await;
            let options = options
                .replace("{ca}", &file("ca.pem", cert))
                .replace("{pin}", &pin(cert))
                .replace("{wrong}", &wrong)
                .replace("{other}", &other);
            let got = open_tls(host, address.port(), &policy(&options), None).await;
            assert!(got.contains(expected), "{version:?} {host} {options}: {got}");
            assert_eq!(
                seen.heads.load(Ordering::Relaxed) == 1,
                expected == OK,
                "no head to strangers"
            );
        }
    }
}

#[tokio::test]
async fn a_pin_in_the_answer_wins_on_resumed_sessions_too() {
    let made = certificate(&["localhost"]);
    let fingerprint: [u8; 32] = Sha256::digest(made.cert.der()).into();
    for version in [&TLS12, &TLS13] {
        let (address, seen) =
            tls_upstream(&made.cert.pem(), &made.signing_key.serialize_pem(), version).await;
        let policy = policy(&format!("pin=sha256:{}", "11".repeat(32)));
        for (pin, expected) in [
            (Some(fingerprint), "early"),
            (Some(fingerprint), "early"), // resumed
            (None, "upstream-pin-mismatch"),
            (Some([0x22; 32]), "demanded"),
        ] {
            let got = open_tls("localhost", address.port(), &policy, pin).await;
            assert!(got.contains(expected), "{version:?}: {got}");
        }
        let got = open_tls("localhost", address.port(), &policy, None).await;
        assert!(seen.resumed.load(Ordering::Relaxed) >= 3, "{version:?}");
        assert!(got.contains(&hex(&fingerprint)) && got.contains(&"11".repeat(32)), "{got}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let made = certificate(&["localhost"]);
    let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let judge =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let chain = vec![made.cert.der().clone()];
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(judge.build().unwrap())
        .with_single_cert(chain, made.signing_key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let address = upstream(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut tls) = acceptor.accept(socket).await else { return };
            read_head(&mut tls).await;
            tls.write_all(format!("{SWITCH}early").as_bytes()).await.unwrap();
            let _ = tls.shutdown().await;
        }
    })
    .await;
    let with = policy(&format!("verify=off cert={} key={}", cert.display(), key.display()));
    assert_eq!(open_tls("localhost", address.port(), &with, None).await, "early");
    let without = open_tls("localhost", address.port(), &policy("verify=off"), None).await;
    assert!(
        without.contains("upstream refused the TLS handshake (CertificateRequired)"),
        "{without}"
    );
}

#[tokio::test]
async fn tls_to_a_plain_server_is_told() {
    let address = upstream(|mut socket| async move {
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        linger(socket).await;
    })
    .await;
    let got = open_tls("127.0.0.1", address.port(), &policy(""), None).await;
    assert!(got.contains("does not speak TLS there: set scheme=ws"), "{got}");
}
