//! The blocks of memory that httpd's pools are made of, from one WebSocket's connection to the next.
//!
//! mpm_event keeps the pool of a connection that ends and uses it again, with its blocks; the pool
//! of a suspended connection it never gets back. To fetch some six blocks anew from the kernel and
//! to give them back was a third of what a short WebSocket cost. So they are kept here, and a new
//! connection's pool, which has none yet, is lent some. They are ordinary blocks of APR: any
//! allocator may get them and give them back.

use super::unmap;
use crate::ffi;
use std::collections::BTreeSet;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many blocks of 8 KiB a connection needs beside the two that mpm_event takes before any module
/// is asked: measured.
const FOR_A_CONNECTION: usize = 4;
/// How many of these its request may have when the session begins; nobody has the others then: measured.
const FOR_THE_REQUEST: usize = 2;
/// How many of these mod_ssl uses for as long as the connection lives: measured.
const FOR_TLS: usize = 1;
/// How many are kept at least: 2 MiB in each child.
const KEPT: usize = 256;
/// How many more there are when these go back to the system, together.
const SURPLUS: usize = 128;
/// How many pools are remembered as having been lent blocks.
const REMEMBERED: usize = 4096;
/// A block of APR's smallest size.
const SMALLEST: usize = 4096;

struct Spare {
    blocks: Vec<NonNull<ffi::apr_memnode_t>>,
    /// Pools that were lent blocks. One that comes by again is one that mpm_event kept, with them.
    lent: BTreeSet<usize>,
}

// SAFETY: a block that no pool has belongs to whoever holds the pointer.
unsafe impl Send for Spare {}

static SPARE: Mutex<Spare> = Mutex::new(Spare { blocks: Vec::new(), lent: BTreeSet::new() });

fn spare() -> MutexGuard<'static, Spare> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spare {
    /// What is to go back to the system now, if anything is, in the order of addresses.
    fn surplus(&mut self) -> Option<Vec<NonNull<ffi::apr_memnode_t>>> {
        let surplus = self.blocks.len().checked_sub(KEPT).filter(|n| *n >= SURPLUS)?;
        // The kernel fills the highest gap first, so what was mapped together lies together: sorted, the
        // lower part is more neighbours than any other choice.
        self.blocks.sort_unstable();
        Some(self.blocks.drain(..surplus).collect())
    }

    /// Gives `n` blocks to the allocator of a pool, if there are as many.
    ///
    /// # Safety
    /// As for [`lend`].
    unsafe fn give(&mut self, n: usize, pool: *mut ffi::apr_pool_t) {
        let Some(kept) = self.blocks.len().checked_sub(n) else { return };
        // SAFETY: the caller guarantees the pool and its allocator; the blocks are ours.
        unsafe { unmap::free(self.blocks.drain(kept..), ffi::apr_pool_allocator_get(pool)) };
    }
}

/// Lends blocks to a connection's pool, if it is a new one (S23).
///
/// # Safety
/// `pool` must be a live pool that no other thread uses during this call; on event with an
/// allocator of its own. Elsewhere nothing was ever taken, and it is not touched.
pub unsafe fn lend(pool: *mut ffi::apr_pool_t) {
    let mut spare = spare();
    if spare.blocks.len() < FOR_A_CONNECTION {
        return;
    }
    if spare.lent.len() >= REMEMBERED {
        spare.lent.clear();
    }
    if spare.lent.insert(pool as usize) {
        // SAFETY: the caller guarantees the pool.
        unsafe { spare.give(FOR_A_CONNECTION, pool) };
    }
}

/// Lends a connection what a request needs.
///
/// # Safety
/// As for [`take_back_spare`].
pub unsafe fn lend_for_a_request(pool: *mut ffi::apr_pool_t) {
    // SAFETY: the caller guarantees the pool.
    unsafe { spare().give(FOR_THE_REQUEST, pool) }
}

/// Takes the blocks back that a connection with its request needs no longer, now that it has no other
/// request to come.
///
/// # Safety
/// `pool` must be a live pool of event's with an allocator of its own that no other thread uses
/// during this call.
pub unsafe fn take_back_spare(pool: *mut ffi::apr_pool_t) {
    // SAFETY: the caller guarantees the pool and its allocator.
    unsafe { take(ffi::apr_pool_allocator_get(pool), FOR_A_CONNECTION - FOR_THE_REQUEST) }
}

/// Destroys the pool of a connection's request, and takes all blocks back that the connection itself
/// does not use.
///
/// # Safety
/// As for [`take_back_spare`]; `request` must be the pool of a request of that connection, and is gone
/// afterwards.
pub unsafe fn destroy_request(
    pool: *mut ffi::apr_pool_t,
    request: *mut ffi::apr_pool_t,
    is_tls: bool,
) {
    let unused = if is_tls { FOR_A_CONNECTION - FOR_TLS } else { FOR_A_CONNECTION };
    // SAFETY: the caller guarantees both pools and their allocator. What `MaxMemFree` says is put back.
    unsafe {
        let allocator = ffi::apr_pool_allocator_get(pool);
        // What a long request had beyond that goes to the system, as far as APR counts it.
        ffi::apr_allocator_max_free_set(allocator, unused * 2 * SMALLEST);
        ffi::apr_pool_destroy(request);
        ffi::apr_allocator_max_free_set(allocator, ffi::ap_max_mem_free as usize);
        take(allocator, unused);
    }
}

/// Destroys a connection's pool and keeps its blocks.
///
/// # Safety
/// As for [`take_back_spare`]; the pool is gone afterwards.
pub unsafe fn destroy(pool: *mut ffi::apr_pool_t) {
    // SAFETY: the caller guarantees the pool and its allocator. Without an owner the allocator
    // outlives the pool; the blocks of the pool are in it then.
    unsafe {
        let allocator = ffi::apr_pool_allocator_get(pool);
        ffi::apr_allocator_owner_set(allocator, ptr::null_mut());
        ffi::apr_pool_destroy(pool);
        take(allocator, FOR_A_CONNECTION);
        ffi::apr_allocator_destroy(allocator);
    }
    let surplus = {
        let mut spare = spare();
        spare.lent.remove(&(pool as usize));
        spare.surplus()
    };
    if let Some(surplus) = surplus {
        // SAFETY: they are ours, and nobody else has them any longer.
        unsafe { unmap::give_back(surplus) }
    }
}

/// Takes `n` blocks out of an allocator. If it has not as many, new ones come from the system, so
/// that the next connection finds them.
unsafe fn take(allocator: *mut ffi::apr_allocator_t, n: usize) {
    let blocks = &mut spare().blocks;
    for _ in 0..n.min((KEPT + SURPLUS).saturating_sub(blocks.len())) {
        // SAFETY: the caller guarantees the allocator; a block that it gives is ours.
        unsafe {
            let Some(block) = NonNull::new(ffi::apr_allocator_alloc(allocator, SMALLEST)) else {
                return;
            };
            if (*block.as_ptr()).index != 1 {
                return ffi::apr_allocator_free(allocator, block.as_ptr());
            }
            blocks.push(block);
        }
    }
}
