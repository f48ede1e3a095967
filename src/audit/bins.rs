//! Cuts the values of a property into bins that hold about as many pictures each.
//! Imports: nothing of ours.

/// Bins over numbers. A bin reaches from its cut, inclusive, to the next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bins {
    /// Where bins after the first begin, ascending.
    cuts: Vec<f64>,
}

impl Bins {
    /// Cuts `values` into at most `count` bins that hold about as many each. Equal values stay together, so
    /// each cut lies between two different values, at the place that is nearest to the quantile: where one
    /// value is frequent it has a bin of its own, and the others have theirs. One bin if there is only one
    /// value.
    pub(super) fn quantiles(values: &[f64], count: usize) -> Self {
        let sorted = sorted(values);
        // Where another value begins, ascending.
        let places: Vec<usize> = (1..sorted.len())
            .filter(|at| sorted[at - 1] < sorted[*at])
            .collect();
        let nearest = |quantile: usize| {
            let above = places.partition_point(|place| *place < quantile);
            let around = &places[above.saturating_sub(1)..places.len().min(above + 1)];
            around.iter().min_by_key(|place| place.abs_diff(quantile))
        };
        let mut cuts: Vec<f64> = (1..count)
            .filter_map(|at| nearest(at * sorted.len() / count))
            .map(|place| sorted[*place])
            .collect();
        cuts.dedup();
        Self { cuts }
    }

    /// As `quantiles`, but with a bin for each value if there are at most `count` different ones: sizes,
    /// and numbers that stand for kinds.
    pub(super) fn values_or_quantiles(values: &[f64], count: usize) -> Self {
        let mut distinct = sorted(values);
        distinct.dedup();
        if distinct.len() <= count {
            let cuts = distinct.split_off(distinct.len().min(1));
            return Self { cuts };
        }
        Self::quantiles(values, count)
    }

    /// Returns the number of bins.
    pub(super) fn len(&self) -> usize {
        self.cuts.len() + 1
    }

    /// Returns the bin of a value.
    pub(super) fn of(&self, value: f64) -> usize {
        self.cuts.partition_point(|cut| *cut <= value)
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quarters_hold_a_quarter_each() {
        let values: Vec<f64> = (0..103).rev().map(f64::from).collect();
        let bins = Bins::quantiles(&values, 4);
        let mut counts = [0; 4];
        for value in &values {
            counts[bins.of(*value)] += 1;
        }
        assert_eq!(counts, [25, 26, 26, 26]);
    }

    #[test]
    fn equal_values_stay_together() {
        assert_eq!(Bins::quantiles(&[5.0; 40], 4).len(), 1);
        assert_eq!(Bins::quantiles(&[], 4).len(), 1);
        let mostly = [vec![0.0; 90], vec![1.0; 10]].concat();
        assert_eq!(Bins::quantiles(&mostly, 4).len(), 2);
        let bins = Bins::values_or_quantiles(&mostly, 4);
        assert_eq!((bins.len(), bins.of(0.0), bins.of(1.0)), (2, 0, 1));
        assert_eq!(Bins::values_or_quantiles(&[], 4).len(), 1);
    }

    #[test]
    fn a_frequent_value_leaves_the_others_their_bins() {
        // Half of the pictures are grey: saturation 0.
        let saturation: Vec<f64> = (0..200_u32)
            .map(|row| f64::from(row.saturating_sub(99)))
            .collect();
        let bins = Bins::quantiles(&saturation, 4);
        let mut counts = [0; 4];
        for value in &saturation {
            counts[bins.of(*value)] += 1;
        }
        // The first two cuts fall together.
        assert_eq!((bins.len(), counts), (3, [100, 50, 50, 0]));
        let high = [vec![0.5; 5], vec![1.0; 95]].concat();
        let bins = Bins::quantiles(&high, 4);
        assert_eq!((bins.len(), bins.of(0.5), bins.of(1.0)), (2, 0, 1));
    }

    proptest! {
        #[test]
        fn bins_follow_the_order_of_the_values(
            values in prop::collection::vec(-9.0..9.0_f64, 1..60),
            count in 1..20_usize,
        ) {
            for bins in [Bins::quantiles(&values, count), Bins::values_or_quantiles(&values, count)] {
                prop_assert!(bins.len() <= count.max(1));
                for a in &values {
                    prop_assert!(bins.of(*a) < bins.len());
                    for b in &values {
                        prop_assert!(b < a || bins.of(*a) <= bins.of(*b));
                    }
                }
            }
        }
    }
}
