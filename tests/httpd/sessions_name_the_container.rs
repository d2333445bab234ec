//! `WsRouteSession`: the application's own session, made by real Flask and PyJWT, names the
//! container. Any other one is none.

use crate::harness::*;
use std::sync::Arc;

/// The lines `name value` that a script prints.
fn python(script: &str, arguments: &[&str]) -> Vec<(String, String)> {
    let arguments = [&["-c", script], arguments].concat();
    // Debian's, whatever other Python is in the way.
    let said = run("/usr/bin/python3", &arguments);
    let lines = said.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What a browser would bring back: Set-Cookie of a real application.
const FLASK: &str = r#"
import sys, time, random
from datetime import timedelta
import itsdangerous.timed
from flask import Flask, session
clock = time.time
def cookie(name, content, secret=sys.argv[1], age=0):
    itsdangerous.timed.time.time = lambda: clock() - age
    app = Flask("app")
    app.secret_key = secret
    @app.route("/")
    def index():
        session.update(content)
        return "ok"
    value = app.test_client().get("/").headers["Set-Cookie"].split(";")[0]
    print(name, value[len("session="):])
random.seed(1)
noise = "".join(random.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(12000))
cookie("right", {"desktop": "alice"})
cookie("zlib", {"desktop": "alice", "more": "x" * 4000})
cookie("nested", {"user": {"desktop": "alice"}})
cookie("number", {"desktop": 42})
cookie("unknown", {"desktop": "nobody"})
cookie("other", {"something": "alice"})
cookie("empty", {"desktop": ""})
cookie("list", {"desktop": ["alice"]})
cookie("true", {"desktop": True})
cookie("stale", {"desktop": "alice"}, age=7200)
cookie("young", {"desktop": "alice"}, age=3000)
cookie("old-secret", {"desktop": "alice"}, secret="the secret before that one")
cookie("forged", {"desktop": "alice"}, secret="guessed")
cookie("oversized", {"desktop": "alice", "noise": noise})
"#;

fn value<'a>(all: &'a [(String, String)], name: &str) -> &'a str {
    &all.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}: {all:?}")).1
}

fn conf(session: &str, key: &str) -> String {
    "WsRouteResolver desktops file \"${ROOT}/routes\"\nLimitRequestFieldSize 32000\n".to_owned()
        + &location("/", &format!("WsRoute desktops\nWsRouteSession {session}\n{key}"))
}

async fn start(conf: String, up: &Arc<Upstream>, secret: &str, older: &str) -> Httpd {
    let httpd = Httpd::with(conf)
        .file("secret", secret)
        .file("older", older)
        .file("routes", format!("alice {0}\n42 {0}\n", up.address))
        .start()
        .await;
    // The harness writes its files for everybody to read, and the module says what that means.
    httpd.allow_output("everybody");
    ["everybody", words::UNKNOWN_KEY].iter().for_each(|text| httpd.log().allow(text));
    httpd
}

#[tokio::test(flavor = "multi_thread")]
async fn flasks() {
    let up = Arc::new(Upstream::echo().await);
    let secret = "the secret of the application";
    let all = python(FLASK, &[secret]);
    let session =
        "flask cookie=session secret=file:${ROOT}/secret secret=file:${ROOT}/older max-age=1h";
    let keys = "WsRouteKey session:desktop\nWsRouteKey session:user.desktop";
    let httpd =
        start(conf(session, keys), &up, &format!("{secret}\n"), "the secret before that one\n")
            .await;
    for name in ["right", "zlib", "nested", "number", "young", "old-secret"] {
        let client =
            httpd.client().header("Cookie", &format!("a=b; session={}", value(&all, name)));
        client.upgrade("/").await.leave().await;
    }
    let asked = up.connections();
    for name in ["unknown", "other", "empty", "list", "true", "stale", "forged", "oversized"] {
        let client = httpd.client().header("Cookie", &format!("session={}", value(&all, name)));
        client.refused("/", 404).await;
    }
    httpd.client().refused("/", 404).await;
    // One letter of the signature, one letter of the payload; another cookie's name.
    let right = value(&all, "right");
    let (content, signature) = right.split_at(right.rfind('.').expect("a signature") + 1);
    let first = &signature[..1];
    for cookie in [
        format!("session={content}{}{}", if first == "A" { "B" } else { "A" }, &signature[1..]),
        format!("session=f{}", &right[1..]),
        format!("Session={right}"),
        format!("sessio={right}"),
        format!("session={right}; session={right}").replace("session", "xsession"),
    ] {
        httpd.client().header("Cookie", &cookie).refused("/", 404).await;
    }
    assert_eq!(up.connections(), asked);
    // A forged one beside it does not shut out the real one.
    let both = format!("session={}; session={right}", value(&all, "forged"));
    httpd.client().header("Cookie", &both).upgrade("/").await.leave().await;
    for secret in [secret, "the secret before that one", right] {
        assert_eq!(httpd.log().count(secret), 0, "{secret:?} in the error log");
    }
}

const JWT: &str = r#"
import sys, time, json, base64, jwt
now = int(time.time())
secret, private, public = sys.argv[1], open(sys.argv[2]).read(), open(sys.argv[3]).read()
def token(name, claims, key=secret, alg="HS256", **more):
    print(name, jwt.encode({"desktop": "alice", "exp": now + 600, "aud": "desktops", **claims}, key, algorithm=alg, **more))
def raw(name, header, claims, signature=""):
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).decode().rstrip("=")
    print(name, part(header) + "." + part(claims) + "." + signature)
right = {"desktop": "alice", "exp": now + 600, "aud": "desktops"}
token("right", {})
token("list-aud", {"aud": ["x", "desktops"]})
token("rs", {}, key=private, alg="RS256")
token("stale", {"exp": now - 600})
token("early", {"nbf": now + 600})
token("foreign", {"aud": "mail"})
token("guessed", {}, key="x" * 40)
token("hs512", {}, alg="HS512")
token("no-key", {"desktop": None})
token("oversized", {"noise": "x" * 9000})
raw("none", {"alg": "none", "typ": "JWT"}, right)
raw("None", {"alg": "None"}, right)
raw("unsigned", {"alg": "HS256"}, right)
raw("garbage", {"alg": "HS256"}, right, "AAAA")
import hmac, hashlib
part = lambda o: base64.urlsafe_b64encode(o).decode().rstrip("=")
head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + part(json.dumps(right).encode())
print("confused", head + "." + part(hmac.new(public.encode(), head.encode(), hashlib.sha256).digest()))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn json_web_tokens() {
    let up = Arc::new(Upstream::echo().await);
    let secret = "a secret that has more than thirty-two bytes";
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (private, public) = (file("private"), file("public"));
    run("openssl", &["genrsa", "-out", &private, "2048"]);
    run("openssl", &["rsa", "-in", &private, "-pubout", "-out", &public]);
    let all = python(JWT, &[secret, &private, &public]);
    let pem = std::fs::read_to_string(&public).expect("the public key");

    let hs = conf(
        "jwt cookie=token key=file:${ROOT}/secret alg=HS256 aud=desktops",
        "WsRouteKey session:desktop",
    );
    let httpd = start(hs, &up, &format!("{secret}\n"), "").await;
    let with =
        |name: &str| httpd.client().header("Cookie", &format!("token={}", value(&all, name)));
    for name in ["right", "list-aud"] {
        with(name).upgrade("/").await.leave().await;
    }
    for name in [
        "stale",
        "early",
        "foreign",
        "guessed",
        "hs512",
        "no-key",
        "oversized",
        "none",
        "None",
        "unsigned",
        "garbage",
        "rs",
        "confused",
    ] {
        with(name).refused("/", 404).await;
    }
    for token in ["", ".", "..", "a.b.c", "' OR 1=1--", "Bearer x"] {
        httpd.client().header("Cookie", &format!("token={token}")).refused("/", 404).await;
    }
    assert_eq!(up.connections(), 2);
    drop(httpd);

    // The public key is no shared secret, whatever the token says.
    let rs = conf(
        "jwt header=Authorization key=file:${ROOT}/secret alg=RS256 aud=desktops",
        "WsRouteKey session:desktop",
    );
    let httpd = start(rs, &up, &pem, "").await;
    let with = |name: &str| {
        httpd.client().header("Authorization", &format!("Bearer {}", value(&all, name)))
    };
    with("rs").upgrade("/").await.leave().await;
    for name in ["confused", "right", "none", "guessed"] {
        with(name).refused("/", 404).await;
    }
    httpd.client().header("Authorization", value(&all, "rs")).refused("/", 404).await;
    assert_eq!(up.connections(), 3);
}

#[test]
fn configtest_finds_what_cannot_work() {
    let mut wrong = Vec::new();
    for (session, key, word) in [
        ("WsRouteSession flask cookie=s secret=file:${ROOT}/nowhere", "session:x", "nowhere"),
        ("WsRouteSession flask cookie=s secret=file:${ROOT}/empty", "session:x", "empty"),
        ("WsRouteSession flask cookie=s secret=file:secret", "session:x", "absolute"),
        ("WsRouteSession flask cookie=s secret=hunter2", "session:x", "file:"),
        (
            "WsRouteSession flask cookie=s secret=env:WSROUTE_TEST_UNSET",
            "session:x",
            "WSROUTE_TEST_UNSET",
        ),
        ("WsRouteSession flask secret=file:${ROOT}/secret", "session:x", "cookie"),
        ("WsRouteSession flask cookie=s", "session:x", "secret"),
        ("WsRouteSession django cookie=s", "session:x", "django"),
        (
            "WsRouteSession flask cookie=s secret=file:${ROOT}/secret max-age=soon",
            "session:x",
            "soon",
        ),
        ("WsRouteSession jwt cookie=t key=file:${ROOT}/secret alg=none", "session:x", "none"),
        ("WsRouteSession jwt cookie=t key=file:${ROOT}/secret", "session:x", "alg"),
        ("WsRouteSession jwt cookie=t key=file:${ROOT}/secret alg=RS256", "session:x", "PEM"),
        ("WsRouteSession jwt cookie=t key=file:${ROOT}/cert.pem alg=HS256", "session:x", "alg="),
        ("", "session:x", "WsRouteSession"),
        ("", "session:", "session:CLAIM"),
        ("", "session", "session:CLAIM"),
    ] {
        let lines = location(
            "/",
            &format!("WsRoute \"ws://127.0.0.1:1/{{key}}\"\n{session}\nWsRouteKey {key}"),
        );
        let setup =
            Httpd::with(lines).file("secret", "hunter2hunter2hunter2hunter2hunter2hunter2\n");
        let (fine, said) = setup.file("empty", "\n").configtest();
        let told = said.contains(word) && said.contains("WsRoute");
        if fine || !told || said.contains("hunter2") {
            wrong.push(format!("{session:?} {key}: fine {fine}, {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
