//! Finds the folder of pictures in a project that nobody told us about. Imports: `dataset::scan`.
//!
//! Looked at are `data/`, the folders in it, then the folders beside it. A folder counts when `scan`
//! accepts it, so what is found here is what `preprocess` reads. Where several are found, the one
//! with the most pictures is taken: samples and thumbnails are smaller than the set they come from.

use std::path::Path;

use crate::vision::Error;

use super::scan::{Dataset, list, scan};

/// The folder in which data is looked for first.
const DATA: &str = "data";

/// Folders of a project that hold results, sources or packages, never the pictures to learn from.
const OTHERS: [&str; 12] = [
    "build",
    "deploy",
    "dist",
    "docs",
    "models",
    "node_modules",
    "prepared",
    "reports",
    "scripts",
    "src",
    "target",
    "tests",
];

/// A folder of pictures inside a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Relative to the project, `/`-separated.
    pub path: String,
    /// What it holds.
    pub dataset: Dataset,
}

/// What `locate` saw.
#[derive(Debug, Default)]
pub struct Search {
    /// The folder with the most pictures.
    pub found: Option<Located>,
    /// Further ones, with fewer pictures, sorted by path.
    pub also: Vec<String>,
    /// Why the likeliest folder is none, if something in it looked like pictures.
    pub refused: Option<Error>,
}

/// Looks for a folder of pictures below `root`. No picture is opened.
///
/// # Errors
/// A folder cannot be read.
pub fn locate(root: &Path) -> Result<Search, Error> {
    let mut search = Search::default();
    let mut all: Vec<Located> = Vec::new();
    for path in candidates(root)? {
        match scan(&root.join(&path)) {
            Ok(dataset) => all.push(Located { path, dataset }),
            Err(error) => search.refuse(error),
        }
    }
    // The sort is stable: of equals, the first looked at.
    all.sort_by_key(|located| std::cmp::Reverse(located.dataset.images.len()));
    let mut all = all.into_iter();
    search.found = all.next();
    // What lies inside the folder that is taken is part of it, not another choice.
    let taken = search.found.as_ref().map(|f| format!("{}/", f.path));
    search.also = all
        .map(|located| located.path)
        .filter(|path| !taken.as_ref().is_some_and(|taken| path.starts_with(taken)))
        .collect();
    search.also.sort_unstable();
    Ok(search)
}

impl Search {
    /// Keeps the first reason that is worth telling: an empty folder is none.
    fn refuse(&mut self, error: Error) {
        let speaks = match &error {
            Error::OneClass { .. }
            | Error::UnknownClasses { .. }
            | Error::SplitTwice { .. }
            | Error::NoTrainSplit { .. } => true,
            Error::NoClasses { loose_images, .. } => 0 < *loose_images,
            _ => false,
        };
        if speaks && self.refused.is_none() {
            self.refused = Some(error);
        }
    }
}

/// Returns the folders to look at, in order, relative to `root`.
fn candidates(root: &Path) -> Result<Vec<String>, Error> {
    let folders = |dir: &Path| -> Result<Vec<String>, Error> {
        let entries = list(dir)?.into_iter().filter(|entry| entry.is_dir);
        Ok(entries
            .map(|entry| entry.name)
            .filter(|name| !OTHERS.contains(&name.as_str()))
            .collect())
    };
    let mut paths = Vec::new();
    let data = root.join(DATA);
    if data.is_dir() {
        paths.push(DATA.to_owned());
        paths.extend(folders(&data)?.iter().map(|name| format!("{DATA}/{name}")));
    }
    paths.extend(folders(root)?.into_iter().filter(|name| name != DATA));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::{create_dir_all, write_atomic};

    /// `found also`, with `-` for nothing.
    fn check(files: &[&str], found: &str, also: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            create_dir_all(path.parent().unwrap()).unwrap();
            write_atomic(&path, b"x").unwrap();
        }
        let search = locate(dir.path()).unwrap();
        let path = search.found.as_ref().map_or("-", |f| &f.path);
        assert_eq!((path, search.also.as_slice().len()), (found, also.len()));
        assert_eq!(search.also, also);
    }

    #[test]
    fn finds_the_folder_that_preprocess_would_read() {
        check(&[], "-", &[]);
        check(&["data/a/1.png", "data/b/1.png"], "data", &[]);
        check(
            &["data/pets/a/1.png", "data/pets/b/1.webp", "data/README.md"],
            "data/pets",
            &[],
        );
        check(
            &["pets/train/a/1.png", "pets/train/b/1.png", "src/x/1.png"],
            "pets",
            &[],
        );
        // The larger one is taken, the other one named.
        check(
            &[
                "data/few/a/1.png",
                "data/few/b/1.png",
                "data/many/a/1.png",
                "data/many/a/2.png",
                "data/many/b/1.png",
            ],
            "data/many",
            &["data/few"],
        );
        // Results of an earlier run are no input.
        check(
            &[
                "data/prepared/a/1.png",
                "data/prepared/b/1.png",
                "reports/a/1.png",
                "reports/b/1.png",
            ],
            "-",
            &[],
        );
    }

    #[test]
    fn says_what_is_wrong_with_the_likeliest_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/pets/1.png");
        create_dir_all(path.parent().unwrap()).unwrap();
        write_atomic(&path, b"x").unwrap();
        let search = locate(dir.path()).unwrap();
        assert!(search.found.is_none());
        // `data` holds one class, `pets`: that comes first.
        assert!(matches!(search.refused, Some(Error::OneClass { .. })));
    }
}
