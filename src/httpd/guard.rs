//! The panic boundary. Every function that httpd calls is made by `httpd_entry!`, so that a
//! panic costs one request and not the child with all its sessions.

use super::log;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// Runs `body`; a panic inside it gives `fallback()` instead. The panic itself is logged by the
/// hook that [`log_panics`] sets.
pub fn guard<T>(fallback: impl FnOnce() -> T, body: impl FnOnce() -> T) -> T {
    // A body leaves nothing half-done that a later call would trust: shared state has its own
    // locks, everything else belongs to the one request.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| fallback())
}

/// From now on a panic on any thread of this process is one line at crit. Called in the child,
/// before its threads start.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("(no message)");
        log::server(log::Level::Crit, &format!("panic: {what} at {place}: a bug in mod_wsroute"));
    }));
}

/// Declares an `extern "C"` function for httpd to call: `fn name(args) -> type = fallback; { body }`.
/// The body may assume what httpd guarantees for that hook; it runs behind [`guard`].
macro_rules! httpd_entry {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $fallback:expr; $body:block) => {
        $(#[$meta])*
        pub unsafe extern "C" fn $name($($arg: $ty),*) $(-> $ret)? {
            $crate::httpd::guard::guard(|| $fallback, move || $body)
        }
    };
}

/// Runs a future behind the boundary: `None` if it panicked.
pub async fn guard_future<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    })
    .await
}
