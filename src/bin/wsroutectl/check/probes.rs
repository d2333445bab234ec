//! Further questions that tell causes apart: the same request with one thing changed.

use std::sync::LazyLock;

use regex::Regex;

use super::door::Door;
use super::handshake::Page;
use super::http::{Answer, printable};
use crate::headers::{Headers, value};

/// The words with which mod_wsroute answers what meant to be an upgrade and is none.
const OURS: &str = "not a WebSocket upgrade: ";
/// How libraries say that they got no upgrade. Not how applications ask for a token or a login.
const ASKS_FOR_UPGRADE: &str = r#"(?xi)
    websocket\s((connection|upgrade|request|handshake)\s)?(is\s)?(required|expected|only)
    | expected\s(an?\s)?websocket | not\s(an?\s)?(valid\s)?websocket | not\susing\sthe\swebsocket
    | (missing|no|without|needs?|expected)\s((an?|the|websocket)\s)?["']?upgrade
    | ["']?upgrade["']?\s((is\s)?required|(is\s)?expected|(is\s)?missing|header|hdr|token|request|only)
    | must\sbe\s["']?upgrade | "upgrade"\sonly\sto | a\swebsocket\s(client|connection:)"#;
/// A name that no virtual host has.
const NOBODY: &str = "wsroutectl-asks-for-nobody.invalid";

/// How the server takes variants of a refused upgrade.
pub struct Evidence {
    /// The refusal itself.
    pub answer: Answer,
    /// To a plain GET.
    plain: Option<Answer>,
    /// To the upgrade without `Upgrade` and `Connection`.
    stripped: Option<Answer>,
    /// To a version of the protocol that does not exist.
    old_version: Option<Answer>,
    /// To a plain GET that no proxy may pass on.
    plain_no_forward: Option<Answer>,
    /// To the upgrade that no proxy may pass on.
    no_forward: Option<Answer>,
    /// To the upgrade for a name that nobody has.
    nobody: Option<Answer>,
}

impl Evidence {
    /// Asks. After a 401 as little as possible: KasmVNC bans an address after a few failures.
    pub async fn gather(door: &Door, page: &Page, sent: &Headers, answer: Answer) -> Evidence {
        let target = &door.target;
        let old = with(sent, "Sec-WebSocket-Version", "12");
        let old_version = door.ask(target, &old).await.ok();
        let mut evidence = Evidence {
            answer,
            plain: None,
            stripped: None,
            old_version,
            plain_no_forward: None,
            no_forward: None,
            nobody: None,
        };
        if evidence.answer.status() == 401 {
            return evidence;
        }
        let plain = page.plain(target);
        evidence.plain = door.ask(target, &plain).await.ok();
        let stripped = with(&with(sent, "Upgrade", ""), "Connection", "keep-alive");
        evidence.stripped = door.ask(target, &stripped).await.ok();
        let stopped = with(&plain, "Max-Forwards", "0");
        evidence.plain_no_forward = door.ask(target, &stopped).await.ok();
        let stopped = with(sent, "Max-Forwards", "0");
        evidence.no_forward = door.ask(target, &stopped).await.ok();
        let nobody = target.named(NOBODY);
        let asked = with(sent, "Host", &nobody.authority);
        let asked = match value(sent, "Origin") {
            "" => asked,
            _ => with(&asked, "Origin", &nobody.origin()),
        };
        evidence.nobody = door.ask(&nobody, &asked).await.ok();
        evidence
    }

    /// Why mod_wsroute takes the request for no upgrade, if it says so.
    pub fn malformed(&self) -> Option<String> {
        let text = self.answer.text();
        let said = text.split_once(OURS)?.1;
        Some(said.split(['<', '\n']).next().unwrap_or_default().trim().to_owned())
    }

    /// mod_wsroute has the request in its hands, `Upgrade` and all: it judges the version itself.
    pub fn is_ours(&self) -> bool {
        self.old_version.as_ref().is_some_and(is_ours)
    }

    /// With and without `Upgrade` the same answer: whoever decides does not see it. What mod_proxy
    /// gets only with `Upgrade` (a RewriteCond) may not see it, either.
    pub fn is_blind(&self) -> bool {
        let like = |other: &Option<Answer>| other.as_ref().is_some_and(|o| o.is_like(&self.answer));
        let only_upgrades =
            self.is_proxied() && !stops(self.plain.as_ref(), self.plain_no_forward.as_ref());
        like(&self.old_version) && (like(&self.stripped) || only_upgrades)
    }

    /// Whoever refuses has the upgrade: it answers otherwise if there is none.
    pub fn sees_upgrade(&self) -> bool {
        self.stripped.as_ref().is_some_and(|other| {
            other.status() != self.answer.status() || other.text() != self.answer.text()
        })
    }

    /// The answer itself shows that something stands before httpd.
    pub fn comes_by_proxy(&self) -> bool {
        let server = self.answer.header("Server");
        self.answer.has("Via") || !(server.is_empty() || server.starts_with("Apache"))
    }

    /// A plain GET gets the same.
    pub fn is_for_everybody(&self) -> bool {
        self.plain.as_ref().is_some_and(|plain| plain.is_like(&self.answer))
    }

    /// mod_proxy takes the upgrade at the first hop: of all servers it alone heeds `Max-Forwards`
    /// of a GET.
    pub fn is_proxied(&self) -> bool {
        stops(Some(&self.answer), self.no_forward.as_ref())
    }

    /// A name that nobody has gets the same answer: the default virtual host speaks.
    pub fn is_default_host(&self) -> bool {
        self.nobody.as_ref().is_some_and(|nobody| nobody.is_like(&self.answer))
    }

    /// A server with virtual hosts has the request: the name chooses who answers.
    pub fn has_virtual_hosts(&self) -> bool {
        let server = self.answer.header("Server");
        self.is_proxied() || ["Apache", "nginx", "Caddy"].iter().any(|s| server.starts_with(s))
    }

    /// httpd itself speaks, no application behind it.
    pub fn is_httpds_own(&self) -> bool {
        !self.is_proxied() && self.page_of() == Some("httpd")
    }

    /// Whose own error page this is: `httpd`, `nginx` or `haproxy`. `None`: an application's, or an
    /// `ErrorDocument`.
    pub fn page_of(&self) -> Option<&'static str> {
        let (page, status) = (self.answer.text(), self.answer.status());
        let titled = page.contains(&format!("<title>{status} "));
        let headed = page.trim_start().starts_with(&format!("<html><body><h1>{status} "));
        match () {
            () if titled && page.starts_with("<!DOCTYPE HTML PUBLIC \"-//") => Some("httpd"),
            () if titled && page.contains("<center>nginx") => Some("nginx"),
            () if headed && !self.answer.has("Server") => Some("haproxy"),
            () => None,
        }
    }

    /// nginx stands at the front, whoever has answered.
    pub fn is_nginx(&self) -> bool {
        self.answer.header("Server").starts_with("nginx")
    }

    /// The answer wants an upgrade, although one was sent: who wrote it has not seen it.
    pub fn asks_for_upgrade(&self) -> bool {
        static ASKS: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(ASKS_FOR_UPGRADE).expect("a constant"));
        let status = self.answer.status();
        status == 426 || (status == 400 && ASKS.is_match(&self.answer.text()))
    }

    /// The answer comes from httpd at the front: from a file, a page of its own, or a program in it.
    pub fn is_apache(&self) -> bool {
        !self.is_proxied() && self.answer.header("Server").starts_with("Apache")
    }

    /// The application says that it is about the page's origin.
    pub fn says_origin(&self) -> bool {
        self.page_of().is_none()
            && self.is_plain_text()
            && self.answer.text().to_ascii_lowercase().contains("origin")
    }

    /// The answer in a few words, with its own text if that is short and no page.
    pub fn said(&self) -> String {
        self.in_words(self.answer.shown())
    }

    /// The same of a server behind httpd, which replaces its name.
    pub fn said_behind(&self) -> String {
        self.in_words(self.answer.status().to_string())
    }

    fn in_words(&self, shown: String) -> String {
        match self.answer.text().lines().next().map(printable) {
            Some(line) if self.is_plain_text() && !line.is_empty() => format!("{shown}: {line:?}"),
            _ => shown,
        }
    }

    fn is_plain_text(&self) -> bool {
        let kind = self.answer.header("Content-Type");
        (kind.is_empty() || kind.starts_with("text/plain"))
            && !self.answer.text().trim_start().starts_with('<')
    }

    /// KasmVNC, or a websockify: the realm and the name that its server gives.
    pub fn is_kasm(&self) -> bool {
        let login = self.answer.header("WWW-Authenticate");
        let server = self.answer.header("Server");
        login.contains("\"Websockify\"")
            || ["KasmVNC", "WebSockify"].iter().any(|name| server.contains(name))
            || self.answer.text().contains("KasmVNC")
    }
}

/// mod_wsroute's answer to a version of the protocol that does not exist.
pub fn is_ours(old_version: &Answer) -> bool {
    old_version.status() == 426 && old_version.text().contains(OURS)
}

/// `Max-Forwards: 0` changes the answer into mod_proxy's own.
fn stops(answer: Option<&Answer>, stopped: Option<&Answer>) -> bool {
    let (Some(answer), Some(stopped)) = (answer, stopped) else { return false };
    let differs = !stopped.is_like(answer) || stopped.text().contains("Max-Forwards");
    differs && stopped.status() >= 400
}

/// The headers with one of them set anew where it stood; an empty value takes it away.
pub fn with(headers: &Headers, name: &str, new: &str) -> Headers {
    let is = |n: &str| n.eq_ignore_ascii_case(name);
    let mut changed: Headers = headers.clone();
    match changed.iter_mut().find(|(n, _)| is(n)) {
        Some((_, value)) => new.clone_into(value),
        None => changed.push((name.to_owned(), new.to_owned())),
    }
    changed.retain(|(n, value)| !is(n) || !value.is_empty());
    changed
}

/// A variant of the upgrade is taken.
pub async fn switches(door: &Door, headers: &Headers) -> bool {
    door.ask(&door.target, headers).await.is_ok_and(|answer| answer.status() == 101)
}
