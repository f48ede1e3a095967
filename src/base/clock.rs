//! The wall clock, for records that say when something happened. Results never depend on it.
//! Imports: jiff.

pub use jiff::Timestamp;

/// Returns the time now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the gate of the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
