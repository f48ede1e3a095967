//! What a report says of what was served. Plain data that is shown, written as JSON and made into a page.
//! Imports: `base::{clock, units}`, `drift::reference_update`, `detect::checked`.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::base::clock::{self, Timestamp};
use crate::base::units;
use crate::drift::reference_update::ReferenceUpdate;

use super::super::checked::{Checked, Verdict};

/// The version of the JSON form. Raised when a reader of the old one would misread the new one.
pub const SCHEMA: u64 = 1;

/// What was served, against the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Served {
    /// [`SCHEMA`].
    pub schema: u64,
    /// Drift, if a window or the whole has it; else the verdict of the whole. A window that has too few answers to be
    /// checked leaves nothing out: the whole has them too.
    pub verdict: Verdict,
    /// The begin of the time.
    #[serde(serialize_with = "as_text")]
    pub from: Timestamp,
    /// Its end, not part of it.
    #[serde(serialize_with = "as_text")]
    pub until: Timestamp,
    /// Length of a window.
    pub window_s: f64,
    /// How the reference of the windows follows: `none`, `last:N`, `reservoir:N`.
    #[serde(serialize_with = "as_text")]
    pub update: ReferenceUpdate,
    /// Since when there is drift, if there is in the last window that could be checked.
    pub lasting: Option<Lasting>,
    /// What is known of the reference.
    pub reference: Figures,
    /// All answers together.
    pub whole: Slot,
    /// Windows with answers, the oldest first.
    pub windows: Vec<Slot>,
}

/// Answers of some time, and what a check says of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slot {
    /// The begin of the time.
    #[serde(serialize_with = "as_text")]
    pub from: Timestamp,
    /// Its end, not part of it.
    #[serde(serialize_with = "as_text")]
    pub until: Timestamp,
    /// Answers.
    pub images: usize,
    /// How sure they are, and how often right.
    pub figures: Figures,
    /// Answers that somebody judged.
    pub judged: usize,
    /// Answers whose pictures were looked at. Detectors of pictures are computed if all were.
    pub pictures: usize,
    /// Rows of the reference that are answers of earlier windows.
    pub reference_arrived: usize,
    /// The detector that is surest of a difference, `None` if none could be computed.
    pub surest: Option<Surest>,
    /// All that the check says.
    pub checked: Checked,
}

/// How sure answers are, and how often right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Mean probability of the named class; `None` if it is not known.
    pub confidence: Option<f64>,
    /// Mean entropy of the probabilities, in nats; `None` if those of some classes are not known.
    pub entropy: Option<f64>,
    /// The share of right ones, of the reference or of those that somebody judged; `None` if there are none.
    pub accuracy: Option<f64>,
}

/// A detector and its p.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Surest {
    /// What it is called.
    pub detector: String,
    /// Its smallest p, corrected over its features: drift below its `alpha`, if the effect is large enough.
    pub p: f64,
    /// How large the difference is, see `Measured::effect`.
    pub effect: Option<f64>,
}

/// Drift that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lasting {
    /// The begin of the first window that has it.
    #[serde(serialize_with = "as_text")]
    pub since: Timestamp,
    /// In how many windows it was found since.
    pub windows: usize,
    /// Was it there from the first window on that could be checked, so perhaps longer?
    pub perhaps_longer: bool,
}

impl Served {
    /// Returns whether there was drift.
    #[must_use]
    pub fn is_drift(&self) -> bool {
        self.verdict == Verdict::Drift
    }

    /// Returns the windows that have drift.
    pub fn drifted(&self) -> impl Iterator<Item = &Slot> {
        let windows = self.windows.iter();
        windows.filter(|window| window.checked.verdict == Verdict::Drift)
    }

    /// Returns the verdict as one line: `drift since …, in 2 of 4 windows; 200 answers against …`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let checked = &self.whole.checked;
        let names: Vec<&str> = checked
            .detectors
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let compared = format!(
            "{} against {} of the {} split, by {}",
            units::count(self.whole.images, "answer"),
            units::count(checked.reference.rows, "picture"),
            checked.reference.split,
            names.join(", ")
        );
        let all = units::count(self.windows.len(), "window");
        let drifted = self.drifted().count();
        let which = match (self.verdict, self.lasting) {
            (Verdict::NoDrift, _) => return format!("no drift; {compared}"),
            (Verdict::Incomplete, _) => return format!("no verdict; {compared}"),
            (Verdict::Drift, Some(lasting)) => {
                let since = clock::utc_minute(lasting.since);
                let longer = if lasting.perhaps_longer {
                    ", perhaps longer"
                } else {
                    ""
                };
                format!("since {since} (UTC){longer}, in {drifted} of {all}")
            }
            (Verdict::Drift, None) if drifted == 0 => {
                format!("over all {all} together, in none of them alone")
            }
            (Verdict::Drift, None) => format!("in {drifted} of {all}, not in the last one"),
        };
        format!("drift {which}; {compared}")
    }
}

fn as_text<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}
