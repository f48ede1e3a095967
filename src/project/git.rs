//! The `git` program behind one file: what is in the repository around the project, at a revision.
//!
//! One `git cat-file --batch` answers every question about objects (is there a repository, what is
//! `HEAD`, what does a file hold there): starting git costs milliseconds, asking it again
//! microseconds. It is started by `open` and answers when first asked, so a caller has that time
//! for work of its own. Only `stage` and `project::hooks` write. Imports: `base`, `project::error`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::base::diag::nearest;
use crate::base::{self, ArtifactPath};

use super::error::Error;

/// A running git that answers questions about one project's repository.
#[derive(Debug)]
pub struct Git {
    root: PathBuf,
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it said before it ended.
    said: Option<String>,
    /// Listed once, when first needed.
    files: BTreeMap<(Commit, ArtifactPath), Vec<ArtifactPath>>,
}

/// A commit's full object name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit(String);

impl Commit {
    /// Returns all digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns as many digits as git shows to people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(7)]
    }
}

/// What stands in the work tree, compared with the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkTree {
    /// The commit that is checked out; `None`: there is none yet.
    pub commit: Option<Commit>,
    /// The branch; `None`: a commit is checked out by itself.
    pub branch: Option<String>,
    /// Were tracked files changed since?
    pub changes: Changes,
}

/// What is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The commit.
    pub commit: Commit,
    /// The branch; `None`: a commit is checked out by itself.
    pub branch: Option<String>,
}

/// Which commits to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The tips of all branches.
    Branches,
    /// All tags.
    Tags,
    /// All commits of all branches and tags.
    Commits,
}

/// Were tracked files changed since the last commit?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// No.
    None,
    /// Yes.
    Some,
}

/// What a file holds at some commit, as git names it: the same name, the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob(String);

/// Files of a folder, by paths.
type FolderFiles = Vec<(ArtifactPath, Blob)>;

/// Folders that `find_at` looked into, so that commits which share them cost nothing.
#[derive(Debug, Default)]
pub struct Folders(BTreeMap<(String, Option<ArtifactPath>), FolderFiles>);

/// An object as git hands it over.
struct Object {
    id: String,
    kind: String,
    bytes: Vec<u8>,
}

impl Git {
    /// Starts git for the repository around the project at `root`.
    ///
    /// # Errors
    /// There is no `git` program. That there is no repository is found out by the first question.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let mut child = command(root)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| start_failed(root, e))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(ask), Some(answers)) => Ok(Self {
                root: root.to_owned(),
                child,
                ask,
                answers: BufReader::new(answers),
                said: None,
                files: BTreeMap::new(),
            }),
            _ => Err(Error::Git {
                problem: "its pipes were not connected".to_owned(),
            }),
        }
    }

    /// Returns the commit that `revision` names: a branch, a tag, a hash, `HEAD~2`, …
    ///
    /// # Errors
    /// There is no repository, it has no commit yet, or nothing of this name (the nearest branch or
    /// tag is suggested).
    pub fn resolve(&mut self, revision: &str) -> Result<Commit, Error> {
        // git reads a line, and would take an option-like or empty word for something else.
        let is_word = !revision.is_empty() && !revision.contains(['\n', '\0', ':']);
        if is_word {
            match self.object(&format!("{revision}^{{commit}}"))? {
                Answer::Object(object) => return Ok(Commit(object.id)),
                Answer::Ambiguous => {
                    return Err(Error::AmbiguousRevision {
                        revision: revision.to_owned(),
                    });
                }
                Answer::Missing => {}
            }
        }
        if let Answer::Missing = self.object("HEAD^{commit}")? {
            return Err(Error::NoCommits {
                root: self.root.clone(),
            });
        }
        let names = self.names();
        Err(Error::UnknownRevision {
            revision: revision.to_owned(),
            nearest: nearest(revision, names.iter().map(String::as_str)).map(str::to_owned),
        })
    }

    /// Returns the bytes of a file at a commit, or `None` if it is not there (or is a folder).
    ///
    /// # Errors
    /// git stopped answering.
    pub fn read_at(
        &mut self,
        commit: &Commit,
        path: &ArtifactPath,
    ) -> Result<Option<Vec<u8>>, Error> {
        if path.as_str().contains('\n') {
            return Ok(None);
        }
        match self.object(&format!("{}:./{path}", commit.as_str()))? {
            Answer::Object(object) if object.kind == "blob" => Ok(Some(object.bytes)),
            _ => Ok(None),
        }
    }

    /// Returns the files below a folder at a commit, sorted; none if there is no such folder.
    ///
    /// # Errors
    /// git stopped answering.
    pub fn files_at(
        &mut self,
        commit: &Commit,
        folder: &ArtifactPath,
    ) -> Result<Vec<ArtifactPath>, Error> {
        let known = (commit.clone(), folder.clone());
        if let Some(files) = self.files.get(&known) {
            return Ok(files.clone());
        }
        let mut files = Vec::new();
        self.files_below(commit, folder, &mut files)?;
        files.sort();
        self.files.insert(known, files.clone());
        Ok(files)
    }

    /// Returns the files of the project at a commit for which `keep` holds, sorted, with what they
    /// hold then. What git knows to be the same folder is looked into once.
    ///
    /// # Errors
    /// git stopped answering.
    pub fn find_at(
        &mut self,
        commit: &Commit,
        keep: &dyn Fn(&ArtifactPath) -> bool,
        known: &mut Folders,
    ) -> Result<Vec<(ArtifactPath, Blob)>, Error> {
        let mut found = Vec::new();
        if let Answer::Object(object) = self.object(&format!("{}:./", commit.as_str()))? {
            self.find_below(&object, None, keep, known, &mut found)?;
        }
        found.sort();
        Ok(found)
    }

    /// As `find_at`, of the files that lie in no folder.
    ///
    /// # Errors
    /// git stopped answering.
    pub fn find_in_top(
        &mut self,
        commit: &Commit,
        keep: &dyn Fn(&ArtifactPath) -> bool,
    ) -> Result<Vec<(ArtifactPath, Blob)>, Error> {
        let Answer::Object(tree) = self.object(&format!("{}:./", commit.as_str()))? else {
            return Ok(Vec::new());
        };
        let entries = tree_entries(&tree.bytes, tree.id.len() / 2).into_iter();
        let files = entries.filter(|(mode, _, _)| *mode == Mode::File);
        let placed = files.filter_map(|(_, name, id)| Some((name.parse().ok()?, Blob(id))));
        let mut found: Vec<(ArtifactPath, Blob)> = placed.filter(|(path, _)| keep(path)).collect();
        found.sort();
        Ok(found)
    }

    fn find_below(
        &mut self,
        tree: &Object,
        folder: Option<&ArtifactPath>,
        keep: &dyn Fn(&ArtifactPath) -> bool,
        known: &mut Folders,
        found: &mut Vec<(ArtifactPath, Blob)>,
    ) -> Result<(), Error> {
        let key = (tree.id.clone(), folder.cloned());
        if let Some(files) = known.0.get(&key) {
            found.extend_from_slice(files);
            return Ok(());
        }
        let begin = found.len();
        for (mode, name, id) in tree_entries(&tree.bytes, tree.id.len() / 2) {
            let above = folder.map_or("", ArtifactPath::as_str);
            let Ok(path) = ArtifactPath::parse_in(above, &name) else {
                continue;
            };
            if mode == Mode::File {
                if keep(&path) {
                    found.push((path, Blob(id)));
                }
                continue;
            }
            let inside = (id.clone(), Some(path.clone()));
            if let Some(files) = known.0.get(&inside) {
                found.extend_from_slice(files);
            } else if let Answer::Object(tree) = self.object(&id)? {
                self.find_below(&tree, Some(&path), keep, known, found)?;
            }
        }
        known.0.insert(key, found[begin..].to_vec());
        Ok(())
    }

    /// Returns the bytes that `find_at` found.
    ///
    /// # Errors
    /// git stopped answering.
    pub fn read(&mut self, blob: &Blob) -> Result<Vec<u8>, Error> {
        match self.object(&blob.0)? {
            Answer::Object(object) => Ok(object.bytes),
            Answer::Missing | Answer::Ambiguous => Err(Error::Git {
                problem: format!("it has lost the object `{}`", blob.0),
            }),
        }
    }

    fn files_below(
        &mut self,
        commit: &Commit,
        folder: &ArtifactPath,
        files: &mut Vec<ArtifactPath>,
    ) -> Result<(), Error> {
        let Answer::Object(object) = self.object(&format!("{}:./{folder}", commit.as_str()))?
        else {
            return Ok(());
        };
        if object.kind != "tree" {
            return Ok(());
        }
        for (mode, name, _) in tree_entries(&object.bytes, object.id.len() / 2) {
            let path = folder.join(&name);
            match mode {
                Mode::Folder => self.files_below(commit, &path, files)?,
                Mode::File => files.push(path),
            }
        }
        Ok(())
    }

    /// Asks for one object by an expression of git's revision grammar (gitrevisions(7)).
    fn object(&mut self, expression: &str) -> Result<Answer, Error> {
        let mut header = String::new();
        let asked = writeln!(self.ask, "{expression}").and_then(|()| self.ask.flush());
        let answered = asked.and_then(|()| self.answers.read_line(&mut header));
        match answered {
            Ok(n) if 0 < n => {}
            _ => return Err(self.why_it_ended()),
        }
        let mut words = header.trim_end().rsplitn(3, ' ');
        let (last, middle, first) = (words.next(), words.next(), words.next());
        if last == Some("missing") {
            return Ok(Answer::Missing);
        }
        if last == Some("ambiguous") {
            return Ok(Answer::Ambiguous);
        }
        let parsed = (|| Some((first?, middle?, last?.parse::<usize>().ok()?)))();
        let Some((id, kind, size)) = parsed else {
            return Err(Error::Git {
                problem: format!("it answered `{}`", header.trim_end()),
            });
        };
        // One line break follows the object.
        let mut bytes = vec![0; size + 1];
        if self.answers.read_exact(&mut bytes).is_err() {
            return Err(self.why_it_ended());
        }
        bytes.truncate(size);
        Ok(Answer::Object(Object {
            id: id.to_owned(),
            kind: kind.to_owned(),
            bytes,
        }))
    }

    /// Reads what git said before it ended.
    fn why_it_ended(&mut self) -> Error {
        let child = &mut self.child;
        let said = self.said.get_or_insert_with(|| {
            let mut said = String::new();
            if let Some(stderr) = &mut child.stderr {
                let _ = stderr.read_to_string(&mut said);
            }
            said
        });
        failure(&self.root, said)
    }

    /// Returns the commits of all branches or tags by name, or all commits by the beginning of their
    /// hash, newest first.
    ///
    /// # Errors
    /// There is no repository, or git failed.
    pub fn list(&self, which: Which) -> Result<Vec<(String, Commit)>, Error> {
        let mut command = command(&self.root);
        // The second hash is the commit behind a tag that is an object of its own.
        let format = "--format=%(refname:short) %(objectname) %(*objectname)";
        match which {
            Which::Branches => command.args(["for-each-ref", format, "refs/heads"]),
            Which::Tags => command.args(["for-each-ref", format, "refs/tags"]),
            Which::Commits => command.args(["log", "--all", "--format=%h %H"]),
        };
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|e| start_failed(&self.root, e))?;
        if !output.status.success() {
            return Err(failure(
                &self.root,
                &String::from_utf8_lossy(&output.stderr),
            ));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let commits = text.lines().filter_map(|line| {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            let name = words.next()?;
            Some((name.to_owned(), Commit(words.next_back()?.to_owned())))
        });
        Ok(commits.collect())
    }

    /// Returns the last `count` commits from `revision` back, along first parents, newest first.
    ///
    /// # Errors
    /// Nothing has this name, or git failed.
    pub fn history(&mut self, revision: &str, count: usize) -> Result<Vec<Commit>, Error> {
        let newest = self.resolve(revision)?;
        self.log(&[
            "--first-parent",
            &format!("--max-count={count}"),
            newest.as_str(),
        ])
    }

    /// Returns the commits of all branches and tags that were made at `start`, in seconds since 1970, or
    /// later. Each is looked at: commits need not be in the order of their times (after a rebase, say),
    /// and `git log --since` ends at the first that is too old.
    ///
    /// # Errors
    /// git failed.
    pub fn since(&self, start: i64) -> Result<Vec<Commit>, Error> {
        let found = self.lines(&["log", "--all", "--format=%ct %H"])?;
        let is_late = |line: &Commit| {
            let (time, commit) = line.0.split_once(' ')?;
            let time: i64 = time.parse().ok()?;
            (start <= time).then(|| Commit(commit.to_owned()))
        };
        Ok(found.iter().filter_map(is_late).collect())
    }

    /// Returns the commits at which all references below `prefix` (`refs/exps`) stand.
    ///
    /// # Errors
    /// git failed.
    pub fn references(&self, prefix: &str) -> Result<Vec<Commit>, Error> {
        self.lines(&["for-each-ref", "--format=%(objectname)", prefix])
    }

    fn log(&self, args: &[&str]) -> Result<Vec<Commit>, Error> {
        let all: Vec<&str> = ["log", "--format=%H"].iter().chain(args).copied().collect();
        self.lines(&all)
    }

    /// Runs git and returns the commits that it prints, one per line.
    fn lines(&self, args: &[&str]) -> Result<Vec<Commit>, Error> {
        let output = command(&self.root)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| start_failed(&self.root, e))?;
        if !output.status.success() {
            return Err(failure(
                &self.root,
                &String::from_utf8_lossy(&output.stderr),
            ));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().map(|line| Commit(line.to_owned())).collect())
    }

    /// Returns the names of branches and tags, for suggestions.
    fn names(&self) -> Vec<String> {
        let output = command(&self.root)
            .args(["for-each-ref", "--format=%(refname:short)"])
            .stdin(Stdio::null())
            .output();
        let text = output.map(|o| o.stdout).unwrap_or_default();
        let names = String::from_utf8_lossy(&text);
        names
            .lines()
            .chain(["HEAD", "workspace"])
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        // It ends when its input does; killing spares the wait for that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum Answer {
    Object(Object),
    Missing,
    Ambiguous,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    File,
    Folder,
}

/// Splits a tree object (gitformat: `mode name NUL id`, ids of `id_bytes` bytes); submodules and
/// names that are not UTF-8 are left out.
fn tree_entries(mut bytes: &[u8], id_bytes: usize) -> Vec<(Mode, String, String)> {
    let mut entries = Vec::new();
    while let Some(end) = bytes.iter().position(|b| *b == 0) {
        let head = std::str::from_utf8(&bytes[..end]).ok();
        let id = bytes.get(end + 1..end + 1 + id_bytes);
        if let (Some((mode, name)), Some(id)) = (head.and_then(|h| h.split_once(' ')), id) {
            let id = id.iter().fold(String::new(), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
                text
            });
            match mode {
                "40000" => entries.push((Mode::Folder, name.to_owned(), id)),
                "160000" => {}
                _ => entries.push((Mode::File, name.to_owned(), id)),
            }
        }
        bytes = bytes.get(end + 1 + id_bytes..).unwrap_or_default();
    }
    entries
}

/// Returns the state of the work tree around the project at `root`. Changes of the project's files
/// in `except` do not count.
///
/// # Errors
/// There is no `git` program or no repository.
pub fn work_tree(root: &Path, except: &[ArtifactPath]) -> Result<WorkTree, Error> {
    let output = command(root)
        .args([
            "status",
            "--porcelain=v2",
            "--branch",
            "--untracked-files=no",
            "--",
            ":(top)",
        ])
        .args(
            except
                .iter()
                .map(|path| format!(":(exclude,literal){path}")),
        )
        .stdin(Stdio::null())
        .output()
        .map_err(|e| start_failed(root, e))?;
    if !output.status.success() {
        return Err(failure(root, &String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    Ok(WorkTree {
        commit: header("# branch.oid ")
            .filter(|oid| *oid != "(initial)")
            .map(|oid| Commit(oid.to_owned())),
        branch: header("# branch.head ")
            .filter(|head| *head != "(detached)")
            .map(str::to_owned),
        changes: if text.lines().all(|line| line.starts_with('#')) {
            Changes::None
        } else {
            Changes::Some
        },
    })
}

/// Returns what is checked out around the project at `root`: at once, however large the work tree
/// is, for no file of it is looked at.
///
/// # Errors
/// There is no `git` program, no repository or no commit.
pub fn head(root: &Path) -> Result<Head, Error> {
    let output = command(root)
        .args(["rev-parse", "HEAD", "--abbrev-ref", "HEAD"])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| start_failed(root, e))?;
    if !output.status.success() {
        return Err(failure(root, &String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    Ok(Head {
        commit: Commit(lines.next().unwrap_or_default().to_owned()),
        branch: lines
            .next()
            .filter(|name| *name != "HEAD")
            .map(str::to_owned),
    })
}

/// How far back changes of branches are followed.
const MOVES_MAX: usize = 20;

/// Returns the commits that were checked out before the last changes of branches (or of commits, by
/// `git checkout` and `git switch`), as far as nothing else happened since; none without git.
#[must_use]
pub fn came_from(root: &Path) -> Vec<Commit> {
    let count = format!("--max-count={}", MOVES_MAX + 1);
    let output = command(root)
        .args(["log", "--walk-reflogs", "--format=%H %gs", &count, "HEAD"])
        .stdin(Stdio::null())
        .output();
    let text = output.map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let entries: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once(' ')).collect();
    let moves = entries
        .iter()
        .take_while(|(_, what)| what.starts_with("checkout: "));
    let moves = moves.count();
    // The entry below a move is where it began.
    let mut from: Vec<Commit> = Vec::new();
    for (hash, _) in entries.iter().skip(1).take(moves) {
        let commit = Commit((*hash).to_owned());
        if entries[0].0 != *hash && !from.contains(&commit) {
            from.push(commit);
        }
    }
    from
}

/// Returns the files that git tracks in the project at `root`; none without git.
#[must_use]
pub fn tracked(root: &Path) -> Vec<ArtifactPath> {
    let output = command(root)
        .args(["ls-files", "-z"])
        .stdin(Stdio::null())
        .output();
    let names = output.map(|o| o.stdout).unwrap_or_default();
    names
        .split(|byte| *byte == 0)
        .filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok())
        .collect()
}

/// Returns those of `paths` that git tracks, or that hold a file it tracks; none without git.
#[must_use]
pub fn tracked_in(root: &Path, paths: &[ArtifactPath]) -> Vec<ArtifactPath> {
    let output = command(root)
        .args(["--literal-pathspecs", "ls-files", "-z", "--"])
        .args(paths.iter().map(ArtifactPath::as_str))
        .stdin(Stdio::null())
        .output();
    let names = output.map(|o| o.stdout).unwrap_or_default();
    let files: Vec<ArtifactPath> = names
        .split(|byte| *byte == 0)
        .filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok())
        .collect();
    let holds = |path: &&ArtifactPath| files.iter().any(|file| path.contains(file));
    paths.iter().filter(holds).cloned().collect()
}

/// Returns the files of the project at `root` that git neither tracks nor ignores; none without git.
#[must_use]
pub fn untracked(root: &Path) -> Vec<ArtifactPath> {
    let output = command(root)
        .args(["ls-files", "--others", "--exclude-standard", "-z"])
        .stdin(Stdio::null())
        .output();
    let names = output.map(|o| o.stdout).unwrap_or_default();
    names
        .split(|byte| *byte == 0)
        .filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok())
        .collect()
}

/// Returns how the text files of the project at `root` differ from the commit that is checked out, in
/// the form that `git apply` reads, but for the files `except`; of other files it says that they
/// differ. No more than `bytes_max`, cut behind a line; whether it was cut comes with it. Nothing
/// without git.
#[must_use]
pub fn differences(root: &Path, except: &[ArtifactPath], bytes_max: u64) -> (Vec<u8>, bool) {
    let excluded = except.iter();
    let child = command(root)
        .args(["diff", "--no-color", "--no-ext-diff", "--no-textconv"])
        .args(["--src-prefix=a/", "--dst-prefix=b/", "HEAD", "--", ":(top)"])
        .args(excluded.map(|path| format!(":(exclude,literal){path}")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        return (Vec::new(), false);
    };
    let mut text = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        // What was read before an error is as good as the rest.
        let _ = pipe.take(bytes_max + 1).read_to_end(&mut text);
    }
    // It may have more to say than anybody listens to.
    let _ = child.kill();
    let _ = child.wait();
    let is_cut = bytes_max < text.len() as u64;
    if is_cut {
        let whole = text.iter().rposition(|byte| *byte == b'\n');
        text.truncate(whole.map_or(0, |end| end + 1));
    }
    (text, is_cut)
}

/// Returns what git neither tracks nor ignores in the project at `root`: files, and folders (with a
/// `/` at the end) of which that is true in all. None without git.
#[must_use]
pub fn untracked_names(root: &Path) -> Vec<String> {
    let output = command(root)
        .args(["ls-files", "--others", "--exclude-standard", "-z"])
        .args(["--directory", "--no-empty-directory"])
        .stdin(Stdio::null())
        .output();
    let names = output.map(|o| o.stdout).unwrap_or_default();
    names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// Hands files to `git add`, as `core.autostage` asks for. Paths are absolute.
///
/// # Errors
/// There is no `git` program or no repository, or git refuses (a path that it ignores, say).
pub fn stage(root: &Path, paths: &[PathBuf]) -> Result<(), Error> {
    if paths.is_empty() {
        return Ok(());
    }
    let output = command(root)
        .args(["add", "--"])
        .args(paths)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| start_failed(root, e))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failure(root, &String::from_utf8_lossy(&output.stderr)))
}

/// Returns the folder of the work tree around `root`; `None` where git is not used. In a worktree or
/// submodule `.git` is a file.
#[must_use]
pub fn work_tree_root(root: &Path) -> Option<PathBuf> {
    let found = root.ancestors().find(|dir| dir.join(".git").exists());
    found.map(Path::to_owned)
}

fn command(root: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(root)
        // What it says is read, and nothing is refreshed or asked on the way.
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

pub(super) fn start_failed(root: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NoGitProgram,
        _ => base::Error::io("start `git` in", root)(error).into(),
    }
}

/// Makes what git said an error.
pub(super) fn failure(root: &Path, said: &str) -> Error {
    let root = root.to_owned();
    if said.contains("dubious ownership") {
        Error::UnsafeRepository { root }
    } else if said.contains("not a git repository") {
        Error::NoRepository { root }
    } else {
        let line = said.lines().map(str::trim).find(|line| !line.is_empty());
        Error::Git {
            problem: line.unwrap_or("it ended without a word").to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_split() {
        let mut bytes = Vec::new();
        for (mode, name) in [("100644", "a b"), ("40000", "dir"), ("160000", "sub")] {
            bytes.extend(format!("{mode} {name}\0").bytes());
            bytes.extend([0; 20]);
        }
        let names: Vec<_> = tree_entries(&bytes, 20)
            .into_iter()
            .map(|(mode, name, _)| (mode == Mode::Folder, name))
            .collect();
        assert_eq!(names, [(false, "a b".to_owned()), (true, "dir".to_owned())]);
        assert!(tree_entries(b"broken", 20).is_empty());
    }
}
