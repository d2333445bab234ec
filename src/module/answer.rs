//! What is answered when there is no 101: a refusal, or the upstream's own answer. All of it goes
//! through httpd as any handler's answer does, on a thread that may block, and the result is what
//! a handler returns.

use super::runtime::Child;
use crate::ffi;
use crate::httpd::connection;
use crate::httpd::log::{self, Level, Level::Info};
use crate::httpd::mpm;
use crate::httpd::request::RequestRef;
use crate::tunnel::Denied;
use crate::upgrade::Malformed;
use crate::upstream::Answered;
use crate::upstream::target::Target;
use std::ffi::c_int;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Pieces of a passed-on body between the runtime and httpd's thread.
const PIECES: usize = 2;

/// Why the client gets no 101.
pub enum Instead {
    /// We refuse.
    Denied(Denied),
    /// The upstream at the target answered something else.
    Answered(Box<Answered>, Target),
    /// The child stops, or a panic (which has its own line).
    Unavailable,
}

impl Instead {
    /// Answers. Blocks as long as the client and the upstream take for it.
    pub fn answer(self, request: &RequestRef, child: &Child, runtime: &Handle) -> c_int {
        match self {
            Instead::Denied(denied) => refuse(request, &denied),
            Instead::Answered(answered, target) => {
                let status = answered.status;
                say(
                    Info,
                    request,
                    &format!(
                        "upstream-declined: {target} answered {status} instead of switching to WebSocket"
                    ),
                );
                pass_on(request, *answered, child, runtime)
            }
            Instead::Unavailable => unavailable(request),
        }
    }
}

/// Why there is no tunnel: the line in the error log, and its event word for the access log and for
/// error documents.
pub fn say(level: Level, request: &RequestRef, text: &str) {
    let word = text.split_once(':').map_or(text, |(word, _)| word);
    request.set_env(c"WSROUTE_REFUSED", word);
    log::request(level, request, || text.to_owned());
}

/// The request wanted to be an upgrade and is none.
pub fn refuse_malformed(request: &RequestRef, why: Malformed) -> c_int {
    let text = format!("not a WebSocket upgrade: {why}");
    say(Info, request, &text);
    request.explain(why.status(), &text);
    if why.status() == 426 {
        request.set_error_header(c"Sec-WebSocket-Version", "13");
        request.set_error_header(c"Upgrade", "websocket");
    }
    why.status().into()
}

/// This child stops; or its runtime did not start, or a panic ended what was asked (both have a
/// line of their own, at crit).
pub fn unavailable(request: &RequestRef) -> c_int {
    let text = match mpm::is_stopping() {
        true => "unavailable: this child of httpd stops",
        false => {
            "unavailable: this child has no runtime, or a panic ended this: see the line at crit"
        }
    };
    say(Info, request, text);
    ffi::HTTP_SERVICE_UNAVAILABLE as c_int
}

/// httpd answers with its error page, or with the ErrorDocument.
pub fn refuse(request: &RequestRef, denied: &Denied) -> c_int {
    let status = denied.status();
    // A browser asks again and again while its container starts: nothing is wrong then.
    let level = if status >= 500 && denied.retry_after().is_none() { Level::Err } else { Info };
    say(level, request, &denied.to_string());
    if let Some(seconds) = denied.retry_after() {
        request.set_error_header(c"Retry-After", &seconds.to_string());
    }
    status.into()
}

/// The upstream's own answer, as it is.
fn pass_on(request: &RequestRef, answered: Answered, child: &Child, runtime: &Handle) -> c_int {
    request.clear_headers_out();
    let line = format!("{} {}", answered.status, answered.reason);
    request.set_status(answered.status, Some(line.trim_end()));
    for (name, value) in &answered.headers {
        request.add_header_out(name, value);
    }
    let (send, mut pieces) = mpsc::channel(PIECES);
    let mut body = answered.body;
    runtime.spawn(child.unless_stopped(async move {
        loop {
            let piece = body.next().await.transpose();
            let last = !matches!(piece, Some(Ok(_)));
            if send.send(piece).await.is_err() || last {
                return;
            }
        }
    }));
    loop {
        match pieces.blocking_recv() {
            Some(Some(Ok(piece))) if request.send_body(&piece) => {}
            Some(None) => return ffi::OK as c_int,
            Some(Some(Ok(_))) => return ffi::OK as c_int, // the client is gone
            Some(Some(Err(_))) | None => {
                // What is missing must not look complete.
                log::request(Info, request, || "upstream-lost: its answer broke off".into());
                connection::mark_closed(request);
                return ffi::OK as c_int;
            }
        }
    }
}
