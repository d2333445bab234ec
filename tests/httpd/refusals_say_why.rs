//! Whoever is refused finds out why in both logs: one line in the error log, and the recipes of
//! `docs/logging.md` in the access log, as they stand there.

use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::{LOGIN, users};

/// The lines of logging.md that begin so, for the ServerRoot of a test.
fn recipes(names: &[&str]) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/logging.md");
    let text = std::fs::read_to_string(file).expect("docs/logging.md");
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    let wanted = |line: &&str| names.iter().any(|name| line.starts_with(name));
    let found: Vec<_> = lines.filter(wanted).collect();
    assert_eq!(found.len(), names.len(), "{names:?} in logging.md: {found:#?}");
    found.join("\n").replace("${APACHE_LOG_DIR}", "${ROOT}")
}

/// What is asked, and what both logs say about it.
struct Case {
    path: String,
    header: (&'static str, &'static str),
    status: u16,
    error: &'static str,
    access: &'static [&'static str],
}

const NO_HEADER: (&str, &str) = ("X-Nothing", "-");

fn case(
    path: &str,
    header: (&'static str, &'static str),
    status: u16,
    error: &'static str,
    access: &'static [&'static str],
) -> Case {
    Case { path: path.into(), header, status, error, access }
}

fn cases() -> Vec<Case> {
    let no = NO_HEADER;
    let mut cases = vec![
        case(
            "/desktop/alice/x",
            ("Sec-WebSocket-Key", "short"),
            400,
            "not a WebSocket upgrade: the Sec-WebSocket-Key is not 16 bytes in base64",
            &["key=- target=- refused=\"not a WebSocket upgrade\""],
        ),
        case(
            "/desktop/alice/x",
            ("Sec-WebSocket-Version", "8"),
            426,
            "not a WebSocket upgrade: the Sec-WebSocket-Version is not 13",
            &["key=- target=- refused=\"not a WebSocket upgrade\""],
        ),
        case(
            "/desktop/alice/x",
            ("Origin", "https://evil.example"),
            403,
            "origin-refused: \"https://evil.example\" is not",
            &["key=- target=- refused=\"origin-refused\""],
        ),
        case(
            "/other/x",
            no,
            404,
            "unknown-key: no WsRouteKey rule gave a key",
            &["key=- target=- refused=\"unknown-key\""],
        ),
        case(
            "/desktop/nobody/x",
            no,
            404,
            "unknown-key: no resolver knows \"nobody\"",
            &["key=- target=- refused=\"unknown-key\""],
        ),
        case(
            "/desktop/bobs/x",
            no,
            403,
            "not-yours: \"bobs\" does not belong to \"alice\"",
            &["key=bobs target=- refused=\"not-yours\""],
        ),
        case(
            "/desktop/nobodys/x",
            no,
            403,
            "not-yours: the answer for \"nobodys\" has no owner",
            &["key=nobodys target=- refused=\"not-yours\""],
        ),
        case(
            "/desktop/old/x",
            no,
            403,
            "expired: the answer for \"old\" has expired",
            &["key=old target=- refused=\"expired\""],
        ),
        case(
            "/desktop/starting/x",
            no,
            503,
            "starting: \"starting\" is \"creating\"",
            &["key=starting target=- refused=\"starting\""],
        ),
        case(
            "/desktop/far/x",
            no,
            403,
            "upstream-not-allowed: 203.0.113.5:6901: not covered by WsRouteAllow",
            &["key=far target=ws://203.0.113.5:6901/x refused=\"upstream-not-allowed\""],
        ),
        case(
            "/desktop/down/x",
            no,
            502,
            "upstream-refused: 127.0.0.1:",
            &["key=down target=ws://127.0.0.1:", "/x refused=\"upstream-refused\""],
        ),
        case(
            "/desktop/silent/x",
            no,
            504,
            "upstream-handshake-late: 127.0.0.1:",
            &["key=silent target=ws://127.0.0.1:", "/x refused=\"upstream-handshake-late\""],
        ),
        case(
            "/desktop/declines/x",
            no,
            410,
            "upstream-declined: ws://127.0.0.1:",
            &["key=declines target=ws://127.0.0.1:", "/x refused=\"upstream-declined\""],
        ),
        case(
            "/broken/alice/x",
            no,
            502,
            "resolver-failed: broken: cannot read ",
            &["key=alice target=- refused=\"resolver-failed\""],
        ),
        case(
            "/late/alice/x",
            no,
            504,
            "resolver-late: late did not answer in time",
            &["key=alice target=- refused=\"resolver-late\""],
        ),
        // httpd's own access control comes first, and tells it itself.
        case(
            "/closed/x",
            no,
            403,
            "AH01630: client denied by server configuration",
            &["key=- target=- refused=\"-\""],
        ),
        case("/port/70000/x", no, 400, "bad-key: ", &["key=70000 target=- refused=\"bad-key\""]),
        case(
            "/template/alice/x",
            no,
            403,
            "not-yours: a URL template has no owner",
            &["key=- target=- refused=\"not-yours\""],
        ),
    ];
    let long = format!("/desktop/{}/x", "k".repeat(256));
    cases.push(case(&long, no, 400, "bad-key: ", &["key=- target=- refused=\"bad-key\""]));
    // Where an error document is a page of its own.
    cases.push(case(
        "/page/bobs/x",
        no,
        403,
        "not-yours: \"bobs\" does not belong to \"alice\"",
        &["key=bobs target=- refused=\"not-yours\""],
    ));
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn in_both_logs() {
    let up = Upstream::echo().await;
    let declines = Upstream::says("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n").await;
    let (silent, closed) = (Upstream::silent().await, Upstream::echo().await.end().await);
    let at = up.address;
    let table = format!(
        "alice {at} owner=alice\nbobs {at} owner=bob\nnobodys {at}\n\
         old {at} owner=alice expires=1000\nstarting {at} owner=alice state=creating\n\
         far 203.0.113.5:6901 owner=alice\ndown {closed} owner=alice\n\
         silent {} owner=alice\ndeclines {} owner=alice\n",
        silent.address, declines.address
    );
    let section = |path: &str, route: &str, more: &str| {
        let rules = format!(
            "{LOGIN}WsRoute \"{route}\"\nWsRouteKey path \"^{path}([^/]+)\"\n\
             WsRouteUpstream path={{tail}}\nWsRouteTimeout handshake=1s\n{more}"
        );
        location(path, &rules)
    };
    let owner = "WsRouteOwner \"%{REMOTE_USER}\"";
    let conf = format!(
        "WsRouteResolver desktops file ${{ROOT}}/desktops.txt\n\
         WsRouteResolver broken file ${{ROOT}}/absent.txt\n\
         WsRouteResolver late http \"http://{}/{{key}}\" timeout=200ms\n",
        silent.address
    ) + &section("/desktop/", "desktops", owner)
        + &section("/page/", "desktops", &format!("{owner}\nErrorDocument 403 /denied.html"))
        + &section("/broken/", "broken", owner)
        + &section("/late/", "late", owner)
        + &section("/port/", "ws://127.0.0.1:{key}", "")
        + &section("/template/", "ws://127.0.0.1:{key}", owner)
        + &location("/other/", "WsRoute desktops\nWsRouteKey path ^/elsewhere/(.+)")
        + &location("/closed/", "Require all denied\nWsRoute desktops")
        // A session after an internal redirect.
        + "<Directory ${ROOT}/htdocs>\nRewriteEngine On\n\
           RewriteRule ^moved/(.*) /desktop/$1\n</Directory>\n"
        + &recipes(&[
            "LogFormat \"%h",
            "CustomLog ${APACHE_LOG_DIR}/access.log ",
            "CustomLog ${APACHE_LOG_DIR}/websockets.log ",
            "CustomLog ${APACHE_LOG_DIR}/refused.log ",
            "LogFormat \"{",
            "CustomLog ${APACHE_LOG_DIR}/websockets.json ",
        ]);
    let setup = Httpd::with(conf.replace("${ROOT}/access.log", "${ROOT}/recipe.log"));
    let setup = setup.file("desktops.txt", table);
    let setup = setup.file("users", users()).file("htdocs/denied.html", "not for you");
    let httpd = setup.start().await;
    httpd.log().allow("");
    let lines = |name: &str| httpd.lines(name);
    let client = httpd.client().basic("alice", "wonder");
    let mut ours = 0;
    for (n, case) in cases().into_iter().enumerate() {
        let Case { path, header: (name, value), status, error, access } = case;
        client.clone().header(name, value).refused(&path, status).await;
        if httpd.log().expect(error).await.module == "wsroute" {
            ours += 1;
            let level = if status >= 500 && status != 503 { "error" } else { "info" };
            let lines = httpd.log().lines();
            let told = lines.iter().any(|l| l.level == level && l.text.starts_with(error));
            assert!(told, "{path}: no line at {level} with {error}");
        }
        eventually(SOON, "its line", || lines("recipe.log").len() > n).await;
        let line = &lines("recipe.log")[n];
        for part in access.iter().chain([&" id=- close=- by=-", &format!("\" {status} ").as_str()])
        {
            assert!(line.contains(part), "{path}: {part} in {line}");
        }
    }
    eventually(SOON, "refused.log", || lines("refused.log").len() == ours).await;
    assert_eq!(lines("websockets.log"), [""; 0]);

    for (n, path) in ["/desktop/alice/x", "/moved/alice/x"].into_iter().enumerate() {
        client.upgrade(path).await.leave().await;
        eventually(SOON, "its line", || lines("websockets.log").len() > n).await;
        let line = &lines("websockets.log")[n];
        let parts = [
            "\" 101 ",
            &format!(" key=alice target=ws://{at}/x refused=\"-\" id="),
            " close=1000 by=client",
        ];
        assert!(parts.iter().all(|part| line.contains(part)), "{path}: {parts:?} in {line}");
    }
    for line in lines("websockets.json") {
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let served_or_httpds = object["status"] == 101 || object["path"] == "/closed/x";
        assert_eq!(object["refused"] == "-", served_or_httpds, "{line}");
    }
}
