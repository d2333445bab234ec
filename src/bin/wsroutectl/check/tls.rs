//! TLS that goes on with any certificate and remembers what a browser would say about it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use mod_wsroute::upstream::verifier::{AnyCertificate, KnownCertificate};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are trusted.
#[derive(Debug, Clone)]
pub struct Trust {
    /// `None`: no authority is known.
    known: Option<Arc<KnownCertificate>>,
    provider: Arc<CryptoProvider>,
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
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(listed.iter().cloned());
        let roots = Arc::new(roots);
        // Without any authority nothing can be trusted, and that is what is said then.
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
        let known = webpki.build().ok().map(|webpki| Arc::new(KnownCertificate { webpki, listed }));
        Ok(Trust { known, provider })
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
        let judge = Arc::new(Judge { trust: self.clone(), any, said: Mutex::new(Ok(())) });
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(judge.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        let session = stream.get_ref().1;
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let leaf = leaf.cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()));
        let judged = judge.said.lock().map_or(Ok(()), |said| said.clone());
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let h2 = session.alpn_protocol() == Some(b"h2");
        Ok((stream, Shown { version, h2, leaf, judged }))
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

/// Lets every certificate pass and remembers what the verifier says.
#[derive(Debug)]
struct Judge {
    trust: Trust,
    /// Checks that the server holds the certificate's key, whatever the certificate is.
    any: AnyCertificate,
    said: Mutex<Result<(), Error>>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let judged = self.trust.known.as_ref().ok_or(unknown);
        let judged = judged.and_then(|k| k.verify_server_cert(leaf, chain, name, ocsp, now));
        if let Ok(mut said) = self.said.lock() {
            *said = judged.map(|_| ());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}
