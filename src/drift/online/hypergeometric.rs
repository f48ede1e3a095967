//! How extreme a count of ones in a window is, given those in a reference. Imports: nothing of ours.

/// Which tail counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tail {
    /// Windows with fewer ones.
    Fewer,
    /// Windows with more ones.
    More,
}

/// Returns P(a window has fewer, or more, ones than `ones`), when `in_window` of the `in_window` +
/// `in_reference` places are the window and `ones` + `reference_ones` ones are strewn over all of them:
/// 1 minus the p-value of Fisher's exact test.
///
/// Probabilities are built up from the most likely count by their ratios, so that no factorial is
/// needed and none loses digits.
pub(super) fn tail(
    tail: Tail,
    ones: usize,
    in_window: usize,
    reference_ones: usize,
    in_reference: usize,
) -> f64 {
    let all_ones = ones + reference_ones;
    let (low, high) = (
        all_ones.saturating_sub(in_reference),
        in_window.min(all_ones),
    );
    // P(y + 1 ones) / P(y ones).
    let ratio = |y: usize| {
        let up = (in_window - y) as f64 * (all_ones - y) as f64;
        up / ((y + 1) as f64 * (in_reference + y + 1 - all_ones) as f64)
    };
    let mode = ((in_window + 1) as f64 * (all_ones + 1) as f64
        / (in_window + in_reference + 2) as f64) as usize;
    let mode = mode.clamp(low, high);
    let (mut total, mut beyond) = (0.0, 0.0);
    let mut add = |y: usize, weight: f64| {
        total += weight;
        let counts = match tail {
            Tail::Fewer => y < ones,
            Tail::More => ones < y,
        };
        if counts {
            beyond += weight;
        }
    };
    add(mode, 1.0);
    let mut weight = 1.0;
    for y in mode..high {
        weight *= ratio(y);
        add(y + 1, weight);
    }
    weight = 1.0;
    for y in (low..mode).rev() {
        weight /= ratio(y);
        add(y, weight);
    }
    beyond / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choose(n: usize, k: usize) -> f64 {
        if n < k {
            return 0.0;
        }
        (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
    }

    proptest! {
        #[test]
        fn tails_are_sums_of_binomial_coefficients(
            in_window in 1usize..15,
            in_reference in 1usize..25,
            a in 0.0..=1.0f64,
            b in 0.0..=1.0f64,
        ) {
            let ones = (a * in_window as f64).round() as usize;
            let reference_ones = (b * in_reference as f64).round() as usize;
            let all_ones = ones + reference_ones;
            let weight = |y: usize| {
                if all_ones < y { 0.0 } else { choose(in_window, y) * choose(in_reference, all_ones - y) }
            };
            let total: f64 = (0..=in_window).map(weight).sum();
            let fewer: f64 = (0..ones).map(weight).sum();
            let more: f64 = (ones + 1..=in_window).map(weight).sum();
            for (side, expected) in [(Tail::Fewer, fewer), (Tail::More, more)] {
                let found = tail(side, ones, in_window, reference_ones, in_reference);
                prop_assert!((found - expected / total).abs() < 1e-12, "{} {}", found, expected / total);
            }
        }
    }
}
