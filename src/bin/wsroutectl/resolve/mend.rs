//! What to do about a refusal.

use mod_wsroute::route::{Refusal, Route};

/// The mend for `refusal` of a request with these candidates, this owner and this route.
pub fn refusal(
    refusal: &Refusal,
    has_key: bool,
    owner: Option<&str>,
    route: &Route,
) -> &'static str {
    match refusal {
        Refusal::BadKey(_) => "narrow the REGEX of WsRouteKey, or mend the client",
        Refusal::NotYours(_) if matches!(route, Route::Template(_)) => {
            "use a resolver, which knows owners, or take WsRouteOwner away"
        }
        Refusal::NotYours(_) if owner == Some("") => {
            "let httpd ask for a login on this path (Require valid-user); here: --user NAME"
        }
        Refusal::NotYours(_) => {
            "right so, or mend the owner in the resolver's table; it is compared byte for byte"
        }
        Refusal::OriginRefused(_) => "list the page's host in WsRouteOrigin",
        Refusal::Expired(_) => "renew the answer's expires",
        Refusal::NotAuthorized { .. } => "ask the resolver's own access rules about this user",
        Refusal::UnknownKey(_) if !has_key => {
            "compare the REGEX of each WsRouteKey with the request's path, host or header"
        }
        Refusal::UnknownKey(_) => "add the key to the resolver's table",
        Refusal::BadConfiguration(_) => "mend the directive that is named",
        Refusal::ResolverFailed { .. } => {
            "make it readable and answering for httpd's User; run the query by hand with that key"
        }
        Refusal::Starting(_) => "wait until the container runs, or mend state in the table",
        Refusal::ResolverLate { .. } => "look why it is slow, or raise timeout= of WsRouteResolver",
    }
}

/// The mend for a request that is no proper upgrade.
pub const MALFORMED: &str =
    "mend the client's headers, or the proxy in front of httpd that changed them";
