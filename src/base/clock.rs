//! The wall clock, for records that say when something happened. Results never depend on it.
//! Imports: jiff.

pub use jiff::Timestamp;

/// Returns the time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the gate of the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Formats a time for people, in the time zone of this machine: `2026-03-01 14:05`.
#[must_use]
pub fn local(at: Timestamp) -> String {
    at.to_zoned_datetime(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}
