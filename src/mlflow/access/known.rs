//! Passwords that were right a short time ago, by their marks. Pure: the time is an argument.
//! Imports: base.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::base::secret::Mark;

/// How long a password is known after its full check.
const KEPT: Duration = Duration::from_mins(10);
/// Users whose passwords are known at once.
const KNOWN_MAX: usize = 4096;

/// One password for each user.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<[u8; 32], (Mark, Instant)>);

impl Known {
    /// Is this the user's password?
    pub(super) fn has(&self, name: &Mark, password: &Mark, now: Instant) -> bool {
        let kept = self.0.get(name.as_bytes());
        kept.is_some_and(|(mark, until)| mark == password && now < *until)
    }

    /// This is the user's password.
    pub(super) fn add(&mut self, name: Mark, password: Mark, now: Instant) {
        self.0.retain(|_, (_, until)| now < *until);
        if self.0.len() < KNOWN_MAX || self.0.contains_key(name.as_bytes()) {
            self.0.insert(*name.as_bytes(), (password, now + KEPT));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_for_a_while() {
        let (ada, eda, right) = (Mark::of(b"ada"), Mark::of(b"eda"), Mark::of(b"right"));
        let mut known = Known::default();
        let start = Instant::now();
        assert!(!known.has(&ada, &right, start));
        known.add(ada, right, start);
        let soon = start + Duration::from_mins(9);
        assert!(known.has(&ada, &right, soon));
        assert!(!known.has(&ada, &Mark::of(b"wrong"), soon));
        assert!(!known.has(&eda, &right, soon));
        let late = start + KEPT;
        assert!(!known.has(&ada, &right, late));
        known.add(eda, right, late);
        assert_eq!(known.0.len(), 1);
    }
}
