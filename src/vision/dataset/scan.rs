//! Finds classes and pictures in a folder. Two layouts:
//!
//! - flat: `CLASS/picture.png`;
//! - already split: `train/CLASS/…`, `val/CLASS/…` (also `valid`, `validation`), `test/CLASS/…`.
//!
//! It is the second when a folder at the top has the name of a split and holds folders, so a class
//! may be called `train` as long as its pictures lie directly in it. Files at the top (README,
//! LICENSE, checksums) and hidden files are passed over; other files beside pictures are listed.
//! Symbolic links are followed. Imports: base, `image`, `dataset::split`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::vision::Error;
use crate::vision::image::is_picture_name;

use super::split::Split;

/// Folder names of the splits; the first is the usual one.
const SPLIT_NAMES: [(&str, Split); 7] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("val", Split::Val),
    ("valid", Split::Val),
    ("validation", Split::Val),
    ("test", Split::Test),
    ("testing", Split::Test),
];

/// What a folder of pictures holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Class names, sorted; a label is an index into them.
    pub classes: Vec<String>,
    /// The pictures, sorted by path.
    pub images: Vec<ImageFile>,
    /// The splits that have a folder of their own; empty for the flat layout.
    pub given: Vec<Split>,
    /// Files and folders beside the pictures that are none, sorted.
    pub skipped: Vec<String>,
}

/// One picture file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageFile {
    /// Relative to the dataset's folder, `/`-separated.
    pub path: String,
    /// Index into the classes.
    pub label: u32,
    /// The split whose folder it lies in.
    pub given: Option<Split>,
}

/// What a folder of pictures holds, with what keeps `scan` from taking it.
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

/// A folder entry: its name, and whether it is (a link to) a folder.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_dir: bool,
}

/// Finds classes and pictures below `root`. No picture is opened.
///
/// # Errors
/// The folder is missing, cannot be read, or is no dataset; each with its own variant.
pub fn scan(root: &Path) -> Result<Dataset, Error> {
    let (found, splits) = walk(root)?;
    let classes = found.trained_classes(root)?;
    found.require_trainable(&splits, &classes)?;
    Ok(found.into_dataset(classes, &splits))
}

/// Does the same for folders that no network can be trained on: for those who say what is wrong with
/// them. No picture is opened.
///
/// # Errors
/// The folder is missing, cannot be read, or does not have two classes to train on.
pub fn survey(root: &Path) -> Result<Survey, Error> {
    let (found, splits) = walk(root)?;
    let trained = found.trained_classes(root)?;
    let is_unknown = |class: &String| trained.binary_search(class).is_err();
    let unknown: Vec<(Split, String)> = found
        .classes
        .keys()
        .filter_map(|(split, class)| Some(((*split)?, class)))
        .filter(|(_, class)| is_unknown(class))
        .map(|(split, class)| (split, class.clone()))
        .collect();
    let mut classes = trained;
    classes.extend(unknown.iter().map(|(_, class)| class.clone()));
    classes.sort_unstable();
    classes.dedup();
    Ok(Survey {
        empty: found.empty.clone(),
        unknown,
        dataset: found.into_dataset(classes, &splits),
    })
}

/// Reads the folders; returns with what was found those that are splits.
fn walk(root: &Path) -> Result<(Found, Vec<(String, Split)>), Error> {
    if !root.is_dir() {
        return Err(Error::NoDataset {
            path: root.to_owned(),
        });
    }
    let top = list(root)?;
    let splits = split_folders(root, &top)?;
    let folders: Vec<&Entry> = top.iter().filter(|e| e.is_dir).collect();

    let mut found = Found::default();
    if splits.is_empty() {
        for folder in &folders {
            found.class_folder(root, None, &folder.name)?;
        }
    } else {
        for folder in &folders {
            match splits.iter().find(|(name, _)| *name == folder.name) {
                Some((name, split)) => found.split_folder(root, name, *split)?,
                None => found.skipped.push(format!("{}/", folder.name)),
            }
        }
    }
    found.loose_images = top
        .iter()
        .filter(|e| !e.is_dir && is_picture_name(&e.name))
        .count();
    Ok((found, splits))
}

/// Returns the folders that are splits, in the order of `Split`, or none for the flat layout.
fn split_folders(root: &Path, top: &[Entry]) -> Result<Vec<(String, Split)>, Error> {
    let mut splits: BTreeMap<Split, String> = BTreeMap::new();
    for entry in top.iter().filter(|e| e.is_dir) {
        let Some((_, split)) = SPLIT_NAMES.iter().find(|(name, _)| *name == entry.name) else {
            continue;
        };
        if !list(&root.join(&entry.name))?.iter().any(|e| e.is_dir) {
            continue;
        }
        if let Some(first) = splits.insert(*split, entry.name.clone()) {
            return Err(Error::SplitTwice {
                path: root.to_owned(),
                split: split.name(),
                first,
                second: entry.name.clone(),
            });
        }
    }
    match splits.first_key_value() {
        Some((Split::Train, _)) | None => {}
        Some((_, found)) => {
            return Err(Error::NoTrainSplit {
                path: root.to_owned(),
                found: found.clone(),
            });
        }
    }
    Ok(splits
        .into_iter()
        .map(|(split, name)| (name, split))
        .collect())
}

/// What the walk has seen so far.
#[derive(Default)]
struct Found {
    /// By split (`None`: flat) and class: the pictures' paths.
    classes: BTreeMap<(Option<Split>, String), Vec<String>>,
    /// Folders of classes without a picture, and those of them that hold folders.
    empty: Vec<String>,
    nested: Vec<String>,
    skipped: Vec<String>,
    /// Pictures at the top, which belong to no class.
    loose_images: usize,
}

impl Found {
    fn split_folder(&mut self, root: &Path, name: &str, split: Split) -> Result<(), Error> {
        for entry in list(&root.join(name))? {
            if entry.is_dir {
                self.class_folder(root, Some((name, split)), &entry.name)?;
            } else {
                self.skipped.push(format!("{name}/{}", entry.name));
            }
        }
        Ok(())
    }

    fn class_folder(
        &mut self,
        root: &Path,
        split: Option<(&str, Split)>,
        class: &str,
    ) -> Result<(), Error> {
        let relative = match split {
            Some((folder, _)) => format!("{folder}/{class}"),
            None => class.to_owned(),
        };
        let mut images = Vec::new();
        let mut holds_folders = false;
        for entry in list(&root.join(&relative))? {
            let path = format!("{relative}/{}", entry.name);
            if entry.is_dir {
                holds_folders = true;
                self.skipped.push(path + "/");
            } else if is_picture_name(&entry.name) {
                images.push(path);
            } else {
                self.skipped.push(path);
            }
        }
        if images.is_empty() {
            if holds_folders {
                self.nested.push(relative.clone());
            }
            self.empty.push(relative);
        }
        self.classes
            .insert((split.map(|(_, split)| split), class.to_owned()), images);
        Ok(())
    }

    /// Returns the classes that a network can be trained on, at least two.
    fn trained_classes(&self, root: &Path) -> Result<Vec<String>, Error> {
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
    fn require_trainable(
        &self,
        splits: &[(String, Split)],
        classes: &[String],
    ) -> Result<(), Error> {
        if !self.empty.is_empty() {
            return Err(Error::EmptyClasses {
                folders: self.empty.clone(),
                nested: self.nested.clone(),
            });
        }
        for (folder, split) in splits {
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
    fn into_dataset(mut self, classes: Vec<String>, splits: &[(String, Split)]) -> Dataset {
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
        let given = splits.iter().map(|(_, split)| *split).collect();
        Dataset {
            classes,
            images,
            given,
            skipped: self.skipped,
        }
    }
}

/// Lists a folder sorted by name, without hidden entries and what macOS' archiver leaves behind.
pub(super) fn list(folder: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list folder", folder))? {
        let entry = entry.map_err(Error::io("list folder", folder))?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::NameNotUtf8 { path });
        };
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        // Links are followed; a broken one counts as a file and fails when it is read.
        entries.push(Entry {
            name,
            is_dir: path.is_dir(),
        });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::{create_dir_all, write_atomic};

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            if file.ends_with('/') {
                create_dir_all(&path).unwrap();
            } else {
                create_dir_all(path.parent().unwrap()).unwrap();
                write_atomic(&path, b"x").unwrap();
            }
        }
        dir
    }

    /// One line per picture: `path label given`.
    fn check(files: &[&str], images: &[&str], skipped: &[&str]) {
        let dir = folder(files);
        let dataset = scan(dir.path()).unwrap();
        let shown: Vec<String> = dataset
            .images
            .iter()
            .map(|i| {
                let class = &dataset.classes[i.label as usize];
                let split = i.given.map_or("-", Split::name);
                format!("{} {class} {split}", i.path)
            })
            .collect();
        assert_eq!(shown, images);
        assert_eq!(dataset.skipped, skipped);
    }

    #[test]
    fn a_survey_takes_what_cannot_be_trained_on() {
        let dir = folder(&[
            "train/a/1.png",
            "train/b/",
            "val/a/",
            "test/b/2.png",
            "test/c/3.png",
        ]);
        assert!(scan(dir.path()).is_err());
        let survey = survey(dir.path()).unwrap();
        assert_eq!(survey.dataset.classes, ["a", "b", "c"]);
        let labels: Vec<u32> = survey.dataset.images.iter().map(|i| i.label).collect();
        assert_eq!(labels, [1, 2, 0], "test/b, test/c, train/a");
        assert_eq!(survey.empty, ["train/b", "val/a"]);
        assert_eq!(survey.unknown, [(Split::Test, "c".to_owned())]);
    }

    #[test]
    fn flat_and_split_layouts() {
        check(
            &[
                "README.md",
                ".git/x.png",
                "dog/2.JPG",
                "cat/1.png",
                "cat/notes.txt",
                "cat/.DS_Store",
                "cat/sub/3.png",
            ],
            &["cat/1.png cat -", "dog/2.JPG dog -"],
            &["cat/notes.txt", "cat/sub/"],
        );
        check(
            &[
                "train/a/1.png",
                "train/b/1.jpeg",
                "validation/a/2.png",
                "test/b/3.png",
                "test/list.csv",
                "extra/x.png",
            ],
            &[
                "test/b/3.png b test",
                "train/a/1.png a train",
                "train/b/1.jpeg b train",
                "validation/a/2.png a val",
            ],
            &["extra/", "test/list.csv"],
        );
        // Every format, in every spelling of its extension.
        check(
            &[
                "a/1.webp", "a/2.BMP", "a/3.gif", "a/4.tif", "b/5.TIFF", "b/6.jpe", "b/7.heic",
            ],
            &[
                "a/1.webp a -",
                "a/2.BMP a -",
                "a/3.gif a -",
                "a/4.tif a -",
                "b/5.TIFF b -",
            ],
            &["b/6.jpe", "b/7.heic"],
        );
        // A class may be called like a split.
        check(
            &["train/1.png", "car/2.png"],
            &["car/2.png car -", "train/1.png train -"],
            &[],
        );
    }

    #[test]
    fn says_why_a_folder_is_no_dataset() {
        let refuse = |files: &[&str]| scan(folder(files).path()).unwrap_err();
        assert!(matches!(
            scan(Path::new("no/such")),
            Err(Error::NoDataset { .. })
        ));
        assert!(matches!(
            refuse(&["README"]),
            Error::NoClasses {
                loose_images: 0,
                ..
            }
        ));
        assert!(matches!(
            refuse(&["1.png", "2.jpg"]),
            Error::NoClasses {
                loose_images: 2,
                ..
            }
        ));
        assert!(matches!(refuse(&["cat/1.png"]), Error::OneClass { class, .. } if class == "cat"));
        assert!(matches!(
            refuse(&["cat/1.png", "dog/", "emu/x/1.png"]),
            Error::EmptyClasses { folders, nested } if folders == ["dog", "emu"] && nested == ["emu"]
        ));
        assert!(matches!(
            refuse(&["train/a/1.png", "train/b/1.png", "test/c/1.png"]),
            Error::UnknownClasses { split, classes, .. } if split == "test" && classes == ["c"]
        ));
        assert!(matches!(
            refuse(&[
                "train/a/1.png",
                "train/b/1.png",
                "val/a/1.png",
                "valid/a/1.png"
            ]),
            Error::SplitTwice { split: "val", .. }
        ));
        assert!(matches!(
            refuse(&["val/a/1.png", "test/a/1.png"]),
            Error::NoTrainSplit { found, .. } if found == "val"
        ));
    }
}
