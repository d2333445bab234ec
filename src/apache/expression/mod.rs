//! httpd's expressions, as far as a request head and the command line answer them. What httpd alone
//! knows is an error that says so: a guess could name the wrong container.

mod condition;

use std::collections::HashMap;

use crate::route::Expressions;
use crate::upgrade::Request;

/// What expressions are evaluated for.
pub struct Values<'a> {
    /// The request.
    pub request: &'a Request,
    /// `ServerName`, or the host asked for.
    pub server_name: &'a str,
    /// The port it comes to.
    pub port: u16,
    /// Environment variables (`SetEnvIf`, `RewriteRule [E=]`...) that somebody has told.
    pub environment: &'a HashMap<String, String>,
}

impl Expressions for Values<'_> {
    /// Text with `%{...}` in it.
    fn evaluate(&self, text: &str) -> Result<String, String> {
        let mut value = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("%{") {
            let inside = &rest[at + 2..];
            let end = closing_brace(inside).ok_or_else(|| format!("{text}: a %{{ has no end"))?;
            value.push_str(&rest[..at]);
            value.push_str(&self.variable(&inside[..end])?);
            rest = &inside[end + 1..];
        }
        Ok(value + rest)
    }
}

impl Values<'_> {
    /// Whether the condition of an `<If>` holds.
    ///
    /// # Errors
    /// What cannot be known, or is not understood, as one line.
    pub fn holds(&self, condition: &str) -> Result<bool, String> {
        condition::holds(condition, self)
    }

    /// What stands between `%{` and `}`.
    fn variable(&self, text: &str) -> Result<String, String> {
        match text.split_once(':') {
            Some((function, argument)) => self.function(function, &self.evaluate(argument)?),
            None => self.named(text),
        }
    }

    fn named(&self, name: &str) -> Result<String, String> {
        let request = self.request;
        let header = |name: &str| Ok(request.header(name).unwrap_or_default().to_owned());
        let upper = name.to_ascii_uppercase();
        match upper.as_str() {
            "REMOTE_USER" => Ok(request.user.clone().unwrap_or_default()),
            "REMOTE_ADDR" | "CONN_REMOTE_ADDR" => Ok(request.client.to_string()),
            "REQUEST_URI" => Ok(request.path.clone()),
            "QUERY_STRING" => Ok(request.query.clone().unwrap_or_default()),
            "REQUEST_METHOD" => Ok(request.method.clone()),
            "REQUEST_SCHEME" => Ok(if request.https { "https" } else { "http" }.to_owned()),
            "HTTPS" => Ok(if request.https { "on" } else { "off" }.to_owned()),
            "SERVER_NAME" => Ok(self.server_name.to_owned()),
            "SERVER_PORT" => Ok(self.port.to_string()),
            "SERVER_PROTOCOL" => Ok("HTTP/1.1".to_owned()),
            "HTTP_HOST" => header("Host"),
            "HTTP_REFERER" => header("Referer"),
            "HTTP_USER_AGENT" => header("User-Agent"),
            "HTTP_COOKIE" => header("Cookie"),
            "HTTP_ACCEPT" => header("Accept"),
            "HTTP_FORWARDED" => header("Forwarded"),
            _ => Err(format!("%{{{name}}} is known to httpd only")),
        }
    }

    fn function(&self, name: &str, argument: &str) -> Result<String, String> {
        match name.to_ascii_lowercase().as_str() {
            "http" | "req" | "req_novary" => {
                Ok(self.request.header(argument).unwrap_or_default().to_owned())
            }
            "env" | "reqenv" => self.environment.get(argument).cloned().ok_or_else(|| {
                format!(
                    "%{{{name}:{argument}}} is not known here, set it with --env {argument}=VALUE"
                )
            }),
            "tolower" => Ok(argument.to_lowercase()),
            "toupper" => Ok(argument.to_uppercase()),
            _ => Err(format!("the function {name} is known to httpd only")),
        }
    }
}

/// Where the `}` of a `%{` is that begins before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_values(test: impl Fn(&Values<'_>)) {
        let headers = [("Host", "Desktop-Alice.example.org:8443"), ("X-Desk", "d1")];
        let request = Request {
            headers: headers.map(|(n, v)| (n.to_owned(), v.into())).to_vec(),
            path: "/desktop/alice/ws".into(),
            query: Some("a=b".into()),
            user: Some("Alice".into()),
            https: true,
            ..Request::default()
        };
        let environment = HashMap::from([("desktop".to_owned(), "d7".to_owned())]);
        test(&Values {
            request: &request,
            server_name: "desktop.example.org",
            port: 8443,
            environment: &environment,
        });
    }

    #[test]
    fn texts() {
        let table = [
            ("plain }", Ok("plain }")),
            ("%{REMOTE_USER}", Ok("Alice")),
            ("a-%{tolower:%{REMOTE_USER}}-%{toupper:x}", Ok("a-alice-X")),
            ("%{env:desktop}%{reqenv:desktop}", Ok("d7d7")),
            ("%{HTTP_HOST}", Ok("Desktop-Alice.example.org:8443")),
            ("%{req:x-desk}%{HTTP:X-Desk}%{req:none}", Ok("d1d1")),
            ("%{REQUEST_URI}?%{QUERY_STRING}", Ok("/desktop/alice/ws?a=b")),
            ("%{SERVER_NAME}:%{SERVER_PORT}", Ok("desktop.example.org:8443")),
            ("%{env:other}", Err("set it with --env other=VALUE")),
            ("%{SSL_CLIENT_S_DN_CN}", Err("%{SSL_CLIENT_S_DN_CN} is known to httpd only")),
            ("%{md5:x}", Err("the function md5 is known to httpd only")),
            ("%{REMOTE_USER", Err("a %{ has no end")),
        ];
        with_values(|values| {
            for (text, expected) in &table {
                match (values.evaluate(text), expected) {
                    (Ok(value), Ok(expected)) => assert_eq!(value, *expected, "{text}"),
                    (Err(e), Err(expected)) => assert!(e.contains(expected), "{text}: {e}"),
                    (other, _) => panic!("{text}: {other:?}"),
                }
            }
        });
    }

    #[test]
    fn conditions() {
        let table = [
            ("true", true),
            ("!true || false", false),
            ("%{REMOTE_USER} == 'Alice' && -n %{QUERY_STRING}", true),
            ("%{REMOTE_USER} != \"Alice\"", false),
            ("(false || true) && ! -z 'x'", true),
            ("%{HTTP_HOST} =~ /^desktop-/i", true),
            ("%{HTTP_HOST} !~ m#^desktop-#", true),
            ("%{SERVER_PORT} -eq 8443", true),
            ("%{SERVER_PORT} -lt 443", false),
            ("%{REMOTE_USER} in { 'Bob', 'Alice' }", true),
            ("-R '127.0.0.0/8'", true),
            ("%{REMOTE_ADDR} -ipmatch '10.0.0.0/8'", false),
            ("tolower(%{REMOTE_USER}) == 'alice'", true),
            ("req('X-Desk') == 'd1'", true),
            ("'a' . 'b' == 'ab'", true),
            ("%{REQUEST_URI} -strmatch '/desktop/*'", true),
            ("-T %{HTTPS}", true),
            ("'%{REMOTE_USER}x' == 'Alicex'", true),
        ];
        with_values(|values| {
            for (text, expected) in &table {
                assert_eq!(values.holds(text), Ok(*expected), "{text}");
            }
            for (text, why) in [
                ("%{env:x} == 'a'", "--env x=VALUE"),
                ("-f '/etc/passwd'", "-f"),
                ("%{REMOTE_USER} ==", "is not understood"),
                ("%{REMOTE_USER} == 'a' 'b'", "is not understood"),
                ("%{REMOTE_USER} =~ /(?=x)/", "regular expression"),
            ] {
                let error = values.holds(text).unwrap_err();
                assert!(error.contains(why), "{text}: {error}");
            }
        });
    }
}
