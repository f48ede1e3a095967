//! Which pictures train, which validate, which test. Pure. Imports: `base::{canon, hash}`.
//!
//! A picture's place depends on its content and the seed, not on its name or the order of files:
//! within each class the distinct contents are ranked by a keyed hash, and the first ones are kept
//! from training. Identical files share one rank, also when they lie in several classes (they
//! count for the first), so a duplicate never straddles splits that are cut here. Adding pictures
//! moves few of the others.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::ContentHash;
use crate::base::canon::Canon;

/// Names under which splits are given, by folders and by manifests; the first is the usual one.
const GIVEN_NAMES: [(&str, Split); 7] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("val", Split::Val),
    ("valid", Split::Val),
    ("validation", Split::Val),
    ("test", Split::Test),
    ("testing", Split::Test),
];

/// What a picture is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The network learns from it.
    Train,
    /// Decides when to stop and which weights to keep.
    Val,
    /// Seen once, at the end.
    Test,
}

impl Split {
    /// All of them, in the order used everywhere.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// Returns the name used in files: `train`, `val`, `test`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// Returns the split with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }

    /// Returns the split that a folder or a row of a manifest means by `name`: `valid` is `val` as well.
    pub(super) fn from_given_name(name: &str) -> Option<Self> {
        let found = GIVEN_NAMES.iter().find(|(given, _)| *given == name);
        found.map(|(_, split)| *split)
    }
}

/// How much of each class is cut from the training pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fractions {
    /// For validation; 0 when validation pictures are given.
    pub val: f64,
    /// For the test; 0 when test pictures are given.
    pub test: f64,
}

/// A picture as far as splitting needs it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Hash of the file's bytes.
    pub content: ContentHash,
    /// Index of its class.
    pub label: u32,
    /// The split it was given in.
    pub given: Option<Split>,
}

/// Returns the split of each picture, in the order given. Pictures given as validation or test stay
/// there; the others are divided by `fractions` within each class. With three or more distinct
/// contents a class sends at least one to each split that is asked for; one always trains.
#[must_use]
pub fn assign(images: &[Candidate], fractions: Fractions, seed: u64) -> Vec<Split> {
    // The class a content counts for: the one of its first picture.
    let mut home: BTreeMap<ContentHash, u32> = BTreeMap::new();
    for image in images {
        if matches!(image.given, None | Some(Split::Train)) {
            home.entry(image.content).or_insert(image.label);
        }
    }
    let mut classes: BTreeMap<u32, Vec<(ContentHash, ContentHash)>> = BTreeMap::new();
    for (content, label) in home {
        classes
            .entry(label)
            .or_default()
            .push((rank(content, seed), content));
    }
    let mut places: BTreeMap<ContentHash, Split> = BTreeMap::new();
    for mut ranked in classes.into_values() {
        ranked.sort_unstable();
        let (test, val) = held_out(ranked.len(), fractions);
        for (i, (_, content)) in ranked.into_iter().enumerate() {
            let split = match i {
                i if i < test => Split::Test,
                i if i < test + val => Split::Val,
                _ => Split::Train,
            };
            places.insert(content, split);
        }
    }
    images
        .iter()
        .map(|image| match image.given {
            Some(given @ (Split::Val | Split::Test)) => given,
            None | Some(Split::Train) => places[&image.content],
        })
        .collect()
}

fn rank(content: ContentHash, seed: u64) -> ContentHash {
    Canon::new("cvops.split.v1")
        .int(seed.into())
        .bytes(content.as_bytes())
        .finish()
}

/// Returns how many of `distinct` contents go to test and to validation.
fn held_out(distinct: usize, fractions: Fractions) -> (usize, usize) {
    let part = |fraction: f64| {
        let rounded = (fraction * distinct as f64).round() as usize;
        if 0.0 < fraction && 3 <= distinct {
            rounded.max(1)
        } else {
            rounded
        }
    };
    let most = distinct.saturating_sub(1);
    let test = part(fractions.test).min(most);
    let val = part(fractions.val).min(most - test);
    (test, val)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(content: u32, label: u32, given: Option<Split>) -> Candidate {
        Candidate {
            content: ContentHash::of(&content.to_le_bytes()),
            label,
            given,
        }
    }

    const FRACTIONS: Fractions = Fractions {
        val: 0.1,
        test: 0.2,
    };

    #[test]
    fn parts_are_kept_within_each_class() {
        let images: Vec<_> = (0..300).map(|i| image(i, i / 100, None)).collect();
        let splits = assign(&images, FRACTIONS, 42);
        for label in 0..3 {
            let count = |split| {
                images
                    .iter()
                    .zip(&splits)
                    .filter(|(i, s)| i.label == label && **s == split)
                    .count()
            };
            assert_eq!(Split::ALL.map(count), [70, 10, 20], "class {label}");
        }
        assert_ne!(splits, assign(&images, FRACTIONS, 43));
    }

    #[test]
    fn small_classes_train_first() {
        for (distinct, expected) in [
            (0, (0, 0)),
            (1, (0, 0)),
            (2, (0, 0)),
            (3, (1, 1)),
            (10, (2, 1)),
        ] {
            assert_eq!(held_out(distinct, FRACTIONS), expected, "{distinct}");
        }
        let halves = Fractions {
            val: 0.5,
            test: 0.5,
        };
        assert_eq!(held_out(4, halves), (2, 1));
        assert_eq!(
            held_out(
                10,
                Fractions {
                    val: 0.0,
                    test: 0.0
                }
            ),
            (0, 0)
        );
    }

    #[test]
    fn given_pictures_stay_and_train_is_cut() {
        let mut images: Vec<_> = (0..20).map(|i| image(i, 0, Some(Split::Train))).collect();
        images.push(image(3, 0, Some(Split::Test)));
        let splits = assign(
            &images,
            Fractions {
                val: 0.1,
                test: 0.0,
            },
            1,
        );
        assert_eq!(splits[20], Split::Test);
        assert_eq!(splits.iter().filter(|s| **s == Split::Val).count(), 2);
        assert_eq!(splits.iter().filter(|s| **s == Split::Test).count(), 1);
    }

    proptest::proptest! {
        /// Few contents, many files: identical ones end in one split, whatever their class and order.
        #[test]
        fn duplicates_never_straddle(
            files in proptest::collection::vec((0u32..40, 0u32..4), 1..200),
            seed: u64,
        ) {
            let images: Vec<_> = files.iter().map(|&(c, l)| image(c, l, None)).collect();
            let splits = assign(&images, FRACTIONS, seed);
            let mut seen = BTreeMap::new();
            for (image, split) in images.iter().zip(&splits) {
                proptest::prop_assert_eq!(*seen.entry(image.content).or_insert(*split), *split);
            }
        }

        /// A name or an order does not matter while each content has one class.
        #[test]
        fn order_does_not_matter(count in 1u32..100, seed: u64) {
            let images: Vec<_> = (0..count).map(|i| image(i, i % 3, None)).collect();
            let backwards: Vec<_> = images.iter().rev().copied().collect();
            let mut splits = assign(&backwards, FRACTIONS, seed);
            splits.reverse();
            proptest::prop_assert_eq!(splits, assign(&images, FRACTIONS, seed));
        }
    }
}
