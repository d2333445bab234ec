//! TLS to an upstream: whom to trust, and the handshake.
//!
//! Settings are files read while the configuration is parsed, in a process that will fork. What
//! needs the crypto library (keys, randomness, the session cache) is made at the first handshake.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsConnector;

use super::verifier::{self, AnyCertificate, KnownCertificate};
use super::{Connected, UpstreamError};
use crate::net::Io;

/// The certificates of a `ca=` file.
#[derive(Debug)]
pub struct Authorities {
    roots: RootCertStore,
    listed: Vec<CertificateDer<'static>>,
}

/// The client certificate chain of `cert=` and its `key=`.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// What rustls is configured from, and the configurations once they were needed. Shared (`Arc`)
/// by all policies with the same settings, so that they share the session cache too.
#[derive(Default)]
pub struct TlsSettings {
    /// `None`: the system's CAs.
    pub authorities: Option<Arc<Authorities>>,
    /// `None`: no client certificate.
    pub identity: Option<Arc<Identity>>,
    verified: OnceLock<Result<Arc<ClientConfig>, String>>,
    unverified: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// How one upstream is to be judged.
pub struct Trust<'a> {
    /// SNI and the name to be verified.
    pub name: ServerName<'static>,
    /// `verify=on`.
    pub verify: bool,
    /// SHA-256 of the leaf certificate's DER; replaces chain and name.
    pub pin: Option<[u8; 32]>,
    /// CAs and client certificate.
    pub settings: &'a TlsSettings,
}

/// The TLS handshake over a fresh connection. No application data has been sent when it returns;
/// the pin was checked on resumed sessions as well. The caller sets the deadline.
///
/// # Errors
/// `Tls`, `PinMismatch`, `Closed`.
pub async fn handshake(
    connected: Connected,
    trust: Trust<'_>,
) -> Result<Box<dyn Io>, UpstreamError> {
    let Connected { io, peer } = connected;
    let config = match trust.settings.config(trust.verify && trust.pin.is_none()) {
        Ok(config) => config,
        Err(reason) => return Err(UpstreamError::Tls { peer, reason }),
    };
    let stream = match TlsConnector::from(config).connect(trust.name, io).await {
        Ok(stream) => stream,
        Err(e) => return Err(io_error(peer, &e, "during the TLS handshake")),
    };
    if let Some(pinned) = trust.pin {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let found: [u8; 32] = Sha256::digest(chain.first().map_or(&[][..], |leaf| leaf)).into();
        if found != pinned {
            return Err(UpstreamError::PinMismatch {
                peer,
                found: hex(&found),
                pinned: hex(&pinned),
            });
        }
    }
    Ok(Box::new(stream))
}

/// The error for a failed read or write: `Tls` if it came from TLS, else `Closed`; `when` says
/// where in the conversation, e.g. `before answering`.
pub fn io_error(peer: String, error: &io::Error, when: &str) -> UpstreamError {
    if let Some(tls) = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        return UpstreamError::Tls { peer, reason: verifier::reason(tls) };
    }
    let how = match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed".to_string(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "connection reset".to_string()
        }
        _ => error.to_string(),
    };
    UpstreamError::Closed { peer, reason: format!("{how} {when}") }
}

impl TlsSettings {
    /// Settings whose rustls configurations are yet to be made.
    pub fn new(authorities: Option<Arc<Authorities>>, identity: Option<Arc<Identity>>) -> Self {
        TlsSettings { authorities, identity, ..Default::default() }
    }

    /// What rustls works with; made at the first call. `verify`: judge the certificate.
    ///
    /// # Errors
    /// The system has no CAs, or certificate and key do not belong together.
    pub fn config(&self, verify: bool) -> Result<Arc<ClientConfig>, String> {
        let slot = if verify { &self.verified } else { &self.unverified };
        slot.get_or_init(|| self.build(verify).map(Arc::new)).clone()
    }

    fn build(&self, verify: bool) -> Result<ClientConfig, String> {
        // Given explicitly: a process default would belong to httpd's other modules too.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = match verify {
            true => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(self.known_certificates(provider)?)),
            false => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms))),
        };
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some(id) => builder
                .with_client_auth_cert(id.chain.clone(), id.key.clone_key())
                .map_err(|e| format!("cert= and key= cannot be used: {e}")),
        }
    }

    fn known_certificates(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<KnownCertificate, String> {
        let (roots, listed) = match &self.authorities {
            Some(a) => (Arc::new(a.roots.clone()), a.listed.clone()),
            None => (system_roots(), Vec::new()),
        };
        if roots.is_empty() {
            return Err("this system has no CA certificates: set verify=off, ca= or pin=".into());
        }
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|e| e.to_string())?;
        Ok(KnownCertificate { webpki, listed })
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("authorities", &self.authorities.as_ref().map(|a| a.listed.len()))
            .field("identity", &self.identity.as_ref().map(|_| "MASKED"))
            .finish()
    }
}

/// The system's CAs, read once in each process (some milliseconds).
pub fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        // Certificates that cannot be read are passed over: others may do.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(load).clone()
}

/// Reads a `ca=` file: PEM, one certificate or more. The error names the file.
pub fn read_authorities(file: &str) -> Result<Authorities, String> {
    let listed = read_certificates("ca", file)?;
    let mut roots = RootCertStore::empty();
    for certificate in &listed {
        roots.add(certificate.clone()).map_err(|e| format!("ca={file}: {e}"))?;
    }
    Ok(Authorities { roots, listed })
}

/// Reads a `cert=` file (PEM, the leaf first) and its `key=` file (PEM, unencrypted). Errors name
/// the file. Whether they belong together is seen at the first handshake.
pub fn read_identity(cert: &str, key: &str) -> Result<Identity, String> {
    let chain = read_certificates("cert", cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read("key", key)?)
        .map_err(|_| format!("key={key}: no unencrypted private key (PEM) in there"))?;
    Ok(Identity { chain, key })
}

fn read_certificates(option: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(option, file)?)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{option}={file}: {e}"))?;
    match certificates.is_empty() {
        true => Err(format!("{option}={file}: no certificate (PEM) in there")),
        false => Ok(certificates),
    }
}

fn read(option: &str, file: &str) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|e| format!("{option}={file}: {e}"))
}

/// Lower-case hex without separators.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
