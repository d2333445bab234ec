//! Two ways to judge an upstream's certificate. Both check that the peer holds the certificate's
//! key; without that, not even a pin would mean anything.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use webpki::RawPublicKeyEntity;

use super::spki;

/// Accepts every certificate (`verify=off`, and the handshake below a pin).
#[derive(Debug)]
pub struct AnyCertificate(pub WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// As rustls' own, except that the certificate around the key may be of any kind.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = key_of(certificate)?;
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let (_, algorithms) = (self.0.mapping.iter())
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(CertificateError::BadSignature)?;
        let valid = algorithms
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok());
        match valid {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &key_of(certificate)?, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn key_of<'a>(certificate: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    spki::public_key(certificate).ok_or(CertificateError::BadEncoding.into())
}

/// Verifies chain, dates and name (RFC 6125, webpki), with one addition: a certificate that is
/// itself in the `ca=` file is trusted although it says it is a CA. `openssl req -x509` makes
/// such certificates, and listing one in `ca=` can only mean this.
#[derive(Debug)]
pub struct KnownCertificate {
    /// The judge of everything else.
    pub webpki: Arc<WebPkiServerVerifier>,
    /// The certificates of the `ca=` file.
    pub listed: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for KnownCertificate {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.webpki.verify_server_cert(leaf, intermediates, name, ocsp, now) {
            // webpki has checked the dates before it says so.
            Err(e) if is_ca_as_leaf(&e) && self.listed.iter().any(|c| c == leaf) => {
                verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn is_ca_as_leaf(error: &Error) -> bool {
    matches!(webpki_error(error), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Why the handshake failed, in plain words, with what to do about it.
pub fn reason(error: &Error) -> String {
    use CertificateError::*;
    const MEND: &str = "set verify=off, ca= or pin=";
    match error {
        Error::InvalidCertificate(UnknownIssuer) => {
            format!("the certificate is self-signed or from an unknown CA: {MEND}")
        }
        Error::InvalidCertificate(
            BadSignature | UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => {
            format!("the certificate is from no known CA (one has the same name, but another key): {MEND}")
        }
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "the certificate has expired: renew it, or set verify=off or pin=".into()
        }
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "the certificate is not valid yet: are the clocks right?".into()
        }
        Error::InvalidCertificate(NotValidForNameContext { expected, presented }) => {
            let names = match presented.is_empty() {
                true => "no subjectAltName (a CN does not count)".into(),
                false => presented.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", "),
            };
            let expected = expected.to_str();
            format!("the certificate is not for {expected}, it has {names}: set name=, verify=off or pin=")
        }
        Error::InvalidCertificate(e) => match webpki_error(error) {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                format!("the certificate is a self-signed CA certificate: {MEND}")
            }
            Some(webpki::Error::UnsupportedCertVersion) => {
                "the certificate is of X.509 version 1, which cannot be verified: set verify=off or pin=".into()
            }
            _ => format!("the certificate is not acceptable ({e}): {MEND}"),
        },
        Error::InvalidMessage(_) => "the upstream does not speak TLS there: set scheme=ws".into(),
        Error::AlertReceived(alert) => format!("the upstream refused the TLS handshake ({alert:?})"),
        Error::PeerIncompatible(e) => {
            format!("no common TLS version or cipher (TLS 1.2 or 1.3 is needed): {e:?}")
        }
        e => e.to_string(),
    }
}

/// `DnsName("a")`, as webpki writes it: `a`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"')
}

fn webpki_error(error: &Error) -> Option<&webpki::Error> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
        _ => None,
    }
}
