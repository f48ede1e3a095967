//! Typed paths: `ArtifactPath`, a place inside the project that cannot leave it. Imports: nothing.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// A project-relative path: UTF-8, `/`-separated, never empty, no `.` or `..`, no trailing slash.
///
/// Sorts bytewise, so the order is the same on every machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactPath(String);

/// Why a text is no project path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing is left after normalising.
    #[error("the path is empty")]
    Empty,
    /// `..` climbs above the project root.
    #[error("`{0}` lies outside the project")]
    Outside(String),
    /// Absolute paths are not portable between machines.
    #[error("`{0}` is absolute; paths are relative to the pipeline file")]
    Absolute(String),
    /// A NUL byte or a backslash (which is a separator on some systems only).
    #[error("`{0}` holds a character that paths cannot have")]
    Character(String),
}

impl ArtifactPath {
    /// Normalises `text`, taken relative to the project folder `base` (empty for the root).
    ///
    /// # Errors
    /// The path is absolute, empty, or leaves the project.
    pub fn parse_in(base: &str, text: &str) -> Result<Self, PathError> {
        if text.contains(['\0', '\\']) {
            return Err(PathError::Character(text.escape_debug().to_string()));
        }
        if Path::new(text).is_absolute() {
            return Err(PathError::Absolute(text.to_owned()));
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in base.split('/').chain(text.split('/')) {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        return Err(PathError::Outside(text.to_owned()));
                    }
                }
                name => parts.push(name),
            }
        }
        if parts.is_empty() {
            Err(PathError::Empty)
        } else {
            Ok(Self(parts.join("/")))
        }
    }

    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the absolute path below `root`.
    #[must_use]
    pub fn under(&self, root: &Path) -> PathBuf {
        root.join(&self.0)
    }

    /// Returns the path of `relative` inside this directory.
    #[must_use]
    pub fn join(&self, relative: &str) -> Self {
        debug_assert!(!relative.is_empty() && !relative.starts_with('/'));
        Self(format!("{}/{relative}", self.0))
    }

    /// Returns the path with `suffix` (`.dvc`) appended to its last part.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        debug_assert!(!suffix.contains('/'));
        Self(format!("{}{suffix}", self.0))
    }

    /// Returns the path as seen from `folder` (`None`: the top of the project), `../` where it must.
    #[must_use]
    pub fn seen_from(&self, folder: Option<&Self>) -> String {
        let folder = folder.map_or(Vec::new(), |folder| folder.0.split('/').collect());
        let parts: Vec<&str> = self.0.split('/').collect();
        let common = folder.iter().zip(&parts).take_while(|(a, b)| a == b);
        let common = common.count().min(parts.len() - 1);
        let up = std::iter::repeat_n("..", folder.len() - common);
        let way: Vec<&str> = up.chain(parts[common..].iter().copied()).collect();
        way.join("/")
    }

    /// Returns the lower bound of all paths inside this directory, for range queries. It is no path
    /// of anything.
    #[must_use]
    pub fn first_inside(&self) -> Self {
        Self(format!("{}/", self.0))
    }

    /// Returns the last part of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the path as it is written relative to the folder `base`; `None` is the top of the
    /// project.
    #[must_use]
    pub fn relative_to(&self, base: Option<&Self>) -> String {
        let Some(base) = base else {
            return self.0.clone();
        };
        let (own, other): (Vec<_>, Vec<_>) =
            (self.0.split('/').collect(), base.0.split('/').collect());
        let shared = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let up = std::iter::repeat_n("..", other.len() - shared);
        let parts: Vec<&str> = up.chain(own[shared..].iter().copied()).collect();
        if parts.is_empty() {
            ".".to_owned()
        } else {
            parts.join("/")
        }
    }

    /// Returns the enclosing folder, `None` at the top of the project.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Returns all enclosing folders, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Is `other` this path or something inside it?
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0 == self.0
            || (other.0.len() > self.0.len()
                && other.0.starts_with(&self.0)
                && other.0.as_bytes()[self.0.len()] == b'/')
    }
}

/// Resolves `.` and `..` by name, without a look at what is there (a symbolic link may lead elsewhere).
#[must_use]
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

impl FromStr for ArtifactPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_in("", text)
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parsing_normalises_and_refuses_escapes() {
        #[track_caller]
        fn check(base: &str, text: &str, expected: Option<&str>) {
            let got = ArtifactPath::parse_in(base, text);
            assert_eq!(
                got.as_ref().ok().map(ArtifactPath::as_str),
                expected,
                "{got:?}"
            );
        }
        check("", "data/raw/", Some("data/raw"));
        check("", "./a//b/./c", Some("a/b/c"));
        check("sub", "../data", Some("data"));
        check("sub", "x", Some("sub/x"));
        check("", "..", None);
        check("", "a/../..", None);
        check("", ".", None);
        check("", "/etc/passwd", None);
        check("", "a\\b", None);
    }

    #[test]
    fn a_path_is_seen_from_a_folder() {
        let check = |folder: &str, path: &str, expected: &str| {
            let folder = folder.parse::<ArtifactPath>().ok();
            let path: ArtifactPath = path.parse().unwrap();
            assert_eq!(path.seen_from(folder.as_ref()), expected);
            let base = folder.as_ref().map_or("", ArtifactPath::as_str);
            assert_eq!(ArtifactPath::parse_in(base, expected), Ok(path));
        };
        check("", "a/b", "a/b");
        check("a", "a/b", "b");
        check("a/c", "a/b", "../b");
        check("x/y", "a", "../../a");
        check("a/b", "a", "../../a");
    }

    #[test]
    fn containment_is_by_whole_names() {
        let dir: ArtifactPath = "data/raw".parse().unwrap();
        assert!(dir.contains(&"data/raw/a.png".parse().unwrap()));
        assert!(dir.contains(&dir));
        assert!(!dir.contains(&"data/raw2".parse().unwrap()));
        assert!(!dir.contains(&"data".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent(text in "[a-c./]{0,12}") {
            if let Ok(path) = text.parse::<ArtifactPath>() {
                prop_assert_eq!(path.as_str().parse::<ArtifactPath>(), Ok(path.clone()));
                prop_assert!(!path.as_str().split('/').any(|p| p.is_empty() || p == "." || p == ".."));
            }
        }
    }
}
