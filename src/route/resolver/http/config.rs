//! `WsRouteResolver NAME http URL [header=...] [header-file=...] [forward=...] [pointer=...]`

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use super::url::UrlTemplate;
use crate::route::resolver::cause::cause;
use crate::route::resolver::secret;
use crate::route::resolver::trust::Trust;
use crate::upstream::connect;
use crate::upstream::hop_by_hop::is_hop_by_hop;

const KNOWN: &str =
    "header, header-file, forward, pointer, ca, verify, ttl, negative, stale or timeout";

/// Connections that one runtime keeps while nothing is asked.
const IDLE_MAX: usize = 8;
/// How long it keeps them.
const IDLE: Duration = Duration::from_secs(30);
/// An attempt to connect outlives the question, but not this.
const CONNECT: Duration = Duration::from_secs(10);

/// What an `http` resolver asks, and how. Read-only; `Debug` hides the values of headers.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The locator.
    pub url: UrlTemplate,
    /// What is sent with every question; values are marked as sensitive.
    pub headers: HeaderMap,
    /// Which of the client's headers go along.
    pub forward: Vec<HeaderName>,
    /// Where the answer is in the JSON (RFC 6901).
    pub pointer: Option<String>,
    trust: Trust,
}

impl HttpConfig {
    /// Parses the locator and the options. Files are read here.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line, without values of headers.
    pub fn parse(locator: &str, options: &[(&str, &str)]) -> Result<HttpConfig, String> {
        let mut config = HttpConfig {
            url: UrlTemplate::parse(locator)?,
            headers: HeaderMap::new(),
            forward: Vec::new(),
            pointer: None,
            trust: Trust::default(),
        };
        for &(option, value) in options {
            match option {
                "header" => {
                    let (name, value) = value
                        .split_once(':')
                        .ok_or("header= has no colon, use header=\"Name: value\"")?;
                    config.add_header(option, name, value.trim())?;
                }
                "header-file" => {
                    let (name, path) = value
                        .split_once(':')
                        .ok_or("header-file= has no colon, use header-file=Name:/absolute/path")?;
                    config.add_header(option, name, &secret::read(option, path)?)?;
                }
                "forward" => {
                    for name in value.split(',') {
                        config.forward.push(header_name(option, name)?);
                    }
                }
                "pointer" => config.pointer = Some(parse_pointer(value)?),
                _ if config.trust.set(option, value)? => {}
                _ => return Err(format!("unknown option {option:?}, use {KNOWN}")),
            }
        }
        config.check()?;
        config.complete();
        Ok(config)
    }

    /// A client for the runtime that this is called in. It opens nothing yet.
    ///
    /// # Errors
    /// TLS cannot be set up: the system has no CAs.
    pub fn client(&self) -> Result<Client, String> {
        // reqwest wants to know about TLS even if none is spoken, and looks for CAs otherwise.
        let verify = self.url.tls && !self.trust.unverified;
        let tls = self.trust.settings.config(verify)?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            // Neither the environment nor an answer decides where our headers go.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT)
            .dns_resolver(Arc::new(Names))
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE);
        if let Some(socket) = &self.url.socket {
            builder = builder.unix_socket(socket.as_path());
        }
        builder.build().map_err(|e| cause(&e))
    }

    fn add_header(&mut self, option: &str, name: &str, value: &str) -> Result<(), String> {
        let name = header_name(option, name)?;
        let mut value = HeaderValue::from_str(value)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("{option}: {name} has no value that can be sent"))?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(())
    }

    /// Refuses what contradicts itself.
    fn check(&self) -> Result<(), String> {
        self.trust.check(self.url.tls, "https")?;
        for name in &self.forward {
            if name == HOST {
                return Err("forward=Host would be a lie, use {host} in the URL".into());
            }
            if self.headers.contains_key(name) {
                return Err(format!("{name} is in both header= and forward=, use one"));
            }
        }
        match self.url.binds().next().is_none() && self.forward.is_empty() {
            true => Err("all requests would be the same, use {key} in the URL".into()),
            false => Ok(()),
        }
    }

    /// Adds what belongs to every request.
    fn complete(&mut self) {
        const AGENT: &str = concat!("mod_wsroute/", env!("CARGO_PKG_VERSION"));
        for (name, value) in [(ACCEPT, "application/json"), (USER_AGENT, AGENT)] {
            self.headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
    }
}

/// Looks names up as for upstreams, so that both together are bounded.
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client puts the port in.
            let found = connect::resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A header that may be sent along: none that belongs to the connection or frames the message.
fn header_name(option: &str, name: &str) -> Result<HeaderName, String> {
    let name = name.trim();
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{option}: {name:?} is no header name"))?;
    let text = parsed.as_str();
    let ours = is_hop_by_hop(text)
        || text.starts_with("sec-websocket-")
        || matches!(text, "content-length" | "expect");
    match ours {
        true => Err(format!("{option}: {text} belongs to the connection, leave it away")),
        false => Ok(parsed),
    }
}

/// RFC 6901
fn parse_pointer(text: &str) -> Result<String, String> {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    match (text.is_empty() || text.starts_with('/')) && escapes {
        true => Ok(text.to_owned()),
        false => Err(format!("pointer={text:?} is no JSON pointer, use /name/name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://h/{key}";

    fn parse(locator: &str, options: &[&str]) -> Result<HttpConfig, String> {
        let options: Vec<_> = options.iter().map(|o| o.split_once('=').unwrap()).collect();
        HttpConfig::parse(locator, &options)
    }

    #[test]
    fn options() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, "hunter3\n").unwrap();
        let file = format!("header-file=Authorization:{}", key.display());
        let config = parse(
            URL,
            &[
                "header=X-API-Key: hunter2",
                "header=x-api-key:more",
                &file,
                "forward=Cookie, X-Session",
                "pointer=/data/target",
                "verify=off",
            ],
        )
        .unwrap();
        assert_eq!(config.headers.get_all("x-api-key").iter().count(), 2);
        assert_eq!(config.headers["authorization"], "hunter3");
        assert_eq!(config.headers["accept"], "application/json");
        assert_eq!(config.forward, ["cookie", "x-session"]);
        assert_eq!(config.pointer.as_deref(), Some("/data/target"));
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter"), "{shown}");

        let own = parse(URL, &["header=Accept: text/plain", "header=Host: app"]).unwrap();
        assert_eq!(
            (&own.headers["accept"], &own.headers["host"]),
            (&"text/plain".parse().unwrap(), &"app".parse().unwrap())
        );
        assert!(parse("http://h/", &["forward=Cookie"]).is_ok());
    }

    #[test]
    fn bad_options() {
        let table: &[(&str, &[&str], &str)] = &[
            ("http://h/", &[], "all requests would be the same, use {key}"),
            (URL, &["header=hunter2"], "use header=\"Name: value\""),
            (URL, &["header=: hunter2"], "\"\" is no header name"),
            (URL, &["header=A B: hunter2"], "is no header name"),
            (URL, &["header=A: hunter2\r\nB: c"], "a has no value that can be sent"),
            (URL, &["header=A:"], "a has no value"),
            (URL, &["header=Connection: x"], "belongs to the connection"),
            (URL, &["header=Transfer-Encoding: chunked"], "belongs to the connection"),
            (URL, &["header-file=A"], "use header-file=Name:/absolute/path"),
            (URL, &["header-file=A:key"], "use an absolute path"),
            (URL, &["header-file=A:/no/such"], "header-file: cannot read /no/such"),
            (URL, &["forward=Upgrade"], "belongs to the connection"),
            (URL, &["forward=Sec-WebSocket-Key"], "belongs to the connection"),
            (URL, &["forward="], "\"\" is no header name"),
            (URL, &["forward=Host"], "use {host} in the URL"),
            (URL, &["forward=Cookie", "header=Cookie: hunter2"], "in both header= and forward="),
            (URL, &["pointer=target"], "use /name/name"),
            (URL, &["pointer=/a~2"], "use /name/name"),
            (URL, &["verify=no"], "use on or off"),
            (URL, &["ca=/no/such"], "ca=/no/such"),
            ("http://h/{key}", &["verify=off"], "use https://"),
            (URL, &["method=POST"], "unknown option \"method\", use header"),
        ];
        for (locator, options, expected) in table {
            let error = parse(locator, options).unwrap_err();
            assert!(error.contains(expected), "{options:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
