//! What detectors say, as a table for terminals and pages. Imports: report, `detect::checked`.

use crate::report::{Align, Table, Tone};

use super::checked::{Detected, Measured, Outcome};

/// Features that are named in a row.
const FEATURES_MAX: usize = 3;
/// What stands where there is no number.
const NOTHING: &str = "-";

/// Returns a row for each detector: its test, what it measured, and its verdict.
#[must_use]
pub fn detectors(all: &[Detected]) -> Table {
    let mut table = Table::new([
        ("detector", Align::Left),
        ("test", Align::Left),
        ("statistic", Align::Right),
        ("p", Align::Right),
        ("drift below", Align::Right),
        ("effect", Align::Right),
        ("verdict", Align::Left),
    ]);
    for one in all {
        let number = |value: Option<f64>| value.map_or_else(|| NOTHING.to_owned(), number);
        let nothing = || NOTHING.to_owned();
        match &one.outcome {
            Outcome::Failed(_) => {
                let test = one.test.clone();
                let verdict = "not computed".to_owned();
                table.row([
                    one.name.clone(),
                    test,
                    nothing(),
                    nothing(),
                    nothing(),
                    nothing(),
                    verdict,
                ]);
                table.tone(6, Tone::Bad);
            }
            Outcome::Measured(measured) => {
                table.row([
                    one.name.clone(),
                    one.test.clone(),
                    number(measured.statistic),
                    probability(measured.p_val),
                    measured.threshold.map_or_else(nothing, probability),
                    number(measured.effect),
                    word(one, measured),
                ]);
                if measured.is_drift {
                    table.tone(6, Tone::Bad);
                }
            }
        }
    }
    table
}

/// Returns whether it drifted, and which features did most.
fn word(one: &Detected, measured: &Measured) -> String {
    if !measured.is_drift {
        let significant = measured
            .threshold
            .is_some_and(|level| measured.p_val < level);
        return if significant && one.min_effect > 0.0 {
            format!("effect below {}", one.min_effect)
        } else {
            "none".to_owned()
        };
    }
    let mut drifted: Vec<_> = measured.features.iter().filter(|f| f.is_drift).collect();
    if measured.features.len() < 2 || drifted.is_empty() {
        return "drift".to_owned();
    }
    drifted.sort_by(|a, b| a.p_val.total_cmp(&b.p_val));
    let names: Vec<&str> = drifted.iter().map(|f| f.name.as_str()).collect();
    let shown = names[..names.len().min(FEATURES_MAX)].join(", ");
    match names.len().checked_sub(FEATURES_MAX + 1) {
        Some(more) => format!("drift: {shown} and {} more", more + 1),
        None => format!("drift: {shown}"),
    }
}

/// Returns a number with as many digits as say something.
#[must_use]
pub fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.001 {
        return format!("{value:.1e}");
    }
    format!("{value:.3}")
}

/// Returns a number with more digits than [`number`], for those who compare it with that of another program: at most
/// four behind the point; of very small and very large ones, four digits.
#[must_use]
pub fn precise(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "–".to_owned()
    } else if size == 0.0 || (1e-3..1e5).contains(&size) || value.is_infinite() {
        let text = format!("{value:.4}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        format!("{value:.3e}")
    }
}

/// Returns a p-value or a significance level.
#[must_use]
pub fn probability(p: f64) -> String {
    if p < 0.0001 {
        return format!("{p:.0e}");
    }
    format!("{p:.4}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        for (value, shown) in [
            (0.0, "0"),
            (0.46754, "0.4675"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (0.001, "0.001"),
            (0.000_123_4, "1.234e-4"),
            (123_456.0, "1.235e5"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(precise(value), shown);
        }
        assert_eq!(
            [number(0.25), number(2.0), number(-0.000_12)],
            ["0.250", "2.000", "-1.2e-4"]
        );
        assert_eq!(
            [probability(0.05), probability(0.000_012)],
            ["0.0500", "1e-5"]
        );
    }
}
