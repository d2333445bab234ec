//! Tests of `decide.rs`.

use super::*;
use crate::route::CachedResolver;
use crate::route::resolver::config::Times;
use crate::route::resolver::{Resolution, ResolveError, Resolver};
use crate::upgrade::Request;
use std::sync::Arc;

/// Answers that are made from fields, by key.
struct Table(&'static [(&'static str, Reply)]);

#[derive(Clone, Copy)]
enum Reply {
    Fields(&'static [(&'static str, &'static str)]),
    Fail,
    Hang,
    Forbid,
}

use Reply::{Fail, Fields, Forbid, Hang};

impl Resolver for Table {
    fn resolve(&self, query: Query) -> Resolution {
        let reply = self.0.iter().find(|(key, _)| *key == query.key).map(|(_, r)| *r);
        Box::pin(async move {
            match reply {
                None => Ok(None),
                Some(Fields(fields)) => Answer::from_fields(fields.iter().copied(), false),
                Some(Fail) => Err(ResolveError::Failed("down".into())),
                Some(Forbid) => Err(ResolveError::Unauthorized(403)),
                Some(Hang) => std::future::pending().await,
            }
        })
    }
}

fn resolvers() -> Resolvers {
    let one = Table(&[
        (
            "alice",
            Fields(&[("target", "10.0.0.5:6901"), ("owner", "alice"), ("password", "s3cret")]),
        ),
        ("tls", Fields(&[("target", "wss://10.0.0.6:1/own"), ("owner", "alice")])),
        ("bob", Fields(&[("target", "10.0.0.7:1"), ("owner", "bob")])),
        ("nobody", Fields(&[("target", "10.0.0.8:1")])),
        ("old", Fields(&[("target", "10.0.0.8:1"), ("expires", "1000"), ("owner", "alice")])),
        ("later", Fields(&[("target", "10.0.0.8:1"), ("expires", "4102444800")])),
        ("new", Fields(&[("state", "creating"), ("owner", "alice")])),
        ("fail", Fail),
        ("hang", Hang),
        ("forbid", Forbid),
    ]);
    let two = Table(&[
        ("fail", Fields(&[("target", "10.6.6.6:1")])),
        ("second", Fields(&[("target", "10.0.1.1:1")])),
        ("alice", Fields(&[("target", "10.6.6.6:1")])),
    ]);
    let cached =
        |name, table| Arc::new(CachedResolver::new(name, Arc::new(table), Times::default()));
    [cached("one", one), cached("two", two)].into_iter().collect()
}

fn candidates(keys: &[&str]) -> Vec<Candidate> {
    let one = |key: &&str| Candidate {
        key: (*key).into(),
        rule: "path ^/d/([^/]+)".into(),
        shown: (*key).into(),
        tail: Some("/ws".into()),
        hint: false,
    };
    keys.iter().map(one).collect()
}

struct Case {
    route: &'static [&'static str],
    owner: Option<&'static str>,
    tls: bool,
    path: Option<&'static str>,
}

const PLAIN: Case = Case { route: &["one", "two"], owner: None, tls: false, path: None };

async fn run(case: &Case, keys: &[&str], trace: &mut Vec<String>) -> Result<Decision, Refusal> {
    let request = Request {
        path: "/d/x/ws".into(),
        raw_path: "/d/x/ws".into(),
        scope: Some("/d".into()),
        ..Request::default()
    };
    let path = case.path.map(|p| PathTemplate::parse(p).unwrap());
    let ask = Ask {
        route: &Route::parse(case.route).unwrap(),
        candidates: &candidates(keys),
        resolvers: &resolvers(),
        owner: case.owner,
        facts: &Facts::of(&request),
        default_tls: case.tls,
        path: path.as_ref(),
    };
    decide(ask, trace).await.map_err(|refused| refused.refusal)
}

#[tokio::test(start_paused = true)]
async fn targets() {
    let alice = Some("alice");
    let table: &[(Case, &[&str], &str)] = &[
        (PLAIN, &["alice"], "ws://10.0.0.5:6901"),
        (Case { tls: true, ..PLAIN }, &["alice"], "wss://10.0.0.5:6901"),
        (Case { owner: alice, ..PLAIN }, &["alice"], "ws://10.0.0.5:6901"),
        (PLAIN, &["tls"], "wss://10.0.0.6:1/own"),
        (Case { path: Some("/vnc/{tail}"), ..PLAIN }, &["alice"], "ws://10.0.0.5:6901/vnc/ws"),
        (
            Case { path: Some("/{key}{path}"), ..PLAIN },
            &["alice"],
            "ws://10.0.0.5:6901/alice/d/x/ws",
        ),
        (Case { path: Some("/vnc"), ..PLAIN }, &["tls"], "wss://10.0.0.6:1/own"),
        (PLAIN, &["unknown", "alice"], "ws://10.0.0.5:6901"),
        (PLAIN, &["second", "alice"], "ws://10.0.1.1:1"),
        (PLAIN, &["later"], "ws://10.0.0.8:1"),
        (Case { route: &["ws://{key}.lan:1/{tail}"], ..PLAIN }, &["a", "b"], "ws://a.lan:1/ws"),
        (Case { route: &["ws://h:1/v{tail}"], ..PLAIN }, &[], "ws://h:1/v/x/ws"),
        (Case { route: &["ws://h:1/v{tail}"], ..PLAIN }, &["a"], "ws://h:1/v/ws"),
        (Case { route: &["ws://h:1/v{path}"], ..PLAIN }, &[], "ws://h:1/v/d/x/ws"),
    ];
    for (case, keys, target) in table {
        let decision = run(case, keys, &mut Vec::new()).await.unwrap();
        assert_eq!(decision.target.to_string(), *target, "{:?} {keys:?}", case.route);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals() {
    let alice = Case { owner: Some("alice"), ..PLAIN };
    let nobody = Case { owner: Some(""), ..PLAIN };
    let template = Case { route: &["ws://{key}:1"], ..PLAIN };
    let owned = Case { owner: Some("alice"), ..template };
    let missing = Case { route: &["three"], ..PLAIN };
    let off = Case { route: &["off"], ..PLAIN };
    let table: &[(&Case, &[&str], u16, &str)] = &[
        (&PLAIN, &[], 404, "unknown-key: no WsRouteKey rule"),
        (&PLAIN, &["x", "y"], 404, "unknown-key: no resolver knows \"x\", \"y\""),
        // A resolver that fails is never passed over for one that knows another container.
        (&PLAIN, &["fail"], 502, "resolver-failed: one: down"),
        (&PLAIN, &["fail", "alice"], 502, "resolver-failed"),
        (&PLAIN, &["hang"], 504, "resolver-late: one"),
        (&PLAIN, &["forbid"], 403, "not-authorized"),
        (&PLAIN, &["new"], 503, "starting: \"new\" is \"creating\""),
        (&PLAIN, &["old"], 403, "expired"),
        // Not the next key either.
        (&alice, &["bob", "alice"], 403, "not-yours: \"bob\" does not belong to \"alice\""),
        (&alice, &["nobody"], 403, "not-yours: the answer for \"nobody\" has no owner"),
        (&alice, &["old"], 403, "expired"),
        (&Case { owner: Some("Alice"), ..PLAIN }, &["alice"], 403, "not-yours"),
        (&Case { owner: Some("bob"), ..PLAIN }, &["new"], 403, "not-yours"),
        (&nobody, &["nobody"], 403, "not-yours: WsRouteOwner is empty"),
        (&nobody, &["unknown"], 403, "not-yours"),
        (&template, &[], 404, "unknown-key"),
        (&template, &["a.b"], 400, "bad-key"),
        (&template, &["127.0.0.1:22"], 400, "bad-key"),
        (&owned, &["a"], 403, "not-yours: a URL template has no owner"),
        (&missing, &["a"], 500, "bad-configuration"),
        (&off, &["a"], 500, "bad-configuration"),
        (&Case { path: Some("/{key}"), ..PLAIN }, &[".."], 404, "unknown-key"),
    ];
    for (case, keys, status, text) in table {
        let refusal = run(case, keys, &mut Vec::new()).await.unwrap_err();
        assert_eq!(refusal.status(), *status, "{keys:?}: {refusal}");
        assert!(refusal.to_string().starts_with(text), "{keys:?}: {refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_trace_tells_each_step_and_no_secret() {
    let mut trace = Vec::new();
    let decision = run(&PLAIN, &["unknown", "alice"], &mut trace).await.unwrap();
    assert_eq!(
        trace,
        [
            "key \"unknown\" from path ^/d/([^/]+): resolver one: unknown",
            "key \"unknown\" from path ^/d/([^/]+): resolver two: unknown",
            "key \"alice\" from path ^/d/([^/]+): resolver one: ws://10.0.0.5:6901",
        ]
    );
    assert_eq!(decision.key.as_deref(), Some("alice"));
    assert_eq!(decision.resolver.as_deref(), Some("one"));
    assert!(!decision.literal && !format!("{decision:?}").contains("s3cret"));

    trace.clear();
    run(&PLAIN, &["fail"], &mut trace).await.unwrap_err();
    assert_eq!(trace[0], "key \"fail\" from path ^/d/([^/]+): resolver one: down");
    assert_eq!(trace[1], "refused (502): resolver-failed: one: down");
}

#[tokio::test(start_paused = true)]
async fn literal_means_the_administrator_wrote_it() {
    for (url, literal) in [("ws://h:1/{tail}", true), ("ws://h:1/{key}", false)] {
        let route = Route::parse(&[url]).unwrap();
        let facts = Facts::of(&Request::default());
        let ask = Ask {
            route: &route,
            candidates: &candidates(&["a"]),
            resolvers: &Resolvers::default(),
            owner: None,
            facts: &facts,
            default_tls: false,
            path: None,
        };
        assert_eq!(decide(ask, &mut Vec::new()).await.unwrap().literal, literal, "{url}");
    }
}

#[test]
fn a_decision_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let facts = Facts::of(&Request::default());
    let ask = Ask {
        route: &Route::Off,
        candidates: &[],
        resolvers: &Resolvers::default(),
        owner: None,
        facts: &facts,
        default_tls: false,
        path: None,
    };
    drop(is_send(decide(ask, &mut Vec::new())));
}
