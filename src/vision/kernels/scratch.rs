//! Working memory of a thread, kept between calls.

use std::cell::RefCell;

/// Values to a cache line.
pub(super) const LINE: usize = 16;

thread_local! {
    static MEMORY: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `len` values of this thread's memory, aligned to a cache line; they hold
/// whatever was there before. `work` must not call rayon, which could come back to this thread.
pub(super) fn with<R>(len: usize, work: impl FnOnce(Pieces<'_>) -> R) -> R {
    MEMORY.with_borrow_mut(|memory| {
        if memory.len() < len + LINE {
            // Not `resize`, which would copy what nobody reads.
            *memory = Vec::new();
            memory.resize(len + LINE, 0.0);
        }
        let skip = memory.as_ptr().align_offset(LINE * size_of::<f32>());
        work(Pieces(&mut memory[skip..skip + len]))
    })
}

/// Returns how much a piece of `len` values takes.
pub(super) fn piece(len: usize) -> usize {
    len.next_multiple_of(LINE)
}

/// Memory to be cut into pieces.
pub(super) struct Pieces<'a>(&'a mut [f32]);

impl<'a> Pieces<'a> {
    /// Returns what is left, to be cut again in the next round of a loop.
    pub(super) fn again(&mut self) -> Pieces<'_> {
        Pieces(self.0)
    }

    /// Cuts off the next `len` values, at a cache line.
    pub(super) fn take(&mut self, len: usize) -> &'a mut [f32] {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(piece(len));
        self.0 = rest;
        &mut taken[..len]
    }
}
