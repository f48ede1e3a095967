//! Draws from the normal distribution. Imports: nothing of ours.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};

/// Draws from N(0, 1): Box and Muller's cosine.
pub(super) fn standard_normal(rng: &mut impl Rng) -> f64 {
    // 1 − u is in (0, 1]: its logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    #[test]
    fn has_the_moments_of_the_normal_distribution() {
        let mut rng = rng::stream(1, "test.drift.moments", 0);
        let draws: Vec<f64> = (0..20_000).map(|_| standard_normal(&mut rng)).collect();
        let moment = |power| draws.iter().map(|z| z.powi(power)).sum::<f64>() / 20_000.0;
        // Standard errors: 0.007, 0.01, 0.027, 0.07.
        assert!(moment(1).abs() < 0.03);
        assert!((moment(2) - 1.0).abs() < 0.04);
        assert!(moment(3).abs() < 0.11);
        assert!((moment(4) - 3.0).abs() < 0.3);
    }
}
