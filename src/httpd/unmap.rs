//! Gives blocks of APR's memory back to the kernel, neighbours in one call. With each `munmap` all
//! cores that run this process have to forget addresses: block by block, as APR does it, that was
//! 8 % of what a short WebSocket cost.

use crate::ffi;
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

/// Gives blocks back that belong to the caller; in the order of addresses, so that neighbours are found.
///
/// # Safety
/// All must come from an allocator of APR, and none may be used afterwards.
pub unsafe fn give_back(blocks: Vec<NonNull<ffi::apr_memnode_t>>) {
    // SAFETY: the caller guarantees the blocks. Where APR maps them, each is a mapping from its first
    // byte to its end (S25); elsewhere an allocator takes them along.
    unsafe {
        if MAPPED.load(Ordering::Relaxed) {
            for run in runs(blocks.into_iter().map(|block| span(block))) {
                libc::munmap(run.start as *mut c_void, run.len());
            }
            return;
        }
        let mut allocator = ptr::null_mut();
        if ffi::apr_allocator_create(&mut allocator) == 0 {
            free(blocks, allocator);
            ffi::apr_allocator_destroy(allocator);
        }
    }
}

/// Gives blocks to an allocator.
///
/// # Safety
/// `allocator` must be live and nobody else's during this call; the blocks must come from one of APR
/// and belong to the caller.
pub unsafe fn free(
    blocks: impl IntoIterator<Item = NonNull<ffi::apr_memnode_t>>,
    allocator: *mut ffi::apr_allocator_t,
) {
    for block in blocks {
        // SAFETY: the caller guarantees both. APR frees a list, and here it ends.
        unsafe {
            (*block.as_ptr()).next = ptr::null_mut();
            ffi::apr_allocator_free(allocator, block.as_ptr());
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

/// Neighbours as one.
fn runs(spans: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match runs.last_mut() {
            Some(run) if run.end == span.start => run.end = span.end,
            _ => runs.push(span),
        }
    }
    runs
}

static MAPPED: AtomicBool = AtomicBool::new(false);

/// Finds out whether APR was built to take its blocks from `mmap` (as Debian's is), not from `malloc`:
/// it does not say so. To be called before the process has other threads: they might map memory
/// where a block has just gone.
pub fn look_at_apr() {
    // Two at a time: malloc has its own bytes between two blocks, so both cannot be whole pages.
    MAPPED.store(is_a_mapping(|| is_a_mapping(|| true)), Ordering::Relaxed);
}

/// A block of APR's is whole pages, which are gone when APR has given it back, and nothing else
/// (pages that guard it) goes with it. `meanwhile` is asked while there is the block.
fn is_a_mapping(meanwhile: impl FnOnce() -> bool) -> bool {
    let page = page_size();
    let mut allocator = ptr::null_mut();
    // SAFETY: allocator and block are ours.
    unsafe {
        if ffi::apr_allocator_create(&mut allocator) != 0 {
            return false;
        }
        let Some(block) = NonNull::new(ffi::apr_allocator_alloc(allocator, 1)) else {
            ffi::apr_allocator_destroy(allocator);
            return false;
        };
        let span = span(block);
        let around = || [span.start - page, span.end].map(is_mapped);
        let (was_mapped, was_around) = (is_mapped(span.start), around());
        let others_are = meanwhile();
        ffi::apr_allocator_free(allocator, block.as_ptr());
        ffi::apr_allocator_destroy(allocator);
        let is_whole = span.start.is_multiple_of(page) && span.len().is_multiple_of(page);
        let went = was_mapped == Some(true) && is_mapped(span.start) == Some(false);
        is_whole && went && was_around == around() && others_are
    }
}

/// Whether there is memory at a page's address; `None` if the kernel does not tell.
fn is_mapped(address: usize) -> Option<bool> {
    let page = page_size();
    let mut seen = [0];
    // SAFETY: mincore looks at addresses, follows none, and writes one byte for each page.
    let status = unsafe {
        libc::mincore((address - address % page) as *mut c_void, page, seen.as_mut_ptr())
    };
    match status {
        0 => Some(true),
        _ if io::Error::last_os_error().raw_os_error() == Some(libc::ENOMEM) => Some(false),
        _ => None,
    }
}

fn page_size() -> usize {
    // SAFETY: it only reads.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}
