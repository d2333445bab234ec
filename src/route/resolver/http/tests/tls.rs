//! `https`, `ca=` and `verify=off`.

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::route::resolver::testing::pki;

/// Serves [`ALICE`] over TLS with a certificate for `name` by an authority of its own; gives the
/// port and the authority's certificate in PEM.
async fn tls_server(name: &str) -> (u16, String) {
    let pki = pki(name);
    let chain = vec![CertificateDer::from_pem_slice(pki.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pki.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(socket).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && tls.read_buf(&mut head).await.unwrap_or(0) > 0 {}
            let _ = tls.write_all(&answer("200 OK", "Connection: close\r\n", ALICE)).await;
            let _ = tls.shutdown().await;
        }
    });
    (port, pki.authority)
}

#[tokio::test]
async fn certificates_are_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (port, ca) = tls_server("localhost").await;
    let (elsewhere, other_ca) = tls_server("elsewhere.example").await;
    let write = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        format!("ca={}", dir.path().join(name).display())
    };
    let (ca, other_ca) = (write("ca", &ca), write("other", &other_ca));
    let table: [(u16, &[&str], Result<(), &str>); 7] = [
        (port, &[&ca], Ok(())),
        (port, &["verify=off"], Ok(())),
        (elsewhere, &["verify=off"], Ok(())),
        (port, &[], Err("use ca=FILE or verify=off")),
        (port, &[&other_ca], Err("the certificate is not acceptable")),
        (elsewhere, &[&ca], Err("the certificate is not acceptable")),
        (elsewhere, &[&other_ca], Err("the certificate is not acceptable")),
    ];
    for (port, options, expected) in table {
        let options = [&["header=X-API-Key: hunter2"], options].concat();
        let d = resolver(&format!("https://localhost:{port}/{{key}}"), &options);
        match (target(&d, "alice").await, expected) {
            (got, Ok(())) => assert_eq!(got, some("ws://10.0.0.5:6901"), "{options:?}"),
            (Err(error), Err(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
            }
            (got, Err(expected)) => panic!("{options:?}: {got:?} instead of {expected}"),
        }
    }
    // Plaintext where TLS is expected.
    let plain = server(answer("200 OK", "", ALICE));
    let d = resolver(&format!("https://{}/{{key}}", plain.address()), &["verify=off"]);
    assert!(matches!(target(&d, "alice").await, Err(ResolveError::Failed(_))));
}
