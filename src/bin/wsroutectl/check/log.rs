//! httpd's error log, if it can be read here: its line for our request names the cause.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::report::Verdict;

/// Where distributions have it.
const FOLDERS: &[&str] = &["/var/log/apache2", "/var/log/httpd"];
/// Of a log no more than this is read.
const READ_MAX: u64 = 1 << 20;

/// Event word, cause, hop, mend.
type Event = (&'static str, &'static str, &'static str, &'static str);

/// The event words of mod_wsroute, and mod_proxy's numbers for the same.
const EVENTS: &[Event] = &[
    (
        "upstream-tls: ",
        "upstream-tls",
        "the container (its certificate)",
        "WsRouteUpstream: verify=off, ca=FILE or pin=, name= for another name, scheme=ws if it speaks no TLS",
    ),
    (
        "upstream-pin-mismatch: ",
        "upstream-tls",
        "the container (its certificate)",
        "if the container was renewed: the new fingerprint in pin=",
    ),
    ("upstream-refused: ", "upstream-down", "the container", "start it; is its port right?"),
    (
        "upstream-unreachable: ",
        "upstream-down",
        "the network behind httpd",
        "no route to the container: is it up, is its address right?",
    ),
    (
        "upstream-unresolved: ",
        "upstream-down",
        "DNS of the httpd host",
        "the target's name has no address there",
    ),
    (
        "upstream-closed: ",
        "upstream-closed",
        "the container",
        "scheme=wss if it wants TLS; a token, if it is a websockify that wants one; else its log",
    ),
    (
        "upstream-not-http: ",
        "upstream-closed",
        "the container",
        "as the log line says: scheme=wss, or websockify before a VNC port",
    ),
    (
        "upstream-bad-switch: ",
        "upstream-bad-switch",
        "the container",
        "its 101 breaks RFC 6455: mend the container",
    ),
    (
        "upstream-bad-request: ",
        "upstream-bad-request",
        "httpd (the resolver's answer)",
        "mend the table: its headers or path cannot be sent",
    ),
    (
        "upstream-connect-late: ",
        "upstream-late",
        "the network behind httpd",
        "a firewall drops packets, or the host is down",
    ),
    (
        "upstream-handshake-late: ",
        "upstream-late",
        "the container",
        "it accepts and says nothing: busy, or still starting? handshake=",
    ),
    (
        "upstream-not-allowed: ",
        "upstream-not-allowed",
        "httpd (WsRouteAllow)",
        "list the target's network in WsRouteAllow",
    ),
    (
        "upstream-declined: ",
        "upstream-declined",
        "the container",
        "the container got the upgrade and refused it: its log, path= of WsRouteUpstream, its password",
    ),
    (
        "resolver-failed: ",
        "resolver-failed",
        "httpd (the resolver)",
        "as the log line says; may httpd's User read the database?",
    ),
    (
        "resolver-late: ",
        "resolver-late",
        "httpd (the resolver)",
        "the database is locked or slow: timeout=, pool=, an index",
    ),
    (
        "starting: ",
        "starting",
        "the container",
        "wait and try again; WsRouteTimeout boot= lets httpd wait; if it stays so: the container's state in the resolver's table",
    ),
    (
        "not-yours: ",
        "not-yours",
        "httpd (WsRouteOwner)",
        "log in as the owner (--user); if no login is asked for, Require is missing for the path; or mend the table: the comparison is byte for byte",
    ),
    (
        "not-authorized: ",
        "not-yours",
        "httpd (the resolver)",
        "the resolver says no: log in (--user, --cookie)",
    ),
    (
        "origin-refused: ",
        "foreign-origin",
        "httpd (WsRouteOrigin)",
        "list the page's origin in WsRouteOrigin; or a proxy in front changes Host: proxy_set_header Host $http_host (nginx), ProxyPreserveHost on (httpd)",
    ),
    (
        "expired: ",
        "expired",
        "httpd (the resolver's answer)",
        "log in again; the answer's expires has passed",
    ),
    (
        "unknown-key: ",
        "unknown-key",
        "httpd (WsRouteKey, the resolver)",
        "wsroutectl resolve URL shows which key, and who was asked; a resolver-warning line names lines of its file that were passed over",
    ),
    ("bad-key: ", "unknown-key", "httpd (WsRouteKey)", "narrow the REGEX of WsRouteKey"),
    ("bad-configuration: ", "bad-configuration", "httpd", "mend the expression"),
    (
        "AH01084: ",
        "upstream-tls",
        "the container (its certificate), behind mod_proxy",
        "SSLProxyEngine on; SSLProxyCACertificateFile, or SSLProxyVerify none with SSLProxyCheckPeerName off",
    ),
    ("AH00961: ", "upstream-tls", "httpd (mod_proxy)", "SSLProxyEngine on in that <VirtualHost>"),
    (
        "AH02039: ",
        "upstream-tls",
        "the container (its certificate), behind mod_proxy",
        "SSLProxyCACertificateFile, or SSLProxyVerify none",
    ),
    (
        "AH01114: ",
        "upstream-down",
        "the container, behind mod_proxy",
        "start it; is its port right?",
    ),
    (
        "AH00957: ",
        "upstream-down",
        "the container, behind mod_proxy",
        "start it; is its port right?",
    ),
];

/// The logs, and how long they were.
pub struct Logs(Vec<(PathBuf, u64)>);

impl Logs {
    /// The given files, or (on the httpd's own machine) those where they usually are.
    ///
    /// # Errors
    /// A given file cannot be read.
    pub fn new(given: &[PathBuf], local: bool) -> Result<Logs, String> {
        let mut logs = Vec::new();
        for file in given {
            let length = length(file).map_err(|e| format!("--log {}: {e}", file.display()))?;
            logs.push((file.clone(), length));
        }
        if given.is_empty() && local {
            let entries = FOLDERS.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
            let files = entries.flatten().flatten().map(|entry| entry.path());
            let named = |file: &PathBuf| {
                let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                name.contains("error") && name.ends_with("log")
            };
            logs.extend(files.filter(named).filter_map(|f| length(&f).ok().map(|l| (f, l))));
        }
        Ok(Logs(logs))
    }

    /// No logs.
    pub fn none() -> Logs {
        Logs(Vec::new())
    }

    /// What stands in the log from here on is about what is asked next.
    pub fn mark(&mut self) {
        for (file, at) in &mut self.0 {
            *at = length(file).unwrap_or(*at);
        }
    }

    /// The cause that was written since then.
    pub fn verdict(&self) -> Option<Verdict> {
        let text: String = self.0.iter().filter_map(|(file, at)| since(file, *at)).collect();
        let found = EVENTS.iter().find_map(|event| {
            let own = |line: &&str| event.0.starts_with("AH") || line.contains("wsroute");
            let line = text.lines().rev().find(|line| line.contains(event.0) && own(line))?;
            Some((event, line))
        });
        let ((word, cause, hop, mend), line) = found?;
        let start = line.find(word).unwrap_or_default();
        let said: String = line[start..].chars().filter(|c| !c.is_control()).take(300).collect();
        Some(Verdict::new(cause, *hop, format!("httpd's error log says: {said}"), *mend))
    }
}

fn length(file: &Path) -> std::io::Result<u64> {
    Ok(File::open(file)?.metadata()?.len())
}

fn since(file: &Path, at: u64) -> Option<String> {
    let mut file = File::open(file).ok()?;
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = Vec::new();
    file.take(READ_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
