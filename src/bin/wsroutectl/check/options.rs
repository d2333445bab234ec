//! The request's headers as the options give them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mod_wsroute::upstream::policy::is_token;

use super::Args;
use crate::headers::{self, Headers};

/// Where the password of `--user NAME` may be.
const PASSWORD: &str = "WSROUTECTL_PASSWORD";

/// The given headers, with login and cookies.
///
/// # Errors
/// A value that cannot be sent, or no password.
pub fn headers(args: &Args) -> Result<Headers, String> {
    let mut headers = args.headers.clone();
    if let Some(user) = &args.user {
        let (name, password) = match user.split_once(':') {
            Some((name, password)) => (name, password.to_owned()),
            None => (user.as_str(), password(args)?),
        };
        let credentials = STANDARD.encode(format!("{name}:{password}"));
        headers.push(("Authorization".to_owned(), format!("Basic {credentials}")));
    }
    if let Some(cookie) = &args.cookie {
        headers.push(("Cookie".to_owned(), cookie.clone()));
    }
    let values =
        headers.iter().map(|(_, value)| value).chain(&args.origin).chain(&args.subprotocol);
    match values.into_iter().any(|value| value.contains(['\r', '\n', '\0'])) {
        true => Err("a header has no line breaks, use one -H for each line".to_owned()),
        false => Ok(headers),
    }
}

fn password(args: &Args) -> Result<String, String> {
    if let Some(file) = &args.password_file {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|e| format!("--password-file {}: {e}", file.display()))?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    std::env::var(PASSWORD).map_err(|_| {
        format!("--user has no password, use NAME:PASSWORD, --password-file or {PASSWORD}")
    })
}

/// `Name: value`, with a name that can be sent.
///
/// # Errors
/// Something else.
pub fn header(text: &str) -> Result<(String, String), String> {
    let line = headers::parse(text)?;
    match is_token(&line.0) {
        true => Ok(line),
        false => Err("use \"Name: value\"".to_owned()),
    }
}
