//! How many pictures come per second, of late. Imports: nothing of ours.

use std::time::Instant;

/// How far back the rate looks, in seconds: as the rules of Prometheus do.
const MEMORY_S: f64 = 300.0;

/// An exponentially weighted mean of arrivals per second.
pub(super) struct Rate {
    began: Instant,
    last: Instant,
    /// Since `last`.
    count: u64,
    mean: f64,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            last: now,
            count: 0,
            mean: 0.0,
        }
    }

    /// Counts an arrival.
    pub(super) fn add(&mut self) {
        self.count += 1;
    }

    /// Returns the arrivals per second up to `now`.
    pub(super) fn per_second(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        if 0.0 < passed {
            let kept = (-passed / MEMORY_S).exp();
            self.mean = kept * self.mean + (1.0 - kept) * (self.count as f64 / passed);
            (self.count, self.last) = (0, now);
        }
        // What lies before the beginning is not known; it does not count as nothing.
        let age = now.saturating_duration_since(self.began).as_secs_f64();
        let known = 1.0 - (-age / MEMORY_S).exp();
        if 0.0 < known { self.mean / known } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_from_the_beginning_and_loses_it_when_it_ends() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!(rate.per_second(start), 0.0);
        let mut now = start;
        for second in 1..=400 {
            for _ in 0..5 {
                rate.add();
            }
            now = start + Duration::from_secs(second);
            let found = rate.per_second(now);
            assert!((found - 5.0).abs() < 1e-9, "{second}: {found}");
        }
        let later = rate.per_second(now + Duration::from_mins(50));
        assert!(later < 0.01, "{later}");
    }
}
