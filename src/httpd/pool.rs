//! Rust values that live as long as an APR pool.

use crate::ffi;
use std::ffi::{CString, c_char, c_void};

/// Moves `value` to the heap and drops it when `pool` is cleared or destroyed.
///
/// # Safety
/// `pool` must be a live pool, used by no other thread during this call.
pub unsafe fn keep<T>(pool: *mut ffi::apr_pool_t, value: T) -> *mut T {
    let value = Box::into_raw(Box::new(value));
    // SAFETY: the caller guarantees the pool; the cleanup runs once, on the pool's owner.
    unsafe {
        ffi::apr_pool_cleanup_register(
            pool,
            value.cast(),
            Some(drop_kept::<T>),
            Some(ffi::apr_pool_cleanup_null),
        );
    }
    value
}

unsafe extern "C" fn drop_kept<T>(value: *mut c_void) -> ffi::apr_status_t {
    super::guard::guard(
        || (),
        // SAFETY: `keep` made this pointer from a Box, and APR runs a cleanup once.
        || drop(unsafe { Box::from_raw(value.cast::<T>()) }),
    );
    0
}

/// Copies `text` into `pool`; a NUL byte ends it.
///
/// # Safety
/// `pool` must be a live pool, used by no other thread during this call.
pub unsafe fn c_string(pool: *mut ffi::apr_pool_t, text: &str) -> *const c_char {
    let text = CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default();
    // SAFETY: the caller guarantees the pool; apr_pstrdup copies.
    unsafe { ffi::apr_pstrdup(pool, text.as_ptr()) }
}
