//! The few vector operations that kernels are written in, over `pulp::Simd`.

use pulp::Simd;

/// A vector of any form has at most this many values.
pub(super) const LANES_MAX: usize = 16;

/// Returns the vector at `from`, which needs no alignment.
///
/// # Safety
/// `S::F32_LANES` values can be read from there.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(_simd: S, from: *const f32) -> S::f32s {
    // SAFETY: the caller vouches for the memory; vectors are plain floats without padding.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// Returns N vectors, the first at `from`, `step` values apart.
///
/// # Safety
/// All of them can be read.
#[inline(always)]
pub(super) unsafe fn load_row<S: Simd, const N: usize>(
    simd: S,
    from: *const f32,
    step: usize,
) -> [S::f32s; N] {
    let mut row = [simd.splat_f32s(0.0); N];
    for (n, value) in row.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        *value = unsafe { load(simd, from.add(n * step)) };
    }
    row
}

/// Writes `value` to `to`, which needs no alignment.
///
/// # Safety
/// `S::F32_LANES` values can be written there.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(_simd: S, to: *mut f32, value: S::f32s) {
    // SAFETY: the caller vouches for the memory.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}

/// Returns the first `count` values at `from` and zeros after them; a whole vector if there are as
/// many.
///
/// # Safety
/// `min(count, S::F32_LANES)` values can be read from there.
#[inline(always)]
pub(super) unsafe fn load_some<S: Simd>(simd: S, from: *const f32, count: usize) -> S::f32s {
    if S::F32_LANES <= count {
        // SAFETY: as the caller promises.
        unsafe { load(simd, from) }
    } else {
        // SAFETY: as the caller promises.
        simd.partial_load_f32s(unsafe { std::slice::from_raw_parts(from, count) })
    }
}

/// Writes the first `count` values of `value` to `to`; all of them if there is room for as many.
///
/// # Safety
/// `min(count, S::F32_LANES)` values can be written there.
#[inline(always)]
pub(super) unsafe fn store_some<S: Simd>(simd: S, to: *mut f32, value: S::f32s, count: usize) {
    if S::F32_LANES <= count {
        // SAFETY: as the caller promises.
        unsafe { store(simd, to, value) }
    } else {
        // SAFETY: as the caller promises.
        simd.partial_store_f32s(unsafe { std::slice::from_raw_parts_mut(to, count) }, value);
    }
}

/// Asks for `len` values at `from` to be brought into the cache; any address will do.
#[inline(always)]
pub(super) fn prefetch(from: *const f32, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..len).step_by(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault; every x86-64 has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, len);
}
