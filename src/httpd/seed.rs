//! The random bytes that all children of this server sign remember cookies with. They lie in the
//! process's own pool, which outlives the reading of the configuration: a restart forgets nobody.

use crate::ffi;
use crate::route::remember::RememberKey;
use std::ffi::{CStr, c_void};
use std::io;
use std::ptr;

const NAME: &CStr = c"mod_wsroute remember key";

/// The key; made at the first call, which must be in the parent process.
///
/// # Errors
/// There are no random numbers.
///
/// # Safety
/// `pool` must be the process's pool, used by no other thread during this call.
pub unsafe fn remember_key(pool: *mut ffi::apr_pool_t) -> io::Result<RememberKey> {
    let mut kept: *mut c_void = ptr::null_mut();
    // SAFETY: the caller guarantees the pool; what lies there under our name is 32 bytes of ours.
    unsafe {
        ffi::apr_pool_userdata_get(&mut kept, NAME.as_ptr(), pool);
        if !kept.is_null() {
            return Ok(RememberKey::from(kept.cast::<[u8; 32]>().read()));
        }
    }
    let key = RememberKey::random()?;
    // SAFETY: as above; the copy lives in the pool.
    unsafe {
        let copy = ffi::apr_palloc(pool, 32);
        copy.cast::<[u8; 32]>().write(*key.bytes());
        ffi::apr_pool_userdata_set(copy, NAME.as_ptr(), None, pool);
    }
    Ok(key)
}
