//! What this repository tells people to write, and what distributions ship, gives no warning.

use crate::run::{Folder, repository};

/// A login, in place of the comments that stand for one.
const LOGIN: &str = "AuthType Basic\nAuthName x\nAuthUserFile ROOT/users\nRequire valid-user";

/// What the configurations name, or the like of it; and who may read it.
const FILES: &[(&str, u32, &str)] = &[
    ("desktops.db", 0o644, ""),
    ("tokens", 0o644, "a 10.0.0.5:1\n"),
    ("wsroute/desktops.txt", 0o644, "a 127.0.0.1:6080 owner=alice\n"),
    ("wsroute/desktops.d/class", 0o644, "b 127.0.0.1:6081 owner=bob\n"),
    ("wsroute/code.txt", 0o644, "alice 127.0.0.1:8901 owner=alice\n"),
    ("wsroute/labs.txt", 0o640, "alice 127.0.0.1:8801 owner=alice password=s3cret\n"),
    ("wsroute/api.key", 0o600, "s3cret\n"),
    ("wsroute/db.pw", 0o600, "s3cret\n"),
    ("wsroute/flask.secret", 0o600, "s3cret\n"),
];

/// Nothing above a note; notes only where `notes` says so.
fn is_silent(what: &str, text: &str, notes: &[&str]) {
    for folder in [Folder::with(text), Folder::whole(text)] {
        let folder = FILES
            .iter()
            .fold(folder, |folder, (name, mode, text)| folder.file(name, text).mode(name, *mode));
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
        .replace("/etc/apache2/wsroute/desktops.txt", "ROOT/tokens")
        .replace("/etc/apache2/wsroute/users", "ROOT/users")
        .replace("# your authentication: any mod_auth_* and Require", LOGIN)
        .replace("# certificates and authentication", LOGIN)
}

#[test]
fn the_examples() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("conf/examples") {
        let name = entry.expect("a file").file_name().into_string().expect("UTF-8");
        let text = repository(&format!("conf/examples/{name}"));
        // Where KasmVNC's own certificate is taken as it is, the note says what that means.
        let notes: &[&str] = if text.contains("verify=off") { &["verify-off"] } else { &[] };
        let text = text.replace("/etc/apache2/wsroute/", "ROOT/wsroute/");
        is_silent(&name, &text.replace("/etc/apache2/tls/", "ROOT/tls/"), notes);
        seen += 1;
    }
    assert!(seen >= 10, "{seen} examples");
    is_silent("conf/wsroute.conf", &repository("conf/wsroute.conf"), &[]);
}

#[test]
fn the_readme() {
    let blocks = blocks("README.md");
    assert_eq!(blocks.len(), 2, "one container; a container for each user");
    for block in blocks {
        is_silent("README.md", &filled(&block), &[]);
    }
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
