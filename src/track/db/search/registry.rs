//! Experiments, registered models and model versions: which statement finds them. They are few
//! beside runs; a search looks at all of them. Imports: entity, search, error, rusqlite.
//!
//! **Prompts.** MLflow keeps prompts in the registry, told apart by the tag
//! `mlflow.prompt.is_prompt`. A search means models unless it asks for prompts, and since models do
//! not have the tag, `!= 'true'` (which its client adds to each search) and `= 'false'` hold without it.

use crate::track::entity::{Experiment, ExperimentId, ModelVersion, Page, RegisteredModel, View};
use crate::track::error::Error;
use crate::track::search::{
    Attribute, Clause, Direction, ExperimentAttribute, Field, ModelAttribute, Order, Search, Test,
    Text, VersionAttribute, filter, orders,
};

use super::super::Reader;
use super::page::Paging;
use super::runs::RESULTS_MAX;
use super::statement::{Found, Keyed, Statement};

/// MLflow's limits.
const MODELS_MAX: usize = 1000;
const VERSIONS_MAX: usize = 200_000;

/// The tag that tells prompts from models.
const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

/// What is searched.
struct Things<A: 'static> {
    ids: &'static [&'static str],
    table: &'static str,
    tags: Keyed,
    column: fn(A) -> &'static str,
    /// Orders when none is asked for.
    usual: &'static [(A, Direction)],
    /// Orders behind those that are asked for.
    last: &'static [(A, Direction)],
}

const EXPERIMENTS: Things<ExperimentAttribute> = Things {
    ids: &["e.id"],
    table: "experiments e",
    tags: Keyed {
        table: "experiment_tags",
        key: "key",
        of: "x.experiment = e.id",
    },
    column: |attribute| match attribute {
        ExperimentAttribute::Id => "e.id",
        ExperimentAttribute::Name => "e.name",
        ExperimentAttribute::Created => "e.created_ms",
        ExperimentAttribute::Updated => "e.updated_ms",
    },
    usual: &[
        (ExperimentAttribute::Created, Direction::Descending),
        (ExperimentAttribute::Id, Direction::Ascending),
    ],
    last: &[(ExperimentAttribute::Id, Direction::Descending)],
};

const MODELS: Things<ModelAttribute> = Things {
    ids: &["g.name"],
    table: "registered_models g",
    tags: Keyed {
        table: "registered_model_tags",
        key: "key",
        of: "x.model = g.name",
    },
    column: |attribute| match attribute {
        ModelAttribute::Name => "g.name",
        ModelAttribute::Created => "g.created_ms",
        ModelAttribute::Updated => "g.updated_ms",
    },
    usual: &[],
    last: &[(ModelAttribute::Name, Direction::Ascending)],
};

const VERSIONS: Things<VersionAttribute> = Things {
    ids: &["v.model", "v.version"],
    table: "model_versions v",
    tags: Keyed {
        table: "model_version_tags",
        key: "key",
        of: "x.model = v.model AND x.version = v.version",
    },
    column: |attribute| match attribute {
        VersionAttribute::Name => "v.model",
        VersionAttribute::Number => "v.version",
        VersionAttribute::Run => "coalesce(v.run, '')",
        VersionAttribute::Source => "v.source",
        VersionAttribute::Created => "v.created_ms",
        VersionAttribute::Updated => "v.updated_ms",
    },
    usual: &[(VersionAttribute::Updated, Direction::Descending)],
    last: &[
        (VersionAttribute::Name, Direction::Ascending),
        (VersionAttribute::Number, Direction::Descending),
    ],
};

impl Reader<'_> {
    /// Finds experiments.
    ///
    /// # Errors
    /// The filter, an order, the number of results or the token cannot be.
    pub fn search_experiments(&self, search: &Search) -> Result<Page<Experiment>, Error> {
        super::check_max_results(search.max_results, RESULTS_MAX)?;
        let (found, next) = self.find_experiments(search)?;
        let ids: Vec<ExperimentId> = found
            .iter()
            .map(|one| ExperimentId(one.number(0)))
            .collect();
        Ok(Page {
            items: self.experiments_of(&ids)?,
            next,
        })
    }

    pub(super) fn find_experiments(
        &self,
        search: &Search,
    ) -> Result<(Vec<Found>, Option<String>), Error> {
        let clauses = filter::<ExperimentAttribute>(&search.filter)?;
        let mut statement = EXPERIMENTS.statement();
        let stage = match search.view {
            View::Active => "e.lifecycle_stage = 'active'",
            View::Deleted => "e.lifecycle_stage = 'deleted'",
            View::All => "TRUE",
        };
        statement.conditions.push(stage.to_owned());
        for clause in &clauses {
            let condition = match clause {
                Clause::Text {
                    attribute: ExperimentAttribute::Id,
                    test,
                } => of_id(&mut statement, test)?,
                other => EXPERIMENTS.condition(&mut statement, other),
            };
            statement.conditions.push(condition);
        }
        self.find_things(&EXPERIMENTS, statement, search)
    }

    /// Finds registered models.
    ///
    /// # Errors
    /// The filter, an order, the number of results or the token cannot be.
    pub fn search_registered_models(
        &self,
        search: &Search,
    ) -> Result<Page<RegisteredModel>, Error> {
        check_max_results(search.max_results, MODELS_MAX)?;
        let (found, next) = self.find_registered_models(search)?;
        let names: Vec<String> = found.iter().map(|one| one.text(0)).collect();
        Ok(Page {
            items: self.registered_models_of(&names)?,
            next,
        })
    }

    pub(super) fn find_registered_models(
        &self,
        search: &Search,
    ) -> Result<(Vec<Found>, Option<String>), Error> {
        let clauses = filter::<ModelAttribute>(&search.filter)?;
        let mut statement = MODELS.statement();
        MODELS.add(
            &mut statement,
            clauses,
            "registered_model_tags p WHERE p.model = g.name",
        );
        self.find_things(&MODELS, statement, search)
    }

    /// Finds model versions.
    ///
    /// # Errors
    /// The filter, an order, the number of results or the token cannot be.
    pub fn search_model_versions(&self, search: &Search) -> Result<Page<ModelVersion>, Error> {
        check_max_results(search.max_results, VERSIONS_MAX)?;
        let (found, next) = self.find_model_versions(search)?;
        let ids: Vec<(String, i64)> = found
            .iter()
            .map(|one| (one.text(0), one.number(1)))
            .collect();
        Ok(Page {
            items: self.model_versions_of(&ids)?,
            next,
        })
    }

    pub(super) fn find_model_versions(
        &self,
        search: &Search,
    ) -> Result<(Vec<Found>, Option<String>), Error> {
        let clauses = filter::<VersionAttribute>(&search.filter)?;
        let mut statement = VERSIONS.statement();
        // A prompt is one with all its versions.
        VERSIONS.add(
            &mut statement,
            clauses,
            "model_version_tags p WHERE p.model = v.model",
        );
        self.find_things(&VERSIONS, statement, search)
    }

    fn find_things<A: Attribute>(
        &self,
        things: &Things<A>,
        mut statement: Statement,
        search: &Search,
    ) -> Result<(Vec<Found>, Option<String>), Error> {
        let mut wanted: Vec<Order<A>> = orders(&search.order_by)?;
        let usual = if wanted.is_empty() { things.usual } else { &[] };
        for (attribute, direction) in usual.iter().chain(things.last) {
            let field = Field::Attribute(*attribute);
            if wanted.iter().all(|order| order.field != field) {
                wanted.push(Order {
                    field,
                    direction: *direction,
                });
            }
        }
        for order in &wanted {
            // Nothing else is read as an order of these.
            if let Field::Attribute(attribute) = order.field {
                statement.sort((things.column)(attribute), order.direction);
            }
        }
        let paging = Paging::of(&wanted, search.max_results, search.page_token.as_deref())?;
        let found = statement.find(self, paging.beside(), paging.limit())?;
        Ok(paging.cut(found))
    }
}

/// The registry's words differ from those of the runs.
fn check_max_results(max: usize, limit: usize) -> Result<(), Error> {
    let message = if max == 0 {
        format!("Invalid value for max_results. It must be a positive integer, but got {max}")
    } else if limit < max {
        format!(
            "Invalid value for request parameter max_results. It must be at most {limit}, but got \
             value {max}"
        )
    } else {
        return Ok(());
    };
    Err(Error::invalid(message))
}

/// An experiment's id is a number, which filters write as a text.
fn of_id(statement: &mut Statement, test: &Text) -> Result<String, Error> {
    let id = |text: &String| {
        text.trim().parse::<i64>().map_err(|_| {
            let text: String = text.chars().take(100).collect();
            Error::invalid(format!(
                "Invalid experiment ID '{text}'. Experiment ID must be a valid integer."
            ))
        })
    };
    let ids = |texts: &[String]| texts.iter().map(id).collect::<Result<Vec<i64>, Error>>();
    let refused = |operator: &str| {
        Err(Error::invalid(format!(
            "Invalid comparator for experiment_id: {operator}"
        )))
    };
    match test {
        Text::Equal(text) => Ok(format!("e.id = {}", statement.bind(id(text)?))),
        Text::NotEqual(text) => Ok(format!("e.id <> {}", statement.bind(id(text)?))),
        Text::In(texts) => {
            let list = statement.bind_list(&serde_json::json!(ids(texts)?));
            Ok(format!("e.id IN {list}"))
        }
        Text::NotIn(texts) => {
            let list = statement.bind_list(&serde_json::json!(ids(texts)?));
            Ok(format!("e.id NOT IN {list}"))
        }
        Text::Like(_) => refused("LIKE"),
        Text::ILike(_) => refused("ILIKE"),
    }
}

impl<A: Attribute> Things<A> {
    fn statement(&self) -> Statement {
        Statement::new(self.ids, self.table)
    }

    /// Adds clauses; `prompt` finds the tags that could say that it is a prompt.
    fn add(&self, statement: &mut Statement, clauses: Vec<Clause<A>>, prompt: &str) {
        let asks_for_prompts = clauses.iter().find_map(prompts).unwrap_or(false);
        if !asks_for_prompts {
            statement.conditions.push(format!(
                "NOT EXISTS (SELECT 1 FROM {prompt} AND p.key = '{PROMPT_TAG}' AND p.value = 'true')"
            ));
        }
        for clause in clauses {
            if asks_for_prompts || prompts(&clause).is_none() {
                let condition = self.condition(statement, &clause);
                statement.conditions.push(condition);
            }
        }
    }

    fn condition(&self, statement: &mut Statement, clause: &Clause<A>) -> String {
        match clause {
            Clause::Tag { key, test } => statement.keyed(self.tags, key, test),
            Clause::Text { attribute, test } => statement.text((self.column)(*attribute), test),
            Clause::Number {
                attribute,
                relation,
                value,
            } => statement.number((self.column)(*attribute), *relation, *value),
            // Their grammar has none of these.
            Clause::Metric { .. } | Clause::Param { .. } | Clause::Dataset { .. } => {
                "FALSE".to_owned()
            }
        }
    }
}

/// Does the clause ask for prompts? `None`: it says nothing of them.
fn prompts<A>(clause: &Clause<A>) -> Option<bool> {
    let Clause::Tag { key, test } = clause else {
        return None;
    };
    (key == PROMPT_TAG).then(|| match test {
        Test::Is(Text::Equal(value)) => value.eq_ignore_ascii_case("true"),
        Test::Is(Text::NotEqual(value)) => value.eq_ignore_ascii_case("false"),
        _ => false,
    })
}
