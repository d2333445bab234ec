//! What a service says, and what that means.

use reqwest::Response;
use reqwest::header::HeaderMap;

use crate::route::answer::Answer;
use crate::route::resolver::cause::cause;
use crate::route::resolver::{ResolveError, json};

/// A longer answer is none, in bytes.
const BODY_MAX: usize = 64 * 1024;

/// What the names of headers with fields begin with.
const PREFIX: &str = "x-wsroute-";

/// Reads an answer: `X-WsRoute-Target` and other fields in the headers, else the body as
/// [`json::parse`] takes it. 404 and 410 mean that the key is unknown.
///
/// # Errors
/// `Unauthorized` for 401 and 403, `Failed` for any other status that is no success and for a
/// connection that breaks, `Malformed` for an answer that makes no sense or is too long.
pub async fn read(
    response: Response,
    pointer: Option<&str>,
) -> Result<Option<Answer>, ResolveError> {
    let status = response.status();
    match status.as_u16() {
        200..=299 => {}
        code @ (401 | 403) => return Err(ResolveError::Unauthorized(code)),
        404 | 410 => return Ok(None),
        300..=399 => {
            let text =
                format!("it answers {status}, and redirects are not followed, use the final URL");
            return Err(ResolveError::Failed(text));
        }
        _ => return Err(ResolveError::Failed(format!("it answers {status}"))),
    }
    let fields = header_fields(response.headers())?;
    let body = body(response).await?;
    match fields.is_empty() {
        true => json::parse(&body, pointer),
        false => json::from_fields(fields),
    }
}

/// The fields that stand in headers.
fn header_fields(headers: &HeaderMap) -> Result<Vec<(String, String)>, ResolveError> {
    let mut fields = Vec::new();
    for name in headers.keys() {
        let field = name.as_str().strip_prefix(PREFIX).unwrap_or_default();
        if !Answer::has_field(field) {
            continue;
        }
        let mut lines = headers.get_all(name).iter();
        let Some(value) = lines.next() else { continue };
        let text = std::str::from_utf8(value.as_bytes());
        match (text, lines.next()) {
            (Ok(text), None) => fields.push((field.to_owned(), text.to_owned())),
            (Err(_), _) => return Err(malformed(&format!("{name} is not UTF-8"))),
            (_, Some(_)) => return Err(malformed(&format!("{name} is there twice"))),
        }
    }
    Ok(fields)
}

/// The whole body, so that the connection can be used again.
async fn body(mut response: Response) -> Result<String, ResolveError> {
    let mut body = Vec::new();
    let failed = |e| ResolveError::Failed(format!("its answer breaks off: {}", cause(&e)));
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > BODY_MAX {
            return Err(malformed("longer than 64 KiB"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))
}

fn malformed(reason: &str) -> ResolveError {
    ResolveError::Malformed(reason.to_owned())
}
