//! A view of httpd's `request_rec`, and the owned copy of what the other folders need of it.

use super::{pool, table};
use crate::ffi;
use crate::upgrade::{Request, path};
use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::ptr::NonNull;

/// A request that httpd keeps alive for `'r`. Not `Send`: use it on the thread that owns the
/// request only.
#[derive(Clone, Copy)]
pub struct RequestRef<'r> {
    r: NonNull<ffi::request_rec>,
    life: PhantomData<&'r ffi::request_rec>,
}

impl<'r> RequestRef<'r> {
    /// # Safety
    /// `r` must be a live request that only this thread touches for `'r`.
    pub unsafe fn new(r: *mut ffi::request_rec) -> Option<RequestRef<'r>> {
        NonNull::new(r).map(|r| RequestRef { r, life: PhantomData })
    }

    /// The raw pointer, for the callers of httpd.
    pub fn as_ptr(&self) -> *mut ffi::request_rec {
        self.r.as_ptr()
    }

    /// The pool that lives as long as the request.
    pub fn pool(&self) -> *mut ffi::apr_pool_t {
        // SAFETY: `new` guarantees a live request.
        unsafe { (*self.as_ptr()).pool }
    }

    /// The connection it came on.
    pub fn connection(&self) -> *mut ffi::conn_rec {
        // SAFETY: `new` guarantees a live request; httpd gives each one a connection.
        unsafe { (*self.as_ptr()).connection }
    }

    /// The virtual host.
    pub fn server(&self) -> *mut ffi::server_rec {
        // SAFETY: `new` guarantees a live request.
        unsafe { (*self.as_ptr()).server }
    }

    /// The merged per-directory configuration vector.
    pub fn per_dir_config(&self) -> *mut ffi::ap_conf_vector_t {
        // SAFETY: `new` guarantees a live request.
        unsafe { (*self.as_ptr()).per_dir_config }
    }

    /// The request came from a client, not from httpd itself: no subrequest, no error document.
    pub fn is_from_client(&self) -> bool {
        // SAFETY: `new` guarantees a live request; httpd keeps those it was redirected from.
        unsafe {
            let mut r = self.as_ptr();
            if !(*r).main.is_null() {
                return false;
            }
            while !(*r).prev.is_null() {
                r = (*r).prev;
                if (*r).status >= 400 {
                    return false;
                }
            }
            true
        }
    }

    /// httpd redirected another request to this one (RewriteRule in a directory, Action, a CGI's
    /// Location). What did so does not know of suspended connections.
    pub fn is_redirected(&self) -> bool {
        // SAFETY: `new` guarantees a live request.
        unsafe { !(*self.as_ptr()).prev.is_null() }
    }

    /// Keeps modules that serve files (mod_dir, mod_negotiation) from turning the request's path
    /// into that of a file: it is taken for one that has its file already.
    pub fn take_for_a_file(&self) {
        // SAFETY: `new` guarantees a live request on its own thread.
        unsafe { (*self.as_ptr()).finfo.filetype = ffi::apr_filetype_e_APR_REG }
    }

    /// The request is of an HTTP/2 stream (a secondary connection).
    pub fn is_http2(&self) -> bool {
        // SAFETY: `connection` is live.
        unsafe { !(*self.connection()).master.is_null() }
    }

    /// A header line is there: a look that costs nothing, for requests that are no upgrades.
    pub fn has_header(&self, name: &CStr) -> bool {
        // SAFETY: `new` guarantees a live request and its tables.
        unsafe { !ffi::apr_table_get((*self.as_ptr()).headers_in, name.as_ptr()).is_null() }
    }

    /// The first line of a request header.
    pub fn header_in(&self, name: &CStr) -> Option<String> {
        // SAFETY: `new` guarantees a live request; a table's values are C strings.
        unsafe { text(ffi::apr_table_get((*self.as_ptr()).headers_in, name.as_ptr())) }
    }

    /// The authenticated user.
    pub fn user(&self) -> Option<String> {
        // SAFETY: `new` guarantees a live request.
        unsafe { text((*self.as_ptr()).user) }
    }

    /// Copies all that detection, routing and the upstream handshake need.
    pub fn snapshot(&self, scope: Option<&str>) -> Request {
        // SAFETY: `new` guarantees a live request; its strings are C strings or NULL.
        unsafe {
            let r = &*self.as_ptr();
            let uri = text(r.uri).unwrap_or_else(|| "/".into());
            let (raw_path, query) = self.raw_target(&uri);
            let scheme = CStr::from_ptr(ffi::ap_run_http_scheme(r));
            Request {
                method: text(r.method).unwrap_or_default(),
                http11: r.proto_num >= 1001,
                path: uri,
                raw_path,
                query,
                headers: lines(r.headers_in, self.is_http2()),
                host: text(r.hostname).unwrap_or_default().trim_end_matches('.').to_lowercase(),
                user: text(r.user),
                client: text(r.useragent_ip)
                    .and_then(|ip| ip.parse().ok())
                    .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                https: scheme == c"https",
                scope: scope.map(str::to_owned),
            }
        }
    }

    /// The path as the client sent it, unless httpd changed it (a rewrite, dot segments): then
    /// what httpd made of it, encoded again. And the query.
    ///
    /// # Safety
    /// As `new` guarantees.
    unsafe fn raw_target(&self, uri: &str) -> (String, Option<String>) {
        // SAFETY: `new` guarantees a live request.
        unsafe {
            let r = &*self.as_ptr();
            let query = text(r.args);
            let sent = text(r.unparsed_uri).unwrap_or_default();
            let sent = match sent.split_once("://") {
                Some((_, rest)) if !sent.starts_with('/') => {
                    rest.find('/').map_or("/", |i| &rest[i..]).to_owned()
                }
                _ => sent,
            };
            let sent = sent.split('?').next().unwrap_or("/");
            if path::means(sent, CStr::from_ptr(r.uri).to_bytes()) {
                return (sent.to_owned(), query);
            }
            let c_uri = CString::new(uri).unwrap_or_default();
            let escaped = ffi::ap_os_escape_path(r.pool, c_uri.as_ptr(), 1);
            (text(escaped).unwrap_or_else(|| "/".into()), query)
        }
    }

    /// The answer's status so far.
    pub fn set_status(&self, status: u16, line: Option<&str>) {
        // SAFETY: `new` guarantees a live request; the line is copied into its pool.
        unsafe {
            let r = self.as_ptr();
            (*r).status = status.into();
            if let Some(line) = line {
                (*r).status_line = pool::c_string((*r).pool, line);
            }
        }
    }

    /// Takes away the answer's headers so far.
    pub fn clear_headers_out(&self) {
        // SAFETY: `new` guarantees a live request and its tables.
        unsafe { ffi::apr_table_clear((*self.as_ptr()).headers_out) }
    }

    /// Adds a header line to the answer. Content-Type takes its own way, as httpd wants it.
    pub fn add_header_out(&self, name: &str, value: &[u8]) {
        let Ok(c_value) = CString::new(value) else { return };
        // SAFETY: `new` guarantees a live request and its tables; both strings are copied.
        unsafe {
            let r = self.as_ptr();
            if name.eq_ignore_ascii_case("Content-Type") {
                ffi::ap_set_content_type(r, ffi::apr_pstrdup((*r).pool, c_value.as_ptr()));
                return;
            }
            let Ok(c_name) = CString::new(name) else { return };
            ffi::apr_table_add((*r).headers_out, c_name.as_ptr(), c_value.as_ptr());
        }
    }

    /// Sets a header that error answers carry, too.
    pub fn set_error_header(&self, name: &CStr, value: &str) {
        self.set_in(|r| r.err_headers_out, name, value);
    }

    /// One more such header.
    pub fn add_error_header(&self, name: &CStr, value: &str) {
        let value = CString::new(value.replace('\0', " ")).unwrap_or_default();
        // SAFETY: `new` guarantees a live request and its tables; both strings are copied.
        unsafe {
            let table = (*self.as_ptr()).err_headers_out;
            ffi::apr_table_add(table, name.as_ptr(), value.as_ptr());
        }
    }

    /// Sets a header of the client's request, or takes it away: what other modules send on.
    pub fn replace_header_in(&self, name: &str, value: Option<&[u8]>) {
        let Ok(name) = CString::new(name) else { return };
        // SAFETY: `new` guarantees a live request and its tables; both strings are copied.
        unsafe {
            let table = (*self.as_ptr()).headers_in;
            match value.and_then(|value| CString::new(value).ok()) {
                Some(value) => ffi::apr_table_set(table, name.as_ptr(), value.as_ptr()),
                None => ffi::apr_table_unset(table, name.as_ptr()),
            }
        }
    }

    /// The request target begins with a path (`OPTIONS *` has none, nor has CONNECT).
    pub fn names_a_path(&self) -> bool {
        // SAFETY: `new` guarantees a live request; its URI is a C string or NULL.
        unsafe {
            let r = &*self.as_ptr();
            !r.uri.is_null()
                && *r.uri == b'/' as c_char
                && r.method_number != ffi::M_CONNECT as c_int
        }
    }

    /// Makes the request mod_proxy's, as `SetHandler proxy:...` does, whatever a ProxyPass or a
    /// RewriteRule wanted of it. `uri` is encoded as it shall be sent, with its query.
    pub fn take_for_mod_proxy(&self, handler: &str, uri: &str) {
        self.set_note(c"proxy-nocanon", "1");
        // SAFETY: `new` guarantees a live request on its own thread; both strings are copied.
        unsafe {
            let r = self.as_ptr();
            (*r).proxyreq = ffi::PROXYREQ_NONE as c_int;
            (*r).handler = pool::c_string((*r).pool, handler);
            (*r).filename = pool::c_string((*r).pool, uri).cast_mut();
        }
    }

    /// Sets an environment variable, for logs and other modules; also in the requests that httpd
    /// redirected to this one: the access log looks at the first or at the last one.
    pub fn set_env(&self, name: &CStr, value: &str) {
        self.set_in(|r| r.subprocess_env, name, value);
        // SAFETY: `new` guarantees a live request; those that led to it live as long.
        let earlier = unsafe { RequestRef::new((*self.as_ptr()).prev) };
        if let Some(earlier) = earlier {
            earlier.set_env(name, value);
        }
    }

    /// Sets a note.
    pub fn set_note(&self, name: &CStr, value: &str) {
        self.set_in(|r| r.notes, name, value);
    }

    fn set_in(
        &self,
        table: impl Fn(&ffi::request_rec) -> *mut ffi::apr_table_t,
        name: &CStr,
        value: &str,
    ) {
        let value = CString::new(value.replace('\0', " ")).unwrap_or_default();
        // SAFETY: `new` guarantees a live request and its tables; both strings are copied.
        unsafe { ffi::apr_table_set(table(&*self.as_ptr()), name.as_ptr(), value.as_ptr()) }
    }

    /// Gives an error answer of ours a text that says what is wrong, unless there is an
    /// `ErrorDocument` for it (httpd's own text for 426 speaks of SSL).
    pub fn explain(&self, status: u16, text: &str) {
        let r = self.as_ptr();
        // SAFETY: `new` guarantees a live request; the text is copied into its pool.
        unsafe {
            let index = ffi::ap_index_of_response(status.into());
            if ffi::ap_response_code_string(r, index).is_null() {
                ffi::ap_custom_response(r, status.into(), pool::c_string((*r).pool, text));
            }
        }
    }

    /// What the access log calls `%B`.
    pub fn set_bytes_sent(&self, bytes: u64) {
        // SAFETY: `new` guarantees a live request. mod_log_config asks whether a body was counted.
        unsafe {
            (*self.as_ptr()).sent_bodyct = 1;
            (*self.as_ptr()).bytes_sent = bytes as ffi::apr_off_t;
        }
    }

    /// Sends a 101 with the headers set so far; blocks up to httpd's `Timeout` if the client does
    /// not read. False if the client is gone.
    pub fn send_switching_protocols(&self) -> bool {
        self.set_status(101, None);
        // SAFETY: `new` guarantees a live request on its own thread.
        unsafe {
            let r = self.as_ptr();
            (*r).status_line = std::ptr::null();
            ffi::ap_send_interim_response(r, 1);
            (*(*r).connection).aborted == 0
        }
    }

    /// Sends a piece of the answer's body; blocks as any httpd handler does. An empty piece ends
    /// nothing. False if the client is gone.
    pub fn send_body(&self, piece: &[u8]) -> bool {
        // SAFETY: `new` guarantees a live request on its own thread. The bucket is transient:
        // filters that keep it copy it before ap_pass_brigade returns.
        unsafe {
            let r = self.as_ptr();
            let alloc = (*(*r).connection).bucket_alloc;
            let brigade = ffi::apr_brigade_create((*r).pool, alloc);
            let bucket =
                ffi::wsroute_transient_bucket(piece.as_ptr().cast::<c_char>(), piece.len(), alloc);
            ffi::wsroute_brigade_append(brigade, bucket);
            let status = ffi::ap_pass_brigade((*r).output_filters, brigade);
            ffi::apr_brigade_destroy(brigade);
            status == 0 && (*(*r).connection).aborted == 0
        }
    }

    /// The connection ends after this answer, and the answer says so.
    pub fn close_after(&self) {
        // SAFETY: `new` guarantees a live request.
        unsafe { (*self.connection()).keepalive = ffi::ap_conn_keepalive_e_AP_CONN_CLOSE }
    }

    /// Does with a handler's result what httpd does: the rest of the answer, or the error page.
    pub fn finish(&self, result: c_int) {
        // SAFETY: `new` guarantees a live request on its own thread.
        unsafe { ffi::ap_die(result, self.as_ptr()) }
    }

    /// Reads and drops the request's body, for mod_http2, which puts an end of stream there.
    pub fn discard_body(&self) -> c_int {
        // SAFETY: `new` guarantees a live request on its own thread.
        unsafe { ffi::ap_discard_request_body(self.as_ptr()) }
    }
}

/// # Safety
/// `s` must be NULL or a C string.
unsafe fn text(s: *const c_char) -> Option<String> {
    // SAFETY: the caller guarantees it.
    (!s.is_null()).then(|| unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned())
}

/// mod_http2 frames the bytes of every open stream as a chunked body; the client sent no such line.
///
/// # Safety
/// `table` must be a live table.
unsafe fn lines(table: *mut ffi::apr_table_t, http2: bool) -> Vec<(String, Vec<u8>)> {
    // SAFETY: the caller guarantees the table; names and values are C strings.
    let all = unsafe { table::entries(table) }.map(|entry| unsafe {
        (text(entry.key).unwrap_or_default(), CStr::from_ptr(entry.val).to_bytes().to_vec())
    });
    let framing = |name: &str| http2 && name.eq_ignore_ascii_case("Transfer-Encoding");
    all.filter(|(name, _)| !framing(name)).collect()
}
