//! What was found out, for people and for programs: the same facts in both.

use std::fmt::Write;

use mod_wsroute::apache::Place;
use serde_json::{Value, json};

/// Something of the configuration, and where it stands.
pub struct Found {
    /// As it was written.
    pub text: String,
    /// Where.
    pub place: Place,
}

/// A `WsRouteKey`, or `WsRouteOwner`, with the value it has for this request.
pub struct Valued {
    /// The arguments of the directive.
    pub rule: Found,
    /// The value as it may be shown; `None`: no match.
    pub value: Option<String>,
}

/// An address of the target.
pub struct Reached {
    /// `10.0.0.5:6901`, or a socket's path.
    pub address: String,
    /// `WsRouteAllow` covers it.
    pub allowed: bool,
}

/// The request has a target.
pub struct Decided {
    /// The whole URL upstream, without query.
    pub target: String,
    /// The key as it may be shown.
    pub key: Option<String>,
    /// The rule that gave it.
    pub rule: Option<String>,
    /// The resolver that knew it.
    pub resolver: Option<String>,
    /// The configuration names the target itself: WsRouteAllow is not asked.
    pub literal: bool,
    /// Seconds until the answer's end, if it has one.
    pub expires: Option<u64>,
}

/// The request has none.
pub struct Refused {
    /// What the client gets; `None`: the module leaves the request to other handlers.
    pub status: Option<u16>,
    /// As the log would say it.
    pub reason: String,
    /// What to do about it.
    pub mend: &'static str,
}

/// Everything about one request. Holds no secrets.
pub struct Report {
    /// The URL that was asked for.
    pub url: String,
    /// The user.
    pub user: Option<String>,
    /// The client's address.
    pub client: String,
    /// The virtual host, or the main server.
    pub server: Found,
    /// The section whose `WsRoute` counts.
    pub section: Option<Found>,
    /// The `WsRoute`.
    pub route: Option<Found>,
    /// Every rule, in order.
    pub keys: Vec<Valued>,
    /// `WsRouteOwner`
    pub owner: Option<Valued>,
    /// The module's own trace.
    pub steps: Vec<String>,
    /// The target's addresses.
    pub addresses: Vec<Reached>,
    /// What was assumed, and what else is worth knowing.
    pub notes: Vec<String>,
    /// How it ends.
    pub outcome: Result<Decided, Refused>,
}

impl Report {
    /// Aligned lines.
    pub fn text(&self) -> String {
        let mut lines = Lines::default();
        let user = self.user.as_ref().map_or_else(|| "nobody".to_owned(), |u| format!("user {u}"));
        lines.add("request", format!("{}, {user}, from {}", self.url, self.client), None);
        lines.found("server", Some(&self.server));
        lines.found("section", self.section.as_ref());
        lines.found("route", self.route.as_ref());
        for key in &self.keys {
            lines.valued("key", key);
        }
        if let Some(owner) = &self.owner {
            lines.valued("owner", owner);
        }
        for step in &self.steps {
            lines.add("step", step.clone(), None);
        }
        for Reached { address, allowed } in &self.addresses {
            let says = if *allowed { "allowed" } else { "not covered by WsRouteAllow" };
            lines.add("address", format!("{address}: {says}"), None);
        }
        for note in &self.notes {
            lines.add("note", note.clone(), None);
        }
        match &self.outcome {
            Ok(decided) => lines.add("target", decided.target.clone(), None),
            Err(Refused { status, reason, mend }) => {
                let status = status.map_or_else(|| "not routed".to_owned(), |s| s.to_string());
                lines.add("refused", format!("{status}, {reason}"), None);
                lines.add("mend", (*mend).to_owned(), None);
            }
        }
        lines.print()
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let found = |f: &Found| json!({"text": f.text, "place": f.place.to_string()});
        let valued = |v: &Valued| json!({"rule": v.rule.text, "place": v.rule.place.to_string(), "value": v.value});
        let (decision, refusal) = match &self.outcome {
            Ok(d) => (
                json!({
                    "target": d.target, "key": d.key, "rule": d.rule, "resolver": d.resolver,
                    "literal": d.literal, "expires": d.expires,
                }),
                Value::Null,
            ),
            Err(r) => {
                (Value::Null, json!({"status": r.status, "reason": r.reason, "mend": r.mend}))
            }
        };
        let addresses = self.addresses.iter();
        let addresses = addresses.map(|a| json!({"address": a.address, "allowed": a.allowed}));
        let object = json!({
            "request": {"url": self.url, "user": self.user, "client": self.client},
            "server": found(&self.server),
            "section": self.section.as_ref().map(found),
            "route": self.route.as_ref().map(found),
            "keys": self.keys.iter().map(valued).collect::<Vec<_>>(),
            "owner": self.owner.as_ref().map(valued),
            "steps": self.steps,
            "addresses": addresses.collect::<Vec<_>>(),
            "notes": self.notes,
            "decision": decision,
            "refusal": refusal,
        });
        format!("{object:#}\n")
    }
}

/// Rows of label, text and place.
#[derive(Default)]
struct Lines(Vec<(&'static str, String, Option<String>)>);

/// Longer texts push their place to the right.
const WIDTH_MAX: usize = 64;

impl Lines {
    fn add(&mut self, label: &'static str, text: String, place: Option<&Place>) {
        self.0.push((label, text, place.map(Place::to_string)));
    }

    fn found(&mut self, label: &'static str, found: Option<&Found>) {
        if let Some(Found { text, place }) = found {
            self.add(label, text.clone(), Some(place));
        }
    }

    fn valued(&mut self, label: &'static str, valued: &Valued) {
        let value = match &valued.value {
            Some(value) => format!("{value:?}"),
            None => "no match".to_owned(),
        };
        self.add(label, format!("{} -> {value}", valued.rule.text), Some(&valued.rule.place));
    }

    fn print(&self) -> String {
        let placed = self.0.iter().filter(|(_, _, place)| place.is_some());
        let widths = placed.map(|(_, text, _)| text.chars().count());
        let width = widths.filter(|width| *width <= WIDTH_MAX).max().unwrap_or(0);
        let mut printed = String::new();
        for (label, text, place) in &self.0 {
            // Writing to a String cannot fail.
            let _ = match place {
                Some(place) => writeln!(printed, "{label:8} {text:width$}  {place}"),
                None => writeln!(printed, "{label:8} {text}"),
            };
        }
        printed
    }
}
