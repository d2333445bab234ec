//! mod_ssl's TLS sessions, used without its filters. mod_ssl makes a session, shakes hands, says goodbye and
//! frees it; in between, OpenSSL takes its ciphertext from our memory and leaves it there (a BIO of our own), and
//! no bucket is made for a record.
//!
//! Nothing of OpenSSL is linked here: its functions are looked up in the one that mod_ssl itself is linked
//! with. It must be 3.0 or later; with anything else the filters carry the bytes. (An older one lets clients
//! renegotiate. mod_ssl before 2.4.60 has no other guard against that than its own BIOs.)

use super::connection;
use super::network::Network;
use crate::ffi;
use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::{io, mem};

/// `SSL` of OpenSSL.
pub enum Ssl {}
/// `BIO` of OpenSSL.
pub enum Bio {}
/// `BIO_METHOD` of OpenSSL.
enum BioMethod {}

type BioRead = unsafe extern "C" fn(*mut Bio, *mut c_char, c_int) -> c_int;
type BioWrite = unsafe extern "C" fn(*mut Bio, *const c_char, c_int) -> c_int;
type BioCtrl = unsafe extern "C" fn(*mut Bio, c_int, c_long, *mut c_void) -> c_long;

macro_rules! functions {
    ($($name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// What is used of OpenSSL.
        #[allow(non_snake_case)] // as in OpenSSL's manual
        struct Functions {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl Functions {
            /// # Safety
            /// `module` must stay loaded as long as the result is used.
            unsafe fn of(module: *mut ffi::apr_dso_handle_t) -> Option<Functions> {
                // SAFETY: the caller guarantees the module; OpenSSL has had these types since 1.1.1 or 3.0.
                unsafe {
                    Some(Functions { $($name: mem::transmute::<
                        *mut c_void,
                        unsafe extern "C" fn($($arg),*) $(-> $ret)?
                    >(symbol(module, concat!(stringify!($name), "\0"))?),)* })
                }
            }
        }
    };
}

functions! {
    SSL_read_ex: fn(*mut Ssl, *mut c_void, usize, *mut usize) -> c_int;
    SSL_write_ex: fn(*mut Ssl, *const c_void, usize, *mut usize) -> c_int;
    SSL_get_error: fn(*const Ssl, c_int) -> c_int;
    SSL_has_pending: fn(*const Ssl) -> c_int;
    SSL_get_rbio: fn(*const Ssl) -> *mut Bio;
    SSL_get_wbio: fn(*const Ssl) -> *mut Bio;
    SSL_set0_rbio: fn(*mut Ssl, *mut Bio);
    SSL_set0_wbio: fn(*mut Ssl, *mut Bio);
    SSL_get_ex_data: fn(*const Ssl, c_int) -> *mut c_void;
    SSL_set_ex_data: fn(*mut Ssl, c_int, *mut c_void) -> c_int;
    BIO_meth_new: fn(c_int, *const c_char) -> *mut BioMethod;
    BIO_meth_set_read: fn(*mut BioMethod, BioRead) -> c_int;
    BIO_meth_set_write: fn(*mut BioMethod, BioWrite) -> c_int;
    BIO_meth_set_ctrl: fn(*mut BioMethod, BioCtrl) -> c_int;
    BIO_new: fn(*const BioMethod) -> *mut Bio;
    BIO_set_init: fn(*mut Bio, c_int);
    BIO_up_ref: fn(*mut Bio) -> c_int;
    BIO_set_data: fn(*mut Bio, *mut c_void);
    BIO_get_data: fn(*mut Bio) -> *mut c_void;
    BIO_set_flags: fn(*mut Bio, c_int);
    BIO_clear_flags: fn(*mut Bio, c_int);
    ERR_peek_error: fn() -> c_ulong;
    ERR_error_string_n: fn(c_ulong, *mut c_char, usize);
    ERR_clear_error: fn();
    OPENSSL_version_major: fn() -> c_uint;
}

// OpenSSL's ssl.h and bio.h.
const SSL_ERROR_WANT_READ: c_int = 2;
const SSL_ERROR_ZERO_RETURN: c_int = 6;
const BIO_TYPE_MEM: c_int = 1 | 0x0400;
const BIO_FLAGS_READ: c_int = 1;
const BIO_FLAGS_SHOULD_RETRY: c_int = 8;
const BIO_CTRL_EOF: c_int = 2;
const BIO_CTRL_FLUSH: c_int = 11;

/// So many numbers for what others keep with a session are looked at. mod_ssl has one of the first.
const EX_DATA: c_int = 64;

struct OpenSsl {
    functions: Functions,
    method: NonNull<BioMethod>,
}

// SAFETY: the method is complete before it is shared, and OpenSSL only reads it.
unsafe impl Send for OpenSsl {}
// SAFETY: as above.
unsafe impl Sync for OpenSsl {}

/// Of this child: the parent may load another build of mod_ssl at a restart.
static OPENSSL: OnceLock<Option<OpenSsl>> = OnceLock::new();

/// Asks mod_ssl to be told of its sessions; called while hooks are registered.
pub fn hook() {
    type Hook = unsafe extern "C" fn(*mut ffi::conn_rec, *mut Ssl, c_int) -> c_int;
    // SAFETY: called from the register_hooks function, single-threaded; the type is mod_ssl_openssl.h's.
    unsafe {
        ffi::apr_optional_hook_add(
            c"pre_handshake".as_ptr(),
            Some(mem::transmute::<Hook, unsafe extern "C" fn()>(pre_handshake)),
            ptr::null(),
            ptr::null(),
            ffi::APR_HOOK_MIDDLE as c_int,
        );
    }
}

httpd_entry! {
    /// mod_ssl has made a session for a connection.
    fn pre_handshake(c: *mut ffi::conn_rec, ssl: *mut Ssl, is_proxy: c_int) -> c_int = ffi::DECLINED; {
        if let (Some(c), 0) = (NonNull::new(c), is_proxy) {
            // SAFETY: mod_ssl gives a live connection to the thread that serves it.
            unsafe { connection::keep(c).ssl = NonNull::new(ssl) };
        }
        ffi::DECLINED
    }
}

/// Looks for mod_ssl's OpenSSL, in a child that has just begun.
pub fn find_openssl() {
    OPENSSL.get_or_init(OpenSsl::of_mod_ssl);
}

/// # Safety
/// `module` must be loaded; `name` must end with NUL.
unsafe fn symbol(module: *mut ffi::apr_dso_handle_t, name: &str) -> Option<*mut c_void> {
    let mut found = ptr::null_mut();
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    // SAFETY: the caller guarantees the module.
    let status = unsafe { ffi::apr_dso_sym(&mut found, module, name.as_ptr()) };
    if status == 0 { NonNull::new(found.cast()).map(NonNull::as_ptr) } else { None }
}

impl OpenSsl {
    fn of_mod_ssl() -> Option<OpenSsl> {
        // SAFETY: the child's only thread; mod_ssl stays loaded as long as the child.
        unsafe {
            let module = ffi::ap_find_linked_module(c"mod_ssl.c".as_ptr()).as_ref()?;
            let module = NonNull::new(module.dynamic_load_handle)?;
            let functions = Functions::of(module.as_ptr().cast())?;
            if (functions.OPENSSL_version_major)() < 3 {
                return None;
            }
            let name = c"mod_wsroute".as_ptr();
            let method = NonNull::new((functions.BIO_meth_new)(BIO_TYPE_MEM, name))?;
            (functions.BIO_meth_set_read)(method.as_ptr(), bio_read);
            (functions.BIO_meth_set_write)(method.as_ptr(), bio_write);
            (functions.BIO_meth_set_ctrl)(method.as_ptr(), bio_ctrl);
            Some(OpenSsl { functions, method })
        }
    }
}

/// Has mod_ssl's session, if `c` has one, forget `r`. mod_ssl keeps the last request there and asks it how
/// certificates are verified, also in a handshake that a client ends after the 101 (`SSLVerifyClient` of a section).
/// Without a request it asks the virtual host, as in a connection's first handshake. False if that is not
/// possible, and the request must stay.
///
/// # Safety
/// Both must be live and owned by the caller.
pub unsafe fn forget_request(c: NonNull<ffi::conn_rec>, r: *mut ffi::request_rec) -> bool {
    // SAFETY: the caller guarantees both; the session lives as long as its connection is not shut down. A number
    // that OpenSSL has not given out gives NULL.
    unsafe {
        let Some(ssl) = connection::kept(c).and_then(|kept| kept.ssl) else { return false };
        let Some(openssl) = OPENSSL.get().and_then(Option::as_ref) else { return false };
        let (openssl, ssl) = (&openssl.functions, ssl.as_ptr());
        let mut numbers = 0..EX_DATA;
        let number = numbers.find(|n| (openssl.SSL_get_ex_data)(ssl, *n) == r.cast());
        number.is_some_and(|n| (openssl.SSL_set_ex_data)(ssl, n, ptr::null_mut()) == 1)
    }
}

/// One session of mod_ssl's.
pub struct Tls {
    ssl: NonNull<Ssl>,
    openssl: &'static OpenSsl,
    /// mod_ssl's own way in and out, while ours is in their place.
    theirs: Option<[NonNull<Bio>; 2]>,
}

/// What a read came to.
pub enum Received {
    /// So many bytes.
    Data(usize),
    /// OpenSSL wants more ciphertext, or took some that was no data.
    Nothing,
    /// The client has said goodbye.
    End,
    /// The session is broken: OpenSSL's reason, if it is not the network.
    Broken(Option<String>),
}

impl Tls {
    /// `None` where OpenSSL was not found.
    ///
    /// # Safety
    /// `ssl` must live as long as this value, and nobody else may use it between `attach` and the end of
    /// this value, which gives it back.
    pub unsafe fn new(ssl: NonNull<Ssl>) -> Option<Tls> {
        Some(Tls { ssl, openssl: OPENSSL.get()?.as_ref()?, theirs: None })
    }

    /// Puts `network` below the session. False if that is not possible.
    ///
    /// # Safety
    /// `network` must outlive this value and stay where it is, and must be used by nobody else during a call of
    /// `read` or `write`.
    pub unsafe fn attach(&mut self, network: *mut Network) -> bool {
        let (openssl, ssl) = (&self.openssl.functions, self.ssl.as_ptr());
        // SAFETY: the session lives (see `new`) and has both BIOs, as its handshake is over. `set0` takes one
        // reference to the new one and gives one to the old one back: we hold one more of each.
        unsafe {
            let theirs = [(openssl.SSL_get_rbio)(ssl), (openssl.SSL_get_wbio)(ssl)];
            let [Some(rbio), Some(wbio)] = theirs.map(NonNull::new) else { return false };
            let ours = (openssl.BIO_new)(self.openssl.method.as_ptr());
            let Some(ours) = NonNull::new(ours) else { return false };
            (openssl.BIO_set_init)(ours.as_ptr(), 1);
            (openssl.BIO_set_data)(ours.as_ptr(), network.cast());
            (openssl.BIO_up_ref)(ours.as_ptr());
            for bio in [rbio, wbio] {
                (openssl.BIO_up_ref)(bio.as_ptr());
            }
            (openssl.SSL_set0_rbio)(ssl, ours.as_ptr());
            (openssl.SSL_set0_wbio)(ssl, ours.as_ptr());
            self.theirs = Some([rbio, wbio]);
        }
        true
    }

    /// Leaves the session as mod_ssl had it.
    fn detach(&mut self) {
        if let Some([rbio, wbio]) = self.theirs.take() {
            let (openssl, ssl) = (&self.openssl.functions, self.ssl.as_ptr());
            // SAFETY: the session lives (see `new`); our references to mod_ssl's BIOs go back to it.
            unsafe {
                (openssl.SSL_set0_rbio)(ssl, rbio.as_ptr());
                (openssl.SSL_set0_wbio)(ssl, wbio.as_ptr());
            }
            self.forget_errors();
        }
    }

    /// `network` is below the session.
    pub fn is_attached(&self) -> bool {
        self.theirs.is_some()
    }

    /// Decrypts into `buf`. Once attached.
    pub fn read(&self, buf: &mut [u8]) -> Received {
        let failed = |code| !matches!(code, SSL_ERROR_WANT_READ | SSL_ERROR_ZERO_RETURN);
        let mut given = self.read_once(buf);
        let mut why = None;
        if given.is_err_and(failed) {
            // Perhaps an error lay in the thread's list, from another session.
            why = self.take_error();
            given = self.read_once(buf);
        }
        match given {
            Ok(n) => Received::Data(n),
            Err(SSL_ERROR_WANT_READ) => Received::Nothing,
            Err(SSL_ERROR_ZERO_RETURN) => Received::End,
            // A broken session gives its reason once only.
            Err(_) => Received::Broken(self.take_error().or(why)),
        }
    }

    fn read_once(&self, buf: &mut [u8]) -> Result<usize, c_int> {
        let (openssl, ssl) = (&self.openssl.functions, self.ssl.as_ptr());
        let mut n = 0;
        // SAFETY: the session lives (see `new`); the buffer is as long as is said.
        unsafe {
            match (openssl.SSL_read_ex)(ssl, buf.as_mut_ptr().cast(), buf.len(), &mut n) {
                1 => Ok(n),
                failed => Err((openssl.SSL_get_error)(ssl, failed)),
            }
        }
    }

    /// Decrypted bytes, or ciphertext that was not looked at yet, lie in the session.
    pub fn has_pending(&self) -> bool {
        // SAFETY: the session lives (see `new`).
        unsafe { (self.openssl.functions.SSL_has_pending)(self.ssl.as_ptr()) != 0 }
    }

    /// Encrypts all of `bytes`. Once attached.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let (openssl, ssl) = (&self.openssl.functions, self.ssl.as_ptr());
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut n = 0;
            // SAFETY: the session lives (see `new`); the buffer is as long as is said.
            let done =
                unsafe { (openssl.SSL_write_ex)(ssl, rest.as_ptr().cast(), rest.len(), &mut n) };
            if done != 1 {
                self.forget_errors();
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            rest = &rest[n..];
        }
        Ok(())
    }

    /// OpenSSL's reason for what has just failed.
    fn take_error(&self) -> Option<String> {
        let openssl = &self.openssl.functions;
        let mut text = [0; 256];
        // SAFETY: OpenSSL writes no more than it is told, and ends it with NUL.
        let error = unsafe {
            let error = (openssl.ERR_peek_error)();
            (openssl.ERR_error_string_n)(error, text.as_mut_ptr().cast(), text.len());
            error
        };
        self.forget_errors();
        let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        (error != 0).then(|| text.to_string_lossy().into_owned())
    }

    /// Empties this thread's list of errors, which is one for all sessions.
    fn forget_errors(&self) {
        // SAFETY: it may be called on any thread at any time.
        unsafe { (self.openssl.functions.ERR_clear_error)() }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.detach();
    }
}

/// OpenSSL and the network below one of our BIOs.
///
/// # Safety
/// `bio` must be ours.
unsafe fn below<'a>(bio: *mut Bio) -> Option<(&'static Functions, &'a mut Network)> {
    let openssl = &OPENSSL.get()?.as_ref()?.functions;
    // SAFETY: `attach` set the data, and its caller guarantees the network.
    let network = unsafe { (openssl.BIO_get_data)(bio).cast::<Network>().as_mut() };
    network.map(|network| (openssl, network))
}

httpd_entry! {
    /// OpenSSL wants ciphertext.
    fn bio_read(bio: *mut Bio, data: *mut c_char, len: c_int) -> c_int = -1; {
        // SAFETY: OpenSSL calls this with our BIO and room for `len` bytes.
        unsafe {
            let Some((openssl, network)) = below(bio) else { return -1 };
            (openssl.BIO_clear_flags)(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
            let mut given = 0;
            let status = network.receive(usize::try_from(len).unwrap_or(0), &mut |bytes| {
                ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast(), bytes.len());
                given = bytes.len() as c_int;
            });
            network.count(given as u64);
            match status {
                ffi::APR_SUCCESS => given,
                ffi::APR_EAGAIN => {
                    (openssl.BIO_set_flags)(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
                    -1
                }
                ffi::APR_EOF => 0,
                _ => -1,
            }
        }
    }
}

httpd_entry! {
    /// OpenSSL has ciphertext.
    fn bio_write(bio: *mut Bio, data: *const c_char, len: c_int) -> c_int = -1; {
        // SAFETY: OpenSSL calls this with our BIO and `len` bytes.
        unsafe {
            let (Some((_, network)), Ok(n)) = (below(bio), usize::try_from(len)) else { return -1 };
            network.send_later(std::slice::from_raw_parts(data.cast(), n));
            len
        }
    }
}

httpd_entry! {
    /// Whatever else OpenSSL wants of a BIO.
    fn bio_ctrl(bio: *mut Bio, command: c_int, _number: c_long, _data: *mut c_void) -> c_long = 0; {
        match command {
            BIO_CTRL_FLUSH => 1,
            // SAFETY: OpenSSL calls this with our BIO.
            BIO_CTRL_EOF => unsafe { below(bio) }.is_some_and(|(_, n)| n.has_ended()).into(),
            _ => 0,
        }
    }
}
