//! `WsRouteUpstream`: how to speak to the upstreams of a scope.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::tls::{TlsSettings, read_authorities, read_identity};

const KNOWN: &str =
    "scheme=, verify=, ca=, pin=, name=, cert=, key=, path=, host=, origin= or subprotocol=";

/// Which Host header the upstream sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The client's.
    Preserve,
    /// `host:port` of the target.
    Target,
}

/// Which Origin header the upstream sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The client's.
    Keep,
    /// `http(s)://host:port` of the target.
    Target,
    /// This.
    Value(String),
}

/// Which subprotocols the upstream is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subprotocol {
    /// The client's.
    Keep,
    /// This (a comma-separated list is possible).
    Value(String),
}

/// The options of one `WsRouteUpstream`, or of several merged. Filled while the configuration is
/// parsed, read-only afterwards; cheap to clone. Unset options have defaults, which the accessors
/// give.
#[derive(Debug, Clone, Default)]
pub struct UpstreamPolicy {
    tls: Option<bool>,
    verify: Option<bool>,
    pin: Option<[u8; 32]>,
    name: Option<ServerName<'static>>,
    path: Option<String>,
    host: Option<Host>,
    origin: Option<Origin>,
    subprotocol: Option<Subprotocol>,
    /// ca=, cert= and key=.
    settings: Arc<TlsSettings>,
}

impl UpstreamPolicy {
    /// Parses `option=value` words. Files are read here, keys are not used yet.
    ///
    /// # Errors
    /// A sentence for the administrator: an unknown option or value, or a file that cannot be read.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<Self, String> {
        let mut policy = UpstreamPolicy::default();
        let (mut ca, mut cert, mut key) = (None, None, None);
        for arg in args.iter().map(AsRef::as_ref) {
            let (option, value) =
                arg.split_once('=').ok_or(format!("{arg:?} is no option, use {KNOWN}"))?;
            if value.is_empty() {
                return Err(format!("{option}= needs a value"));
            }
            match option.to_ascii_lowercase().as_str() {
                "scheme" => policy.tls = Some(choice(arg, value, &[("ws", false), ("wss", true)])?),
                "verify" => {
                    policy.verify = Some(choice(arg, value, &[("on", true), ("off", false)])?)
                }
                "pin" => policy.pin = Some(parse_pin(value)?),
                "name" => policy.name = Some(server_name(value).map_err(|e| format!("name={e}"))?),
                "path" => policy.path = Some(printable(arg, value)?),
                "host" => {
                    let choices = [("preserve", Host::Preserve), ("target", Host::Target)];
                    policy.host = Some(choice(arg, value, &choices)?);
                }
                "origin" => policy.origin = Some(parse_origin(arg, value)?),
                "subprotocol" => policy.subprotocol = Some(parse_subprotocol(arg, value)?),
                "ca" => ca = Some(Arc::new(read_authorities(value)?)),
                "cert" => cert = Some(value),
                "key" => key = Some(value),
                _ => return Err(format!("unknown option {option}=, use {KNOWN}")),
            }
        }
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some(Arc::new(read_identity(cert, key)?)),
            (None, None) => None,
            _ => return Err("cert= and key= belong together: set both".into()),
        };
        policy.settings = Arc::new(TlsSettings::new(ca, identity));
        Ok(policy)
    }

    /// These options with those that `add` sets laid over them (`cert=` and `key=` as one).
    pub fn merged(&self, add: &Self) -> Self {
        let base = self;
        UpstreamPolicy {
            tls: add.tls.or(base.tls),
            verify: add.verify.or(base.verify),
            pin: add.pin.or(base.pin),
            name: add.name.clone().or(base.name.clone()),
            path: add.path.clone().or(base.path.clone()),
            host: add.host.or(base.host),
            origin: add.origin.clone().or(base.origin.clone()),
            subprotocol: add.subprotocol.clone().or(base.subprotocol.clone()),
            settings: merged_settings(&base.settings, &add.settings),
        }
    }

    /// TLS where a resolver's answer names no scheme (`scheme=wss`). Default: no.
    pub fn tls(&self) -> bool {
        self.tls.unwrap_or(false)
    }

    /// Verify chain and name of certificates. Default: yes.
    pub fn verify(&self) -> bool {
        self.verify.unwrap_or(true)
    }

    /// SHA-256 of the certificate that is demanded.
    pub fn pin(&self) -> Option<[u8; 32]> {
        self.pin
    }

    /// SNI and the name to verify instead of the target's host.
    pub fn name(&self) -> Option<&ServerName<'static>> {
        self.name.as_ref()
    }

    /// The path template, as it was written.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Default: the client's.
    pub fn host(&self) -> Host {
        self.host.unwrap_or(Host::Preserve)
    }

    /// Default: the client's.
    pub fn origin(&self) -> &Origin {
        self.origin.as_ref().unwrap_or(&Origin::Keep)
    }

    /// Default: the client's.
    pub fn subprotocol(&self) -> &Subprotocol {
        self.subprotocol.as_ref().unwrap_or(&Subprotocol::Keep)
    }

    /// CAs and client certificate, with the rustls configurations once they were needed.
    pub fn settings(&self) -> &Arc<TlsSettings> {
        &self.settings
    }
}

/// `sha256:` and 64 hex digits (colons between them are allowed, as openssl prints them).
///
/// # Errors
/// A sentence for the administrator.
pub fn parse_pin(value: &str) -> Result<[u8; 32], String> {
    let wrong = || {
        format!("pin={value}: use sha256: and the 64 hex digits of the certificate's fingerprint")
    };
    let (kind, digits) = value.split_once(':').ok_or_else(wrong)?;
    let digits: Vec<u8> = digits.bytes().filter(|b| *b != b':').collect();
    if !kind.eq_ignore_ascii_case("sha256") || digits.len() != 64 {
        return Err(wrong());
    }
    let mut pin = [0; 32];
    for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
        let digit = |b: u8| (b as char).to_digit(16).ok_or_else(wrong);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Ok(pin)
}

/// A DNS name (a final dot is dropped) or an IP address as TLS knows it.
///
/// # Errors
/// A sentence that begins with the name.
pub fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_string())
        .map_err(|_| format!("{name}: not a host name or address"))
}

fn merged_settings(base: &Arc<TlsSettings>, add: &Arc<TlsSettings>) -> Arc<TlsSettings> {
    let authorities = add.authorities.as_ref().or(base.authorities.as_ref());
    let identity = add.identity.as_ref().or(base.identity.as_ref());
    let same = |s: &&Arc<TlsSettings>| {
        s.authorities.as_ref().map(Arc::as_ptr) == authorities.map(Arc::as_ptr)
            && s.identity.as_ref().map(Arc::as_ptr) == identity.map(Arc::as_ptr)
    };
    match [base, add].into_iter().find(same) {
        Some(settings) => settings.clone(),
        None => Arc::new(TlsSettings::new(authorities.cloned(), identity.cloned())),
    }
}

fn choice<T: Copy>(arg: &str, value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| value.eq_ignore_ascii_case(name));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("{arg}: use {}", names.join(" or "))
    })
}

fn printable(arg: &str, value: &str) -> Result<String, String> {
    match value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        true => Ok(value.to_string()),
        false => Err(format!("{arg:?}: printable ASCII only")),
    }
}

fn parse_origin(arg: &str, value: &str) -> Result<Origin, String> {
    match value {
        v if v.eq_ignore_ascii_case("keep") => Ok(Origin::Keep),
        v if v.eq_ignore_ascii_case("target") => Ok(Origin::Target),
        v if v == "null" || v.contains("://") => printable(arg, v).map(Origin::Value),
        _ => Err(format!("{arg}: use keep, target or an origin like https://host")),
    }
}

fn parse_subprotocol(arg: &str, value: &str) -> Result<Subprotocol, String> {
    match value {
        v if v.eq_ignore_ascii_case("keep") => Ok(Subprotocol::Keep),
        v if v.split(',').all(|item| is_token(item.trim())) => {
            Ok(Subprotocol::Value(v.to_string()))
        }
        _ => Err(format!("{arg:?}: use keep or the name of a subprotocol")),
    }
}

/// Token characters (RFC 9110 5.6.2), at least one.
pub fn is_token(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::testing;

    fn policy(args: &str) -> UpstreamPolicy {
        UpstreamPolicy::parse(&args.split_whitespace().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn defaults() {
        let p = policy("");
        assert!(!p.tls() && p.verify() && p.pin().is_none() && p.name().is_none());
        assert_eq!(
            (p.host(), p.origin(), p.subprotocol()),
            (Host::Preserve, &Origin::Keep, &Subprotocol::Keep)
        );
        assert_eq!(p.path(), None);
    }

    #[test]
    fn every_option() {
        let hex = "AB:".repeat(31) + "ab";
        let p = policy(&format!(
            "scheme=wss verify=off pin=sha256:{hex} name=box.example. path=/x{{tail}} host=target \
             origin=https://a.example subprotocol=binary"
        ));
        assert!(p.tls() && !p.verify());
        assert_eq!(p.pin(), Some([0xab; 32]));
        assert_eq!(p.name().unwrap().to_str(), "box.example");
        assert_eq!((p.host(), p.path()), (Host::Target, Some("/x{tail}")));
        assert_eq!(p.origin(), &Origin::Value("https://a.example".into()));
        assert_eq!(p.subprotocol(), &Subprotocol::Value("binary".into()));
    }

    #[test]
    fn errors() {
        let table = [
            ("schema=ws", "unknown option schema=, use scheme=, verify=,"),
            ("verify", "\"verify\" is no option"),
            ("verify=maybe", "verify=maybe: use on or off"),
            ("scheme=http", "scheme=http: use ws or wss"),
            ("scheme=", "scheme= needs a value"),
            ("pin=sha1:00", "64 hex digits"),
            ("pin=sha256:zz", "64 hex digits"),
            ("name=a..b", "name=a..b: not a host name or address"),
            ("host=other", "use preserve or target"),
            ("origin=example.org", "use keep, target or an origin"),
            ("subprotocol=a b", "use keep or the name"),
            ("path=/\n", "printable ASCII"),
            ("ca=/no/such/file", "ca=/no/such/file: No such file"),
            ("ca=/dev/null", "ca=/dev/null: no certificate (PEM) in there"),
            ("cert=/dev/null", "cert= and key= belong together"),
        ];
        for (arg, expected) in table {
            let error = UpstreamPolicy::parse(&[arg]).unwrap_err();
            assert!(error.contains(expected), "{arg}: {error}");
        }
    }

    #[test]
    fn merging() {
        // (base, add, of the result)
        type Check = fn(&UpstreamPolicy) -> bool;
        let table: [(&str, &str, Check); 10] = [
            ("scheme=wss", "", |p| p.tls()),
            ("scheme=wss", "scheme=ws", |p| !p.tls()),
            ("verify=off", "verify=on", |p| p.verify()),
            ("verify=off", "host=target", |p| !p.verify() && p.host() == Host::Target),
            ("host=target", "host=preserve", |p| p.host() == Host::Preserve),
            ("origin=target", "origin=keep", |p| p.origin() == &Origin::Keep),
            ("origin=target", "", |p| p.origin() == &Origin::Target),
            ("subprotocol=a", "subprotocol=b", |p| {
                p.subprotocol() == &Subprotocol::Value("b".into())
            }),
            ("path=/a", "path=/b", |p| p.path() == Some("/b")),
            ("name=a", "name=b", |p| p.name().unwrap().to_str() == "b"),
        ];
        for (base, add, check) in table {
            let merged = UpstreamPolicy::merged(&policy(base), &policy(add));
            assert!(check(&merged), "{base} + {add}: {merged:?}");
        }
    }

    #[test]
    fn equal_tls_settings_are_shared() {
        let dir = tempfile::tempdir().unwrap();
        let made = testing::certificate(&["localhost"]);
        let file = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let cert = file("cert.pem", made.cert.pem());
        let key = file("key.pem", made.signing_key.serialize_pem());
        let with_ca = policy(&format!("ca={cert}"));
        let with_identity = policy(&format!("cert={cert} key={key}"));
        let plain = policy("verify=off");
        let shares = |merged: UpstreamPolicy, one: &UpstreamPolicy| {
            Arc::ptr_eq(merged.settings(), one.settings())
        };
        assert!(shares(UpstreamPolicy::merged(&with_ca, &plain), &with_ca));
        assert!(shares(UpstreamPolicy::merged(&plain, &with_ca), &with_ca));
        assert!(shares(UpstreamPolicy::merged(&plain, &policy("")), &plain));
        let both = UpstreamPolicy::merged(&with_ca, &with_identity);
        assert!(both.settings().authorities.is_some() && both.settings().identity.is_some());
        assert!(!format!("{both:?}").contains("PrivateKey"), "{both:?}");
    }
}
