//! 3xx: browsers follow no redirect of a WebSocket.

use super::super::http::{Answer, printable};
use super::super::report::Verdict;
use super::super::target::{Target, without_query};

/// Where it leads, and what to do; `None`: no redirect.
pub(super) fn verdict(target: &Target, answer: &Answer) -> Option<Verdict> {
    let location = answer.header("Location");
    if !matches!(answer.status(), 300..=399) || location.is_empty() {
        return None;
    }
    let (status, to) = (answer.status(), printable(without_query(location)));
    let own = format!("https://{}", target.host);
    let path = without_query(&target.path);
    let same_host = to.starts_with('/')
        || [&own, &format!("http://{}", target.host)].iter().any(|o| {
            let rest = to.strip_prefix(o.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        });
    let same_path = to.split("://").last().is_some_and(|rest| {
        rest.find('/').map_or("/", |at| &rest[at..]).trim_end_matches('/')
            == path.trim_end_matches('/')
    });
    let what = format!(
        "{status}: the server redirects to {to}, and browsers follow no redirect of a WebSocket"
    );
    Some(if !target.tls && same_host && same_path && to.starts_with("https:") {
        Verdict::new(
            "redirect-to-https",
            "the URL",
            what,
            "use wss://; the page must be loaded over https, then noVNC does so by itself",
        )
    } else if same_host && same_path {
        Verdict::new(
            "redirect",
            "the URL, or httpd (Redirect, DirectorySlash)",
            what,
            format!("use that URL, or except the WebSocket's path {path} from the redirect"),
        )
    } else {
        Verdict::new(
            "login-redirect",
            "httpd or the application (login)",
            format!("{what}; usually it is a login (OIDC, SAML, a form)"),
            "log in first and give the session: --cookie \"NAME=VALUE\"; AuthType openid-connect: OIDCUnAuthAction 401 for WebSocket paths. If it is no login: except the path from the redirect",
        )
    })
}
