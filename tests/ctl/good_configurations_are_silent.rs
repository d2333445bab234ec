//! What this repository tells people to write, and what distributions ship, gives no warning.

use crate::run::{Folder, repository};

/// A login, in place of the comments that stand for one.
const LOGIN: &str = "AuthType Basic\nAuthName x\nAuthUserFile ROOT/users\nRequire valid-user";

/// Nothing above a note; notes only where `notes` says so.
fn is_silent(what: &str, text: &str, notes: &[&str]) {
    for folder in [Folder::with(text), Folder::whole(text)] {
        let folder = folder.file("desktops.db", "").file("tokens", "a 10.0.0.5:1\n");
        let said = folder.lint(&[]);
        let unexpected = |line: &&str| {
            line.contains("warning: ") || line.contains("error: ") || {
                line.contains("note: ") && !notes.iter().any(|name| line.contains(name))
            }
        };
        let found: Vec<&str> = said.out.lines().filter(unexpected).collect();
        assert!(found.is_empty() && said.code == 0, "{what}: {}{}\n{text}", said.out, said.err);
        if notes.is_empty() {
            assert_eq!(said.out, "", "{what}");
        }
    }
}

/// The blocks of a document, without their fences.
fn blocks(document: &str) -> Vec<String> {
    let text = repository(document);
    let blocks = text.split("```apache\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// With files that are there, and a login where a comment asks for one.
fn filled(text: &str) -> String {
    text.replace("/var/lib/wsroute/desktops.db", "ROOT/desktops.db")
        .replace("/etc/websockify/tokens", "ROOT/tokens")
        .replace("# your authentication: any mod_auth_* and Require", LOGIN)
        .replace("# certificates and authentication", LOGIN)
}

#[test]
fn the_examples() {
    for example in ["first-user-rewrite", "first-user-setenvif"] {
        is_silent(example, &repository(&format!("conf/examples/{example}.conf")), &[]);
    }
    is_silent("conf/wsroute.conf", &repository("conf/wsroute.conf"), &[]);
}

#[test]
fn the_readme() {
    let [block] = &blocks("README.md")[..] else { panic!("one block of Apache configuration") };
    is_silent("README.md", &filled(block), &["verify-off"]);
}

#[test]
fn moving_from_mod_proxy() {
    for block in blocks("docs/moving-from-mod_proxy.md") {
        let block = match block.contains("WsRouteOwner") {
            true => filled(&block)
                .replace("<Location \"/desktop/\">", &format!("<Location \"/desktop/\">\n{LOGIN}")),
            false => block,
        };
        is_silent("moving-from-mod_proxy.md", &block, &[]);
    }
}

#[test]
fn the_demo() {
    let text = repository("demo/run");
    let site = text.split("# ----- from here on").nth(1).expect("the demo's site");
    let site = site.split_once('\n').and_then(|(_, rest)| rest.split("\nCONF\n").next());
    let site = site.expect("its end").replace("\\\\\n", "\\\n").replace("\\$", "$");
    let site =
        site.replace("$run", "ROOT").replace("$port", "8443").replace("$novnc", "/usr/share/novnc");
    is_silent("demo/run", &site, &["verify-off"]);
}

#[test]
fn other_good_ones() {
    let table = [
        (
            "no WebSocket at all",
            "<VirtualHost *:80>\nDocumentRoot /var/www\nProxyPass /app http://127.0.0.1:8080/\n</VirtualHost>",
        ),
        (
            "one container",
            "<Location \"/websockify\">\nWsRoute \"ws://127.0.0.1:6080/websockify\"\n</Location>",
        ),
        (
            "a redirect to https",
            "<VirtualHost *:80>\nServerName d.example\nRewriteEngine On\nRewriteRule ^ https://d.example%{REQUEST_URI} [R]\n</VirtualHost>\n\
             <VirtualHost *:443>\nServerName d.example\nSSLEngine on\nWsRoute ws://127.0.0.1:1\n</VirtualHost>",
        ),
        (
            "the user's own",
            &format!(
                "WsRouteResolver d sql \"sqlite:ROOT/desktops.db\" query=\"SELECT target, owner FROM d WHERE n = :key\"\n<Location /ws>\n{LOGIN}\nWsRoute d\nWsRouteKey user\nWsRouteOwner \"%{{REMOTE_USER}}\"\n</Location>"
            ),
        ),
        (
            "general first",
            "<Location />\nWsRoute ws://127.0.0.1:1\n</Location>\n<Location /x>\nWsRoute ws://127.0.0.1:2\n</Location>",
        ),
        (
            "h2 without H2WebSockets",
            "Protocols h2 http/1.1\n<Location /ws>\nWsRoute ws://127.0.0.1:1\n</Location>",
        ),
        (
            "reqtimeout",
            "RequestReadTimeout header=20-40\nTimeout 30\n<Location /ws>\nWsRoute ws://127.0.0.1:1\n</Location>",
        ),
        (
            "a macro",
            "<Macro D $n $p>\n<Location /$n>\nWsRoute ws://127.0.0.1:$p\n</Location>\n</Macro>\nUse D a 6080\nUse D b 6081",
        ),
    ];
    for (what, text) in table {
        is_silent(what, text, &[]);
    }
}
