//! Runs as rows of a table: which are asked for, which columns, what comes back; groups of them.
//! Plain data. Imports: entity, run, error.

use std::fmt;
use std::str::FromStr;

use super::entity::{ExperimentId, Lifecycle, View};
use super::run::{RunId, Status};
use super::search::RunSearch;

/// A column of what was logged to runs. As a text: `params.NAME`, `metrics.NAME`, `tags.KEY`, with
/// the name as it is, without quotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnRef {
    /// The param called so.
    Param(String),
    /// The latest value of the metric called so.
    Metric(String),
    /// The tag with this key.
    Tag(String),
}

impl ColumnRef {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Param(name) | Self::Metric(name) | Self::Tag(name) => name,
        }
    }

    fn entity(&self) -> &'static str {
        match self {
            Self::Param(_) => "params",
            Self::Metric(_) => "metrics",
            Self::Tag(_) => "tags",
        }
    }

    /// Returns it as filters and orders name it: quoted if it must be.
    #[must_use]
    pub fn quoted(&self) -> String {
        let name = self.name();
        let is_plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let quote = if name.split('.').all(is_plain) {
            ""
        } else if name.contains('`') {
            "\""
        } else {
            "`"
        };
        format!("{}.{quote}{name}{quote}", self.entity())
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entity(), self.name())
    }
}

impl FromStr for ColumnRef {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once('.') {
            Some((_, "")) => Err(()),
            Some(("params", name)) => Ok(Self::Param(name.to_owned())),
            Some(("metrics", name)) => Ok(Self::Metric(name.to_owned())),
            Some(("tags", name)) => Ok(Self::Tag(name.to_owned())),
            _ => Err(()),
        }
    }
}

/// Are runs that are parts of other runs (trials of a sweep, folds) listed beside them?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// Like all others.
    #[default]
    Listed,
    /// Not where the whole is listed as well.
    Folded,
}

/// Where in the order a page lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageAt {
    /// Behind so many rows. The higher the number, the longer it takes.
    Offset(usize),
    /// Behind the row of this token.
    After(String),
    /// Before the row of this token.
    Before(String),
    /// At the end.
    End,
}

/// Which runs are meant.
#[derive(Clone, Debug)]
pub struct RunsWanted {
    /// The experiments they belong to; none means no runs.
    pub experiments: Vec<ExperimentId>,
    /// What they must be like, in MLflow's grammar; empty: anything.
    pub filter: String,
    /// Active or deleted ones.
    pub view: View,
    /// Parts of others, too?
    pub parts: Parts,
}

/// Asks for a page of runs, with some columns.
#[derive(Clone, Debug)]
pub struct RunsQuery {
    /// Which runs.
    pub runs: RunsWanted,
    /// The order, in MLflow's grammar; behind it comes the newest first, then the id.
    pub order_by: Vec<String>,
    /// What is read beside the run itself.
    pub columns: Vec<ColumnRef>,
    /// Where the page lies.
    pub at: PageAt,
    /// At most so many rows.
    pub limit: usize,
    /// Longer texts are cut to so many characters, and end with `…`.
    pub text_chars_max: usize,
}

impl RunsWanted {
    /// Returns the search that finds them in an order.
    pub(super) fn search(&self, order_by: &[String], max_results: usize) -> RunSearch {
        RunSearch {
            experiments: self.experiments.clone(),
            filter: self.filter.clone(),
            order_by: order_by.to_vec(),
            view: self.view,
            max_results,
            page_token: None,
        }
    }
}

/// A page of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRows {
    /// The rows.
    pub rows: Vec<RunRow>,
    /// Before which row the page before ends; `None`: there is none.
    pub previous: Option<String>,
    /// Behind which row the next page begins; `None`: there is none.
    pub next: Option<String>,
}

/// A page of runs, as their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunIds {
    /// The ids.
    pub ids: Vec<RunId>,
    /// Behind which of them the next page begins; `None`: there is none.
    pub next: Option<String>,
}

/// The first of some runs.
#[derive(Clone, Debug, PartialEq)]
pub struct SomeRuns {
    /// The rows.
    pub rows: Vec<RunRow>,
    /// So many ids are dealt with: those of the rows, and of runs that do not exist.
    pub taken: usize,
}

/// A run, with the columns that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Tells in which order runs were recorded.
    pub number: i64,
    /// Its id.
    pub id: RunId,
    /// Its name.
    pub name: String,
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// The run it is a part of.
    pub parent: Option<RunId>,
    /// How many parts it has, of those that are active or deleted as it is.
    pub children: u64,
    /// How far it is. A run whose process has died is `Killed`.
    pub status: Status,
    /// Who started it; empty if unknown.
    pub user: String,
    /// When it began.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Active or deleted.
    pub lifecycle: Lifecycle,
    /// The commit it ran at.
    pub git_commit: Option<String>,
    /// Had files changed since that commit?
    pub git_dirty: Option<bool>,
    /// The command or script.
    pub source: String,
    /// For each column asked for what the run has there.
    pub values: Vec<Option<RunValue>>,
}

/// What a run has in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum RunValue {
    /// A param or tag.
    Text(String),
    /// The latest value of a metric; NaN and infinities are values like others.
    Number {
        /// The value.
        value: f64,
        /// Its step.
        step: i64,
    },
}

/// A number of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// So many, or so many at least.
    pub runs: u64,
    /// Is that all?
    pub is_exact: bool,
}

/// Asks for groups of runs.
#[derive(Clone, Debug)]
pub struct GroupsQuery {
    /// Which runs.
    pub runs: RunsWanted,
    /// Runs that have the same in all of these are a group.
    pub by: Vec<ColumnRef>,
    /// Metrics that are summed up.
    pub metrics: Vec<String>,
    /// The largest groups come first; at most so many.
    pub groups_max: usize,
}

/// Runs in groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// The largest first, then by what they have in common.
    pub groups: Vec<Group>,
    /// How many groups there are in all; the groups that are too many are counted, too.
    pub total: usize,
}

/// Runs that have something in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// For each column by which runs were grouped what they have there; `None`: nothing.
    pub key: Vec<Option<String>>,
    /// How many runs.
    pub runs: u64,
    /// For each metric that was asked for; `None`: no run of the group has a number.
    pub metrics: Vec<Option<Spread>>,
}

/// The latest values of a metric of several runs. NaN and infinities are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// How many numbers.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (of a sample); `None`: of a single number.
    pub deviation: Option<f64>,
    /// The lowest.
    pub min: f64,
    /// The run that has it.
    pub min_run: RunId,
    /// The highest.
    pub max: f64,
    /// The run that has it.
    pub max_run: RunId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_one_way_in_addresses_and_another_in_filters() {
        for (text, quoted) in [
            ("params.lr", "params.lr"),
            ("params.train.lr", "params.train.lr"),
            ("metrics.val loss", "metrics.`val loss`"),
            ("metrics.val/loss", "metrics.`val/loss`"),
            ("tags.a`b", "tags.\"a`b\""),
            ("tags.mlflow.runName", "tags.mlflow.runName"),
        ] {
            let column: ColumnRef = text.parse().unwrap();
            assert_eq!(
                (column.to_string(), column.quoted()),
                (text.into(), quoted.into())
            );
        }
        for bad in ["", "lr", "params.", "attributes.status", "param.x"] {
            assert!(bad.parse::<ColumnRef>().is_err(), "{bad}");
        }
    }
}
