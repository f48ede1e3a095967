//! The data card: how many pictures of which class are used for what, and what is odd about them.
//!
//! Pure; its JSON form is `card.json` of prepared data and holds no clock, host or absolute path.
//! Imports: `base::hash`, `dataset::{found, split}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::ContentHash;

use super::found::ImageFile;
use super::split::Split;

/// Pictures per class, for each split; the order is that of the classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassCounts {
    /// Training pictures.
    pub train: Vec<usize>,
    /// Validation pictures.
    pub val: Vec<usize>,
    /// Test pictures.
    pub test: Vec<usize>,
}

impl ClassCounts {
    /// Returns zeros for `classes` classes.
    #[must_use]
    pub fn zero(classes: usize) -> Self {
        let zeros = vec![0; classes];
        Self {
            train: zeros.clone(),
            val: zeros.clone(),
            test: zeros,
        }
    }

    /// Returns the counts of one split.
    #[must_use]
    pub fn of(&self, split: Split) -> &[usize] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// Returns the number of pictures of one split.
    #[must_use]
    pub fn total(&self, split: Split) -> usize {
        self.of(split).iter().sum()
    }

    /// Counts one picture.
    pub(crate) fn add(&mut self, split: Split, label: u32) {
        let counts = match split {
            Split::Train => &mut self.train,
            Split::Val => &mut self.val,
            Split::Test => &mut self.test,
        };
        counts[label as usize] += 1;
    }
}

/// A picture that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CorruptImage {
    /// Relative to the dataset's folder.
    pub path: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// Files with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Hash of the bytes.
    pub content: String,
    /// The files, sorted.
    pub paths: Vec<String>,
}

/// Version of `card.json`; raised when a reader of the old form would misread the new one.
const VERSION: u32 = 1;

/// The file `card.json`.
#[derive(Serialize)]
struct CardFile<'a> {
    format: &'static str,
    version: u32,
    card: &'a DataCard,
}

/// What is known about a dataset after `preprocess`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataCard {
    /// Class names, sorted.
    pub classes: Vec<String>,
    /// Usable pictures per class and split.
    pub counts: ClassCounts,
    /// Pictures that could not be used, sorted by path.
    pub corrupt: Vec<CorruptImage>,
    /// Files and folders beside the pictures that were passed over, sorted.
    pub skipped: Vec<String>,
    /// Usable pictures that occur more than once.
    pub duplicates: Vec<Group>,
    /// Those of the duplicates that lie in more than one split: judging on them flatters the network.
    pub leakage: Vec<Group>,
    /// Those of the duplicates that have more than one label.
    pub conflicts: Vec<Group>,
    /// Pictures that `preprocess.exclude` left out; they are in no other figure.
    #[serde(skip_serializing_if = "is_zero")]
    pub excluded: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A usable picture, as far as the card needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsedImage<'a> {
    pub(crate) file: &'a ImageFile,
    pub(crate) content: ContentHash,
    pub(crate) split: Split,
}

impl DataCard {
    /// Draws the card up from the usable pictures and the others.
    pub(crate) fn new(
        classes: &[String],
        used: &[UsedImage<'_>],
        corrupt: Vec<CorruptImage>,
        skipped: Vec<String>,
        excluded: usize,
    ) -> Self {
        let mut counts = ClassCounts::zero(classes.len());
        let mut by_content: BTreeMap<ContentHash, Vec<UsedImage<'_>>> = BTreeMap::new();
        for image in used {
            counts.add(image.split, image.file.label);
            by_content.entry(image.content).or_default().push(*image);
        }
        let mut groups: Vec<(Group, Vec<UsedImage<'_>>)> = by_content
            .into_iter()
            .filter(|(_, same)| 1 < same.len())
            .map(|(content, same)| {
                let mut paths: Vec<String> = same.iter().map(|i| i.file.path.clone()).collect();
                paths.sort_unstable();
                (
                    Group {
                        content: content.to_string(),
                        paths,
                    },
                    same,
                )
            })
            .collect();
        groups.sort_unstable_by(|(a, _), (b, _)| a.paths.cmp(&b.paths));
        let those = |odd: &dyn Fn(&UsedImage<'_>, &UsedImage<'_>) -> bool| -> Vec<Group> {
            let differing = groups
                .iter()
                .filter(|(_, same)| same.iter().any(|i| odd(i, &same[0])));
            differing.map(|(group, _)| group.clone()).collect()
        };
        Self {
            leakage: those(&|a, b| a.split != b.split),
            conflicts: those(&|a, b| a.file.label != b.file.label),
            duplicates: groups.into_iter().map(|(group, _)| group).collect(),
            classes: classes.to_vec(),
            counts,
            corrupt,
            skipped,
            excluded,
        }
    }

    /// Returns the card as the text of `card.json`.
    ///
    /// # Errors
    /// None that its types allow; what serde says is passed on.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let file = CardFile {
            format: "cvops.data-card",
            version: VERSION,
            card: self,
        };
        serde_json::to_vec_pretty(&file)
    }

    /// Returns the number of usable pictures.
    #[must_use]
    pub fn images(&self) -> usize {
        Split::ALL
            .iter()
            .map(|split| self.counts.total(*split))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_bytes_are_grouped_and_judged() {
        let file = |path: &str, label| ImageFile {
            path: path.to_owned(),
            label,
            given: None,
        };
        let files = [
            file("a/1", 0),
            file("a/2", 0),
            file("a/3", 0),
            file("b/4", 1),
            file("b/5", 1),
            file("b/6", 1),
        ];
        let used = |i: usize, content: &[u8], split| UsedImage {
            file: &files[i],
            content: ContentHash::of(content),
            split,
        };
        let card = DataCard::new(
            &["a".to_owned(), "b".to_owned()],
            &[
                used(0, b"twice", Split::Train),
                used(1, b"twice", Split::Test),
                used(2, b"two labels", Split::Train),
                used(3, b"two labels", Split::Train),
                used(4, b"once", Split::Val),
                used(5, b"once too", Split::Train),
            ],
            vec![],
            vec![],
            0,
        );
        let paths = |groups: &[Group]| groups.iter().map(|g| g.paths.join(" ")).collect::<Vec<_>>();
        assert_eq!(paths(&card.duplicates), ["a/1 a/2", "a/3 b/4"]);
        assert_eq!(paths(&card.leakage), ["a/1 a/2"]);
        assert_eq!(paths(&card.conflicts), ["a/3 b/4"]);
        assert_eq!(
            (card.counts.train, card.counts.test),
            (vec![2, 2], vec![1, 0])
        );
    }
}
