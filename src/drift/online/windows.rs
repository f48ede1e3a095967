//! What all methods ask of windows and references, and how thresholds go on after the last window.
//! Imports: `drift::{error, sample}`.

use super::super::error::Error;
use super::super::sample::Sample;

/// Observations in a window whose rows are all compared with each other.
const JOINT_MAX: usize = 2_000;
/// Observations in a window of one feature.
const SINGLE_MAX: usize = 10_000;

/// Checks the length of a window of all features.
pub(super) fn check(window: usize) -> Result<(), Error> {
    check_up_to(JOINT_MAX, window)
}

fn check_up_to(max: usize, window: usize) -> Result<(), Error> {
    if (2..=max).contains(&window) {
        return Ok(());
    }
    Err(Error::Setting {
        name: "window",
        value: window as f64,
        expected: format!("from 2 to {max} observations"),
    })
}

/// Checks that there are windows of single features, each longer than the one before, and returns the shortest and the
/// longest.
pub(super) fn check_all(windows: &[usize]) -> Result<(usize, usize), Error> {
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        return Err(Error::Setting {
            name: "windows",
            value: 0.0,
            expected: "at least one window".to_owned(),
        });
    };
    for window in windows {
        check_up_to(SINGLE_MAX, *window)?;
    }
    if let Some(pair) = windows.windows(2).find(|pair| pair[1] <= pair[0]) {
        return Err(Error::Setting {
            name: "windows",
            value: pair[1] as f64,
            expected: format!("more than {}, the window before it", pair[0]),
        });
    }
    Ok((*first, *last))
}

/// Checks that each feature takes at least two values.
pub(super) fn require_varying(sample: &Sample) -> Result<(), Error> {
    let first = sample.row(0);
    for (column, value) in first.iter().enumerate() {
        let varies = (1..sample.rows()).any(|row| sample.row(row)[column] != *value);
        if !varies {
            return Err(Error::ConstantFeature {
                column,
                value: *value,
            });
        }
    }
    Ok(())
}

/// Returns τ of `time`, and the last one for all later times.
pub(super) fn threshold_at(thresholds: &[f64], time: u64) -> f64 {
    let last = thresholds.len() - 1;
    thresholds[usize::try_from(time).map_or(last, |time| time.min(last))]
}
