//! Tests of `key.rs`.

use super::*;

struct Environment;

const SOURCES: Sources<'static> = Sources { expressions: &Environment, claims: None };

impl Expressions for Environment {
    fn evaluate(&self, text: &str) -> Result<String, String> {
        match text {
            "%{env:desktop}" => Ok("from-env".into()),
            "%{env:none}" => Ok(String::new()),
            _ => Err("no such function".into()),
        }
    }
}

fn request() -> Request {
    let header = |n: &str, v: &str| (n.to_owned(), v.as_bytes().to_vec());
    Request {
        host: "desktop-alice.example.org".into(),
        path: "/desktop/alice/websockify".into(),
        raw_path: "/desktop/alice/websockify".into(),
        query: Some("a=1&token=al%69ce+b&empty=&token=second&na%6De=x".into()),
        user: Some("alice@example.org".into()),
        headers: vec![
            header("Referer", "https://example.org/desktop/alice-ref?x#y"),
            header("Cookie", "a=b; desktop=\"alice\"; desktop=other"),
            header("cookie", "late=line2 ;x"),
            header("X-Desktop", "alice-h"),
            header("X-Desktop", "second"),
        ],
        scope: Some("/".into()),
        ..Request::default()
    }
}

fn keys(rules: &[&[&str]], request: &Request) -> Result<Vec<String>, Refusal> {
    let rules: Vec<KeyRule> = rules.iter().map(|r| KeyRule::parse(r).unwrap()).collect();
    let found = candidates(&rules, request, &SOURCES, &mut Vec::new())?;
    Ok(found.into_iter().map(|c| c.key).collect())
}

#[test]
fn every_source_gives_its_key() {
    let table: &[(&[&str], &[&str])] = &[
        (&["host", r"^desktop-([^.]+)\."], &["alice"]),
        (&["host", r"^DESKTOP-([^.]+)\."], &["alice"]),
        (&["host", r"^nothing-([^.]+)\."], &[]),
        (&["path", "^/desktop/([^/]+)"], &["alice"]),
        (&["path", "^/Desktop/([^/]+)"], &[]),
        (&["path"], &["/desktop/alice/websockify"]),
        (&["referer", "/desktop/([^/?#]+)"], &["alice-ref"]),
        (&["host", r"^desktop-([\w-]{1,63})\."], &["alice"]),
        (&["user"], &["alice@example.org"]),
        (&["user", "^[^@]+"], &["alice"]),
        (&["query:token"], &["alice b"]),
        (&["query:name"], &["x"]),
        (&["query:empty"], &[]),
        (&["query:none"], &[]),
        (&["cookie:desktop"], &["alice"]),
        (&["cookie:late"], &["line2"]),
        (&["cookie:Desktop"], &[]),
        (&["cookie:x"], &[]),
        (&["header:x-desktop"], &["alice-h"]),
        (&["header:x-none"], &[]),
        (&["%{env:desktop}"], &["from-env"]),
        (&["%{env:none}"], &[]),
        (&["HOST", "^[^.]+"], &["desktop-alice"]),
        (&["path", "^/([^/]+)/([^/]+)", "$2-$1-$$-$0x"], &["alice-desktop-$-/desktop/alicex"]),
        (&["path", "^/desktop/(x)?"], &[]),
        (&["path", "^/desktop/", "fixed"], &["fixed"]),
    ];
    for (rule, expected) in table {
        assert_eq!(keys(&[rule], &request()).unwrap(), *expected, "{rule:?}");
    }
}

#[test]
fn candidates_keep_order_and_are_unique() {
    let rules: &[&[&str]] = &[
        &["header:X-Desktop"],
        &["host", r"^desktop-([^.]+)\."],
        &["path", "^/desktop/([^/]+)"],
        &["query:none"],
        &["cookie:desktop"],
    ];
    assert_eq!(keys(rules, &request()).unwrap(), ["alice-h", "alice"]);
}

#[test]
fn bad_keys_are_refused() {
    let long = "a".repeat(256);
    let header = |value: &[u8]| Request {
        headers: vec![("X-Key".into(), value.to_vec())],
        ..Request::default()
    };
    for value in
        [long.as_bytes(), b"a\0b", b"a\x7f", b"a\tb", b"a\r\nb", b"\x1b[0m", b"\xff", b"\xc2\x85"]
    {
        let refusal = keys(&[&["header:x-key"]], &header(value)).unwrap_err();
        assert_eq!(refusal.status(), 400, "{value:?}");
    }
    assert_eq!(keys(&[&["header:x-key"]], &header(&[b'a'; 255])).unwrap().len(), 1);
    // Long or odd values are fine as long as the key is not.
    assert_eq!(keys(&[&["header:x-key", "^a"]], &header(long.as_bytes())).unwrap(), ["a"]);

    let query = Request { query: Some("k=a%0d%0ab&u=%ff&n=%00".into()), ..Request::default() };
    for name in ["query:k", "query:u", "query:n"] {
        assert_eq!(keys(&[&[name]], &query).unwrap_err().status(), 400, "{name}");
    }
    let cookie = Request {
        headers: vec![("Cookie".into(), b"o=\xff; k=\xfe".to_vec())],
        ..Request::default()
    };
    assert_eq!(keys(&[&["cookie:k"]], &cookie).unwrap_err().status(), 400);
    assert_eq!(keys(&[&["%{unknown:x}"]], &query).unwrap_err().status(), 500);
}

#[test]
fn a_long_referer_is_refused_only_by_a_referer_rule() {
    let mut request = request();
    request.headers[0].1 = vec![b'a'; REFERER_MAX + 1];
    assert_eq!(keys(&[&["referer", "x"]], &request).unwrap_err().status(), 400);
    assert_eq!(keys(&[&["user", "^[^@]+"]], &request).unwrap(), ["alice"]);
    request.headers[0].1 = vec![b'a'; REFERER_MAX];
    assert_eq!(keys(&[&["referer", "^a"]], &request).unwrap(), ["a"]);
}

#[test]
fn tails() {
    /// Path, raw path, scope, rule, tail.
    type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a [&'a str], &'a str);
    let table: &[Case] = &[
        ("/d/al/ws", "/d/al/ws", Some("/"), &["path", "^/d/([^/]+)"], "/ws"),
        ("/d/al", "/d/al", Some("/"), &["path", "^/d/([^/]+)"], "/"),
        ("/d/al/ws", "/d/al/ws", Some("/"), &["path", "^/d/([^/]+)/"], "/ws"),
        ("/d/al/a b?c", "/d/al/a%20b%3Fc", Some("/"), &["path", "^/d/([^/]+)"], "/a%20b%3Fc"),
        ("/d/a b/x:@!$,", "/d/a%20b/x:@!$,", None, &["path", "^/d/([^/]+)"], "/x:@!$,"),
        ("/d/é/é%", "/d/%C3%A9/%C3%A9%25", None, &["path", "^/d/([^/]+)"], "/%C3%A9%25"),
        ("/ws/a", "/ws/a", Some("/ws"), &["user"], "/a"),
        ("/ws/a", "/ws/a", Some("/ws/"), &["user"], "/a"),
        ("/ws", "/ws", Some("/ws"), &["user"], "/"),
        ("/wsx/a", "/wsx/a", Some("/ws"), &["user"], "/wsx/a"),
        ("/other", "/other", Some("^/ws"), &["user"], "/other"),
        ("/ws/a", "/ws/a", Some("/"), &["user"], "/ws/a"),
        ("/ws/a", "/ws/a", None, &["user"], "/ws/a"),
    ];
    for (path, raw_path, scope, rule, tail) in table {
        let request = Request {
            path: (*path).into(),
            raw_path: (*raw_path).into(),
            scope: scope.map(Into::into),
            user: Some("u".into()),
            ..Request::default()
        };
        let rule = KeyRule::parse(rule).unwrap();
        let found = candidates(&[rule], &request, &SOURCES, &mut Vec::new()).unwrap();
        assert_eq!(found[0].tail.as_deref(), Some(*tail), "{path} {scope:?}");
    }
}

#[test]
fn bad_rules() {
    let table: &[(&[&str], &str)] = &[
        (&[], "wrong number"),
        (&["host", "a", "b", "c"], "wrong number"),
        (&["hosts"], "unknown source \"hosts\", use host, path"),
        (&["host:x"], "unknown source"),
        (&["query"], "use query:NAME"),
        (&["cookie:"], "use cookie:NAME"),
        (&["session"], "use session:CLAIM"),
        (&["session:"], "use session:CLAIM"),
        (&["host", "("], "bad REGEX"),
        (&["host", r"(a)\1"], "bad REGEX"),
        (&["host", "a", "$1"], "$1 in \"$1\" has no group"),
        (&["host", "a", "$"], "lone $"),
        (&["host", "a", "$x"], "lone $"),
        (&["host", "(a{1000}){1000}"], "bad REGEX"),
    ];
    for (rule, text) in table {
        let error = KeyRule::parse(rule).unwrap_err();
        assert!(error.contains(text) && !error.contains('\n'), "{rule:?}: {error}");
    }
}
