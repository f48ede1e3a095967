//! A process-wide pool of f32 buffers: the maps of one training step lie where those of the step
//! before lay.
//!
//! A map of some megabytes that is allocated and freed at each step goes back to the system each
//! time, and comes again as pages to be cleared at first touch. A buffer that is dropped here is
//! kept, and the next `take` of its size class gets it.
//!
//! Bounded: buffers in use and kept ones together stay below the most that was in use at once in
//! the last `WINDOW_TAKES` to twice as many takes, and a quarter. What is above goes, oldest first,
//! so a smaller network or batch soon gives the memory of a larger one back. `release` gives back
//! all that is kept.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Alignment of every buffer in bytes: a cache line, and the widest vector.
const ALIGN: usize = 64;
/// Values of a cache line; capacities are whole lines.
const LINE: usize = ALIGN / size_of::<f32>();
/// Buffers of fewer values are not kept: the allocator has its own lists for small blocks.
const KEPT_MIN: usize = 4096;
/// Takes between two looks at how much is in use at most.
const WINDOW_TAKES: usize = 1024;

/// Values in memory that is aligned to 64 bytes, always initialised, and given back to the pool
/// when dropped.
pub struct Buffer {
    block: Option<Block>,
    len: usize,
}

impl Buffer {
    /// Returns a buffer of `len` values, of which nothing is promised: zeros when the memory is
    /// fresh, what its last owner left there otherwise.
    ///
    /// # Panics
    /// `len` values are more than an address can count.
    #[must_use]
    pub fn take(len: usize) -> Self {
        let block = (len != 0).then(|| {
            let capacity = capacity(len);
            if capacity < KEPT_MIN {
                return Block::zeroed(capacity);
            }
            let (kept, surplus) = pool().take(capacity);
            drop(surplus);
            kept.unwrap_or_else(|| Block::zeroed(capacity))
        });
        Self { block, len }
    }

    /// Returns a buffer of `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::take(len);
        buffer.fill(0.0);
        buffer
    }

    /// Returns a buffer with these values.
    #[must_use]
    pub fn copy_of(values: &[f32]) -> Self {
        let mut buffer = Self::take(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

/// Gives the memory back that is kept and not in use: after a training, say.
pub fn release() {
    let surplus = pool().clear();
    drop(surplus);
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        match &self.block {
            // SAFETY: the block holds at least `len` values, initialised since it was allocated,
            // and nobody else has it.
            Some(block) => unsafe { std::slice::from_raw_parts(block.start.as_ptr(), self.len) },
            None => &[],
        }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.block {
            // SAFETY: as in `deref`, and `self` is borrowed for writing.
            Some(block) => unsafe {
                std::slice::from_raw_parts_mut(block.start.as_ptr(), self.len)
            },
            None => &mut [],
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(block) = self.block.take()
            && KEPT_MIN <= block.capacity
        {
            let surplus = pool().put(block);
            drop(surplus);
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({})", self.len)
    }
}

/// Returns how many values are allocated for `len`: the next of eight sizes per doubling, so that
/// at most an eighth is wasted and batches of nearly one size share buffers.
fn capacity(len: usize) -> usize {
    let lines = len.div_ceil(LINE);
    let step = (lines.next_power_of_two() / 16).max(1);
    lines.next_multiple_of(step) * LINE
}

/// Memory of the global allocator, all of it initialised.
struct Block {
    start: NonNull<f32>,
    capacity: usize,
}

// SAFETY: a block owns its memory, which no thread is tied to.
unsafe impl Send for Block {}
// SAFETY: a shared block can only be read.
unsafe impl Sync for Block {}

impl Block {
    /// `capacity` is a whole number of lines, and not 0.
    fn zeroed(capacity: usize) -> Self {
        assert!(capacity != 0, "an empty buffer has no block");
        let layout = Self::layout(capacity);
        // SAFETY: the layout is not of size 0. Zeros are valid f32s.
        let start = unsafe { alloc_zeroed(layout) };
        #[expect(
            clippy::cast_ptr_alignment,
            reason = "the layout asks for more than f32 needs"
        )]
        let start = start.cast::<f32>();
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Self { start, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        let bytes = capacity.checked_mul(size_of::<f32>());
        bytes
            .and_then(|bytes| Layout::from_size_align(bytes, ALIGN).ok())
            .expect("a buffer fits into memory")
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout, and dropped once.
        unsafe { dealloc(self.start.as_ptr().cast(), Self::layout(self.capacity)) }
    }
}

/// What is kept, and how much memory there is. Counts are in values.
struct Pool {
    /// Blocks by capacity; of one capacity, oldest first, each with the time of its return.
    kept: BTreeMap<usize, Vec<(u64, Block)>>,
    kept_len: usize,
    used_len: usize,
    /// The most in use at once in this window, and in the one before.
    peaks: [usize; 2],
    takes: usize,
    returns: u64,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    kept: BTreeMap::new(),
    kept_len: 0,
    used_len: 0,
    peaks: [0; 2],
    takes: 0,
    returns: 0,
});

/// The pool is consistent between any two statements that could panic, so poison says nothing.
fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Returns a kept block, if there is one, and blocks to be freed once the pool is unlocked.
    fn take(&mut self, capacity: usize) -> (Option<Block>, Vec<Block>) {
        self.takes += 1;
        if self.takes.is_multiple_of(WINDOW_TAKES) {
            self.peaks = [self.used_len, self.peaks[0]];
        }
        self.used_len += capacity;
        self.peaks[0] = self.peaks[0].max(self.used_len);
        // The youngest: it is likeliest to be in the caches still.
        let block = self.kept.get_mut(&capacity).and_then(Vec::pop);
        if block.is_some() {
            self.kept_len -= capacity;
        }
        (block.map(|(_, block)| block), self.surplus())
    }

    /// Takes a block back. Returns blocks to be freed once the pool is unlocked.
    fn put(&mut self, block: Block) -> Vec<Block> {
        self.used_len -= block.capacity;
        self.kept_len += block.capacity;
        self.returns += 1;
        let same = self.kept.entry(block.capacity).or_default();
        same.push((self.returns, block));
        self.surplus()
    }

    /// Removes the oldest blocks while there is more memory than may be.
    fn surplus(&mut self) -> Vec<Block> {
        let peak = self.peaks[0].max(self.peaks[1]);
        let mut surplus = Vec::new();
        while peak + peak / 4 < self.used_len + self.kept_len {
            let oldest = self
                .kept
                .iter()
                .filter_map(|(capacity, blocks)| Some((blocks.first()?.0, *capacity)))
                .min();
            let Some((_, capacity)) = oldest else { break };
            if let Some(blocks) = self.kept.get_mut(&capacity) {
                surplus.push(blocks.remove(0).1);
                self.kept_len -= capacity;
            }
        }
        surplus
    }

    fn clear(&mut self) -> Vec<Block> {
        self.kept_len = 0;
        self.peaks = [self.used_len, 0];
        let kept = std::mem::take(&mut self.kept);
        kept.into_values()
            .flatten()
            .map(|(_, block)| block)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pool is one per process and tests run side by side: these look at pools of their own.
    fn empty() -> Pool {
        Pool {
            kept: BTreeMap::new(),
            kept_len: 0,
            used_len: 0,
            peaks: [0; 2],
            takes: 0,
            returns: 0,
        }
    }

    fn take(pool: &mut Pool, len: usize) -> (Block, bool) {
        let (block, _) = pool.take(capacity(len));
        let reused = block.is_some();
        (
            block.unwrap_or_else(|| Block::zeroed(capacity(len))),
            reused,
        )
    }

    #[test]
    fn buffers_are_aligned_and_as_long_as_asked() {
        for len in [0, 1, 15, 16, 17, 4095, 4096, 4097, 100_000] {
            let mut buffer = Buffer::take(len);
            assert_eq!(buffer.len(), len);
            assert!(len == 0 || buffer.as_ptr().addr().is_multiple_of(ALIGN));
            buffer.fill(1.0);
            assert_eq!(&*Buffer::copy_of(&buffer), &*buffer);
            assert_eq!(Buffer::zeros(len).iter().sum::<f32>(), 0.0);
        }
    }

    #[test]
    fn sizes_waste_an_eighth_at_most() {
        for len in (1..100_000).step_by(7) {
            let capacity = capacity(len);
            assert!(len <= capacity && capacity.is_multiple_of(LINE));
            assert!(capacity <= len + len / 8 + LINE, "{len} {capacity}");
        }
    }

    #[test]
    fn a_returned_block_is_taken_again() {
        let mut pool = empty();
        let (first, _) = take(&mut pool, 10_000);
        let start = first.start;
        pool.put(first);
        let (again, reused) = take(&mut pool, 9_990);
        assert!(reused && again.start == start);
        let (_, reused) = take(&mut pool, 10_000);
        assert!(!reused);
    }

    #[test]
    fn memory_stays_near_what_was_in_use_at_once() {
        let mut pool = empty();
        // One at a time, of many sizes: only about the largest may be kept.
        for len in (5_000..60_000)
            .step_by(500)
            .chain((5_000..60_000).rev().step_by(700))
        {
            let (block, _) = take(&mut pool, len);
            pool.put(block);
            let peak = pool.peaks[0].max(pool.peaks[1]);
            assert!(pool.used_len + pool.kept_len <= peak + peak / 4);
        }
        assert!(pool.kept_len <= capacity(60_000) * 5 / 4);
        // Two windows of small buffers later, the large ones are gone.
        for _ in 0..=2 * WINDOW_TAKES {
            let (block, _) = take(&mut pool, 5_000);
            pool.put(block);
        }
        assert!(
            pool.kept_len <= capacity(5_000) * 5 / 4,
            "{}",
            pool.kept_len
        );
        pool.clear();
        assert_eq!(pool.kept_len, 0);
    }

    #[test]
    fn threads_share_the_pool() {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..200 {
                        let mark = (thread * 1000 + round) as f32;
                        let mut buffer = Buffer::take(5_000 + round * 10);
                        buffer.fill(mark);
                        std::thread::yield_now();
                        assert!(buffer.iter().all(|value| *value == mark));
                    }
                });
            }
        });
        release();
    }
}
