//! The step "certificate": for whom, until when, trusted by whom.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::report::{Mark, Report, Verdict};
use super::target::Target;
use super::tls::Shown;

/// A certificate with fewer days left is worth a warning.
const SOON: i64 = 14;

/// What a certificate says about itself.
#[derive(Debug, Default)]
pub struct Facts {
    /// DNS names and addresses.
    pub names: Vec<String>,
    days: i64,
    self_signed: bool,
}

/// Says what the certificate is, and judges it as a browser does; `insecure` makes that a warning.
pub fn step(shown: &Shown, target: &Target, insecure: bool, report: &mut Report) -> Facts {
    let facts = facts(&shown.leaf);
    let names = match facts.names.is_empty() {
        true => "no name".to_owned(),
        false => facts.names.join(", "),
    };
    let kind = if facts.self_signed { ", self-signed" } else { "" };
    let text = format!("for {names}{kind}, {} days left", facts.days);
    let Err(error) = &shown.judged else {
        let mark = if facts.days < SOON { Mark::Warn } else { Mark::Ok };
        report.step("certificate", mark, format!("{text}, trusted"));
        return facts;
    };
    let mut verdict = verdict(error, &facts, &names, target);
    if verdict.cause != "certificate-name" && !is_for(&shown.leaf, &target.host) {
        verdict.what += &format!("; nor is it for {}, but for {names}", target.host);
    }
    match insecure {
        true => report.step("certificate", Mark::Warn, format!("{text}; {}", verdict.what)),
        false => report.fail("certificate", text, verdict),
    }
    facts
}

fn is_for(leaf: &CertificateDer<'_>, host: &str) -> bool {
    let name = ServerName::try_from(host.to_owned());
    let parsed = ParsedCertificate::try_from(leaf);
    matches!((name, parsed), (Ok(name), Ok(leaf)) if verify_server_name(&leaf, &name).is_ok())
}

fn verdict(error: &Error, facts: &Facts, names: &str, target: &Target) -> Verdict {
    let host = &target.host;
    match error {
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Verdict::new(
            "certificate-name",
            "httpd (certificate)",
            format!("browsers refuse the certificate: it is for {names}, not for {host}"),
            format!(
                "give the <VirtualHost> of {host} a certificate for that name; does ServerName fit?"
            ),
        ),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Verdict::new(
            "certificate-expired",
            "httpd (certificate)",
            "browsers refuse the certificate: it has expired",
            "renew it (certbot renew) and reload httpd; if it is renewed, httpd has not reloaded yet",
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Verdict::new(
            "certificate-not-yet-valid",
            "httpd (certificate)",
            "browsers refuse the certificate: it is not valid yet",
            "set the clock, here or there",
        ),
        _ if facts.self_signed => Verdict::new(
            "certificate-self-signed",
            "httpd (certificate)",
            "browsers refuse the certificate: it is self-signed",
            "get one from an authority that browsers trust; to test all the same: --insecure or --ca FILE",
        ),
        _ => Verdict::new(
            "certificate-untrusted",
            "httpd (certificate)",
            "browsers refuse the certificate: no authority that is trusted here has signed it",
            "send the whole chain (SSLCertificateFile with the intermediates), or name a private authority: --ca FILE",
        ),
    }
}

fn facts(der: &[u8]) -> Facts {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Facts::default() };
    let subject = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| std::net::Ipv4Addr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
        },
        _ => None,
    };
    let listed = certificate.subject_alternative_name().ok().flatten();
    let names = listed.map(|e| e.value.general_names.iter().filter_map(subject).collect());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs() as i64);
    Facts {
        names: names.unwrap_or_default(),
        days: (certificate.validity().not_after.timestamp() - now).div_euclid(86400),
        self_signed: certificate.subject() == certificate.issuer(),
    }
}
