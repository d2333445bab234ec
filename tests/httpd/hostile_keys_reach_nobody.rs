//! Whatever a client writes where a key is taken from: it stays a key. No other host, port, socket,
//! path, row, URL or Redis key is reached than the one that the configuration means.

use crate::harness::databases::Redis;
use crate::harness::http_server::{HttpServer, Then, answer};
use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::LOGIN;
use futures_util::StreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::os::unix::fs::PermissionsExt;

/// One DNS label that no name server is asked for, because it only stands in a socket's path.
const LABEL: u16 = 502;
/// The resolver knows no such key.
const UNKNOWN: u16 = 404;

/// A key, and what it gives as the host, the port, and the socket's name in a URL: 400 if it cannot
/// stand there, 403 if it can and leads to what is not allowed. `PORT` is the forbidden port.
/// In a path and for a resolver each of them is only a name.
const KEYS: &[(&str, u16, u16, u16)] = &[
    // Quotes and SQL
    ("'", 400, 400, 400),
    ("\"", 400, 400, 400),
    ("alice'--", 400, 400, 400),
    ("x' OR '1'='1", 400, 400, 400),
    ("x' OR 1=1--", 400, 400, 400),
    ("x\" OR \"1\"=\"1", 400, 400, 400),
    ("x'; DROP TABLE desktops; --", 400, 400, 400),
    ("x' UNION SELECT '127.0.0.1', PORT --", 400, 400, 400),
    ("x') OR name LIKE ('%", 400, 400, 400),
    ("alice/**/", 400, 400, 400),
    ("%", 400, 400, 400),
    ("a_ice", 0, 400, LABEL),
    (":key", 400, 400, 400),
    ("?1", 400, 400, 400),
    // Patterns of Redis, shells, templates, expressions
    ("*", 400, 400, 400),
    ("?lice", 400, 400, 400),
    ("[a]lice", 400, 400, 400),
    ("$(id)", 400, 400, 400),
    ("`id`", 400, 400, 400),
    ("|id", 400, 400, 400),
    ("{key}", 400, 400, 400),
    ("{tail}", 400, 400, 400),
    ("%{REMOTE_USER}", 400, 400, 400),
    ("%n%s", 400, 400, 400),
    ("$1", 400, 400, 400),
    ("<script>", 400, 400, 400),
    // Blanks
    (" ", 400, 400, 400),
    (" alice", 400, 400, 400),
    ("alice ", 400, 400, 400),
    ("alice\u{a0}", 400, 400, 400),
    // Paths
    (".", 400, 400, 400),
    ("..", 400, 400, 400),
    ("...", 400, 400, 400),
    ("/", 400, 400, 400),
    ("//127.0.0.1:PORT/", 400, 400, 400),
    ("../forbidden", 400, 400, 400),
    ("alice/../../forbidden", 400, 400, 400),
    ("..\\forbidden", 400, 400, 400),
    ("..%2fforbidden", 400, 400, 400),
    ("%2e%2e", 400, 400, 400),
    ("%2e%2e%2fforbidden", 400, 400, 400),
    ("%252e%252e", 400, 400, 400),
    ("..;", 400, 400, 400),
    ("alice?from=x", 400, 400, 400),
    ("alice#x", 400, 400, 400),
    ("?", 400, 400, 400),
    ("#", 400, 400, 400),
    ("&k=alice", 400, 400, 400),
    ("%00", 400, 400, 400),
    ("%0d%0aX-Evil: 1", 400, 400, 400),
    // Other hosts and ports
    ("@127.0.0.1", 400, 400, 400),
    ("alice@127.0.0.1:PORT", 400, 400, 400),
    ("alice:pw@127.0.0.1", 400, 400, 400),
    ("127.0.0.1:PORT", 400, 400, 400),
    ("127.0.0.1:22", 400, 400, 400),
    ("127.0.0.1:PORT/", 400, 400, 400),
    ("ws://127.0.0.1:PORT", 400, 400, 400),
    ("PORT", 400, 403, LABEL),
    ("0PORT", 400, 400, LABEL),
    ("22", 400, 403, LABEL),
    ("0", 400, 400, LABEL),
    ("65536", 400, 400, LABEL),
    ("-1", 400, 400, 400),
    ("+22", 400, 400, 400),
    ("2 2", 400, 400, 400),
    ("22/", 400, 400, 400),
    ("0x16", 400, 400, LABEL),
    // Addresses in all forms
    ("127.0.0.1", 403, 400, 400),
    ("127.9.9.9", 403, 400, 400),
    ("0.0.0.0", 403, 400, 400),
    ("169.254.169.254", 403, 400, 400),
    ("255.255.255.255", 403, 400, 400),
    ("::1", 403, 400, 400),
    ("::", 403, 400, 400),
    ("0:0:0:0:0:0:0:1", 403, 400, 400),
    ("::ffff:127.0.0.1", 403, 400, 400),
    ("::ffff:7f00:1", 403, 400, 400),
    ("::127.0.0.1", 403, 400, 400),
    ("64:ff9b::7f00:1", 403, 400, 400),
    ("::ffff:169.254.169.254", 403, 400, 400),
    ("fe80::1", 403, 400, 400),
    ("fe80::1%lo", 400, 400, 400),
    ("[::1]", 400, 400, 400),
    ("[::1]:22", 400, 400, 400),
    ("127.1", 400, 400, 400),
    ("127.0.1", 400, 400, 400),
    ("127.0.0.01", 400, 400, 400),
    ("127.0.0.1.", 400, 400, 400),
    ("0177.0.0.1", 400, 400, 400),
    ("0x7f.0.0.1", 400, 400, 400),
    ("0x7f000001", 400, 400, LABEL),
    ("0X7F000001", 400, 400, LABEL),
    ("2130706433", 400, 400, LABEL),
    ("017700000001", 400, 400, LABEL),
    // Names that lead inwards
    ("localhost", 403, 400, LABEL),
    ("LocalHost", 403, 400, LABEL),
    ("localhost.", 400, 400, 400),
    ("a.localhost", 400, 400, 400),
    ("127.0.0.1.nip.io", 400, 400, 400),
    ("-localhost", 400, 400, 400),
    // Unicode that looks, or is folded, like something else
    ("１２７.０.０.１", 400, 400, 400),
    ("127。0。0。1", 400, 400, 400),
    ("２２", 400, 400, 400),
    ("٢٢", 400, 400, 400),
    ("ｌｏｃａｌｈｏｓｔ", 400, 400, 400),
    ("ⓛocalhost", 400, 400, 400),
    ("аlice", 400, 400, 400),
    ("alıce", 400, 400, 400),
    ("ALICE", 0, 400, LABEL),
    ("alice\u{200b}", 400, 400, 400),
    ("\u{202e}ecila", 400, 400, 400),
    ("alice\u{2028}", 400, 400, 400),
    ("\u{ff0e}\u{ff0e}\u{ff0f}forbidden", 400, 400, 400),
];

/// Keys that are 400 wherever they stand: control characters, and more than 255 bytes.
fn impossible() -> Vec<String> {
    let controls = ["a\tb", "a\nb", "a\r\nX-Evil: 1", "a\0b", "\0", "\r", "a\u{7f}", "a\u{85}b"];
    let long = ["x".repeat(256), "é".repeat(128), "'".repeat(300), "x".repeat(4_000)];
    controls.map(str::to_owned).into_iter().chain(long).collect()
}

/// Where a key is taken from, with the directive.
const SOURCES: &[(&str, &str)] = &[
    ("query", "WsRouteKey query:k"),
    ("session", "WsRouteKey session:desktop"),
    ("cookie", "WsRouteKey cookie:k"),
    ("header", "WsRouteKey header:X-Desktop"),
    ("expression", "WsRouteKey \"%{HTTP:X-Desktop}\""),
    ("referer", "WsRouteKey referer \"(?s)/d/(.*)$\""),
    ("user", "WsRouteKey user"),
    ("path", "WsRouteKey path \"^/[^/]+/path/([^/]+)\""),
];

/// What is done with it.
const SINKS: &[&str] = &["host", "port", "socket", "segment", "sql", "file", "http", "redis"];

/// Everything but RFC 3986 unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encoded(key: &str) -> String {
    utf8_percent_encode(key, SEGMENT).to_string()
}

/// One request: what it is called in a report, its client, path, and what must come of it.
struct Case {
    name: String,
    client: Client,
    path: String,
    status: u16,
    /// What the upstream is asked for, if it is.
    target: Option<String>,
}

/// Real session cookies of Flask with these keys, by the way of a file: they may be long.
fn flask(keys: &[String], secret: &str) -> Vec<String> {
    const SCRIPT: &str = "import json, sys\nfrom flask import Flask\napp = Flask('app')\n\
        app.secret_key = sys.argv[1]\n\
        sign = app.session_interface.get_signing_serializer(app)\n\
        for key in json.load(open(sys.argv[2])): print(sign.dumps({'desktop': key}))";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, serde_json::to_string(keys).expect("JSON")).expect("a file");
    let file = file.to_str().expect("UTF-8");
    // Debian's, whatever other Python is in the way.
    let cookies = run("/usr/bin/python3", &["-c", SCRIPT, secret, file]);
    cookies.lines().map(str::to_owned).collect()
}

/// How `source` brings `key`; `None` if it cannot (a header has no line ends, a login no colon).
fn bring(client: Client, source: &str, key: &str, cookie: &str) -> Option<(Client, String)> {
    let in_header = key == key.trim_matches([' ', '\t', '\r', '\n']) && !key.contains("\r\n");
    let edge = key.trim() == key && !key.starts_with('#');
    let in_login = edge && !key.contains(':') && !key.chars().any(char::is_control);
    let own = format!("/{source}");
    match source {
        "query" => Some((client, format!("{own}?k={}", encoded(key)))),
        "session" => Some((client.header("Cookie", &format!("session={cookie}")), own)),
        "cookie" if in_header && !key.contains(';') => {
            Some((client.header("Cookie", &format!("k={key}")), own))
        }
        "header" | "expression" if in_header => Some((client.header("X-Desktop", key), own)),
        "referer" if in_header => {
            Some((client.header("Referer", &format!("https://x/d/{key}")), own))
        }
        "user" if in_login => Some((client.basic(key, "wonder"), own)),
        "path" => Some((client, format!("{own}/{}", encoded(key).replace('.', "%2E")))),
        _ => None,
    }
}

/// What httpd itself says before any key is looked at.
fn by_httpd(source: &str, key: &str) -> Option<u16> {
    match source {
        // A dot segment is resolved and leads elsewhere; encoded slashes and NUL are refused.
        "path" if key == "." || key == ".." => Some(404),
        "path" if key.contains(['/', '\0']) => Some(404),
        "cookie" | "header" | "expression" | "referer"
            if key.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) =>
        {
            Some(400)
        }
        // The Referer, not the key, is too long: 400 as well.
        _ => None,
    }
}

/// The cases of one key.
fn cases(client: &Client, key: &str, cookie: &str, at: [u16; 3], impossible: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (source, _) in SOURCES {
        for (i, sink) in SINKS.iter().enumerate() {
            // Every place for the source that brings everything, three of them for the others.
            if *source != "query" && !["host", "segment", "sql"].contains(sink) {
                continue;
            }
            let Some((client, rest)) = bring(client.clone(), source, key, cookie) else { continue };
            let path = format!("/{sink}{rest}");
            let by_key = match *sink {
                _ if impossible => 400,
                "segment" if key.split(['/', '\\']).any(|s| s == "." || s == "..") => 400,
                "segment" => 101,
                "host" | "port" | "socket" => at[i],
                _ => UNKNOWN,
            };
            let status = by_httpd(source, key).unwrap_or(by_key);
            // A name that some name server may know.
            if status == 0 {
                continue;
            }
            let query = path.split_once('?').map_or("".into(), |(_, q)| format!("?{q}"));
            let target = (status == 101).then(|| format!("/c/{}{query}", encoded(key)));
            let name = format!("{sink} from {source}: {key:?}");
            cases.push(Case { name, client, path, status, target });
        }
    }
    cases
}

/// Asks; what is wrong with the answer.
async fn judge(case: Case) -> Option<String> {
    let Case { name, client, path, status, target } = case;
    match (client.ask(&path).await, target) {
        (Answer::Refused(r, _), None) if r.status == status => None,
        (Answer::Refused(r, _), _) => Some(format!("{name}: {} instead of {status}", r.status)),
        (Answer::Upgraded(..), None) => Some(format!("{name}: 101 instead of {status}")),
        (Answer::Upgraded(_, mut ws), Some(target)) => {
            let seen = ws.frame().await.text();
            (seen != target).then(|| format!("{name}: {seen:?} instead of {target:?}"))
        }
    }
}

async fn judge_all(cases: Vec<Case>) {
    let wrong = futures_util::stream::iter(cases).map(judge).buffer_unordered(8);
    let wrong: Vec<String> = wrong.filter_map(std::future::ready).collect().await;
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
}

/// Says what it is asked for.
async fn parrot() -> Upstream {
    Upstream::serve(|mut conn| async move {
        let target = frame(TEXT, true, false, conn.seen.target().as_bytes());
        conn.accept_with("", &target).await;
        drain(conn).await;
    })
    .await
}

fn sqlite(statements: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("db");
    run("sqlite3", &[file.to_str().expect("UTF-8"), statements]);
    std::fs::read(file).expect("a database")
}

#[tokio::test(flavor = "multi_thread")]
async fn from_every_source() {
    let (up, forbidden) = (parrot().await, Upstream::echo().await);
    let port = forbidden.address.port();
    let redis = Redis::start();
    redis.command(&["SET", "desktop:alice", &forbidden.address.to_string()]);
    redis.command(&["SET", "forbidden", &forbidden.address.to_string()]);
    let target = forbidden.address.to_string();
    let api = HttpServer::tcp(move |request, write| {
        let known = request.target == "/find/alice?from=wsroute";
        let (status, body) = if known { ("200 OK", &target[..]) } else { ("404 No", "") };
        write.write_all(&answer(status, "", body)).map(|()| Then::Keep)
    });
    let rows = "CREATE TABLE desktops (name TEXT, host TEXT, port INT);";
    let row = format!("INSERT INTO desktops VALUES ('alice', '127.0.0.1', {port});");
    let conf = format!(
        "WsRouteSession flask cookie=session secret=file:${{ROOT}}/secret\n\
         WsRouteResolver sql sql sqlite:${{ROOT}}/db query=\"SELECT host, port FROM desktops WHERE name = :key\"\n\
         WsRouteResolver file file \"${{ROOT}}/routes\"\n\
         WsRouteResolver http http \"http://{}/find/{{key}}?from=wsroute\"\n\
         WsRouteResolver redis redis {} name=\"desktop:{{key}}\"\n",
        api.address(),
        redis.url()
    );
    let routes = [
        ("host", format!("WsRoute \"ws://{{key}}:{port}/c\"\nWsRouteAllow 192.0.2.0/24")),
        ("port", "WsRoute \"ws://127.0.0.1:{key}/c\"\nWsRouteAllow 127.0.0.1:9".into()),
        (
            "socket",
            "WsRoute \"ws+unix:${ROOT}/run/{key}:/c\"\nWsRouteAllow unix:${ROOT}/run/".into(),
        ),
        ("segment", format!("WsRoute \"{}/c/{{key}}\"", up.url())),
        ("sql", "WsRoute sql".into()),
        ("file", "WsRoute file".into()),
        ("http", "WsRoute http".into()),
        ("redis", "WsRoute redis".into()),
    ];
    let conf = routes.iter().fold(conf, |conf, (sink, route)| {
        SOURCES.iter().fold(conf, |conf, (source, rule)| {
            let login = if *source == "user" { LOGIN } else { "" };
            conf + &location(&format!("/{sink}/{source}"), &format!("{route}\n{rule}\n{login}"))
        })
    });
    let here = |key: &str| key.replace("PORT", &port.to_string());
    let mut keys: Vec<String> = KEYS.iter().map(|(key, ..)| here(key)).collect();
    keys.extend(impossible());
    let hash = run("openssl", &["passwd", "-apr1", "wonder"]);
    let users = keys.iter().filter(|key| !key.contains([':', '\n', '\r', '\0']));
    let users: String = users.map(|user| format!("{user}:{hash}")).collect();
    let httpd = Httpd::with(conf)
        .file("secret", "the secret of the application\n")
        .file("users", users)
        .file("routes", format!("alice {target}\n# {target}\n", target = forbidden.address))
        .file("db", sqlite(&(rows.to_owned() + &row)))
        .start()
        .await;
    let words = ["bad-key", words::UNKNOWN_KEY, words::NOT_ALLOWED, words::REFUSED];
    httpd.allow_output("everybody");
    httpd.log().allow("everybody");
    // httpd's own words for encoded slashes, for headers that are none, and for long lines.
    let own = ["AH00026", "AH00033", "AH02429", "AH02430", "AH03503", "AH10244"];
    words.iter().chain(&own).for_each(|text| httpd.log().allow(text));
    let socket = httpd.root().join("forbidden");
    let beside = HttpServer::unix(&socket, |_, _| Ok(Then::Close));
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o777)).expect("permissions");

    let cookies = flask(&keys, "the secret of the application");
    let client = httpd.client();
    let mut all = Vec::new();
    for (i, (key, cookie)) in keys.iter().zip(&cookies).enumerate() {
        let at = KEYS.get(i).map_or([400; 3], |&(_, host, port, socket)| [host, port, socket]);
        all.extend(cases(&client, key, cookie, at, i >= KEYS.len()));
    }
    println!("{} cases", all.len());
    judge_all(all).await;

    assert_eq!(forbidden.connections(), 0, "the forbidden upstream was connected to");
    assert!(beside.received().is_empty(), "{:?}", beside.received());
    let asked: Vec<String> =
        keys.iter().map(|k| format!("/find/{}?from=wsroute", encoded(k))).collect();
    for request in api.received() {
        assert!(asked.contains(&request.target), "the API was asked for {:?}", request.target);
        assert!(!request.headers.iter().any(|(name, _)| name == "x-evil"), "{request:?}");
    }
    assert!(api.received().len() > 80, "{}", api.received().len());
    let file = httpd.root().join("db");
    let left = run("sqlite3", &[file.to_str().expect("UTF-8"), "SELECT * FROM desktops"]);
    assert_eq!(left, format!("alice|127.0.0.1|{port}\n"));
    assert_eq!(redis.command(&["DBSIZE"]), "2");
    for bad in ["panic", "exit signal", "the secret of the application"] {
        assert_eq!(httpd.log().count(bad), 0, "{bad:?} in the error log");
    }
    // All of it would have worked with the right key.
    for sink in ["sql", "file", "http", "redis"] {
        client.upgrade(&format!("/{sink}/query?k=alice")).await.leave().await;
    }
    assert_eq!(forbidden.connections(), 4);
}

/// Plain HTTP is routed by the same rules, and so is what mod_rewrite asks for.
#[tokio::test(flavor = "multi_thread")]
async fn in_plain_http_and_in_mod_rewrite() {
    let forbidden = Upstream::echo().await;
    let port = forbidden.address.port();
    let conf = "WsRouteResolver sql sql sqlite:${ROOT}/db query=\"SELECT host, port FROM desktops WHERE name = :key\"\n\
         RewriteEngine On\nRewriteMap of int:wsroute\n\
         RewriteCond %{HTTP:X-Desktop} ^(?s)(.*)$\n\
         RewriteCond ${of:sql:%1|none} (.*)\nRewriteRule ^/map$ /is/%1 [R,L]\n".to_owned();
    let routes = [
        ("host", format!("WsRoute \"ws://{{key}}:{port}/c\"\nWsRouteAllow 192.0.2.0/24")),
        ("port", "WsRoute \"ws://127.0.0.1:{key}/c\"\nWsRouteAllow 127.0.0.1:9".into()),
        ("sql", "WsRoute sql".into()),
    ];
    let conf = routes.iter().fold(conf, |conf, (sink, route)| {
        conf + &location(
            &format!("/{sink}"),
            &format!("{route}\nWsRouteKey query:k\nWsRouteHttp On"),
        )
    });
    let target = format!(
        "CREATE TABLE desktops (name TEXT, host TEXT, port INT); INSERT INTO desktops VALUES ('alice', '127.0.0.1', {port})"
    );
    let httpd = Httpd::with(conf).file("db", sqlite(&target)).start().await;
    ["bad-key", words::UNKNOWN_KEY, words::NOT_ALLOWED].iter().for_each(|w| httpd.log().allow(w));
    let client = httpd.client();
    for (key, host, as_port, _) in KEYS {
        let key = key.replace("PORT", &port.to_string());
        for (sink, status) in [("host", *host), ("port", *as_port), ("sql", UNKNOWN)] {
            // A name that some name server may know.
            if status == 0 {
                continue;
            }
            let got = client.get(&format!("/{sink}?k={}", encoded(&key))).await.status;
            assert_eq!(got, status, "{sink}: {key:?}");
        }
        // A header has no blanks at its ends.
        if key.trim() != key {
            continue;
        }
        let mapped = client.clone().header("X-Desktop", &key).get("/map").await;
        assert!(mapped.header("Location").ends_with("/is/none"), "{key:?}: {mapped:?}");
    }
    assert_eq!(forbidden.connections(), 0, "the forbidden upstream was connected to");
    let mapped = client.clone().header("X-Desktop", "alice").get("/map").await;
    assert!(mapped.header("Location").ends_with(&format!("/is/127.0.0.1:{port}")), "{mapped:?}");
}

/// A `Host` that is none is refused by httpd; what it takes for one is a key in lower case.
#[tokio::test(flavor = "multi_thread")]
async fn from_the_host() {
    let (up, forbidden) = (parrot().await, Upstream::echo().await);
    let port = forbidden.address.port();
    let rule = "WsRouteKey host \"^(?:desktop-)?(.+)$\"";
    let routes = [
        ("segment", format!("WsRoute \"{}/c/{{key}}\"", up.url())),
        ("host", format!("WsRoute \"ws://{{key}}:{port}\"\nWsRouteAllow 192.0.2.0/24")),
        ("file", "WsRoute file".to_owned()),
    ];
    let conf = "WsRouteResolver file file \"${ROOT}/routes\"\nWsRouteOrigin any\n".to_owned();
    let conf = routes.iter().fold(conf, |conf, (sink, route)| {
        conf + &location(&format!("/{sink}"), &format!("{route}\n{rule}"))
    });
    let routes = format!("alice {0}\nbob {0}\n", forbidden.address);
    let httpd = Httpd::with(conf).file("routes", routes).start().await;
    let words = ["bad-key", words::UNKNOWN_KEY, words::NOT_ALLOWED, "AH"];
    words.iter().for_each(|text| httpd.log().allow(text));
    let refused = [
        "desktop-' OR 1=1--",
        "desktop-alice'",
        "desktop-alice\"",
        "desktop-alice;x",
        "desktop-a/b",
        "desktop-..",
        "..",
        "../alice",
        "desktop-..%2f",
        "desktop-%2e%2e",
        "desktop-%252e",
        "desktop-alice\\x",
        "desktop-alice x",
        "desktop-alice\0",
        "desktop-alice\rX: y",
        "alice@127.0.0.1",
        "@localhost",
        "[::1",
        "[::1]x",
        "[fe80::1%lo]",
        "127.0.0.1:PORT:22",
        "alice:x",
        "alice:-1",
        "alice:65536",
        "2130706433",
        "127.1",
        "127.0.0.1.1",
        // A last label of digits alone is no name.
        "desktop-127.1",
        "desktop-127.0.0.1",
        "desktop-\u{430}lice",
        "１２７.０.０.１",
        "*",
        "a,b",
        "<x>",
        "{key}",
        "a b",
        "a?b",
        "a#b",
    ];
    let client = httpd.client();
    let case = |host: &str, sink: &str, status: u16, target: Option<String>| Case {
        name: format!("{sink} from host: {host:?}"),
        client: client.clone().header("Host", host).without("Origin"),
        path: format!("/{sink}"),
        status,
        target,
    };
    let mut all = Vec::new();
    for host in refused {
        all.extend(["segment", "host", "file"].map(|sink| case(host, sink, 400, None)));
    }
    for (host, key, as_host) in [
        ("localhost", "localhost", 403),
        ("DESKTOP-LOCALHOST", "localhost", 403),
        ("127.0.0.1", "127.0.0.1", 403),
        ("desktop-0x7f000001", "0x7f000001", 400),
        ("desktop-2130706433", "2130706433", 400),
        ("desktop-alice.example.org", "alice.example.org", 400),
    ] {
        all.push(case(host, "segment", 101, Some(format!("/c/{key}"))));
        all.push(case(host, "host", as_host, None));
        all.push(case(host, "file", UNKNOWN, None));
    }
    all.push(case(&format!("{}.example.org", "x".repeat(250)), "file", 400, None));
    judge_all(all).await;
    assert_eq!(forbidden.connections(), 0);
    // A second Host is no choice for the client.
    let two = client.clone().host("desktop-alice").also("Host", "desktop-bob");
    let Answer::Refused(response, _) = two.ask("/file").await else { panic!("two hosts: 101") };
    assert_eq!(response.status, 400);
    assert_eq!(forbidden.connections(), 0);
}

/// A session that the application did not sign is no session, whatever it says.
#[tokio::test(flavor = "multi_thread")]
async fn from_a_forged_session() {
    let up = Upstream::echo().await;
    let conf = "WsRouteResolver file file \"${ROOT}/routes\"\n\
                WsRouteSession flask cookie=session secret=file:${ROOT}/secret\n\
                LimitRequestFieldSize 32000\n"
        .to_owned()
        + &location("/", "WsRoute file\nWsRouteKey session:desktop");
    let httpd = Httpd::with(conf)
        .file("secret", "the secret of the application\n")
        .file("routes", format!("alice {}\n", up.address))
        .start()
        .await;
    httpd.allow_output("everybody");
    ["everybody", words::UNKNOWN_KEY].iter().for_each(|text| httpd.log().allow(text));
    let key = ["alice".to_owned()];
    let right = flask(&key, "the secret of the application").remove(0);
    let wrong = flask(&key, "another secret").remove(0);
    let [payload, time, signature] = right.split('.').collect::<Vec<_>>()[..] else {
        panic!("{right}")
    };
    let [_, _, foreign] = wrong.split('.').collect::<Vec<_>>()[..] else { panic!("{wrong}") };
    let bomb = "x".repeat(9_000);
    let forged = [
        wrong.clone(),
        format!("{payload}.{time}.{foreign}"),
        format!("{payload}.{time}."),
        format!("{payload}.{time}"),
        format!("{payload}..{signature}"),
        format!("{payload}.{signature}"),
        format!(".{payload}.{time}.{signature}"),
        format!("{payload}.{time}.{signature}.{signature}"),
        format!("{payload}.{time}.{}", signature.to_uppercase()),
        format!("{payload}.AAAAAA.{signature}"),
        format!("eyJkZXNrdG9wIjoiYm9iIn0.{time}.{signature}"),
        "eyJkZXNrdG9wIjoiYWxpY2UifQ".into(),
        r#"{"desktop":"alice"}"#.into(),
        "alice".into(),
        "....".into(),
        ".".into(),
        String::new(),
        "' OR 1=1--".into(),
        "\u{1f600}.\u{1f600}.\u{1f600}".into(),
        "%00.%00.%00".into(),
        bomb,
        format!("{right}{}", "=".repeat(8)),
        format!("{right}A"),
    ];
    for cookie in &forged {
        httpd.client().header("Cookie", &format!("session={cookie}")).refused("/", 404).await;
    }
    assert_eq!(up.connections(), 0);
    let client = httpd.client().header("Cookie", &format!("session={right}"));
    client.upgrade("/").await.leave().await;
}
