//! Logged models: which statement finds them. Imports: entity, search, error, rusqlite.

use crate::track::entity::{LoggedModel, Page};
use crate::track::error::Error;
use crate::track::search::{
    Clause, Direction, Field, LoggedModelAttribute, LoggedModelSearch, ModelOrdering, Order,
    Relation, Text, filter, model_orders,
};

use super::super::Reader;
use super::check_max_results;
use super::page::Paging;
use super::runs::RESULTS_MAX;
use super::statement::{Found, Keyed, Statement, symbol};

/// A dataset by name, and perhaps digest.
type Dataset = (String, Option<String>);

/// More datasets than a person compares.
const DATASETS_MAX: usize = 100;

const PARAMS: Keyed = Keyed {
    table: "logged_model_params",
    key: "key",
    of: "x.model = l.id",
};

const TAGS: Keyed = Keyed {
    table: "logged_model_tags",
    ..PARAMS
};

impl Reader<'_> {
    /// Finds logged models that are not deleted.
    ///
    /// # Errors
    /// The filter, an order, the number of results or the token cannot be.
    pub fn search_logged_models(
        &self,
        search: &LoggedModelSearch,
    ) -> Result<Page<LoggedModel>, Error> {
        let (found, next) = self.find_logged_models(search)?;
        let ids: Vec<String> = found.iter().map(|one| one.text(0)).collect();
        Ok(Page {
            items: self.logged_models_of(&ids)?,
            next,
        })
    }

    pub(super) fn find_logged_models(
        &self,
        search: &LoggedModelSearch,
    ) -> Result<(Vec<Found>, Option<String>), Error> {
        check_max_results(search.max_results, RESULTS_MAX)?;
        if DATASETS_MAX < search.datasets.len() {
            return Err(Error::invalid(format!(
                "Invalid datasets: at most {DATASETS_MAX} are supported, got {}",
                search.datasets.len()
            )));
        }
        if search.datasets.iter().any(|(name, _)| name.is_empty()) {
            return Err(Error::invalid(
                "`dataset_name` in the `datasets` clause must be specified.",
            ));
        }
        let clauses = filter::<LoggedModelAttribute>(&search.filter)?;
        let orders = complete(model_orders(&search.order_by)?);
        let paging = Paging::of(&orders, search.max_results, search.page_token.as_deref())?;
        let mut statement = Statement::new(&["l.id"], "logged_models l");
        let ids: Vec<i64> = search.experiments.iter().map(|id| id.0).collect();
        let ids = statement.bind_list(&serde_json::json!(ids));
        statement.conditions.extend([
            format!("l.experiment IN {ids}"),
            "l.lifecycle_stage = 'active'".to_owned(),
        ]);
        let has_metric = clauses
            .iter()
            .any(|clause| matches!(clause, Clause::Metric { .. }));
        // Bound once for all clauses: SQLite binds 32,766 values and no more.
        let of = any_of(&mut statement, &search.datasets);
        if !search.datasets.is_empty() && !has_metric {
            statement.conditions.push(format!(
                "(SELECT 1 FROM logged_model_metrics x WHERE x.model = l.id{of} LIMIT 1)"
            ));
        }
        for clause in clauses {
            let condition = condition(&mut statement, clause, &of);
            statement.conditions.push(condition);
        }
        for (place, order) in orders.iter().enumerate() {
            add_order(&mut statement, place, order);
        }
        let found = statement.find(self, paging.beside(), paging.limit())?;
        Ok(paging.cut(found))
    }
}

/// Adds what decides between models that are equal in what was asked for.
fn complete(mut orders: Vec<ModelOrdering>) -> Vec<ModelOrdering> {
    for (attribute, direction) in [
        (LoggedModelAttribute::Created, Direction::Descending),
        (LoggedModelAttribute::Id, Direction::Ascending),
    ] {
        let field = Field::Attribute(attribute);
        if orders.iter().all(|one| one.order.field != field) {
            orders.push(ModelOrdering {
                order: Order { field, direction },
                dataset: None,
            });
        }
    }
    orders
}

fn column(attribute: LoggedModelAttribute) -> &'static str {
    match attribute {
        LoggedModelAttribute::Id => "l.id",
        LoggedModelAttribute::Name => "l.name",
        LoggedModelAttribute::Kind => "l.model_type",
        LoggedModelAttribute::Status => "l.status",
        LoggedModelAttribute::SourceRun => "l.source_run",
        LoggedModelAttribute::Created => "l.created_ms",
        LoggedModelAttribute::Updated => "l.updated_ms",
    }
}

/// Can the attribute be missing?
fn can_be_missing(attribute: LoggedModelAttribute) -> bool {
    matches!(
        attribute,
        LoggedModelAttribute::Kind | LoggedModelAttribute::SourceRun
    )
}

/// Returns the condition, behind others, that metric `x` is of a dataset.
fn of_dataset(statement: &mut Statement, (name, digest): &Dataset) -> String {
    let name = statement.bind(name.clone());
    let mut condition = format!("x.dataset_name = {name}");
    if let Some(digest) = digest {
        let digest = statement.bind(digest.clone());
        condition += &format!(" AND x.dataset_digest = {digest}");
    }
    condition
}

/// Returns the condition, with `AND` before it, that metric `x` is of one of the datasets.
fn any_of(statement: &mut Statement, datasets: &[Dataset]) -> String {
    let each: Vec<String> = datasets
        .iter()
        .map(|dataset| of_dataset(statement, dataset))
        .collect();
    if each.is_empty() {
        String::new()
    } else {
        format!(" AND ({})", each.join(" OR "))
    }
}

/// Returns the condition that a model passes `clause`; `of` is the one, behind others, that metric `x`
/// is of a dataset that was asked for.
fn condition(statement: &mut Statement, clause: Clause<LoggedModelAttribute>, of: &str) -> String {
    match clause {
        Clause::Metric {
            name,
            relation,
            value,
        } => {
            let (name, value) = (statement.bind(name), statement.bind(value));
            let symbol = symbol(relation);
            let or_nan = match relation {
                Relation::NotEqual => " OR x.value IS NULL",
                _ => "",
            };
            // A model may have it of several runs and datasets: one that fits is enough.
            format!(
                "(SELECT 1 FROM logged_model_metrics x WHERE x.model = l.id AND x.name = {name}
                  AND (x.value {symbol} {value}{or_nan}){of} LIMIT 1)"
            )
        }
        Clause::Param { key, test } => statement.keyed(PARAMS, &key, &test),
        Clause::Tag { key, test } => statement.keyed(TAGS, &key, &test),
        Clause::Text { attribute, test } => {
            let test = match attribute {
                LoggedModelAttribute::Status => of_status(test),
                _ => test,
            };
            statement.text(column(attribute), &test)
        }
        Clause::Number {
            attribute,
            relation,
            value,
        } => statement.number(column(attribute), relation, value),
        // The grammar has none of these.
        Clause::Dataset { .. } => "FALSE".to_owned(),
    }
}

/// MLflow's client says READY where its protocol says `LOGGED_MODEL_READY`; both are understood.
fn of_status(test: Text) -> Text {
    let full = |word: String| {
        if matches!(word.as_str(), "PENDING" | "READY" | "UPLOAD_FAILED") {
            format!("LOGGED_MODEL_{word}")
        } else {
            word
        }
    };
    match test {
        Text::Equal(word) => Text::Equal(full(word)),
        Text::NotEqual(word) => Text::NotEqual(full(word)),
        Text::In(words) => Text::In(words.into_iter().map(full).collect()),
        Text::NotIn(words) => Text::NotIn(words.into_iter().map(full).collect()),
        Text::Like(pattern) => Text::Like(pattern),
        Text::ILike(pattern) => Text::ILike(pattern),
    }
}

fn add_order(statement: &mut Statement, place: usize, wanted: &ModelOrdering) {
    let direction = wanted.order.direction;
    match &wanted.order.field {
        Field::Metric(name) => {
            // Of several values the latest.
            let name = statement.bind(name.clone());
            let of = match &wanted.dataset {
                Some(dataset) => format!(" AND {}", of_dataset(statement, dataset)),
                None => String::new(),
            };
            let o = format!("o{place}");
            statement.from += &format!(
                " LEFT JOIN logged_model_metrics {o} ON {o}.model = l.id AND {o}.name = {name}
                  AND ({o}.dataset_name, {o}.dataset_digest, {o}.run) =
                      (SELECT x.dataset_name, x.dataset_digest, x.run FROM logged_model_metrics x
                       WHERE x.model = l.id AND x.name = {name}{of}
                       ORDER BY x.at_ms DESC, x.step DESC, x.run, x.dataset_name, x.dataset_digest
                       LIMIT 1)"
            );
            statement.sort(
                format!(
                    "(CASE WHEN {o}.value IS NOT NULL THEN 0 WHEN {o}.model IS NOT NULL THEN 1
                      ELSE 2 END)"
                ),
                Direction::Ascending,
            );
            statement.sort(format!("{o}.value"), direction);
        }
        Field::Attribute(attribute) => {
            let column = column(*attribute);
            if can_be_missing(*attribute) {
                statement.sort(format!("({column} IS NULL)"), Direction::Ascending);
            }
            statement.sort(column, direction);
        }
        // Not read as orders of logged models.
        Field::Param(_) | Field::Tag(_) => {}
    }
}
