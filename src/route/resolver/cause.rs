//! Why a client library failed, for the log.

use std::error::Error;
use std::io;

/// The longest text of somebody else's that is quoted, in bytes.
const LONGEST: usize = 300;

/// The innermost error of a chain as one line: the outer ones say "error sending request".
pub fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match tls_error(innermost) {
        Some(rustls::Error::InvalidCertificate(e)) => {
            format!("the certificate is not acceptable ({e}), use ca=FILE or verify=off")
        }
        _ => one_line(&innermost.to_string()),
    }
}

/// What TLS says, in as many I/O errors as the layers above it have put around it.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(outer) => tls_error(outer.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// A text of somebody else's, fit for a log line.
pub fn one_line(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    text.replace(char::is_control, " ").trim().to_owned()
}
