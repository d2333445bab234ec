use super::*;
use crate::apache::{Effective, Options};
use crate::route::Route;

fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("httpd.conf");
    std::fs::create_dir_all(dir.path().join("www/sub")).unwrap();
    std::fs::write(&file, text.replace("ROOT", dir.path().to_str().unwrap())).unwrap();
    let config = Config::read(&Options { file: Some(file), ..Options::default() }).unwrap();
    assert_eq!(config.problems, [], "{text}");
    // The folders of <Directory> must outlive the test; the system clears them.
    let _ = dir.keep();
    config
}

fn target(effective: &Effective<'_>) -> String {
    match effective.scope.route.as_deref() {
        Some(Route::Resolvers(names)) => names.join(" "),
        Some(other) => format!("{other:?}"),
        None => "-".to_owned(),
    }
}

#[test]
fn virtual_hosts() {
    let config = config(
        "ServerName main.example\n\
         <VirtualHost *:80>\nServerName a.example:80\n</VirtualHost>\n\
         <VirtualHost *:80>\nServerName b.example\nServerAlias *.b.example c?.example\n</VirtualHost>\n\
         <VirtualHost *:443>\nServerName https://a.example\nSSLEngine on\n</VirtualHost>\n\
         <VirtualHost 10.0.0.1:443>\nServerName d.example\n</VirtualHost>\n\
         <VirtualHost _default_>\nServerName any.example\n</VirtualHost>",
    );
    let table = [
        ("a.example", 80, None, "a.example:80"),
        ("x.b.example", 80, None, "b.example:80"),
        ("c1.example", 80, None, "b.example:80"),
        ("c12.example", 80, None, "a.example:80"),
        ("a.example", 443, None, "a.example:443"),
        ("unknown", 443, Some("10.0.0.1"), "d.example:443"),
        ("unknown", 443, Some("10.0.0.2"), "a.example:443"),
        ("d.example", 443, None, "d.example:443"),
        ("a.example", 8080, None, "any.example:*"),
    ];
    for (host, port, local, expected) in table {
        let (server, _) = config.server(host, port, local.map(|ip| ip.parse().unwrap()));
        assert_eq!(server.title(), expected, "{host}:{port} {local:?}");
    }
    assert!(config.server("d.example", 443, None).1.unwrap().contains("10.0.0.1"));
    assert!(config.servers[3].tls && !config.servers[1].tls);
}

#[test]
fn without_a_virtual_host_it_is_the_main_server() {
    let config = config("ServerName main.example\n<VirtualHost *:80>\n</VirtualHost>");
    assert!(config.server("x", 443, None).0.main);
}

#[test]
fn sections_apply_in_httpds_order() {
    let config = config(
        "DocumentRoot ROOT/www\nWsRouteResolver r file /r\n\
         <Location /main>\nWsRoute main\n</Location>\nWsRouteResolver main file /r\n\
         <VirtualHost *:80>\nWsRouteResolver vhost file /r\nWsRoute vhost\n\
         <Location /late>\nWsRoute location\n</Location>\nWsRouteResolver location file /r\n\
         <Location /late/off>\nWsRoute off\n</Location>\n\
         <LocationMatch ^/re/[0-9]+$>\nWsRoute location\n</LocationMatch>\n\
         <Directory ROOT/www/sub>\nWsRoute sub\n<If \"true\">\nWsRoute if\n</If>\n</Directory>\n\
         <Directory ROOT/www>\nWsRoute www\n</Directory>\n\
         <Files *.ws>\nWsRoute files\n</Files>\n\
         WsRouteResolver sub file /r\nWsRouteResolver www file /r\nWsRouteResolver if file /r\n\
         WsRouteResolver files file /r\nWsRouteResolver else file /r\n\
         ProxyPass /proxied http://127.0.0.1:1/\n\
         <If \"%{X} == 'y'\">\nWsRoute if\n</If>\n<Else>\nWsRouteOwner x\n</Else>\n\
         </VirtualHost>",
    );
    let table = [
        ("/", "www"),
        ("/main/x", "main"),
        ("/mainx", "www"),
        ("/late", "location"),
        ("/late/off/x", "Off"),
        ("/re/12", "location"),
        ("/re/12/x", "www"),
        ("/sub/x", "if"),
        ("/none/a.ws", "files"),
        ("/proxied/x", "vhost"),
    ];
    let (server, _) = config.server("x", 80, None);
    for (path, expected) in table {
        let conditions = |text: &str| match text {
            "true" => Ok(true),
            _ => Err("who knows".to_owned()),
        };
        let effective = config.scope(server, path, &conditions);
        assert_eq!(target(&effective), expected, "{path}");
        assert_eq!(effective.assumed.len(), 1, "{path}");
        assert_eq!(effective.scope.owner.as_deref(), Some("x"), "{path}");
    }
    for server in &config.servers {
        assert_eq!(server.config.check(), Ok(()));
    }
}

#[test]
fn errors_in_our_directives_are_collected() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let text = "WsRoute ftp://x\n<Location />\nWsRouteResolver a file /x\nWsRouteKey nothing\n\
                WsRouteOwner \"x\n</Location>\n<VirtualHost *>\nWsRouteThreads 2\n</VirtualHost>";
    std::fs::write(&file, text).unwrap();
    let config = Config::read(&Options { file: Some(file), ..Options::default() }).unwrap();
    let found: Vec<_> = config.problems.iter().map(|p| (p.place.line, p.text.as_str())).collect();
    let expected = [
        (1, "unknown scheme"),
        (3, "does not belong into <Location />"),
        (4, "unknown source"),
        (5, "has no end"),
        (8, "belongs into the main server"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((line, text), (at, part)) in found.iter().zip(expected) {
        assert!(*line == at && text.contains(part), "{line}: {text}");
    }
}
