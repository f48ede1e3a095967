//! Runs: which statements find them.
//!
//! The newest runs come in the order of the index `runs_newest`, the best by a metric in the order of
//! `metrics_by_value`, each within one experiment and one of active and deleted. So a search is made
//! once per such pair and the answers are merged; every statement stops at the limit. By a metric, a
//! search goes in phases: runs with a number, then those with NaN, then those without the metric; the
//! later ones only if the page has room, and not at all if a filter on the metric rules them out. Runs
//! that the filter names, or of which few pass a clause on a metric, are found first and sorted then. Other
//! orders look at all runs of the experiments and find params, tags and metrics by primary key.
//!
//! **Dead processes.** A run that says RUNNING is KILLED if its process has died, which no statement
//! can see. Where the status matters, the runs that have a process are looked at first.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rusqlite::types::Value;

use crate::track::entity::{ExperimentId, Page, RunRecord, View};
use crate::track::error::Error;
use crate::track::run::RunId;
use crate::track::search::{
    Clause, DatasetAttribute, DatasetSummary, Direction, Field, Number, Order, Relation,
    RunAttribute, RunSearch, Test, Text, filter, orders,
};
use crate::track::table::Parts;

use super::super::records::PARENT_TAG;
use super::super::{Reader, write};
use super::check_max_results;
use super::page::Paging;
use super::statement::{Found, Keyed, Statement, Term, compare, symbol};

/// MLflow's limit.
pub(super) const RESULTS_MAX: usize = 50_000;

/// The tag of an input that says in which role a dataset was read.
const CONTEXT_TAG: &str = "mlflow.data.context";

/// As many summaries of datasets as MLflow gives.
const DATASETS_MAX: usize = 1000;

/// More pairs of an experiment and active or deleted are searched by one statement.
const SCOPES_MAX: usize = 64;

/// As are those that would find more rows than this before they are merged.
const MERGED_MAX: usize = 200_000;

/// So many runs are sorted in no time. Tests are to come both ways.
const FEW: i64 = if cfg!(test) { 8 } else { 1000 };

const PARAMS: Keyed = Keyed {
    table: "params",
    key: "name",
    of: "x.run = r.number",
};

const TAGS: Keyed = Keyed {
    table: "tags",
    key: "key",
    of: "x.run = r.number",
};

/// Among which runs a statement looks.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// One experiment, active or deleted: what an index begins with.
    One(ExperimentId, &'static str),
    /// Several.
    Several(Vec<ExperimentId>, View),
}

/// From where a statement comes to its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the runs.
    Runs,
    /// From the numbers of the metric that comes first in the order.
    Numbers,
    /// From its NaNs.
    Nans,
    /// From the runs, without those that have it.
    Without,
    /// From the numbers that pass this clause, which says something about a metric: they are few.
    Few(usize),
}

impl Way {
    /// The place of what is found this way when ordered by the metric; `None`: this is not said.
    fn rank(self) -> Option<i64> {
        match self {
            Self::Runs | Self::Few(_) => None,
            Self::Numbers => Some(0),
            Self::Nans => Some(1),
            Self::Without => Some(2),
        }
    }
}

/// The first key of what is found, if it is the same in all of it, and what finds it.
type Phase = (Option<i64>, Vec<Statement>);

/// A search that is understood.
pub(super) struct Wanted {
    clauses: Vec<Clause<RunAttribute>>,
    orders: Vec<Order<RunAttribute>>,
    /// Runs whose process has died, if the status matters.
    dead: Vec<i64>,
    /// Are runs that are parts of others found?
    pub(super) parts: Parts,
}

fn stages(view: View) -> &'static [&'static str] {
    match view {
        View::Active => &["active"],
        View::Deleted => &["deleted"],
        View::All => &["active", "deleted"],
    }
}

impl Reader<'_> {
    /// Finds runs.
    ///
    /// # Errors
    /// The filter, an order, the number of results or the token cannot be.
    pub fn search_runs(&self, search: &RunSearch) -> Result<Page<RunRecord>, Error> {
        let (found, next) = self.find_runs(search)?;
        let numbers: Vec<i64> = found.iter().map(|one| one.number(0)).collect();
        Ok(Page {
            items: self.records_of(&numbers)?,
            next,
        })
    }

    pub(super) fn find_runs(
        &self,
        search: &RunSearch,
    ) -> Result<(Vec<Found>, Option<String>), Error> {
        check_max_results(search.max_results, RESULTS_MAX)?;
        let wanted = Wanted::of(self, search)?;
        let paging = Paging::of(
            &wanted.orders,
            search.max_results,
            search.page_token.as_deref(),
        )?;
        let scopes = scopes(&search.experiments, search.view, paging.limit());
        Ok(paging.cut(self.find_wanted(&wanted, &scopes, &paging)?))
    }

    /// Returns as many rows as the page needs, in the order in which it is looked for.
    pub(super) fn find_wanted(
        &self,
        wanted: &Wanted,
        scopes: &[Scope],
        paging: &Paging,
    ) -> Result<Vec<Found>, Error> {
        let (limit, beside) = (paging.limit(), paging.beside());
        let reached = match beside.and_then(|keys| keys.first()) {
            Some(Value::Integer(rank)) => Some(*rank),
            _ => None,
        };
        let mut phases = wanted.phases(self, scopes)?;
        if paging.is_backward() {
            phases.reverse();
        }
        let mut found: Vec<Found> = Vec::new();
        for (rank, statements) in phases {
            let way = match (rank, reached) {
                (Some(rank), Some(reached)) if paging.is_backward() => reached.cmp(&rank),
                (Some(rank), Some(reached)) => rank.cmp(&reached),
                _ => Ordering::Equal,
            };
            let beside = match way {
                Ordering::Less => continue,
                Ordering::Equal => beside,
                Ordering::Greater => None,
            };
            let missing = limit - found.len();
            let (n, mut directions) = (statements.len(), Vec::new());
            let mut of_phase: Vec<Found> = Vec::new();
            for mut statement in statements {
                if paging.is_backward() {
                    statement.reverse();
                }
                directions = statement.terms.iter().map(direction).collect();
                of_phase.extend(statement.find(self, beside, missing)?);
            }
            if 1 < n {
                of_phase.sort_by(|a, b| compare(&a.keys, &b.keys, &directions));
                of_phase.truncate(missing);
            }
            found.extend(of_phase);
            if limit <= found.len() {
                break;
            }
        }
        Ok(found)
    }

    /// Returns runs that say they go on and whose process has died.
    fn abandoned(&self) -> Result<Vec<i64>, Error> {
        let going_on: Vec<(i64, String)> = self.rows(
            "SELECT number, owner FROM runs WHERE status = 'RUNNING' AND owner IS NOT NULL",
            &[],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let dead = going_on
            .into_iter()
            .filter(|(_, owner)| write::is_abandoned(Some(owner)));
        Ok(dead.map(|(number, _)| number).collect())
    }

    /// Lists the datasets that runs of experiments read, once for each role.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn search_datasets(
        &self,
        experiments: &[ExperimentId],
    ) -> Result<Vec<DatasetSummary>, Error> {
        let ids: Vec<i64> = experiments.iter().map(|id| id.0).collect();
        self.rows(
            "SELECT DISTINCT d.experiment, d.name, d.digest, t.value
             FROM datasets d JOIN inputs i ON i.dataset = d.id
             LEFT JOIN input_tags t ON t.run = i.run AND t.dataset = i.dataset AND t.key = ?2
             WHERE d.experiment IN (SELECT value FROM json_each(?1)) ORDER BY 1, 2, 3, 4 LIMIT ?3",
            &[
                &serde_json::json!(ids).to_string(),
                &CONTEXT_TAG,
                &i64::try_from(DATASETS_MAX).unwrap_or(i64::MAX),
            ],
            |row| {
                Ok(DatasetSummary {
                    experiment: ExperimentId(row.get(0)?),
                    name: row.get(1)?,
                    digest: row.get(2)?,
                    context: row.get(3)?,
                })
            },
        )
    }
}

fn direction(term: &Term) -> Direction {
    match term {
        Term::Sorted(_, direction) => *direction,
        Term::Fixed(_) => Direction::Ascending,
    }
}

/// Adds what decides between runs that are equal in what was asked for.
fn complete(mut orders: Vec<Order<RunAttribute>>) -> Vec<Order<RunAttribute>> {
    for (attribute, direction) in [
        (RunAttribute::Started, Direction::Descending),
        (RunAttribute::Id, Direction::Ascending),
    ] {
        let field = Field::Attribute(attribute);
        if orders.iter().all(|order| order.field != field) {
            orders.push(Order { field, direction });
        }
    }
    orders
}

pub(super) fn scopes(experiments: &[ExperimentId], view: View, limit: usize) -> Vec<Scope> {
    let experiments: BTreeSet<ExperimentId> = experiments.iter().copied().collect();
    let n = experiments.len() * stages(view).len();
    if 1 < n && (SCOPES_MAX < n || MERGED_MAX < limit.saturating_mul(n)) {
        return vec![Scope::Several(experiments.into_iter().collect(), view)];
    }
    let of_one = |id: ExperimentId| stages(view).iter().map(move |stage| Scope::One(id, stage));
    experiments.into_iter().flat_map(of_one).collect()
}

/// The run's own place for its artifacts, or that of its experiment.
const ARTIFACT_URI: &str = "coalesce(r.artifact_uri,
    coalesce((SELECT artifact_location FROM experiments WHERE id = r.experiment),
             'mlflow-artifacts:/' || r.experiment) || '/' || r.id || '/artifacts')";

/// A run whose whole is not where it is itself is listed: it would be nowhere else.
const IS_NO_PART: &str = "(r.parent IS NULL OR (SELECT 1 FROM runs w
    WHERE w.id = r.parent AND w.experiment = r.experiment
      AND w.lifecycle_stage = r.lifecycle_stage) IS NULL)";

impl Wanted {
    pub(super) fn of(reader: &Reader<'_>, search: &RunSearch) -> Result<Self, Error> {
        let mut wanted = Self {
            clauses: filter(&search.filter)?,
            orders: complete(orders(&search.order_by)?),
            dead: Vec::new(),
            parts: Parts::Listed,
        };
        if wanted.needs_status() {
            wanted.dead = reader.abandoned()?;
        }
        Ok(wanted)
    }

    /// Returns the keys of the order, to the last.
    pub(super) fn order(&self) -> &impl std::fmt::Debug {
        &self.orders
    }

    /// Returns a statement that finds what is looked for in a scope, in no order.
    pub(super) fn unordered(&self, reader: &Reader<'_>, scope: &Scope) -> Result<Statement, Error> {
        let way = self.few(reader, scope)?.unwrap_or(Way::Runs);
        Ok(self.found(way, scope))
    }

    fn needs_status(&self) -> bool {
        let in_filter = self.clauses.iter().any(|clause| {
            matches!(
                clause,
                Clause::Text {
                    attribute: RunAttribute::Status,
                    ..
                }
            )
        });
        let status = Field::Attribute(RunAttribute::Status);
        in_filter || self.orders.iter().any(|order| order.field == status)
    }

    /// Does the filter name the runs, or the run they are parts of? Then they are few, and found by
    /// other indexes.
    fn names_runs(&self) -> bool {
        self.clauses.iter().any(|clause| match clause {
            Clause::Text {
                attribute: RunAttribute::Id,
                test: Text::Equal(_) | Text::In(_),
            }
            | Clause::Text {
                attribute: RunAttribute::Name,
                test: Text::Equal(_),
            } => true,
            Clause::Tag { key, test } => parent(key, test).is_some(),
            _ => false,
        })
    }

    /// The metric that comes first in the order.
    fn first_metric(&self) -> Option<&str> {
        match self.orders.first() {
            Some(Order {
                field: Field::Metric(name),
                ..
            }) => Some(name),
            _ => None,
        }
    }

    /// Returns the statements that find the runs, phase by phase: what a phase finds comes before
    /// what the next one does.
    pub(super) fn phases(
        &self,
        reader: &Reader<'_>,
        scopes: &[Scope],
    ) -> Result<Vec<Phase>, Error> {
        let mut few: Vec<Option<Way>> = Vec::new();
        for scope in scopes {
            few.push(self.few(reader, scope)?);
        }
        let all = |way: Way| -> Vec<Statement> {
            let each = scopes.iter();
            each.map(|scope| self.statement(way, scope)).collect()
        };
        if few.iter().all(Option::is_some) || self.by_rank(scopes).is_none() {
            let each = scopes.iter().zip(few);
            let statements =
                each.map(|(scope, few)| self.statement(few.unwrap_or(Way::Runs), scope));
            return Ok(vec![(None, statements.collect())]);
        }
        let ways = self.by_rank(scopes).unwrap_or_default();
        Ok(ways.into_iter().map(|way| (way.rank(), all(way))).collect())
    }

    /// Returns the way by a clause that few runs pass, if there is one.
    fn few(&self, reader: &Reader<'_>, scope: &Scope) -> Result<Option<Way>, Error> {
        let Scope::One(experiment, _) = scope else {
            return Ok(None);
        };
        if self.names_runs() {
            return Ok(None);
        }
        for (place, clause) in self.clauses.iter().enumerate() {
            let Clause::Metric {
                name,
                relation,
                value,
            } = clause
            else {
                continue;
            };
            // By the first metric of the order there is a better way; others are unequal to most.
            if *relation == Relation::NotEqual || self.first_metric() == Some(name.as_str()) {
                continue;
            }
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM metrics WHERE experiment = ?1 AND name = ?2
                 AND value {} ?3 LIMIT ?4)",
                symbol(*relation)
            );
            let count: Option<i64> =
                reader.row(&sql, &[&experiment.0, name, value, &(FEW + 1)], |row| {
                    row.get(0)
                })?;
            if count.unwrap_or(0) <= FEW {
                return Ok(Some(Way::Few(place)));
            }
        }
        Ok(None)
    }

    /// Returns the ways when a metric comes first in the order, best first.
    fn by_rank(&self, scopes: &[Scope]) -> Option<Vec<Way>> {
        let is_whole = scopes
            .iter()
            .any(|scope| matches!(scope, Scope::Several(..)));
        let metric = self.first_metric()?;
        if is_whole || self.names_runs() {
            return None;
        }
        let mut ways = vec![Way::Numbers];
        let of_metric = || {
            self.clauses.iter().filter_map(|clause| match clause {
                Clause::Metric { name, relation, .. } if name == metric => Some(*relation),
                _ => None,
            })
        };
        if of_metric().all(|relation| relation == Relation::NotEqual) {
            ways.push(Way::Nans);
        }
        if of_metric().next().is_none() {
            ways.push(Way::Without);
        }
        Some(ways)
    }

    fn statement(&self, way: Way, scope: &Scope) -> Statement {
        let mut statement = self.found(way, scope);
        for (place, order) in self.orders.iter().enumerate() {
            let first = match way {
                _ if 0 < place => None,
                Way::Runs | Way::Few(_) => None,
                Way::Numbers => Some(("0", Term::Sorted("m.value".to_owned(), order.direction))),
                Way::Nans => Some(("1", Term::Fixed("NULL"))),
                Way::Without => Some(("2", Term::Fixed("NULL"))),
            };
            match first {
                Some((rank, value)) => statement.terms.extend([Term::Fixed(rank), value]),
                None => self.sort(&mut statement, place, order),
            }
        }
        statement
    }

    /// Returns the statement without its order.
    fn found(&self, way: Way, scope: &Scope) -> Statement {
        let metric = self.first_metric().unwrap_or_default();
        let from = match way {
            Way::Runs | Way::Without => "runs r",
            // CROSS JOIN: in this order.
            Way::Numbers | Way::Nans | Way::Few(_) => {
                "metrics m CROSS JOIN runs r ON r.number = m.run"
            }
        };
        let mut statement = Statement::new(&["r.number"], from);
        self.look_among(&mut statement, way, scope);
        let of_name = |statement: &mut Statement, name: &str, value: &str| {
            let name = statement.bind(name.to_owned());
            let conditions = [format!("m.name = {name}"), value.to_owned()];
            statement.conditions.extend(conditions);
        };
        match way {
            Way::Runs => {}
            Way::Numbers => of_name(&mut statement, metric, "m.value IS NOT NULL"),
            Way::Nans => of_name(&mut statement, metric, "m.value IS NULL"),
            Way::Without => {
                let name = statement.bind(metric.to_owned());
                statement.conditions.push(format!(
                    "(SELECT 1 FROM metrics x WHERE x.run = r.number AND x.name = {name}) IS NULL"
                ));
            }
            Way::Few(place) => {
                if let Some(Clause::Metric { name, .. }) = self.clauses.get(place) {
                    of_name(&mut statement, name, "m.value IS NOT NULL");
                }
            }
        }
        for (place, clause) in self.clauses.iter().enumerate() {
            let condition = self.condition(&mut statement, way, place, clause);
            statement.conditions.push(condition);
        }
        if self.parts == Parts::Folded {
            statement.conditions.push(IS_NO_PART.to_owned());
        }
        statement
    }

    fn look_among(&self, statement: &mut Statement, way: Way, scope: &Scope) {
        match scope {
            Scope::One(experiment, stage) => {
                let (experiment, stage) = (
                    statement.bind(experiment.0),
                    statement.bind((*stage).to_owned()),
                );
                // The sign: not by the index of all runs of the experiment.
                let sign = if self.names_runs() { "+" } else { "" };
                let table = match way {
                    Way::Runs | Way::Without => "r",
                    Way::Numbers | Way::Nans | Way::Few(_) => "m",
                };
                statement.conditions.extend([
                    format!("{sign}{table}.experiment = {experiment}"),
                    format!("{sign}r.lifecycle_stage = {stage}"),
                ]);
            }
            Scope::Several(experiments, view) => {
                let ids: Vec<i64> = experiments.iter().map(|id| id.0).collect();
                let ids = statement.bind_list(&serde_json::json!(ids));
                let stages = statement.bind_list(&serde_json::json!(stages(*view)));
                let sign = if self.names_runs() { "+" } else { "" };
                statement.conditions.extend([
                    format!("{sign}r.experiment IN {ids}"),
                    format!("{sign}r.lifecycle_stage IN {stages}"),
                ]);
            }
        }
    }

    fn condition(
        &self,
        statement: &mut Statement,
        way: Way,
        place: usize,
        clause: &Clause<RunAttribute>,
    ) -> String {
        match clause {
            Clause::Metric {
                name,
                relation,
                value,
            } => {
                let is_first = self.first_metric() == Some(name.as_str());
                match way {
                    Way::Few(few) if few == place => {
                        statement.number("m.value", *relation, Number::Real(*value))
                    }
                    Way::Numbers if is_first => {
                        statement.number("m.value", *relation, Number::Real(*value))
                    }
                    // Only clauses that NaN passes lead here.
                    Way::Nans if is_first => "TRUE".to_owned(),
                    Way::Numbers | Way::Nans | Way::Runs | Way::Without | Way::Few(_) => {
                        let (name, value) = (statement.bind(name.clone()), statement.bind(*value));
                        let symbol = symbol(*relation);
                        // NaN is unequal to any number, and in no other relation to it.
                        let or_nan = match relation {
                            Relation::NotEqual => " OR x.value IS NULL",
                            _ => "",
                        };
                        format!(
                            "(SELECT x.value {symbol} {value}{or_nan} FROM metrics x
                              WHERE x.run = r.number AND x.name = {name})"
                        )
                    }
                }
            }
            Clause::Param { key, test } => statement.keyed(PARAMS, key, test),
            Clause::Tag { key, test } => {
                let of_tag = statement.keyed(TAGS, key, test);
                match parent(key, test) {
                    Some(parent) => {
                        let parent = statement.bind(parent.to_string());
                        format!("r.parent = {parent} AND {of_tag}")
                    }
                    None => of_tag,
                }
            }
            Clause::Text { attribute, test } => {
                let column = self.column(statement, *attribute);
                statement.text(&column, test)
            }
            Clause::Number {
                attribute,
                relation,
                value,
            } => {
                let column = self.column(statement, *attribute);
                statement.number(&column, *relation, *value)
            }
            Clause::Dataset { attribute, test } => {
                let rows = match attribute {
                    DatasetAttribute::Name => {
                        let test = statement.text("d.name", test);
                        format!("inputs i JOIN datasets d ON d.id = i.dataset WHERE {test}")
                    }
                    DatasetAttribute::Digest => {
                        let test = statement.text("d.digest", test);
                        format!("inputs i JOIN datasets d ON d.id = i.dataset WHERE {test}")
                    }
                    DatasetAttribute::Context => {
                        let key = statement.bind(CONTEXT_TAG.to_owned());
                        let test = statement.text("i.value", test);
                        format!("input_tags i WHERE i.key = {key} AND {test}")
                    }
                };
                format!("(SELECT 1 FROM {rows} AND i.run = r.number LIMIT 1)")
            }
        }
    }

    fn column(&self, statement: &mut Statement, attribute: RunAttribute) -> String {
        let column = match attribute {
            RunAttribute::Id => "r.id",
            RunAttribute::Name => "r.name",
            RunAttribute::User => "r.user",
            RunAttribute::Status if self.dead.is_empty() => "r.status",
            RunAttribute::Status => {
                let dead = statement.bind_list(&serde_json::json!(self.dead));
                return format!(
                    "(CASE WHEN r.status = 'RUNNING' AND r.number IN {dead} THEN 'KILLED'
                      ELSE r.status END)"
                );
            }
            RunAttribute::ArtifactUri => ARTIFACT_URI,
            RunAttribute::Started => "r.started_ms",
            RunAttribute::Ended => "r.ended_ms",
        };
        column.to_owned()
    }

    /// Adds an order; what is missing comes last either way.
    fn sort(&self, statement: &mut Statement, place: usize, order: &Order<RunAttribute>) {
        // Joined, so that a value is looked up once however often the statement names it.
        let join = |statement: &mut Statement, keyed: Keyed, key: &str| {
            let (table, column) = (keyed.table, keyed.key);
            let key = statement.bind(key.to_owned());
            statement.from += &format!(
                " LEFT JOIN {table} o{place} ON o{place}.run = r.number AND o{place}.{column} = {key}"
            );
        };
        let value = match &order.field {
            Field::Metric(name) => {
                let keyed = Keyed {
                    table: "metrics",
                    ..PARAMS
                };
                join(statement, keyed, name);
                statement.sort(
                    format!(
                        "(CASE WHEN o{place}.value IS NOT NULL THEN 0
                          WHEN o{place}.run IS NOT NULL THEN 1 ELSE 2 END)"
                    ),
                    Direction::Ascending,
                );
                format!("o{place}.value")
            }
            Field::Param(key) | Field::Tag(key) => {
                let keyed = match order.field {
                    Field::Param(_) => PARAMS,
                    _ => TAGS,
                };
                join(statement, keyed, key);
                statement.sort(format!("(o{place}.run IS NULL)"), Direction::Ascending);
                format!("o{place}.value")
            }
            Field::Attribute(attribute) => {
                let column = self.column(statement, *attribute);
                if *attribute == RunAttribute::Ended {
                    statement.sort(format!("({column} IS NULL)"), Direction::Ascending);
                }
                column
            }
        };
        statement.sort(value, order.direction);
    }
}

/// Returns the run whose parts are asked for. The column `parent` repeats the tag, with an index.
fn parent(key: &str, test: &Test) -> Option<RunId> {
    match test {
        Test::Is(Text::Equal(id)) if key == PARENT_TAG => id.parse().ok(),
        _ => None,
    }
}
