//! Finds the folder of pictures in a project that nobody told us about. Imports: `image`,
//! `dataset::{found, scan}`.
//!
//! Looked at are `data/`, the folders in it, then the folders beside it. A folder counts when `scan`
//! accepts it, so what is found here is what `preprocess` reads. Where several are found, the one
//! with the most pictures is taken: samples and thumbnails are smaller than the set they come from.
//! Where none is, the whole project is searched for pictures, to say truly what is there instead.

use std::collections::BTreeSet;
use std::path::Path;

use crate::vision::Error;
use crate::vision::image::is_picture_name;

use super::found::Dataset;
use super::scan::{Entry, list, scan};

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

/// How far down, and in how many folders, pictures are searched for when no folder of them was found.
const DEPTH_MAX: usize = 6;
const FOLDERS_MAX: usize = 10_000;

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
    /// If nothing was found: why the likeliest folder that has pictures is no data.
    pub refused: Option<Error>,
    /// If nothing was found: a folder of pictures further down than is looked.
    pub deeper: Option<Located>,
    /// If nothing was found: the folders in which pictures lie, sorted, and how many each has.
    pub seen: Vec<(String, usize)>,
}

/// Looks for a folder of pictures below `root`. No picture is opened.
///
/// # Errors
/// A folder cannot be read.
pub fn locate(root: &Path) -> Result<Search, Error> {
    let mut search = Search::default();
    let mut all: Vec<Located> = Vec::new();
    let candidates = candidates(root)?;
    let mut refused = Vec::new();
    for path in &candidates {
        match scan(&root.join(path)) {
            Ok(dataset) => all.push(Located {
                path: path.clone(),
                dataset,
            }),
            Err(error) => refused.push((path, error)),
        }
    }
    if all.is_empty() {
        search.seen = pictures_below(root);
        search.refused = likeliest(refused, &search.seen);
        search.deeper = deeper(root, &candidates, &search.seen);
        return Ok(search);
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

/// Returns the reason that is worth telling: that of the first folder that has pictures where classes
/// have them. An empty folder has nothing to say.
fn likeliest(refused: Vec<(&String, Error)>, seen: &[(String, usize)]) -> Option<Error> {
    let depth = |path: &str| {
        let below = seen.iter().filter_map(|(folder, _)| {
            let rest = folder.strip_prefix(path)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.matches('/').count())
        });
        below.min()
    };
    // Further down than a class of a split nothing is a reason.
    let told = refused.into_iter().filter_map(|(path, error)| {
        let depth = depth(path).filter(|depth| *depth <= 2)?;
        Some((depth.max(1), error))
    });
    // Of equals the first.
    told.min_by_key(|(depth, _)| *depth).map(|(_, error)| error)
}

/// Returns the folders below `root` in which pictures lie, sorted, with their number.
fn pictures_below(root: &Path) -> Vec<(String, usize)> {
    let mut seen = Vec::new();
    let mut left = vec![(String::new(), 0)];
    let mut looked = 0;
    while let Some((folder, depth)) = left.pop() {
        // What cannot be read has nothing to show.
        let entries = list(&root.join(&folder)).unwrap_or_default();
        let pictures = entries
            .iter()
            .filter(|entry| !entry.is_dir && is_picture_name(&entry.name))
            .count();
        if pictures != 0 {
            let shown = if folder.is_empty() { "." } else { &folder };
            seen.push((shown.to_owned(), pictures));
        }
        looked += 1;
        if depth == DEPTH_MAX || FOLDERS_MAX < looked {
            continue;
        }
        let folders = entries.into_iter().filter(|entry| entry.is_dir);
        for Entry { name, .. } in folders.filter(|e| !OTHERS.contains(&e.name.as_str())) {
            let path = match folder.as_str() {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            left.push((path, depth + 1));
        }
    }
    seen.sort_unstable();
    seen
}

/// Returns the folder of pictures above the folders `seen` that has the most, if there is one.
fn deeper(root: &Path, candidates: &[String], seen: &[(String, usize)]) -> Option<Located> {
    let above = seen
        .iter()
        .flat_map(|(folder, _)| Path::new(folder).ancestors().skip(1))
        .filter_map(Path::to_str)
        .filter(|path| !path.is_empty() && !candidates.iter().any(|c| c == path));
    let above: BTreeSet<&str> = above.collect();
    let mut found: Vec<Located> = above
        .into_iter()
        .filter_map(|path| {
            let dataset = scan(&root.join(path)).ok()?;
            let path = path.to_owned();
            Some(Located { path, dataset })
        })
        .collect();
    found.sort_by_key(|located| std::cmp::Reverse(located.dataset.images.len()));
    found.into_iter().next()
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

    /// The likeliest reason, the set further down, and where pictures are.
    fn check_none(files: &[&str], refused: Option<&str>, deeper: Option<&str>, seen: &[&str]) {
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
        let search = locate(dir.path()).unwrap();
        assert!(search.found.is_none(), "{files:?}");
        let root = format!("{}/", dir.path().display());
        let told = search.refused.map(|e| e.to_string().replace(&root, ""));
        assert_eq!(told.as_deref(), refused, "{files:?}");
        let found = search.deeper.as_ref().map(|located| located.path.as_str());
        assert_eq!(found, deeper, "{files:?}");
        let folders: Vec<&str> = search.seen.iter().map(|(f, _)| f.as_str()).collect();
        assert_eq!(folders, seen, "{files:?}");
    }

    #[test]
    fn says_what_is_there_instead() {
        check_none(&[], None, None, &[]);
        // Folders without a picture are no classes.
        check_none(&["notes/old/1.txt", "notes/new/"], None, None, &[]);
        check_none(&["1.png"], None, None, &["."]);
        // `data` holds one class, `pets`.
        check_none(
            &["data/pets/1.png"],
            Some("the dataset `data` holds only the class `pets`"),
            None,
            &["data/pets"],
        );
        check_none(
            &["data/1.png"],
            Some("the dataset `data` holds no class folders"),
            None,
            &["data"],
        );
        check_none(
            &["data/cat/1.png", "data/dog/"],
            Some("no images in `dog`"),
            None,
            &["data/cat"],
        );
        // The folder with the class speaks, not the one above it.
        check_none(
            &["data/pets/cat/1.png"],
            Some("the dataset `data/pets` holds only the class `cat`"),
            None,
            &["data/pets/cat"],
        );
        check_none(
            &["data/pets/v1/cat/1.png", "data/pets/v1/dog/1.png"],
            Some("the dataset `data/pets` holds only the class `v1`"),
            Some("data/pets/v1"),
            &["data/pets/v1/cat", "data/pets/v1/dog"],
        );
        check_none(
            &["pets/v1/train/cat/1.png", "pets/v1/train/dog/1.png"],
            None,
            Some("pets/v1"),
            &["pets/v1/train/cat", "pets/v1/train/dog"],
        );
    }
}
