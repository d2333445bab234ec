//! Who gets in: keys, owners, logins, origins, the allow-list.

use std::net::{IpAddr, SocketAddr};

use mod_wsroute::apache::Effective;
use mod_wsroute::route::{AllowList, KeyRule, OriginPolicy, Route, Source};

use super::finding::Finding;
use super::site::{Routed, Site};

/// A resolver, or a `{key}`, without any rule that gives a key: always 404.
pub fn key_missing(site: &Site<'_>) -> Vec<Finding> {
    let lacks = |routed: &&Routed<'_>| needs_key(&routed.route) && rules(routed).is_empty();
    let finding = |routed: &Routed<'_>| {
        let what = "every WebSocket is refused with 404: no WsRouteKey gives a key";
        let mend = "write WsRouteKey in the same section, for example WsRouteKey path \"^/desktop/([^/]+)\"";
        Finding::error(&routed.line.place, what, mend)
    };
    site.routed.iter().filter(lacks).map(finding).collect()
}

/// A key that the client chooses, and nobody asks who the client is, or whose the container.
pub fn key_unguarded(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let chosen = rules(routed).iter().any(|rule| is_chosen_by_client(rule.source()));
        if !needs_key(&routed.route) || !chosen || routed.effective.scope.owner.is_some() {
            continue;
        }
        let (what, mend) = match routed.effective.is_guarded() {
            false => (
                "whoever guesses a key gets that container",
                "ask for a login (Require) and set WsRouteOwner, unless keys are secrets",
            ),
            true => (
                "everybody whom Require lets in may use every key",
                "set WsRouteOwner \"%{REMOTE_USER}\", unless keys are secrets",
            ),
        };
        findings.push(Finding::note(&routed.line.place, what, mend));
    }
    findings
}

/// A URL has no owner.
pub fn owner_of_url(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        if let (Route::Template(_), Some(line)) =
            (&*routed.route, routed.effective.last("WsRouteOwner"))
        {
            let what = format!(
                "every WebSocket is refused with 403: the URL of WsRoute at {} has no owner",
                routed.line.place
            );
            let mend = "use a resolver, which knows owners, or take WsRouteOwner away";
            findings.push(Finding::error(&line.place, what, mend));
        }
    }
    findings
}

/// `%{REMOTE_USER}` where nobody is asked for a name.
pub fn owner_without_login(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let Some(line) = routed.effective.last("WsRouteOwner") else { continue };
        let asks = routed.effective.asks_for_login();
        if line.args.to_ascii_uppercase().contains("REMOTE_USER") && !asks {
            let what = "every WebSocket is refused with 403: nothing asks for a login here";
            let mend = "cover this path with AuthType and Require valid-user, or the like";
            findings.push(Finding::warning(&line.place, what, mend));
        }
    }
    findings
}

/// An allow-list that lets every address pass.
pub fn allow_all(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, section) in site.sections() {
        let (Some(list), Some(line)) = (&section.scope.allow, section.all("WsRouteAllow").last())
        else {
            continue;
        };
        if allows_everything(list) {
            let what = "a wrong row or a clever key can make httpd connect anywhere";
            let mend = "list the containers' own network and port, for example 172.17.0.0/16 6901";
            findings.push(Finding::warning(&line.place, what, mend));
        }
    }
    findings
}

/// Addresses and ports that no list of containers has all of; the first is a cloud's metadata.
fn allows_everything(list: &AllowList) -> bool {
    const ADDRESSES: [[u8; 4]; 5] =
        [[169, 254, 169, 254], [1, 1, 1, 1], [93, 184, 216, 34], [198, 51, 100, 7], [10, 1, 2, 3]];
    const PORTS: [u16; 4] = [22, 80, 5432, 6901];
    ADDRESSES.iter().all(|octets| {
        let ip = IpAddr::from(*octets);
        PORTS.iter().all(|port| list.permits(&ip.to_string(), SocketAddr::new(ip, *port)))
    })
}

/// Any page may use what the browser sends by itself.
pub fn origin_any(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for routed in &site.routed {
        let effective = &routed.effective;
        let any = effective.scope.origin.as_deref() == Some(&OriginPolicy::Any);
        let (true, Some(line)) = (any, effective.last("WsRouteOrigin")) else { continue };
        if sends_credentials(effective, rules(routed)) {
            let what = "any page that a logged-in user visits may open this WebSocket";
            let mend = "list the pages' hosts instead of any, or leave WsRouteOrigin same";
            findings.push(Finding::warning(&line.place, what, mend));
        }
    }
    findings
}

/// The browser adds cookies, Basic credentials or a certificate by itself.
fn sends_credentials(effective: &Effective<'_>, rules: &[KeyRule]) -> bool {
    let cookie = |rule: &KeyRule| matches!(rule.source(), Source::Cookie(_) | Source::Session(_));
    effective.asks_for_login() || rules.iter().any(cookie)
}

fn needs_key(route: &Route) -> bool {
    match route {
        Route::Off => false,
        Route::Template(template) => !template.literal(),
        Route::Resolvers(_) => true,
    }
}

fn rules<'r>(routed: &'r Routed<'_>) -> &'r [KeyRule] {
    routed.effective.scope.key_rules()
}

/// `user` and what httpd itself finds out are not the client's to choose.
fn is_chosen_by_client(source: &Source) -> bool {
    match source {
        Source::Host | Source::Path | Source::Referer => true,
        Source::Query(_) | Source::Cookie(_) | Source::Header(_) => true,
        Source::Expression(text) => {
            let text = text.to_ascii_uppercase();
            ["HTTP", "%{REQ:", "REQUEST_URI", "QUERY_STRING"].iter().any(|sign| text.contains(sign))
        }
        _ => false,
    }
}
