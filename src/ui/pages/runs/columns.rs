//! Columns of the table of runs: how a URL names them, what stands in them, how they are sorted by,
//! and which are shown unless others are chosen. Imports: track, `ui::parts`.

use std::fmt;
use std::str::FromStr;

use crate::track::run::Status;
use crate::track::table::{ColumnRef, RunRow, RunValue};
use crate::track::{Catalogue, ColumnInfo};
use crate::ui::asked::{Asked, segment};
use crate::ui::parts::chip::Chip;
use crate::ui::parts::number::whole;
use crate::ui::parts::table::{Cell, Column, Sorted};
use crate::ui::parts::time::Ago;

/// Columns of params and metrics that are shown unless others are chosen.
const USUAL_PARAMS: usize = 4;
const USUAL_METRICS: usize = 5;

/// Digits of a commit that are shown.
const COMMIT_DIGITS: usize = 8;

/// A column that can be shown; the name of a run always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    State,
    Started,
    Ended,
    Duration,
    User,
    Commit,
    Source,
    Parts,
    Id,
    Logged(ColumnRef),
}

impl Shown {
    /// What every run has.
    pub(super) const OF_RUN: [Self; 9] = [
        Self::State,
        Self::Started,
        Self::Duration,
        Self::User,
        Self::Commit,
        Self::Source,
        Self::Parts,
        Self::Ended,
        Self::Id,
    ];

    pub(super) fn title(&self) -> &str {
        match self {
            Self::State => "State",
            Self::Started => "Started",
            Self::Ended => "Ended",
            Self::Duration => "Took",
            Self::User => "User",
            Self::Commit => "Commit",
            Self::Source => "Source",
            Self::Parts => "Parts",
            Self::Id => "Run id",
            Self::Logged(column) => column.name(),
        }
    }

    /// How an order names it; `None`: runs cannot be ordered by it.
    pub(super) fn order(&self) -> Option<String> {
        Some(match self {
            Self::State => "status".to_owned(),
            Self::Started => "start_time".to_owned(),
            Self::Ended => "end_time".to_owned(),
            Self::User => "user_id".to_owned(),
            Self::Id => "run_id".to_owned(),
            Self::Logged(column) => column.quoted(),
            Self::Duration | Self::Commit | Self::Source | Self::Parts => return None,
        })
    }

    /// Is the highest wanted first?
    fn is_best_high(&self) -> bool {
        matches!(
            self,
            Self::Started | Self::Ended | Self::Logged(ColumnRef::Metric(_))
        )
    }

    /// Heads the column, with a link that sorts by it.
    pub(super) fn column(&self, asked: &Asked, order: &[String], catalogue: &Catalogue) -> Column {
        let is_number = match self {
            Self::Duration | Self::Parts => true,
            Self::Logged(column) => info(catalogue, column).is_some_and(|info| info.is_number),
            _ => false,
        };
        let key = self.to_string();
        let column = if is_number {
            Column::number(&key, self.title())
        } else {
            Column::text(&key, self.title())
        };
        match self.order() {
            Some(name) => sorted(column, asked, order, &name, self.is_best_high()),
            None => column,
        }
    }

    /// Returns what a run has there; `logged` are its values of the columns of this kind, in order.
    pub(super) fn cell<'v>(
        &self,
        row: &RunRow,
        logged: &mut impl Iterator<Item = &'v Option<RunValue>>,
        now_ms: i64,
    ) -> Cell {
        let text = |text: &str| match text {
            "" => Cell::Empty,
            text => Cell::Text(text.to_owned()),
        };
        let ago = |at_ms: i64| Cell::Time(Ago { at_ms, now_ms });
        match self {
            Self::State => Cell::State(Chip::of_run(row.status)),
            Self::Started => ago(row.started_ms),
            Self::Ended => row.ended_ms.map_or(Cell::Empty, ago),
            Self::Duration => match (row.ended_ms, row.status) {
                (Some(ended), _) => Cell::Duration(ended.saturating_sub(row.started_ms)),
                (None, Status::Running) => Cell::Duration(now_ms.saturating_sub(row.started_ms)),
                // Nobody saw it end.
                (None, _) => Cell::Empty,
            },
            Self::User => text(&row.user),
            Self::Commit => row.git_commit.as_deref().map_or(Cell::Empty, |commit| {
                let short: String = commit.chars().take(COMMIT_DIGITS).collect();
                let dirty = if row.git_dirty == Some(true) { "+" } else { "" };
                Cell::Code(format!("{short}{dirty}"))
            }),
            Self::Source => match row.source.as_str() {
                "" => Cell::Empty,
                source => Cell::Code(source.to_owned()),
            },
            Self::Parts => match row.children {
                0 => Cell::Empty,
                n => Cell::Link {
                    text: whole(n),
                    href: format!(
                        "/runs?experiment={}&filter=tags.mlflow.parentRunId+%3D+%27{}%27",
                        row.experiment, row.id
                    ),
                },
            },
            Self::Id => Cell::Code(row.id.to_string()),
            Self::Logged(_) => match logged.next() {
                Some(Some(RunValue::Number { value, .. })) => Cell::Number(*value),
                Some(Some(RunValue::Text(text))) => Cell::Text(text.clone()),
                Some(None) | None => Cell::Empty,
            },
        }
    }
}

/// Returns the link of a run.
pub(super) fn href(row: &RunRow) -> String {
    format!("/runs/{}", segment(&row.id.to_string()))
}

/// Lets a click on a heading sort by it: first as people want it, then the other way, then as before.
pub(super) fn sorted(
    column: Column,
    asked: &Asked,
    order: &[String],
    name: &str,
    is_best_high: bool,
) -> Column {
    let [up, down] = ["ASC", "DESC"].map(|way| format!("{name} {way}"));
    let first = order.first().map(|one| one.trim());
    let now = match first {
        Some(one) if one.eq_ignore_ascii_case(&down) => Sorted::Descending,
        Some(one) if one.eq_ignore_ascii_case(&up) || one == name => Sorted::Ascending,
        _ => Sorted::Not,
    };
    let next = match (now, is_best_high) {
        (Sorted::Not, true) | (Sorted::Ascending, false) => Some(down.as_str()),
        (Sorted::Not, false) | (Sorted::Descending, true) => Some(up.as_str()),
        (Sorted::Ascending, true) | (Sorted::Descending, false) => None,
    };
    column.sort(first_page(asked, &[("order", next)]), now)
}

/// Returns the URL of this page with other pairs, from the first row on.
pub(super) fn first_page(asked: &Asked, changes: &[(&str, Option<&str>)]) -> String {
    let mut all = vec![
        ("after", None),
        ("before", None),
        ("offset", None),
        ("limit", None),
    ];
    all.extend_from_slice(changes);
    asked.href_with(&all)
}

/// Returns what is known of a column.
pub(super) fn info<'c>(catalogue: &'c Catalogue, column: &ColumnRef) -> Option<&'c ColumnInfo> {
    catalogue.columns.iter().find(|info| info.column == *column)
}

/// Returns the columns that tell runs apart.
pub(super) fn usual(catalogue: &Catalogue) -> Vec<Shown> {
    let mut columns = vec![Shown::State, Shown::Started, Shown::Duration];
    let mut add = |is_kind: fn(&ColumnRef) -> bool, max: usize| {
        let mut of_kind: Vec<&ColumnInfo> = catalogue
            .columns
            .iter()
            .filter(|info| is_kind(&info.column))
            .collect();
        // Where all runs agree there is nothing to compare; with one run there never is.
        of_kind.sort_by_key(|info| (!info.differs, std::cmp::Reverse(info.runs)));
        let chosen = of_kind.into_iter().take(max);
        columns.extend(chosen.map(|info| Shown::Logged(info.column.clone())));
    };
    add(
        |column| matches!(column, ColumnRef::Metric(_)),
        USUAL_METRICS,
    );
    add(|column| matches!(column, ColumnRef::Param(_)), USUAL_PARAMS);
    columns.extend([Shown::User, Shown::Commit]);
    columns
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "status",
            Self::Started => "start_time",
            Self::Ended => "end_time",
            Self::Duration => "duration",
            Self::User => "user_id",
            Self::Commit => "commit",
            Self::Source => "source",
            Self::Parts => "parts",
            Self::Id => "run_id",
            Self::Logged(column) => return column.fmt(f),
        })
    }
}

impl FromStr for Shown {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let of_run = Self::OF_RUN.into_iter().find(|one| one.to_string() == text);
        match of_run {
            Some(one) => Ok(one),
            None => text.parse().map(Self::Logged),
        }
    }
}
