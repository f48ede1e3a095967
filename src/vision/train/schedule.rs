//! The learning rate at each step, as a pure function: nothing to save in a checkpoint.

/// How the learning rate changes over a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Half a cosine down to 0 (Loshchilov and Hutter 2017, without restarts).
    Cosine,
    /// Up from 1/25 over the first 30 % of the steps, down to 1/250000 over the rest, both along
    /// half a cosine (Smith and Topin 2018; the constants are those of PyTorch's `OneCycleLR`).
    OneCycle,
}

const RISE_SHARE: f64 = 0.3;
const START_DIVISOR: f64 = 25.0;
const END_DIVISOR: f64 = 25.0 * 10_000.0;

impl Schedule {
    /// All schedules with their names.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("constant", Self::Constant),
        ("cosine", Self::Cosine),
        ("one_cycle", Self::OneCycle),
    ];

    /// Returns the name as in `params.yaml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, schedule)| *schedule == self);
        named.map_or("", |(name, _)| *name)
    }

    /// Returns the learning rate of `step` (from 0) of `steps`, of which the first `warmup` rise
    /// linearly to `peak`.
    #[must_use]
    pub fn rate(self, peak: f64, step: usize, steps: usize, warmup: usize) -> f64 {
        if step < warmup {
            return peak * (step + 1) as f64 / warmup as f64;
        }
        let (step, steps) = ((step - warmup) as f64, (steps - warmup) as f64);
        match self {
            Self::Constant => peak,
            Self::Cosine => between(peak, 0.0, step / steps),
            Self::OneCycle => {
                // The last step must reach the end, hence `steps - 1`.
                let rise = (RISE_SHARE * steps - 1.0).max(0.0);
                let fall = (steps - 1.0 - rise).max(1.0);
                if step <= rise && 0.0 < rise {
                    between(peak / START_DIVISOR, peak, step / rise)
                } else {
                    between(peak, peak / END_DIVISOR, (step - rise) / fall)
                }
            }
        }
    }
}

/// Returns the point at `share` of half a cosine from `from` to `to`.
fn between(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_papers() {
        #[track_caller]
        fn check(schedule: Schedule, warmup: usize, expected: &[(usize, f64)]) {
            for (step, rate) in expected {
                let got = schedule.rate(0.1, *step, 100, warmup);
                assert!((got - rate).abs() < 1e-9, "{schedule:?} step {step}: {got}");
            }
        }
        check(Schedule::Constant, 0, &[(0, 0.1), (99, 0.1)]);
        check(Schedule::Constant, 10, &[(0, 0.01), (9, 0.1), (10, 0.1)]);
        check(Schedule::Cosine, 0, &[(0, 0.1), (50, 0.05)]);
        check(Schedule::Cosine, 20, &[(19, 0.1), (20, 0.1), (60, 0.05)]);
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=100), last_lr per step.
        check(Schedule::OneCycle, 0, &[(0, 0.004), (29, 0.1), (99, 4e-7)]);
    }

    #[test]
    fn short_trainings_have_finite_rates() {
        for (_, schedule) in Schedule::NAMES {
            for steps in 1..8 {
                for step in 0..steps {
                    let rate = schedule.rate(0.1, step, steps, 0);
                    assert!(
                        (0.0..=0.1 + 1e-12).contains(&rate),
                        "{schedule:?} {step}/{steps}"
                    );
                }
            }
        }
    }
}
