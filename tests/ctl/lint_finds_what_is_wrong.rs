//! Each check: a broken configuration with the line that it names, and its good twin.

use crate::run::Folder;

/// One check: its name and level, what is broken, the line (in `broken`, from 1) and a part of the
/// text; then the mended twin.
struct Case {
    name: &'static str,
    level: &'static str,
    broken: &'static str,
    line: usize,
    says: &'static str,
    good: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "configuration",
        level: "error",
        broken: "<Location /x>\nWsRoute ftp://a\n</Location>",
        line: 2,
        says: "WsRoute: \"ftp://a\"",
        good: "<Location /x>\nWsRoute ws://127.0.0.1:1\n</Location>",
    },
    Case {
        name: "header-recipe",
        level: "error",
        broken: "SetEnvIf Upgrade websocket WS\nRequestHeader set Upgrade websocket env=WS\nProxyPass / http://localhost:5020/",
        line: 2,
        says: "http://localhost:5020/ gets a plain GET",
        good: "SetEnvIf Upgrade websocket WS\nRequestHeader set Upgrade websocket env=WS\nProxyPass / http://localhost:5020/\nWsRoute ws://localhost:5020",
    },
    Case {
        name: "header-recipe",
        level: "error",
        broken: "RequestHeader set Connection %{CONNECTION}e\nProxyPass / http://localhost:5020/",
        line: 1,
        says: "drops Connection",
        good: "RequestHeader set Connection %{CONNECTION}e\nProxyPass / http://localhost:5020/ upgrade=websocket timeout=1d",
    },
    Case {
        name: "header-damage",
        level: "error",
        broken: "<Location /x>\nRequestHeader unset Upgrade\nWsRoute ws://127.0.0.1:1\n</Location>",
        line: 2,
        says: "breaks every WebSocket handshake",
        good: "<Location /x>\nRequestHeader unset Upgrade env=none\nWsRoute ws://127.0.0.1:1\n</Location>",
    },
    Case {
        name: "header-damage",
        level: "error",
        broken: "RequestHeader set Connection close\n<Location /x>\nWsRoute ws://127.0.0.1:1\n</Location>",
        line: 1,
        says: "set Connection breaks",
        good: "RequestHeader set X-Connection close\n<Location /x>\nWsRoute ws://127.0.0.1:1\n</Location>",
    },
    Case {
        name: "header-damage",
        level: "error",
        broken: "RequestHeader set Upgrade websocket\nWsRoute ws://127.0.0.1:1",
        line: 1,
        says: "makes every plain request a broken upgrade (400)",
        good: "RequestHeader set Upgrade websocket env=WS\nWsRoute ws://127.0.0.1:1",
    },
    Case {
        name: "header-damage",
        level: "warning",
        broken: "RequestHeader unset Sec-WebSocket-Protocol\nWsRoute ws://127.0.0.1:1",
        line: 1,
        says: "no subprotocol",
        good: "RequestHeader unset Sec-WebSocket-Extensions\nWsRoute ws://127.0.0.1:1",
    },
    Case {
        name: "header-damage",
        level: "error",
        broken: "ProxyPass /ws ws://127.0.0.1:1/ timeout=1d\nRequestHeader unset Sec-WebSocket-Key",
        line: 2,
        says: "unset Sec-WebSocket-Key breaks",
        good: "ProxyPass /x http://127.0.0.1:1/\nRequestHeader unset Sec-WebSocket-Key",
    },
    Case {
        name: "header-origin",
        level: "warning",
        broken: "RequestHeader unset Origin\nWsRoute ws://127.0.0.1:1",
        line: 1,
        says: "comes before WsRouteOrigin",
        good: "RequestHeader unset Origin\nWsRoute ws://127.0.0.1:1\nWsRouteOrigin any",
    },
    Case {
        name: "proxy-without-upgrade",
        level: "error",
        broken: "RewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket [NC]\nRewriteRule ^/?(.*) http://localhost:5020/$1 [P,L]",
        line: 3,
        says: "lose their Upgrade header",
        good: "RewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket [NC]\nRewriteRule ^/?(.*) http://localhost:5020/$1 [P,L]\nWsRoute ws://localhost:5020",
    },
    Case {
        name: "proxy-without-upgrade",
        level: "warning",
        broken: "ProxyPass /websockify http://127.0.0.1:6080/websockify",
        line: 1,
        says: "lose their Upgrade header",
        good: "ProxyPass /websockify http://127.0.0.1:6080/websockify upgrade=websocket timeout=1d",
    },
    Case {
        name: "proxy-duplicate",
        level: "warning",
        broken: "<Location /ws>\nWsRoute ws://127.0.0.1:1\n</Location>\nProxyPass /ws ws://127.0.0.1:1/ws",
        line: 4,
        says: "takes it first",
        good: "<Location /ws>\nWsRoute ws://127.0.0.1:1\n</Location>\nProxyPass /ws http://127.0.0.1:1/ws",
    },
    Case {
        name: "proxy-duplicate",
        level: "warning",
        broken: "WsRoute ws://127.0.0.1:1\nRewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket\nRewriteRule ^/(.*) ws://127.0.0.1:1/$1 [P]",
        line: 4,
        says: "takes it first",
        good: "<Location /a>\nWsRoute ws://127.0.0.1:1\n</Location>\nRewriteEngine On\nRewriteRule ^/a/(.*) http://127.0.0.1:1/$1 [P]",
    },
    Case {
        name: "proxy-shadowed",
        level: "warning",
        broken: "ProxyPass / http://127.0.0.1:1/\nProxyPass /ws ws://127.0.0.1:2/ timeout=1d",
        line: 2,
        says: "takes the path first",
        good: "ProxyPass /ws ws://127.0.0.1:2/ timeout=1d\nProxyPass / http://127.0.0.1:1/",
    },
    Case {
        name: "proxy-upgrade-ignored",
        level: "error",
        broken: "ProxyPass /api http://127.0.0.1:1/api\nProxyPass /v http://127.0.0.1:1/api/v timeout=1d upgrade=websocket",
        line: 2,
        says: "upgrade= is ignored",
        good: "ProxyPass /v http://127.0.0.1:1/api/v timeout=1d upgrade=websocket\nProxyPass /api http://127.0.0.1:1/api",
    },
    Case {
        name: "proxy-idle",
        level: "warning",
        broken: "Timeout 300\nProxyPass /ws ws://127.0.0.1:2/",
        line: 2,
        says: "silent for 300 s ends here (Timeout)",
        good: "Timeout 300\nProxyTimeout 86400\nProxyPass /ws ws://127.0.0.1:2/",
    },
    Case {
        // The longer one of the two sides counts.
        name: "proxy-idle",
        level: "warning",
        broken: "Timeout 300\nProxyTimeout 2\nProxyPass /ws ws://127.0.0.1:2/",
        line: 3,
        says: "silent for 300 s ends here (Timeout)",
        good: "Timeout 300\nProxyPass /ws ws://127.0.0.1:2/ timeout=86400",
    },
    Case {
        name: "redirected",
        level: "warning",
        broken: "<Location /ws>\nWsRoute ws://127.0.0.1:1\n</Location>\nRedirect / https://d.example/",
        line: 4,
        says: "before the module sees them",
        good: "<Location /ws>\nWsRoute ws://127.0.0.1:1\n</Location>\nRedirect /old https://d.example/",
    },
    Case {
        name: "redirected",
        level: "warning",
        broken: "WsRoute ws://127.0.0.1:1\nRewriteEngine On\nRewriteRule ^ https://d.example%{REQUEST_URI} [R,L]",
        line: 3,
        says: "before the module sees them",
        good: "WsRoute ws://127.0.0.1:1\nRewriteEngine On\nRewriteCond %{HTTP:Upgrade} !websocket [NC]\nRewriteRule ^ https://d.example%{REQUEST_URI} [R,L]",
    },
    Case {
        name: "section-replaced",
        level: "warning",
        broken: "<Location /x>\nWsRoute ws://127.0.0.1:1\n</Location>\n<Location />\nWsRoute ws://127.0.0.1:2\n</Location>",
        line: 2,
        says: "<Location /> at ROOT/httpd.conf:",
        good: "<Location />\nWsRoute ws://127.0.0.1:2\n</Location>\n<Location /x>\nWsRoute ws://127.0.0.1:1\n</Location>",
    },
    Case {
        name: "section-pattern",
        level: "error",
        broken: "<Location ^/x>\nWsRoute ws://127.0.0.1:1\n</Location>",
        line: 1,
        says: "never matches",
        good: "<LocationMatch ^/x>\nWsRoute ws://127.0.0.1:1\n</LocationMatch>",
    },
    Case {
        name: "section-pattern",
        level: "warning",
        broken: "<Location \"/desktop/.*\">\nWsRoute ws://127.0.0.1:1\n</Location>",
        line: 1,
        says: "is no regular expression",
        good: "<Location ~ \"/desktop/.*\">\nWsRoute ws://127.0.0.1:1\n</Location>",
    },
    Case {
        name: "section-directory",
        level: "warning",
        broken: "DocumentRoot /srv/www\nProxyPass / http://127.0.0.1:1/\n<Directory /srv/www/ws>\nWsRoute ws://127.0.0.1:2\n</Directory>",
        line: 4,
        says: "does not apply to what ProxyPass",
        good: "DocumentRoot /srv/www\n<Directory /srv/www/ws>\nWsRoute ws://127.0.0.1:2\n</Directory>",
    },
    Case {
        name: "other-vhost",
        level: "warning",
        broken: "<VirtualHost *:80>\nServerName d.example\nWsRoute ws://127.0.0.1:1\n</VirtualHost>\n<VirtualHost *:443>\nServerName d.example\nSSLEngine on\n</VirtualHost>",
        line: 3,
        says: "pages over https get no WebSocket",
        good: "<VirtualHost *:80>\nServerName d.example\n</VirtualHost>\n<VirtualHost *:443>\nServerName d.example\nSSLEngine on\nWsRoute ws://127.0.0.1:1\n</VirtualHost>",
    },
    Case {
        name: "module-guard",
        level: "warning",
        broken: "<IfModule mod_wsroutes.c>\nWsRoute ws://127.0.0.1:1\n</IfModule>",
        line: 1,
        says: "does not count",
        good: "<IfModule wsroute_module>\nWsRoute ws://127.0.0.1:1\n</IfModule>",
    },
    Case {
        name: "module-proxy",
        level: "error",
        broken: "ProxyPass /x https://127.0.0.1:1/",
        line: 1,
        says: "SSLProxyEngine is off",
        good: "SSLProxyEngine On\nProxyPass /x https://127.0.0.1:1/",
    },
    Case {
        name: "headroom",
        level: "warning",
        broken: "WsRoute ws://127.0.0.1:1\nAsyncRequestWorkerFactor 2",
        line: 2,
        says: "at most 75 connections",
        good: "WsRoute ws://127.0.0.1:1\nAsyncRequestWorkerFactor 300",
    },
    Case {
        name: "headroom",
        level: "warning",
        broken: "WsRoute ws://127.0.0.1:1\nServerLimit 6",
        line: 2,
        says: "ServerLimit is 6",
        good: "WsRoute ws://127.0.0.1:1\nServerLimit 7",
    },
    Case {
        name: "key-missing",
        level: "error",
        broken: "WsRouteResolver d file ROOT/table\n<Location />\nWsRoute d\n</Location>",
        line: 3,
        says: "refused with 404",
        good: "WsRouteResolver d file ROOT/table\n<Location />\nWsRoute d\nWsRouteKey user\n</Location>",
    },
    Case {
        name: "key-unguarded",
        level: "note",
        broken: "WsRouteResolver d file ROOT/table\n<Location />\nWsRoute d\nWsRouteKey path ^/([^/]+)\n</Location>",
        line: 3,
        says: "whoever guesses a key",
        good: "WsRouteResolver d file ROOT/table\n<Location />\nAuthType Basic\nRequire valid-user\nWsRoute d\nWsRouteKey path ^/([^/]+)\nWsRouteOwner %{REMOTE_USER}\n</Location>",
    },
    Case {
        name: "key-unguarded",
        level: "note",
        broken: "<Location />\nRequire ip 10.0.0.0/8\nWsRoute ws://127.0.0.1:{key}\nWsRouteKey query:port\n</Location>",
        line: 3,
        says: "everybody whom Require lets in",
        good: "<Location />\nRequire ip 10.0.0.0/8\nWsRoute ws://127.0.0.1:{key}\nWsRouteKey user\n</Location>",
    },
    Case {
        name: "owner-of-url",
        level: "error",
        broken: "AuthType Basic\nRequire valid-user\nWsRoute ws://127.0.0.1:1\nWsRouteOwner %{REMOTE_USER}",
        line: 4,
        says: "has no owner",
        good: "AuthType Basic\nRequire valid-user\nWsRoute ws://127.0.0.1:1",
    },
    Case {
        name: "owner-without-login",
        level: "warning",
        broken: "WsRouteResolver d file ROOT/table\n<Location /ws>\nWsRoute d\nWsRouteKey user\nWsRouteOwner %{REMOTE_USER}\n</Location>",
        line: 5,
        says: "nothing asks for a login",
        good: "WsRouteResolver d file ROOT/table\n<Location />\nAuthType openid-connect\nRequire valid-user\n</Location>\n<Location /ws>\nWsRoute d\nWsRouteKey user\nWsRouteOwner %{REMOTE_USER}\n</Location>",
    },
    Case {
        name: "allow-all",
        level: "warning",
        broken: "WsRoute ws://127.0.0.1:1\nWsRouteAllow 0.0.0.0/1 128.0.0.0/1",
        line: 2,
        says: "connect anywhere",
        good: "WsRoute ws://127.0.0.1:1\nWsRouteAllow 0.0.0.0/1 128.0.0.0/1 6901",
    },
    Case {
        name: "origin-any",
        level: "warning",
        broken: "AuthType form\nRequire valid-user\nWsRoute ws://127.0.0.1:1\nWsRouteOrigin any",
        line: 4,
        says: "any page",
        good: "WsRoute ws://127.0.0.1:1\nWsRouteOrigin any",
    },
    Case {
        name: "verify-off",
        level: "warning",
        broken: "WsRoute wss://10.0.0.5:6901\nWsRouteUpstream verify=off",
        line: 2,
        says: "wss://10.0.0.5:6901 may be anybody",
        good: "WsRoute wss://127.0.0.1:6901\nWsRouteUpstream verify=off",
    },
    Case {
        name: "verify-off",
        level: "note",
        broken: "WsRouteResolver d file ROOT/table\n<Location />\nWsRoute d\nWsRouteKey user\nWsRouteUpstream scheme=wss verify=off\n</Location>",
        line: 5,
        says: "containers on other machines",
        good: "WsRouteResolver d file ROOT/table\n<Location />\nWsRoute d\nWsRouteKey user\nWsRouteUpstream scheme=wss verify=off pin=sha256:0000000000000000000000000000000000000000000000000000000000000000\n</Location>",
    },
    Case {
        name: "plain-password",
        level: "warning",
        broken: "AuthType Basic\nRequire valid-user\nWsRoute ws://10.0.0.5:6901",
        line: 3,
        says: "the user's password for httpd goes to ws://10.0.0.5:6901 in the clear",
        good: "AuthType Basic\nRequire valid-user\nRequestHeader unset Authorization\nWsRoute ws://10.0.0.5:6901",
    },
    Case {
        name: "proxy-verify-none",
        level: "warning",
        broken: "SSLProxyEngine On\nSSLProxyVerify none\nProxyPass /x https://10.0.0.5/",
        line: 2,
        says: "https://10.0.0.5/ may be anybody",
        good: "SSLProxyEngine On\nSSLProxyVerify none\nProxyPass /x https://localhost/",
    },
    Case {
        name: "default-password",
        level: "error",
        broken: "RequestHeader set Authorization \"Basic a2FzbV91c2VyOnBhc3N3b3Jk\"\nWsRoute ws://127.0.0.1:1",
        line: 1,
        says: "the password of kasm_user is the default one",
        good: "WsRoute ws://127.0.0.1:1",
    },
    Case {
        name: "readable-secret",
        level: "warning",
        broken: "RequestHeader set Authorization \"Basic YWxpY2U6c2VjcmV0\"\nWsRoute ws://127.0.0.1:1",
        line: 1,
        says: "everybody on this machine can read this password",
        good: "WsRoute ws://127.0.0.1:1",
    },
    Case {
        name: "readable-secret",
        level: "warning",
        broken: "WsRouteResolver d file ROOT/passwords\n<Location />\nWsRoute d\nWsRouteKey user\n</Location>",
        line: 1,
        says: "can read ROOT/passwords",
        good: "WsRouteResolver d file ROOT/table\n<Location />\nWsRoute d\nWsRouteKey user\n</Location>",
    },
    Case {
        name: "resolver-undeclared",
        level: "error",
        broken: "<VirtualHost *:80>\nWsRouteResolver d file ROOT/table\nWsRoute d\nWsRouteKey user\n</VirtualHost>\n<VirtualHost *:81>\nWsRoute d\nWsRouteKey user\n</VirtualHost>",
        line: 7,
        says: "no WsRouteResolver of this server is called d",
        good: "WsRouteResolver d file ROOT/table\n<VirtualHost *:81>\nWsRoute d\nWsRouteKey user\n</VirtualHost>",
    },
    Case {
        name: "resolver-unused",
        level: "note",
        broken: "WsRouteResolver d file ROOT/table\nWsRoute ws://127.0.0.1:1",
        line: 1,
        says: "no WsRoute names the resolver d",
        good: "WsRouteResolver d file ROOT/table\nRewriteMap m int:wsroute\nWsRoute ws://127.0.0.1:1",
    },
    Case {
        name: "resolver-file",
        level: "error",
        broken: "WsRouteResolver d sql sqlite:ROOT/none.db query=:key\n<Location />\nWsRoute d\nWsRouteKey user\n</Location>",
        line: 1,
        says: "ROOT/none.db is not there",
        good: "WsRouteResolver d sql sqlite:ROOT/table query=:key\n<Location />\nWsRoute d\nWsRouteKey user\n</Location>",
    },
];

fn folder(text: &str) -> Folder {
    Folder::with(text).file("table", "").file("passwords", "alice 127.0.0.1:1 password=x\n")
}

#[test]
fn broken_ones_and_their_good_twins() {
    for Case { name, level, broken, line, says, good } in CASES {
        let whole = Folder::whole("\n").file("table", "");
        let above = std::fs::read_to_string(whole.path().join("httpd.conf")).unwrap();
        let offset = above.lines().count();
        let folder = folder(&format!("{above}{broken}\n"));
        let said = folder.lint(&[]);
        let place = format!("ROOT/httpd.conf:{}: {level}: ", line + offset);
        let tag = format!("[{name}]");
        let found = said.out.lines().find(|l| l.starts_with(&place) && l.ends_with(&tag));
        let found = found.unwrap_or_else(|| panic!("{name}: {place}\n{broken}\n{}", said.out));
        assert!(found.contains(says), "{name}: {says}\n{}", said.out);
        assert_eq!(
            said.code,
            i32::from(said.out.contains("warning: ") || said.out.contains("error: "))
        );

        let twin = self::folder(&format!("{above}{good}\n")).lint(&[]);
        assert!(!twin.out.contains(&tag), "{name}, the good twin:\n{good}\n{}", twin.out);
        assert!(!twin.out.contains("error: "), "{name}, the good twin:\n{good}\n{}", twin.out);
    }
}

#[test]
fn missing_modules() {
    let table = [
        ("wsroute", "WsRoute ws://127.0.0.1:1", "module-missing", "WsRoute needs wsroute_module"),
        ("rewrite", "RewriteEngine On", "module-missing", "RewriteEngine needs rewrite_module"),
        ("headers", "RequestHeader unset X", "module-missing", "needs headers_module"),
        (
            "proxy_http",
            "ProxyPass /x http://127.0.0.1:1/",
            "module-proxy",
            "needs proxy_http_module",
        ),
        (
            "proxy_http",
            "ProxyPass /x ws://127.0.0.1:1/ timeout=1d",
            "module-proxy",
            "needs proxy_wstunnel_module",
        ),
        (
            "proxy_balancer",
            "ProxyPass /x balancer://b/",
            "module-proxy",
            "needs proxy_balancer_module",
        ),
    ];
    for (module, line, name, says) in table {
        let said = Folder::without(module, line).lint(&[]);
        let tag = format!("[{name}]");
        let found = said.out.lines().any(|l| l.ends_with(&tag) && l.contains(says));
        assert!(found && said.code == 1, "{module}: {line}\n{}", said.out);
        let twin = Folder::whole(line).lint(&[]);
        assert!(!twin.out.contains(&tag), "{module}: {line}\n{}", twin.out);
    }
}

#[test]
fn room_for_sessions() {
    let route = "WsRoute ws://127.0.0.1:1";
    let event = Folder::whole(route);
    assert_eq!(event.lint(&["--sessions", "2000"]).out, "");
    let said = event.lint(&["--sessions", "50000"]);
    assert!(
        said.out.contains("50000 WebSockets leave no connection for HTTP: there are 45150"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("6 children x (25 threads + factor 300 x 25 idle threads)"),
        "{}",
        said.out
    );
    for (mpm, each) in [("worker", "thread"), ("prefork", "process")] {
        let text = format!("LoadModule mpm_{mpm}_module x.so\n{route}");
        let said = Folder::without("mpm_event", &text).lint(&["--sessions", "100"]);
        assert!(
            said.out.contains(&format!("each WebSocket holds a {each}, and there are 150")),
            "{}",
            said.out
        );
        assert!(!said.out.contains("[sessions]"), "{}", said.out);
        let said = Folder::without("mpm_event", &text).lint(&["--sessions", "150"]);
        assert!(said.out.contains("there are 150, MaxRequestWorkers"), "{}", said.out);
    }
    let piece = Folder::with(route).lint(&["--sessions", "100"]);
    assert!(piece.out.contains("note: no MPM is loaded here") && piece.code == 0, "{}", piece.out);
}

#[test]
fn tables_that_httpds_user_cannot_read() {
    let text = "User www-data\nGroup www-data\nWsRouteResolver d file ROOT/private/table\n\
                <Location />\nWsRoute d\nWsRouteKey user\n</Location>";
    let folder = Folder::with(text).file("private/table", "").mode("private", 0o700);
    let said = folder.lint(&[]);
    assert!(said.out.contains("www-data cannot read ROOT/private/table"), "{}", said.out);
    let open = Folder::with(text).file("private/table", "").mode("private", 0o755);
    assert_eq!(open.lint(&[]).out, "");
}

/// It is the file that the password is written in that matters.
#[test]
fn a_password_from_elsewhere() {
    let used = "RequestHeader set Authorization \"Basic ${PAIR}\"\nWsRoute ws://127.0.0.1:1";
    let define = "Define PAIR YWxpY2U6c2VjcmV0\n";
    let included = format!("Include ROOT/pair\n{used}");
    let folder = |text: &str, mode| Folder::with(text).file("pair", define).mode("pair", mode);
    let table = [
        ("from the environment", folder(used, 0o644), None),
        ("from this file", folder(&format!("{define}{used}"), 0o644), Some("ROOT/httpd.conf:1:")),
        ("from another", folder(&included, 0o644), Some("ROOT/pair:1:")),
        ("from one that is kept secret", folder(&included, 0o600), None),
    ];
    for (name, folder, place) in table {
        let said = folder.lint(&[]).out;
        let found = said.lines().find(|line| line.contains("[readable-secret]"));
        assert_eq!(found.is_some(), place.is_some(), "{name}: {said}");
        assert!(found.unwrap_or_default().starts_with(place.unwrap_or_default()), "{name}: {said}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let text = "RequestHeader set Authorization \"Basic YWxpY2U6aHVudGVyMg==\"\nWsRoute ws://10.0.0.5:1\n\
                ProxyPass /ws ws://alice:hunter2@127.0.0.1:1/";
    for args in [&[] as &[&str], &["--json"]] {
        let said = Folder::with(text).lint(args);
        assert_eq!(said.code, 1, "{}", said.out);
        assert!(!said.out.contains("hunter2") && !said.out.contains("YWxp"), "{}", said.out);
    }
    let kept = Folder::with(text).mode("httpd.conf", 0o600).lint(&[]);
    assert!(!kept.out.contains("[readable-secret]"), "{}", kept.out);
}

#[test]
fn one_json_object() {
    let said =
        Folder::with("<Location ^/x>\nWsRoute ws://127.0.0.1:1\n</Location>").lint(&["--json"]);
    let object: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let finding = &object["findings"][0];
    assert_eq!(finding["check"], "section-pattern");
    assert_eq!(finding["level"], "error");
    assert_eq!(
        (finding["file"].as_str(), finding["line"].as_u64()),
        (Some("ROOT/httpd.conf"), Some(1))
    );
    assert_eq!(finding["mend"], "write <LocationMatch \"^/x\">");
    let nothing = Folder::with("").lint(&["--json"]);
    assert_eq!(
        (nothing.out.replace([' ', '\n'], ""), nothing.code),
        ("{\"findings\":[]}".to_owned(), 0)
    );
}

#[test]
fn what_cannot_be_read_is_2() {
    let table = [
        ("Include none", "ROOT/httpd.conf:1: nothing is at ROOT/none"),
        ("<Location />", "ROOT/httpd.conf:1: <Location> is not closed"),
    ];
    for (text, says) in table {
        let folder = Folder::with(text);
        let said = folder.lint(&["-d", folder.path().to_str().unwrap()]);
        assert!(said.code == 2 && said.err.contains(says), "{text}: {}", said.err);
    }
    let said = crate::run::wsroutectl(&["lint", "/none/at/all"]);
    assert!(said.code == 2 && said.err.contains("cannot read /none/at/all"), "{}", said.err);
}

#[test]
fn defines_choose_what_is_read() {
    let folder = Folder::with("<IfDefine OLD>\n<Location ^/x>\n</Location>\n</IfDefine>");
    assert_eq!(folder.lint(&[]).code, 0);
    assert_eq!(folder.lint(&["-D", "OLD"]).code, 1);
}
