//! Why the upgrade got another answer than 101: one file for each kind of cause.

mod access;
mod comparison;
mod lost;
mod not_switched;
mod redirect;
mod server_error;

use super::certificate::Facts;
use super::door::Door;
use super::handshake::Page;
use super::http::Answer;
use super::log::Logs;
use super::network;
use super::probes::{Evidence, switches};
use super::report::Verdict;
use super::silence;
use super::target::without_query;
use crate::headers::Headers;

/// Everything that is known about a refused upgrade.
pub struct Refused<'a> {
    /// How to ask again.
    pub door: &'a Door,
    /// What was asked, without Accept-Encoding: pages are to be read.
    pub sent: &'a Headers,
    /// What the page is like.
    pub page: &'a Page,
    /// What the certificate says.
    pub facts: &'a Facts,
}

impl Refused<'_> {
    /// The verdict. Asks further questions, one at a time.
    pub async fn verdict(&self, answer: Answer, logs: &Logs) -> Verdict {
        let logged = logs.verdict().filter(|v| v.cause != "upstream-declined");
        if let Some(verdict) = logged {
            return verdict;
        }
        if !self.door.target.tls && answer.status() == 400 && self.door.speaks_tls().await {
            return silence::tls_port(self.door);
        }
        if let Some(verdict) = redirect::verdict(&self.door.target, &answer) {
            return self.with_cookies(verdict, &answer).await;
        }
        if answer.status() != 401 {
            for address in &self.door.others {
                if switches(&self.door.at(*address), self.sent).await {
                    let Door { target, address: here, .. } = self.door;
                    return network::differs(target, *address, *here, &answer.shown());
                }
            }
            if self.works_now().await {
                return works_at_times(&answer);
            }
        }
        let evidence = Evidence::gather(self.door, self.page, self.sent, answer).await;
        if let Some(verdict) = lost::malformed(&evidence) {
            return verdict;
        }
        if evidence.answer.status() != 401 {
            if let Some(verdict) = self.handshake_lost(&evidence).await {
                return verdict;
            }
            if let Some(verdict) = self.other_name().await {
                return verdict;
            }
            if let Some(verdict) = self.other_headers(&evidence).await {
                return verdict;
            }
        }
        match evidence.answer.status() {
            401 | 407 => self.with_cookies(self.login(&evidence), &evidence.answer).await,
            403 => self.with_cookies(self.forbidden(&evidence), &evidence.answer).await,
            500.. => server_error::verdict(&evidence),
            _ => self.not_switched(&evidence).await,
        }
    }

    /// The very same upgrade, asked again: of two servers behind a balancer one may be broken.
    async fn works_now(&self) -> bool {
        for _ in 0..2 {
            if switches(self.door, self.sent).await {
                return true;
            }
        }
        false
    }

    fn path(&self) -> &str {
        without_query(&self.door.target.path)
    }
}

fn works_at_times(answer: &Answer) -> Verdict {
    Verdict::new(
        "works-at-times",
        "one of several servers behind httpd or a balancer, or one that was starting",
        format!("the first answer was {}; asked again, the upgrade works", answer.shown()),
        "ask each server behind the balancer directly (--connect ADDR:PORT): one of them is broken, or the WebSocket must go to the server that has the session (sticky)",
    )
}
