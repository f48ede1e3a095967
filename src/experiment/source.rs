//! What a run was made from, as far as git knows: commit, branch, and how the work tree differed.
//! Imports: base, project, pipeline, track.
//!
//! git is asked while the first stage runs, in a thread of its own, so that nobody waits for it
//! unless the repro is over sooner.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::base::ArtifactPath;
use crate::pipeline::spec::Storage;
use crate::pipeline::{Plan, lock_files};
use crate::project::{Layout, Project, git};
use crate::track::Git;

/// The file that keeps cached outputs out of git.
const GITIGNORE: &str = ".gitignore";

/// At the end of a repro git is waited for so long: in a huge repository it looks for changes for
/// seconds, and a short repro should not take as long.
const GIT_WAIT: Duration = Duration::from_secs(1);

/// The differences of a work tree that a run keeps; longer ones are cut.
const DIFF_BYTES_MAX: u64 = 1024 * 1024;

/// Names of files that are not in git are kept up to here.
const NAMES_BYTES_MAX: usize = 64 * 1024;

/// A question to git that is being answered; nothing comes of it outside a repository.
#[derive(Debug)]
pub(super) struct Asked {
    facts: Receiver<Option<Git>>,
    diff: Receiver<Option<String>>,
}

impl Asked {
    /// Asks about the repository around the project of `layout`; the files `written` do not count.
    pub(super) fn of(layout: &Layout, written: Vec<ArtifactPath>) -> Self {
        let (tell_facts, facts) = mpsc::sync_channel(1);
        let (tell_diff, diff) = mpsc::sync_channel(1);
        let state = layout.state_dir().to_owned();
        std::thread::spawn(move || {
            let Some(root) = state.parent() else { return };
            let found = facts_of(root, &written);
            let changed = found.clone().filter(|git| git.dirty == Some(true));
            // Nobody listens any more if this took too long.
            let _ = tell_facts.send(found);
            let _ = tell_diff.send(changed.and_then(|git| diff_of(root, &git.commit, &written)));
        });
        Self { facts, diff }
    }

    /// Returns what git said, or, if it still looks for changes, what can be had without that; and how
    /// the work tree differed from the commit, if it did.
    pub(super) fn answer(self, layout: &Layout) -> (Option<Git>, Option<String>) {
        let start = Instant::now();
        let git = match self.facts.recv_timeout(GIT_WAIT) {
            Ok(facts) => facts,
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => head_of(layout),
        };
        let left = GIT_WAIT.saturating_sub(start.elapsed());
        (git, self.diff.recv_timeout(left).ok().flatten())
    }
}

fn head_of(layout: &Layout) -> Option<Git> {
    let head = git::head(layout.state_dir().parent()?).ok()?;
    Some(Git {
        commit: head.commit.as_str().to_owned(),
        branch: head.branch,
        dirty: None,
    })
}

/// Returns where the repository around the project stands.
fn facts_of(root: &Path, written: &[ArtifactPath]) -> Option<Git> {
    // Starting a program costs milliseconds; a look for its folder does not.
    git::work_tree_root(root)?;
    let tree = git::work_tree(root, written).ok()?;
    Some(Git {
        commit: tree.commit?.as_str().to_owned(),
        branch: tree.branch,
        dirty: Some(tree.changes == git::Changes::Some),
    })
}

/// Returns how the work tree differs from `commit`, as a text that `git apply` reads.
fn diff_of(root: &Path, commit: &str, written: &[ArtifactPath]) -> Option<String> {
    let mut head = format!("# how the work tree differed from {commit}; for `git apply`\n");
    for name in git::untracked_names(root) {
        let line = format!("# not in git: {}\n", name.replace(char::is_control, "?"));
        if NAMES_BYTES_MAX < head.len() + line.len() {
            head.push_str("# not in git: and more\n");
            break;
        }
        head.push_str(&line);
    }
    let (text, is_cut) = git::differences(root, written, DIFF_BYTES_MAX - head.len() as u64);
    if text.is_empty() {
        return None;
    }
    if is_cut {
        head.push_str("# cut: the whole is longer\n");
    }
    // git prints the bytes of files as they are; those that are no UTF-8 are marked.
    head.push_str(&String::from_utf8_lossy(&text));
    Some(head)
}

/// Returns the files of git that a repro itself writes: what counts as a change is what its
/// results were made from, and these may be written while git looks.
pub(super) fn written(plan: &Plan<'_>, project: &Project) -> Vec<ArtifactPath> {
    let mut written: Vec<ArtifactPath> = Vec::new();
    let mut ignore = |folder: Option<ArtifactPath>| {
        let name = folder.map_or_else(|| GITIGNORE.to_owned(), |f| format!("{f}/{GITIGNORE}"));
        written.extend(name.parse::<ArtifactPath>());
    };
    let mut outs = Vec::new();
    for (path, out) in plan.graph().stages().iter().flat_map(|s| &s.outs) {
        match out.storage {
            Storage::Git => outs.push(path.clone()),
            Storage::Cached => ignore(path.parent()),
        }
    }
    written.extend(outs);
    for file in plan.graph().files() {
        let lock = lock_files::path_of(project, file.file.as_ref());
        written.extend(lock.parse::<ArtifactPath>());
    }
    written.sort();
    written.dedup();
    written
}
