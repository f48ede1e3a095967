//! How long a key or a token is valid, as an argument and in words. Imports: base.

use std::time::Duration;

use crate::base::clock::{self, Timestamp};
use crate::base::units;

/// Reads how long something is to be valid.
///
/// # Errors
/// Says what is expected.
pub(in crate::cli) fn parse(text: &str) -> Result<Duration, String> {
    units::parse_duration(text)
        .ok_or_else(|| "write for example `12h` or `90d`; a year at most".to_owned())
}

/// Returns what is put behind the name of something new: `, valid until …`, or nothing.
pub(in crate::cli) fn suffix(expires: Option<Timestamp>) -> String {
    expires.map_or_else(String::new, |at| {
        format!(", valid until {}", clock::local(at))
    })
}

/// Returns the cell of a table: until when it is valid, and whether that is over; empty if it is for ever.
pub(in crate::cli) fn cell(expires: Option<Timestamp>, now: Timestamp) -> String {
    expires.map_or_else(String::new, |at| {
        let is_over = if at <= now { " (over)" } else { "" };
        format!("{}{is_over}", clock::local(at))
    })
}
