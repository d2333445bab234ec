//! Gives blocks of APR's memory back to the kernel, neighbours in one call. With each `munmap` all
//! cores that run this process have to forget addresses: block by block, as APR does it, that was
//! 8 % of what a short WebSocket cost.

use crate::ffi;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

/// Gives blocks back that belong to the caller.
///
/// # Safety
/// All must come from an allocator of APR, and none may be used afterwards.
pub unsafe fn give_back(blocks: &[NonNull<ffi::apr_memnode_t>]) {
    // SAFETY: the caller guarantees the blocks. Where APR maps them, each is a mapping from its first
    // byte to its end (S25); elsewhere APR takes it back itself.
    unsafe {
        if !apr_maps_blocks() {
            return blocks.iter().for_each(|block| free(*block));
        }
        for run in runs(blocks.iter().map(|block| span(*block)).collect()) {
            libc::munmap(run.start as *mut c_void, run.len());
        }
    }
}

/// From a block's first byte to behind its last.
///
/// # Safety
/// `block` must be a block of APR's.
unsafe fn span(block: NonNull<ffi::apr_memnode_t>) -> Range<usize> {
    // SAFETY: the caller guarantees the block.
    let end = unsafe { (*block.as_ptr()).endp };
    block.as_ptr() as usize..end as usize
}

/// Neighbours as one, in order of their addresses.
fn runs(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| span.start);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match runs.last_mut() {
            Some(run) if run.end == span.start => run.end = span.end,
            _ => runs.push(span),
        }
    }
    runs
}

/// APR's own way back to the system.
///
/// # Safety
/// As for [`give_back`].
unsafe fn free(block: NonNull<ffi::apr_memnode_t>) {
    let mut allocator = ptr::null_mut();
    // SAFETY: the allocator is ours, and so is the block; both are gone afterwards.
    unsafe {
        if ffi::apr_allocator_create(&mut allocator) == 0 {
            (*block.as_ptr()).next = ptr::null_mut();
            ffi::apr_allocator_free(allocator, block.as_ptr());
            ffi::apr_allocator_destroy(allocator);
        }
    }
}

/// APR was built to take its blocks from `mmap` (as Debian's is), not from `malloc`. It does not say
/// so; but then blocks are whole pages, which are gone when they were given back. A `malloc` whose
/// blocks happen to begin with a page keeps them.
fn apr_maps_blocks() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let mut allocator = ptr::null_mut();
        // SAFETY: allocator and blocks are ours. mincore looks at addresses and follows none.
        unsafe {
            if ffi::apr_allocator_create(&mut allocator) != 0 {
                return false;
            }
            let blocks = [(); 2].map(|()| NonNull::new(ffi::apr_allocator_alloc(allocator, 1)));
            let spans = blocks.map(|block| block.map(|block| span(block)));
            for block in blocks.into_iter().flatten() {
                ffi::apr_allocator_free(allocator, block.as_ptr());
            }
            ffi::apr_allocator_destroy(allocator);
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let mut seen = [0; 64];
            spans.iter().all(|span| {
                span.as_ref().is_some_and(|span| {
                    span.start % page == 0
                        && span.len() % page == 0
                        && span.len() / page <= seen.len()
                        && libc::mincore(span.start as *mut c_void, span.len(), seen.as_mut_ptr())
                            != 0
                })
            })
        }
    })
}
