//! What a resolver says about a key: a target, whose it is, and how to speak to it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::resolver::ResolveError;
use crate::upstream::target::{Target, check_path};

/// The answer of a resolver. Owned and read-only; `Debug` hides passwords and header values.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// Where the container listens. `None` only if `state` is there and not `running`: a container
    /// that is being made has no address yet.
    pub target: Option<Target>,
    /// The answer itself says `ws` or `wss`; otherwise `WsRouteUpstream scheme=` decides.
    pub scheme_given: bool,
    /// Who may use it, for `WsRouteOwner`.
    pub owner: Option<String>,
    /// `running`, or what it is doing instead. `None` counts as running.
    pub state: Option<String>,
    /// From this moment on the answer is no longer good.
    pub expires: Option<SystemTime>,
    /// Basic credentials for the upstream: the user.
    pub username: Option<String>,
    /// Basic credentials for the upstream: the password.
    pub password: Option<String>,
    /// SHA-256 that the upstream's certificate must have.
    pub pin: Option<[u8; 32]>,
    /// Further headers for the upstream.
    pub headers: Vec<(String, String)>,
    /// The container's name for logs.
    pub id: Option<String>,
    /// Which asking this came from, so that only this one is forgotten; 0: not from a cache.
    pub serial: u64,
}

/// Headers that the handshake itself writes, or that would change how a message is framed.
const RESERVED_HEADERS: [&str; 13] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The fields by name, still text.
#[derive(Default)]
struct Fields {
    target: Option<String>,
    host: Option<String>,
    port: Option<String>,
    scheme: Option<String>,
    path: Option<String>,
    owner: Option<String>,
    state: Option<String>,
    expires: Option<String>,
    username: Option<String>,
    password: Option<String>,
    pin: Option<String>,
    headers: Option<String>,
    id: Option<String>,
}

impl Answer {
    /// Builds an answer from named texts; names in any case, others are passed over, empty texts
    /// count as absent. Needed: `target` (`host:port` or a URL), or `host` and `port`. Without
    /// either the key is unknown: `None`.
    ///
    /// # Errors
    /// [`ResolveError::Malformed`] if a field is malformed: half an answer could be the wrong one.
    pub fn from_fields<N, V>(
        fields: impl IntoIterator<Item = (N, V)>,
        default_tls: bool,
    ) -> Result<Option<Answer>, ResolveError>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut found = Fields::default();
        for (name, value) in fields {
            let value = value.into();
            if let Some(slot) = found.slot(name.as_ref()) {
                *slot = (!value.trim().is_empty()).then_some(value);
            }
        }
        found.answer(default_tls).map_err(ResolveError::Malformed)
    }

    /// Whether an answer has a field of this name.
    pub fn has_field(name: &str) -> bool {
        Fields::default().slot(name).is_some()
    }

    /// The container is there and usable.
    pub fn is_running(&self) -> bool {
        self.state.as_deref().is_none_or(|s| s.eq_ignore_ascii_case("running"))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| (name, "MASKED")).collect();
        f.debug_struct("Answer")
            .field("target", &self.target)
            .field("scheme_given", &self.scheme_given)
            .field("owner", &self.owner)
            .field("state", &self.state)
            .field("expires", &self.expires)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "MASKED"))
            .field("pin", &self.pin.map(|_| "sha256"))
            .field("headers", &headers)
            .field("id", &self.id)
            .field("serial", &self.serial)
            .finish()
    }
}

impl Fields {
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name.to_ascii_lowercase().as_str() {
            "target" => &mut self.target,
            "host" => &mut self.host,
            "port" => &mut self.port,
            "scheme" => &mut self.scheme,
            "path" => &mut self.path,
            "owner" => &mut self.owner,
            "state" => &mut self.state,
            "expires" => &mut self.expires,
            "username" => &mut self.username,
            "password" => &mut self.password,
            "pin" => &mut self.pin,
            "headers" => &mut self.headers,
            "id" => &mut self.id,
            _ => return None,
        })
    }

    fn answer(self, default_tls: bool) -> Result<Option<Answer>, String> {
        let scheme = self.scheme.as_deref().map(parse_scheme).transpose()?;
        let located = self.locate(scheme, default_tls);
        let state = self.state.map(|s| s.trim().to_owned());
        let running = state.as_deref().is_none_or(|s| s.eq_ignore_ascii_case("running"));
        let (mut target, scheme_given) = match located {
            Ok(located) => located,
            // A container that is starting may have a host and no port yet.
            Err(_) if !running => (None, false),
            Err(e) => return Err(e),
        };
        if target.is_none() && running {
            return Ok(None);
        }
        if let (Some(path), Some(target)) = (self.path, &mut target) {
            check_path(&path).map_err(|e| e.to_string())?;
            target.path = Some(path);
        }
        let plain = |name: &str, value: Option<String>| match value {
            Some(v) if v.chars().any(char::is_control) => {
                Err(format!("control character in {name}"))
            }
            value => Ok(value),
        };
        let username = plain("username", self.username)?;
        if username.as_deref().is_some_and(|u| u.contains(':')) {
            return Err("colon in username".into());
        }
        Ok(Some(Answer {
            target,
            scheme_given,
            owner: self.owner,
            state: plain("state", state)?,
            expires: self.expires.map(|e| parse_time(&e)).transpose()?,
            username,
            password: plain("password", self.password)?,
            pin: self.pin.map(|p| parse_pin(&p)).transpose()?,
            headers: self.headers.map(|h| parse_headers(&h)).transpose()?.unwrap_or_default(),
            id: plain("id", self.id)?,
            serial: 0,
        }))
    }

    /// The target, and whether the answer itself names the scheme.
    fn locate(
        &self,
        scheme: Option<bool>,
        default_tls: bool,
    ) -> Result<(Option<Target>, bool), String> {
        let tls = scheme.unwrap_or(default_tls);
        let text = match (&self.target, &self.host, &self.port) {
            (Some(target), _, _) => target.trim().to_owned(),
            (None, Some(host), Some(port)) => {
                let (host, port) = (host.trim(), port.trim());
                match host.contains(':') && !host.starts_with('[') {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                }
            }
            (None, Some(_), None) => return Err("host without port".into()),
            (None, None, _) => return Ok((None, false)),
        };
        if !is_url(&text) || self.target.is_none() {
            let target = Target::parse_host_port(&text, tls);
            let target = target.map_err(|e| format!("target {:?}: {e}", without_secret(&text)))?;
            return Ok((Some(target), scheme.is_some()));
        }
        let target = Target::parse_url(&text)
            .map_err(|e| format!("target {:?}: {e}", without_secret(&text)))?;
        match scheme {
            Some(tls) if tls != target.tls => Err("scheme and target contradict each other".into()),
            _ => Ok((Some(target), true)),
        }
    }
}

fn is_url(text: &str) -> bool {
    text.contains("://") || text.split(':').next().is_some_and(|scheme| scheme.ends_with("+unix"))
}

fn parse_scheme(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "ws" | "http" => Ok(false),
        "wss" | "https" => Ok(true),
        _ => Err(format!("unknown scheme {text:?}, use ws or wss")),
    }
}

/// Seconds since 1970, RFC 3339, or `YYYY-MM-DD HH:MM:SS` (UTC).
fn parse_time(text: &str) -> Result<SystemTime, String> {
    let wrong = || format!("bad time {text:?} in expires");
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let seconds: f64 = text.parse().map_err(|_| wrong())?;
        let since = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        return UNIX_EPOCH.checked_add(since).ok_or_else(wrong);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return time.try_into().map_err(|_| wrong());
    }
    let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| wrong())?;
    let time = jiff::tz::TimeZone::UTC.to_timestamp(civil).map_err(|_| wrong())?;
    time.try_into().map_err(|_| wrong())
}

/// `sha256:HEX` or `HEX`, 64 digits, in pairs with colons if one likes.
fn parse_pin(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "bad pin, use sha256: and 64 hexadecimal digits".to_owned();
    let digits = text.trim();
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits).replace(':', "");
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut pin = [0; 32];
    for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(pin)
}

/// A JSON object of strings, or lines `Name: value`.
fn parse_headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    if text.trim_start().starts_with('{') {
        // The parser's own message would quote values.
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|_| "headers are no JSON object".to_owned())?;
        for (name, value) in object {
            let value = value.as_str().ok_or_else(|| format!("header {name:?} is no string"))?;
            headers.push((name, value.to_owned()));
        }
    } else {
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            let (name, value) = line.split_once(':').ok_or("header line without a colon")?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    for (name, value) in &headers {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(format!("bad header name {name:?}"));
        }
        if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("header {name} belongs to the handshake"));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(format!("control character in header {name}"));
        }
    }
    Ok(headers)
}

/// RFC 9110 5.6.2.
fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// A bad target for the log: what stands before an `@` may be a password.
fn without_secret(target: &str) -> &str {
    target.rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[(&str, &str)]) -> Result<Option<Answer>, ResolveError> {
        Answer::from_fields(fields.iter().copied(), false)
    }

    #[test]
    fn targets() {
        type Case = (&'static [(&'static str, &'static str)], Option<&'static str>);
        let table: &[Case] = &[
            (&[("target", "10.0.0.5:6901")], Some("ws://10.0.0.5:6901")),
            (&[("TARGET", " 10.0.0.5:6901 ")], Some("ws://10.0.0.5:6901")),
            (&[("target", "wss://h/x")], Some("wss://h:443/x")),
            (&[("target", "wss://h/x"), ("path", "/y")], Some("wss://h:443/y")),
            (&[("target", "h:1"), ("scheme", "wss")], Some("wss://h:1")),
            (&[("target", "ws+unix:/run/a")], Some("ws+unix:/run/a")),
            (&[("host", "10.0.0.5"), ("port", "6901")], Some("ws://10.0.0.5:6901")),
            (&[("host", "fd00::5"), ("port", "6901")], Some("ws://[fd00::5]:6901")),
            (&[("host", "[fd00::5]"), ("port", "6901")], Some("ws://[fd00::5]:6901")),
            (&[("host", "h"), ("port", "1"), ("scheme", "https")], Some("wss://h:1")),
            (&[("host", "h"), ("port", "1"), ("unknown", "x")], Some("ws://h:1")),
            (&[("target", "")], None),
            (&[("target", ""), ("state", "running")], None),
            (&[("host", ""), ("port", "")], None),
            (&[("port", "6901")], None),
            (&[], None),
        ];
        for (fields, expected) in table {
            let got = answer(fields).unwrap().map(|a| a.target.unwrap().to_string());
            assert_eq!(got.as_deref(), *expected, "{fields:?}");
        }
        let tls = Answer::from_fields([("target", "h:1")], true).unwrap().unwrap();
        assert!(tls.target.unwrap().tls && !tls.scheme_given);
    }

    #[test]
    fn a_container_without_address_may_be_starting() {
        for fields in [
            &[("state", "creating")][..],
            &[("state", "creating"), ("host", "10.0.0.5")],
            &[("state", "creating"), ("host", "10.0.0.5"), ("port", "0")],
        ] {
            let got = answer(fields).unwrap().unwrap();
            assert_eq!((got.target.clone(), got.is_running()), (None, false), "{got:?}");
        }
        let running = answer(&[("state", "Running"), ("target", "h:1")]).unwrap().unwrap();
        assert!(running.is_running());
    }

    #[test]
    fn bad_fields_fail() {
        let table: &[&[(&str, &str)]] = &[
            &[("target", "10.0.0.5")],
            &[("target", "10.0.0.5:0")],
            &[("target", "ftp://h:1")],
            &[("target", "u@h:1")],
            &[("target", "h:1\r\nX: y")],
            &[("target", "ws://h:1/?q")],
            &[("target", "NULL")],
            &[("target", "wss://h:1"), ("scheme", "ws")],
            &[("target", "h:1"), ("scheme", "ftp")],
            &[("host", "h")],
            &[("host", "http://h"), ("port", "1")],
            &[("host", "h:1"), ("port", "1")],
            &[("host", "h"), ("port", "1/../")],
            &[("target", "h:1"), ("path", "x")],
            &[("target", "h:1"), ("path", "/a b")],
            &[("target", "h:1"), ("path", "/a?b")],
            &[("target", "h:1"), ("username", "a\r\nb")],
            &[("target", "h:1"), ("username", "a:b")],
            &[("target", "h:1"), ("password", "a\nb")],
            &[("target", "h:1"), ("id", "a\0b")],
            &[("target", "h:1"), ("pin", "abc")],
            &[("target", "h:1"), ("pin", "sha1:00")],
            &[("target", "h:1"), ("expires", "soon")],
            &[("target", "h:1"), ("expires", "1.2.3")],
            &[("target", "h:1"), ("expires", "2026-13-01 00:00:00")],
            &[("target", "h:1"), ("headers", "X")],
            &[("target", "h:1"), ("headers", "X Y: z")],
            &[("target", "h:1"), ("headers", ": z")],
            &[("target", "h:1"), ("headers", "Upgrade: h2c")],
            &[("target", "h:1"), ("headers", "a: b\rX: y")],
            &[("target", "h:1"), ("headers", "{\"a\":\"b\\r\\nc\"}")],
            &[("target", "h:1"), ("headers", "{\"a\\n\":\"b\"}")],
            &[("target", "h:1"), ("headers", "{\"a\":1}")],
            &[("target", "h:1"), ("headers", "{")],
        ];
        for fields in table {
            assert!(matches!(answer(fields), Err(ResolveError::Malformed(_))), "{fields:?}");
        }
    }

    #[test]
    fn times() {
        let table = [
            ("1700000000", 1_700_000_000_000),
            ("1700000000.5", 1_700_000_000_500),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14 22:13:20", 1_700_000_000_000),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
            ("2023-11-14 22:13:20.250", 1_700_000_000_250),
        ];
        for (text, milliseconds) in table {
            let expected = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn headers_and_pins() {
        let expected = vec![("X-A".to_owned(), "b: c".to_owned()), ("Y".into(), "z".into())];
        for text in ["X-A: b: c\r\nY:z\n", "{\"X-A\": \"b: c\", \"Y\": \"z\"}"] {
            assert_eq!(parse_headers(text), Ok(expected.clone()), "{text}");
        }
        let hex = "0a".repeat(32);
        assert_eq!(parse_pin(&format!("sha256:{hex}")), Ok([10; 32]));
        assert_eq!(parse_pin(&["0A"; 32].join(":")), Ok([10; 32]));
    }

    #[test]
    fn secrets_are_masked() {
        let answer = answer(&[
            ("target", "h:1"),
            ("username", "kasm"),
            ("password", "hunter2"),
            ("headers", "Authorization: Bearer t0ken"),
        ]);
        let shown = format!("{answer:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("t0ken"), "{shown}");
        assert_eq!(shown.matches("MASKED").count(), 2, "{shown}");
    }
}
