//! Sessions that are over, until a thread that may block has logged them and given their
//! connections back. A log may be a pipe whose reader is slow: no place for a runtime thread. To
//! wake another thread costs more than the line itself, so it is done once for all that end
//! within a few milliseconds.

use super::runtime;
use crate::httpd::guard::guard;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// How long an ended session may wait for others.
const TOGETHER: Duration = Duration::from_millis(5);

/// How many are done one after the other: if a log blocks, the rest goes on elsewhere.
const AT_ONCE: usize = 16;

type Work = Box<dyn FnOnce() + Send>;

struct Waiting {
    works: Vec<Work>,
    /// A thread is on its way to do them.
    expected: bool,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { works: Vec::new(), expected: false });

/// Has `work`, which may block, done soon. To be called where a runtime is entered; what is not begun when
/// the child has given up waiting is not done.
pub fn soon(work: impl FnOnce() + Send + 'static) {
    let mut waiting = lock();
    waiting.works.push(Box::new(work));
    if !waiting.expected {
        // It panics where no thread can be started. Then the next one tries again.
        spawn_blocking(do_all);
        waiting.expected = true;
    }
}

fn do_all() {
    thread::sleep(TOGETHER);
    let mut all = {
        let mut waiting = lock();
        waiting.expected = false;
        std::mem::take(&mut waiting.works)
    };
    while all.len() > AT_ONCE {
        let some = all.split_off(all.len() - AT_ONCE);
        spawn_blocking(|| some.into_iter().for_each(now));
    }
    all.into_iter().for_each(now);
}

fn lock() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now(work: Work) {
    // Once the child has given up waiting, httpd frees what the work would use.
    if runtime::child().is_some() {
        guard(|| (), work);
    }
}
