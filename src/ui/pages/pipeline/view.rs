//! A stage as pages show it: what is recorded and judged of it, and what a command does to it right
//! now. Pure. Imports: experiment, pipeline, report, `ui::{asked, looks, parts}`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::experiment::progress::{Judgement, Reached, StageState, StageStory, Story};
use crate::pipeline::{Forecast, SkipReason, StageDecision, words};
use crate::report::NodeState;
use crate::ui::asked::segment;
use crate::ui::looks::{Going, Look};
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::progress::stage_chip;

/// A stage.
#[derive(Clone, Debug)]
pub(in crate::ui) struct StageView {
    pub(in crate::ui) name: String,
    /// Its place among the stages of the graph.
    pub(in crate::ui) index: usize,
    pub(in crate::ui) chip: Chip,
    pub(in crate::ui) node: NodeState,
    /// Why, in a phrase; empty where there is nothing to say.
    pub(in crate::ui) why: String,
    /// How long its command took when it last ran.
    pub(in crate::ui) took: Option<Duration>,
}

/// Returns where the page of a stage is.
pub(in crate::ui) fn stage_href(name: &str) -> String {
    // Slashes stand for themselves: the route takes all that follows.
    let parts: Vec<String> = name.split('/').map(segment).collect();
    format!("/pipeline/{}", parts.join("/"))
}

/// Returns all stages, each after all it needs. `last` is the newest command that is over.
pub(in crate::ui) fn views(
    look: &Look,
    going: &[Going],
    last: Option<&Story>,
    took: &BTreeMap<String, Duration>,
) -> Vec<StageView> {
    let stages = look.graph.stages();
    look.stages()
        .map(|(index, forecast)| {
            let name = stages[index].name.to_string();
            let now = going.iter().find_map(|one| {
                let stage = one.story.stages.get(&name)?;
                (stage.state != StageState::Pending).then_some(stage)
            });
            let (chip, node, why) = match now {
                Some(stage) => as_told(stage),
                None => {
                    // How it ended last counts until it is tried again.
                    let is_next = going.iter().any(|one| one.story.stages.contains_key(&name));
                    let last = last.filter(|_| !is_next);
                    judged(forecast, last.and_then(|story| story.stages.get(&name)))
                }
            };
            StageView {
                took: took.get(&name).copied(),
                index,
                chip,
                node,
                why,
                name,
            }
        })
        .collect()
}

/// What a command that runs now says of a stage.
fn as_told(stage: &StageStory) -> (Chip, NodeState, String) {
    let node = match stage.state {
        StageState::Pending | StageState::Waiting => NodeState::Pending,
        StageState::Running => NodeState::Running,
        StageState::Done(Reached::Frozen | Reached::Service) => NodeState::Skipped,
        StageState::Done(Reached::Ran | Reached::Restored | Reached::Unchanged) => NodeState::Done,
        StageState::Failed => NodeState::Failed,
    };
    let because = match stage.decision {
        Some(Judgement::Run | Judgement::Restore) => stage.because.join("; "),
        Some(Judgement::Skip | Judgement::Unchanged) | None => String::new(),
    };
    let why = stage.message.clone().unwrap_or(because);
    (stage_chip(stage), node, why)
}

/// What a repro would do to a stage; `last` is what became of it in the last one.
fn judged(forecast: &Forecast, last: Option<&StageStory>) -> (Chip, NodeState, String) {
    let why = words::because(forecast);
    let (tone, node) = match forecast {
        Forecast::Certain(StageDecision::Cached) => (Tone::Good, NodeState::Done),
        Forecast::Certain(StageDecision::Skip(SkipReason::Frozen | SkipReason::Service)) => {
            (Tone::Plain, NodeState::Skipped)
        }
        Forecast::Certain(StageDecision::Run(_)) => {
            if let Some(failed) = last.filter(|stage| stage.state == StageState::Failed) {
                let message = failed.message.as_deref().unwrap_or("it failed");
                let chip = Chip::new(Tone::Bad, "failed");
                return (chip, NodeState::Failed, format!("{message}; {why}"));
            }
            (Tone::Warn, NodeState::Pending)
        }
        Forecast::Certain(StageDecision::Restore { .. }) | Forecast::DependsOn(_) => {
            (Tone::Warn, NodeState::Pending)
        }
    };
    (Chip::new(tone, words::state(forecast)), node, why)
}

/// How many stages are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ui) struct Tally {
    pub(in crate::ui) all: usize,
    /// To be run or restored, or depending on such a one; failed ones too.
    pub(in crate::ui) stale: usize,
    pub(in crate::ui) failed: usize,
    pub(in crate::ui) running: usize,
}

impl Tally {
    pub(in crate::ui) fn of(views: &[StageView]) -> Self {
        let count = |states: &[NodeState]| {
            let is_one = |view: &&StageView| states.contains(&view.node);
            views.iter().filter(is_one).count()
        };
        Self {
            all: views.len(),
            stale: count(&[NodeState::Pending, NodeState::Failed]),
            failed: count(&[NodeState::Failed]),
            running: count(&[NodeState::Running]),
        }
    }

    /// Returns it in words, the most urgent first.
    pub(in crate::ui) fn chips(&self) -> Vec<Chip> {
        let mut chips = Vec::new();
        let mut add = |n: usize, tone, word: &str| {
            if 0 < n {
                chips.push(Chip::new(tone, format!("{n} {word}")));
            }
        };
        add(self.running, Tone::Busy, "running");
        add(self.failed, Tone::Bad, "failed");
        add(self.stale - self.failed, Tone::Warn, "to do");
        let settled = self.all - self.stale - self.running;
        add(settled, Tone::Good, "up to date");
        chips
    }
}
