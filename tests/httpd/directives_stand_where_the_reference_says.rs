//! httpd takes each directive where `docs/reference.md` says, and nowhere else; what stands in the
//! server config holds in virtual hosts.

use crate::harness::*;
use mod_wsroute::config::directives::TABLE;

/// One for each directive.
const EXAMPLES: &[&str] = &[
    "WsRoute \"ws://127.0.0.1:9\"",
    "WsRouteKey host",
    "WsRouteResolver x file ${ROOT}/x",
    "WsRouteOwner \"%{REMOTE_USER}\"",
    "WsRouteAllow 127.0.0.1",
    "WsRouteUpstream scheme=ws",
    "WsRouteOrigin any",
    "WsRouteSession flask cookie=session secret=file:${ROOT}/secret",
    "WsRouteRemember On",
    "WsRouteHttp Off",
    "WsRouteTimeout connect=1s",
    "WsRouteThreads 2",
];

#[test]
fn and_nowhere_else() {
    for directive in &TABLE {
        let name = directive.name.to_str().expect("ASCII");
        let is_its = |line: &&&str| line.split(' ').next() == Some(name);
        let example = EXAMPLES.iter().find(is_its).unwrap_or_else(|| panic!("{name}: no example"));
        let contexts: Vec<&str> = directive.context.name().split(", ").collect();
        let places = [
            ("server config", Httpd::with("").global(example)),
            ("virtual host", Httpd::with(*example)),
            ("directory", Httpd::with(location("/x", example))),
            ("directory", Httpd::with(format!("<Directory \"/x\">\n{example}\n</Directory>"))),
            ("directory", Httpd::with(format!("<If \"true\">\n{example}\n</If>"))),
        ];
        for (place, setup) in places {
            let (fine, said) = setup.file("x", "").file("secret", "s3cret").configtest();
            assert_eq!(fine, contexts.contains(&place), "{name} in {place}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_config_holds_in_virtual_hosts() {
    let up = Upstream::echo().await;
    let global = format!("WsRoute {}\nWsRouteOrigin https://portal.example.org", up.url());
    let httpd = Httpd::with("").global(&global).start().await;
    let client = httpd.client();
    client.clone().header("Origin", "https://portal.example.org").upgrade("/x").await.leave().await;
    client.header("Origin", "https://evil.example").refused("/x", 403).await;
}
