//! The Cramér-von Mises distance of a sorted window from a sorted reference, in whole numbers.
//! Imports: nothing of ours.

/// A sorted reference, as far as ranks need it.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    rows: usize,
    /// `below[i]`: the sum over the first i values x of how many of the reference are ≤ x.
    below: Vec<i64>,
    /// The sum of the squares of the same, over all values.
    squares: i128,
}

/// A value of a window, with its place in the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    /// As observed.
    pub(super) value: f64,
    /// How many of the reference are below.
    pub(super) lower: usize,
    /// How many of the reference are not above.
    pub(super) upper: usize,
}

impl Placed {
    /// Finds the place of `value` in `sorted`.
    pub(super) fn new(value: f64, sorted: &[f64]) -> Self {
        Self {
            value,
            lower: sorted.partition_point(|other| *other < value),
            upper: sorted.partition_point(|other| *other <= value),
        }
    }
}

impl Ranks {
    /// Counts the ranks of a sorted reference.
    pub(super) fn new(sorted: &[f64]) -> Self {
        Self::of(
            sorted.len(),
            sorted
                .iter()
                .map(|value| sorted.partition_point(|other| other <= value)),
        )
    }

    /// The ranks of `rows` values that are all different.
    pub(super) fn without_ties(rows: usize) -> Self {
        Self::of(rows, 1..=rows)
    }

    fn of(rows: usize, counts: impl Iterator<Item = usize>) -> Self {
        let (mut below, mut sum, mut squares) = (vec![0], 0, 0);
        for count in counts {
            sum += count as i64;
            squares += (count as i128).pow(2);
            below.push(sum);
        }
        Self {
            rows,
            below,
            squares,
        }
    }

    /// Returns (T − μ) / s for a window sorted by value, where T is Anderson's statistic of two samples
    /// before its correction: nw/(n+w)² Σ (F − G)² over the values of both, F and G the distribution
    /// functions of reference and window, and μ and s are its mean and standard deviation without drift
    /// (Ross and Adams, Two nonparametric control charts for detecting arbitrary distribution changes,
    /// Journal of Quality Technology 44, 2012).
    ///
    /// O(w): with F = c/n and G = k/w, (nw)² Σ (F − G)² = Σ (wc − kn)², and between two values of the
    /// window k stays the same.
    pub(super) fn statistic(&self, window: &[Placed]) -> f64 {
        let (n, w) = (self.rows as i64, window.len() as i64);
        let all = self.below[self.rows];
        // Σ k c and Σ k² over the reference, by summing over those above each value of the window.
        let (mut mixed, mut squares, mut in_window) = (0i64, 0i64, 0i128);
        let mut at = 0;
        while at < window.len() {
            let value = window[at].value;
            let mut next = at;
            while next < window.len() && window[next].value == value {
                let above = n - window[next].lower as i64;
                mixed += all - self.below[window[next].lower];
                squares += (2 * next as i64 + 1) * above;
                next += 1;
            }
            let difference = w * window[at].upper as i64 - n * next as i64;
            in_window += (next - at) as i128 * (difference as i128).pow(2);
            at = next;
        }
        let (n_, w_) = (n as i128, w as i128);
        let sum = w_ * w_ * self.squares - 2 * w_ * n_ * mixed as i128
            + n_ * n_ * squares as i128
            + in_window;
        let (n, w) = (n as f64, w as f64);
        let (product, total) = (n * w, n + w);
        let mean = 1.0 / 6.0 + 1.0 / (6.0 * total);
        let variance = (total + 1.0)
            * (4.0 * product * total - 3.0 * (n * n + w * w) - 2.0 * product)
            / (45.0 * total * total * 4.0 * product);
        (sum as f64 / (product * total * total) - mean) / variance.sqrt()
    }
}

/// Puts `placed` into a window sorted by value.
pub(super) fn insert(window: &mut Vec<Placed>, placed: Placed) {
    let at = window.partition_point(|other| other.value < placed.value);
    window.insert(at, placed);
}

/// Takes one value out of a window sorted by value, if it is there.
pub(super) fn remove(window: &mut Vec<Placed>, value: f64) {
    let at = window.partition_point(|other| other.value < value);
    if window.get(at).is_some_and(|found| found.value == value) {
        window.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_definition(reference: &[f64], window: &[f64]) -> f64 {
        let share = |sample: &[f64], z: f64| {
            sample.iter().filter(|x| **x <= z).count() as f64 / sample.len() as f64
        };
        let sum: f64 = reference
            .iter()
            .chain(window)
            .map(|z| (share(reference, *z) - share(window, *z)).powi(2))
            .sum();
        let (n, w) = (reference.len() as f64, window.len() as f64);
        let variance = (n + w + 1.0)
            * (4.0 * n * w * (n + w) - 3.0 * (n * n + w * w) - 2.0 * n * w)
            / (45.0 * (n + w).powi(2) * 4.0 * n * w);
        let mean = 1.0 / 6.0 + 1.0 / (6.0 * (n + w));
        (sum * n * w / (n + w).powi(2) - mean) / variance.sqrt()
    }

    proptest! {
        #[test]
        fn whole_numbers_give_what_the_definition_gives(
            reference in proptest::collection::vec(-6i8..6, 2..40),
            window in proptest::collection::vec(-8i8..8, 2..20),
        ) {
            let mut reference: Vec<f64> = reference.iter().map(|v| *v as f64).collect();
            let window: Vec<f64> = window.iter().map(|v| *v as f64).collect();
            reference.sort_by(f64::total_cmp);
            let mut placed = Vec::new();
            for value in &window {
                insert(&mut placed, Placed::new(*value, &reference));
            }
            let expected = by_definition(&reference, &window);
            let found = Ranks::new(&reference).statistic(&placed);
            prop_assert!((found - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{} {}", found, expected);
            // What goes in comes out.
            for value in &window {
                remove(&mut placed, *value);
            }
            prop_assert!(placed.is_empty());
        }
    }

    #[test]
    fn a_reference_without_ties_is_known_by_its_size() {
        let reference: Vec<f64> = (0..50).map(f64::from).collect();
        let window: Vec<Placed> = [3.5, 20.5, 20.7, 60.0]
            .map(|value| Placed::new(value, &reference))
            .to_vec();
        let (a, b) = (Ranks::new(&reference), Ranks::without_ties(50));
        assert_eq!(a.statistic(&window), b.statistic(&window));
    }
}
