//! Thresholds from simulated streams, step by step, over the streams that raised no earlier alarm.
//! Imports: `drift::{error, quantile}`.
//!
//! A quantile over *all* streams would give false alarms that come in clusters: what was above the
//! threshold at one step is likely to be above the next one. Leaving out what has raised an alarm makes
//! the probability of the first alarm the same at each step.

use rayon::prelude::*;

use super::super::error::Error;
use super::super::quantile::{Definition, of_sorted};

/// Values that a simulation may hold: 512 MiB.
const VALUES_MAX: usize = 1 << 26;
/// Bootstraps when the caller does not say: the more, the closer is the run time to the expected one.
const BOOTSTRAPS_MIN: usize = 1000;

/// How often an alarm may be false.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    ert: f64,
    /// Of one feature, at one step.
    beta: f64,
}

impl Rate {
    /// The rate at which `features` independent features together raise one false alarm in `ert` steps:
    /// β = 1 − (1 − 1/ERT)^(1/d).
    ///
    /// # Errors
    /// `ert` is below 2.
    pub(super) fn new(ert: f64, features: usize) -> Result<Self, Error> {
        if !(2.0..=1e12).contains(&ert) {
            return Err(Error::Setting {
                name: "ert",
                value: ert,
                expected: "a number of observations from 2 to 1e12".to_owned(),
            });
        }
        let beta = if features == 1 {
            1.0 / ert
        } else {
            -((-1.0 / ert).ln_1p() / features as f64).exp_m1()
        };
        Ok(Self { ert, beta })
    }

    /// The share of streams that raise no alarm at a step.
    fn quiet(self) -> f64 {
        1.0 - self.beta
    }

    /// How many streams a quantile at this rate needs.
    fn needed(self) -> usize {
        // 1 / (1 / ERT) is not always ERT.
        (1.0 / self.beta - 1e-6).ceil() as usize
    }
}

/// Which streams live on after a threshold τ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keep {
    /// Those below τ.
    Below,
    /// Those below τ, and all of them at the first step.
    BelowAfterFirst,
    /// Those not above τ.
    UpTo,
    /// Those below τ, and as many of those at τ as the rate asks for.
    Share,
}

impl Keep {
    /// How many of `count` streams with different statistics live on after step `step`.
    fn of(self, count: usize, step: usize, rate: Rate) -> usize {
        let place = (count as f64 - 1.0) * rate.quiet() + 1.0;
        match self {
            Self::BelowAfterFirst if step == 0 => count,
            Self::Below | Self::BelowAfterFirst => place.ceil() as usize - 1,
            Self::UpTo => place.floor() as usize,
            Self::Share => (count as f64 * rate.quiet()).round() as usize,
        }
    }

    /// Whether `count` streams give a threshold at each of `steps` steps.
    fn works(self, mut count: usize, steps: usize, rate: Rate) -> bool {
        for step in 0..steps {
            if count < rate.needed() {
                return false;
            }
            count = self.of(count, step, rate);
        }
        true
    }

    /// The smallest number of streams that works.
    ///
    /// # Errors
    /// There is none worth a try.
    fn smallest(self, steps: usize, rate: Rate) -> Result<usize, Error> {
        let mut high = rate.needed();
        while !self.works(high, steps, rate) {
            if high > 1 << 40 {
                return Err(Error::Setting {
                    name: "ert",
                    value: rate.ert,
                    expected: format!(
                        "a longer run time or shorter windows: hardly any stream lasts {steps} steps without an alarm"
                    ),
                });
            }
            high *= 2;
        }
        let mut low = rate.needed();
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.works(middle, steps, rate) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(high)
    }
}

/// Returns how many streams to simulate: what the caller says, or max(1000, 10/β) and what it takes.
///
/// # Errors
/// Those of the caller are too few (the error names the smallest number that works), or too many for
/// the memory.
pub(super) fn bootstraps(
    asked: Option<usize>,
    steps: usize,
    rate: Rate,
    keep: Keep,
) -> Result<usize, Error> {
    let needed = keep.smallest(steps, rate)?;
    let usual = BOOTSTRAPS_MIN.max((10.0 / rate.beta - 1e-6).ceil() as usize);
    let bootstraps = asked.unwrap_or(usual.max(needed));
    if bootstraps < needed {
        return Err(Error::TooFewBootstraps {
            bootstraps,
            ert: rate.ert,
            needed,
        });
    }
    if bootstraps.saturating_mul(steps) > VALUES_MAX {
        let mib = |values: usize| values.div_ceil((1 << 20) / size_of::<f64>());
        return Err(Error::TooMuch {
            bootstraps,
            steps,
            mib: mib(bootstraps.saturating_mul(steps)),
            limit_mib: mib(VALUES_MAX),
        });
    }
    Ok(bootstraps)
}

/// Simulated statistics: `[bootstraps, steps]`, row-major.
#[derive(Debug)]
pub(super) struct Paths {
    values: Vec<f64>,
    steps: usize,
}

impl Paths {
    /// Lets `walk` write the statistics of each bootstrap, in parallel; what it needs for that, `room`
    /// makes once for many.
    pub(super) fn simulate<R>(
        bootstraps: usize,
        steps: usize,
        room: impl Fn() -> R + Sync + Send,
        walk: impl Fn(&mut R, usize, &mut [f64]) + Sync + Send,
    ) -> Self {
        let mut values = vec![0.0; bootstraps * steps];
        values
            .par_chunks_exact_mut(steps)
            .enumerate()
            .for_each_init(room, |room, (number, path)| walk(room, number, path));
        Self { values, steps }
    }

    /// Wraps values that are known already.
    #[cfg(test)]
    pub(super) fn of(values: Vec<f64>, steps: usize) -> Self {
        Self { values, steps }
    }

    /// The mean of each step over all bootstraps, summed in their order.
    pub(super) fn means(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.steps];
        for path in self.values.chunks_exact(self.steps) {
            for (sum, value) in sums.iter_mut().zip(path) {
                *sum += value;
            }
        }
        let count = (self.values.len() / self.steps) as f64;
        sums.into_iter().map(|sum| sum / count).collect()
    }

    fn at(&self, bootstrap: usize, step: usize) -> f64 {
        self.values[bootstrap * self.steps + step]
    }
}

/// A threshold, and what happens exactly there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Threshold {
    /// τ: more than this is an alarm.
    pub(super) value: f64,
    /// The probability with which a statistic of exactly τ is none. 1 for all rules but [`Keep::Share`].
    pub(super) permitted: f64,
}

/// Returns a threshold for each step of `paths`, such that of the streams without an earlier alarm a
/// share of β raises one.
///
/// # Errors
/// Equal statistics leave too few streams.
pub(super) fn thresholds(paths: &Paths, rate: Rate, keep: Keep) -> Result<Vec<Threshold>, Error> {
    let mut alive: Vec<usize> = (0..paths.values.len() / paths.steps).collect();
    let mut sorted = Vec::with_capacity(alive.len());
    let mut found = Vec::with_capacity(paths.steps);
    for step in 0..paths.steps {
        if alive.len() < rate.needed() {
            return Err(Error::Repeats {
                step,
                survivors: alive.len(),
                needed: rate.needed(),
            });
        }
        sorted.clear();
        sorted.extend(alive.iter().map(|stream| paths.at(*stream, step)));
        sorted.sort_unstable_by(f64::total_cmp);
        let threshold = match keep {
            Keep::Below | Keep::BelowAfterFirst | Keep::UpTo => Threshold {
                value: of_sorted(&sorted, rate.quiet(), Definition::Linear)?,
                permitted: 1.0,
            },
            Keep::Share => randomised(&sorted, rate)?,
        };
        found.push(threshold);
        let tau = threshold.value;
        match keep {
            Keep::BelowAfterFirst if step == 0 => {}
            Keep::Below | Keep::BelowAfterFirst => alive.retain(|s| paths.at(*s, step) < tau),
            Keep::UpTo => alive.retain(|s| paths.at(*s, step) <= tau),
            Keep::Share => {
                // Streams are exchangeable, so the first ones are as good as any.
                let below = sorted.partition_point(|value| *value < tau);
                let mut equal = keep.of(alive.len(), step, rate).saturating_sub(below);
                alive.retain(|s| {
                    let value = paths.at(*s, step);
                    let kept = value < tau || (value == tau && 0 < equal);
                    equal -= usize::from(kept && value == tau);
                    kept
                });
            }
        }
    }
    Ok(found)
}

/// The quantile (type 6, one of the values) and the share of the values equal to it that must pass for
/// exactly β of all to raise an alarm.
fn randomised(sorted: &[f64], rate: Rate) -> Result<Threshold, Error> {
    let value = of_sorted(sorted, rate.quiet(), Definition::WeibullLower)?;
    let below = sorted.partition_point(|other| *other < value);
    let equal = sorted.partition_point(|other| *other <= value) - below;
    let permitted = (sorted.len() as f64 * rate.quiet() - below as f64) / equal as f64;
    Ok(Threshold {
        value,
        permitted: permitted.clamp(0.0, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;
    use proptest::prelude::*;
    use rand::RngExt;

    const ALL: [Keep; 4] = [Keep::Below, Keep::BelowAfterFirst, Keep::UpTo, Keep::Share];

    fn noise(bootstraps: usize, steps: usize, seed: u64) -> Paths {
        let mut rng = rng::stream(seed, "test.drift.calibrate", 0);
        Paths::of(
            (0..bootstraps * steps).map(|_| rng.random()).collect(),
            steps,
        )
    }

    #[test]
    fn survivors_are_those_that_the_golden_file_counts() {
        // `online_mmd.kept_after_each_window` of the peer: 300 bootstraps, ERT 50, 10 windows.
        let rate = Rate::new(50.0, 1).unwrap();
        let mut count = 300;
        let kept: Vec<usize> = (0..10)
            .map(|step| {
                count = Keep::Below.of(count, step, rate);
                count
            })
            .collect();
        assert_eq!(kept, [294, 288, 282, 276, 270, 264, 258, 252, 246, 241]);
    }

    #[test]
    fn the_smallest_number_works_and_one_less_does_not() {
        for keep in ALL {
            for (ert, steps, features) in
                [(50.0, 10, 1), (150.0, 20, 1), (60.0, 29, 3), (2.0, 5, 1)]
            {
                let rate = Rate::new(ert, features).unwrap();
                let needed = keep.smallest(steps, rate).unwrap();
                assert!(thresholds(&noise(needed, steps, 1), rate, keep).is_ok());
                let error = thresholds(&noise(needed - 1, steps, 1), rate, keep).unwrap_err();
                assert!(matches!(error, Error::Repeats { .. }), "{keep:?}");
                let error = bootstraps(Some(needed - 1), steps, rate, keep).unwrap_err();
                let text = error.to_string();
                assert!(text.contains(&format!("use at least {needed},")), "{text}");
                assert_eq!(bootstraps(Some(needed), steps, rate, keep), Ok(needed));
            }
        }
    }

    #[test]
    fn what_cannot_be_simulated_is_refused_with_advice() {
        let rate = Rate::new(864_000.0, 1).unwrap();
        let error = bootstraps(None, 20, rate, Keep::Below).unwrap_err();
        assert!(matches!(error, Error::TooMuch { .. }));
        assert!(error.to_string().contains("one observation of many"));
        let rate = Rate::new(2.0, 1).unwrap();
        let error = bootstraps(None, 1000, rate, Keep::Below).unwrap_err();
        assert!(matches!(error, Error::Setting { name: "ert", .. }));
        for ert in [f64::NAN, 1.0, -5.0, f64::INFINITY] {
            assert!(Rate::new(ert, 1).is_err(), "{ert}");
        }
    }

    #[test]
    fn equal_statistics_are_not_taken_for_a_threshold() {
        let paths = Paths::of(vec![1.0; 1000 * 3], 3);
        let rate = Rate::new(50.0, 1).unwrap();
        let error = thresholds(&paths, rate, Keep::Below).unwrap_err();
        assert!(matches!(
            error,
            Error::Repeats {
                step: 1,
                survivors: 0,
                ..
            }
        ));
        // Where ties are drawn for, they do no harm.
        let found = thresholds(&paths, rate, Keep::Share).unwrap();
        for threshold in found {
            assert_eq!(threshold.value, 1.0);
            assert!((threshold.permitted - 0.98).abs() < 1e-3);
        }
    }

    #[test]
    fn features_share_the_rate() {
        let rate = Rate::new(100.0, 7).unwrap();
        assert!((rate.quiet().powi(7) - 0.99).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_share_of_beta_raises_an_alarm_at_each_step(
            levels in 2u32..2000,
            ert in 5.0..60.0f64,
            seed in 0u64..1000,
        ) {
            // Few levels: many ties, for which the rule of shares is made.
            let steps = 6;
            let mut paths = noise(2000, steps, seed);
            for value in &mut paths.values {
                *value = (*value * levels as f64).floor();
            }
            let rate = Rate::new(ert, 1).unwrap();
            let found = thresholds(&paths, rate, Keep::Share).unwrap();
            let mut alive: Vec<f64> = vec![1.0; 2000];
            for (step, threshold) in found.iter().enumerate() {
                let before: f64 = alive.iter().sum();
                for (stream, weight) in alive.iter_mut().enumerate() {
                    let value = paths.at(stream, step);
                    if value == threshold.value {
                        *weight *= threshold.permitted;
                    } else if value > threshold.value {
                        *weight = 0.0;
                    }
                }
                let alarms = 1.0 - alive.iter().sum::<f64>() / before;
                prop_assert!((alarms - 1.0 / ert).abs() < 0.25 / ert + 2e-3, "{} {}", alarms, 1.0 / ert);
            }
        }
    }
}
