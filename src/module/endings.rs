//! Sessions that are over, until a thread that may block has logged them and given their
//! connections back. A log may be a pipe whose reader is slow: no place for a runtime thread. To
//! wake another thread costs more than the line itself, so it is done once for all that end
//! within a few milliseconds.

use crate::httpd::guard::guard;
use std::cell::RefCell;
use std::time::Duration;

/// How long an ended session may wait for others.
const TOGETHER: Duration = Duration::from_millis(5);

type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    static WAITING: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

/// Has `work`, which may block, done soon. On a runtime thread; what it does not get to before the
/// runtime ends is dropped.
pub fn soon(work: impl FnOnce() + Send + 'static) {
    let waiting = WAITING.with_borrow_mut(|waiting| {
        waiting.push(Box::new(work));
        waiting.len()
    });
    if waiting == 1 {
        tokio::spawn(async {
            tokio::time::sleep(TOGETHER).await;
            let all = WAITING.take();
            tokio::task::spawn_blocking(|| all.into_iter().for_each(|work| guard(|| (), work)));
        });
    }
}
