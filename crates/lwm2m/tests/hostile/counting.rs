//! An allocator that counts, by threads: what a machine holds is what its thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that are allocated.
pub struct Counting;

fn count(change: impl FnOnce(usize) -> usize) {
    let live = change(LIVE.get());
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: every method is the system's, with the same arguments; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|live| live.wrapping_add(layout.size()));
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // What another thread allocated may be freed here.
        count(|live| live.saturating_sub(layout.size()));
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The bytes that this thread holds.
pub fn live() -> usize {
    LIVE.get()
}

/// The most bytes that it has held.
#[allow(dead_code, reason = "the tests have no use for it")]
pub fn peak() -> usize {
    PEAK.get()
}
