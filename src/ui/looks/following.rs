//! The journals of commands that run stages, read once for all readers. Imports: project, experiment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::experiment::progress::{self, State, Story, Tail};
use crate::project::Layout;

/// Journals are read as often as this at most, however many readers there are.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// A command that runs stages now, as far as its journal tells.
#[derive(Clone, Debug)]
pub(in crate::ui) struct Going {
    /// The name of its journal.
    pub(in crate::ui) name: String,
    pub(in crate::ui) story: Story,
}

/// The commands that run stages now, newest first.
#[derive(Clone, Debug)]
pub(in crate::ui) struct Commands {
    pub(in crate::ui) list: Arc<[Going]>,
    /// Another one whenever anything happened.
    pub(in crate::ui) version: u64,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            list: Arc::new([]),
            version: 0,
        }
    }
}

/// What the journals say that is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing of the workspace.
    None,
    /// A command began or ended: its stages may be other ones than before. Trials of a sweep do not
    /// count: they have workspaces of their own.
    OfStages,
}

/// What was read of the journals.
#[derive(Debug, Default)]
pub(super) struct Following {
    at: Option<Instant>,
    /// The journals of commands, trials aside, newest first.
    names: Vec<String>,
    tails: BTreeMap<String, Tail>,
    commands: Commands,
    last: Option<Over>,
}

/// The newest command that is over.
#[derive(Debug)]
struct Over {
    name: String,
    path: PathBuf,
    /// The length of the journal that was read.
    bytes: u64,
    story: Arc<Story>,
}

impl Following {
    /// Returns the commands that run stages now, as the last `catch_up` found them.
    pub(super) fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Reads what was written since, unless that was done a moment before `now`.
    pub(super) fn catch_up(&mut self, layout: &Layout, now: Instant) -> News {
        let is_new = |at: Instant| now.saturating_duration_since(at) < FOLLOW_EVERY;
        if self.at.is_some_and(is_new) {
            return News::None;
        }
        let is_first = self.at.is_none();
        self.at = Some(now);
        let names = progress::names_of_commands(layout);
        let mut logs = progress::going_on(layout);
        logs.sort_by(|a, b| b.name.cmp(&a.name));
        let before = Arc::clone(&self.commands.list);
        let came = names.iter().any(|name| !self.names.contains(name));
        let mut ended = before
            .iter()
            .filter(|one| logs.iter().all(|log| log.name != one.name));
        let is_of_command = |one: &Going| self.names.contains(&one.name);
        let news = if !is_first && (came || ended.any(is_of_command)) {
            News::OfStages
        } else {
            News::None
        };
        let is_same = |log: &progress::Log| before.iter().any(|one| one.name == log.name);
        let is_other_set = before.len() != logs.len() || !logs.iter().all(is_same);
        if is_other_set || names != self.names {
            self.last = None;
        }
        let mut changed = is_other_set || names != self.names;
        self.names = names;
        let mut list = Vec::with_capacity(logs.len());
        let mut tails = BTreeMap::new();
        for log in logs {
            let known = before.iter().find(|one| one.name == log.name);
            let mut one = known.cloned().unwrap_or_else(|| Going {
                name: log.name.clone(),
                story: Story::default(),
            });
            let tail = self.tails.remove(&log.name);
            let mut tail = tail.unwrap_or_else(|| Tail::new(&log.path));
            let offset = tail.offset();
            // A journal that has gone is of a command that is over.
            let _ = tail.follow(&mut one.story);
            changed |= tail.offset() != offset;
            tails.insert(log.name, tail);
            list.push(one);
        }
        self.tails = tails;
        self.commands = Commands {
            list: list.into(),
            version: self.commands.version + u64::from(changed),
        };
        news
    }

    /// Returns the newest command that is over, trials aside: the name of its journal and its story.
    /// It is looked for when journals came, went or ended; meanwhile only the length of this one is
    /// asked for: where the file system knows no locks, one that seems to be over may grow.
    pub(super) fn last(&mut self, layout: &Layout) -> Option<(String, Arc<Story>)> {
        let is_as_it_was = |last: &Over| length(&last.path) == Some(last.bytes);
        if !self.last.as_ref().is_some_and(is_as_it_was) {
            self.last = self.newest(layout);
        }
        let last = self.last.as_ref()?;
        Some((last.name.clone(), Arc::clone(&last.story)))
    }

    fn newest(&self, layout: &Layout) -> Option<Over> {
        let goes_on = |name: &String| self.tails.contains_key(name);
        let over = self.names.iter().filter(|name| !goes_on(name));
        let log = over
            .filter_map(|name| progress::find(layout, name))
            .find(|log| log.state != State::Running)?;
        let bytes = length(&log.path)?;
        let mut story = Story::default();
        Tail::new(&log.path).follow(&mut story).ok()?;
        Some(Over {
            name: log.name,
            path: log.path,
            bytes,
            story: Arc::new(story),
        })
    }
}

fn length(path: &std::path::Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.len())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "journals as commands leave them")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::fs;
    use crate::project::personality::CVOPS;

    const HEAD: &str = r#"{"at_ms":1,"event":"begin","version":1,"command":"cvops repro","pid":1,"targets":[],"stages":["a"]}"#;
    const TRIAL: &str = "00000000000009-1-0-trial";

    struct World {
        _tmp: tempfile::TempDir,
        layout: Layout,
        following: Following,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let tmp = tempfile::tempdir().unwrap();
            let layout = Layout::new(tmp.path(), &CVOPS);
            std::fs::create_dir_all(layout.logs()).unwrap();
            Self {
                layout,
                following: Following::default(),
                now: Instant::now(),
                _tmp: tmp,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.layout.logs().join(format!("{name}.jsonl"))
        }

        /// Writes the journal of a command that has died.
        fn journal(&self, name: &str) -> PathBuf {
            let path = self.path(name);
            std::fs::write(&path, format!("{HEAD}\n")).unwrap();
            path
        }

        /// Catches up when it is time to.
        fn later(&mut self) -> News {
            self.now += FOLLOW_EVERY;
            self.following.catch_up(&self.layout, self.now)
        }

        fn last(&mut self) -> Option<String> {
            self.following.last(&self.layout).map(|(name, _)| name)
        }
    }

    /// Takes a journal as a command that runs does.
    fn lock(path: &Path) -> fs::Appender {
        let held = fs::Appender::open(path).unwrap();
        assert!(held.try_lock().unwrap());
        held
    }

    #[test]
    fn journals_are_read_once_for_all_readers() {
        let mut world = World::new();
        assert_eq!(world.later(), News::None);
        world.journal("00000000000001-1-0");
        let (layout, now) = (&world.layout, world.now);
        let before_it_is_time = now + FOLLOW_EVERY / 2;
        assert_eq!(
            world.following.catch_up(layout, before_it_is_time),
            News::None
        );
        assert_eq!(world.following.commands().version, 0);
        assert_eq!(world.later(), News::OfStages);
        assert_eq!(world.following.commands().version, 1);
        assert_eq!(world.later(), News::None);
        assert_eq!(world.following.commands().version, 1);
    }

    #[test]
    fn a_command_that_began_and_ended_unseen_is_noticed() {
        let mut world = World::new();
        world.journal("00000000000001-1-0");
        // What was there before the first look outdates none.
        assert_eq!(world.later(), News::None);
        world.journal("00000000000002-1-0");
        assert_eq!(world.later(), News::OfStages);
        assert!(world.following.commands().list.is_empty());
        assert_eq!(world.later(), News::None);
    }

    #[test]
    fn a_command_is_noticed_when_it_begins_and_when_it_ends() {
        let mut world = World::new();
        assert_eq!(world.later(), News::None);
        let path = world.journal("00000000000001-1-0");
        let held = lock(&path);
        assert_eq!(world.later(), News::OfStages);
        assert_eq!(world.following.commands().list.len(), 1);
        assert_eq!((world.later(), world.last()), (News::None, None));
        drop(held);
        assert_eq!(world.later(), News::OfStages);
        assert_eq!(world.last().as_deref(), Some("00000000000001-1-0"));
        assert_eq!(world.later(), News::None);
    }

    #[test]
    fn a_trial_outdates_nothing_and_is_no_last_command() {
        let mut world = World::new();
        assert_eq!(world.later(), News::None);
        let path = world.journal(TRIAL);
        let held = lock(&path);
        assert_eq!(world.later(), News::None);
        let commands = world.following.commands();
        assert_eq!((commands.list.len(), commands.version), (1, 1));
        drop(held);
        assert_eq!((world.later(), world.last()), (News::None, None));
        assert_eq!(world.following.commands().version, 2);
    }

    #[test]
    fn the_last_command_is_looked_for_only_when_journals_changed() {
        let mut world = World::new();
        world.journal("00000000000001-1-0");
        world.later();
        assert_eq!(world.last().as_deref(), Some("00000000000001-1-0"));
        world.journal("00000000000002-1-0");
        // The folder is not listed again before it is time.
        assert_eq!(world.last().as_deref(), Some("00000000000001-1-0"));
        world.later();
        assert_eq!(world.last().as_deref(), Some("00000000000002-1-0"));
        // One that grows although nobody holds it is read again.
        let grown = format!(
            "{HEAD}\n{}\n",
            r#"{"at_ms":9,"event":"end","how":"failed","seconds":1.0}"#
        );
        std::fs::write(world.path("00000000000002-1-0"), grown).unwrap();
        let (_, story) = world.following.last(&world.layout).unwrap();
        assert!(story.end.is_some());
        std::fs::remove_file(world.path("00000000000002-1-0")).unwrap();
        world.later();
        assert_eq!(world.last().as_deref(), Some("00000000000001-1-0"));
    }
}
