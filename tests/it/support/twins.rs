//! Two DVC repositories with one history, in which DVC and cvops change places.

use super::dvc::{Picture, repository};
use super::dvc_world::World;
use super::{Exit, Project};

/// The two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Dvc,
    Cvops,
}

use Tool::{Cvops, Dvc};

impl Tool {
    pub(crate) fn other(self) -> Self {
        match self {
            Dvc => Cvops,
            Cvops => Dvc,
        }
    }

    /// Runs a command that both know, which must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn ok(self, p: &Project, args: &str) -> String {
        let output = match self {
            Dvc => p.dvc_ok(args),
            Cvops => p.ok(args),
        };
        output.stdout + &output.stderr
    }
}

/// Two repositories with the same history, in which the tools change places.
pub(crate) struct Twins {
    /// What the user wrote.
    pub(crate) world: World,
    /// By the tool that is to act in it next.
    pub(crate) seats: [(Tool, Project); 2],
}

impl Twins {
    pub(crate) fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let seats = [Dvc, Cvops].map(|tool| {
            let p = repository();
            world.lay_out(&p);
            (tool, p)
        });
        Self { world, seats }
    }

    /// Runs a command in both; what was run and what lies there must be the same afterwards.
    #[track_caller]
    pub(crate) fn both(&self, args: &str, what: &str) -> Picture {
        let [left, right] = self.seats.each_ref().map(|(tool, p)| {
            let said = tool.ok(p, args);
            (*tool, said, sorted(&p.ran()), p.picture())
        });
        let what = format!("`{args}` {what}: {:?} against {:?}", left.0, right.0);
        assert_eq!(
            left.2, right.2,
            "{what}: stages that ran\n{}\n{}",
            left.1, right.1
        );
        left.3.assert_same(&right.3, &what);
        left.3
    }

    /// The tools change places; neither may find anything to do after the other.
    #[track_caller]
    pub(crate) fn swap(&mut self, what: &str) {
        for (tool, p) in &mut self.seats {
            *tool = tool.other();
            assert_idle(*tool, p, what);
        }
    }

    /// The tools change places; neither may think that data changed, or change a byte by looking.
    #[track_caller]
    pub(crate) fn swap_data(&mut self, what: &str) {
        for (tool, p) in &mut self.seats {
            *tool = tool.other();
            let before = p.picture();
            assert_clean(*tool, p, what);
            tool.ok(p, "checkout");
            before.assert_same(&p.picture(), &format!("{tool:?} after the other, {what}"));
        }
    }

    /// Edits both in the same way.
    pub(crate) fn edit(&mut self, kind: usize) -> &'static str {
        let what = self.world.edit(kind);
        for (_, p) in &self.seats {
            self.world.lay_out_again(p);
        }
        what
    }
}

/// Fails when the tool finds something to do, runs something or changes a byte.
#[track_caller]
pub(crate) fn assert_idle(tool: Tool, p: &Project, what: &str) {
    let before = p.picture();
    let what = format!("{tool:?} after the other, {what}");
    let said = tool.ok(p, "status");
    match tool {
        Dvc => assert!(said.contains("up to date"), "{what}: {said}"),
        Cvops => {
            let output = p.cvops("status --exit-code");
            assert_eq!(
                output.exit,
                Exit::Code(0),
                "{what}: {}",
                output.transcript()
            );
        }
    }
    let said = tool.ok(p, "repro -P");
    assert_eq!(p.ran(), "", "{what}: {said}");
    assert!(said.contains("up to date"), "{what}: {said}");
    before.assert_same(&p.picture(), &what);
}

/// Fails when the tool's `status` sees a change.
#[track_caller]
fn assert_clean(tool: Tool, p: &Project, what: &str) {
    let said = tool.ok(p, "status");
    match tool {
        Dvc => assert!(said.contains("up to date"), "{what}: {said}"),
        Cvops => {
            let output = p.cvops("status --exit-code");
            assert_eq!(
                output.exit,
                Exit::Code(0),
                "{what}: {}",
                output.transcript()
            );
        }
    }
}

/// Returns the names of stages that ran, sorted: the tools start independent stages as they like.
pub(crate) fn sorted(ran: &str) -> Vec<String> {
    let mut stages: Vec<String> = ran.split_whitespace().map(str::to_owned).collect();
    stages.sort();
    stages
}
