//! Ignore files as a filter for walks: `.cvopsignore` and `.dvcignore`, gitignore grammar, in the
//! root and in any folder below it. Imports: `base`, the `ignore` crate.
//!
//! As in git, the last matching pattern of the nearest folder decides, and an ignored folder is not
//! entered, so nothing below it can be re-included. State folders of cvops, git and DVC and our own
//! temporary files are ignored whatever the patterns say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::base::fs::is_temp_name;

use super::error::Error;
use super::personality::{CVOPS, DVC_DIR};

/// Our ignore file.
pub const IGNORE_FILE: &str = ".cvopsignore";
/// DVC's ignore file, honoured as well.
pub const DVC_IGNORE_FILE: &str = ".dvcignore";

/// The patterns in force in one folder: its own and those of the folders above, outermost first.
type Chain = Arc<Vec<Gitignore>>;

/// The ignore rules of one project. Ignore files are read when their folder is first met.
#[derive(Debug)]
pub struct Ignore {
    root: PathBuf,
    chains: Mutex<BTreeMap<String, Chain>>,
    /// The first pattern that could not be read; a filter cannot return it.
    problem: Mutex<Option<Error>>,
}

impl Ignore {
    /// Returns the rules of the project at `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            chains: Mutex::default(),
            problem: Mutex::default(),
        }
    }

    /// Does the file or folder at the project-relative `path` belong to what is tracked? Folders
    /// above it are taken as kept: a walk has asked for them before.
    #[must_use]
    pub fn keeps(&self, path: &str, kind: PathKind) -> bool {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if is_always_ignored(name) {
            return false;
        }
        let chain = self.chain(parent);
        for rules in chain.iter().rev() {
            match rules.matched(self.root.join(path), kind == PathKind::Folder) {
                Match::None => {}
                Match::Ignore(_) => return false,
                Match::Whitelist(_) => return true,
            }
        }
        true
    }

    /// Returns the problem met in an ignore file since the last call, if any.
    ///
    /// # Errors
    /// That problem.
    pub fn check(&self) -> Result<(), Error> {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match problem.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn chain(&self, dir: &str) -> Chain {
        if let Some(chain) = self.lock().get(dir) {
            return Arc::clone(chain);
        }
        // Read without the lock: two threads may read the same file, with the same result.
        let above = if dir.is_empty() {
            Chain::default()
        } else {
            self.chain(dir.rsplit_once('/').map_or("", |(parent, _)| parent))
        };
        let own = self.read(&self.root.join(dir));
        let chain = if own.is_empty() {
            above
        } else {
            Arc::new(above.iter().cloned().chain(own).collect())
        };
        self.lock().insert(dir.to_owned(), Arc::clone(&chain));
        chain
    }

    fn read(&self, dir: &Path) -> Vec<Gitignore> {
        let mut rules = Vec::new();
        for name in [DVC_IGNORE_FILE, IGNORE_FILE] {
            let file = dir.join(name);
            if !file.is_file() {
                continue;
            }
            let mut builder = GitignoreBuilder::new(dir);
            let problem = builder.add(&file);
            let built = builder.build();
            let problem = match built {
                Ok(matcher) => {
                    // A file of comments must not cost anything per path.
                    if !matcher.is_empty() {
                        rules.push(matcher);
                    }
                    problem
                }
                Err(error) => Some(error),
            };
            if let Some(problem) = problem {
                let mut first = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(Error::IgnorePattern {
                    path: file,
                    problem: problem.to_string(),
                });
            }
        }
        rules
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Chain>> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands at a path; a pattern that ends in `/` matches folders only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// Does this name never belong to a dependency or an output (state folders, our temporary files)?
#[must_use]
pub fn is_always_ignored(name: &str) -> bool {
    name == CVOPS.state_dir || name == ".git" || name == DVC_DIR || is_temp_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    #[test]
    fn patterns_match_as_in_git() {
        use PathKind::{File, Folder};
        #[track_caller]
        fn check(ignore: &Ignore, path: &str, kind: PathKind, kept: bool) {
            assert_eq!(ignore.keeps(path, kind), kept, "{path}");
        }
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir_all(&tmp.path().join("data/sub")).unwrap();
        let write = |path: &str, text: &str| {
            fs::write_atomic(&tmp.path().join(path), text.as_bytes()).unwrap();
        };
        write(".cvopsignore", "*.log\n/top.txt\nbuild/\n");
        write(".dvcignore", "*.bak\n");
        write("data/.cvopsignore", "!keep.log\nsub/x\n");
        let ignore = Ignore::new(tmp.path());
        check(&ignore, "a.log", File, false);
        check(&ignore, "data/a.log", File, false);
        check(&ignore, "data/keep.log", File, true);
        check(&ignore, "keep.log", File, false);
        check(&ignore, "top.txt", File, false);
        check(&ignore, "data/top.txt", File, true);
        check(&ignore, "data/build", Folder, false);
        check(&ignore, "data/build", File, true);
        check(&ignore, "data/old.bak", File, false);
        check(&ignore, "data/sub/x", File, false);
        check(&ignore, "sub/x", File, true);
        check(&ignore, ".git", Folder, false);
        check(&ignore, "data/.cvops", Folder, false);
        check(&ignore, "data/.dvc", Folder, false);
        ignore.check().unwrap();
    }
}
