//! What a URL of the runs page asks for. Everything that the page shows is in its URL.
//! Imports: mlflow, track, `ui::asked`.

use crate::mlflow::Refused;
use crate::track::entity::{Experiment, ExperimentId, Lifecycle, View};
use crate::track::search::{Problem, problem_of_filter, problem_of_order};
use crate::track::table::{ColumnRef, PageAt, Parts, RunsQuery, RunsWanted};
use crate::track::{Catalogue, Reader};
use crate::ui::asked::Asked;
use crate::ui::pages::series::unique;

use super::columns::{Shown, usual};

/// Rows that a page comes with, and that `table.js` fetches at once.
pub(super) const PAGE_ROWS: usize = 100;

/// More rows are not sent in one answer.
const PAGE_ROWS_MAX: usize = 1000;

/// Longer texts are cut in a table; a run's own page has them whole.
const TEXT_CHARS_MAX: usize = 120;

/// Columns and groupings that one page takes.
const COLUMNS_MAX: usize = 200;
const GROUPS_BY_MAX: usize = 4;

/// What is asked for.
pub(super) struct RunsAsk {
    pub(super) experiment: Experiment,
    pub(super) filter: String,
    pub(super) order: Vec<String>,
    pub(super) columns: Vec<Shown>,
    /// Does the URL name the columns?
    pub(super) is_chosen: bool,
    pub(super) group: Vec<ColumnRef>,
    pub(super) view: View,
    pub(super) parts: Parts,
    pub(super) at: PageAt,
    pub(super) limit: usize,
}

/// What is wrong with a filter or an order.
pub(super) struct Wrong {
    /// As it was written: before the place, there, behind it.
    pub(super) before: String,
    pub(super) there: String,
    pub(super) behind: String,
    /// Points at the place, in a line below.
    pub(super) caret: String,
    pub(super) message: String,
    pub(super) expected: String,
}

impl Wrong {
    fn of(text: &str, problem: Problem) -> Self {
        let Problem {
            at,
            message,
            expected,
        } = problem;
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
        let (before, there) = (part(0, at.start), part(at.start, at.end));
        let caret = format!(
            "{}{}",
            " ".repeat(before.chars().count()),
            "^".repeat(there.chars().count().max(1))
        );
        Self {
            behind: part(at.end, text.len()),
            before,
            there,
            caret,
            message,
            expected,
        }
    }
}

impl RunsAsk {
    /// Reads a URL; `None`: there is no experiment at all.
    pub(super) fn of(reader: &Reader<'_>, asked: &Asked) -> Result<Option<Self>, Refused> {
        let Some(experiment) = experiment(reader, asked)? else {
            return Ok(None);
        };
        let query = &asked.query;
        let view = match query.filled("view") {
            None | Some("active") => View::Active,
            Some("deleted") => View::Deleted,
            Some("all") => View::All,
            Some(other) => {
                return Err(Refused::invalid(format!(
                    "there is no view `{other}`: `active`, `deleted` and `all` are known"
                )));
            }
        };
        let columns: Vec<Shown> = unique(query.all("column"))
            .iter()
            .filter_map(|text| text.parse().ok())
            .take(COLUMNS_MAX)
            .collect();
        let at = match (query.filled("after"), query.filled("before")) {
            (Some(token), _) => PageAt::After(token.to_owned()),
            (None, Some("end")) => PageAt::End,
            (None, Some(token)) => PageAt::Before(token.to_owned()),
            (None, None) => PageAt::Offset(query.number("offset", 0)?),
        };
        let limit: usize = query.number("limit", PAGE_ROWS)?;
        Ok(Some(Self {
            filter: query.filled("filter").unwrap_or_default().to_owned(),
            order: query
                .all("order")
                .filter(|one| !one.trim().is_empty())
                .map(str::to_owned)
                .collect(),
            is_chosen: query.get("column").is_some(),
            columns,
            group: query
                .all("group")
                .filter_map(|text| text.parse().ok())
                .take(GROUPS_BY_MAX)
                .collect(),
            view,
            parts: match query.filled("parts") {
                Some("folded") => Parts::Folded,
                _ => Parts::Listed,
            },
            at,
            limit: limit.clamp(1, PAGE_ROWS_MAX),
            experiment,
        }))
    }

    /// Chooses columns, if the URL names none.
    pub(super) fn choose(&mut self, catalogue: &Catalogue) {
        if !self.is_chosen {
            self.columns = usual(catalogue);
        }
    }

    /// Returns what is wrong with the filter and with the order.
    pub(super) fn wrong(&self) -> (Option<Wrong>, Option<Wrong>) {
        let filter = problem_of_filter(&self.filter).map(|one| Wrong::of(&self.filter, one));
        let order = self
            .order
            .iter()
            .find_map(|order| problem_of_order(order).map(|problem| Wrong::of(order, problem)));
        (filter, order)
    }

    /// Returns which runs are meant.
    pub(super) fn runs(&self) -> RunsWanted {
        RunsWanted {
            experiments: vec![self.experiment.id],
            filter: self.filter.clone(),
            view: self.view,
            parts: self.parts,
        }
    }

    /// Returns the columns of what was logged to runs.
    pub(super) fn logged(&self) -> Vec<ColumnRef> {
        let logged = self.columns.iter().filter_map(|column| match column {
            Shown::Logged(column) => Some(column.clone()),
            _ => None,
        });
        logged.collect()
    }

    /// Asks for the page.
    pub(super) fn query(&self) -> RunsQuery {
        RunsQuery {
            runs: self.runs(),
            order_by: self.order.clone(),
            columns: self.logged(),
            at: self.at.clone(),
            limit: self.limit,
            text_chars_max: TEXT_CHARS_MAX,
        }
    }

    /// As `query`, for rows that are read again.
    pub(super) fn text_chars_max() -> usize {
        TEXT_CHARS_MAX
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.view == View::Deleted
    }

    pub(super) fn is_experiment_active(&self) -> bool {
        self.experiment.lifecycle == Lifecycle::Active
    }
}

/// Finds the experiment that is asked for, by its id or name; that of the newest run if none is.
fn experiment(reader: &Reader<'_>, asked: &Asked) -> Result<Option<Experiment>, Refused> {
    let Some(text) = asked.query.filled("experiment") else {
        return match reader.newest_experiment()? {
            Some(id) => Ok(Some(reader.experiment(id)?)),
            None => Ok(None),
        };
    };
    let by_id = text.parse().ok().map(ExperimentId);
    if let Some(id) = by_id
        && let Ok(found) = reader.experiment(id)
    {
        return Ok(Some(found));
    }
    reader
        .experiment_by_name(text)
        .map(Some)
        .map_err(|_| Refused::missing(format!("there is no experiment `{text}`")))
}
