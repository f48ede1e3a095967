//! Labelled points with known errors, for the tests of this room. Imports: base, `audit::features`.

use rand::RngExt;

use super::features::{FeatureSource, Features};
use crate::base::rng::{self, ChaCha8Rng};

/// Points around the centres of classes, and the labels that somebody gave them.
pub(super) struct Labelled {
    pub(super) features: Features,
    /// Right ones.
    pub(super) truth: Vec<u32>,
    /// Given ones.
    pub(super) labels: Vec<u32>,
    pub(super) classes: usize,
}

/// What points are drawn.
#[derive(Clone, Copy)]
pub(super) struct Draw {
    pub(super) points: usize,
    pub(super) width: usize,
    pub(super) classes: usize,
    /// Distance of each centre from the origin, in standard deviations of a point around it.
    pub(super) apart: f64,
    /// The share of labels that are another than the right one.
    pub(super) wrong: f64,
}

/// Draws points from `seed`.
pub(super) fn labelled(draw: Draw, seed: u64) -> Labelled {
    let mut rng = rng::stream(seed, "test.audit.labelled", 0);
    let centres: Vec<Vec<f64>> = (0..draw.classes)
        .map(|_| {
            let centre: Vec<f64> = (0..draw.width).map(|_| normal(&mut rng)).collect();
            let length = centre.iter().map(|x| x * x).sum::<f64>().sqrt();
            centre.iter().map(|x| draw.apart * x / length).collect()
        })
        .collect();
    let (mut values, mut truth, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for point in 0..draw.points {
        let class = point % draw.classes;
        values.extend(centres[class].iter().map(|x| (x + normal(&mut rng)) as f32));
        truth.push(class as u32);
        let given = if rng.random::<f64>() < draw.wrong {
            (class + rng.random_range(1..draw.classes)) % draw.classes
        } else {
            class
        };
        labels.push(given as u32);
    }
    Labelled {
        features: Features::new(values, draw.width, FeatureSource::Embedding).unwrap(),
        truth,
        labels,
        classes: draw.classes,
    }
}

/// Draws from N(0, 1), nearly: the sum of twelve uniform numbers.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}
