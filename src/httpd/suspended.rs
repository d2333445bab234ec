//! A request and its connection while they are out of httpd's hands, from the hook that suspends the
//! connection until it is given back.

use super::blocks;
use super::connection::end_request;
use super::log::{self, Level};
use super::log_record::LogRecord;
use super::mod_ssl;
use super::request::RequestRef;
use crate::ffi;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering, fence};
use std::time::{Duration, Instant};

/// After `c->sbh` is NULL the worker writes one more private flag: how long that may take if the
/// scoreboard does not tell. It is counted from the moment when NULL was first seen.
const WORKER_GRACE: Duration = Duration::from_millis(200);

/// A request and its connection while they are out of httpd's hands. Owned by one session.
pub struct Suspended {
    r: NonNull<ffi::request_rec>,
    c: Held,
}

/// The same while the session is at work and the request rests: there is no more of it than the logs
/// will want, if that is enough.
pub struct Resting {
    request: Request,
    c: Held,
}

enum Request {
    Whole(NonNull<ffi::request_rec>),
    Record(LogRecord),
}

/// The connection alone, after its request was logged and freed.
pub struct Held {
    c: NonNull<ffi::conn_rec>,
    /// The scoreboard's entry of the worker that suspended the connection.
    worker: Option<NonNull<ffi::worker_score>>,
    /// When the worker was first seen to have let go.
    released: Option<Instant>,
}

// SAFETY: httpd's thread has let go of both (suspend_connection ran); nothing else refers to them
// but the session that owns this value.
unsafe impl Send for Suspended {}
// SAFETY: as above.
unsafe impl Send for Resting {}
// SAFETY: as above.
unsafe impl Send for Held {}

impl Suspended {
    /// # Safety
    /// The handler that serves `request` must return SUSPENDED, and this value must not be used
    /// before the suspend_connection hook ran for it.
    pub unsafe fn new(request: &RequestRef) -> Suspended {
        let r = NonNull::new(request.as_ptr()).expect("a RequestRef is not NULL");
        let c = NonNull::new(request.connection()).expect("a live request has a connection");
        // SAFETY: the connection is live and still has its handle of the scoreboard.
        let worker =
            unsafe { NonNull::new(ffi::ap_get_scoreboard_worker((*c.as_ptr()).sbh.cast())) };
        Suspended { r, c: Held { c, worker, released: None } }
    }

    /// The request, for notes and log lines.
    pub fn request(&self) -> RequestRef<'_> {
        // SAFETY: the request lives until `log` or `rest`, which take self.
        unsafe { RequestRef::new(self.r.as_ptr()) }.expect("not NULL")
    }

    /// The worker that suspended the connection still has it: it may overwrite the scoreboard of
    /// its next connection. A matter of microseconds.
    pub fn is_held(&mut self) -> bool {
        self.c.is_held()
    }

    /// Frees the memory of the request, if the logs need no more of it than a [`LogRecord`]; on the
    /// thread that drives the connection's filters, not before [`Suspended::is_held`] says no. What
    /// other modules have registered with its pool is done here: httpd's own let go of connections to
    /// databases and LDAP servers, which does not wait for an answer.
    pub fn rest(self, is_tls: bool) -> Resting {
        let Suspended { r, c } = self;
        // SAFETY: we own the request and its connection. As between two requests of a connection that is
        // kept alive, nothing refers to the old one (S24); on event the allocator is the connection's (S23).
        let request = unsafe {
            let pool = (*c.c.as_ptr()).pool;
            let record = match LogRecord::of(r.as_ptr()) {
                Ok(_) if is_tls && !mod_ssl::forget_request(c.c, r.as_ptr()) => {
                    Err("the client's TLS session may refer to it")
                }
                record => record,
            };
            match record {
                Ok(record) => {
                    blocks::destroy_request(pool, (*r.as_ptr()).pool, is_tls);
                    Request::Record(record)
                }
                Err(why) => {
                    if let Some(request) = RequestRef::new(r.as_ptr()) {
                        log::request(Level::Debug, &request, || {
                            format!("its request stays in memory: {why}")
                        });
                    }
                    blocks::take_back_spare(pool);
                    Request::Whole(r)
                }
            }
        };
        Resting { request, c }
    }

    /// Writes the access-log line and frees the request; not before [`Suspended::is_held`] says
    /// no, and after the client's [`Io`](crate::net::Io) was dropped. May block on the log file.
    pub fn log(self) -> Held {
        // SAFETY: we own the request.
        unsafe { end_request(self.r.as_ptr()) };
        self.c
    }
}

impl Resting {
    /// A request for the logs, after the client's [`Io`](crate::net::Io) was dropped.
    pub fn wake(self) -> Suspended {
        let Resting { request, c } = self;
        let r = match request {
            Request::Whole(r) => r,
            // SAFETY: it is the request's own connection, and we own it.
            Request::Record(record) => unsafe {
                let c = c.c.as_ptr();
                blocks::lend_for_a_request((*c).pool);
                record.restore(c)
            },
        };
        Suspended { r, c }
    }
}

impl Held {
    fn is_held(&mut self) -> bool {
        // SAFETY: the connection is live; the worker writes this pointer once, to NULL.
        let sbh = unsafe { AtomicPtr::from_ptr(&raw mut (*self.c.as_ptr()).sbh) };
        let held = !sbh.load(Ordering::Acquire).is_null();
        if !held {
            self.released.get_or_insert_with(Instant::now);
        }
        held
    }

    /// How long to wait until the worker's last write to the connection is surely done.
    pub fn grace(&mut self) -> Option<Duration> {
        if self.is_held() {
            return Some(WORKER_GRACE);
        }
        if self.worker_is_free() {
            return None;
        }
        let released = self.released.unwrap_or_else(Instant::now);
        WORKER_GRACE.checked_sub(released.elapsed()).filter(|left| !left.is_zero())
    }

    /// The worker has come back to its pool, and is idle or gone: then its last write is done. One
    /// that has got another connection meanwhile cannot be told from one that still has this.
    fn worker_is_free(&self) -> bool {
        self.worker.is_some_and(|worker| {
            // SAFETY: the scoreboard is shared memory that outlives the child; one byte is read.
            let status = unsafe { (&raw const (*worker.as_ptr()).status).read_volatile() };
            fence(Ordering::Acquire);
            matches!(u32::from(status), ffi::SERVER_READY | ffi::SERVER_GRACEFUL)
        })
    }

    /// Frees the connection, which lets the MPM know that it is gone. Not before
    /// [`Held::grace`] says `None`.
    pub fn give_back(self) {
        // SAFETY: we own the connection. The state is put back because the MPM's cleanup counts
        // by it; destroying the connection's pool runs that cleanup.
        unsafe {
            let c = self.c.as_ptr();
            (*(*c).cs).state = ffi::conn_state_e_CONN_STATE_SUSPENDED;
            blocks::destroy((*c).pool);
        }
    }
}
