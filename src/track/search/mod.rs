//! What MLflow's clients search with: requests, filters and orders as they write them, and what those
//! mean. Pure. `lexer` cuts a text into tokens, `parser` finds comparisons and orders in them, `typed`
//! says what they mean; `attributes` knows what runs, experiments, registered models, model versions
//! and logged models have; `problem` tells people which place is wrong.
//! The grammar is the one that MLflow documents
//! (<https://mlflow.org/docs/latest/search-runs.html>); what it refuses is refused in its words.
//! Imports: entity, error.

mod attributes;
mod lexer;
mod parser;
mod problem;
#[cfg(test)]
mod tests;
mod typed;

use super::entity::{ExperimentId, View};

pub use problem::{Problem, problem_of_filter, problem_of_order};

pub(super) use attributes::{
    Attribute, ExperimentAttribute, LoggedModelAttribute, ModelAttribute, RunAttribute,
    VersionAttribute,
};
pub(super) use typed::{
    Clause, DatasetAttribute, Direction, Field, ModelOrdering, Number, Order, Relation, Test, Text,
    filter, model_orders, orders,
};

/// Asks for runs.
#[derive(Clone, Debug)]
pub struct RunSearch {
    /// The experiments they belong to; none means no runs.
    pub experiments: Vec<ExperimentId>,
    /// What they must be like; empty: anything.
    pub filter: String,
    /// The order; behind it comes the newest first, then the id.
    pub order_by: Vec<String>,
    /// Active or deleted ones.
    pub view: View,
    /// At most so many.
    pub max_results: usize,
    /// Where to go on.
    pub page_token: Option<String>,
}

/// Asks for experiments, registered models or model versions.
#[derive(Clone, Debug)]
pub struct Search {
    /// What they must be like; empty: anything.
    pub filter: String,
    /// The order.
    pub order_by: Vec<String>,
    /// Active or deleted ones; only experiments can be deleted and still be there.
    pub view: View,
    /// At most so many.
    pub max_results: usize,
    /// Where to go on.
    pub page_token: Option<String>,
}

/// Asks for logged models.
#[derive(Clone, Debug)]
pub struct LoggedModelSearch {
    /// The experiments they belong to; none means no models.
    pub experiments: Vec<ExperimentId>,
    /// What they must be like; empty: anything.
    pub filter: String,
    /// The order; behind it comes the newest first, then the id.
    pub order_by: Vec<ModelOrder>,
    /// Datasets, as a name and perhaps a digest. Metrics of the filter must be of one of them; if the
    /// filter names no metric, a model must have some metric of one of them. None: of any.
    pub datasets: Vec<(String, Option<String>)>,
    /// At most so many.
    pub max_results: usize,
    /// Where to go on.
    pub page_token: Option<String>,
}

/// By what logged models are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelOrder {
    /// An attribute, or `metrics.NAME`.
    pub field: String,
    /// Lowest first?
    pub ascending: bool,
    /// The dataset, by name and perhaps digest, of which a metric must be.
    pub dataset: Option<(String, Option<String>)>,
}

/// A dataset that runs of an experiment read, in one role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The dataset's name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// The role: the tag `mlflow.data.context`.
    pub context: Option<String>,
}
