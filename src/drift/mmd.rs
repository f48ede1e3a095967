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
/// Rows of a group.
const GROUP: usize = 4;
/// Groups of a panel.
const GROUPS: usize = LANES / GROUP;
/// Groups of rows against which a panel is held at once: their subset sums fill 32 KiB, which a processor's
/// nearest cache holds.
const BLOCK: usize = 32;

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
        let rows = self.panels.rows();
        let lists: Vec<Vec<u8>> = relabellings
            .lists()
            .map(|members| coded(members, rows))
            .collect();
        let mut sums = Sums::zero(rows, lists.len());
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
    fn stripe(&self, kernel: &Gaussian, lists: &[Vec<u8>], first: usize) -> Sums {
        let rows = self.panels.rows();
        let mut sums = Sums::zero(rows, lists.len());
        let mut tile = [[0.0; LANES]; BLOCK * GROUP];
        let mut subsets = vec![[[0.0; LANES]; 1 << GROUP]; BLOCK];
        // Of each list, sums over its rows in the panel's columns.
        let mut inside = vec![[0.0; LANES]; lists.len()];
        for panel in first..(first + STRIPE).min(self.panels.panels()) {
            let top = panel * LANES;
            let mut own = [0.0; LANES];
            inside.fill([0.0; LANES]);
            for left in (top..rows).step_by(BLOCK * GROUP) {
                let right = (left + BLOCK * GROUP).min(rows);
                let (now, beyond) = tile.split_at_mut(right - left);
                let later = &self.values[left * self.width..right * self.width];
                self.panels.tile(panel, later, now);
                kernel.apply(now.as_flattened_mut());
                beyond.fill([0.0; LANES]);
                if left == top {
                    clear_lower(&mut tile);
                }
                for (row, column) in sums.rows[left..right].iter_mut().zip(&tile) {
                    *row += sum_of(column);
                }
                for (sums, columns) in subsets.iter_mut().zip(tile.as_chunks().0) {
                    *sums = subset_sums(columns);
                    add(&mut own, &sums[sums.len() - 1]);
                }
                let groups = left / GROUP..right.div_ceil(LANES) * GROUPS;
                for (list, inside) in lists.iter().zip(&mut inside) {
                    if members_of(list, panel) != 0 {
                        add(inside, &sum_of_coded(&subsets, &list[groups.clone()]));
                    }
                }
            }
            for (row, sum) in sums.rows[top..].iter_mut().zip(own) {
                *row += sum;
            }
            for ((list, inside), within) in lists.iter().zip(&mut inside).zip(&mut sums.within) {
                let members = members_of(list, panel);
                for (lane, sum) in inside.iter_mut().enumerate() {
                    *sum *= f64::from(members >> lane & 1);
                }
                *within += sum_of(inside);
            }
        }
        sums
    }
}

/// Returns `members` as one number for each group of rows, of whose bits each stands for a row; as many
/// groups as fill panels.
fn coded(members: &[u32], rows: usize) -> Vec<u8> {
    let mut codes = vec![0; rows.div_ceil(LANES) * GROUPS];
    for row in members {
        codes[*row as usize / GROUP] |= 1 << (*row as usize % GROUP);
    }
    codes
}

/// Returns which rows of a panel are on a list, as bits.
fn members_of(list: &[u8], panel: usize) -> u8 {
    list[panel * GROUPS] | list[panel * GROUPS + 1] << GROUP
}

/// Returns the sums of all subsets of `columns`; the bits of a subset's place name its columns.
fn subset_sums(columns: &[[f64; LANES]; GROUP]) -> [[f64; LANES]; 1 << GROUP] {
    let mut sums = [[0.0; LANES]; 1 << GROUP];
    for (bit, column) in columns.iter().enumerate() {
        let (without, with) = sums.split_at_mut(1 << bit);
        for (with, without) in with.iter_mut().zip(without) {
            *with = *without;
            add(with, column);
        }
    }
    sums
}

/// Returns the sum over groups of that subset of theirs which `codes` name.
#[inline]
fn sum_of_coded(subsets: &[[[f64; LANES]; 1 << GROUP]], codes: &[u8]) -> [f64; LANES] {
    // Two sums, because an addition takes longer than the next can wait.
    let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
    let pairs = codes.as_chunks::<2>().0.iter();
    for ([a, b], [x, y]) in pairs.zip(subsets.as_chunks::<2>().0) {
        add(&mut even, &x[usize::from(a % (1 << GROUP))]);
        add(&mut odd, &y[usize::from(b % (1 << GROUP))]);
    }
    add(&mut even, &odd);
    even
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

/// Clears the diagonal, and below it, of a tile of a panel against its own rows and later ones: what is left
/// is each pair once. Lanes that stand for no row lie below the diagonal.
fn clear_lower(tile: &mut [[f64; LANES]]) {
    for (at, column) in tile.iter_mut().enumerate().take(LANES) {
        column[at..].fill(0.0);
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

#[cfg(test)]
mod tests;
