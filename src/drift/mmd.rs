//! The maximum mean discrepancy: do two samples come from the same distribution, in any dimension?
//! Imports: `drift::{error, kernel, permutation, sample}`.
//!
//! Gretton et al., A Kernel Two-Sample Test, JMLR 13 (2012), lemma 6. The null distribution comes from
//! relabelling the pooled rows. With the kernel matrix K of the pooled rows (its diagonal left out), r its row
//! sums, and S(L) the sum of K over pairs of rows in a list L, the sum between L and the other rows is
//! Σ r over L, less S(L), and that among the others is the rest: a relabelling costs no more than the
//! pairs of its smaller side. K is made tile by tile, used for all relabellings, and never stored.

use rayon::prelude::*;

use super::error::Error;
use super::kernel::{Gaussian, LANES, Panels};
use super::permutation::{PermutationTest, Relabellings, Side};
use super::sample::Sample;

/// Panels that one task takes. Not a function of the number of threads: sums are added task by task.
const STRIPE: usize = 8;
/// Tasks whose sums are held before they are added, in order.
const WAVE: usize = 64;
/// Rows against which a panel is held at once: their tile fills 32 KiB, a processor's nearest cache.
const BLOCK: usize = 512;

/// The unbiased estimate of MMD² against a reference.
#[derive(Clone, Debug)]
pub struct Mmd {
    reference: Sample,
    kernel: Gaussian,
}

impl Mmd {
    /// Takes `reference`, and from it the kernel's width by the median heuristic.
    ///
    /// # Errors
    /// There are fewer than two rows, or the heuristic finds no width.
    pub fn fit(reference: Sample) -> Result<Self, Error> {
        let kernel = Gaussian::of_median(&reference)?;
        Self::with_kernel(reference, kernel)
    }

    /// Takes `reference` and a kernel.
    ///
    /// # Errors
    /// There are fewer than two rows.
    pub fn with_kernel(reference: Sample, kernel: Gaussian) -> Result<Self, Error> {
        reference.require_rows("the reference of MMD", 2)?;
        Ok(Self { reference, kernel })
    }

    /// Returns the reference.
    #[must_use]
    pub fn reference(&self) -> &Sample {
        &self.reference
    }

    /// Returns the kernel.
    #[must_use]
    pub fn kernel(&self) -> &Gaussian {
        &self.kernel
    }

    /// Compares `test` with the reference under `relabellings` of the reference's rows followed by those of
    /// `test`.
    ///
    /// # Errors
    /// `test` has other features or fewer than two rows, or the relabellings are of other samples.
    pub fn test(
        &self,
        test: &Sample,
        relabellings: &Relabellings,
    ) -> Result<PermutationTest, Error> {
        self.reference.require_width_of(test)?;
        test.require_rows("the test sample of MMD", 2)?;
        relabellings.require_rows(self.reference.rows(), test.rows())?;
        PermutationTest::of_statistics(&self.statistics(test, relabellings))
    }

    /// Draws `count` relabellings from `seed` and compares `test` with the reference under them.
    ///
    /// # Errors
    /// As [`Self::test`], or `count` is 0.
    pub fn test_drawn(
        &self,
        test: &Sample,
        count: usize,
        seed: u64,
    ) -> Result<PermutationTest, Error> {
        let drawn = Relabellings::draw(self.reference.rows(), test.rows(), count, seed)?;
        self.test(test, &drawn)
    }

    /// Returns MMD² of the labels as they are, then of each relabelling.
    fn statistics(&self, test: &Sample, relabellings: &Relabellings) -> Vec<f64> {
        let pooled = Pooled::new(&self.reference, test);
        let sums = pooled.sums(&self.kernel, relabellings);
        let total: f64 = sums.rows.iter().sum();
        let (n, m) = (relabellings.reference() as f64, relabellings.test() as f64);
        let lists = relabellings.lists().zip(&sums.within);
        lists
            .map(|(list, within)| {
                let all: f64 = list.iter().map(|row| sums.rows[*row as usize]).sum();
                let listed = 2.0 * within;
                let between = all - listed;
                let others = total - listed - 2.0 * between;
                let (xx, yy) = match relabellings.side() {
                    Side::Reference => (listed, others),
                    Side::Test => (others, listed),
                };
                xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - 2.0 * between / (n * m)
            })
            .collect()
    }
}

/// The rows of both samples, the reference's first, in both layouts.
struct Pooled {
    width: usize,
    values: Vec<f64>,
    panels: Panels,
}

/// Sums over the kernel matrix without its diagonal.
struct Sums {
    /// Of each row.
    rows: Vec<f64>,
    /// Over the pairs of rows within each list, each pair once.
    within: Vec<f64>,
}

impl Pooled {
    fn new(reference: &Sample, test: &Sample) -> Self {
        Self {
            width: reference.width(),
            values: [reference.values(), test.values()].concat(),
            panels: Panels::new(&[reference, test]),
        }
    }

    fn sums(&self, kernel: &Gaussian, relabellings: &Relabellings) -> Sums {
        let lists: Vec<List<'_>> = relabellings
            .lists()
            .map(|members| List::new(members, self.panels.rows()))
            .collect();
        let mut sums = Sums::zero(self.panels.rows(), lists.len());
        let stripes: Vec<usize> = (0..self.panels.panels()).step_by(STRIPE).collect();
        for wave in stripes.chunks(WAVE) {
            let parts: Vec<Sums> = wave
                .par_iter()
                .map(|first| self.stripe(kernel, &lists, *first))
                .collect();
            for part in parts {
                sums.add(&part);
            }
        }
        sums
    }

    /// Returns the sums over the pairs of a row in the panels `first`, `first` + 1, …, and a later row.
    fn stripe(&self, kernel: &Gaussian, lists: &[List<'_>], first: usize) -> Sums {
        let rows = self.panels.rows();
        let mut sums = Sums::zero(rows, lists.len());
        let mut tile = vec![[0.0; LANES]; BLOCK.min(rows)];
        let mut shares = vec![Share::default(); lists.len()];
        let mut starts: Vec<usize> = lists
            .iter()
            .map(|list| {
                list.members
                    .partition_point(|m| (*m as usize) < first * LANES)
            })
            .collect();
        for panel in first..(first + STRIPE).min(self.panels.panels()) {
            let top = panel * LANES;
            for ((list, start), share) in lists.iter().zip(&mut starts).zip(&mut shares) {
                *share = Share::new(&list.members[*start..], *start, top);
                *start += share.count;
            }
            let mut own = [0.0; LANES];
            for block in top / BLOCK..rows.div_ceil(BLOCK) {
                let (left, right) = ((block * BLOCK).max(top), ((block + 1) * BLOCK).min(rows));
                let tile = &mut tile[..right - left];
                let later = &self.values[left * self.width..right * self.width];
                self.panels.tile(panel, later, tile);
                kernel.apply(tile.as_flattened_mut());
                clear_lower(tile, left, top);
                for (row, column) in sums.rows[left..right].iter_mut().zip(tile.iter()) {
                    *row += sum_of(column);
                    add(&mut own, column);
                }
                let each = lists.iter().zip(&shares).zip(&mut sums.within);
                for ((list, share), within) in each {
                    if share.count > 0 {
                        let members = list.between(share.start, block);
                        *within += share.dot(&sum_of_members(tile, left, members));
                    }
                }
            }
            for (row, sum) in sums.rows[top..].iter_mut().zip(own) {
                *row += sum;
            }
        }
        sums
    }
}

/// An ascending list of rows, and where each block of rows begins in it.
struct List<'a> {
    members: &'a [u32],
    blocks: Vec<u32>,
}

impl<'a> List<'a> {
    fn new(members: &'a [u32], rows: usize) -> Self {
        let blocks = (0..=rows.div_ceil(BLOCK))
            .map(|block| members.partition_point(|m| (*m as usize) < block * BLOCK) as u32)
            .collect();
        Self { members, blocks }
    }

    /// Returns the members of `block`, but for those before number `start`.
    fn between(&self, start: usize, block: usize) -> &'a [u32] {
        let from = (self.blocks[block] as usize).max(start);
        let to = (self.blocks[block + 1] as usize).max(from);
        &self.members[from..to]
    }
}

/// Which rows of a panel are on a list.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// Where the first of them, or what would follow, stands in the list.
    start: usize,
    count: usize,
    /// 1 for each that is.
    weights: [f64; LANES],
}

impl Share {
    /// Looks for the rows from `top` on in `rest`, what is left of a list from its place `start`.
    fn new(rest: &[u32], start: usize, top: usize) -> Self {
        let mut weights = [0.0; LANES];
        let mut count = 0;
        for row in rest.iter().take(LANES) {
            let Some(weight) = weights.get_mut(*row as usize - top) else {
                break;
            };
            *weight = 1.0;
            count += 1;
        }
        Self {
            start,
            count,
            weights,
        }
    }

    fn dot(&self, sums: &[f64; LANES]) -> f64 {
        let mut products = *sums;
        for (product, weight) in products.iter_mut().zip(&self.weights) {
            *product *= weight;
        }
        sum_of(&products)
    }
}

impl Sums {
    fn zero(rows: usize, lists: usize) -> Self {
        Self {
            rows: vec![0.0; rows],
            within: vec![0.0; lists],
        }
    }

    fn add(&mut self, other: &Self) {
        for (a, b) in self.rows.iter_mut().zip(&other.rows) {
            *a += b;
        }
        for (a, b) in self.within.iter_mut().zip(&other.within) {
            *a += b;
        }
    }
}

/// Clears the diagonal, and below it, of a tile of the rows from `top` against those from `left`: what is
/// left is each pair once. Lanes that stand for no row lie below the diagonal.
fn clear_lower(tile: &mut [[f64; LANES]], left: usize, top: usize) {
    let diagonal = (top + LANES).saturating_sub(left).min(tile.len());
    for (at, column) in tile[..diagonal].iter_mut().enumerate() {
        column[left + at - top..].fill(0.0);
    }
}

fn add(sums: &mut [f64; LANES], column: &[f64; LANES]) {
    for (sum, value) in sums.iter_mut().zip(column) {
        *sum += value;
    }
}

fn sum_of(column: &[f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = column;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Returns the sum of those places of `tile`, which begins with row `left`, that `members` name.
#[inline]
fn sum_of_members(tile: &[[f64; LANES]], left: usize, members: &[u32]) -> [f64; LANES] {
    // Two sums, because an addition takes longer than the next can wait.
    let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
    let (pairs, last) = members.as_chunks::<2>();
    for [a, b] in pairs {
        add(&mut even, &tile[*a as usize - left]);
        add(&mut odd, &tile[*b as usize - left]);
    }
    for a in last {
        add(&mut even, &tile[*a as usize - left]);
    }
    add(&mut even, &odd);
    even
}

#[cfg(test)]
mod tests;
