//! On event a session gives its request's memory back. Its lines in the logs say what they would have
//! said with the request, and whoever wants the request itself still has it.

use crate::harness::*;
use crate::upgrade_reaches_the_right_upstream::{LOGIN, users};

/// All of a request that a format of mod_log_config can name, but for times, bytes and process.
const WHOLE_LINE: &str = "%a %{c}a %A %h %{c}h %l %u %>s %m %U %q %H %V %v %p %{local}p %f %R %k %X \
     %{User-Agent}i %{Cookie}i %{b}C %{team}e %{WSROUTE_KEY}e %{WSROUTE_TARGET}e %{X-Out}o %{X-Err}o \
     %{Upgrade}o %{Content-Type}o %{wsroute-up-bytes}n %{wsroute-by}n %{SSL_PROTOCOL}e %{SSL_CIPHER}e \
     %{SSL_TLS_SNI}e <%r>";

/// The same request at a place where a note of mod_usertrack keeps it in memory.
#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_the_line_is_as_if_the_request_were_there() {
    let up = Upstream::echo().await;
    let lines = format!("{LOGIN}WsRoute \"{}/{{key}}\"\nWsRouteKey query:desktop", up.url());
    let lines = format!("{lines}\nForceType text/desktop");
    let tracked = format!("{lines}\nCookieTracking On\nCookieName none");
    let conf = format!(
        "{}\n{}\nUseCanonicalName Off\nSetEnvIf Request_URI . team=blue\n\
         SSLOptions +StdEnvVars\n\
         Header set X-Out o\nHeader always set X-Err e",
        location("/away", &lines),
        location("/kept", &tracked)
    );
    let httpd = Httpd::with(conf)
        .global(&format!("CustomLog \"${{ROOT}}/whole.log\" \"{WHOLE_LINE}\""))
        .file("users", users())
        .module("usertrack")
        .tls()
        .start()
        .await;
    for (n, (how, client)) in httpd.clients().into_iter().enumerate() {
        let client = client.basic("alice", "wonder").header("Cookie", "a=1; b=two; c=\"3\"");
        let client = client.header("User-Agent", "Mozilla/5.0 (\u{fc})").also("X-Twice", "1");
        for path in ["/away/%64eep", "/kept/%64eep"] {
            let before = httpd.lines("whole.log").len();
            let mut ws = client.upgrade(&format!("{path}?desktop=alice&x=%20")).await;
            ws.send(BINARY, b"hello").await;
            assert_eq!(ws.frame().await.data, b"hello", "{how}");
            ws.leave().await;
            eventually(SOON, "its line", || httpd.lines("whole.log").len() > before).await;
        }
        let lines = httpd.lines("whole.log");
        let [.., away, kept] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(*away, kept.replace("kept", "away"), "{how}");
        // HTTP over event alone suspends a connection, and only there has a request to go.
        let kept = if Mpm::of_this_run() == Mpm::Event { n + 1 } else { 0 };
        assert_eq!(
            httpd.log().count("its request stays in memory: a module has left a note"),
            kept
        );
        for part in [
            "text/desktop",
            "alice",
            "two",
            "blue",
            "desktop=alice&x=%20",
            "/away/deep",
            "127.0.0.1",
        ] {
            assert!(away.contains(part), "{part} in {away}");
        }
        assert_eq!(away.contains(" TLSv1."), how != "plaintext", "{away}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_with_a_log_of_its_own_sees_its_request() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url()))
        .module("log_forensic")
        .global("ForensicLog \"${ROOT}/forensic.log\"")
        .start()
        .await;
    httpd.client().upgrade("/ws").await.leave().await;
    httpd.sessions_logged(1).await;
    let begun: Vec<_> = httpd
        .lines("forensic.log")
        .iter()
        .filter(|line| line.contains("|GET /ws HTTP"))
        .filter_map(|line| Some(line.split_once('|')?.0.replace('+', "-")))
        .collect();
    assert_eq!(begun.len(), 1);
    let is_ended = || httpd.lines("forensic.log").contains(&begun[0]);
    eventually(SOON, "the line of the request's end", is_ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_and_addresses_of_other_modules_are_there() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url()) + "\nCookieTracking On")
        .module("usertrack")
        .module("remoteip")
        .global(
            "RemoteIPHeader X-Client-IP\nRemoteIPInternalProxy 127.0.0.1\n\
             CustomLog \"${ROOT}/whole.log\" \"%a %{c}a <%{cookie}n> <%r>\"",
        )
        .start()
        .await;
    httpd.client().header("X-Client-IP", "192.0.2.7").upgrade("/ws").await.leave().await;
    let tracked = || httpd.lines("whole.log").into_iter().find(|line| line.contains("/ws"));
    eventually(SOON, "its line", || tracked().is_some()).await;
    let line = tracked().expect("just found");
    let cookie = line.split(['<', '>']).nth(1).expect("a cookie");
    assert!(line.starts_with("192.0.2.7 127.0.0.1 <") && cookie.len() > 8, "{line}");
}

/// `UseCanonicalName` of a section decides what `%V` is.
#[tokio::test(flavor = "multi_thread")]
async fn a_sections_names_are_in_the_line() {
    let up = Upstream::echo().await;
    let route = format!("WsRoute \"{}\"", up.url());
    let conf = location("/own", &format!("{route}\nUseCanonicalName On"))
        + &location("/asked", &route)
        + "ServerName canonical.example\nUseCanonicalName Off\n";
    let httpd =
        Httpd::with(conf).global("CustomLog \"${ROOT}/whole.log\" \"%V <%r>\"").start().await;
    for (path, name) in [("/own", "canonical.example"), ("/asked", "asked.example")] {
        httpd.client().host("asked.example").upgrade(path).await.leave().await;
        let line = format!("{name} <GET {path} HTTP/1.1>");
        eventually(SOON, &line, || httpd.lines("whole.log").contains(&line)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_the_url_stays_out_of_the_log() {
    let up = Upstream::echo().await;
    let unsafe_urls = "HttpProtocolOptions Unsafe";
    let httpd = Httpd::with(ws("/ws", &up.url())).global(unsafe_urls).start().await;
    let client = httpd.client();
    let host = format!("localhost:{}", httpd.port());
    client.upgrade(&format!("http://eve:secret@{host}/ws")).await.leave().await;
    let line = httpd.sessions_logged(1).await.pop().expect("a line");
    assert!(line.request.contains("/ws") && !line.request.contains("secret"), "{line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sections_log_level_holds_to_the_end() {
    let up = Upstream::echo().await;
    let route = format!("WsRoute \"{}\"", up.url());
    let conf = location("/silent", &format!("{route}\nLogLevel wsroute:warn"))
        + &location("/loud", &route);
    let httpd = Httpd::with(conf).start().await;
    httpd.client().upgrade("/silent").await.leave().await;
    httpd.sessions_logged(1).await;
    httpd.client().upgrade("/loud").await.leave().await;
    httpd.sessions_logged(2).await;
    httpd.log().expect(words::SESSION_ENDED).await;
    assert_eq!(httpd.log().count(words::SESSION_ENDED), 1);
}
