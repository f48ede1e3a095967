//! Finds classes and pictures of a dataset. A manifest is read by `manifest`, a folder of IDX files by
//! `idx`; here, folders of pictures, in two layouts:
//!
//! - flat: `CLASS/picture.png`;
//! - already split: `train/CLASS/…`, `val/CLASS/…` (also `valid`, `validation`), `test/CLASS/…`.
//!
//! It is the second when a folder at the top has the name of a split and holds folders, so a class
//! may be called `train` as long as its pictures lie directly in it. Files at the top (README,
//! LICENSE, checksums) and hidden files are passed over; other files beside pictures are listed.
//! Symbolic links are followed. Imports: base, `image`, `dataset::{found, idx, manifest, source, split}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::vision::Error;
use crate::vision::image::is_picture_name;

use super::found::{Dataset, Found, Survey};
use super::source::Form;
use super::split::Split;
use super::{idx, manifest};

/// A folder entry: its name, and whether it is (a link to) a folder.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_dir: bool,
}

/// Finds classes and pictures of `input`: a folder of pictures or of IDX files, or a manifest. No
/// picture is opened.
///
/// # Errors
/// `input` is missing, cannot be read, or is no dataset; each with its own variant.
pub fn scan(input: &Path) -> Result<Dataset, Error> {
    let found = look(input)?;
    let classes = found.trained_classes(input)?;
    found.require_trainable(&classes)?;
    Ok(found.into_dataset(classes))
}

/// Does the same for data that no network can be trained on: for those who say what is wrong with
/// them. No picture is opened.
///
/// # Errors
/// `input` is missing, cannot be read, or does not have two classes to train on.
pub fn survey(input: &Path) -> Result<Survey, Error> {
    let found = look(input)?;
    let trained = found.trained_classes(input)?;
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
        dataset: found.into_dataset(classes),
    })
}

/// Finds what there is, by the form of `input`.
fn look(input: &Path) -> Result<Found, Error> {
    match Form::of(input)? {
        Form::Folder => walk(input),
        Form::Manifest(format) => manifest::look(input, format),
        Form::Idx(files) => idx::look(input, &files),
    }
}

/// Reads a folder of pictures.
fn walk(root: &Path) -> Result<Found, Error> {
    let top = list(root)?;
    let mut found = Found {
        splits: split_folders(root, &top)?,
        ..Found::default()
    };
    for folder in top.iter().filter(|e| e.is_dir) {
        if found.splits.is_empty() {
            found.class_folder(root, None, &folder.name)?;
            continue;
        }
        let split = found.splits.iter().find(|(name, _)| *name == folder.name);
        match split.map(|(_, split)| *split) {
            Some(split) => found.split_folder(root, &folder.name, split)?,
            None => found.skipped.push(format!("{}/", folder.name)),
        }
    }
    found.loose_images = top
        .iter()
        .filter(|e| !e.is_dir && is_picture_name(&e.name))
        .count();
    Ok(found)
}

/// Returns the folders that are splits, in the order of `Split`, or none for the flat layout.
fn split_folders(root: &Path, top: &[Entry]) -> Result<Vec<(String, Split)>, Error> {
    let mut splits: BTreeMap<Split, String> = BTreeMap::new();
    for entry in top.iter().filter(|e| e.is_dir) {
        let Some(split) = Split::from_given_name(&entry.name) else {
            continue;
        };
        if !list(&root.join(&entry.name))?.iter().any(|e| e.is_dir) {
            continue;
        }
        if let Some(first) = splits.insert(split, entry.name.clone()) {
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
