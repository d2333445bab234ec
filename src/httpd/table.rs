//! APR's tables: header lines, environment variables, notes.

use crate::ffi;
use std::slice;

/// The entries of a table, in order. Their names and values are C strings.
///
/// # Safety
/// `table` must be a live table that nobody changes for `'a`.
pub unsafe fn entries<'a>(
    table: *mut ffi::apr_table_t,
) -> impl Iterator<Item = &'a ffi::apr_table_entry_t> {
    // SAFETY: the caller guarantees the table, which is an array of apr_table_entry_t; an empty one may
    // have no memory.
    let all: &[ffi::apr_table_entry_t] = unsafe {
        let array = &*ffi::apr_table_elts(table);
        match array.nelts {
            0 => &[],
            n => slice::from_raw_parts(array.elts.cast(), n as usize),
        }
    };
    all.iter().filter(|entry| !entry.key.is_null())
}
