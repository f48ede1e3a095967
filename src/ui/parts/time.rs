//! Times and durations as people read them. Imports: base.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::base::{clock, units};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Returns how long ago a time is: `just now`, `5 min ago`, `3 h ago`, `2 days ago`, else the date.
pub(in crate::ui) fn ago(at_ms: i64, now_ms: i64) -> String {
    let gone = now_ms.saturating_sub(at_ms);
    if !(-MINUTE_MS..14 * DAY_MS).contains(&gone) {
        date(at_ms)
    } else if gone < MINUTE_MS {
        "just now".to_owned()
    } else if gone < HOUR_MS {
        format!("{} min ago", gone / MINUTE_MS)
    } else if gone < DAY_MS {
        format!("{} h ago", gone / HOUR_MS)
    } else {
        format!("{} ago", units::count((gone / DAY_MS) as usize, "day"))
    }
}

fn date(at_ms: i64) -> String {
    clock::utc(at_ms)
        .split('T')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A time in a page: how long ago, with the exact one as its title. Shown as HTML.
#[derive(Clone, Copy, Debug)]
pub(in crate::ui) struct Ago {
    pub(in crate::ui) at_ms: i64,
    pub(in crate::ui) now_ms: i64,
}

impl Display for Ago {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exact = clock::utc(self.at_ms);
        let ago = ago(self.at_ms, self.now_ms);
        write!(
            f,
            "<time datetime=\"{exact}\" title=\"{exact}\">{ago}</time>"
        )
    }
}

/// Nothing of it comes from outside.
impl askama::filters::HtmlSafe for Ago {}

/// Returns a duration: `3.4 s`.
pub(in crate::ui) fn took(ms: i64) -> String {
    units::duration(Duration::from_millis(ms.max(0).unsigned_abs()))
}
