//! The median heuristic: how wide a Gaussian kernel should be for a sample.
//! Imports: `drift::{distance, error, sample}`.

use rayon::prelude::*;

use super::super::distance::{LANES, Panels, squared_distance};
use super::super::error::Error;
use super::super::sample::Sample;

/// Squared distances below count as this: two rows that are the same.
const SMALLEST: f64 = 1e-30;
/// Distances that are held at once to choose among; more are counted first. 16 MiB.
const HELD: usize = 1 << 21;
/// Bits by which a count narrows the range: the exponent and five binary digits at first.
const DIGIT: u32 = 16;

/// Returns σ such that 2σ² is the lower median of the squared distances between any two rows of
/// `reference`: σ is the median distance divided by √2.
///
/// Exact for any number of rows n, in O(n²) time and little memory: no subsample.
///
/// # Errors
/// There is one row only, half of all pairs of rows are equal, or their distances overflow.
pub fn median_bandwidth(reference: &Sample) -> Result<f64, Error> {
    reference.require_rows("the median heuristic", 2)?;
    let panels = Panels::new(&[reference]);
    let rows = reference.rows();
    let pairs = rows * (rows - 1) / 2;
    // Of the rows of a panel to all later rows, and among themselves.
    let distances = |panel: usize, out: &mut Vec<f64>| {
        let (first, after) = (panel * LANES, ((panel + 1) * LANES).min(rows));
        out.resize((rows - after) * LANES, 0.0);
        let later = &reference.values()[after * reference.width()..];
        panels.tile(panel, later, out.as_chunks_mut().0);
        for a in first..after {
            let others =
                (a + 1..after).map(|b| squared_distance(reference.row(a), reference.row(b)));
            out.extend(others);
        }
    };
    bandwidth_of(nth_smallest(
        panels.panels(),
        pairs,
        (pairs - 1) / 2,
        &distances,
    ))
}

/// Returns σ as [`median_bandwidth`] does, of the distances between the rows of `a` and those of `b`.
///
/// # Errors
/// The widths differ, half of all pairs are equal, or their distances overflow.
pub fn median_bandwidth_between(a: &Sample, b: &Sample) -> Result<f64, Error> {
    a.require_width_of(b)?;
    let panels = Panels::new(&[b]);
    let pairs = a.rows() * b.rows();
    let distances = |row: usize, out: &mut Vec<f64>| {
        out.resize(b.rows(), 0.0);
        panels.squared_distances(a.row(row), 0, out);
    };
    let rank = (pairs / 2).saturating_sub(1);
    bandwidth_of(nth_smallest(a.rows(), pairs, rank, &distances))
}

fn bandwidth_of(squared: f64) -> Result<f64, Error> {
    if squared <= SMALLEST {
        return Err(Error::ZeroBandwidth);
    }
    if squared.is_infinite() {
        return Err(Error::TooFarApart);
    }
    Ok((0.5 * squared).sqrt())
}

/// Returns the value of rank `rank` (from 0) among the `count` values that `fill` gives for 0..`parts`.
///
/// The bits of numbers that are not negative are ordered as the numbers are. While there are too many
/// to hold, they are counted by their next digits, and only those that share the digits of the one that
/// is looked for are looked at again. Counts and the choice do not depend on the order of the threads.
fn nth_smallest<F>(parts: usize, count: usize, rank: usize, fill: &F) -> f64
where
    F: Fn(usize, &mut Vec<f64>) + Sync,
{
    let (mut count, mut rank) = (count, rank);
    // Looked at are the values whose bits from `shift` upwards are `known`. The sign's bit is 0.
    let (mut known, mut shift) = (0u64, u64::BITS - 1);
    while count > HELD && shift > 0 {
        let next = shift.saturating_sub(DIGIT);
        let counts = count_digits(parts, fill, known, shift, next);
        let mut digit = 0;
        while counts[digit] <= rank {
            rank -= counts[digit];
            digit += 1;
        }
        count = counts[digit];
        known = (known << (shift - next)) | digit as u64;
        shift = next;
    }
    if shift == 0 {
        return f64::from_bits(known);
    }
    let mut held = (0..parts)
        .into_par_iter()
        .fold(Buffers::default, |mut buffers, part| {
            fill(part, &mut buffers.part);
            let bits = buffers.part.iter().map(|value| value.to_bits());
            buffers
                .kept
                .extend(bits.filter(|bits| bits >> shift == known));
            buffers
        })
        .map(|buffers| buffers.kept)
        .reduce(Vec::new, |mut a, b| {
            a.extend(b);
            a
        });
    f64::from_bits(*held.select_nth_unstable(rank).1)
}

/// Of one thread's share of the parts.
#[derive(Default)]
struct Buffers {
    part: Vec<f64>,
    /// As bits.
    kept: Vec<u64>,
}

/// Counts the values whose bits from `shift` upwards are `known`, by the digits from `next` to `shift`.
fn count_digits<F>(parts: usize, fill: &F, known: u64, shift: u32, next: u32) -> Vec<usize>
where
    F: Fn(usize, &mut Vec<f64>) + Sync,
{
    let digits = 1usize << (shift - next);
    (0..parts)
        .into_par_iter()
        .fold(
            || (Vec::new(), vec![0usize; digits]),
            |(mut buffer, mut counts), part| {
                fill(part, &mut buffer);
                for value in &buffer {
                    let bits = value.to_bits();
                    if bits >> shift == known {
                        counts[(bits >> next) as usize & (digits - 1)] += 1;
                    }
                }
                (buffer, counts)
            },
        )
        .map(|(_, counts)| counts)
        .reduce(
            || vec![0; digits],
            |mut a, b| {
                for (a, b) in a.iter_mut().zip(b) {
                    *a += b;
                }
                a
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use proptest::prelude::*;
    use rand::RngExt;

    /// As the definition has it: all n² distances, the diagonal too, sorted.
    fn by_definition(sample: &Sample) -> f64 {
        let n = sample.rows();
        let mut all: Vec<f64> = (0..n * n)
            .map(|at| {
                let d = squared_distance(sample.row(at / n), sample.row(at % n));
                d.max(SMALLEST)
            })
            .collect();
        all.sort_by(f64::total_cmp);
        (0.5 * all[n + (n * n - n) / 2 - 1]).sqrt()
    }

    proptest! {
        #[test]
        fn agrees_with_its_definition(
            values in proptest::collection::vec(-5i8..5, 4..60),
            width in 1usize..3,
        ) {
            let rows = values.len() / width;
            let values = values[..rows * width].iter().map(|v| *v as f64).collect();
            let sample = Sample::new(values, width).unwrap();
            let expected = by_definition(&sample);
            match median_bandwidth(&sample) {
                Ok(found) => prop_assert_eq!(found, expected),
                Err(error) => {
                    prop_assert_eq!(error, Error::ZeroBandwidth);
                    prop_assert!(expected < 1e-14);
                }
            }
        }
    }

    #[test]
    fn counting_finds_the_value_that_sorting_finds() {
        let mut rng = rng::stream(1, "test.drift.bandwidth", 0);
        // More than are held at once; in the second case most are equal, so that all digits are counted.
        for share_of_ties in [0.0, 0.99] {
            let mut all: Vec<f64> = (0..HELD + 1000)
                .map(|_| {
                    let value = rng.random::<f64>();
                    if value < share_of_ties { 0.5 } else { value }
                })
                .collect();
            let rows = 100;
            let width = all.len().div_ceil(rows);
            let fill = |row: usize, out: &mut Vec<f64>| {
                out.clear();
                out.extend_from_slice(&all[row * width..((row + 1) * width).min(all.len())]);
            };
            let found = [10, all.len() / 2, all.len() - 3]
                .map(|rank| (rank, nth_smallest(rows, all.len(), rank, &fill)));
            all.sort_by(f64::total_cmp);
            for (rank, found) in found {
                assert_eq!(found, all[rank]);
            }
        }
    }

    #[test]
    fn samples_without_a_width_are_refused() {
        let sample = |values: &[f64]| Sample::new(values.to_vec(), 1).unwrap();
        let equal = sample(&[2.0; 5]);
        assert_eq!(median_bandwidth(&equal), Err(Error::ZeroBandwidth));
        assert_eq!(
            median_bandwidth_between(&equal, &equal),
            Err(Error::ZeroBandwidth)
        );
        let far = sample(&[-1e200, 0.0, 1e200]);
        assert_eq!(median_bandwidth(&far), Err(Error::TooFarApart));
        let error = median_bandwidth(&sample(&[1.0])).unwrap_err();
        assert!(matches!(
            error,
            Error::TooFew {
                found: 1,
                needed: 2,
                ..
            }
        ));
    }
}
