//! Pictures that are left out of prepared data: a text file that `cvops data check --write-exclude`
//! writes, and that people edit.
//!
//! ```text
//! # same picture as test/cat/7.png
//! train/cat/12.png
//! ```
//!
//! One path in a line, relative to the dataset's folder and `/`-separated. A line that starts with
//! `#` is a comment; those right above a path say why it is left out, and are kept when the file is
//! written anew. A path that starts with `#` is written `./#…`. Empty lines mean nothing.
//! Imports: base.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::base;
use crate::vision::Error;

use super::found::Dataset;

/// What the file says before the first path.
const HEAD: &str = "\
# Pictures that `cvops preprocess` leaves out (`preprocess.exclude` in params.yaml): one path in a
# line, relative to the dataset; above it the reason.
";

/// The pictures to leave out, with the reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    /// By path; without reason: an empty text, else one or more lines.
    entries: BTreeMap<String, String>,
}

impl Exclusions {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// There is none, or it is no text.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NoExclusions {
                    path: path.to_owned(),
                })
            }
            Err(error) => Err(base::Error::io("read", path)(error).into()),
        }
    }

    /// Takes the text of such a file. Each text is one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        // Some editors put a byte order mark at the front; the first path would not be found.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut entries: BTreeMap<String, String> = BTreeMap::new();
        let mut reason = String::new();
        for line in text.lines() {
            if line.trim().is_empty() {
                reason.clear();
            } else if let Some(comment) = line.strip_prefix('#') {
                if !reason.is_empty() {
                    reason.push('\n');
                }
                reason.push_str(comment.trim());
            } else {
                let path = line.strip_prefix("./").unwrap_or(line);
                entries.insert(path.to_owned(), std::mem::take(&mut reason));
            }
        }
        Self { entries }
    }

    /// Returns the file's text, sorted by path.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (path, reason) in &self.entries {
            text.push('\n');
            for line in reason.lines() {
                text.push_str(&format!("# {line}\n"));
            }
            let dot = if path.starts_with('#') { "./" } else { "" };
            text.push_str(&format!("{dot}{path}\n"));
        }
        text
    }

    /// Leaves out `path` as well; a reason that was given before stays.
    ///
    /// # Errors
    /// The name cannot stand on a line of its own.
    pub fn add(&mut self, path: &str, reason: &str) -> Result<(), Error> {
        if path.contains(['\n', '\r']) || path.trim().is_empty() {
            return Err(Error::NotALine {
                path: path.to_owned(),
            });
        }
        self.entries
            .entry(path.to_owned())
            .or_insert_with(|| reason.to_owned());
        Ok(())
    }

    /// Leaves out what `other` does as well; reasons that were given before stay.
    pub fn extend(&mut self, other: &Self) {
        for (path, reason) in &other.entries {
            let own = self.entries.entry(path.clone());
            own.or_insert_with(|| reason.clone());
        }
    }

    /// Is the picture `path` left out?
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the paths that are no pictures of `dataset`, sorted.
    #[must_use]
    pub fn unknown(&self, dataset: &Dataset) -> Vec<String> {
        let is_known = |path: &str| {
            dataset
                .images
                .binary_search_by(|image| image.path.as_str().cmp(path))
                .is_ok()
        };
        self.entries
            .keys()
            .filter(|path| !is_known(path))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_above_a_path_are_its_reason() {
        let text = "# a note of ours\n\n# leaks: test/a/2.png\n# looked at by hand\na/1.png\r\n./#b/2 .png\na/1.jpg";
        let exclusions = Exclusions::parse(text);
        assert!(exclusions.has("a/1.png") && exclusions.has("#b/2 .png"));
        assert!(!exclusions.has("# a note of ours") && exclusions.len() == 3);
        assert_eq!(
            exclusions.text(),
            format!(
                "{HEAD}\n./#b/2 .png\n\na/1.jpg\n\n# leaks: test/a/2.png\n# looked at by hand\na/1.png\n"
            )
        );
    }

    #[test]
    fn lists_of_other_editors_are_read() {
        let exclusions = Exclusions::parse("\u{feff}a/1.png\r\n# why\r\na/2.png\r\n");
        assert!(exclusions.has("a/1.png") && exclusions.has("a/2.png"));
        assert_eq!(exclusions.len(), 2);
    }

    #[test]
    fn a_first_reason_stays() {
        let mut exclusions = Exclusions::parse("# mine\na.png\n");
        exclusions.add("a.png", "another").unwrap();
        exclusions.add("b.png", "new").unwrap();
        assert!(
            exclusions
                .text()
                .ends_with("\n# mine\na.png\n\n# new\nb.png\n")
        );
        assert!(exclusions.add("two\nlines.png", "").is_err());
    }

    proptest::proptest! {
        /// What is written is read again, whatever the names.
        #[test]
        fn texts_are_read_again(paths in proptest::collection::vec("[ -~äé#./]{1,12}", 0..8)) {
            let mut exclusions = Exclusions::default();
            for path in &paths {
                // Paths of a dataset neither start with `./` nor are blank.
                if !path.starts_with("./") && !path.trim().is_empty() {
                    exclusions.add(path, "why").unwrap();
                }
            }
            proptest::prop_assert_eq!(Exclusions::parse(&exclusions.text()), exclusions);
        }
    }
}
