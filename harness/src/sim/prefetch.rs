//! Has the processor fetch what is needed next, while it still works on something else.
//!
//! With thousands of nodes, none is in the cache when its turn comes, and a node touches some dozens of lines for each input: that
//! takes longer than the work itself. The next event is known, and so is the node that it goes to.

/// Length of a line of the cache, in bytes.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Begins to fetch all of `value`, without what it points to. Does nothing where the processor offers no such thing.
pub(super) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(value).cast::<i8>();
        for offset in (0..size_of::<T>()).step_by(LINE_BYTES) {
            // SAFETY: a prefetch neither reads nor writes, and faults at no address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
