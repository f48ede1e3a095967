//! Figures as people read them. Pure. Imports: base.

use std::time::Duration;

use crate::base::units;

use super::figures::{Judged, VersionFigures};

/// What stands where nothing is known.
pub(super) const NOTHING: &str = "–";
/// What is said of detectors of drift that may not look.
pub(super) const DRIFT_REFUSED: &str = "NOT WATCHED: no detector may look at the answers";
/// Longer times need no tenths of milliseconds.
const SHORT_S: f64 = 0.1;

/// Formats how often something happens per second: `0`, `0.03`, `4.2`, `123`, `12.3k`.
pub(super) fn rate(per_s: f64) -> String {
    if per_s < 0.005 {
        "0".to_owned()
    } else if per_s < 1.0 {
        format!("{per_s:.2}")
    } else if per_s < 100.0 {
        format!("{per_s:.1}")
    } else {
        count(per_s)
    }
}

/// Formats how many there are: `7`, `1234`, `12.3k`, `4.6M`.
pub(super) fn count(n: f64) -> String {
    if n < 10_000.0 {
        format!("{n:.0}")
    } else if n < 1e6 {
        format!("{:.1}k", n / 1e3)
    } else {
        format!("{:.1}M", n / 1e6)
    }
}

/// Formats a time in seconds: short ones in tenths of milliseconds, which buckets do not say exactly.
pub(super) fn took(seconds: Option<f64>) -> String {
    match seconds {
        None => NOTHING.to_owned(),
        Some(seconds) if seconds < SHORT_S => format!("{:.1} ms", seconds * 1000.0),
        Some(seconds) => long(seconds),
    }
}

/// Formats how long something lasts.
pub(super) fn long(seconds: f64) -> String {
    units::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Formats how long ago something was, in the largest unit: `45 s`, `12 m`, `3 h`, `9 d`.
pub(super) fn ago(seconds: f64) -> String {
    for (unit, of) in [("d", 86_400.0), ("h", 3600.0), ("m", 60.0)] {
        if of <= seconds {
            return format!("{:.0} {unit}", (seconds / of).floor());
        }
    }
    format!("{seconds:.0} s")
}

/// Formats a share: `34 %`, `0.4 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if 0.0 < percent && percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// Formats a share of a number: `80 % of 10`.
pub(super) fn judged(judged: Judged) -> String {
    match judged.share() {
        None => NOTHING.to_owned(),
        Some(share) => format!("{} of {}", percent(share), count(judged.all)),
    }
}

/// Says what a version is: its alias, what it is asked for, and the share of the requests that it
/// answers, if others answer some.
pub(super) fn part(version: &VersionFigures) -> String {
    let mut words = Vec::new();
    if !version.alias.is_empty() {
        words.push(format!("@{}", version.alias));
    }
    for (role, share) in &version.roles {
        match role.as_str() {
            "main" if *share < 1.0 => words.push(percent(*share)),
            "main" => {}
            "shadow" => words.push(role.clone()),
            _ => words.push(format!("{role} {}", percent(*share))),
        }
    }
    if !version.is_loaded {
        words.push("gone".to_owned());
    } else if !version.is_ready {
        words.push("not ready".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let rates = [0.0, 0.0312, 4.21, 123.4, 12_345.0, 4.56e6].map(rate);
        assert_eq!(rates, ["0", "0.03", "4.2", "123", "12.3k", "4.6M"]);
        let times = [None, Some(0.0042), Some(0.25), Some(2.0)].map(took);
        assert_eq!(times, ["–", "4.2 ms", "250 ms", "2.0 s"]);
        let agos = [3.0, 125.0, 7300.0, 900_000.0].map(ago);
        assert_eq!(agos, ["3 s", "2 m", "2 h", "10 d"]);
        assert_eq!(
            [0.0, 0.004, 0.0995, 0.34, 1.0].map(percent),
            ["0 %", "0.4 %", "10 %", "34 %", "100 %"]
        );
        assert_eq!(judged(Judged::default()), "–");
        assert_eq!(
            judged(Judged {
                right: 4.0,
                all: 5.0
            }),
            "80 % of 5"
        );
    }
}
