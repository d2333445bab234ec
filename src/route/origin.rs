//! Which pages may open a WebSocket (`WsRouteOrigin`). A browser sends cookies along to any host a
//! page names, and says in `Origin` which page asked (RFC 6455 10.2); programs need not send one.

use super::allow::HostPattern;
use super::refusal::Refusal;
use crate::upgrade::Request;
use crate::upstream::target::{parse_host, parse_port, split_host_port};

/// Which `Origin` a request may have. Without one it is always allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Host and port are those of the request's own `Host`.
    #[default]
    Same,
    /// No check at all.
    Any,
    /// One of these, or with `same` the request's own host too.
    Hosts {
        /// `same` stands among the patterns.
        same: bool,
        /// The others.
        patterns: Vec<OriginPattern>,
    },
}

/// `[scheme://]host[:port]`, where the host may be `*.suffix`. Without a scheme any will do;
/// without a port it is the default one of the origin's scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: Option<String>,
    host: HostPattern,
    port: Option<u16>,
}

/// A parsed `Origin` header (RFC 6454 7.1).
struct Origin {
    scheme: String,
    host: String,
    /// `None` for a scheme without a default port.
    port: Option<u16>,
}

impl OriginPolicy {
    /// Parses the arguments of `WsRouteOrigin`.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Result<OriginPolicy, String> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        match args[..] {
            [] => Err("no value, use same, any or host patterns".into()),
            [one] if one.eq_ignore_ascii_case("same") => Ok(OriginPolicy::Same),
            [one] if one.eq_ignore_ascii_case("any") => Ok(OriginPolicy::Any),
            _ => {
                let (same, others): (Vec<&str>, Vec<&str>) =
                    args.iter().partition(|a| a.eq_ignore_ascii_case("same"));
                let patterns = others.iter().map(|a| OriginPattern::parse(a));
                Ok(Self::Hosts {
                    same: !same.is_empty(),
                    patterns: patterns.collect::<Result<_, _>>()?,
                })
            }
        }
    }

    /// Checks the request's `Origin`.
    ///
    /// # Errors
    /// 403 with the origin in the text.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        if *self == OriginPolicy::Any {
            return Ok(());
        }
        let mut lines = request.header_lines("origin");
        let Some(line) = lines.next() else { return Ok(()) };
        if lines.next().is_some() {
            return Err(Refusal::OriginRefused("more than one Origin header".into()));
        }
        let text = String::from_utf8_lossy(line);
        let refuse = |why: &str| Err(Refusal::OriginRefused(format!("{:?} {why}", clip(&text))));
        let Some(origin) = Origin::parse(&text) else { return refuse("is no origin") };
        let allowed = match self {
            OriginPolicy::Any => true,
            OriginPolicy::Same => origin.is_host_of(request),
            OriginPolicy::Hosts { same, patterns } => {
                patterns.iter().any(|p| p.matches(&origin)) || *same && origin.is_host_of(request)
            }
        };
        match (allowed, self) {
            (true, _) => Ok(()),
            (false, OriginPolicy::Same) => refuse("is not the host asked for (WsRouteOrigin same)"),
            (false, _) => refuse("is not listed in WsRouteOrigin"),
        }
    }
}

impl OriginPattern {
    fn parse(text: &str) -> Result<OriginPattern, String> {
        let wrong = || {
            format!(
                "{text:?} is no origin, use any alone, or same, app.example.org, *.example.org, \
                 https://app.example.org:8443"
            )
        };
        if text.eq_ignore_ascii_case("any") {
            return Err(wrong());
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        if scheme.as_deref().is_some_and(|s| !is_scheme(s)) {
            return Err(wrong());
        }
        let (host, port) = split_host_port(rest).map_err(|_| wrong())?;
        let port = port.map(parse_port).transpose().map_err(|_| wrong())?;
        let host = HostPattern::parse(host).ok_or_else(wrong)?;
        Ok(OriginPattern { scheme, host, port })
    }

    fn matches(&self, origin: &Origin) -> bool {
        self.scheme.as_ref().is_none_or(|s| *s == origin.scheme)
            && self.host.matches(&origin.host)
            && match self.port {
                Some(port) => origin.port == Some(port),
                None => origin.port == default_port(&origin.scheme),
            }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_host_port(authority).ok()?;
        let host = parse_host(host).ok()?;
        let port = match port {
            Some(port) => Some(parse_port(port).ok()?),
            None => default_port(&scheme),
        };
        is_scheme(&scheme).then_some(Origin { scheme, host, port })
    }

    /// The request's one `Host` header names the same host and port.
    fn is_host_of(&self, request: &Request) -> bool {
        let mut lines = request.header_lines("host");
        let (Some(line), None) = (lines.next(), lines.next()) else { return false };
        let Some((host, port)) =
            std::str::from_utf8(line).ok().and_then(|t| split_host_port(t.trim()).ok())
        else {
            return false;
        };
        let port = match port {
            Some(port) => parse_port(port).ok(),
            // Behind a TLS terminator an https page meets an http request; never the other way.
            None if request.https => Some(443),
            None => default_port(&self.scheme),
        };
        port.is_some() && port == self.port && parse_host(host).is_ok_and(|h| h == self.host)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// At most 200 characters of what a client sent, for the log.
fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: &[&str], host: &str, origins: &[&[u8]]) -> bool {
        let mut headers = vec![("Host".to_owned(), host.as_bytes().to_vec())];
        headers.extend(origins.iter().map(|o| ("origin".to_owned(), o.to_vec())));
        let request = Request { headers, ..Request::default() };
        match OriginPolicy::parse(policy).unwrap().check(&request) {
            Ok(()) => true,
            Err(refusal) => {
                assert_eq!(refusal.status(), 403);
                assert!(refusal.to_string().starts_with("origin-refused: "), "{refusal}");
                false
            }
        }
    }

    #[test]
    fn same() {
        let table: &[(&str, &str, bool)] = &[
            ("app.example.org", "https://app.example.org", true),
            ("app.example.org", "http://app.example.org", true),
            ("App.Example.org", "HTTPS://APP.example.ORG", true),
            ("app.example.org:443", "https://app.example.org", true),
            ("app.example.org", "https://app.example.org:443", true),
            ("app.example.org:8443", "https://app.example.org:8443", true),
            ("app.example.org:8443", "https://app.example.org", false),
            ("app.example.org", "https://app.example.org:8443", false),
            ("app.example.org", "http://app.example.org:443", false),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("[::1]", "http://[0:0::1]", true),
            ("app.example.org", "https://evil.example", false),
            ("app.example.org", "https://app.example.org.evil.example", false),
            ("app.example.org", "https://evilapp.example.org", false),
            ("app.example.org", "null", false),
            ("app.example.org", "", false),
            ("app.example.org", "app.example.org", false),
            ("app.example.org", "https://", false),
            ("app.example.org", "https://app.example.org/", false),
            ("app.example.org", "https://app.example.org/x", false),
            ("app.example.org", "https://app.example.org?x", false),
            ("app.example.org", "https://app.example.org#", false),
            ("app.example.org", "https://app.example.org:", false),
            ("app.example.org", "https://app.example.org@evil.example", false),
            ("app.example.org", "https://u@app.example.org", false),
            ("app.example.org", "https://app.example.org https://b", false),
            ("app.example.org", "https://app.example.org, https://b", false),
            ("app.example.org", "https://app.example.org%00", false),
            ("app.example.org", "file://", false),
            ("app.example.org", "app://app.example.org", false),
            ("", "https://app.example.org", false),
        ];
        for (host, origin, expected) in table {
            let got = allowed(&["same"], host, &[origin.as_bytes()]);
            assert_eq!(got, *expected, "{host} {origin}");
        }
        assert!(!allowed(&["same"], "a", &[b"https://a\xff"]));
        assert!(!allowed(&["same"], "a", &[b"https://a", b"https://a"]));
        assert!(allowed(&["same"], "a", &[]));
    }

    #[test]
    fn patterns() {
        let table: &[(&[&str], &str, bool)] = &[
            (&["app.example.org"], "https://app.example.org", true),
            (&["app.example.org"], "http://app.example.org", true),
            (&["app.example.org"], "https://app.example.org:8443", false),
            (&["app.example.org:8443"], "https://app.example.org:8443", true),
            (&["https://app.example.org"], "http://app.example.org", false),
            (&["https://app.example.org:8443"], "https://app.example.org:8443", true),
            (&["*.example.org"], "https://a.example.org", true),
            (&["*.example.org"], "https://example.org", false),
            (&["*.example.org"], "https://evilexample.org", false),
            (&["a", "b"], "https://b", true),
            (&["a", "b"], "null", false),
            (&["same", "a"], "http://h", true),
            (&["same", "a"], "http://a", true),
            (&["same", "a"], "http://b", false),
            (&["chrome-extension://abcdef"], "chrome-extension://abcdef", true),
            (&["any"], "null", true),
            (&["any"], "garbage", true),
        ];
        for (policy, origin, expected) in table {
            assert_eq!(
                allowed(policy, "h", &[origin.as_bytes()]),
                *expected,
                "{policy:?} {origin}"
            );
        }
        assert!(allowed(&["a"], "h", &[]));
    }

    #[test]
    fn bad_policies() {
        let table: &[&[&str]] = &[
            &[],
            &["any", "a"],
            &["*"],
            &["https://a/"],
            &["https://a/x"],
            &["a:x"],
            &["u@a"],
            &["://a"],
            &["a b"],
        ];
        for policy in table {
            assert!(OriginPolicy::parse(policy).is_err(), "{policy:?}");
        }
    }
}
