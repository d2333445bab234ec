//! The way of one request through the configuration, step by step as the module goes it.

use mod_wsroute::apache::expression::Values;
use mod_wsroute::apache::{Config, Directive, Effective, Section, proxy};
use mod_wsroute::config::ScopeConfig;
use mod_wsroute::route::{self, Ask, Candidate, Decision, Expressions, Facts, Source};
use mod_wsroute::upgrade::{Detection, Request, detect};
use mod_wsroute::upstream::{Address, UpstreamError};

use super::report::{Decided, Found, Reached, Refused, Report, Valued};
use super::request::Asked;
use super::{Args, mend};

/// Finds out everything about the request of `args`.
///
/// # Errors
/// What cannot be decided here, as one line.
pub fn report(args: &Args, config: &Config) -> Result<Report, String> {
    for server in &config.servers {
        server.config.check()?;
    }
    let asked = Asked::new(args)?;
    let (server, assumed) = config.server(&asked.host, asked.port, asked.address);
    let mut report = Report {
        url: args.url.clone(),
        user: args.user.clone(),
        client: args.client.to_string(),
        server: Found {
            text: server_text(&server.base, &server.title()),
            place: server.place.clone(),
        },
        section: None,
        route: None,
        keys: Vec::new(),
        owner: None,
        steps: Vec::new(),
        addresses: Vec::new(),
        notes: assumed.map(|what| format!("assumed: {what}")).into_iter().collect(),
        outcome: Err(Refused { status: None, reason: String::new(), mend: "" }),
    };
    if asked.tls != server.tls {
        report.notes.push(match server.tls {
            true => "this server speaks TLS, the URL does not: use wss://".to_owned(),
            false => "this server speaks no TLS (SSLEngine), the URL does: use ws://".to_owned(),
        });
    }
    let mut request = match asked.request(args, config, server) {
        Ok(request) => request,
        Err(bad) => {
            let mend = "mend the URL, or set what the reason names";
            report.outcome =
                Err(Refused { status: Some(bad.status()), reason: bad.to_string(), mend });
            return Ok(report);
        }
    };
    let environment = args.environment();
    let name = server.name.clone().unwrap_or_else(|| asked.host.clone());
    let values = Values {
        request: &request,
        server_name: &name,
        port: asked.port,
        environment: &environment,
    };
    let effective = config.scope(server, &request.path, &|condition| values.holds(condition));
    report.notes.extend(effective.assumed.iter().map(|what| format!("assumed: {what}")));
    note_what_is_not_modelled(args, config, &effective, &mut report.notes);
    request.scope = effective.scope.location.as_deref().map(str::to_owned);
    let values = Values {
        request: &request,
        server_name: &name,
        port: asked.port,
        environment: &environment,
    };
    report.outcome = decide(&effective, &values, &mut report)?;
    Ok(report)
}

fn server_text(base: &Section, title: &str) -> String {
    if base.title == title { title.to_owned() } else { format!("{} {title}", base.title) }
}

/// What httpd does before the module sees the request.
fn note_what_is_not_modelled(
    args: &Args,
    config: &Config,
    effective: &Effective<'_>,
    notes: &mut Vec<String>,
) {
    let base = &effective.server.base;
    if proxy::is_rewriting(base) && base.all("RewriteRule").next().is_some() {
        notes.push("the RewriteRules of this server are not applied here".to_owned());
    }
    if args.user.is_none() && effective.asks_for_login() {
        notes.push("httpd asks for a login first: 401 without one; here: --user NAME".to_owned());
    }
    if effective.scope.routed().is_some() && !config.modules.has("wsroute_module") {
        notes
            .push("wsroute_module is not loaded: httpd would refuse this configuration".to_owned());
    }
}

fn decide(
    effective: &Effective<'_>,
    values: &Values<'_>,
    report: &mut Report,
) -> Result<Result<Decided, Refused>, String> {
    let (scope, request) = (&effective.scope, values.request);
    report.route = effective.last("WsRoute").map(found);
    report.section = effective
        .section()
        .map(|section| Found { text: section.title.clone(), place: section.place.clone() });
    let Some(route) = scope.routed() else {
        let reason = "no WsRoute in this scope: other handlers get the request".to_owned();
        let mend = "put WsRoute into this <VirtualHost>, or into a <Location> that covers the path";
        return Ok(Err(Refused { status: None, reason, mend }));
    };
    if let Some(refused) = check_upgrade(request) {
        return Ok(Err(refused));
    }
    let owner = evaluate(effective, values, report)?;
    let refuse = |refusal: route::Refusal, has_key: bool| Refused {
        status: Some(refusal.status()),
        reason: refusal.to_string(),
        mend: mend::refusal(&refusal, has_key, owner.as_deref(), route),
    };
    if let Err(refusal) = scope.origin.clone().unwrap_or_default().check(request) {
        return Ok(Err(refuse(refusal, false)));
    }
    let candidates = match candidates(scope.key_rules(), scope, values, &mut report.steps) {
        Ok(candidates) => candidates,
        Err(refusal) => return Ok(Err(refuse(refusal, false))),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start the runtime: {e}"))?;
    runtime.block_on(async {
        let resolvers = effective.server.config.resolvers_of(route);
        let policy = scope.upstream.clone().unwrap_or_default();
        let ask = Ask {
            route,
            candidates: &candidates,
            resolvers: &resolvers,
            owner: owner.as_deref(),
            facts: &Facts::of(request),
            default_tls: policy.tls(),
            path: scope.path.as_deref(),
        };
        let decided = route::decide(ask, &mut report.steps).await;
        report.notes.extend(resolvers.warnings());
        Ok(match decided {
            Ok(decision) => {
                allow(effective, &decision, report).await.map(|()| shown(&decision, request))
            }
            Err(refused) => {
                report.steps.pop(); // the refusal itself, which has its own line
                Err(refuse(refused.refusal, !candidates.is_empty()))
            }
        })
    })
}

/// The one place where keys are taken from a request.
fn candidates(
    rules: &[route::KeyRule],
    scope: &ScopeConfig,
    values: &Values<'_>,
    steps: &mut Vec<String>,
) -> Result<Vec<Candidate>, route::Refusal> {
    route::candidates(rules, scope.session.as_deref(), values, values.request, steps)
}

fn check_upgrade(request: &Request) -> Option<Refused> {
    match detect(request) {
        Detection::Upgrade => None,
        Detection::NotAnUpgrade => Some(Refused {
            status: None,
            reason: "not a WebSocket upgrade: other handlers get the request".to_owned(),
            mend: "leave the headers of the handshake as they are",
        }),
        Detection::Malformed(why) => Some(Refused {
            status: Some(why.status()),
            reason: format!("not a WebSocket upgrade: {why}"),
            mend: mend::MALFORMED,
        }),
    }
}

/// Evaluates each rule and the owner, for the report; gives the owner's value. What only httpd
/// knows ends it: the module's own decision would be another one.
fn evaluate(
    effective: &Effective<'_>,
    values: &Values<'_>,
    report: &mut Report,
) -> Result<Option<String>, String> {
    let scope = &effective.scope;
    let lines = effective.innermost("WsRouteKey");
    for (rule, line) in scope.key_rules().iter().zip(lines) {
        if let Source::Expression(text) = rule.source() {
            values.evaluate(text).map_err(|e| format!("{}: WsRouteKey: {e}", line.place))?;
        }
        let found = candidates(std::slice::from_ref(rule), scope, values, &mut Vec::new())
            .unwrap_or_default();
        let value = found.into_iter().next().map(|candidate| candidate.shown);
        report.keys.push(Valued { rule: arguments(line), value });
    }
    let line = effective.last("WsRouteOwner");
    let (Some(text), Some(line)) = (&scope.owner, line) else { return Ok(None) };
    let value = values.evaluate(text).map_err(|e| format!("{}: WsRouteOwner: {e}", line.place))?;
    report.owner = Some(Valued { rule: arguments(line), value: Some(value.clone()) });
    Ok(Some(value))
}

/// Looks the target's name up and asks `WsRouteAllow`, as the module does before it connects.
async fn allow(
    effective: &Effective<'_>,
    decision: &Decision,
    report: &mut Report,
) -> Result<(), Refused> {
    let refuse = |error: UpstreamError, mend| Refused {
        status: Some(error.status()),
        reason: error.to_string(),
        mend,
    };
    let list = effective.scope.allow.clone().unwrap_or_default();
    let not_allowed = "list the address in WsRouteAllow if httpd may connect there";
    let (host, port) = match &decision.target.address {
        Address::Unix(path) => {
            let allowed = decision.literal || list.permits_unix(path);
            let address = path.display().to_string();
            report.addresses.push(Reached { address: address.clone(), allowed });
            return match allowed {
                true => Ok(()),
                false => Err(refuse(UpstreamError::NotAllowed { peer: address }, not_allowed)),
            };
        }
        Address::Tcp { host, port } => (host.as_str(), *port),
    };
    let peer = || mod_wsroute::upstream::connect::host_port(host, port);
    let found = match tokio::net::lookup_host((host, port)).await {
        Ok(found) => found,
        Err(source) => {
            let error = UpstreamError::Resolve { peer: peer(), source };
            return Err(refuse(error, "mend the name in the answer, or in DNS and /etc/hosts"));
        }
    };
    for address in found {
        let allowed = decision.literal || list.permits(host, address);
        let address = address.to_string();
        report.addresses.push(Reached { address, allowed });
    }
    match report.addresses.iter().any(|address| address.allowed) {
        true => Ok(()),
        false => Err(refuse(UpstreamError::NotAllowed { peer: peer() }, not_allowed)),
    }
}

fn shown(decision: &Decision, request: &Request) -> Decided {
    let mut target = decision.target.clone();
    target.path.get_or_insert_with(|| request.raw_path.clone());
    Decided {
        target: target.to_string(),
        key: decision.shown_key.clone(),
        rule: decision.rule.clone(),
        resolver: decision.resolver.clone(),
        literal: decision.literal,
        expires: decision.expires_in().map(|left| left.as_secs()),
    }
}

fn found(directive: &Directive) -> Found {
    Found { text: directive.to_string(), place: directive.place.clone() }
}

fn arguments(directive: &Directive) -> Found {
    Found { text: directive.args.clone(), place: directive.place.clone() }
}
