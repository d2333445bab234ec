//! The public key inside a certificate, found without judging the certificate.
//!
//! webpki refuses to read X.509 v1 certificates and some odd extensions, but container images
//! come with such certificates. Where a pin or `verify=off` makes the certificate's contents
//! irrelevant, its key is all that is needed: to check that the peer holds it.

use rustls::pki_types::SubjectPublicKeyInfoDer;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0; // [0] EXPLICIT, absent from v1

/// The SubjectPublicKeyInfo (RFC 5280 4.1) of a certificate in DER, as a whole DER element.
/// `None` if the certificate is not shaped like one.
pub fn public_key(certificate: &[u8]) -> Option<SubjectPublicKeyInfoDer<'_>> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate.body, SEQUENCE).map(|(tbs, _)| (tbs.body, ()))?;
    if *rest.first()? == VERSION {
        rest = element(rest, VERSION)?.1;
    }
    // serialNumber, signature, issuer, validity, subject
    for tag in [0x02, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    Some(SubjectPublicKeyInfoDer::from(element(rest, SEQUENCE)?.0.whole))
}

struct Element<'a> {
    whole: &'a [u8],
    body: &'a [u8],
}

/// Splits one DER element with this tag off the front: (element, what follows).
fn element(der: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, body) = match length {
        0..=0x7f => (length as usize, rest),
        0x81..=0x83 => {
            let (digits, body) = rest.split_at_checked((length & 0x7f) as usize)?;
            (digits.iter().fold(0, |n, d| n << 8 | *d as usize), body)
        }
        _ => return None,
    };
    let (body, after) = body.split_at_checked(length)?;
    let whole = &der[..der.len() - after.len()];
    Some((Element { whole, body }, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::testing::{self, V1_CERTIFICATE};
    use rcgen::PublicKeyData;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn finds_the_key_and_never_panics() {
        let made = testing::certificate(&["localhost"]);
        let v1 = CertificateDer::from_pem_slice(V1_CERTIFICATE.as_bytes()).unwrap();
        let key = public_key(made.cert.der()).unwrap();
        assert_eq!(key.as_ref(), made.signing_key.subject_public_key_info());
        assert_eq!(public_key(&v1).unwrap().as_ref().len(), 91, "P-256");
        for end in 0..v1.len() {
            assert_eq!(public_key(&v1[..end]), None, "cut at {end}");
        }
        for i in 0..v1.len() {
            let mut broken = v1.to_vec();
            broken[i] ^= 0xff;
            let _ = public_key(&broken);
        }
    }
}
