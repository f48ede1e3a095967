//! Sizes, counts and durations as people read and write them: one formatter each, and one reader of
//! durations and one of sizes. Imports: jiff.

use std::time::Duration;

/// Formats a number of bytes with a binary unit: `532 B`, `2.5 MiB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while 1024.0 <= value && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{n} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// How a number of bytes is written, for messages.
pub const BYTES_FORM: &str = "a number of bytes, or for example `512MiB`, `4GiB`, `16GB`";

/// Reads a number of bytes: a number, or one with a unit (`4GiB`, `1.5 GB`, `512M`; a unit without
/// `i` and `B`, as schedulers write it, is binary); more than nothing.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    let (letter, base) = match unit.strip_suffix("ib") {
        Some(letter) => (letter, 1024_f64),
        None => match unit.strip_suffix('b') {
            Some(letter) => (letter, 1000_f64),
            None => (unit.as_str(), 1024_f64),
        },
    };
    let power = ["", "k", "m", "g", "t", "p"]
        .iter()
        .position(|l| *l == letter)?;
    let bytes = number * base.powi(i32::try_from(power).ok()?);
    (1.0..1e18).contains(&bytes).then_some(bytes as u64)
}

/// Formats a duration: `12 ms`, `3.4 s`, `2 m 05 s`, `1 h 02 m`.
#[must_use]
pub fn duration(d: Duration) -> String {
    let seconds = d.as_secs();
    if seconds == 0 {
        format!("{} ms", d.as_millis())
    } else if seconds < 60 {
        format!("{:.1} s", d.as_secs_f64())
    } else if seconds < 3600 {
        format!("{} m {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// How a duration is written, for messages.
pub const DURATION_FORM: &str =
    "a number of seconds, or for example `500ms`, `30s`, `2h`, `1h 30m`";

/// Reads a duration: a number of seconds, numbers with units (`500ms`, `90s`, `1h 30m`) or of days
/// (`90d`); more than nothing and at most a year.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    let text = text.trim();
    let read = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => match text
            .strip_suffix('d')
            .map(|days| days.trim().parse::<u16>())
        {
            // A day that need not be one of 24 hours is none to jiff.
            Some(Ok(days)) => Duration::from_hours(24 * u64::from(days)),
            _ => text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()?,
        },
    };
    (Duration::ZERO < read && read <= YEAR).then_some(read)
}

/// Reads how long ago something was: a number of days (`30d`), or a duration.
#[must_use]
pub fn parse_age(text: &str) -> Option<Duration> {
    const DAY_S: f64 = 86_400.0;
    let Some(days) = text.trim().strip_suffix('d') else {
        return parse_duration(text);
    };
    let days: f64 = days.trim_end().parse().ok()?;
    let age = Duration::try_from_secs_f64(days * DAY_S).ok()?;
    (Duration::ZERO < age).then_some(age)
}

/// Formats a count with its noun in the right number: `1 stage`, `3 stages`.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        assert_eq!(bytes(532), "532 B");
        assert_eq!(bytes(2_621_440), "2.5 MiB");
        assert_eq!(duration(Duration::from_millis(12)), "12 ms");
        assert_eq!(duration(Duration::from_millis(3400)), "3.4 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 m 05 s");
        assert_eq!(duration(Duration::from_secs(3725)), "1 h 02 m");
        for (text, ms) in [
            ("30", Some(30_000)),
            ("1.5", Some(1500)),
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            (" 2 m ", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1h 30m", Some(5_400_000)),
            ("", None),
            ("s", None),
            ("0", None),
            ("-1s", None),
            ("1d", Some(86_400_000)),
            ("400d", None),
            ("1d 2h", None),
            ("1e99", None),
            ("nan", None),
            ("inf", None),
        ] {
            let expected = ms.map(Duration::from_millis);
            assert_eq!(parse_duration(text), expected, "{text}");
        }
        for (text, hours) in [
            ("30d", Some(720)),
            (" 0.5 d", Some(12)),
            ("12h", Some(12)),
            ("d", None),
            ("-1d", None),
            ("0d", None),
            ("nand", None),
            ("1e300d", None),
        ] {
            let expected = hours.map(Duration::from_hours);
            assert_eq!(parse_age(text), expected, "{text}");
        }
        for (text, bytes) in [
            ("512", Some(512)),
            ("4GiB", Some(4 << 30)),
            ("4 GB", Some(4_000_000_000)),
            ("1.5k", Some(1536)),
            ("512M", Some(512 << 20)),
            ("2gib", Some(2 << 30)),
            ("", None),
            ("0", None),
            ("GiB", None),
            ("-1", None),
            ("1XB", None),
            ("1e99", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
        assert_eq!(
            (count(1, "stage"), count(0, "stage")),
            ("1 stage".into(), "0 stages".into())
        );
    }
}
