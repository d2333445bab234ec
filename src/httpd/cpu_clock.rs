//! How much CPU time a thread has used.

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::time::Duration;

/// The clock of one thread. It may be asked from any thread.
#[derive(Debug, Default)]
pub struct CpuClock(OnceLock<libc::clockid_t>);

impl CpuClock {
    /// From now on it is the calling thread's.
    pub fn begin(&self) {
        let mut id = MaybeUninit::uninit();
        // SAFETY: the calling thread lives; the id is read only if it was written.
        unsafe {
            if libc::pthread_getcpuclockid(libc::pthread_self(), id.as_mut_ptr()) == 0 {
                let _ = self.0.set(id.assume_init());
            }
        }
    }

    /// What its thread has used so far. Nothing before it has begun, nothing that is true after it has ended.
    pub fn used(&self) -> Duration {
        let Some(id) = self.0.get() else { return Duration::ZERO };
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes the time, or refuses an id without a thread.
        unsafe { libc::clock_gettime(*id, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}
