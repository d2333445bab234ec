//! Which container a request gets, and why.

use crate::run::{Folder, Said};
use serde_json::Value;
use std::process::Command;

const SITE: &str = r#"
WsRouteResolver desktops sql "sqlite:ROOT/desktops.db" query="SELECT host, port, owner, state FROM desktops WHERE name = :key"
WsRouteResolver tokens file ROOT/tokens
<VirtualHost *:80>
    ServerName old.example.org
</VirtualHost>
<VirtualHost *:443>
    ServerName desktop.example.org
    ServerAlias desktop-*.example.org
    SSLEngine on
    <Location "/">
        AuthType Basic
        Require valid-user
    </Location>
    <Location "/desktop/">
        WsRoute         desktops tokens
        WsRouteKey      path "^/desktop/([^/]+)"
        WsRouteKey      host "^desktop-([^.]+)\."
        WsRouteOwner    "%{REMOTE_USER}"
        WsRouteUpstream scheme=wss verify=off path={tail}
    </Location>
    <Location "/tools/">
        WsRoute "ws://127.0.0.1:6080{tail}"
    </Location>
    <Location "/by-env">
        WsRoute    tokens
        WsRouteKey "%{env:desktop}"
    </Location>
    <Location "/by-cookie">
        WsRoute       tokens
        WsRouteKey    cookie:desk
        WsRouteAllow  192.168.0.0/16
        WsRouteOrigin same https://portal.example.org
    </Location>
    <Location "/named/">
        WsRoute    "ws://{key}:6901"
        WsRouteKey path "^/named/([^/]+)"
    </Location>
    <Location "/off">
        WsRoute Off
    </Location>
    <If "%{HTTP:X-Mode} == 'special'">
        WsRoute "ws://127.0.0.1:7000"
    </If>
</VirtualHost>
"#;

const ROWS: &str =
    "CREATE TABLE desktops (name TEXT, host TEXT, port INTEGER, owner TEXT, state TEXT);
    INSERT INTO desktops VALUES ('alice', '127.0.0.1', 6901, 'alice', 'running');
    INSERT INTO desktops VALUES ('bob', '127.0.0.1', 6902, 'bob', 'creating');
    INSERT INTO desktops VALUES ('far', '203.0.113.5', 6901, 'alice', 'running');";

fn site() -> Folder {
    let tokens = "tok1: 10.0.0.7:5900\nsecretcookievalue 127.0.0.1:1 password=hunter2\n";
    let folder = Folder::whole(SITE).file("tokens", tokens).file("rows.sql", ROWS);
    let read = std::fs::File::open(folder.path().join("rows.sql")).unwrap();
    let database = folder.path().join("desktops.db");
    let made = Command::new("sqlite3").arg(&database).stdin(read).status();
    assert!(made.expect("sqlite3 is needed: tests/setup installs it").success());
    folder
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}{}", said.out, said.err))
}

const HOST: &str = "wss://desktop.example.org";

#[test]
fn targets() {
    let site = site();
    // Path, more arguments, target, resolver.
    let table: &[(&str, &[&str], &str, Option<&str>)] = &[
        (
            "/desktop/alice/ws?x=1",
            &["--user", "alice"],
            "wss://127.0.0.1:6901/ws",
            Some("desktops"),
        ),
        (
            "/desktop//alice/./a%20b",
            &["--user", "alice"],
            "wss://127.0.0.1:6901/a%20b",
            Some("desktops"),
        ),
        ("/tools/a/b", &[], "ws://127.0.0.1:6080/a/b", None),
        ("/by-env/x", &["--env", "desktop=tok1"], "ws://10.0.0.7:5900/by-env/x", Some("tokens")),
        ("/named/10.0.0.5/x", &[], "ws://10.0.0.5:6901/named/10.0.0.5/x", None),
        ("/off", &["-H", "X-Mode: special"], "ws://127.0.0.1:7000/off", None),
    ];
    for (path, more, target, resolver) in table {
        let said = site.resolve(&[&["--json", &format!("{HOST}{path}")], *more].concat());
        let object = json(&said);
        assert_eq!(object["decision"]["target"], *target, "{path}: {object:#}");
        assert_eq!(object["decision"]["resolver"].as_str(), *resolver, "{path}");
        assert_eq!((said.code, &object["refusal"]), (0, &Value::Null), "{path}");
    }
    let said =
        site.resolve(&["--json", "wss://desktop-alice.example.org/desktop/", "--user", "alice"]);
    assert_eq!(json(&said)["decision"]["rule"], "host ^desktop-([^.]+)\\.");
}

#[test]
fn refusals() {
    let site = site();
    let table: &[(&str, &[&str], Option<u64>, &str)] = &[
        ("/desktop/alice/ws", &["--user", "bob"], Some(403), "does not belong to \"bob\""),
        ("/desktop/alice/ws", &[], Some(403), "is nobody logged in"),
        ("/desktop/bob/ws", &["--user", "bob"], Some(503), "\"bob\" is \"creating\""),
        ("/desktop/carol/ws", &["--user", "carol"], Some(404), "no resolver knows \"carol\""),
        ("/desktop/far/ws", &["--user", "alice"], Some(403), "not covered by WsRouteAllow"),
        ("/by-cookie", &["-H", "Cookie: desk=tok1"], Some(403), "not covered by WsRouteAllow"),
        ("/by-cookie", &[], Some(404), "no WsRouteKey rule gave a key"),
        (
            "/by-cookie",
            &["-H", "Origin: https://evil.example"],
            Some(403),
            "is not listed in WsRouteOrigin",
        ),
        ("/tools/x", &["-H", "Connection: close"], Some(400), "does not name Upgrade"),
        ("/tools/x", &["-H", "Sec-WebSocket-Version: 8"], Some(426), "is not 13"),
        (
            "/tools/x",
            &["-H", "Upgrade:", "-H", "Sec-WebSocket-Key:"],
            None,
            "not a WebSocket upgrade",
        ),
        ("/tools/a%2Fb", &[], Some(404), "AllowEncodedSlashes"),
        ("/../x", &[], Some(400), "malformed"),
        ("/off", &[], None, "no WsRoute in this scope"),
        ("/elsewhere", &[], None, "no WsRoute in this scope"),
        ("/named/a.b/x", &[], Some(400), "is neither a DNS label nor an IP address"),
        ("/named/no-such-host-here/x", &[], Some(502), "upstream-unresolved"),
    ];
    for (path, more, status, reason) in table {
        let said = site.resolve(&[&["--json", &format!("{HOST}{path}")], *more].concat());
        let object = json(&said);
        let refusal = &object["refusal"];
        assert_eq!(refusal["status"].as_u64(), *status, "{path} {more:?}: {object:#}");
        assert!(refusal["reason"].as_str().unwrap().contains(reason), "{path} {more:?}: {refusal}");
        assert!(!refusal["mend"].as_str().unwrap().is_empty());
        assert_eq!((said.code, &object["decision"]), (1, &Value::Null), "{path}");
    }
}

#[test]
fn the_way_is_told() {
    let site = site();
    let said = site.resolve(&[&format!("{HOST}/desktop/alice/ws"), "--user", "alice"]);
    let lines = [
        "request  wss://desktop.example.org/desktop/alice/ws, user alice, from 127.0.0.1",
        "server   <VirtualHost *:443> desktop.example.org:443",
        "section  <Location \"/desktop/\">",
        "route    WsRoute desktops tokens",
        "key      path \"^/desktop/([^/]+)\" -> \"alice\"",
        "key      host \"^desktop-([^.]+)\\.\" -> no match",
        "owner    \"%{REMOTE_USER}\" -> \"alice\"",
        "step     host ^desktop-([^.]+)\\.: no match in \"desktop.example.org\"",
        "step     key \"alice\" from path ^/desktop/([^/]+): resolver desktops: wss://127.0.0.1:6901",
        "address  127.0.0.1:6901: allowed",
        "target   wss://127.0.0.1:6901/ws",
    ];
    for (line, expected) in said.out.lines().zip(lines) {
        let told = line.split("  ROOT/").next().unwrap().trim_end();
        // Arguments are shown as they were written, blanks too.
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(told), plain(expected), "{}", said.out);
    }
    assert_eq!(said.out.lines().count(), lines.len(), "{}", said.out);
    assert!(said.out.contains("  ROOT/httpd.conf:"), "{}", said.out);
}

#[test]
fn notes() {
    let site = site();
    let said = site.resolve(&[&format!("{HOST}/tools/x")]);
    assert!(said.out.contains("note     httpd asks for a login first"), "{}", said.out);
    let said = site.resolve(&["ws://desktop.example.org:443/tools/x", "--user", "a"]);
    assert!(said.out.contains("note     this server speaks TLS, the URL does not"), "{}", said.out);
    let text = "<VirtualHost *:80>\nRewriteEngine on\nRewriteRule ^ - [L]\nWsRoute ws://127.0.0.1:1\n\
                <If \"-f '/x'\">\nWsRoute off\n</If>\n</VirtualHost>";
    let said = Folder::with(text).resolve(&["ws://a.example/"]);
    assert!(said.out.contains("RewriteRules of this server are not applied"), "{}", said.out);
    assert!(said.out.contains("assumed: <If \"-f '/x'\"> at ROOT/httpd.conf:5 does not hold: -f is known to httpd only"), "{}", said.out);
}

#[test]
fn secrets_are_not_printed() {
    let site = site();
    for json in ["--json", "--env=x=y"] {
        let said = site.resolve(&[
            json,
            &format!("{HOST}/by-cookie"),
            "-H",
            "Cookie: desk=secretcookievalue",
        ]);
        assert!(said.out.contains("secr..."), "{}", said.out);
        assert!(
            !said.out.contains("secretcookie") && !said.out.contains("hunter2"),
            "{}",
            said.out
        );
    }
}

#[test]
fn what_cannot_be_decided_is_2() {
    let table: &[(&str, &[&str], &str)] = &[
        (SITE, &["wss://desktop.example.org/by-env"], "set it with --env desktop=VALUE"),
        (SITE, &["desktop.example.org"], "is no URL"),
        (SITE, &["ftp://x/"], "unknown scheme"),
        ("WsRoute ftp://x", &["ws://a/"], "ROOT/httpd.conf:1: WsRoute:"),
        ("WsRoute nobody", &["ws://a/"], "names the resolver \"nobody\""),
        ("Include none", &["ws://a/"], "nothing is at"),
    ];
    for (text, args, says) in table {
        let folder = Folder::with(text).file("tokens", "");
        let said = folder.resolve(args);
        assert!(said.code == 2 && said.err.contains(says), "{args:?}: {}{}", said.out, said.err);
        assert_eq!(said.out, "");
    }
}
