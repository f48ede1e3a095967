//! Which metrics of a run stand in one chart, and under which heading. Imports: track,
//! `pages::series`.
//!
//! **Pairs.** A metric of training and its twin on other data are drawn over one another: a name that
//! begins or ends with `train`, `training`, `val`, `valid`, `validation` or `test`, divided from the
//! rest by `.`, `_`, `-`, `/` or a blank, is drawn with the names that have the same rest; so is the
//! rest by itself (Keras has `loss` and `val_loss`).
//!
//! **Headings.** Charts stand under what comes before the last `/`, `.` or `:` of the rest.

use std::collections::BTreeMap;

use crate::track::db::PointsLeft;
use crate::ui::pages::series::points_left;

/// How names of system metrics begin.
const SYSTEM: &str = crate::track::overview::SYSTEM;

/// Words that say on which data a metric was measured.
const SPLITS: [&str; 6] = ["train", "training", "val", "valid", "validation", "test"];

/// What divides such a word from the rest.
const DIVIDERS: [char; 5] = ['.', '_', '-', '/', ' '];

/// Points that are read for the drawings of a page before its script is there: what comes behind is
/// drawn by the script.
const POINTS_READ_MAX: u64 = 400_000;

/// How many points may still be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    points: u64,
    /// A metric that was begun is read to its end, but not beyond this.
    pub(super) left: PointsLeft,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            points: POINTS_READ_MAX,
            left: points_left(),
        }
    }

    /// Returns one for other drawings of the same page.
    pub(super) fn renewed(self) -> Self {
        Self {
            points: POINTS_READ_MAX,
            ..self
        }
    }

    pub(super) fn spend(&mut self, points: u64) {
        self.points = self.points.saturating_sub(points.max(1));
    }

    pub(super) fn is_spent(&self) -> bool {
        self.points == 0 || self.left.is_exceeded()
    }
}

/// Metrics that are drawn together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChartOf {
    /// What they have in common.
    pub(super) title: String,
    /// Their names.
    pub(super) keys: Vec<String>,
}

/// Charts under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Empty: none.
    pub(super) heading: String,
    pub(super) charts: Vec<ChartOf>,
}

pub(super) fn is_of_system(name: &str) -> bool {
    name.starts_with(SYSTEM)
}

/// Puts names together to charts, and charts to groups, in the order of the names.
pub(super) fn groups<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Group> {
    let mut charts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names {
        charts
            .entry(rest_of(name))
            .or_default()
            .push(name.to_owned());
    }
    let mut groups: BTreeMap<String, Vec<ChartOf>> = BTreeMap::new();
    for (rest, keys) in charts {
        let (heading, _) = rest.rsplit_once(['/', '.', ':']).unwrap_or_default();
        let title = match keys.as_slice() {
            [one] => one.clone(),
            _ => rest.clone(),
        };
        groups
            .entry(heading.to_owned())
            .or_default()
            .push(ChartOf { title, keys });
    }
    groups
        .into_iter()
        .map(|(heading, charts)| Group { heading, charts })
        .collect()
}

/// Returns a name without what says on which data it was measured.
fn rest_of(name: &str) -> String {
    if is_of_system(name) {
        return name.to_owned();
    }
    // The file that a metric stands in says nothing of the split.
    let (file, key) = match name.rsplit_once(':') {
        Some((file, key)) => (&name[..=file.len()], key),
        None => ("", name),
    };
    let is_split = |word: &str| SPLITS.iter().any(|split| word.eq_ignore_ascii_case(split));
    if let Some((first, rest)) = key.split_once(DIVIDERS)
        && is_split(first)
        && !rest.is_empty()
    {
        return format!("{file}{rest}");
    }
    if let Some((rest, last)) = key.rsplit_once(DIVIDERS)
        && is_split(last)
        && !rest.is_empty()
    {
        return format!("{file}{rest}");
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_stand_in_one_chart_and_prefixes_are_headings() {
        let names = [
            "accuracy",
            "head.lr",
            "loss",
            "test/loss",
            "train.accuracy",
            "train_loss",
            "val.accuracy",
            "val_loss",
            "validate",
            "head.val_f1",
            "h.jsonl:train.loss",
            "h.jsonl:val.loss",
            "train",
        ];
        let shown: Vec<String> = groups(names.into_iter())
            .iter()
            .flat_map(|group| {
                group.charts.iter().map(|chart| {
                    format!("{}|{}|{}", group.heading, chart.title, chart.keys.join(" "))
                })
            })
            .collect();
        assert_eq!(
            shown,
            [
                "|accuracy|accuracy train.accuracy val.accuracy",
                "|loss|loss test/loss train_loss val_loss",
                "|train|train",
                "|validate|validate",
                "h.jsonl|loss|h.jsonl:train.loss h.jsonl:val.loss",
                "head|head.lr|head.lr",
                "head|head.val_f1|head.val_f1",
            ]
            .map(|line| line.replace("h.jsonl|loss", "h.jsonl|h.jsonl:loss"))
        );
    }
}
