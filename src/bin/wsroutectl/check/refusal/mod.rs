//! Why the upgrade got another answer than 101: one file for each kind of cause.

mod access;
mod comparison;
mod not_switched;
mod redirect;
mod server_error;
mod stripped;

use super::certificate::Facts;
use super::door::Door;
use super::handshake::Page;
use super::http::Answer;
use super::log::Logs;
use super::probes::Evidence;
use super::report::Verdict;
use super::silence;
use super::target::without_query;
use crate::headers::Headers;

/// Everything that is known about a refused upgrade.
pub struct Refused<'a> {
    /// How to ask again.
    pub door: &'a Door,
    /// What was asked.
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
        if !self.door.target.tls && answer.status == 400 && self.door.speaks_tls().await {
            return silence::tls_port(self.door);
        }
        if let Some(verdict) = redirect::verdict(&self.door.target, &answer) {
            return verdict;
        }
        let evidence = Evidence::gather(self.door, self.page, self.sent, answer).await;
        if let Some(verdict) = stripped::malformed(&evidence) {
            return verdict;
        }
        if evidence.answer.status != 401 {
            if let Some(verdict) = self.other_name().await {
                return verdict;
            }
            if let Some(verdict) = self.other_headers(&evidence).await {
                return verdict;
            }
        }
        match evidence.answer.status {
            401 | 407 => self.login(&evidence),
            403 => self.forbidden(&evidence),
            500.. => server_error::verdict(&evidence),
            _ => self.not_switched(&evidence),
        }
    }

    fn path(&self) -> &str {
        without_query(&self.door.target.path)
    }
}
