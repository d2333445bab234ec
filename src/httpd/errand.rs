//! Work for one of the MPM's worker threads, sent from a runtime thread: what may block, and what
//! must run where httpd's handlers run.

use crate::ffi;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

type Work = Box<dyn FnOnce() + Send>;

/// Work under way to a worker thread. Done once, by the worker or by who takes it back.
pub struct Errand(Arc<Mutex<Option<Work>>>);

impl Errand {
    /// Sends `work` to a worker thread, behind the connections that wait for one. Only on event;
    /// elsewhere, and if httpd does not take it, it can be taken back at once.
    pub fn send(work: impl FnOnce() + Send + 'static) -> Errand {
        let errand = Errand(Arc::new(Mutex::new(Some(Box::new(work)))));
        let baton = Arc::into_raw(errand.0.clone()).cast_mut().cast();
        // SAFETY: the MPM gives the baton back to `run`, once, or never if the child stops first.
        let status = unsafe { ffi::ap_mpm_register_timed_callback(0, Some(run), baton) };
        if status != 0 {
            // SAFETY: httpd did not keep the baton.
            drop(unsafe { Arc::from_raw(baton.cast::<Mutex<Option<Work>>>()) });
        }
        errand
    }

    /// The work, if no worker has begun with it: a child that stops may have none left.
    pub fn take_back(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

httpd_entry! {
    fn run(baton: *mut c_void) = (); {
        // SAFETY: `send` made the baton, and httpd calls this once for it.
        let errand = Errand(unsafe { Arc::from_raw(baton.cast::<Mutex<Option<Work>>>()) });
        if let Some(work) = errand.take_back() {
            work();
        }
    }
}
