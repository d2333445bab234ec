//! TLS that goes on with any certificate, and says what a browser would say about it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mod_wsroute::upstream::tls::system_roots;
use mod_wsroute::upstream::verifier::{AnyCertificate, KnownCertificate};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are trusted.
#[derive(Debug, Clone)]
pub struct Trust {
    /// `None`: no authority is known.
    known: Option<Arc<KnownCertificate>>,
    provider: Arc<CryptoProvider>,
    asked: Arc<NoCertificate>,
}

/// We have no certificate of our own; remembers whether a server wanted one.
#[derive(Debug, Default)]
struct NoCertificate(AtomicBool);

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a handshake showed.
pub struct Shown {
    /// `TLS 1.3`
    pub version: &'static str,
    /// `h2`, if both sides wanted it.
    pub h2: bool,
    /// The server's own certificate.
    pub leaf: CertificateDer<'static>,
    /// What a browser says to it.
    pub judged: Result<(), Error>,
}

impl Trust {
    /// The system's authorities and those of `ca`.
    ///
    /// # Errors
    /// `ca` cannot be used.
    pub fn new(ca: Option<&Path>) -> Result<Trust, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let listed = ca.map(read).transpose()?.unwrap_or_default();
        let mut roots = system_roots().as_ref().clone();
        roots.add_parsable_certificates(listed.iter().cloned());
        let roots = Arc::new(roots);
        // Without any authority nothing can be trusted, and that is what is said then.
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
        let known = webpki.build().ok().map(|webpki| Arc::new(KnownCertificate { webpki, listed }));
        Ok(Trust { known, provider, asked: Arc::default() })
    }

    /// A server wanted a certificate of the client.
    pub fn asked_for_certificate(&self) -> bool {
        self.asked.0.load(Ordering::Relaxed)
    }

    /// The handshake over a fresh connection.
    ///
    /// # Errors
    /// Whatever breaks it, the certificate excepted.
    pub async fn connect(
        &self,
        tcp: TcpStream,
        host: &str,
        alpn: &[&str],
    ) -> std::io::Result<(TlsStream<TcpStream>, Shown)> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        let any = AnyCertificate(self.provider.signature_verification_algorithms);
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(any))
            .with_client_cert_resolver(self.asked.clone());
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        let stream = TlsConnector::from(Arc::new(config)).connect(name.clone(), tcp).await?;
        let session = stream.get_ref().1;
        let (leaf, above) = match session.peer_certificates() {
            Some([leaf, above @ ..]) => (leaf.clone().into_owned(), above),
            _ => (CertificateDer::from(Vec::new()), &[][..]),
        };
        let judged = self.judge(&leaf, above, &name);
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let h2 = session.alpn_protocol() == Some(b"h2");
        Ok((stream, Shown { version, h2, leaf, judged }))
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let known = self.known.as_ref().ok_or(unknown)?;
        known.verify_server_cert(leaf, above, name, &[], UnixTime::now()).map(drop)
    }
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = std::fs::read(file).map_err(|e| format!("--ca {}: {e}", file.display()))?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("--ca {}: no certificate in there, use a PEM file", file.display())),
    }
}
