//! Which commits a command is about, beside the workspace. Imports: base, project.

use std::collections::{BTreeMap, BTreeSet};

use crate::project::git::Which;
use crate::project::{self, Commit, Git};

/// Where DVC keeps its experiments.
const EXPERIMENTS: &str = "refs/exps";

/// A set of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The tips of all branches.
    Branches,
    /// All tags.
    Tags,
    /// All commits.
    Commits,
    /// DVC's experiments.
    Experiments,
}

/// What the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revisions {
    /// Sets of commits.
    pub kinds: BTreeSet<Kind>,
    /// One revision.
    pub revision: Option<String>,
    /// So many commits back from that revision and from the tips of branches.
    pub last: usize,
    /// All commits of this day (`2026-03-01`) and later.
    pub since: Option<i64>,
}

impl Default for Revisions {
    fn default() -> Self {
        Self {
            kinds: BTreeSet::new(),
            revision: None,
            last: 1,
            since: None,
        }
    }
}

impl Revisions {
    /// Is the workspace all there is?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.revision.is_none() && self.since.is_none()
    }

    /// Finds the commits, each once, with a name for messages.
    ///
    /// # Errors
    /// Nothing has the revision's name, or git failed.
    pub fn resolve(&self, git: &mut Git) -> Result<Vec<(Commit, String)>, project::Error> {
        let mut found: BTreeMap<Commit, String> = BTreeMap::new();
        let mut add = |commit: Commit, name: &str| {
            found.entry(commit).or_insert_with(|| name.to_owned());
        };
        for kind in &self.kinds {
            match kind {
                Kind::Branches => {
                    for (name, tip) in git.list(Which::Branches)? {
                        for commit in git.history(tip.as_str(), self.last)? {
                            add(commit, &name);
                        }
                    }
                }
                Kind::Tags | Kind::Commits => {
                    let which = match kind {
                        Kind::Tags => Which::Tags,
                        _ => Which::Commits,
                    };
                    for (name, commit) in git.list(which)? {
                        add(commit, &name);
                    }
                }
                Kind::Experiments => {
                    for commit in git.references(EXPERIMENTS)? {
                        let name = commit.short().to_owned();
                        add(commit, &name);
                    }
                }
            }
        }
        if let Some(revision) = &self.revision {
            for commit in git.history(revision, self.last)? {
                add(commit, revision);
            }
        }
        if let Some(start) = self.since {
            for commit in git.since(start)? {
                let name = commit.short().to_owned();
                add(commit, &name);
            }
        }
        Ok(found.into_iter().collect())
    }
}
