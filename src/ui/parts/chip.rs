//! A state in one word, with a shape and a colour that say the same. Imports: report, track.

use std::fmt::{self, Display, Formatter};

use askama::filters::HtmlSafe;

use crate::report::escape;
use crate::track::{StageOutcome, Status};

/// Whether a state is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ui) enum Tone {
    /// Neither.
    Plain,
    /// Done, right, up.
    Good,
    /// Failed, wrong, down.
    Bad,
    /// Stale, degraded, to be looked at.
    Warn,
    /// Going on.
    Busy,
}

impl Tone {
    /// Returns its class.
    pub(in crate::ui) fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Busy => "busy",
        }
    }

    /// Returns its shape.
    pub(in crate::ui) fn mark(self) -> &'static str {
        match self {
            Self::Plain => "○",
            Self::Good => "✓",
            Self::Bad => "✕",
            Self::Warn => "△",
            Self::Busy => "●",
        }
    }
}

/// A state in one word. Shown as HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui) struct Chip {
    pub(in crate::ui) tone: Tone,
    pub(in crate::ui) text: String,
}

impl Chip {
    pub(in crate::ui) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }

    /// Says how far a run is.
    pub(in crate::ui) fn of_run(status: Status) -> Self {
        match status {
            Status::Scheduled => Self::new(Tone::Plain, "scheduled"),
            Status::Running => Self::new(Tone::Busy, "running"),
            Status::Finished => Self::new(Tone::Good, "finished"),
            Status::Failed => Self::new(Tone::Bad, "failed"),
            Status::Killed => Self::new(Tone::Warn, "killed"),
        }
    }

    /// Says what became of a stage in a run.
    pub(in crate::ui) fn of_stage(outcome: StageOutcome) -> Self {
        let tone = match outcome {
            StageOutcome::Ran => Tone::Good,
            StageOutcome::Restored | StageOutcome::Unchanged | StageOutcome::Frozen => Tone::Plain,
            StageOutcome::Failed => Tone::Bad,
            StageOutcome::NotFinished => Tone::Warn,
        };
        Self::new(tone, outcome.as_str().replace('_', " "))
    }
}

impl Display for Chip {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<span class=\"chip {}\"><span class=\"mark\" aria-hidden=\"true\">{}</span> {}</span>",
            self.tone.class(),
            self.tone.mark(),
            escape::xml(&self.text)
        )
    }
}

/// Its text is escaped.
impl HtmlSafe for Chip {}
