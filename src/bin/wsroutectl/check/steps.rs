//! One step after the other: http, upgrade, subprotocol, session, h2.

use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use super::certificate::Facts;
use super::door::{Door, Way};
use super::handshake::{Page, flaw};
use super::http::Answer;
use super::log::Logs;
use super::network;
use super::probes::with;
use super::refusal::Refused;
use super::report::{Mark, Report, Verdict};
use super::session::Session;
use super::target::{Target, without_query};
use super::tls::Trust;
use super::{Args, h2, options, silence};
use crate::headers::{Headers, value};

/// Seconds of `--idle`: longer than the 60 s after which httpd's Timeout and most proxies cut.
const IDLE: u64 = 66;
/// A session that was cut later than this is not tried again with pings.
const TRY_AGAIN: Duration = Duration::from_secs(20);

/// One check under way.
pub struct Check<'a> {
    args: &'a Args,
    target: Target,
    health: Option<String>,
    page: Page,
    trust: Trust,
    report: Report,
}

impl Check<'_> {
    /// Prepares.
    ///
    /// # Errors
    /// A mistake on the command line, as one line.
    pub fn new(args: &Args) -> Result<Check<'_>, String> {
        let (target, health) = Target::parse(&args.words)?;
        let health = args.health.clone().or(health);
        if health
            .as_ref()
            .is_some_and(|path| !path.starts_with('/') || path.contains([' ', '\r', '\n']))
        {
            return Err("--health takes a path that begins with /, use / or /health".to_owned());
        }
        let subprotocol = args.subprotocol.clone().unwrap_or_else(|| "binary".to_owned());
        let page =
            Page { origin: args.origin.clone(), subprotocol, headers: options::headers(args)? };
        let trust = Trust::new(args.ca.as_deref())?;
        // A file that cannot be read is a mistake; say so before anything is asked.
        Logs::new(&args.log, false)?;
        let report = Report::new(target.shown(), args.json);
        Ok(Check { args, target, health, page, trust, report })
    }

    /// Goes through all steps as far as they lead, and tells each.
    pub async fn steps(&mut self) {
        let way = Way {
            connect: self.args.connect,
            trust: self.trust.clone(),
            insecure: self.args.insecure,
            limit: Duration::from_secs(self.args.timeout),
        };
        let Some((door, facts)) = Door::find(self.target.clone(), way, &mut self.report).await
        else {
            return;
        };
        let local = is_local(door.address.ip());
        let mut logs = Logs::new(&self.args.log, local).unwrap_or_else(|_| Logs::none());
        self.http(&door).await;
        logs.mark();
        let sent = self.page.upgrade(&self.target);
        let Some((answer, session)) = self.upgrade(&door, &facts, &sent, &logs).await else {
            return;
        };
        self.subprotocol(&sent, &answer);
        self.session(&door, session).await;
        if self.report.works() {
            self.other_addresses(&door, &sent).await;
        }
        if self.target.tls && self.report.works() {
            h2::step(&door, &self.page, &mut self.report).await;
        }
    }

    /// Tells the verdict; whether the WebSocket works.
    pub fn end(&self) -> bool {
        self.report.end();
        self.report.works()
    }

    /// The step "http".
    async fn http(&mut self, door: &Door) {
        self.report.waiting("GET");
        let path = self.health.clone().unwrap_or_else(|| self.target.path.clone());
        let target = Target { path, ..self.target.clone() };
        let shown = without_query(&target.path);
        // A WebSocket's own path need not answer a plain GET.
        let bad = if target.path == self.target.path { Mark::Note } else { Mark::Warn };
        let (mark, said) = match door.ask(&target, &self.page.plain(&target)).await {
            Ok(answer) if answer.status() < 400 => (Mark::Ok, answer.shown()),
            Ok(answer) => (bad, answer.shown()),
            Err(none) => (bad, format!("no answer ({})", none.shown())),
        };
        self.report.step("http", mark, format!("GET {shown}: {said}"));
    }

    /// The step "upgrade".
    async fn upgrade(
        &mut self,
        door: &Door,
        facts: &Facts,
        sent: &Headers,
        logs: &Logs,
    ) -> Option<(Answer, Session)> {
        self.report.waiting("upgrade");
        let (answer, io) = match door.upgrade(sent).await {
            Ok(answered) => answered,
            Err(none) => {
                let verdict = match logs.verdict() {
                    Some(verdict) => verdict,
                    None => silence::verdict(door, sent, &none).await,
                };
                self.report.fail("upgrade", format!("no answer ({})", none.shown()), verdict);
                return None;
            }
        };
        let Some(io) = io else {
            let text = answer.shown();
            self.report.waiting(&format!("{text}: asking why"));
            let verdict = self.refused(door, facts, sent, answer, logs).await;
            if verdict.cause == "wrong-vhost" {
                self.report.withdraw("certificate-name");
            }
            self.report.fail("upgrade", text, verdict);
            return None;
        };
        if let Some(verdict) = flaw(sent, &answer) {
            self.report.fail("upgrade", "101, and browsers refuse it", verdict);
            return None;
        }
        self.report.step("upgrade", Mark::Ok, "101, Sec-WebSocket-Accept is right");
        let session = Session::behind(io, &answer);
        Some((answer, session))
    }

    /// Why it was refused.
    async fn refused(
        &self,
        door: &Door,
        facts: &Facts,
        sent: &Headers,
        answer: Answer,
        logs: &Logs,
    ) -> Verdict {
        let sent = &with(sent, "Accept-Encoding", "");
        let answer = match answer.has("Content-Encoding") {
            true => match door.ask(&self.target, sent).await {
                Ok(readable) if readable.status() == answer.status() => readable,
                _ => answer,
            },
            false => answer,
        };
        Refused { door, sent, page: &self.page, facts }.verdict(answer, logs).await
    }

    /// The step "subprotocol". That of the default is no demand.
    fn subprotocol(&mut self, sent: &Headers, answer: &Answer) {
        let offered = value(sent, "Sec-WebSocket-Protocol");
        let chosen = answer.header("Sec-WebSocket-Protocol");
        match (offered, chosen) {
            ("", _) => self.report.step("subprotocol", Mark::Ok, "none offered, none chosen"),
            (offered, "") if self.args.subprotocol.is_some() => {
                let verdict = Verdict::new(
                    "no-subprotocol",
                    "the container, or a proxy that drops Sec-WebSocket-Protocol",
                    format!(
                        "the server chose none of the offered subprotocols ({offered}): browsers close with 1006"
                    ),
                    "mend the server, or let the page offer none: --subprotocol \"\"; if the server knows it, a server between loses the header",
                );
                self.report.fail("subprotocol", "none chosen", verdict);
            }
            (offered, "") => {
                let text = format!(
                    "{offered} offered, none chosen: browsers close then; fine if the page offers none"
                );
                self.report.step("subprotocol", Mark::Note, text);
            }
            (_, chosen) => self.report.step("subprotocol", Mark::Ok, chosen),
        }
    }

    /// The steps behind the 101.
    async fn session(&mut self, door: &Door, mut session: Session) {
        let hold = if self.args.idle { IDLE } else { self.args.hold };
        let hold = Duration::from_secs(hold);
        let Some(ended) = session.steps(hold, door.limit, &mut self.report).await else { return };
        let with_pings = match ended.is_timed() && ended.silent < TRY_AGAIN {
            true => self.lives_with_pings(door, ended.after, ended.silent).await,
            false => None,
        };
        self.report.fail("open", ended.shown(), ended.verdict(with_pings));
    }

    /// The name's other addresses: a browser may take any of them.
    async fn other_addresses(&mut self, door: &Door, sent: &Headers) {
        for address in &door.others {
            self.report.waiting(&format!("the same at {address}"));
            let other = door.at(*address);
            let text = match other.upgrade(sent).await {
                Ok((answer, _)) if answer.status() == 101 => continue,
                Ok((answer, _)) => answer.shown(),
                Err(none) => format!("no answer ({})", none.shown()),
            };
            let verdict = network::differs(&self.target, door.address, *address, &text);
            self.report.fail("address", format!("{address}: {text}"), verdict);
        }
    }

    /// Another session, which pings before the time is over: whether it outlives the first.
    async fn lives_with_pings(
        &self,
        door: &Door,
        after: Duration,
        silent: Duration,
    ) -> Option<bool> {
        self.report.waiting("trying again with pings");
        let (answer, io) = door.upgrade(&self.page.upgrade(&self.target)).await.ok()?;
        let mut session = Session::behind(io?, &answer);
        let longer = after + silent / 2 + Duration::from_millis(500);
        Some(session.lives_with_pings(longer, silent / 4).await.is_ok())
    }
}

/// The address is one of this machine: one can listen on it.
fn is_local(address: IpAddr) -> bool {
    TcpListener::bind((address, 0)).is_ok()
}
