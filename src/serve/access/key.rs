//! A key: who has it, what it opens, until when. Its text is drawn here, shown once and never kept.
//! Imports: base.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::base;
use crate::base::clock::Timestamp;
use crate::base::secret::{self, Mark};

/// How a key begins, so that people and scanners for leaked secrets recognise one.
const PREFIX: &str = "cvk_";
/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Predictions, and what is told about models.
    Predict,
    /// Saying what a picture really shows.
    Feedback,
    /// The metrics, where they are not open to all.
    Metrics,
    /// Everything, also loading and unloading models.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Predict, Self::Feedback, Self::Metrics, Self::Admin];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Feedback => "feedback",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }

    /// Does a key with this scope open what needs `needed`?
    fn covers(self, needed: Self) -> bool {
        self == Self::Admin || self == needed
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or(BadScope)
    }
}

/// A text names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scopes are `predict`, `feedback`, `metrics` and `admin`, which is all of them")]
pub struct BadScope;

/// The name of a key: it stands in logs, so it is plain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// Returns it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = BadKeyName;

    fn from_str(text: &str) -> Result<Self, BadKeyName> {
        let is_known = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        // A key that was put where its name belongs would stand in every log.
        if fits && text.chars().all(is_known) && !text.starts_with('-') && !is_key(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadKeyName)
        }
    }
}

/// Returns `text` with every key in it cut to its beginning.
pub(super) fn without_keys(text: &str) -> String {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut parts = text.split(PREFIX);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(is_of_key);
        let cut = if rest.len() < part.len() { "…" } else { "" };
        shown.extend([PREFIX, cut, rest]);
    }
    shown
}

fn is_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// A text is no name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key's name has letters, digits and `.`, `_`, `-`, `@`, `+`, at most {NAME_BYTES_MAX} of them, and does not begin with `{PREFIX}`"
)]
pub struct BadKeyName;

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is, or what for; unlike all others in its file.
    pub name: KeyName,
    /// What recognises it.
    pub mark: Mark,
    /// What it opens, at least one.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it opens nothing, if ever.
    pub expires: Option<Timestamp>,
}

impl ApiKey {
    /// Draws a key that is valid from `now` on, for `valid` or until it is removed; returns its text
    /// beside it.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn draw(
        name: KeyName,
        scopes: BTreeSet<Scope>,
        now: Timestamp,
        valid: Option<Duration>,
    ) -> Result<(String, Self), base::Error> {
        let (text, mark) = secret::token(PREFIX)?;
        // Whole seconds, as the file has them.
        let created = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let key = Self {
            name,
            mark,
            scopes,
            created,
            // Whoever asks for longer than the calendar goes asks for ever.
            expires: valid.and_then(|valid| created.checked_add(valid).ok()),
        };
        Ok((text, key))
    }

    /// Does it open what needs `needed`?
    #[must_use]
    pub fn opens(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(needed))
    }

    /// Is its time over?
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_opens_everything_and_the_others_one_thing() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let key = |scope| {
            let scopes = BTreeSet::from([scope]);
            ApiKey::draw("x".parse().unwrap(), scopes, at, None)
                .unwrap()
                .1
        };
        for needed in Scope::ALL {
            assert!(key(Scope::Admin).opens(needed), "{needed}");
            for other in [Scope::Predict, Scope::Feedback, Scope::Metrics] {
                assert_eq!(
                    key(other).opens(needed),
                    other == needed,
                    "{other} {needed}"
                );
            }
            assert_eq!(needed.as_str().parse(), Ok(needed));
        }
        assert_eq!("read".parse::<Scope>(), Err(BadScope));
    }

    #[test]
    fn a_key_ends_when_its_time_is_over() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let hour = Duration::from_hours(1);
        let scopes = BTreeSet::from([Scope::Predict]);
        let draw = |valid| ApiKey::draw("x".parse().unwrap(), scopes.clone(), at, valid);
        let (text, key) = draw(Some(hour)).unwrap();
        assert!(text.starts_with("cvk_") && text.len() == 4 + 43, "{text}");
        assert_eq!(Mark::of(text.as_bytes()), key.mark);
        assert!(!key.is_expired(at) && !key.is_expired(at + hour - Duration::from_secs(1)));
        assert!(key.is_expired(at + hour));
        assert!(!draw(None).unwrap().1.is_expired(Timestamp::MAX));
    }

    #[test]
    fn keys_are_cut_wherever_they_stand() {
        for (text, expected) in [
            ("", ""),
            ("no key", "no key"),
            ("begins with `cvk_`", "begins with `cvk_`"),
            ("cvk_a-B_9", "cvk_…"),
            ("unknown key `cvk_x`, cvk_y.", "unknown key `cvk_…`, cvk_…."),
            ("cvk_cvk_x", "cvk_cvk_…"),
        ] {
            assert_eq!(without_keys(text), expected);
        }
    }

    #[test]
    fn names_are_plain() {
        for name in ["ci", "web-app.2", "ada@home+1", "Zoë"] {
            assert!(name.parse::<KeyName>().is_ok(), "{name}");
        }
        let long = "x".repeat(65);
        for name in ["", "-x", "a b", "a\nb", "a\"b", "cvk_abc", &long] {
            assert_eq!(name.parse::<KeyName>(), Err(BadKeyName), "{name:?}");
        }
    }
}
