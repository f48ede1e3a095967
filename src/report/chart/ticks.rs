//! Round values for an axis and how they are written. Imports: nothing.

/// The marks of an axis: value and text, ascending.
pub(super) type Ticks = Vec<(f64, String)>;

/// Returns about `wanted` round values within `low..=high`, at steps of 1, 2 or 5 times a power of
/// ten (Heckbert, "Nice Numbers for Graph Labels", Graphics Gems, 1990), and of at least `step_min`.
pub(super) fn linear(low: f64, high: f64, wanted: usize, step_min: f64) -> Ticks {
    let step = step(low, high, wanted).max(step_min);
    if !step.is_finite() || step <= 0.0 {
        return vec![(low, number(low, 1.0))];
    }
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first).clamp(0.0, 100.0) as usize;
    (0..=count)
        .map(|i| (first + i as f64) * step)
        .filter(|value| value.is_finite())
        .map(|value| (value, number(value, step)))
        .collect()
}

/// Returns a round step that divides `low..=high` into about `wanted` parts. The range itself may be
/// beyond f64.
pub(super) fn step(low: f64, high: f64, wanted: usize) -> f64 {
    let parts = wanted.max(1) as f64;
    let range = high - low;
    nice_step(if range.is_finite() {
        range / parts
    } else {
        high / parts - low / parts
    })
}

/// Returns the smallest round step that is at least `rough`, all but one part in a thousand.
pub(super) fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor = rough / power;
    let nice = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|nice| factor <= nice * 1.001)
        .unwrap_or(10.0);
    nice * power
}

/// Returns powers of ten within `low..=high` (both positive), with 2 and 5 times them where there
/// are few.
pub(super) fn logarithmic(low: f64, high: f64) -> Ticks {
    let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let few = high / low < 1e3;
    let stride = (decades.clone().count() / 8).max(1);
    let mut ticks = Vec::new();
    for exponent in decades.step_by(stride) {
        for factor in if few { &[1, 2, 5][..] } else { &[1] } {
            let value = f64::from(*factor) * 10f64.powi(exponent);
            if low * 0.999 <= value && value <= high * 1.001 {
                ticks.push((value, power_of_ten(*factor, exponent)));
            }
        }
    }
    if ticks.is_empty() {
        linear(low, high, 4, 0.0)
    } else {
        ticks
    }
}

/// Writes a value on an axis with the given step: `0.25`, `1500`, `20k`, `3M`.
pub(super) fn number(value: f64, step: f64) -> String {
    // A multiple of the step that misses 0 by rounding is 0.
    let value = if value.abs() < step.abs() * 1e-6 {
        0.0
    } else {
        value
    };
    // The step decides, so that all marks of an axis have one unit.
    let units = [
        (1e12, 1e12, "T"),
        (1e9, 1e9, "G"),
        (1e6, 1e6, "M"),
        (5e3, 1e3, "k"),
    ];
    let unit = units.into_iter().find(|unit| unit.0 <= step.abs());
    if let (true, Some((_, unit, suffix))) = (value != 0.0 && value.abs() < 1e15, unit) {
        return format!("{}{suffix}", decimals(value / unit, step / unit));
    }
    if value != 0.0 && (value.abs() < 1e-4 || 1e15 <= value.abs()) {
        return format!("{value:.1e}").replace(".0e", "e").replace('-', "−");
    }
    decimals(value, step)
}

fn decimals(value: f64, step: f64) -> String {
    let places = (-(step.abs().log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
    // The sign of a negative number is a minus, not a hyphen.
    format!("{value:.places$}").replace('-', "−")
}

fn power_of_ten(factor: u8, exponent: i32) -> String {
    if (-3..=4).contains(&exponent) {
        let value = f64::from(factor) * 10f64.powi(exponent);
        return number(value, 10f64.powi(exponent));
    }
    let superscript: String = exponent
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            digit => char::from_u32(0x2070 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
        })
        .collect();
    if factor == 1 {
        format!("10{superscript}")
    } else {
        format!("{factor}·10{superscript}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &Ticks) -> Vec<&str> {
        ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(
            texts(&linear(0.0, 1.0, 5, 0.0)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            texts(&linear(0.0, 10.0, 5, 0.0)),
            ["0", "2", "4", "6", "8", "10"]
        );
        assert_eq!(texts(&linear(-0.3, 0.3, 3, 0.0)), ["−0.2", "0.0", "0.2"]);
        assert_eq!(texts(&linear(0.0, 4200.0, 4, 0.0)), ["0", "2000", "4000"]);
        assert_eq!(texts(&linear(0.0, 42_000.0, 4, 0.0)), ["0", "20k", "40k"]);
        assert_eq!(texts(&linear(0.0, 3e6, 3, 0.0)), ["0", "1M", "2M", "3M"]);
        assert_eq!(texts(&linear(5.0, 5.0, 3, 0.0)), ["5"]);
        assert_eq!(texts(&linear(1.0, 3.0, 8, 1.0)), ["1", "2", "3"]);
    }

    #[test]
    fn logarithmic_ticks_are_powers() {
        assert_eq!(
            texts(&logarithmic(1e-6, 1.0)),
            ["10⁻⁶", "10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1", "1"]
        );
        assert_eq!(
            texts(&logarithmic(0.5, 20.0)),
            ["0.5", "1", "2", "5", "10", "20"]
        );
        assert_eq!(texts(&logarithmic(3.1, 3.4)), ["3.1", "3.2", "3.3", "3.4"]);
    }
}
