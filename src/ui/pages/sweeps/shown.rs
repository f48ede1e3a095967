//! What a page shows of a sweep, wherever it comes from. Imports: experiment, track, `ui::parts`.

use crate::experiment::sweep::study::{Study, StudyValue};
use crate::mlflow::Refused;
use crate::track::RunId;
use crate::ui::asked::{Asked, segment};
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::site::Site;

use super::{nested, ours};

/// A sweep.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) title: String,
    pub(super) state: Chip,
    pub(super) is_running: bool,
    /// How values are chosen; empty if nobody says.
    pub(super) method: String,
    /// What it is about: metric, parameters with their domains, targets.
    pub(super) facts: Vec<(String, String)>,
    /// Metrics that it can be judged by, where that is not fixed.
    pub(super) metrics: Vec<String>,
    /// The trials that have their metric.
    pub(super) study: Study,
    /// All trials, in the order in which they began.
    pub(super) rows: Vec<TrialRow>,
    /// Trials in all, where that is known.
    pub(super) total: Option<u64>,
    /// The run of the whole.
    pub(super) parent: Option<RunId>,
    /// When it began, milliseconds since 1970.
    pub(super) began_ms: i64,
    /// The command that takes the best trial over.
    pub(super) apply: Option<String>,
}

/// A trial.
#[derive(Clone, Debug)]
pub(super) struct TrialRow {
    pub(super) number: u64,
    pub(super) state: TrialEnd,
    pub(super) values: Vec<StudyValue>,
    pub(super) value: Option<f64>,
    pub(super) seconds: Option<f64>,
    pub(super) run: Option<RunId>,
    /// Why it has no metric, or what to know of it.
    pub(super) note: String,
}

/// How a trial ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrialEnd {
    Done,
    Failed,
    /// Given up early, as worse than others at the same step.
    Pruned,
    /// Stopped before its end: by somebody, or because its process died.
    Stopped,
    Running,
    /// It was begun, and nobody runs it.
    Unfinished,
}

impl TrialEnd {
    pub(super) fn chip(self) -> Chip {
        match self {
            Self::Done => Chip::new(Tone::Good, "done"),
            Self::Failed => Chip::new(Tone::Bad, "failed"),
            Self::Pruned => Chip::new(Tone::Plain, "pruned"),
            Self::Stopped => Chip::new(Tone::Warn, "stopped early"),
            Self::Running => Chip::new(Tone::Busy, "running"),
            Self::Unfinished => Chip::new(Tone::Warn, "unfinished"),
        }
    }
}

impl Shown {
    pub(super) fn count(&self, state: TrialEnd) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// Returns how long a trial takes, seconds.
    pub(super) fn per_trial(&self) -> Option<f64> {
        let all: Vec<f64> = self.rows.iter().filter_map(|row| row.seconds).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }

    /// Returns how long it will go on, seconds, if it goes on as it did.
    pub(super) fn left(&self) -> Option<f64> {
        if !self.is_running {
            return None;
        }
        let ended = self.rows.len() - self.count(TrialEnd::Running);
        let left = self.total?.checked_sub(ended as u64)?;
        let at_once = self.count(TrialEnd::Running).max(1) as u64;
        // Those that run are half done, taken together.
        let rounds = (left as f64 / at_once as f64 - 0.5).max(0.5);
        Some(rounds * self.per_trial()?)
    }

    /// Returns the runs of its trials that are recorded, the best trials first.
    pub(super) fn runs(&self) -> Vec<(RunId, &TrialRow)> {
        let mut rows: Vec<(RunId, &TrialRow)> = self
            .rows
            .iter()
            .filter_map(|row| Some((row.run?, row)))
            .collect();
        let rank = |row: &TrialRow| row.value.filter(|value| !value.is_nan());
        rows.sort_by(|(_, a), (_, b)| match (rank(a), rank(b)) {
            (Some(a), Some(b)) if self.study.goal.is_better(a, b) => std::cmp::Ordering::Less,
            (Some(a), Some(b)) if self.study.goal.is_better(b, a) => std::cmp::Ordering::Greater,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            _ => std::cmp::Ordering::Equal,
        });
        rows
    }
}

/// Finds a sweep: by the name of its journal, or by the id of a run that has parts.
///
/// # Errors
/// There is none, or its journal is damaged.
pub(super) fn find(site: &Site, asked: &Asked, name: &str) -> Result<Shown, Refused> {
    if ours::exists(&site.project.layout, name) {
        return ours::read(&site.project.layout, asked, name);
    }
    if let Ok(id) = name.parse::<RunId>() {
        return nested::read(asked, id);
    }
    Err(ours::missing(&site.project.layout, asked, name))
}

pub(super) fn href(name: &str) -> String {
    format!("/sweeps/{}", segment(name))
}

/// Returns the state of a run as that of a trial.
pub(super) fn of_status(status: crate::track::Status) -> TrialEnd {
    use crate::track::Status;
    match status {
        Status::Finished => TrialEnd::Done,
        Status::Failed => TrialEnd::Failed,
        Status::Killed => TrialEnd::Stopped,
        Status::Running | Status::Scheduled => TrialEnd::Running,
    }
}
