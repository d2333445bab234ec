//! The upgrade request as an upstream gets it (RFC 6455 4.1), in one piece: KasmVNC gives up on
//! a head that arrives in ten writes.

use super::connect::host_port;
use super::header_lines::Lines;
use super::hop_by_hop::{is_hop_by_hop, items};
use super::policy::{Host, Origin, Subprotocol, UpstreamPolicy, is_token};
use super::switch::Offer;
use super::{Address, Extras, Target};
use crate::upgrade::{Request, accept};

/// A request head ready to be written, and what its answer must fit.
#[derive(Debug)]
pub struct RequestHead {
    /// From `GET` to the empty line. Holds cookies and passwords: never log it.
    pub bytes: Vec<u8>,
    /// What the 101 is checked against.
    pub offer: Offer,
}

/// Builds the head: Host first, then the client's headers in their order without those that end
/// here (RFC 9110 7.6.1), then what this hop adds.
///
/// # Errors
/// Says what cannot be sent: no Sec-WebSocket-Key, or a path or header (of a resolver's answer)
/// that would break the head or the handshake.
pub fn build(
    target: &Target,
    request: &Request,
    policy: &UpstreamPolicy,
    extras: &Extras,
) -> Result<RequestHead, String> {
    let mut lines = client_lines(request);
    lines.set("Connection", "Upgrade");
    lines.set("Upgrade", "websocket");
    host_and_origin(&mut lines, target, request, policy);
    if let Subprotocol::Value(value) = policy.subprotocol() {
        lines.set("Sec-WebSocket-Protocol", value.as_str());
    }
    forwarded(&mut lines, request);
    add_extras(&mut lines, extras)?;
    let offer = Offer {
        accept: accept(request.header("Sec-WebSocket-Key").ok_or("no Sec-WebSocket-Key")?),
        sent: tokens(lines.values("Sec-WebSocket-Protocol")),
        client: tokens(request.header_lines("Sec-WebSocket-Protocol")),
        extensions: extension_names(lines.values("Sec-WebSocket-Extensions")),
    };
    Ok(RequestHead { bytes: lines.write(&uri(target, request)?)?, offer })
}

/// What mod_proxy needs to know to send a plain HTTP request of the client's to an upstream.
#[derive(Debug)]
pub struct HttpHead {
    /// For the Host header.
    pub host: String,
    /// The request target: path and query.
    pub uri: String,
    /// Headers that replace the client's of the same name; `None`: without it.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The head of a plain HTTP request: as [`build`], for mod_proxy, which adds X-Forwarded-For and
/// X-Forwarded-Host itself and drops what is hop-by-hop.
///
/// # Errors
/// Says what cannot be sent.
pub fn plain_http(
    target: &Target,
    request: &Request,
    policy: &UpstreamPolicy,
    extras: &Extras,
) -> Result<HttpHead, String> {
    let mut lines = Lines::default();
    for name in ["Host", "Origin", "Cookie"] {
        request.header_lines(name).for_each(|value| lines.push(name, value));
    }
    lines.join("Cookie", b"; ");
    // A page that is fetched without an Origin shall not get one.
    let has_origin = lines.values("Origin").next().is_some();
    host_and_origin(&mut lines, target, request, policy);
    if !has_origin {
        lines.remove("Origin");
    }
    lines.set("X-Forwarded-Proto", if request.https { "https" } else { "http" });
    add_extras(&mut lines, extras)?;
    let uri = uri(target, request)?;
    lines.write(&uri)?;
    let host = lines.values("Host").next().map(|host| String::from_utf8_lossy(host).into_owned());
    lines.remove("Host");
    let mut headers = lines.into_single();
    if request.header("Cookie").is_none() {
        headers.push(("Cookie".into(), None));
    }
    Ok(HttpHead { host: host.unwrap_or_default(), uri, headers })
}

fn client_lines(request: &Request) -> Lines {
    let named = items(request.header_lines("Connection"));
    let keep = |name: &str| {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "connection" | "upgrade" => true, // they keep their place and get new values
            "content-length" | "expect" => false, // an upgrade has no body
            // The handshake stands whatever the client claims to be hop-by-hop.
            "host" | "origin" => true,
            n if n.starts_with("sec-websocket-") => true,
            n => !is_hop_by_hop(n) && !named.contains(&lower),
        }
    };
    let kept = request.headers.iter().filter(|(name, _)| keep(name));
    let mut lines = Lines::default();
    kept.for_each(|(name, value)| lines.push(name, value.clone()));
    lines.join("Cookie", b"; ");
    lines
}

fn host_and_origin(lines: &mut Lines, target: &Target, request: &Request, policy: &UpstreamPolicy) {
    let authority = match &target.address {
        Address::Tcp { host, port } => host_port(host, *port),
        Address::Unix(_) => "localhost".to_string(),
    };
    match policy.origin() {
        Origin::Keep => {}
        Origin::Target => {
            let scheme = if target.tls { "https" } else { "http" };
            lines.set("Origin", format!("{scheme}://{authority}"));
        }
        Origin::Value(value) => lines.set("Origin", value.as_str()),
    }
    let host = match (policy.host(), request.header_lines("Host").next()) {
        (Host::Preserve, Some(host)) if !host.is_empty() => host.to_vec(),
        _ => authority.into_bytes(),
    };
    lines.remove("Host");
    lines.push_front("Host", host);
}

/// As mod_proxy does: our own observation goes behind what came, on one line.
fn forwarded(lines: &mut Lines, request: &Request) {
    lines.append("X-Forwarded-For", request.client.to_canonical().to_string().as_bytes());
    if let Some(host) = request.header_lines("Host").next() {
        lines.append("X-Forwarded-Host", host);
    }
    lines.set("X-Forwarded-Proto", if request.https { "https" } else { "http" });
}

fn add_extras(lines: &mut Lines, extras: &Extras) -> Result<(), String> {
    for (name, _) in &extras.headers {
        let lower = name.to_ascii_lowercase();
        let framing = is_hop_by_hop(&lower) || lower == "content-length" || lower == "expect";
        if !is_token(name) || framing || lower.starts_with("sec-websocket-") {
            return Err(format!("the resolver may not set the header {name:?}"));
        }
        if lower != "host" {
            lines.remove(name);
        }
    }
    for (name, value) in &extras.headers {
        match name.eq_ignore_ascii_case("host") {
            true => lines.set("Host", value.as_str()),
            false => lines.push(name, value.as_str()),
        }
    }
    if let Some(authorization) = &extras.authorization {
        lines.set("Authorization", authorization.as_str());
    }
    Ok(())
}

/// The request target (RFC 9112 3.2.1): the target's path or the request's, the request's query.
fn uri(target: &Target, request: &Request) -> Result<String, String> {
    let path = target.path.as_deref().unwrap_or(&request.raw_path);
    let uri = match &request.query {
        Some(query) if !path.contains('?') => format!("{path}?{query}"),
        _ => path.to_string(),
    };
    match uri.starts_with('/') && uri.bytes().all(|b| b > b' ' && b != 0x7f) {
        true => Ok(uri),
        false => Err(format!("the path {path:?} cannot be sent")),
    }
}

/// Comma-separated tokens, their case kept.
fn tokens<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    values
        .filter_map(|v| std::str::from_utf8(v).ok())
        .flat_map(|v| v.split(','))
        .map(|t| t.trim().to_string())
        .filter(|t| !t.is_empty())
        .collect()
}

/// The names in an extension list, without parameters (RFC 6455 9.1).
pub fn extension_names<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let name = |item: &String| item.split(';').next().unwrap_or("").trim().to_string();
    items(values).iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::testing::{request, target};

    fn head(target: &Target, request: &Request, policy: &str, extras: &Extras) -> String {
        let policy = UpstreamPolicy::parse(&policy.split_whitespace().collect::<Vec<_>>()).unwrap();
        String::from_utf8(build(target, request, &policy, extras).unwrap().bytes).unwrap()
    }

    #[test]
    fn the_whole_head() {
        let mut request = request(&[
            ("cookie", "a=1"),
            ("connection", "keep-alive, Upgrade, X-Secret, Host"),
            ("X-SECRET", "s"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("proxy-authorization", "p"),
            ("content-length", "0"),
            ("expect", "100-continue"),
            ("http2-settings", "x"),
            ("user-agent", "curl  x"),
            ("Cookie", "b=2"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("x-forwarded-for", "9.9.9.9"),
            ("X-Forwarded-For", "8.8.8.8"),
            ("authorization", "Basic eA=="),
            ("X-Forwarded-Proto", "gopher"),
        ]);
        request.query = Some("token=a%2Fb&&x".into());
        request.https = true;
        assert_eq!(
            head(&target("[::1]:6901"), &request, "", &Extras::default()),
            "GET /websockify?token=a%2Fb&&x HTTP/1.1\r\n\
             Host: desktop.example.org:8443\r\n\
             Upgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Origin: https://desktop.example.org:8443\r\n\
             Sec-WebSocket-Protocol: binary\r\n\
             Cookie: a=1; b=2\r\n\
             Connection: Upgrade\r\n\
             User-Agent: curl  x\r\n\
             X-Two: 1\r\n\
             X-Two: 2\r\n\
             X-Forwarded-For: 9.9.9.9, 8.8.8.8, 192.0.2.7\r\n\
             Authorization: Basic eA==\r\n\
             X-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: desktop.example.org:8443\r\n\r\n"
        );
    }

    #[test]
    fn options_and_extras() {
        let extras = |authorization: Option<&str>, headers: &[(&str, &str)]| Extras {
            authorization: authorization.map(String::from),
            headers: headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            pin: None,
        };
        let none = || extras(None, &[]);
        // (options, extras, must be there, must not be there)
        let table = [
            ("host=target", none(), "Host: [::1]:6901\r\n", "Host: desktop.example.org:8443\r\nU"),
            ("host=target", none(), "X-Forwarded-Host: desktop.example.org:8443\r\n", "x"),
            ("origin=target", none(), "Origin: http://[::1]:6901\r\n", "Origin: https://desktop"),
            (
                "origin=https://o.example",
                none(),
                "Origin: https://o.example\r\n",
                "Origin: https://desktop",
            ),
            ("subprotocol=chat", none(), "Sec-WebSocket-Protocol: chat\r\n", "binary"),
            (
                "",
                extras(Some("Basic ZTpl"), &[]),
                "\r\nAuthorization: Basic ZTpl\r\n",
                "client-auth",
            ),
            (
                "",
                extras(None, &[("authorization", "Bearer r")]),
                "Authorization: Bearer r\r\n",
                "client-auth",
            ),
            (
                "",
                extras(Some("Basic wins"), &[("authorization", "Bearer r")]),
                "Authorization: Basic wins\r\n",
                "Bearer",
            ),
            ("", extras(None, &[("x-user", "alice")]), "X-User: alice\r\n", "mallory"),
            (
                "",
                extras(None, &[("host", "box")]),
                "GET /websockify HTTP/1.1\r\nHost: box\r\n",
                "x",
            ),
            ("", extras(None, &[("X-M", "1"), ("X-M", "2")]), "X-M: 1\r\nX-M: 2\r\n", "x"),
        ];
        for (policy, extras, there, absent) in table {
            let request = request(&[("Authorization", "client-auth"), ("X-User", "mallory")]);
            let head = head(&target("[::1]:6901"), &request, policy, &extras);
            assert!(head.contains(there), "{policy} {there}: {head}");
            assert!(absent == "x" || !head.contains(absent), "{policy} {absent}: {head}");
        }
    }

    #[test]
    fn absent_headers_are_made_only_where_told() {
        let mut bare = request(&[]);
        bare.headers.retain(|(n, _)| !n.contains("rigin") && !n.contains("Protocol"));
        let plain = head(&target("127.0.0.1:1"), &bare, "", &Extras::default());
        assert!(!plain.contains("Origin") && !plain.contains("Protocol"), "{plain}");
        let told = head(
            &target("127.0.0.1:1"),
            &bare,
            "origin=target subprotocol=binary",
            &Extras::default(),
        );
        assert!(told.contains("Origin: http://127.0.0.1:1\r\n"), "{told}");
        assert!(told.contains("Sec-WebSocket-Protocol: binary\r\n"), "{told}");
        assert!(!told.contains("X-Real-IP"));
    }

    #[test]
    fn paths() {
        // (path of the target, query of the request, request target)
        let table = [
            (None, None, "/websockify"),
            (None, Some(""), "/websockify?"),
            (Some("/"), Some("a=b"), "/?a=b"),
            (Some("/x%20y"), None, "/x%20y"),
            (Some("/x?own=1"), Some("a=b"), "/x?own=1"),
        ];
        for (path, query, expected) in table {
            let mut request = request(&[]);
            request.query = query.map(String::from);
            let mut target = target("127.0.0.1:1");
            target.path = path.map(String::from);
            let head = head(&target, &request, "", &Extras::default());
            assert!(head.starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{head}");
        }
    }

    #[test]
    fn what_cannot_be_sent() {
        let with = |name: &str, value: &str| Extras {
            headers: vec![(name.into(), value.into())],
            ..Extras::default()
        };
        let table = [
            with("X-A", "1\r\nX-B: 2"),
            with("X-A", "1\n"),
            with("X-A", "\0"),
            with("X A", "1"),
            with("", "1"),
            with("Connection", "close"),
            with("Content-Length", "5"),
            with("Transfer-Encoding", "chunked"),
            with("sec-websocket-key", "x"),
            Extras { authorization: Some("Basic x\r\n".into()), ..Extras::default() },
        ];
        let policy = UpstreamPolicy::default();
        for extras in table {
            let result = build(&target("127.0.0.1:1"), &request(&[]), &policy, &extras);
            assert!(result.is_err(), "{:?}", extras.headers);
        }
        for path in ["", "x", "/a b", "/a\r\nX: y"] {
            let target = Target { path: Some(path.into()), ..target("127.0.0.1:1") };
            assert!(
                build(&target, &request(&[]), &policy, &Extras::default()).is_err(),
                "{path:?}"
            );
        }
    }
}
