//! An allocator that counts what the calling thread holds, so that one input's peak can be told.
//!
//! Only the driver and the tests install it. What C libraries allocate for themselves is not seen.

#![expect(
    unsafe_code,
    reason = "an allocator can only be wrapped by implementing an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes allocated less bytes freed by this thread; below zero where it frees what others gave it.
    static HELD: Cell<i64> = const { Cell::new(0) };
    /// The largest value of `HELD` since the last [`measure`] began.
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, with its users counted.
#[derive(Debug)]
pub struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged, so its guarantees hold; counting
// touches two thread-local integers that have no destructor and do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: as above; `pointer` came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        note(size, 0);
        note(0, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn note(more: usize, less: usize) {
    let change = i64::try_from(more).unwrap_or(i64::MAX) - i64::try_from(less).unwrap_or(i64::MAX);
    let held = HELD.get().saturating_add(change);
    HELD.set(held);
    if held > PEAK.get() {
        PEAK.set(held);
    }
}

/// Runs `work` and returns how many bytes this thread held at most beyond what it held before.
/// Always 0 where [`Counting`] is not installed.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    let peak = PEAK.get().saturating_sub(before);
    (result, u64::try_from(peak).unwrap_or(0))
}
