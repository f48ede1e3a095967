//! The one inner loop: a product of matrices whose result stays in registers until it is complete.
//!
//! `C[m, n] = start + Σ_s Σ_k A[m, s, k] · B[s, k, n]`. A is read one number at a time and spread over
//! a vector, B by whole vectors of neighbouring columns, so neither needs to be packed: convolution
//! walks its picture as A in segments, one for each row of the kernel. Every value of C is summed in
//! the order of s and k whatever the shape of the tile around it, so cutting the rows differently
//! changes no bit.

use pulp::{Simd, WithSimd};

use super::simd::{LANES_MAX, load, load_row, store};

/// Most rows of C in registers at once.
const ROWS_MAX: usize = 12;

/// What a sum starts from.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// Zero.
    Zero,
    /// What C holds.
    Add,
    /// One number for each column, in whole vectors.
    Bias(*const f32),
}

/// A product to be computed.
#[derive(Clone, Copy)]
pub(super) struct Product {
    /// The first value of A.
    pub(super) a: *const f32,
    /// Values between neighbouring rows of A. 1, or else `a_step` is 1.
    pub(super) a_row: usize,
    /// Values between neighbouring k of A.
    pub(super) a_step: usize,
    /// Values between neighbouring segments of A.
    pub(super) a_segment: usize,
    /// The first value of B; rows are padded to whole vectors.
    pub(super) b: *const f32,
    /// Values between neighbouring k of B.
    pub(super) b_step: usize,
    /// Values between neighbouring segments of B.
    pub(super) b_segment: usize,
    /// Number of k in a segment.
    pub(super) len: usize,
    /// Number of segments.
    pub(super) segments: usize,
    /// The first value of C.
    pub(super) c: *mut f32,
    /// Values between neighbouring rows of C.
    pub(super) c_row: usize,
    /// Rows of A and C.
    pub(super) rows: usize,
    /// Columns of C; only these are written.
    pub(super) columns: usize,
    /// What sums start from.
    pub(super) start: Start,
    /// Results x below zero become `slope`·x; 1 leaves them.
    pub(super) slope: f32,
}

impl Product {
    /// Computes it.
    ///
    /// # Safety
    /// All addresses that the fields describe can be read, those of C written, and C overlaps
    /// neither A nor B.
    pub(super) unsafe fn compute<S: Simd>(&self, simd: S) {
        let mut column = 0;
        while column < self.columns {
            let wide = S::F32_LANES < self.columns - column;
            let rows_max = match (wide, S::REGISTER_COUNT) {
                (true, 0..32) => ROWS_MAX / 2,
                (true, _) if self.a_step == 1 => 8,
                _ => ROWS_MAX,
            };
            // Tiles of nearly equal height: 33 rows are 3 × 11, not 12 + 12 + 9.
            let tiles = self.rows.div_ceil(rows_max);
            let (mut row, mut tile) = (0, 0);
            while tile < tiles {
                let height = (self.rows - row).div_ceil(tiles - tile);
                let same = if row + height * (tiles - tile) == self.rows {
                    tiles - tile
                } else {
                    1
                };
                let width = if wide { 2 } else { 1 } * S::F32_LANES;
                let part = Part {
                    product: self,
                    column,
                    row,
                    tiles: same,
                };
                // SAFETY: the part lies within the product; the last columns go through a copy
                // unless they are whole vectors.
                unsafe {
                    if column + width <= self.columns {
                        part.dispatch(simd, height, wide);
                    } else {
                        part.ragged(simd, height, wide);
                    }
                }
                row += height * same;
                tile += same;
            }
            column += if wide { 2 } else { 1 } * S::F32_LANES;
        }
    }
}

/// Some tiles of equal height, one below the other.
#[derive(Clone, Copy)]
struct Part<'a> {
    product: &'a Product,
    column: usize,
    row: usize,
    tiles: usize,
}

/// Values of the largest tile of any form.
const TILE_MAX: usize = ROWS_MAX * 2 * LANES_MAX;

impl Part<'_> {
    /// Computes tiles whose columns end within a vector: whole vectors in a copy of C, of which the
    /// columns that exist are taken.
    #[cold]
    unsafe fn ragged<S: Simd>(self, simd: S, height: usize, wide: bool) {
        let p = self.product;
        let columns = p.columns - self.column;
        let mut copy = [0.0f32; TILE_MAX];
        let copy_row = if wide { 2 } else { 1 } * S::F32_LANES;
        for tile in 0..self.tiles {
            let row = self.row + tile * height;
            // SAFETY: rows and columns of C exist; the copy holds a tile of any form.
            unsafe {
                let c = p.c.add(row * p.c_row + self.column);
                if matches!(p.start, Start::Add) {
                    for m in 0..height {
                        let to = copy.as_mut_ptr().add(m * copy_row);
                        c.add(m * p.c_row).copy_to_nonoverlapping(to, columns);
                    }
                }
                let product = Product {
                    a: p.a.wrapping_add(row * p.a_row),
                    b: p.b.wrapping_add(self.column),
                    c: copy.as_mut_ptr(),
                    c_row: copy_row,
                    start: match p.start {
                        Start::Bias(bias) => Start::Bias(bias.add(self.column)),
                        start => start,
                    },
                    ..*p
                };
                let part = Part {
                    product: &product,
                    column: 0,
                    row: 0,
                    tiles: 1,
                };
                part.dispatch(simd, height, wide);
                for m in 0..height {
                    let from = copy.as_ptr().add(m * copy_row);
                    c.add(m * p.c_row).copy_from_nonoverlapping(from, columns);
                }
            }
        }
    }

    unsafe fn dispatch<S: Simd>(self, simd: S, height: usize, wide: bool) {
        let along = self.product.a_step == 1;
        macro_rules! by_height {
            ($($m:literal)*) => {
                match (height, wide, along) {
                    $(
                        ($m, true, true) => simd.vectorize(Tiles::<$m, 2, true>(self)),
                        ($m, true, false) => simd.vectorize(Tiles::<$m, 2, false>(self)),
                        ($m, false, true) => simd.vectorize(Tiles::<$m, 1, true>(self)),
                        ($m, false, false) => simd.vectorize(Tiles::<$m, 1, false>(self)),
                    )*
                    _ => unreachable!("a tile has 1 to 12 rows"),
                }
            };
        }
        by_height!(1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

/// Tiles of M rows and N vectors; `ALONG`: k runs along memory in A, else rows do.
struct Tiles<'a, const M: usize, const N: usize, const ALONG: bool>(Part<'a>);

impl<const M: usize, const N: usize, const ALONG: bool> WithSimd for Tiles<'_, M, N, ALONG> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Part {
            product: p,
            column,
            row,
            tiles,
        } = self.0;
        let lanes = S::F32_LANES;
        let (a_row, a_step) = if ALONG { (p.a_row, 1) } else { (1, p.a_step) };
        let zero = simd.splat_f32s(0.0);
        let slope = simd.splat_f32s(p.slope);
        // SAFETY: `Product::compute` was promised that all of this can be read and written.
        unsafe {
            // `wrapping_add` where a step may lead past the end: after the last k, and in a product
            // of no k at all. Nothing is read there, but `add` must not even point there.
            let b = p.b.wrapping_add(column);
            for tile in 0..tiles {
                let row = row + tile * M;
                let c = p.c.add(row * p.c_row + column);
                let mut acc = match p.start {
                    Start::Zero => [[zero; N]; M],
                    Start::Add => {
                        let mut acc = [[zero; N]; M];
                        for (m, acc) in acc.iter_mut().enumerate() {
                            *acc = load_row(simd, c.add(m * p.c_row), lanes);
                        }
                        acc
                    }
                    Start::Bias(bias) => {
                        let bias = load_row(simd, bias.add(column), lanes);
                        [bias; M]
                    }
                };
                for segment in 0..p.segments {
                    let mut a = p.a.wrapping_add(row * a_row + segment * p.a_segment);
                    let mut b = b.wrapping_add(segment * p.b_segment);
                    let mut k = 0;
                    // Four steps at a time, so that addresses are worked out once for four.
                    while k + 4 <= p.len {
                        for u in 0..4 {
                            step::<S, M, N>(
                                simd,
                                &mut acc,
                                a.add(u * a_step),
                                a_row,
                                b.add(u * p.b_step),
                            );
                        }
                        a = a.wrapping_add(4 * a_step);
                        b = b.wrapping_add(4 * p.b_step);
                        k += 4;
                    }
                    while k < p.len {
                        step::<S, M, N>(simd, &mut acc, a, a_row, b);
                        a = a.wrapping_add(a_step);
                        b = b.wrapping_add(p.b_step);
                        k += 1;
                    }
                }
                for (m, acc) in acc.iter().enumerate() {
                    for (n, &acc) in acc.iter().enumerate() {
                        let mut value = acc;
                        if p.slope != 1.0 {
                            // Not `max`, which would turn a NaN into a zero.
                            let below = simd.less_than_f32s(value, zero);
                            value = simd.select_f32s(below, simd.mul_f32s(value, slope), value);
                        }
                        let to = c.add(m * p.c_row + n * lanes);
                        store(simd, to, value);
                    }
                }
            }
        }
    }
}

/// One k: `acc[m][n] += a[m] · b[n]`.
///
/// # Safety
/// `M` values of A at distance `a_row` and `N` vectors of B can be read.
#[inline(always)]
unsafe fn step<S: Simd, const M: usize, const N: usize>(
    simd: S,
    acc: &mut [[S::f32s; N]; M],
    a: *const f32,
    a_row: usize,
    b: *const f32,
) {
    let mut right = [simd.splat_f32s(0.0); N];
    for (n, right) in right.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        *right = unsafe { load(simd, b.add(n * S::F32_LANES)) };
    }
    for (m, acc) in acc.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        let left = simd.splat_f32s(unsafe { *a.add(m * a_row) });
        for (acc, &right) in acc.iter_mut().zip(&right) {
            *acc = simd.mul_add_e_f32s(left, right, *acc);
        }
    }
}
