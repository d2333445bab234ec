//! The table of `docs/how-it-works.md`: which configurations of mod_proxy, without this module,
//! bring an upgrade to the server behind, and which do not.

use crate::harness::*;

/// Answers an upgrade, and 426 to whatever is none.
async fn backend() -> Upstream {
    Upstream::serve(|mut conn| async move {
        match conn.seen.header("Upgrade").is_empty() {
            true => {
                let head = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n";
                let _ = conn.ws.try_raw(head.as_bytes()).await;
            }
            false => {
                conn.accept().await;
                drain(conn).await;
            }
        }
    })
    .await
}

const SET_HEADERS: &str = "SetEnvIf Upgrade \"(?i)^websocket$\" IS_WEBSOCKET\n\
                           RequestHeader set Upgrade websocket env=IS_WEBSOCKET\n\
                           RequestHeader set Connection Upgrade env=IS_WEBSOCKET\n";

#[tokio::test(flavor = "multi_thread")]
async fn unless_it_knows_of_the_upgrade() {
    let rewrite = "RewriteEngine On\n";
    // What is configured, with AT for the backend; whether the upgrade comes through.
    let table = [
        ("ProxyPass /x http://AT/x".to_owned(), false),
        (format!("{SET_HEADERS}ProxyPass /x http://AT/x"), false),
        (
            format!(
                "{rewrite}RewriteRule ^/(.*) http://AT/$1 [P,E=UPGRADE:%{{HTTP:Upgrade}},\
                 E=CONNECTION:%{{HTTP:Connection}}]\n\
                 RequestHeader set Upgrade %{{UPGRADE}}e\n\
                 RequestHeader set Connection %{{CONNECTION}}e"
            ),
            false,
        ),
        ("ProxyPass /x http://AT/x upgrade=websocket".into(), true),
        ("ProxyPass /x http://AT/x upgrade=ANY".into(), true),
        ("ProxyPass /x http://AT/x upgrade=websocket\nProxyPass / http://AT/".into(), true),
        ("ProxyPass /y http://AT/\nProxyPass /x http://AT/x upgrade=websocket".into(), false),
        ("ProxyPass /x ws://AT/x".into(), true),
        (
            format!(
                "{rewrite}RewriteCond %{{HTTP:Upgrade}} websocket [NC]\n\
                 RewriteRule ^/(.*) ws://AT/$1 [P]"
            ),
            true,
        ),
    ];
    let up = backend().await;
    for (lines, comes_through) in table {
        let conf = lines.replace("AT", &up.address.to_string());
        let httpd = Httpd::with(conf).without_wsroute().start().await;
        httpd.log().allow("AH");
        match comes_through {
            true => drop(httpd.client().upgrade("/x").await),
            false => drop(httpd.client().refused("/x", 426).await),
        }
        let seen = up.last().await;
        assert_eq!(seen.header("Upgrade").is_empty(), !comes_through, "{lines}");
        if !comes_through {
            assert!(!seen.header("Connection").contains("Upgrade"), "{lines}");
        }
    }
}

/// httpd says so in a virtual host only if that has a `LogLevel` of its own.
#[test]
fn a_shared_worker_is_told_at_configtest() {
    let lines = "ProxyPass /y http://127.0.0.1:9/\n\
                 ProxyPass /x http://127.0.0.1:9/x upgrade=websocket";
    for (level, told) in [("", false), ("LogLevel warn\n", true)] {
        let (fine, said) = Httpd::with(format!("{level}{lines}")).without_wsroute().configtest();
        assert!(fine && said.contains("AH01146") == told, "{said}");
    }
}
