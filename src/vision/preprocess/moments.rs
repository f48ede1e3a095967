//! Mean and standard deviation per channel, exactly. Imports: nothing.

/// Sums of values and of their squares per channel: whole numbers, so the order does not matter.
/// `u128` cannot overflow, whatever the number of pictures.
pub(super) struct Moments {
    pixels: u128,
    sums: Vec<u128>,
    squares: Vec<u128>,
}

impl Moments {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            pixels: 0,
            sums: vec![0; channels],
            squares: vec![0; channels],
        }
    }

    pub(super) fn add(&mut self, image: &[u8]) {
        let channels = self.sums.len();
        self.pixels += (image.len() / channels) as u128;
        for channel in 0..channels {
            // One picture has at most 512 × 512 values of 255² each: far inside u64.
            let values = image
                .iter()
                .skip(channel)
                .step_by(channels)
                .map(|&v| u64::from(v));
            let (sum, square) = values.fold((0, 0), |(sum, square), v| (sum + v, square + v * v));
            self.sums[channel] += u128::from(sum);
            self.squares[channel] += u128::from(square);
        }
    }

    /// Returns mean and (population) standard deviation of the values scaled to 0..=1; the latter
    /// is at least one grey level, so that a constant channel can be divided by it.
    pub(super) fn mean_and_std(&self) -> (Vec<f64>, Vec<f64>) {
        const LEVELS: f64 = 255.0;
        let n = self.pixels.max(1);
        let mean = self
            .sums
            .iter()
            .map(|&sum| sum as f64 / n as f64 / LEVELS)
            .collect();
        let deviation = |(&sum, &square): (&u128, &u128)| {
            // n Σx² − (Σx)² is exact and not negative: no cancellation in floating point.
            let scaled = (n * square - sum * sum) as f64;
            (scaled.sqrt() / n as f64 / LEVELS).max(1.0 / LEVELS)
        };
        (
            mean,
            self.sums.iter().zip(&self.squares).map(deviation).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_definition() {
        let mut moments = Moments::new(2);
        moments.add(&[0, 7, 255, 7]);
        moments.add(&[255, 7, 0, 7]);
        let (mean, std) = moments.mean_and_std();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(mean[0], 0.5) && near(mean[1], 7.0 / 255.0), "{mean:?}");
        assert!(near(std[0], 0.5) && near(std[1], 1.0 / 255.0), "{std:?}");
    }
}
