//! The wall clock, for records that say when something happened. Results never depend on it.
//! Imports: jiff.

pub use jiff::Timestamp;

/// Returns the time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the gate of the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns when the day `text` (`2026-03-01`) began in the time zone of this machine, in seconds since
/// 1970; `None` if the calendar has no such day.
#[must_use]
pub fn start_of_day(text: &str) -> Option<i64> {
    let day: jiff::civil::Date = text.parse().ok()?;
    let start = day.to_zoned_datetime(jiff::tz::TimeZone::system()).ok()?;
    (day.to_string() == text).then(|| start.timestamp().as_second())
}

/// Formats a time for people, in the time zone of this machine: `2026-03-01 14:05`.
#[must_use]
pub fn local(at: Timestamp) -> String {
    at.to_zoned_datetime(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// Formats a time for people, in UTC: `2026-03-01 14:05`.
#[must_use]
pub fn utc_minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Formats a time in milliseconds since 1970 as RFC 3339 has it, in UTC, to the second:
/// `2026-03-01T14:05:09Z`; one that no calendar has as its number.
#[must_use]
pub fn utc(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| format!("{at_ms} ms"), |at| format!("{at:.0}"))
}

/// Formats the time of day of a moment in seconds since 1970, in the time zone of this machine:
/// `14:05:09`.
#[must_use]
pub fn local_time(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok();
    match at.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        Some(at) => at
            .to_zoned_datetime(jiff::tz::TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string(),
        None => "an unknown time".to_owned(),
    }
}
