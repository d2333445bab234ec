//! Cookies that a real Flask sets.

use super::*;
use crate::route::key::candidates;
use crate::route::{Candidate, Expressions, KeyRule, Sources};
use serde_json::json;

const SECRET: &str = "a secret of the application's";
const OLDER: &str = "the secret before that one";

/// Functions for the scripts: what a Flask application answers with, and its own serializer.
const FLASK: &str = r#"
import datetime, uuid, time, random, zlib
from flask import Flask, session
from markupsafe import Markup
import itsdangerous, itsdangerous.timed

def serializer(secret, salt="cookie-session"):
    app = Flask("app")
    app.secret_key = secret
    app.session_interface.salt = salt
    return app.session_interface.get_signing_serializer(app)

def cookie(content, secret=input["secret"]):
    app = Flask("app")
    app.secret_key = secret
    @app.route("/")
    def index():
        session.update(content)
        return "ok"
    value = app.test_client().get("/").headers["Set-Cookie"]
    assert value.startswith("session=")
    return value[len("session="):].split(";")[0]

def signed(payload, secret=input["secret"]):
    return serializer(secret).make_signer("cookie-session").sign(payload).decode()
"#;

fn flask(script: &str) -> Value {
    let input = json!({"secret": SECRET, "older": OLDER});
    python(&format!("{FLASK}\n{script}"), &input)
}

/// A policy with these secrets, the newest first.
fn with_secrets(secrets: &[&str], options: &[&str]) -> SessionPolicy {
    let dir = tempfile::tempdir().unwrap();
    let secrets = secrets.iter().enumerate();
    let secrets: Vec<String> = secrets
        .map(|(i, s)| {
            format!("secret={}", file(&dir, &i.to_string(), format!("{s}\r\n").as_bytes()))
        })
        .collect();
    let secrets = secrets.iter().map(String::as_str);
    let args: Vec<&str> =
        ["Flask", "cookie=session"].into_iter().chain(secrets).chain(options.to_vec()).collect();
    policy(&args)
}

#[test]
fn what_flask_puts_into_a_session() {
    let cookie = flask(
        r#"
print(json.dumps(cookie({
    "container": "desktop-1", "umlaut": "Käse \U0001f9c0", "number": 42, "admin": True,
    "user": {"name": "alice", "desk": {"id": 7}},
    "uuid": uuid.UUID("12345678-9abc-def0-1234-56789abcdef0"),
    "when": datetime.datetime(2024, 1, 2), "bytes": b"abc", "markup": Markup("<b>x</b>"),
    "tuple": ("a", "b"), "list": ["a"], "none": None,
    "tagged": {" u": "not a uuid"}, "inside": {"id": uuid.UUID(int=1)},
})))"#,
    );
    let policy = with_secrets(&[SECRET], &[]);
    let claims = claims(&policy, cookie.as_str().unwrap()).unwrap();
    let table = [
        ("container", Some("desktop-1")),
        ("umlaut", Some("Käse \u{1f9c0}")),
        ("number", Some("42")),
        ("user.name", Some("alice")),
        ("user.desk.id", Some("7")),
        ("uuid", Some("12345678-9abc-def0-1234-56789abcdef0")),
        ("inside.id", Some("00000000-0000-0000-0000-000000000001")),
        ("markup", Some("<b>x</b>")),
        ("tagged. u", Some("not a uuid")),
        ("admin", None),
        ("when", None),
        ("bytes", None),
        ("tuple", None),
        ("list", None),
        ("none", None),
        ("user", None),
    ];
    for (path, expected) in table {
        assert_eq!(claims.get(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn a_claim_becomes_a_key() {
    struct Nothing;
    impl Expressions for Nothing {
        fn evaluate(&self, _: &str) -> Result<String, String> {
            unreachable!()
        }
    }
    let cookies = flask(
        r#"print(json.dumps([cookie({"user": {"container": "desktop-1"}}),
                             cookie({"user": {"container": "a\nb"}}), cookie({"user": "x"})]))"#,
    );
    let policy = with_secrets(&[SECRET], &[]);
    let rules = [
        KeyRule::parse(&["host", "^(x)"]).unwrap(),
        KeyRule::parse(&["SESSION:user.container"]).unwrap(),
        KeyRule::parse(&["session:user.container", "^desktop-([0-9]+)$", "d$1"]).unwrap(),
    ];
    let needs: Vec<bool> = rules.iter().map(KeyRule::needs_session).collect();
    assert_eq!(needs, [false, true, true]);
    let found = |cookie: &Value| {
        let mut request = request(&policy, &[cookie.as_str().unwrap().as_bytes()]);
        request.raw_path = "/ws".into();
        request.path = "/ws".into();
        let now = SystemTime::now();
        let claims = claims_for(&rules, Some(&policy), &request, now, &mut Vec::new()).unwrap();
        let sources = Sources { expressions: &Nothing, claims: claims.as_ref() };
        candidates(&rules, &request, &sources, &mut Vec::new())
    };
    let candidate = |key: &str, rule: &str| Candidate {
        key: key.into(),
        rule: rule.into(),
        shown: key.into(),
        tail: Some("/ws".into()),
        hint: false,
    };
    let expected = [
        candidate("desktop-1", "SESSION:user.container"),
        candidate("d1", "session:user.container ^desktop-([0-9]+)$"),
    ];
    assert_eq!(found(&cookies[0]).unwrap(), expected);
    assert_eq!(found(&cookies[1]).unwrap_err().status(), 400);
    assert_eq!(found(&cookies[2]).unwrap(), []);

    let for_rules = |rules: &[KeyRule], policy| {
        let (mut trace, now) = (Vec::new(), SystemTime::now());
        let result = claims_for(rules, policy, &Request::default(), now, &mut trace);
        (result.map(|claims| claims.is_some()).map_err(|refusal| refusal.status()), trace.len())
    };
    assert_eq!(for_rules(&rules[..1], Some(&policy)), (Ok(false), 0), "nobody asks");
    assert_eq!(for_rules(&rules[..1], None), (Ok(false), 0));
    assert_eq!(for_rules(&rules, Some(&policy)), (Ok(false), 1), "asked once");
    assert_eq!(for_rules(&rules, None), (Err(500), 0));
    let without = Sources { expressions: &Nothing, claims: None };
    assert_eq!(candidates(&rules, &Request::default(), &without, &mut Vec::new()).unwrap(), []);
}

#[test]
fn large_sessions_are_compressed_and_bombs_refused() {
    let made = flask(
        r#"
from itsdangerous.encoding import base64_encode as b64
random.seed(1)
noise = lambda n: "".join(random.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(n))
def packed(size):
    text = json.dumps({"container": "c", "pad": "x" * (size - 29)}).encode()
    assert len(text) == size, len(text)
    return signed(b"." + b64(zlib.compress(text)))
def broken(data): return signed(b"." + b64(data))
whole = zlib.compress(json.dumps({"container": "c"}).encode())
print(json.dumps({
    "large": cookie({"container": "c", "pad": "x" * 20000}),
    "at the limit": packed(65536), "above": packed(65537), "bomb": packed(4000000),
    "oversized": cookie({"container": "c", "pad": noise(13000)}),
    "cut": broken(whole[:-5]), "no zlib": broken(b"abc"), "checksum": broken(whole[:-1] + b"\0"),
    "no base64": signed(b"abc=="), "no json": signed(b64(b"{")), "list": signed(b64(b"[1]")),
    "deep": signed(b64(b"[" * 5000)), "empty": signed(b""), "no utf-8": signed(b64(b'{"a":"\xff"}')),
    "tag": signed(b64(b'{" u":"x"}')), "twice": signed(b64(b'{"container":"a","container":"c"}')),
    "odd tags": signed(b64(b'{"a":{" t":1},"b":{" di":[]},"c":{" u":5},"container":"c"}')),
}))"#,
    );
    let policy = with_secrets(&[SECRET], &[]);
    let table = [
        ("large", Ok(())),
        ("at the limit", Ok(())),
        ("twice", Ok(())),
        ("odd tags", Ok(())),
        ("above", Err("unpacks to more than 64 KiB")),
        ("bomb", Err("unpacks to more than 64 KiB")),
        ("oversized", Err("longer than 8 KiB")),
        ("cut", Err("does not unpack")),
        ("no zlib", Err("does not unpack")),
        ("checksum", Err("does not unpack")),
        ("no base64", Err("no base64url")),
        ("no json", Err("no JSON object")),
        ("list", Err("no JSON object")),
        ("deep", Err("no JSON object")),
        ("empty", Err("no JSON object")),
        ("no utf-8", Err("no JSON object")),
        ("tag", Err("no JSON object")),
    ];
    assert!(made["large"].as_str().unwrap().starts_with('.'), "Flask compresses it");
    for (name, expected) in table {
        let cookie = made[name].as_str().unwrap();
        match expected {
            Ok(()) => {
                let claims = claims(&policy, cookie).unwrap_or_else(|| panic!("{name}"));
                assert_eq!(claims.get("container").as_deref(), Some("c"), "{name}");
            }
            Err(text) => {
                let reason = reason(&policy, cookie);
                assert!(reason.contains(text), "{name}: {reason}");
            }
        }
    }
}

#[test]
fn secrets_rotate() {
    let made = flask(
        r#"print(json.dumps({
    "new": cookie({"c": "new"}), "old": cookie({"c": "old"}, input["older"]),
    "foreign": cookie({"c": "foreign"}, "somebody else's secret"),
    "salted": serializer(input["secret"], "other-salt").dumps({"c": "salted"}),
}))"#,
    );
    let table: &[(&[&str], &[&str], &[&str])] = &[
        (&[SECRET], &[], &["new"]),
        (&[OLDER], &[], &["old"]),
        (&[SECRET, OLDER], &[], &["new", "old"]),
        (&[SECRET], &["salt=other-salt"], &["salted"]),
    ];
    for (secrets, options, expected) in table {
        let policy = with_secrets(secrets, options);
        for name in ["new", "old", "foreign", "salted"] {
            let found = claims(&policy, made[name].as_str().unwrap());
            let c = found.and_then(|claims| claims.get("c"));
            assert_eq!(c.is_some(), expected.contains(&name), "{secrets:?} {options:?} {name}");
        }
    }
    // From the environment: the secret as it is, with no line end to lose.
    let input = json!({"secret": std::env::var("PATH").unwrap()});
    let key = python(&format!("{FLASK}\nprint(json.dumps(cookie({{'c': 'env'}})))"), &input);
    let env = SessionPolicy::parse(&["flask", "cookie=session", "secret=env:PATH"]).unwrap();
    assert_eq!(claims(&env, key.as_str().unwrap()).unwrap().get("c").as_deref(), Some("env"));
}

#[test]
fn sessions_age() {
    let made = flask(
        r#"
def made(age):
    now = time.time
    itsdangerous.timed.time.time = lambda: now() - age
    try: return serializer(input["secret"]).dumps({"c": "x"})
    finally: itsdangerous.timed.time.time = now
from itsdangerous.encoding import base64_encode as b64
signer = serializer(input["secret"]).make_signer("cookie-session")
def at(time):
    value = b64(b'{"c":"x"}') + b"." + time
    return (value + b"." + signer.get_signature(value)).decode()
print(json.dumps({
    "now": made(0), "an hour": made(3600), "30 days": made(30 * 86400), "32 days": made(32 * 86400),
    "30 s ahead": made(-30), "a day ahead": made(-86400), "1970": at(b""), "max": at(b64(b"\xff" * 8)),
    "9 bytes": at(b64(b"\1" * 9)), "no time": at(b"!"),
}))"#,
    );
    let names = ["now", "an hour", "30 days", "32 days", "30 s ahead"];
    let table: &[(&[&str], &[&str])] = &[
        (&[], &["now", "an hour", "30 days", "30 s ahead"]),
        (&["max-age=30min"], &["now", "30 s ahead"]),
        (&["max-age=960h"], &names),
        (&["max-age=off"], &names),
    ];
    for (options, good) in table {
        let policy = with_secrets(&[SECRET], options);
        for name in names {
            let found = claims(&policy, made[name].as_str().unwrap()).is_some();
            assert_eq!(found, good.contains(&name), "{options:?} {name}");
        }
        for (name, text) in [
            ("a day ahead", "from the future"),
            ("max", "from the future"),
            ("9 bytes", "its time is no number"),
            ("no time", "no base64url"),
        ] {
            let reason = reason(&policy, made[name].as_str().unwrap());
            assert!(reason.contains(text), "{options:?} {name}: {reason}");
        }
    }
    let policy = with_secrets(&[SECRET], &[]);
    assert!(reason(&policy, made["32 days"].as_str().unwrap()).contains("older than max-age="));
    assert!(reason(&policy, made["1970"].as_str().unwrap()).contains("older than max-age="));
    let now = made["now"].as_str().unwrap().as_bytes();
    let later = |days| claims_at(&policy, now, SystemTime::now() + days).is_some();
    assert_eq!((later(days(30)), later(days(32))), (true, false));
    assert!(claims_at(&policy, now, UNIX_EPOCH - days(1)).is_none());
}

#[test]
fn forged_cookies_say_nothing() {
    let made = flask(
        r#"print(json.dumps([cookie({"c": "x"}), cookie({"c": "y", "pad": "z" * 3000}),
                             itsdangerous.URLSafeTimedSerializer("", "cookie-session",
                                 signer_kwargs={"key_derivation": "hmac"}).dumps({"c": "x"})]))"#,
    );
    let [small, large, unkeyed] = [0, 1, 2].map(|i| made[i].as_str().unwrap());
    let policy = with_secrets(&[SECRET], &[]);
    for cookie in [small, large] {
        assert!(claims(&policy, cookie).is_some());
        for bytes in tampered(cookie) {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            assert!(claims_at(&policy, &bytes, SystemTime::now()).is_none(), "{shown}");
        }
        for end in 0..cookie.len() {
            assert!(claims(&policy, &cookie[..end]).is_none(), "cut at {end}");
        }
        let parts: Vec<&str> = cookie.rsplitn(3, '.').collect();
        let (signature, time, payload) = (parts[0], parts[1], parts[2]);
        for other in [
            format!("{payload}.{signature}"),
            format!("{payload}..{signature}"),
            format!("{payload}.{time}."),
            format!(".{payload}.{time}.{signature}"),
            format!("{cookie}="),
            format!("{cookie}.{signature}"),
        ] {
            assert!(claims(&policy, &other).is_none(), "{other}");
        }
    }
    for other in ["", ".", "..", "...", "x", unkeyed] {
        assert!(claims(&policy, other).is_none(), "{other}");
    }
    let reason = |value: &[u8]| {
        let mut trace = Vec::new();
        policy.claims(&request(&policy, &[value]), SystemTime::now(), &mut trace);
        trace
    };
    assert_eq!(reason(b"\xff"), ["session in cookie session: not UTF-8"]);
    assert_eq!(reason(&[b'a'; 8193]), ["session in cookie session: longer than 8 KiB"]);
    assert_eq!(
        reason(b"x.y.AAAA"),
        ["session in cookie session: the signature fits no secret= (or not the salt=)"]
    );
    survives_mutations(&policy, &[small, large]);
}

#[test]
fn of_several_cookies_the_first_that_verifies() {
    let made = flask(
        r#"print(json.dumps([cookie({"c": "1"}), cookie({"c": "2"}), cookie({"c": "3"}, "other")]))"#,
    );
    let [one, two, foreign] = [0, 1, 2].map(|i| made[i].as_str().unwrap().as_bytes());
    let policy = with_secrets(&[SECRET], &[]);
    /// Values, the claim, lines of the trace.
    type Case<'a> = (&'a [&'a [u8]], Option<&'a str>, usize);
    let table: &[Case] = &[
        (&[one, two], Some("1"), 1),
        (&[two, one], Some("2"), 1),
        (&[foreign, b"\xff", two, one], Some("2"), 3),
        (&[foreign], None, 1),
        (&[], None, 1),
        (&[b"x", b"x", b"x", b"x", b"x", b"x", b"x", one], Some("1"), 8),
        (&[b"x", b"x", b"x", b"x", b"x", b"x", b"x", b"x", one], None, 8),
    ];
    for (values, expected, lines) in table {
        let mut trace = Vec::new();
        let found = policy.claims(&request(&policy, values), SystemTime::now(), &mut trace);
        assert_eq!(found.and_then(|c| c.get("c")).as_deref(), *expected);
        assert_eq!(trace.len(), *lines, "{trace:?}");
    }
    // One line, in quotes, among others.
    let line = [b"a=1; session=\"", foreign, b"\";session = \"", two, b"\" ; b=2"].concat();
    let headers = vec![("cookie".to_owned(), line)];
    let request = Request { headers, ..Request::default() };
    let found = policy.claims(&request, SystemTime::now(), &mut Vec::new()).unwrap();
    assert_eq!(found.get("c").as_deref(), Some("2"));
}
