//! Keeps cached outputs out of git: a line in the `.gitignore` beside them. Imports: `base`, the
//! `ignore` crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::base::{self, ArtifactPath, fs};

use super::error::Error;

const FILE: &str = ".gitignore";

/// What git should make of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InGit {
    /// It is ignored: the cache has it.
    Ignored,
    /// It is the user's to commit.
    Visible,
}

/// Makes git ignore or see each of `outs`, if git is used; returns the `.gitignore` files that were
/// changed. Each file is read and replaced at most once, however many outputs lie beside it; it
/// keeps its line endings. A second call writes nothing.
///
/// To make an output visible, only the very line that this function writes is taken out; a user who
/// wants it ignored all the same writes any other pattern.
///
/// # Errors
/// A name to be ignored holds a line break, or a file cannot be read or written.
pub(super) fn update_gitignore<'p>(
    root: &Path,
    outs: impl IntoIterator<Item = (&'p ArtifactPath, InGit)>,
) -> Result<Vec<PathBuf>, Error> {
    // In a worktree or submodule `.git` is a file.
    let Some(git_root) = root.ancestors().find(|dir| dir.join(".git").exists()) else {
        return Ok(Vec::new());
    };
    let mut folders: BTreeMap<PathBuf, Vec<(&ArtifactPath, InGit)>> = BTreeMap::new();
    for (path, in_git) in outs {
        let absolute = path.under(root);
        let dir = absolute.parent().unwrap_or(root).to_owned();
        folders.entry(dir).or_default().push((path, in_git));
    }
    let mut rules = GitRules::new(git_root);
    let mut changed = Vec::new();
    for (dir, outs) in folders {
        if let Some(file) = update_folder(root, &dir, &outs, &mut rules)? {
            changed.push(file);
        }
    }
    Ok(changed)
}

/// Does git ignore `path`? `None` where git is not used.
#[must_use]
pub fn is_ignored(root: &Path, path: &ArtifactPath) -> Option<bool> {
    let git_root = root.ancestors().find(|dir| dir.join(".git").exists())?;
    Some(GitRules::new(git_root).ignore(&path.under(root)))
}

fn update_folder(
    root: &Path,
    dir: &Path,
    outs: &[(&ArtifactPath, InGit)],
    rules: &mut GitRules,
) -> Result<Option<PathBuf>, Error> {
    let file = dir.join(FILE);
    let old = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(base::Error::io("read", &file)(e).into()),
    };
    let lines: BTreeSet<&[u8]> = lines(&old).collect();
    let (mut add, mut drop) = (Vec::new(), BTreeSet::new());
    for (path, in_git) in outs {
        let pattern = pattern_for(path.name());
        // The usual case, without building a matcher: our own line is there already.
        let is_listed = lines.contains(pattern.as_bytes());
        match in_git {
            InGit::Ignored if is_listed => {}
            InGit::Ignored if path.name().contains(['\n', '\r']) => {
                let path = (*path).clone();
                return Err(Error::Unlistable { path });
            }
            InGit::Ignored if rules.ignore(&path.under(root)) => {}
            InGit::Ignored => add.push(pattern),
            InGit::Visible if is_listed => {
                drop.insert(pattern.into_bytes());
            }
            InGit::Visible => {}
        }
    }
    if add.is_empty() && drop.is_empty() {
        return Ok(None);
    }
    let new = with_lines(&without_lines(&old, &drop), &add);
    if new.is_empty() {
        fs::remove_file(&file).map_err(base::Error::io("remove", &file))?;
    } else {
        fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
        fs::write_atomic(&file, &new).map_err(base::Error::io("write", &file))?;
    }
    Ok(Some(file))
}

/// The patterns of the `.gitignore` files of a repository, read when they are first needed.
#[derive(Debug)]
pub struct GitRules {
    git_root: PathBuf,
    of_folders: BTreeMap<PathBuf, Option<Gitignore>>,
}

impl GitRules {
    /// Returns the rules of the repository around `root`; `None` where git is not used.
    #[must_use]
    pub fn open(root: &Path) -> Option<Self> {
        let git_root = root.ancestors().find(|dir| dir.join(".git").exists())?;
        Some(Self::new(git_root))
    }

    fn new(git_root: &Path) -> Self {
        Self {
            git_root: git_root.to_owned(),
            of_folders: BTreeMap::new(),
        }
    }

    /// Does git ignore the folder `dir`?
    pub fn ignore_folder(&mut self, dir: &Path) -> bool {
        self.matches(dir, true)
    }

    /// Do they ignore `path`? The nearest file with a matching pattern decides, as in git.
    fn ignore(&mut self, path: &Path) -> bool {
        self.matches(path, path.is_dir())
    }

    fn matches(&mut self, path: &Path, is_dir: bool) -> bool {
        for dir in path.ancestors().skip(1) {
            if !dir.starts_with(&self.git_root) {
                break;
            }
            if !self.of_folders.contains_key(dir) {
                self.of_folders.insert(dir.to_owned(), read_rules(dir));
            }
            let Some(Some(rules)) = self.of_folders.get(dir) else {
                continue;
            };
            match rules.matched_path_or_any_parents(path, is_dir) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }
}

fn read_rules(dir: &Path) -> Option<Gitignore> {
    let file = dir.join(FILE);
    if !file.is_file() {
        return None;
    }
    let mut builder = GitignoreBuilder::new(dir);
    // An unreadable pattern is git's business; a line too many does no harm.
    let _ = builder.add(&file);
    builder.build().ok()
}

/// Returns the pattern that matches exactly `name` in the file's own folder.
fn pattern_for(name: &str) -> String {
    let mut pattern = String::from("/");
    let trimmed = name.trim_end_matches(' ').len();
    for (i, c) in name.char_indices() {
        // DVC's set, so that both write the same line, and what it forgets.
        if matches!(c, '[' | ']' | '!' | '*' | '#' | '?' | '\\') || trimmed <= i {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Returns `old` with `add` appended, each on a line of its own, in the file's own line ending.
fn with_lines(old: &[u8], add: &[String]) -> Vec<u8> {
    let ending: &[u8] = if old.windows(2).any(|w| w == b"\r\n") {
        b"\r\n"
    } else {
        b"\n"
    };
    let mut new = old.to_vec();
    for line in add {
        if !new.is_empty() && !new.ends_with(b"\n") {
            new.extend_from_slice(ending);
        }
        new.extend_from_slice(line.as_bytes());
        new.extend_from_slice(ending);
    }
    new
}

/// Returns `old` without the lines of `drop`, all else as it is.
fn without_lines(old: &[u8], drop: &BTreeSet<Vec<u8>>) -> Vec<u8> {
    let keep = old.split_inclusive(|b| *b == b'\n').filter(|line| {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        !drop.contains(text.strip_suffix(b"\r").unwrap_or(text))
    });
    keep.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_dropped_in_the_files_own_ending() {
        #[track_caller]
        fn check(old: &str, expected: &str) {
            let new = with_lines(old.as_bytes(), &["/out".to_owned()]);
            assert_eq!(String::from_utf8(new).unwrap(), expected);
            let drop = [b"/out".to_vec()].into();
            let without = without_lines(expected.as_bytes(), &drop);
            let ended = if old.is_empty() || old.ends_with('\n') {
                old.to_owned()
            } else {
                expected.replace("/out\r\n", "").replace("/out\n", "")
            };
            assert_eq!(String::from_utf8(without).unwrap(), ended);
        }
        check("", "/out\n");
        check("a\n", "a\n/out\n");
        check("a", "a\n/out\n");
        check("a\r\nb", "a\r\nb\r\n/out\r\n");
        check("/out2\n", "/out2\n/out\n");
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(pattern_for("a b"), "/a b");
        assert_eq!(pattern_for("x[1]*"), "/x\\[1\\]\\*");
        assert_eq!(pattern_for("!a#"), "/\\!a\\#");
        assert_eq!(pattern_for("end "), "/end\\ ");
    }

    #[test]
    fn nothing_is_written_without_git_or_when_already_ignored() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap();
        let update = |outs: &[&str], in_git: InGit| {
            let outs: Vec<ArtifactPath> = outs.iter().map(|o| o.parse().unwrap()).collect();
            update_gitignore(&root, outs.iter().map(|o| (o, in_git))).unwrap()
        };
        let none: Vec<PathBuf> = Vec::new();
        let outs = ["models/m.bin", "models/n.bin", "data[1]"];
        assert_eq!(update(&outs, InGit::Ignored), none);
        assert_eq!(is_ignored(&root, &"data[1]".parse().unwrap()), None);
        fs::create_dir_all(&root.join(".git")).unwrap();
        let file = root.join("models/.gitignore");
        let both = vec![root.join(".gitignore"), file.clone()];
        assert_eq!(update(&outs, InGit::Ignored), both);
        assert_eq!(std::fs::read(&file).unwrap(), b"/m.bin\n/n.bin\n");
        assert_eq!(update(&outs, InGit::Ignored), none);
        assert_eq!(is_ignored(&root, &"data[1]".parse().unwrap()), Some(true));
        // Back to git: our line goes, the file with it when nothing else is in it.
        assert_eq!(update(&outs[..1], InGit::Visible), vec![file.clone()]);
        assert_eq!(std::fs::read(&file).unwrap(), b"/n.bin\n");
        assert_eq!(update(&outs[1..2], InGit::Visible), vec![file.clone()]);
        assert!(!file.exists());
        assert_eq!(update(&outs[..2], InGit::Visible), none);
        // A pattern of the user's own is enough, and stays.
        fs::write_atomic(&root.join(".gitignore"), b"reports/\n").unwrap();
        fs::create_dir_all(&root.join("reports")).unwrap();
        for in_git in [InGit::Ignored, InGit::Visible] {
            assert_eq!(update(&["reports/r.html"], in_git), none);
        }
    }
}
