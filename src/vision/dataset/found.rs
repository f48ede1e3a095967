//! What is found of a dataset, whatever its form, and what every dataset must have to be trained on.
//! Imports: `dataset::split`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::vision::Error;

use super::split::Split;

/// Most pictures of a list or of an array: a file of a few megabytes can claim any number, and some
/// hundred bytes are kept of each.
pub(super) const PICTURES_MAX: usize = 4_000_000;

/// What a dataset holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Class names, sorted; a label is an index into them.
    pub classes: Vec<String>,
    /// The pictures, sorted by path.
    pub images: Vec<ImageFile>,
    /// The splits that are given; empty if all of them are to be cut.
    pub given: Vec<Split>,
    /// Files and folders beside the pictures that are none, sorted.
    pub skipped: Vec<String>,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageFile {
    /// Relative to the dataset's folder, `/`-separated; of a picture in an array the array's name, `#` and
    /// its number from 0.
    pub path: String,
    /// Index into the classes.
    pub label: u32,
    /// The split that it is given for.
    pub given: Option<Split>,
}

/// What a dataset holds, with what keeps `scan` from taking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// As of `scan`; its classes are those of all splits, with or without pictures.
    pub dataset: Dataset,
    /// Class folders without a picture, relative to the dataset, sorted.
    pub empty: Vec<String>,
    /// Class folders of validation and test whose class the training split lacks: the split and the
    /// class, in that order.
    pub unknown: Vec<(Split, String)>,
}

/// What was seen so far: by folders, rows or labels.
#[derive(Default)]
pub(super) struct Found {
    /// By split (`None`: to be cut) and class: the pictures' paths.
    pub(super) classes: BTreeMap<(Option<Split>, String), Vec<String>>,
    /// The splits that are given, in their order, with the names that they have there.
    pub(super) splits: Vec<(String, Split)>,
    /// Folders of classes without a picture, and those of them that hold folders.
    pub(super) empty: Vec<String>,
    pub(super) nested: Vec<String>,
    pub(super) skipped: Vec<String>,
    /// Pictures at the top, which belong to no class.
    pub(super) loose_images: usize,
}

impl Found {
    /// Takes a picture.
    pub(super) fn add(&mut self, split: Option<Split>, class: &str, path: String) {
        let key = (split, class.to_owned());
        self.classes.entry(key).or_default().push(path);
    }

    /// Returns the classes that a network can be trained on, at least two.
    pub(super) fn trained_classes(&self, root: &Path) -> Result<Vec<String>, Error> {
        let trained = |split: &Option<Split>| matches!(split, None | Some(Split::Train));
        let classes: Vec<String> = self
            .classes
            .keys()
            .filter(|(s, _)| trained(s))
            .map(|(_, c)| c.clone())
            .collect();
        match classes.as_slice() {
            [] => Err(Error::NoClasses {
                path: root.to_owned(),
                loose_images: self.loose_images,
            }),
            [class] => Err(Error::OneClass {
                path: root.to_owned(),
                class: class.clone(),
            }),
            _ => Ok(classes),
        }
    }

    /// Refuses folders without pictures, and classes that only validation and test have.
    pub(super) fn require_trainable(&self, classes: &[String]) -> Result<(), Error> {
        if !self.empty.is_empty() {
            return Err(Error::EmptyClasses {
                folders: self.empty.clone(),
                nested: self.nested.clone(),
            });
        }
        for (folder, split) in &self.splits {
            let unknown: Vec<String> = self
                .classes
                .keys()
                .filter(|(s, class)| *s == Some(*split) && classes.binary_search(class).is_err())
                .map(|(_, class)| class.clone())
                .collect();
            if !unknown.is_empty() {
                return Err(Error::UnknownClasses {
                    split: folder.clone(),
                    classes: unknown,
                    known: classes.to_vec(),
                });
            }
        }
        Ok(())
    }

    /// Labels the pictures by `classes`, which are sorted.
    pub(super) fn into_dataset(mut self, classes: Vec<String>) -> Dataset {
        let mut images: Vec<ImageFile> = Vec::new();
        for ((given, class), paths) in self.classes {
            let Ok(label) = classes.binary_search(&class) else {
                continue;
            };
            images.extend(paths.into_iter().map(|path| ImageFile {
                path,
                label: label as u32,
                given,
            }));
        }
        images.sort_unstable();
        self.skipped.sort_unstable();
        let given = self.splits.iter().map(|(_, split)| *split).collect();
        Dataset {
            classes,
            images,
            given,
            skipped: self.skipped,
        }
    }
}
