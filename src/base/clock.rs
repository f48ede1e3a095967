//! The wall clock, for records that say when something happened. Results never depend on it.
//! Imports: jiff.

pub use jiff::Timestamp;

/// Returns the time now.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}
