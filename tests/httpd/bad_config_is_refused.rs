//! `apache2 -t` refuses what cannot work, and says which directive and how to mend it.

use crate::harness::*;

/// Lines in a virtual host, and a word of the message besides the directive's name.
const TABLE: &[(&str, &str)] = &[
    ("WsRoute \"http://127.0.0.1:1\"", "ws://"),
    ("WsRoute \"ws://\"", ""),
    ("WsRoute \"ws://host:99999\"", "port"),
    ("WsRoute \"ws://host:x\"", "port"),
    ("WsRoute nosuchresolver", "nosuchresolver"),
    ("WsRoute", ""),
    ("WsRoute \"ws://{kye}:80\"", "kye"),
    ("WsRoute \"ws://{key:80\"", ""),
    ("WsRouteKey nosource", "nosource"),
    ("WsRouteKey", ""),
    ("WsRouteKey path \"(\"", "("),
    ("WsRouteKey cookie:", "cookie"),
    ("WsRouteKey \"%{HTTP:X\"", ""),
    ("WsRouteResolver x nosuchtype /x", "nosuchtype"),
    ("WsRouteResolver x file", ""),
    ("WsRouteResolver x sql \"oracle://x\" query=\"SELECT 1\"", "oracle"),
    ("WsRouteResolver x sql \"sqlite:/x\"", "query"),
    ("WsRouteResolver x file /x ttl=soon", "soon"),
    ("WsRouteResolver x file /x nonsense=1", "nonsense"),
    ("WsRouteResolver x file /x\nWsRouteResolver x file /y", "x"),
    ("<Location />\nWsRouteResolver x file /x\n</Location>", ""),
    ("WsRouteOwner \"%{REMOTE_USER\"", ""),
    ("WsRouteAllow 10.0.0.0/99", "10.0.0.0/99"),
    ("WsRouteAllow host:port", "host:port"),
    ("WsRouteUpstream scheme=http", "http"),
    ("WsRouteUpstream verify=maybe", "maybe"),
    ("WsRouteUpstream ca=/nonexistent/ca.pem", "/nonexistent/ca.pem"),
    ("WsRouteUpstream pin=md5:00", "sha256"),
    ("WsRouteUpstream pin=sha256:zz", "sha256"),
    ("WsRouteUpstream nonsense=1", "nonsense"),
    ("WsRouteUpstream verify", "verify"),
    ("WsRouteUpstream cert=/nonexistent/cert.pem", "key"),
    ("WsRouteOrigin", ""),
    ("WsRouteTimeout connect=never", "never"),
    ("WsRouteTimeout nonsense=1s", "nonsense"),
    ("WsRouteTimeout connect", "connect"),
    ("WsRouteThreads 4", ""),
];

/// The same outside of virtual hosts.
const GLOBAL: &[(&str, &str)] = &[
    ("WsRouteThreads 0", ""),
    ("WsRouteThreads many", "1 to 64"),
    ("WsRouteThreads -1", ""),
    ("WsRouteTimeout handshake=-1s", ""),
];

fn directive(lines: &str) -> &str {
    let line = lines.lines().find(|l| l.starts_with("WsRoute")).expect("a directive");
    line.split(' ').next().expect("its name")
}

fn refused(lines: &str, word: &str, setup: Setup) -> Option<String> {
    let (fine, said) = setup.configtest();
    let (said_lower, name) = (said.to_lowercase(), directive(lines).to_lowercase());
    if fine {
        return Some(format!("{lines}: accepted"));
    }
    let line = said.lines().filter(|l| !l.starts_with("AH00526"));
    let long_enough = line.map(str::len).sum::<usize>() > 25;
    if !said_lower.contains(&name) || !said_lower.contains(&word.to_lowercase()) || !long_enough {
        return Some(format!("{lines}: says only {said:?}"));
    }
    None
}

#[test]
fn with_a_message_that_names_the_directive() {
    let mut wrong = Vec::new();
    for (lines, word) in TABLE {
        wrong.extend(refused(lines, word, Httpd::with(*lines)));
    }
    for (lines, word) in GLOBAL {
        wrong.extend(refused(lines, word, Httpd::with("").global(lines)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn and_what_is_right_is_accepted() {
    let right = "WsRouteResolver d file \"${ROOT}/routes\" ttl=2s negative=1s stale=30s timeout=500ms\n\
                 WsRouteAllow 10.0.0.0/8 127.0.0.1:5900-5999 *.internal\n\
                 WsRouteOrigin same *.example.org\n\
                 WsRouteTimeout connect=2 handshake=1500ms drain=1min\n\
                 <Location /a>\nWsRoute d\nWsRouteKey host \"^desktop-([^.]+)\\.\"\n\
                 WsRouteKey cookie:x \"^(.)(.)$\" \"$2$1\"\nWsRouteKey \"%{env:desktop}\"\n\
                 WsRouteOwner \"%{REMOTE_USER}\"\nWsRouteUpstream scheme=wss verify=off\n\
                 </Location>\n<Location /b>\nWsRoute Off\n</Location>\n\
                 <Directory \"${ROOT}/htdocs\">\nWsRoute \"ws://[::1]:1/x\"\n</Directory>\n\
                 <Location /c>\nwsroute \"ws+unix:/run/x.sock:/uri\"\n</Location>\n\
                 <If \"%{QUERY_STRING} == 'x'\">\nWsRoute \"wss://localhost:1\"\n</If>\n";
    let setup = Httpd::with(right).global("WsRouteThreads 2").file("routes", "");
    let (fine, said) = setup.configtest();
    assert!(fine, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_write_htaccess_may_not_route() {
    let up = Upstream::echo().await;
    let conf = "<Directory \"${ROOT}/htdocs\">\nAllowOverride All\n</Directory>\n";
    let lines = [
        format!("WsRoute \"{}\"", up.url()),
        "WsRouteKey user".into(),
        "WsRouteOwner x".into(),
        "WsRouteAllow 0.0.0.0/0".into(),
        "WsRouteUpstream verify=off".into(),
        "WsRouteOrigin any".into(),
        "WsRouteTimeout connect=1".into(),
    ];
    let files = lines.iter().enumerate();
    let setup = files.fold(Httpd::with(conf), |setup, (i, line)| {
        setup.file(&format!("htdocs/{i}/.htaccess"), line.as_str())
    });
    let httpd = setup.start().await;
    httpd.log().allow("not allowed here");
    for i in 0..lines.len() {
        httpd.client().refused(&format!("/{i}/"), 500).await;
    }
    assert_eq!(httpd.log().count("not allowed here"), lines.len());
    assert_eq!(up.connections(), 0);
}
