//! Certificates, made once per run by the `openssl` command.

use super::run;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A certificate with its key, in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

/// All that the tests need.
#[derive(Debug)]
pub struct Pki {
    /// An authority.
    pub ca: Certificate,
    /// Signed by it, for `localhost` and 127.0.0.1.
    pub signed: Certificate,
    /// Signed by it, for `kasm.example` only.
    pub elsewhere: Certificate,
    /// Signed by itself, for `localhost` and 127.0.0.1: what KasmVNC and friends bring along.
    pub self_signed: Certificate,
}

const CONFIG: &str = "
[req]
distinguished_name = dn
prompt = no
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[local]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
[elsewhere]
basicConstraints = CA:FALSE
subjectAltName = DNS:kasm.example
";

impl Pki {
    /// The certificates of this run.
    pub fn get() -> &'static Pki {
        static PKI: OnceLock<Pki> = OnceLock::new();
        PKI.get_or_init(make)
    }
}

impl Certificate {
    /// A server that shows this certificate.
    pub fn server(&self) -> Arc<ServerConfig> {
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![cert], key).expect("they match"))
    }

    /// The certificate's bytes.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("a certificate").to_vec()
    }
}

fn make() -> Pki {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    std::fs::write(folder.join("openssl.cnf"), CONFIG).expect("openssl.cnf");
    Pki {
        ca: one(folder, "ca", "wsroute test CA", "ca", false),
        signed: one(folder, "signed", "localhost", "local", true),
        elsewhere: one(folder, "elsewhere", "kasm.example", "elsewhere", true),
        self_signed: one(folder, "self", "localhost", "local", false),
    }
}

fn one(folder: &Path, name: &str, subject: &str, extensions: &str, by_ca: bool) -> Certificate {
    let file = |suffix: &str| folder.join(format!("{name}.{suffix}")).display().to_string();
    let config = folder.join("openssl.cnf").display().to_string();
    let (cert, key) = (file("crt"), file("key"));
    let subject = format!("/CN={subject}");
    let ca = [folder.join("ca.crt"), folder.join("ca.key")].map(|p| p.display().to_string());
    let mut arguments = vec!["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"];
    arguments.extend(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config", &config]);
    arguments.extend(["-extensions", extensions, "-subj", &subject]);
    arguments.extend(["-out", &cert, "-keyout", &key]);
    if by_ca {
        arguments.extend(["-CA", &ca[0], "-CAkey", &ca[1]]);
    }
    run("openssl", &arguments);
    let read = |path: &str| std::fs::read_to_string(path).expect("what openssl wrote");
    Certificate { cert: read(&cert), key: read(&key) }
}
