//! Tokens that a real PyJWT makes, with keys of python-cryptography's.

use super::*;
use serde_json::json;
use std::sync::LazyLock;

const SECRET: &str = "a shared secret of 64 bytes, which is what HS512 asks for: xxxxx";

/// Keys and tokens for all tests; made once, because RSA keys take their time.
const SCRIPT: &str = r#"
import base64, datetime, hashlib, hmac, time
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, rsa

def private(key): return key.private_bytes(
    s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()
def public(key, form=s.PublicFormat.SubjectPublicKeyInfo):
    return key.public_key().public_bytes(s.Encoding.PEM, form).decode()
def certificate(key, issuer_key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    begin = datetime.datetime(2020, 1, 1)
    hash = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin
        + datetime.timedelta(30)).sign(issuer_key, hash)
    return made.public_bytes(s.Encoding.PEM).decode()

keys = {
    "rsa": rsa.generate_private_key(65537, 2048), "other rsa": rsa.generate_private_key(65537, 2048),
    "short rsa": rsa.generate_private_key(65537, 1024), "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()), "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(), "ed448": ed448.Ed448PrivateKey.generate(),
}
files = {name: public(key) for name, key in keys.items()}
files |= {"secret": input["secret"], "private": private(keys["rsa"]), "pkcs1": public(keys["rsa"], s.PublicFormat.PKCS1)}
files |= {"both": private(keys["rsa"]) + public(keys["rsa"])}
files |= {"rsa certificate": certificate(keys["rsa"], keys["ed25519"]),
          "p256 certificate": "some text\n" + certificate(keys["p256"], keys["rsa"]),
          "ed25519 certificate": certificate(keys["ed25519"], keys["p256"])}

now = int(time.time())
good = {"container": "desktop-1", "user": {"id": 7}, "exp": now + 600}
def claims(**more): return {k: v for k, v in {**good, **more}.items() if v is not None}
def hs(payload, alg="HS256", **headers):
    return jwt.encode(payload, input["secret"], alg, headers)
def b64(data): return base64.urlsafe_b64encode(data).rstrip(b"=")
def by_hand(header, payload, key=input["secret"].encode(), hash=hashlib.sha256):
    message = b64(json.dumps(header).encode()) + b"." + b64(payload)
    return (message + b"." + b64(hmac.new(key, message, hash).digest())).decode()

algs = {"HS256": "secret", "HS384": "secret", "HS512": "secret", "RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa",
        "PS384": "rsa", "PS512": "rsa", "ES256": "p256", "ES384": "p384", "EdDSA": "ed25519"}
signed = {alg: jwt.encode(good, private(keys[key]) if key in keys else input["secret"], alg)
          for alg, key in algs.items()}
text = json.dumps(good).encode()
print(json.dumps({
    "files": files, "algs": algs, "signed": signed,
    "hs": {
        "good": hs(good), "kid": hs(good, kid="none of ours"), "at+jwt": hs(good, typ="at+jwt"),
        "fraction": hs(claims(exp=now + 600.5)), "no exp": hs(claims(exp=None)),
        "exp null": by_hand({"alg": "HS256"}, b'{"exp":null}'), "exp text": by_hand(
            {"alg": "HS256"}, b'{"exp":"4102444800"}'), "exp huge": hs(claims(exp=10**30)),
        "exp negative": hs(claims(exp=-1)), "exp zero": hs(claims(exp=0)),
        "30 s late": hs(claims(exp=now - 30)), "expired": hs(claims(exp=now - 3600)),
        "30 s early": hs(claims(nbf=now + 30)), "early": hs(claims(nbf=now + 3600)),
        "nbf past": hs(claims(nbf=now - 3600)), "nbf text": by_hand({"alg": "HS256"},
            json.dumps(claims(nbf="x")).encode()),
        "aud": hs(claims(aud="portal")), "auds": hs(claims(aud=["other", "portal"])),
        "aud other": hs(claims(aud="other")), "aud others": hs(claims(aud=["portal2", "x"])),
        "aud none": hs(claims(aud=[])), "aud number": by_hand({"alg": "HS256"},
            json.dumps(claims(aud=5)).encode()),
        "iss": hs(claims(iss="https://id.example.org")), "iss other": hs(claims(iss="https://evil")),
        "iss list": by_hand({"alg": "HS256"}, json.dumps(claims(iss=["https://id.example.org"])).encode()),
        "large": hs(claims(pad="x" * 9000)), "almost large": hs(claims(pad="x" * 5900)),
        "crit": by_hand({"alg": "HS256", "crit": ["b64"], "b64": True}, text),
        "no alg": by_hand({"typ": "JWT"}, text), "alg list": by_hand({"alg": ["HS256"]}, text),
        "alg case": by_hand({"alg": "hs256"}, text), "alg RS256": by_hand({"alg": "RS256"}, text),
        "list": by_hand({"alg": "HS256"}, b"[1]"), "no json": by_hand({"alg": "HS256"}, b"{"),
        "empty": by_hand({"alg": "HS256"}, b""),
        "other secret": jwt.encode(good, "another secret, just as long as the", "HS256"),
        "HS384": hs(good, "HS384"), "none": jwt.encode(good, None, "none"),
        "none with signature": jwt.encode(good, None, "none") + "AAAA",
    },
    "confused": [by_hand({"alg": "HS256"}, text, files["rsa"].encode()),
                 by_hand({"alg": "HS256"}, text, files["rsa"].strip().encode()),
                 by_hand({"alg": "RS256"}, text, files["rsa"].encode()),
                 jwt.encode(good, private(keys["other rsa"]), "RS256"),
                 jwt.encode(good, private(keys["rsa"]), "RS384"),
                 jwt.encode(good, private(keys["rsa"]), "PS256"),
                 jwt.encode(good, None, "none")],
}))
"#;

static ALL: LazyLock<Value> = LazyLock::new(|| python(SCRIPT, &json!({"secret": SECRET})));

struct Made {
    dir: tempfile::TempDir,
    all: &'static Value,
}

impl Made {
    fn new() -> Made {
        Made { dir: tempfile::tempdir().unwrap(), all: &ALL }
    }

    /// `key=` with the public key called `name`, or with the shared secret.
    fn key(&self, name: &str) -> String {
        let content = self.all["files"][name].as_str().unwrap_or_else(|| panic!("{name}"));
        format!("key={}", file(&self.dir, name, format!("{content}\n").as_bytes()))
    }

    fn hs(&self, name: &str) -> &str {
        self.all["hs"][name].as_str().unwrap_or_else(|| panic!("{name}"))
    }

    fn hs256(&self, options: &[&str]) -> SessionPolicy {
        let key = self.key("secret");
        policy(&[&["jwt", "cookie=token", "alg=HS256", &key][..], options].concat())
    }
}

#[test]
fn every_algorithm() {
    let made = Made::new();
    let algs = made.all["algs"].as_object().unwrap();
    assert_eq!(algs.len(), 12);
    for (alg, key) in algs {
        let key = made.key(key.as_str().unwrap());
        let policy = policy(&["JWT", "cookie=token", &format!("alg={alg}"), &key]);
        for (other, token) in made.all["signed"].as_object().unwrap() {
            let token = token.as_str().unwrap();
            let found = claims(&policy, token);
            assert_eq!(found.is_some(), alg == other, "{alg} {other}");
            if let Some(found) = found {
                assert_eq!(found.get("container").as_deref(), Some("desktop-1"));
                assert_eq!(found.get("user.id").as_deref(), Some("7"));
                for bytes in tampered(token) {
                    let shown = String::from_utf8_lossy(&bytes).into_owned();
                    assert!(claims_at(&policy, &bytes, SystemTime::now()).is_none(), "{shown}");
                }
            }
        }
    }

    // The token's header has no say in what it is verified with.
    let rs256 = policy(&["jwt", "cookie=token", "alg=RS256", &made.key("rsa")]);
    for token in made.all["confused"].as_array().unwrap() {
        assert!(claims(&rs256, token.as_str().unwrap()).is_none(), "{token}");
    }

    // Another key first; certificates; a file with both halves.
    let token = |alg: &str| made.all["signed"][alg].as_str().unwrap();
    let table: &[(&str, &[&str])] = &[
        ("RS256", &["other rsa", "rsa"]),
        ("RS256", &["rsa", "other rsa"]),
        ("RS256", &["rsa certificate"]),
        ("RS256", &["both"]),
        ("ES256", &["p256 certificate"]),
        ("EdDSA", &["ed25519 certificate"]),
    ];
    for (alg, names) in table {
        let keys: Vec<String> = names.iter().map(|name| made.key(name)).collect();
        let alg_option = format!("alg={alg}");
        let mut args = vec!["jwt", "cookie=token", &alg_option];
        args.extend(keys.iter().map(String::as_str));
        assert!(claims(&policy(&args), token(alg)).is_some(), "{alg} {names:?}");
    }
    let other = policy(&["jwt", "cookie=token", "alg=RS256", &made.key("other rsa")]);
    assert!(reason(&other, token("RS256")).contains("the signature fits no key="));

    // A key that does not fit is found while the configuration is read.
    let table = [
        ("RS256", "p256", "use an RSA key"),
        ("RS256", "ed25519", "use an RSA key"),
        ("PS256", "short rsa", "use an RSA key of 2048 bits or more"),
        ("RS256", "private", "is a private key, use what openssl pkey -pubout makes of it"),
        ("RS256", "pkcs1", "holds no public key, use PEM: BEGIN PUBLIC KEY or CERTIFICATE"),
        ("ES256", "p384", "use a P-256 key"),
        ("ES256", "rsa", "use a P-256 key"),
        ("ES384", "p256", "use a P-384 key"),
        ("ES384", "p521", "use a P-384 key"),
        ("EdDSA", "p256", "use an Ed25519 key"),
        ("EdDSA", "ed448", "use an Ed25519 key"),
        ("HS256", "rsa", "is a public or private key, use the alg="),
        ("HS512", "private", "is a public or private key, use the alg="),
        ("HS384", "rsa certificate", "is a public or private key, use the alg="),
    ];
    for (alg, name, text) in table {
        let args = ["jwt", "cookie=token", &format!("alg={alg}"), &made.key(name)];
        let error = SessionPolicy::parse(&args).unwrap_err();
        assert!(error.contains(text) && !error.contains('\n'), "{alg} {name}: {error}");
    }

    let (rs, es) = (policy(&["jwt", "cookie=t", "alg=RS256", &made.key("rsa")]), token("RS256"));
    assert!(format!("{rs:?}").contains("redacted"), "{rs:?}");
    survives_mutations(&rs, &[es]);
}

#[test]
fn claims_are_checked() {
    let made = Made::new();
    let aud: &[&str] = &["aud=portal"];
    let iss: &[&str] = &["iss=https://id.example.org"];
    let none: &[&str] = &[];
    let table: &[(&str, &[&str], Result<(), &str>)] = &[
        ("good", none, Ok(())),
        ("kid", none, Ok(())), // the signature decides
        ("at+jwt", none, Ok(())),
        ("fraction", none, Ok(())),
        ("exp huge", none, Ok(())),
        ("30 s late", none, Ok(())),
        ("30 s early", none, Ok(())),
        ("nbf past", none, Ok(())),
        ("almost large", none, Ok(())),
        ("no exp", &["exp=optional"], Ok(())),
        ("good", &["exp=required"], Ok(())),
        ("expired", &["leeway=2h"], Ok(())),
        ("early", &["leeway=2h"], Ok(())),
        ("aud", aud, Ok(())),
        ("auds", aud, Ok(())),
        ("iss", iss, Ok(())),
        ("iss other", none, Ok(())),
        ("no exp", none, Err("it has no exp (exp=optional allows that)")),
        ("exp null", none, Err("exp or nbf is no number")),
        ("exp text", &["exp=optional"], Err("exp or nbf is no number")),
        ("exp negative", none, Err("it has expired")),
        ("exp zero", none, Err("it has expired")),
        ("expired", none, Err("it has expired")),
        ("expired", &["exp=optional"], Err("it has expired")),
        ("30 s late", &["leeway=0"], Err("it has expired")),
        ("30 s late", &["leeway=off"], Err("it has expired")),
        ("30 s early", &["leeway=0"], Err("it is not valid yet")),
        ("early", none, Err("it is not valid yet")),
        ("nbf text", none, Err("exp or nbf is no number")),
        ("aud", none, Err("it is for an audience, and aud= names none")),
        ("aud none", none, Err("it is for an audience, and aud= names none")),
        ("good", aud, Err("it is not for the audience aud=")),
        ("aud other", aud, Err("it is not for the audience aud=")),
        ("aud others", aud, Err("it is not for the audience aud=")),
        ("aud none", aud, Err("it is not for the audience aud=")),
        ("aud number", aud, Err("it is not for the audience aud=")),
        ("good", iss, Err("it is not from the issuer iss=")),
        ("iss other", iss, Err("it is not from the issuer iss=")),
        ("iss list", iss, Err("it is not from the issuer iss=")),
        ("large", none, Err("longer than 8 KiB")),
        ("crit", none, Err("it demands extensions (crit)")),
        ("no alg", none, Err("it is not signed with alg=")),
        ("alg list", none, Err("it is not signed with alg=")),
        ("alg case", none, Err("it is not signed with alg=")),
        ("alg RS256", none, Err("it is not signed with alg=")),
        ("HS384", none, Err("it is not signed with alg=")),
        ("none", none, Err("it is not signed with alg=")),
        ("none with signature", none, Err("it is not signed with alg=")),
        ("other secret", none, Err("the signature fits no key=")),
        ("list", none, Err("it is no JSON object")),
        ("no json", none, Err("it is no JSON object")),
        ("empty", none, Err("it is no JSON object")),
    ];
    for (name, options, expected) in table {
        let policy = made.hs256(options);
        let token = made.hs(name);
        match expected {
            Ok(()) => assert!(claims(&policy, token).is_some(), "{name} {options:?}"),
            Err(text) => {
                let reason = reason(&policy, token);
                assert!(reason.contains(text), "{name} {options:?}: {reason}");
            }
        }
    }

    let policy = made.hs256(&[]);
    let good = made.hs("good");
    let later = |n| claims_at(&policy, good.as_bytes(), SystemTime::now() + days(n)).is_some();
    assert_eq!((later(0), later(1)), (true, false));
    for end in 0..good.len() {
        assert!(claims(&policy, &good[..end]).is_none(), "cut at {end}");
    }
    for other in ["", ".", "..", "....", "a.b.c", &format!("{good}="), &format!("{good}.x")] {
        assert!(claims(&policy, other).is_none(), "{other}");
    }
    survives_mutations(&policy, &[good, made.hs("aud"), made.hs("none")]);
}

#[test]
fn tokens_in_headers() {
    let made = Made::new();
    let (good, key) = (made.hs("good"), made.key("secret"));
    let authorization = policy(&["jwt", "header=authorization", "alg=HS256", &key]);
    let table = [
        (format!("Bearer {good}"), true),
        (format!("bearer   {good} "), true),
        (format!("BEARER {good}"), true),
        (good.to_owned(), false),
        (format!("Basic {good}"), false),
        (format!("Bearer{good}"), false),
        (format!("Bearer {good} x"), false),
        (format!("Bearer x, Bearer {good}"), false),
        ("Bearer".to_owned(), false),
        (String::new(), false),
    ];
    for (value, expected) in table {
        assert_eq!(claims(&authorization, &value).is_some(), expected, "{value}");
    }
    let lines = [&b"Basic YTpi"[..], b"Bearer x.y.z", &[b"Bearer ", good.as_bytes()].concat()];
    let mut trace = Vec::new();
    let request = request(&authorization, &lines);
    assert!(authorization.claims(&request, SystemTime::now(), &mut trace).is_some());
    let expected = [
        "session in header authorization: it is no base64url",
        "session in header authorization: verified",
    ];
    assert_eq!(trace, expected);

    let other = policy(&["jwt", "header=X-Token", "alg=HS256", &key]);
    assert!(claims(&other, &format!(" {good}")).is_some());
    assert!(claims(&other, &format!("Bearer {good}")).is_none());
    let mut trace = Vec::new();
    assert!(other.claims(&Request::default(), SystemTime::now(), &mut trace).is_none());
    assert_eq!(trace, ["session in header X-Token: there is none"]);
}
