//! Numbers as people read them. Imports: nothing of ours.

/// Returns a number with six significant digits and no more decimals than it needs: `0.884`, `12`,
/// `1.5e-7`; `NaN`, `∞` and `−∞` as such.
pub(in crate::ui) fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if 0.0 < value { "∞" } else { "−∞" }.to_owned();
    }
    let size = value.abs();
    if value != 0.0 && !(1e-4..1e12).contains(&size) {
        let text = format!("{value:.5e}");
        let Some((digits, exponent)) = text.split_once('e') else {
            return text;
        };
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        return format!("{digits}e{exponent}");
    }
    let whole = if size < 1.0 {
        0
    } else {
        size.log10().floor() as usize + 1
    };
    let leading = if size == 0.0 || 1.0 <= size {
        0
    } else {
        (-size.log10()).floor() as usize
    };
    let decimals = (6 + leading).saturating_sub(whole);
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Returns a count with its digits in groups of three: `100,000`.
pub(in crate::ui) fn whole(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{number, whole};

    #[test]
    fn counts_have_groups_of_digits() {
        let shown = [0, 999, 1000, 100_000, 1_234_567].map(whole);
        assert_eq!(shown, ["0", "999", "1,000", "100,000", "1,234,567"]);
    }

    #[test]
    fn numbers_are_short_and_true() {
        for (value, expected) in [
            (0.884, "0.884"),
            (12.0, "12"),
            (-0.0, "-0"),
            (1234567.0, "1234567"),
            (0.1 + 0.2, "0.3"),
            (0.000123456789, "0.000123457"),
            (1.5e-7, "1.5e-7"),
            (2e13, "2e13"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "−∞"),
        ] {
            assert_eq!(number(value), expected, "{value:?}");
        }
    }
}
