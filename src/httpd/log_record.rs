//! What the access log will want to know of a request whose memory has gone back to httpd. A request
//! takes 8 KiB and more, which a session that lasts for days does not need: its line in the access
//! log is written from a new request that says the same.

use super::{pool, table};
use crate::ffi;
use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

/// Modules with a hook in the log phase of which it is known what they look at. Others may want the very
/// request that they saw before.
const KNOWN_LOGGERS: [&CStr; 2] = [c"mod_log_config.c", c"mod_logio.c"];

/// Notes of a request that are known to be text. Others may be anything: modules leave pointers there.
const KNOWN_NOTES: [&CStr; 7] = [
    c"ssl-secure-reneg",
    c"proxy-nocanon",
    c"proxy-noquery",
    c"proxy-noencode",
    c"alias-forced-type",
    c"mod_rewrite_rewritten",
    c"mod_rewrite_uri_reduced",
];

static ONLY_KNOWN_LOGGERS: AtomicBool = AtomicBool::new(false);

/// Looks who takes part in a request's end, once all hooks are registered.
pub fn find_loggers() {
    // SAFETY: httpd's array of the hook's links (or NULL) is complete and never changes again; names
    // are the modules' own.
    let only_known = unsafe {
        let links = ffi::ap_hook_get_log_transaction();
        links.is_null()
            || slice::from_raw_parts(
                (*links).elts.cast::<ffi::ap_LINK_log_transaction_t>(),
                (*links).nelts as usize,
            )
            .iter()
            .all(|link| is_known(link.szName, &KNOWN_LOGGERS))
    };
    ONLY_KNOWN_LOGGERS.store(only_known, Ordering::Relaxed);
}

/// A request, as the access log and the error log see it.
pub struct LogRecord {
    server: NonNull<ffi::server_rec>,
    began: ffi::apr_time_t,
    status: c_int,
    method: c_int,
    protocol: c_int,
    port: ffi::apr_port_t,
    /// What `LogLevel` says to this module about this request: a section may have one of its own.
    level: c_int,
    /// The strings and then the tables, in the order of [`texts`] and [`tables`].
    packed: Box<[u8]>,
}

// SAFETY: the server is configuration, read-only as long as the child lives.
unsafe impl Send for LogRecord {}

impl LogRecord {
    /// Of a request that needs no more than this.
    ///
    /// # Errors
    /// Why somebody may still want the request itself, or what a log line may tell that is not kept here.
    ///
    /// # Safety
    /// `r` must be live and owned by this thread.
    pub unsafe fn of(r: *mut ffi::request_rec) -> Result<LogRecord, &'static str> {
        // SAFETY: the caller guarantees the request, and so its strings and tables.
        unsafe {
            let c = (*r).connection;
            if !ONLY_KNOWN_LOGGERS.load(Ordering::Relaxed) {
                return Err("a module has a hook in the log phase");
            }
            if !table::entries((*r).notes).all(|note| is_known(note.key, &KNOWN_NOTES)) {
                return Err("a module has left a note");
            }
            if !ptr::eq((*r).useragent_addr, (*c).client_addr)
                || !ptr::eq((*r).useragent_ip, (*c).client_ip)
            {
                return Err("a module has set another client address");
            }
            if !(*r).parsed_uri.password.is_null() {
                return Err("a password is in its URL");
            }
            if names((*r).per_dir_config) != names((*(*r).server).lookup_defaults) {
                return Err("a section has its own HostnameLookups or UseCanonicalName");
            }
            let mut packed = Vec::with_capacity(512);
            texts(r).into_iter().for_each(|text| pack(&mut packed, *text));
            for table in tables(r) {
                for entry in table::entries(table) {
                    pack(&mut packed, entry.key);
                    pack(&mut packed, entry.val);
                }
                pack(&mut packed, ptr::null());
            }
            Ok(LogRecord {
                server: NonNull::new((*r).server).expect("a request has a server"),
                began: (*r).request_time,
                status: (*r).status,
                method: (*r).method_number,
                protocol: (*r).proto_num,
                port: (*r).parsed_uri.port,
                level: ffi::ap_get_request_module_loglevel(r, crate::module::index()),
                packed: packed.into(),
            })
        }
    }

    /// A request of the connection `c` that looks to the logs like the one that was.
    ///
    /// # Safety
    /// `c` must be the connection of that request, live and owned by this thread.
    pub unsafe fn restore(self, c: *mut ffi::conn_rec) -> NonNull<ffi::request_rec> {
        // SAFETY: the caller guarantees the connection, and with it the new request. Its strings lie in
        // `packed`, which lives until its pool is cleared; httpd's modules do not write to them.
        unsafe {
            let r = ffi::ap_create_request(c);
            (*r).server = self.server.as_ptr();
            (*r).per_dir_config = (*(*r).server).lookup_defaults;
            (*r).request_time = self.began;
            (*r).status = self.status;
            (*r).method_number = self.method;
            (*r).proto_num = self.protocol;
            (*r).parsed_uri.port = self.port;
            self.restore_level(r);
            let packed: &[u8] = &*pool::keep((*r).pool, self.packed);
            let mut rest = packed;
            texts(r).into_iter().for_each(|text| *text = unpack(&mut rest));
            for table in tables(r) {
                while let Some(key) = NonNull::new(unpack(&mut rest).cast_mut()) {
                    ffi::apr_table_addn(table, key.as_ptr(), unpack(&mut rest));
                }
            }
            NonNull::new_unchecked(r)
        }
    }

    /// # Safety
    /// `r` must be live and owned by this thread.
    unsafe fn restore_level(&self, r: *mut ffi::request_rec) {
        let index = crate::module::index();
        // SAFETY: the caller guarantees the request; the server's levels are copied into its pool.
        unsafe {
            let server = self.server.as_ptr();
            if ffi::ap_get_server_module_loglevel(server, index) != self.level {
                let levels = ffi::ap_new_log_config((*r).pool, &(*server).log);
                ffi::ap_set_module_loglevel((*r).pool, levels, index, self.level);
                (*r).log = levels;
            }
        }
    }
}

/// What the core's directives say about the names that a log line may have.
///
/// # Safety
/// `dirs` must be a vector of per-directory configurations of a live configuration or request.
unsafe fn names(dirs: *mut ffi::ap_conf_vector_t) -> [u32; 3] {
    // SAFETY: the caller guarantees the vector; the core has put its own there.
    unsafe {
        let all = dirs.cast::<*const ffi::core_dir_config>();
        let core = &**all.add(ffi::core_module.module_index as usize);
        [core.hostname_lookups(), core.use_canonical_name(), core.use_canonical_phys_port()]
    }
}

/// # Safety
/// `name` must be NULL or a C string.
unsafe fn is_known(name: *const c_char, known: &[&CStr]) -> bool {
    // SAFETY: the caller guarantees it.
    !name.is_null() && known.contains(&unsafe { CStr::from_ptr(name) })
}

/// The strings of a request that a log line may have.
///
/// # Safety
/// `r` must point to a request.
unsafe fn texts(r: *mut ffi::request_rec) -> [*mut *const c_char; 16] {
    // SAFETY: the caller guarantees the request; a pointer to char is one whatever it may be used for.
    unsafe {
        [
            (&raw mut (*r).the_request).cast(),
            (&raw mut (*r).protocol).cast(),
            &raw mut (*r).method,
            &raw mut (*r).hostname,
            (&raw mut (*r).unparsed_uri).cast(),
            (&raw mut (*r).uri).cast(),
            (&raw mut (*r).args).cast(),
            (&raw mut (*r).path_info).cast(),
            (&raw mut (*r).filename).cast(),
            &raw mut (*r).content_type,
            &raw mut (*r).handler,
            (&raw mut (*r).user).cast(),
            (&raw mut (*r).ap_auth_type).cast(),
            &raw mut (*r).log_id,
            (&raw mut (*r).useragent_host).cast(),
            (&raw mut (*r).parsed_uri.port_str).cast(),
        ]
    }
}

/// The tables of a request that a log line may have something of.
///
/// # Safety
/// `r` must point to a request.
unsafe fn tables(r: *mut ffi::request_rec) -> [*mut ffi::apr_table_t; 5] {
    // SAFETY: the caller guarantees the request.
    unsafe {
        let r = &*r;
        [r.headers_in, r.headers_out, r.err_headers_out, r.subprocess_env, r.notes]
    }
}

/// Appends a C string behind a 1, or a 0 for NULL.
///
/// # Safety
/// `text` must be NULL or a C string.
unsafe fn pack(packed: &mut Vec<u8>, text: *const c_char) {
    packed.push(u8::from(!text.is_null()));
    if !text.is_null() {
        // SAFETY: the caller guarantees it.
        packed.extend_from_slice(unsafe { CStr::from_ptr(text) }.to_bytes_with_nul());
    }
}

/// Takes the next string off what [`pack`] made.
fn unpack(rest: &mut &[u8]) -> *const c_char {
    let (there, behind) = rest.split_first().expect("as many as were packed");
    *rest = behind;
    if *there == 0 {
        return ptr::null();
    }
    let text = CStr::from_bytes_until_nul(behind).expect("a NUL was packed");
    *rest = &behind[text.to_bytes_with_nul().len()..];
    text.as_ptr()
}
