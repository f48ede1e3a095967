//! Paths by pattern (`add --glob`). Imports: `base`, `project`.
//!
//! As in Python's `glob`: `*` and `?` stay within a name, `**` reaches into folders, and what begins
//! with a dot is not meant unless the pattern says the dot.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::{self, ArtifactPath};
use crate::project::ignore::PathKind;
use crate::project::{Ignore, Project};

use super::error::Error;

/// Returns the files and folders of `project` that fit `pattern`, sorted; what lies in a folder that
/// fits is not listed.
///
/// # Errors
/// It is no pattern, or nothing fits.
pub fn expand(project: &Project, pattern: &ArtifactPath) -> Result<Vec<ArtifactPath>, Error> {
    search(&project.root, Ignore::of(project), pattern)
}

fn search(root: &Path, ignore: Ignore, pattern: &ArtifactPath) -> Result<Vec<ArtifactPath>, Error> {
    let bad = |e: globset::Error| Error::Pattern {
        pattern: pattern.to_string(),
        problem: e.kind().to_string(),
    };
    let glob = GlobBuilder::new(pattern.as_str())
        .literal_separator(true)
        .build();
    let search = Search {
        root,
        glob: glob.map_err(bad)?.compile_matcher(),
        sees_hidden: pattern
            .as_str()
            .split('/')
            .any(|part| part.starts_with('.')),
        ignore,
    };
    let mut found = Vec::new();
    // Nothing above the first wildcard needs to be looked at.
    let parts = pattern.as_str().split('/');
    let fixed: Vec<&str> = parts
        .take_while(|part| !part.contains(['*', '?', '[', '{']))
        .collect();
    let start = fixed.join("/");
    if root.join(&start).is_dir() {
        search.folder(&start, &mut found)?;
    }
    if search.glob.is_match(&start) && root.join(&start).exists() {
        found.extend(start.parse::<ArtifactPath>());
    }
    if found.is_empty() {
        return Err(Error::NoMatch {
            pattern: pattern.to_string(),
        });
    }
    found.sort();
    Ok(found)
}

struct Search<'r> {
    root: &'r Path,
    glob: GlobMatcher,
    sees_hidden: bool,
    ignore: Ignore,
}

impl Search<'_> {
    fn folder(&self, folder: &str, found: &mut Vec<ArtifactPath>) -> Result<(), Error> {
        let dir = self.root.join(folder);
        let read = || base::Error::io("read folder", &dir);
        for entry in std::fs::read_dir(&dir).map_err(read())? {
            let entry = entry.map_err(read())?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with('.') && !self.sees_hidden {
                continue;
            }
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            let is_dir = entry.path().is_dir();
            let kind = if is_dir {
                PathKind::Folder
            } else {
                PathKind::File
            };
            if !self.ignore.keeps(&path, kind) {
                continue;
            }
            if self.glob.is_match(&path) {
                found.extend(path.parse::<ArtifactPath>());
            } else if is_dir && !entry.path().is_symlink() {
                self.folder(&path, found)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    #[test]
    fn patterns_find_files_and_folders() {
        let tmp = tempfile::tempdir().unwrap();
        for path in ["a/1.png", "a/2.txt", "a/b/3.png", "c.png", ".hidden/4.png"] {
            let file = tmp.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write_atomic(&file, b"x").unwrap();
        }
        let find = |pattern: &str| -> Vec<String> {
            let found = search(
                tmp.path(),
                Ignore::new(tmp.path()),
                &pattern.parse().unwrap(),
            );
            found
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(find("*.png"), ["c.png"]);
        assert_eq!(find("a/*.png"), ["a/1.png"]);
        assert_eq!(find("**/*.png"), ["a/1.png", "a/b/3.png", "c.png"]);
        assert_eq!(find("a/?"), ["a/b"]);
        assert_eq!(find("c.png"), ["c.png"]);
        assert_eq!(find(".hidden/*"), [".hidden/4.png"]);
        assert!(find("x*").is_empty());
    }
}
