//! Ignore files as a filter for walks: `.cvopsignore` and `.dvcignore`, gitignore grammar, in the
//! root and in any folder below it. Imports: `base`, `project`, the `ignore` crate.
//!
//! As in git, the last matching pattern of the nearest folder decides, and an ignored folder is not
//! entered, so nothing below it can be re-included. State folders of cvops, git and DVC and our own
//! temporary files are ignored whatever the patterns say. Files above the root say nothing, and a
//! project inside the project (where DVC's personality knows such) is not entered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, Glob};

use crate::base::fs::is_temp_name;

use super::discover::Project;
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
    /// The folder that makes a folder below the root another project.
    inner_marker: Option<&'static str>,
    chains: Mutex<BTreeMap<String, Chain>>,
    /// The first pattern that could not be read; a filter cannot return it.
    problem: Mutex<Option<Error>>,
}

/// Why a path is ignored, or kept although another pattern would ignore it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Is the path ignored?
    pub is_ignored: bool,
    /// The pattern with its place, in DVC's form: `data/.dvcignore:3:*.tmp`; `:.git` for what is
    /// always ignored; `in sub_repo:NAME` for a project inside.
    pub pattern: String,
}

impl Ignore {
    /// Returns the rules for `project`.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        Self {
            inner_marker: project.personality.inner_marker,
            ..Self::new(&project.root)
        }
    }

    /// Returns the rules of the project at `root`, wherever other projects may lie in it.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            inner_marker: None,
            chains: Mutex::default(),
            problem: Mutex::default(),
        }
    }

    /// Does the file or folder at the project-relative `path` belong to what is tracked? Folders
    /// above it are taken as kept: a walk has asked for them before.
    #[must_use]
    pub fn keeps(&self, path: &str, kind: PathKind) -> bool {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if is_always_ignored(name) || self.is_inner(path, kind) {
            return false;
        }
        self.pattern(parent, path, kind)
            .is_none_or(|pattern| pattern.is_whitelist())
    }

    /// Returns the pattern that decides about the project-relative `path`, those of the folders above
    /// it included; `None` where none does.
    #[must_use]
    pub fn explain(&self, path: &str, kind: PathKind) -> Option<Explanation> {
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let part = &path[..end];
            let is_last = end == path.len();
            let kind = if is_last { kind } else { PathKind::Folder };
            match self.explain_part(part, kind) {
                Some(found) if found.is_ignored || is_last => return Some(found),
                _ => {}
            }
        }
        None
    }

    fn explain_part(&self, path: &str, kind: PathKind) -> Option<Explanation> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let ignored = |pattern: String| Explanation {
            is_ignored: true,
            pattern,
        };
        if is_always_ignored(name) {
            let slash = if matches!(name, ".git") { "" } else { "/" };
            return Some(ignored(format!(":{name}{slash}")));
        }
        if self.is_inner(path, kind) {
            return Some(ignored(format!("in sub_repo:{name}")));
        }
        self.pattern(parent, path, kind).map(|glob| Explanation {
            is_ignored: !glob.is_whitelist(),
            pattern: format!(
                "{}:{}",
                glob.from().unwrap_or(Path::new("")).display(),
                glob.original()
            ),
        })
    }

    /// Is this folder a project of its own?
    fn is_inner(&self, path: &str, kind: PathKind) -> bool {
        match (self.inner_marker, kind) {
            (Some(marker), PathKind::Folder) => self.root.join(path).join(marker).is_dir(),
            _ => false,
        }
    }

    /// Returns the pattern that decides about `path`, which lies in the folder `parent`.
    fn pattern(&self, parent: &str, path: &str, kind: PathKind) -> Option<Glob> {
        let chain = self.chain(parent);
        for rules in chain.iter().rev() {
            match rules.matched(self.root.join(path), kind == PathKind::Folder) {
                Match::None => {}
                Match::Ignore(glob) | Match::Whitelist(glob) => return Some(glob.clone()),
            }
        }
        None
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
        let own = self.read(dir);
        let chain = if own.is_empty() {
            above
        } else {
            Arc::new(above.iter().cloned().chain(own).collect())
        };
        self.lock().insert(dir.to_owned(), Arc::clone(&chain));
        chain
    }

    fn read(&self, dir: &str) -> Vec<Gitignore> {
        let mut rules = Vec::new();
        for name in [DVC_IGNORE_FILE, IGNORE_FILE] {
            let folder = self.root.join(dir);
            let file = folder.join(name);
            let Ok(bytes) = std::fs::read(&file) else {
                continue;
            };
            let shown = Path::new(dir).join(name).display().to_string();
            match patterns(&folder, &shown, &String::from_utf8_lossy(&bytes)) {
                // A file of comments must not cost anything per path.
                Ok(matcher) if matcher.is_empty() => {}
                Ok(matcher) => rules.push(matcher),
                Err(problem) => {
                    let mut first = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(Error::IgnorePattern {
                        path: file,
                        problem,
                    });
                }
            }
        }
        rules
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Chain>> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the patterns of a file that messages call `name`; each knows its line.
fn patterns(folder: &Path, name: &str, text: &str) -> Result<Gitignore, String> {
    let mut builder = GitignoreBuilder::new(folder);
    let is_dvc = name.ends_with(DVC_IGNORE_FILE);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (i, line) in text.lines().enumerate() {
        // DVC takes blanks off both ends, git does not.
        let line = if is_dvc { line.trim() } else { line };
        let from = PathBuf::from(format!("{name}:{}", i + 1));
        builder
            .add_line(Some(from), line)
            .map_err(|e| format!("line {}: {e}", i + 1))?;
    }
    builder.build().map_err(|e| e.to_string())
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
    matches!(name, ".git" | ".hg")
        || name == CVOPS.state_dir
        || name == DVC_DIR
        || is_temp_name(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// What DVC 3.67.1 answers to `check-ignore --details`.
    #[test]
    fn explanations_are_those_of_dvc() {
        use PathKind::{File, Folder};
        let tmp = tempfile::tempdir().unwrap();
        for dir in ["sub", "data/x", "inner/.dvc", ".dvc"] {
            fs::create_dir_all(&tmp.path().join(dir)).unwrap();
        }
        let write = |path: &str, text: &str| {
            fs::write_atomic(&tmp.path().join(path), text.as_bytes()).unwrap();
        };
        write(
            ".dvcignore",
            "# c\n*.log\n!keep.log\ndir/\n/top.txt\n  build*\n!build2\n",
        );
        write("sub/.dvcignore", "!a.log\n");
        write("data/.dvcignore", "z*\n");
        let project = crate::project::discover(tmp.path(), None).unwrap();
        let ignore = Ignore::of(&project);
        let check = |path: &str, kind: PathKind, expected: Option<&str>| {
            let found = ignore.explain(path, kind);
            assert_eq!(
                found.as_ref().map(|e| e.pattern.as_str()),
                expected,
                "{path}"
            );
            let is_ignored = expected.is_some_and(|pattern| !pattern.contains('!'));
            assert_eq!(found.is_some_and(|e| e.is_ignored), is_ignored, "{path}");
        };
        check("a.log", File, Some(".dvcignore:2:*.log"));
        check("keep.log", File, Some(".dvcignore:3:!keep.log"));
        check("sub/a.log", File, Some("sub/.dvcignore:1:!a.log"));
        check("sub/b.log", File, Some(".dvcignore:2:*.log"));
        check("dir/f", File, Some(".dvcignore:4:dir/"));
        check("dir", Folder, Some(".dvcignore:4:dir/"));
        check("dir", File, None);
        check("top.txt", File, Some(".dvcignore:5:/top.txt"));
        check("sub/top.txt", File, None);
        check("build1", File, Some(".dvcignore:6:build*"));
        check("build2", File, Some(".dvcignore:7:!build2"));
        check("data/x/zod", File, Some("data/.dvcignore:1:z*"));
        check(".git", Folder, Some(":.git"));
        check(".dvc/tmp", Folder, Some(":.dvc/"));
        check("inner/deep", Folder, Some("in sub_repo:inner"));
        assert!(!ignore.keeps("inner", Folder));
        ignore.check().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Any patterns are read, or one of them is named; what they say is the same each time.
        #[test]
        fn any_patterns_are_read_or_refused(
            text in "([ab*?!/\\[\\]{}\\\\# -]|\\*\\*|\n){0,30}", path in "[ab]{1,2}(/[ab]{1,2}){0,2}"
        ) {
            let tmp = tempfile::tempdir().unwrap();
            fs::write_atomic(&tmp.path().join(".cvopsignore"), text.as_bytes()).unwrap();
            let ask = || {
                let ignore = Ignore::new(tmp.path());
                let kept = ignore.keeps(&path, PathKind::File);
                let _ = ignore.explain(&path, PathKind::File);
                (kept, ignore.check().is_ok())
            };
            prop_assert_eq!(ask(), ask());
        }
    }
}
