//! A real httpd and wsroutectl read the same file, and send the same request to the same place.

use crate::harness::{Answer, Httpd, Upstream};
use crate::run::wsroutectl;
use serde_json::Value;

/// Each scope sends its WebSockets to a path of its own; `URL` is the upstream.
const SITE: &str = r#"
WsRoute "URL/server{path}"
Include "${ROOT}/more/*.conf"
IncludeOptional "${ROOT}/none/*.conf"
<IfModule mod_proxy.c>
    <Location "/if-module">
        WsRoute "URL/if-module{tail}"
    </Location>
</IfModule>
<IfModule mod_dav.c>
    <Location "/if-module">
        WsRoute "URL/wrong"
    </Location>
</IfModule>
<IfVersion >= 2.4>
    <Location "/if-version/">
        WsRoute "URL/if-version{tail}"
    </Location>
</IfVersion>
<Macro Desk $name>
    <Location "/macro-$name">
        WsRoute "URL/macro-$name{tail}"
    </Location>
</Macro>
Use Desk one
Use desk two
Define WORD defined
<Location "/${WORD}">
    WsRoute "URL/${WORD}{tail}"
</Location>
<Location "/narrow/inner">
    WsRoute "URL/inner{tail}"
</Location>
<Location "/narrow">
    WsRoute "URL/narrow{tail}"
</Location>
<Location "/wild/*/x">
    WsRoute "URL/wild{tail}"
</Location>
<LocationMatch "^/match/[0-9]+$">
    WsRoute "URL/match{tail}"
</LocationMatch>
<Location ~ "^/tilde/">
    WsRoute "URL/tilde{tail}"
</Location>
<Location ^/never>
    WsRoute "URL/never"
</Location>
<Location "/off">
    WsRoute Off
</Location>
<Location "/keys/">
    WsRoute    "URL/keys/{key}{tail}"
    WsRouteKey path "^/keys/([^/]+)"
    WsRouteKey header:X-Desk
    WsRouteKey "%{tolower:%{HTTP_HOST}}" "^([a-z]+)"
</Location>
<Location "/origin">
    WsRoute "URL/origin"
    WsRouteOrigin https://portal.example
</Location>
<Directory "${ROOT}/htdocs">
    WsRoute "URL/htdocs{path}"
</Directory>
<Directory "${ROOT}/htdocs/sub">
    WsRoute "URL/sub{path}"
    <Files "*.ws">
        WsRoute "URL/files{path}"
    </Files>
</Directory>
<DirectoryMatch "/sub/deep">
    WsRoute "URL/deep{path}"
</DirectoryMatch>
ProxyPass /proxied http://127.0.0.1:9/
Alias /alias "${ROOT}/htdocs/sub"
<If "%{HTTP:X-Mode} == 'if' && %{REQUEST_URI} =~ m#^/if/#">
    WsRoute "URL/if{path}"
</If>
<ElseIf "%{HTTP:X-Mode} in { 'a', 'b' } || -R '10.0.0.0/8'">
    WsRoute "URL/else-if{path}"
</ElseIf>
"#;

const PATHS: &[&str] = &[
    "/",
    "/plain/x",
    "/included/x",
    "/if-module/x",
    "/if-version/x",
    "/if-version",
    "/macro-one/x",
    "/macro-two",
    "/defined/x",
    "/narrow/inner/x",
    "/narrow/x",
    "/narrowed",
    "/wild/a/x",
    "/wild/a/b/x",
    "/match/12",
    "/match/12/x",
    "/tilde/x",
    "/never",
    "/off/x",
    "/keys/alice/x",
    "/keys/",
    "/keys/a%20b/c%20d",
    "/origin",
    "/sub/x",
    "/sub/a.ws",
    "/sub/deep/x",
    "/sub/none/x",
    "/proxied/x",
    "/alias/x",
    "/if/x",
    "/a%20b/../c//d",
    "/a/%2e%2e/narrow/%41x",
    "/a%2Fb",
    "/%zz",
    "/../x",
];

const HEADERS: &[&[(&str, &str)]] = &[
    &[],
    &[("X-Mode", "if")],
    &[("X-Mode", "b"), ("X-Desk", "d1")],
    &[("Origin", "https://portal.example")],
    &[("Connection", "close")],
];

#[tokio::test(flavor = "multi_thread")]
async fn every_request_goes_to_the_same_place() {
    let up = Upstream::echo().await;
    let included = "<Location \"/included\">\nWsRoute \"URL/included{tail}\"\n</Location>\n";
    let url = |text: &str| text.replace("URL", &up.url());
    let setup = Httpd::with(url(SITE)).file("more/a.conf", url(included)).module("macro");
    let setup = setup.file("htdocs/sub/deep/f", "").file("htdocs/sub/a.ws", "");
    let httpd = setup.start().await;
    let file = httpd.root().join("httpd.conf");
    let mut places = std::collections::BTreeSet::new();
    for path in PATHS {
        for headers in HEADERS {
            let client = headers.iter().fold(httpd.client(), |c, (n, v)| c.header(n, v));
            let before = up.connections();
            let seen = match client.ask(path).await {
                Answer::Upgraded(_, ws) => {
                    ws.leave().await;
                    (101, up.last().await.target().to_owned())
                }
                Answer::Refused(response, _) => (response.status, String::new()),
            };
            let routed = up.connections() > before;

            let port = httpd.port();
            let mut args = vec!["resolve".to_owned(), "-f".to_owned(), file.display().to_string()];
            args.extend(["--json".to_owned(), format!("ws://127.0.0.1:{port}{path}")]);
            let mut sent = vec![("Host", format!("localhost:{port}"))];
            sent.push(("Origin", format!("http://localhost:{port}")));
            for (name, value) in *headers {
                sent.retain(|(n, _)| n != name);
                sent.push((name, (*value).to_owned()));
            }
            for (name, value) in sent {
                args.extend(["-H".to_owned(), format!("{name}: {value}")]);
            }
            let said = wsroutectl(&args.iter().map(String::as_str).collect::<Vec<_>>());
            let told: Value = serde_json::from_str(&said.out)
                .unwrap_or_else(|e| panic!("{path}: {e}: {}{}", said.out, said.err));

            let what = format!("{path} {headers:?}: httpd: {seen:?}, wsroutectl: {told:#}");
            match told["decision"]["target"].as_str() {
                Some(target) => {
                    let expected = target.strip_prefix(&up.url()).expect("the upstream");
                    assert_eq!((101, expected.to_owned()), seen, "{what}");
                    places.insert(expected.split('/').nth(1).unwrap_or_default().to_owned());
                }
                None => {
                    assert!(!routed, "{what}");
                    if let Some(status) = told["refusal"]["status"].as_u64() {
                        assert_eq!(status, u64::from(seen.0), "{what}");
                    }
                }
            }
        }
    }
    assert!(places.len() >= 19, "every scope is reached: {places:?}");
    // mod_proxy finds nobody at /proxied, and httpd complains about paths of its own accord.
    for words in ["AH01114", "AH00957", "AH10244", "AH00026", "AH01144"] {
        httpd.log().allow(words);
    }
}
