//! Sessions that are over, until a thread that may block has logged them and given their
//! connections back. A log may be a pipe whose reader is slow: no place for a runtime thread. To
//! wake another thread costs more than the line itself, so it is done once for all that end
//! within a few milliseconds.

use super::runtime;
use crate::httpd::guard::guard;
use std::cell::RefCell;
use std::time::Duration;

/// How long an ended session may wait for others.
const TOGETHER: Duration = Duration::from_millis(5);

/// How many are done one after the other: if a log blocks, the rest goes on elsewhere.
const AT_ONCE: usize = 16;

type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    static WAITING: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
}

/// Has `work`, which may block, done soon. To be called on a runtime thread; what is not begun when
/// the child has given up waiting is dropped.
pub fn soon(work: impl FnOnce() + Send + 'static) {
    let waiting = WAITING.with_borrow_mut(|waiting| {
        waiting.push(Box::new(work));
        waiting.len()
    });
    if waiting == 1 {
        tokio::spawn(async {
            tokio::time::sleep(TOGETHER).await;
            let mut all = WAITING.take();
            while !all.is_empty() {
                let some = all.split_off(all.len().saturating_sub(AT_ONCE));
                tokio::task::spawn_blocking(|| some.into_iter().for_each(now));
            }
        });
    }
}

fn now(work: Work) {
    // Once the child has given up waiting, httpd frees what the work would use.
    if runtime::child().is_some() {
        guard(|| (), work);
    }
}
