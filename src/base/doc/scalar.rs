//! What an unquoted YAML scalar means: YAML 1.2 with the few liberties that DVC's YAML library
//! takes (`017` is 17, `1_000` is 1000, `5.` and `1e3` are floats). `yes`, `on` and dates are texts.
//! Imports: nothing of ours.

/// The meaning of a plain scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64::MAX`.
    UInt(u64),
    Float(f64),
    /// A whole number that 64 bits cannot hold.
    TooLarge,
    Str,
}

/// Returns what `text`, written without quotes, means.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    let first = text.as_bytes()[0];
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return Plain::Str;
    }
    let (sign, body) = match first {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match body {
        ".inf" | ".Inf" | ".INF" => return Plain::Float(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if body == text => return Plain::Float(f64::NAN),
        _ => {}
    }
    if is_float(body) {
        let digits = body.replace('_', "");
        // `._` has the shape of a float and no value.
        return digits
            .parse::<f64>()
            .map_or(Plain::Str, |x| Plain::Float(sign * x));
    }
    whole(sign < 0.0, body).unwrap_or(Plain::Str)
}

/// Would `text`, written without quotes, be read as a text again?
pub(super) fn is_text(text: &str) -> bool {
    resolve(text) == Plain::Str && !has_other_meaning(text)
}

/// Texts that this program reads as texts, and DVC as something else: dates, `=`, `<<`, and shapes of
/// numbers without a value.
fn has_other_meaning(text: &str) -> bool {
    if matches!(text, "=" | "<<") || is_timestamp(text) {
        return true;
    }
    let Some(first) = text.bytes().next() else {
        return true;
    };
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return false;
    }
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    is_float(body) || radix(body).is_some()
}

fn all(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(fits)
}

fn digit_or_line(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// Has it the shape of a float? The sign is off already.
fn is_float(body: &str) -> bool {
    let split = body.find(['e', 'E']);
    let (mantissa, exponent) = match split {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let exponent_digits = |e: &str| all(e, |b| b.is_ascii_digit());
    let signed = |e: &str| e.strip_prefix(['-', '+']).is_some_and(exponent_digits);
    if let Some(fraction) = mantissa.strip_prefix('.') {
        // After `.5` an exponent needs its sign.
        return all(fraction, digit_or_line) && exponent.is_none_or(signed);
    }
    if !mantissa.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let exponent_fits = |e: &str| signed(e) || exponent_digits(e);
    match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            all(whole, digit_or_line)
                && fraction.bytes().all(digit_or_line)
                && exponent.is_none_or(exponent_fits)
        }
        None => all(mantissa, digit_or_line) && exponent.is_some_and(exponent_fits),
    }
}

/// Returns base and digits of what has the shape of a whole number. The sign is off already.
fn radix(body: &str) -> Option<(u32, &str)> {
    let line = |b: u8| b == b'_';
    for (prefix, base) in [("0b", 2), ("0o", 8), ("0x", 16)] {
        if let Some(digits) = body.strip_prefix(prefix) {
            return all(digits, |b| (b as char).is_digit(base) || line(b))
                .then_some((base, digits));
        }
    }
    all(body, digit_or_line).then_some((10, body))
}

fn whole(is_negative: bool, body: &str) -> Option<Plain> {
    let (base, digits) = radix(body)?;
    let digits = digits.replace('_', "");
    if digits.is_empty() {
        return None;
    }
    let Ok(number) = u128::from_str_radix(&digits, base) else {
        return Some(Plain::TooLarge);
    };
    let signed = i128::try_from(number).map(|n| if is_negative { -n } else { n });
    Some(match signed.map(i64::try_from) {
        Ok(Ok(int)) => Plain::Int(int),
        _ if is_negative => Plain::TooLarge,
        _ => u64::try_from(number).map_or(Plain::TooLarge, Plain::UInt),
    })
}

/// Has it the shape of a date or a time?
fn is_timestamp(text: &str) -> bool {
    /// Takes `min` to `max` digits off the front.
    fn digits(text: &str, min: usize, max: usize) -> Option<&str> {
        let count = text
            .bytes()
            .take(max)
            .take_while(u8::is_ascii_digit)
            .count();
        (min <= count).then(|| &text[count..])
    }
    fn date(text: &str, min: usize) -> Option<&str> {
        let rest = digits(text, 4, 4)?.strip_prefix('-')?;
        let rest = digits(rest, min, 2)?.strip_prefix('-')?;
        digits(rest, min, 2)
    }
    fn time(text: &str) -> Option<&str> {
        let rest = match text.strip_prefix(['T', 't']) {
            Some(rest) => rest,
            None => text
                .strip_prefix([' ', '\t'])?
                .trim_start_matches([' ', '\t']),
        };
        let rest = digits(rest, 1, 2)?.strip_prefix(':')?;
        let rest = digits(rest, 2, 2)?.strip_prefix(':')?;
        let rest = digits(rest, 2, 2)?;
        Some(match rest.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => rest,
        })
    }
    fn is_zone(text: &str) -> bool {
        if text.is_empty() {
            return true;
        }
        let zone = text.trim_start_matches([' ', '\t']);
        if zone == "Z" {
            return true;
        }
        let rest = zone.strip_prefix(['-', '+']).and_then(|z| digits(z, 1, 2));
        rest.is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix(':')
                    .and_then(|r| digits(r, 2, 2))
                    .is_some_and(str::is_empty)
        })
    }
    if date(text, 2).is_some_and(str::is_empty) {
        return true;
    }
    date(text, 1).and_then(time).is_some_and(is_zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_dvc_reads() {
        let check = |text: &str, expected: Plain| assert_eq!(resolve(text), expected, "{text}");
        for text in [
            "yes", "on", "No", "y", "nULL", "tRUE", "a", "-", "+", ".", "1.2.3", "0o8", "0xg",
        ] {
            check(text, Plain::Str);
        }
        for text in [
            "2024-01-02",
            "1:30",
            "-_",
            "+.nan",
            ".5e3",
            "e3",
            "1e",
            "._",
            "0b_",
            "--1",
        ] {
            check(text, Plain::Str);
        }
        for (text, n) in [
            ("0", 0),
            ("017", 17),
            ("0o17", 15),
            ("-0o17", -15),
            ("0x1F", 31),
            ("0b101", 5),
            ("1_000", 1000),
            ("+12", 12),
            ("-9223372036854775808", i64::MIN),
        ] {
            check(text, Plain::Int(n));
        }
        check("12345678901234567890", Plain::UInt(12345678901234567890));
        check("123456789012345678901", Plain::TooLarge);
        check("-9223372036854775809", Plain::TooLarge);
        for (text, x) in [
            ("1e-3", 1e-3),
            ("1E5", 1e5),
            ("5.", 5.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("1_0.2_5", 10.25),
            ("-.inf", f64::NEG_INFINITY),
            (".5e+3", 500.0),
            ("1.e2", 100.0),
        ] {
            check(text, Plain::Float(x));
        }
        assert!(matches!(resolve("-0.0"), Plain::Float(x) if x.is_sign_negative()));
        assert!(matches!(resolve(".NaN"), Plain::Float(x) if x.is_nan()));
    }

    #[test]
    fn a_text_that_dvc_reads_as_something_else_is_none() {
        for text in [
            "2024-01-02",
            "2024-1-2 3:04:05.6 +01:00",
            "2001-12-14t21:59:43Z",
            "=",
            "<<",
            "._",
            "-_",
            "",
        ] {
            assert!(!is_text(text), "{text}");
        }
        for text in [
            "2024-1-2",
            "2024-01-02 3:04",
            "a",
            "yes",
            "1.2.3",
            "-",
            "2024-01-02 x",
        ] {
            assert!(is_text(text), "{text}");
        }
    }
}
