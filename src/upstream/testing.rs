//! What the tests of this folder share: requests, targets, certificates and scripted upstreams.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Address, Target};
use crate::net::Io;
use crate::upgrade::Request;

/// A 101 to [`request`].
pub const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: binary\r\n\r\n";

/// `openssl x509 -req -signkey`: X.509 version 1, `CN=desktop`, until 2126. Only tests use it.
pub const V1_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBITCBxwIUDy74sURcoA9YkSXmUKdhtmA3BE0wCgYIKoZIzj0EAwIwEjEQMA4G
A1UEAwwHZGVza3RvcDAgFw0yNjExMjQxODUxMTFaGA8yMTI2MTAzMTE4NTExMVow
EjEQMA4GA1UEAwwHZGVza3RvcDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHaN
pgjR2bnReH79nnU4ZaH1ETicPoi1tug5mrQ5XQgVGU5nGFy84ClMmE0B7t7QTDW4
zOBBBn+la0E/RxO7mPAwCgYIKoZIzj0EAwIDSQAwRgIhAJaG6BygFwzBtrM/OZfq
QfEFBkWcmnY0/tzhUMcDtWF8AiEAihXo8796obmaAWAWkijufsmjXqlnrgo++YE1
Y5yz88I=
-----END CERTIFICATE-----
";

/// The key of [`V1_CERTIFICATE`].
pub const V1_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrOANc+EMe4MKx3sR
qxX34hHw3HxHv2OVSKGHJomzb+KhRANCAAR2jaYI0dm50Xh+/Z51OGWh9RE4nD6I
tbboOZq0OV0IFRlOZxhcvOApTJhNAe7e0Ew1uMzgQQZ/pWtBP0cTu5jw
-----END PRIVATE KEY-----
";

/// A browser's upgrade request for `/websockify`, with more headers behind.
pub fn request(more: &[(&str, &str)]) -> Request {
    let lines = [
        ("host", "desktop.example.org:8443"),
        ("Upgrade", "WebSocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("origin", "https://desktop.example.org:8443"),
        ("Sec-Websocket-Protocol", "binary"),
    ];
    let line = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
    Request {
        path: "/websockify".into(),
        raw_path: "/websockify".into(),
        host: "desktop.example.org".into(),
        client: [192, 0, 2, 7].into(),
        headers: lines.iter().chain(more).map(line).collect(),
        ..Request::default()
    }
}

/// `host:port` (IPv6 in brackets), without TLS and path.
pub fn target(authority: &str) -> Target {
    let (host, port) = authority.rsplit_once(':').unwrap();
    let host = host.trim_matches(['[', ']']).to_string();
    Target { tls: false, address: Address::Tcp { host, port: port.parse().unwrap() }, path: None }
}

/// A self-signed certificate for these names.
pub fn certificate(names: &[&str]) -> CertifiedKey<KeyPair> {
    let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
    sign(CertificateParams::new(names).unwrap())
}

/// A self-signed certificate by these parameters.
pub fn sign(params: CertificateParams) -> CertifiedKey<KeyPair> {
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

/// A TLS server's side that shows this certificate, however odd; `versions` e.g. TLS 1.2 only.
pub fn acceptor(
    certificate: &str,
    key: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let shown = SingleCertAndKey::from(rustls::sign::CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    TlsAcceptor::from(Arc::new(config))
}

/// Listens on a loopback port and gives every connection to `script`, one after the other.
pub async fn upstream<F, Fut>(script: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            script(socket).await;
        }
    });
    address
}

/// Reads until the empty line; gives the head and in how many reads it came.
pub async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> (String, usize) {
    let mut head = Vec::new();
    let mut reads = 0;
    while !head.ends_with(b"\r\n\r\n") {
        head.reserve(16 * 1024);
        if io.read_buf(&mut head).await.unwrap_or(0) == 0 {
            break;
        }
        reads += 1;
    }
    (String::from_utf8(head).unwrap(), reads)
}

/// Keeps a connection open until the other side closes it.
pub async fn linger(mut io: impl Io) {
    let _ = io.read_to_end(&mut Vec::new()).await;
}
