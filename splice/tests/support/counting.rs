//! An allocator that counts, per thread, so that tests beside this one do not count.
#![expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; this one hands everything to the system's"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

pub(crate) struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

impl Counting {
    /// Forgets the peak; gives what is allocated now.
    pub(crate) fn reset() -> usize {
        let now = NOW.with(Cell::get);
        PEAK.with(|peak| peak.set(now));
        now
    }

    pub(crate) fn peak() -> usize {
        PEAK.with(Cell::get)
    }

    fn grow(by: usize) {
        // At the end of a thread its cells are gone, and nothing is measured.
        let _ = NOW.try_with(|now| {
            now.set(now.get().wrapping_add(by));
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
        });
    }

    fn shrink(by: usize) {
        let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(by)));
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::shrink(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Large blocks are moved by mapping, so old and new do not lie side by side.
        Self::shrink(layout.size());
        Self::grow(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
