//! `WsRouteSession`'s arguments, and the files that they name.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn bad_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let good = file(&dir, "good", b"0123456789abcdef0123456789abcdef");
    let empty = file(&dir, "empty", b"\n");
    let huge = file(&dir, "huge", &[b'x'; 65_537]);
    let pem = file(&dir, "pem", b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n");
    let ssh = file(&dir, "ssh", b"ssh-rsa AAAA me");
    let folder = format!("file:{}", dir.path().display());
    let secret = |locator: &str| format!("secret={locator}");
    let key = |locator: &str| format!("key={locator}");
    let (good_key, good) = (key(&good), secret(&good));

    let c = "cookie=session";
    let table: &[(&[&str], &str)] = &[
        (&[], "no format, use flask or jwt"),
        (&["django", c], "unknown format \"django\", use flask or jwt"),
        (&["flask", &good], "no cookie, use cookie=session"),
        (&["flask", c], "no secret, use secret=file:/absolute/path"),
        (&["flask", c, "geheim"], "argument 3 is no option, use option=value"),
        (&["flask", c, "Z2VoZWlt="], "argument 3 is no option"),
        (&["flask", c, c, &good], "cookie= is given more than once"),
        (&["flask", "cookie=a b", &good], "is no name"),
        (&["flask", "cookie=", &good], "cookie= is empty"),
        (&["flask", c, &good, "max-age=0"], "use off for no limit"),
        (&["flask", c, &good, "max-age=x"], "max-age=\"x\" is no time"),
        (&["flask", c, &good, "key=x"], "unknown option key=, use cookie=, secret="),
        (&["flask", c, "secret=geheim"], "secret= is no place, use file:/absolute/path or env:"),
        (&["flask", c, "secret=file:geheim"], "is relative, use an absolute path"),
        (&["flask", c, "secret=file:/no/such"], "secret=file:/no/such cannot be read, use a file"),
        (&["flask", c, "secret=env:WSROUTE_NONE"], "secret=env:WSROUTE_NONE is not set, set it"),
        (&["flask", c, &good, &secret(&empty)], "empty is empty, use the application's own"),
        (&["flask", c, &secret(&huge)], "is larger than 64 KiB"),
        (&["flask", c, &secret(&folder)], "is no regular file"),
        (&["jwt", "alg=HS256", &good_key], "no place, use cookie=NAME or header=Authorization"),
        (&["jwt", c, "header=x", "alg=HS256", &good_key], "use only one of them"),
        (&["jwt", c, &good_key], "no alg, use alg= HS256, HS384"),
        (&["jwt", c, "alg=none", &good_key], "alg=none is unknown, use HS256"),
        (&["jwt", c, "alg=hs256", &good_key], "alg=hs256 is unknown, use HS256"),
        (
            &["jwt", c, "alg=HS256", &good_key, &good],
            "unknown option secret=, use cookie=, header=",
        ),
        (&["jwt", c, "alg=HS256"], "no key, use key=file:/absolute/path"),
        (&["jwt", c, "alg=HS256", &good_key, "exp=never"], "use exp=optional"),
        (&["jwt", c, "alg=HS256", &good_key, "leeway=x"], "leeway=\"x\" is no time"),
        (&["jwt", c, "alg=HS256", &key(&pem)], "pem is a public or private key, use the alg="),
        (&["jwt", c, "alg=HS256", &key(&ssh)], "ssh is a public or private key, use the alg="),
        (&["jwt", c, "alg=RS256", &good_key], "holds no public key, use PEM: BEGIN PUBLIC KEY"),
        (&["jwt", c, "alg=RS256", &key(&pem)], "pem does not fit alg=RS256, use an RSA key"),
    ];
    for (args, text) in table {
        let error = SessionPolicy::parse(args).unwrap_err();
        assert!(error.contains(text) && !error.contains('\n'), "{args:?}: {error}");
        let shown = error.replace("file:geheim", "");
        assert!(!shown.contains("geheim") && !shown.contains("0123"), "{error}");
    }
}

#[test]
fn warnings_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let locator = file(&dir, "secret", b"dev");
    let path = dir.path().join("secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();

    let secret = format!("secret={locator}");
    let flask = SessionPolicy::parse(&["flask", "cookie=session", &secret]).unwrap();
    let expected = [
        format!("{secret} is readable for everybody, use chmod o-r"),
        format!("{secret} has 3 bytes and could be guessed, use 16 or more"),
    ];
    assert_eq!(flask.warnings(), expected);

    let key = format!("key={locator}");
    let jwt = SessionPolicy::parse(&["jwt", "cookie=t", &key, "alg=HS384"]).unwrap();
    let expected = [
        format!("{key} is readable for everybody, use chmod o-r"),
        format!("{key} has 3 bytes and could be guessed, use 48 or more"),
    ];
    assert_eq!(jwt.warnings(), expected);
    for policy in [flask, jwt] {
        let shown = format!("{policy:?}");
        assert!(!shown.contains("dev") && !shown.contains("100, 101, 118"), "{shown}");
    }
}

#[test]
fn a_claim_by_its_path() {
    let session = serde_json::json!({
        "name": "alice", "id": 42, "negative": -7, "admin": true, "half": 0.5, "one": 1.0,
        "list": ["a"], "none": null, "empty": "", "huge": 18446744073709551615u64,
        "user": {"container": "desktop-1", "deep": {"er": "x"}, "a.b": "dotted"},
        "https://example.org/container": "namespaced", "user.id": "literal",
    });
    let Value::Object(session) = session else { unreachable!() };
    let claims = Claims(session);
    let table = [
        ("name", Some("alice")),
        ("id", Some("42")),
        ("negative", Some("-7")),
        ("huge", Some("18446744073709551615")),
        ("empty", Some("")),
        ("user.container", Some("desktop-1")),
        ("user.deep.er", Some("x")),
        ("user.a.b", Some("dotted")),
        ("https://example.org/container", Some("namespaced")),
        ("user.id", Some("literal")),
        ("admin", None),
        ("half", None),
        ("one", None),
        ("list", None),
        ("list.0", None),
        ("none", None),
        ("user", None),
        ("user.deep", None),
        ("name.x", None),
        ("nobody", None),
        ("", None),
        (".", None),
        ("user.", None),
    ];
    for (path, expected) in table {
        assert_eq!(claims.get(path).as_deref(), expected, "{path}");
    }
    let huge = serde_json::from_str(r#"{"id": 18446744073709551617}"#).unwrap();
    assert_eq!(Claims(huge).get("id"), None, "it would be another number");
    assert_eq!(format!("{claims:?}"), "Claims(MASKED)");
}
