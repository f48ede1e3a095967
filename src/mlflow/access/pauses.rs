//! Wrong passwords make whoever tries more of them wait, longer each time. Pure: the time is an
//! argument. Imports: base.
//!
//! The pause belongs to the name, whether somebody has it or not. A password that is known already and
//! tokens are not held up by it: whoever tries passwords for a name cannot lock its user out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::base::secret::Mark;

/// Wrong passwords that cost no wait: people mistype.
const FREE: u32 = 3;
/// The longest wait.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Wrong passwords are forgotten so long after the last one's pause.
const KEPT: Duration = Duration::from_mins(15);
/// Names with wrong passwords at once. Each has cost a full check: nobody fills this fast.
const NAMES_MAX: usize = 4096;

/// Wrong passwords by name.
#[derive(Debug, Default)]
pub(super) struct Pauses(BTreeMap<[u8; 32], Failures>);

#[derive(Debug)]
struct Failures {
    count: u32,
    until: Instant,
}

impl Pauses {
    /// Returns how long this name has to wait yet.
    pub(super) fn of(&self, name: &Mark, now: Instant) -> Option<Duration> {
        let until = self.0.get(name.as_bytes())?.until;
        (now < until).then(|| until - now)
    }

    /// A password for this name was wrong.
    pub(super) fn add(&mut self, name: Mark, now: Instant) {
        if NAMES_MAX <= self.0.len() && !self.0.contains_key(name.as_bytes()) {
            self.0.retain(|_, failures| now < failures.until + KEPT);
            // Still full: the one whose pause ended first makes room.
            let first = self.0.iter().min_by_key(|(_, failures)| failures.until);
            let first = first.map(|(name, _)| *name);
            if let Some(first) = first
                && NAMES_MAX <= self.0.len()
            {
                self.0.remove(&first);
            }
        }
        let failures = self.0.entry(*name.as_bytes()).or_insert(Failures {
            count: 0,
            until: now,
        });
        if failures.until + KEPT <= now {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.until = now + pause(failures.count);
    }

    /// A password for this name was right.
    pub(super) fn forget(&mut self, name: &Mark) {
        self.0.remove(name.as_bytes());
    }
}

fn pause(count: u32) -> Duration {
    match count.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(6)).min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_forgotten() {
        let (ada, eda) = (Mark::of(b"ada"), Mark::of(b"eda"));
        let mut pauses = Pauses::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..12 {
            pauses.add(ada, now);
            let wait = pauses.of(&ada, now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pauses.of(&ada, now), None);
        pauses.add(ada, now);
        assert!(pauses.of(&ada, now).is_some() && pauses.of(&eda, now).is_none());
        pauses.forget(&ada);
        assert_eq!(pauses.of(&ada, now), None);
        for _ in 0..4 {
            pauses.add(eda, now);
        }
        now += Duration::from_secs(1) + KEPT;
        pauses.add(eda, now);
        assert_eq!(pauses.of(&eda, now), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut pauses = Pauses::default();
        let now = Instant::now();
        for i in 0..NAMES_MAX + 10 {
            pauses.add(Mark::of(&i.to_le_bytes()), now);
        }
        assert_eq!(pauses.0.len(), NAMES_MAX);
    }
}
