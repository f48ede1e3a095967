//! Keeps cached outputs out of git: a line in the `.gitignore` beside them. Imports: `base`, the
//! `ignore` crate.

use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::GitignoreBuilder;

use crate::base::{self, ArtifactPath, fs};

use super::error::Error;

const FILE: &str = ".gitignore";

/// Makes git ignore the output at `path`, if git is used and does not ignore it already; returns
/// the `.gitignore` that was changed. The file keeps its line endings and is replaced atomically;
/// a second call writes nothing.
///
/// # Errors
/// The name holds a line break, or the file cannot be read or written.
pub fn ensure_ignored(root: &Path, path: &ArtifactPath) -> Result<Option<PathBuf>, Error> {
    // In a worktree or submodule `.git` is a file.
    let Some(git_root) = root.ancestors().find(|dir| dir.join(".git").exists()) else {
        return Ok(None);
    };
    if path.name().contains(['\n', '\r']) {
        return Err(Error::Unlistable { path: path.clone() });
    }
    let absolute = path.under(root);
    let dir = absolute.parent().unwrap_or(root);
    let file = dir.join(FILE);
    let pattern = pattern_for(path.name());
    // The usual case, without building a matcher: our own line is there already.
    if std::fs::read(&file).is_ok_and(|text| has_line(&text, pattern.as_bytes())) {
        return Ok(None);
    }
    if is_ignored(git_root, dir, &absolute) {
        return Ok(None);
    }
    let old = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(base::Error::io("read", &file)(e).into()),
    };
    let Some(new) = with_line(&old, pattern.as_bytes()) else {
        return Ok(None);
    };
    fs::create_dir_all(dir).map_err(base::Error::io("create folder", dir))?;
    fs::write_atomic(&file, &new).map_err(base::Error::io("write", &file))?;
    Ok(Some(file))
}

/// Do the `.gitignore` files from `dir` up to `git_root` already ignore `path`? The nearest file
/// with a matching pattern decides, as in git.
fn is_ignored(git_root: &Path, dir: &Path, path: &Path) -> bool {
    for dir in dir.ancestors().take_while(|d| d.starts_with(git_root)) {
        let file = dir.join(FILE);
        if !file.is_file() {
            continue;
        }
        let mut builder = GitignoreBuilder::new(dir);
        // An unreadable pattern is git's business; a line too many does no harm.
        let _ = builder.add(&file);
        let Ok(rules) = builder.build() else { continue };
        match rules.matched_path_or_any_parents(path, path.is_dir()) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
    }
    false
}

/// Returns the pattern that matches exactly `name` in the file's own folder.
fn pattern_for(name: &str) -> String {
    let mut pattern = String::from("/");
    let trimmed = name.trim_end_matches(' ').len();
    for (i, c) in name.char_indices() {
        if matches!(c, '*' | '?' | '[' | '\\') || trimmed <= i {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn has_line(text: &[u8], line: &[u8]) -> bool {
    text.split(|b| *b == b'\n')
        .any(|l| l.strip_suffix(b"\r").unwrap_or(l) == line)
}

/// Returns `old` with `line` appended in the file's own line ending, or `None` if it is there.
fn with_line(old: &[u8], line: &[u8]) -> Option<Vec<u8>> {
    if has_line(old, line) {
        return None;
    }
    let ending: &[u8] = if old.windows(2).any(|w| w == b"\r\n") {
        b"\r\n"
    } else {
        b"\n"
    };
    let mut new = old.to_vec();
    if !new.is_empty() && !new.ends_with(b"\n") {
        new.extend_from_slice(ending);
    }
    new.extend_from_slice(line);
    new.extend_from_slice(ending);
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_once_in_the_files_own_ending() {
        #[track_caller]
        fn check(old: &str, expected: Option<&str>) {
            let new = with_line(old.as_bytes(), b"/out");
            assert_eq!(new.as_deref(), expected.map(str::as_bytes));
        }
        check("", Some("/out\n"));
        check("a\n", Some("a\n/out\n"));
        check("a", Some("a\n/out\n"));
        check("a\r\nb", Some("a\r\nb\r\n/out\r\n"));
        check("a\n/out", None);
        check("/out\r\na\r\n", None);
        check("/out2\n", Some("/out2\n/out\n"));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(pattern_for("a b"), "/a b");
        assert_eq!(pattern_for("x[1]*"), "/x\\[1]\\*");
        assert_eq!(pattern_for("end "), "/end\\ ");
    }

    #[test]
    fn nothing_is_written_without_git_or_when_already_ignored() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap();
        let out: ArtifactPath = "models/m.bin".parse().unwrap();
        assert_eq!(ensure_ignored(&root, &out).unwrap(), None);
        fs::create_dir_all(&root.join(".git")).unwrap();
        let file = root.join("models/.gitignore");
        assert_eq!(ensure_ignored(&root, &out).unwrap(), Some(file.clone()));
        assert_eq!(std::fs::read(&file).unwrap(), b"/m.bin\n");
        assert_eq!(ensure_ignored(&root, &out).unwrap(), None);
        fs::write_atomic(&root.join(".gitignore"), b"reports/\n").unwrap();
        fs::create_dir_all(&root.join("reports")).unwrap();
        let report: ArtifactPath = "reports/r.html".parse().unwrap();
        assert_eq!(ensure_ignored(&root, &report).unwrap(), None);
        assert_eq!(
            ensure_ignored(&root, &"data[1]".parse().unwrap()).unwrap(),
            Some(root.join(".gitignore"))
        );
        assert_eq!(
            ensure_ignored(&root, &"data[1]".parse().unwrap()).unwrap(),
            None
        );
    }
}
