//! The key that a JSON Web Token is verified with: it has to fit the algorithm, which is known
//! while the configuration is read. Nothing is computed with it here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use rustls::pki_types::pem::{PemObject, SectionKind};

use super::secret::Secret;
use crate::upstream::spki;

/// What the DER of an RSA public key with 2,048 bits (RFC 7518 3.3) takes at least.
const RSA_MIN: usize = 268;
/// An uncompressed point of P-256, and of P-384.
const POINTS: [usize; 2] = [65, 97];

/// The key in `secret` for `algorithm`: the secret itself (HS), or a PEM public key or certificate.
///
/// # Errors
/// It does not fit, as one line.
pub fn read(secret: &Secret, algorithm: Algorithm) -> Result<DecodingKey, String> {
    let Secret { bytes, named, .. } = secret;
    let (fits, wanted) = match algorithm.family() {
        AlgorithmFamily::Hmac => {
            // Else whoever has the public key could sign.
            if is_key_file(bytes) {
                let secret = "use the alg= that the issuer signs with, or a shared secret";
                return Err(format!("{named} is a public or private key, {secret}"));
            }
            return Ok(DecodingKey::from_secret(bytes));
        }
        AlgorithmFamily::Rsa => {
            let key = DecodingKey::from_rsa_pem(&public_pem(secret)?).ok();
            (key.filter(|k| length(k) >= RSA_MIN), "an RSA key of 2048 bits or more")
        }
        AlgorithmFamily::Ec => {
            let (point, wanted) = match algorithm {
                Algorithm::ES256 => (POINTS[0], "a P-256 key"),
                _ => (POINTS[1], "a P-384 key"),
            };
            let key = DecodingKey::from_ec_pem(&public_pem(secret)?).ok();
            (key.filter(|k| length(k) == point), wanted)
        }
        AlgorithmFamily::Ed => {
            (DecodingKey::from_ed_pem(&public_pem(secret)?).ok(), "an Ed25519 key")
        }
    };
    fits.ok_or_else(|| format!("{named} does not fit alg={algorithm:?}, use {wanted}"))
}

/// How long a shared secret should be, in bytes (RFC 7518 3.2); `None` for public keys.
pub fn hmac_bytes(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HS256 => Some(32),
        Algorithm::HS384 => Some(48),
        Algorithm::HS512 => Some(64),
        _ => None,
    }
}

/// PEM, or a public key of OpenSSH's.
fn is_key_file(bytes: &[u8]) -> bool {
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|w| w == text);
    holds(b"-----BEGIN ") || bytes.starts_with(b"ssh-") || bytes.starts_with(b"ecdsa-sha2-")
}

/// The first public key or certificate, as a PEM public key.
fn public_pem(secret: &Secret) -> Result<Vec<u8>, String> {
    let Secret { bytes, named, .. } = secret;
    let mut private = false;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).map_while(Result::ok) {
        let der = match &section {
            (SectionKind::PublicKey, der) => Some(der.clone()),
            (SectionKind::Certificate, der) => spki::public_key(der).map(|key| key.to_vec()),
            (kind, _) => {
                private |= matches!(
                    kind,
                    SectionKind::PrivateKey
                        | SectionKind::RsaPrivateKey
                        | SectionKind::EcPrivateKey
                );
                None
            }
        };
        if let Some(der) = der {
            let body = STANDARD.encode(der);
            return Ok(format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
                .into_bytes());
        }
    }
    Err(match private {
        true => format!("{named} is a private key, use what openssl pkey -pubout makes of it"),
        false => format!("{named} holds no public key, use PEM: BEGIN PUBLIC KEY or CERTIFICATE"),
    })
}

/// Of the key alone, without what names its kind.
fn length(key: &DecodingKey) -> usize {
    key.try_get_as_bytes().map_or(0, <[u8]>::len)
}
