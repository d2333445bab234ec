//! Tests of `template.rs`.

use super::*;

fn expand(template: &str, key: Option<&str>, path: &str, tail: Option<&str>) -> String {
    let template = Template::parse(template).unwrap();
    match template.expand(key, path, tail) {
        Ok(target) => target.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn templates_expand() {
    let table = [
        ("ws://127.0.0.1:6080/websockify", None, "ws://127.0.0.1:6080/websockify"),
        ("ws://127.0.0.1:6080", None, "ws://127.0.0.1:6080"),
        ("wss://{key}:6901", Some("Alice"), "wss://alice:6901"),
        ("wss://{key}", Some("10.0.0.5"), "wss://10.0.0.5:443"),
        ("ws://{key}:1", Some("fd00::5"), "ws://[fd00::5]:1"),
        ("ws://[{key}]:1", Some("fd00::5"), "ws://[fd00::5]:1"),
        ("ws://[fd00::{key}]:1", Some("5"), "ws://[fd00::5]:1"),
        ("ws://desktop-{key}.lan:1", Some("12"), "ws://desktop-12.lan:1"),
        ("ws://10.0.0.{key}:1", Some("5"), "ws://10.0.0.5:1"),
        ("ws://{key}.0.0.1:1", Some("10"), "ws://10.0.0.1:1"),
        ("ws://10.0.0.5:{key}", Some("6901"), "ws://10.0.0.5:6901"),
        ("ws://10.0.0.5:70{key}", Some("01"), "ws://10.0.0.5:7001"),
        ("ws://h:1/{key}/x", Some("a b/c..d"), "ws://h:1/a%20b%2Fc..d/x"),
        ("ws://h:1/{key}", Some("ä%2e?#"), "ws://h:1/%C3%A4%252e%3F%23"),
        ("ws://h:1/b{path}", None, "ws://h:1/b/desktop/alice/x"),
        ("ws://h:1/b/{path}", None, "ws://h:1/b/desktop/alice/x"),
        ("ws://h:1/{tail}", None, "ws://h:1/x"),
        ("ws://h:1/b{tail}", None, "ws://h:1/b/x"),
        ("ws://h:1{tail}", None, "ws://h:1/x"),
        ("ws+unix:/run/{key}.sock:/{tail}", Some("alice"), "ws+unix:/run/alice.sock:/x"),
        ("ws+unix:/run/{key}.sock", Some("alice"), "ws+unix:/run/alice.sock"),
    ];
    for (template, key, expected) in table {
        let got = expand(template, key, "/desktop/alice/x", Some("/x"));
        assert_eq!(got, expected, "{template}");
    }
    assert_eq!(expand("ws://h:1/{tail}", None, "/all", None), "ws://h:1/all");
}

#[test]
fn literal_means_no_key() {
    for (template, literal) in [
        ("ws://h:1", true),
        ("ws://h:1/{path}", true),
        ("ws://h:1/{tail}", true),
        ("ws://{key}:1", false),
        ("ws://h:{key}", false),
        ("ws://h:1/{key}", false),
        ("ws+unix:/run/{key}", false),
    ] {
        assert_eq!(Template::parse(template).unwrap().literal(), literal, "{template}");
    }
}

#[test]
fn a_missing_key_is_an_error() {
    for template in ["ws://{key}:1", "ws://h:{key}", "ws://h:1/{key}", "ws+unix:/{key}"] {
        let template = Template::parse(template).unwrap();
        assert_eq!(template.expand(None, "/", None), Err(RouteError::NoKey));
    }
}

/// Keys of an attacker: none gets out of its place.
#[test]
fn hostile_keys_are_refused() {
    let everywhere = [
        "",
        ".",
        "..",
        "../etc",
        "a/b",
        "a\\b",
        "@127.0.0.1",
        "a@127.0.0.1",
        "127.0.0.1:22",
        "127.0.0.1/",
        "127.0.0.1#",
        "127.0.0.1?",
        "a:22",
        "a:b@c",
        "a b",
        " a",
        "a ",
        "a\t",
        "a\r\nHost: evil",
        "a\n",
        "a\0b",
        "a\u{7f}",
        "a'b",
        "a\"b",
        "a`b",
        "a;b",
        "a&b",
        "a|b",
        "$(id)",
        "{key}",
        "{tail}",
        "a{b",
        "%2e%2e",
        "%2f",
        "%00",
        "%0d%0a",
        "a%00.example",
        "a.b",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "-",
        "169.254.169.254.nip.io",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.256.256.256",
        "[::1]",
        "[::1]:22",
        "::1:22:",
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "::ffff:127.0.0.1:22",
        "a\u{3002}b",
        "127\u{ff0e}0\u{ff0e}0\u{ff0e}1",
        "\u{ff0f}",
        "\u{2024}",
        "ex\u{e4}mple",
        "\u{202e}a",
        "\u{feff}a",
        "１２７",
        "' OR 1=1 --",
        "ws://evil",
        "//evil",
        "http:evil",
    ];
    for template in
        ["ws://{key}:6901/x", "ws://d-{key}.lan:6901", "ws://h:{key}", "ws+unix:/run/{key}.s"]
    {
        let parsed = Template::parse(template).unwrap();
        for key in everywhere {
            let got = parsed.expand(Some(key), "/", None);
            assert!(
                matches!(got, Err(RouteError::Key { .. })),
                "{template} with {key:?} gave {got:?}"
            );
        }
    }
    // Addresses that getaddrinfo() would read from a "label".
    for key in ["2130706433", "0x7f000001", "017700000001", "0", "127", "0x"] {
        let parsed = Template::parse("ws://{key}:6901").unwrap();
        let got = parsed.expand(Some(key), "/", None);
        assert!(matches!(got, Err(RouteError::Key { .. })), "{key:?} gave {got:?}");
    }
    for key in ["0", "00000", "65536", "99999", "100000", "-1", "+80", "0x50", "8_0", "８０"] {
        let parsed = Template::parse("ws://h:{key}").unwrap();
        let got = parsed.expand(Some(key), "/", None);
        assert!(matches!(got, Err(RouteError::Key { .. })), "{key:?} gave {got:?}");
    }
    let parsed = Template::parse("ws://10.0.0.{key}:1").unwrap();
    for key in ["256", "05", "0x1"] {
        assert!(parsed.expand(Some(key), "/", None).is_err(), "{key:?}");
    }
    // In a path everything is encoded: it stays one segment of that path.
    let parsed = Template::parse("ws://h:1/d/{key}/x").unwrap();
    for key in everywhere {
        match parsed.expand(Some(key), "/", None) {
            Ok(target) => {
                let path = target.path.unwrap();
                assert_eq!(path.matches('/').count(), 3, "{key:?} gave {path}");
                assert!(path.starts_with("/d/") && path.ends_with("/x"), "{path}");
                assert!(!path.contains(['?', '#', ' ', '\r', '\n', '\\', '@']), "{path}");
            }
            Err(_) => assert!([".", "..", "../etc"].contains(&key), "{key:?}"),
        }
    }
}

#[test]
fn a_request_path_that_no_request_line_can_hold() {
    for path in [
        "/..",
        "/a/../b",
        "/a/./b",
        "/%2e%2E/a",
        "/.%2e",
        "/a/..%2fb",
        "/a/%2e%2e%5Cb",
        "/a b",
        "/a\r\n",
        "/a?b",
        "/a#b",
        "/\u{e4}",
        "/%",
        "/a\0",
        "a",
    ] {
        let path_template = PathTemplate::parse("{path}").unwrap();
        assert!(path_template.expand(None, path, None).is_err(), "{path:?}");
    }
}

#[test]
fn bad_templates() {
    let table = [
        ("ws://{name}:1", "unknown placeholder {name}, use {key}, {path} or {tail}"),
        ("ws://{key:1", "brace without its pair"),
        ("ws://key}:1", "brace without its pair"),
        ("ws://{tail}:1/", "may not stand in \"{tail}\""),
        ("ws://h:{path}", "bad port"),
        ("http://h:1", "use ws:// or wss://"),
        ("ws+unix:/run{tail}", "may not stand in"),
        ("ws://u@{key}:1", "user information"),
        ("ws://{key}@h:1", "user information"),
        ("ws://{key}:1/?a", "a query"),
        ("ws://{key}:1/#a", "a fragment"),
        ("ws://{key}:0", "bad port"),
        ("ws://{key}:x", "bad port"),
        ("ws://:1", "no host"),
        ("ws:///{key}", "no host"),
        ("ws://{key}..lan", "bad host"),
        ("ws://{key}_{key}.127", "bad host"),
        ("ws://[{key}", "brackets"),
        ("ws://[fd00:{key}]:1", "brackets"),
        ("ws://::1:80", "brackets"),
        ("{key}://h", "unknown scheme"),
        ("ftp://{key}", "unknown scheme"),
        ("ws://{key} :1", "blank"),
        ("ws+unix:{key}", "bad socket path"),
        ("ws+unix:/run/../{key}", "bad socket path"),
    ];
    for (template, text) in table {
        let error = Template::parse(template).unwrap_err();
        assert!(error.contains(text), "{template}: {error}");
    }
    for path in ["", "x", "{key}/x", "x{tail}", "/a b", "/a?b", "/{x}", "/{"] {
        assert!(PathTemplate::parse(path).is_err(), "{path:?}");
    }
}
