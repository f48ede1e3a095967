//! The runs that are compared, with all that is known of them. Imports: mlflow, track, `ui::asked`.

use std::collections::{BTreeMap, BTreeSet};

use super::RUNS_MAX;
use crate::mlflow::Refused;
use crate::track::db::Histories;
use crate::track::entity::{ExperimentId, View};
use crate::track::exchange::{ImportedRun, ParamKind};
use crate::track::table::{PageAt, Parts, RunsQuery, RunsWanted};
use crate::track::{Reader, RunId};
use crate::ui::asked::Asked;
use crate::ui::pages::series::{named_apart, run_ids};

/// What is compared.
pub(super) struct Sides {
    pub(super) runs: Vec<ImportedRun>,
    /// What each run is called here, no two the same.
    pub(super) names: Vec<String>,
    /// What to say of runs that are left out; may be empty.
    pub(super) note: String,
}

impl Sides {
    /// Reads the runs that the query means.
    ///
    /// # Errors
    /// One does not exist, or the filter cannot be.
    pub(super) fn read(asked: &Asked) -> Result<Self, Refused> {
        let mut ids = run_ids(&asked.query)?;
        let wanted = match asked.query.filled("experiment") {
            Some(text) if ids.is_empty() => Some(wanted(asked, text)?),
            _ => None,
        };
        let mut is_more = false;
        let runs = asked.shared.read(|reader| {
            if let Some(wanted) = &wanted {
                let page = reader.run_rows(&newest(wanted))?;
                is_more = page.next.is_some();
                ids = page.rows.iter().map(|row| row.id).collect();
            }
            is_more |= RUNS_MAX < ids.len();
            ids.truncate(RUNS_MAX);
            read_all(reader, &ids)
        })?;
        let named = runs.iter().map(|run| (run.id, run.name.clone())).collect();
        Ok(Self {
            names: named_apart(named)
                .into_iter()
                .map(|named| named.1)
                .collect(),
            note: if is_more {
                format!("More runs were asked for; these are the first {RUNS_MAX}.")
            } else {
                String::new()
            },
            runs,
        })
    }

    /// Returns ids and names.
    pub(super) fn named(&self) -> Vec<(RunId, String)> {
        let ids = self.runs.iter().map(|run| run.id);
        ids.zip(self.names.iter().cloned()).collect()
    }

    /// Returns the names of all params, and for each run the text as a person reads it.
    pub(super) fn params(&self) -> BTreeMap<&str, Vec<Option<String>>> {
        let mut all: BTreeMap<&str, Vec<Option<String>>> = BTreeMap::new();
        for (index, run) in self.runs.iter().enumerate() {
            for param in &run.params {
                let row = all
                    .entry(&param.name)
                    .or_insert_with(|| vec![None; self.runs.len()]);
                row[index] = Some(match param.kind {
                    ParamKind::Text => param.value.clone(),
                    ParamKind::Json => text_of_json(&param.value),
                });
            }
        }
        all
    }

    /// Returns the names of all metrics in the order of the runs, and for each run the latest value.
    pub(super) fn metrics(&self) -> Vec<(&str, Vec<Option<f64>>)> {
        let mut all: Vec<(&str, Vec<Option<f64>>)> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, run) in self.runs.iter().enumerate() {
            for metric in &run.metrics {
                let place = *places.entry(&metric.name).or_insert(all.len());
                if place == all.len() {
                    all.push((&metric.name, vec![None; self.runs.len()]));
                }
                all[place].1[index] = Some(metric.last.value);
            }
        }
        all
    }

    /// Returns the keys of tags that are neither MLflow's own nor params a second time.
    pub(super) fn tag_keys(&self) -> BTreeSet<&str> {
        let tags = self.runs.iter().flat_map(|run| run.tags.iter());
        tags.map(|tag| tag.key.as_str())
            .filter(|key| !key.starts_with("mlflow.") && !key.starts_with("cvops.sweep."))
            .collect()
    }

    /// Returns a tag of a run.
    pub(super) fn tag<'s>(run: &'s ImportedRun, key: &str) -> Option<&'s str> {
        let found = run.tags.iter().find(|tag| tag.key == key)?;
        Some(&found.value)
    }
}

fn read_all(reader: &Reader<'_>, ids: &[RunId]) -> Result<Vec<ImportedRun>, crate::track::Error> {
    ids.iter()
        .map(|id| reader.whole_run(*id, Histories::Latest))
        .collect()
}

fn wanted(asked: &Asked, experiment: &str) -> Result<RunsWanted, Refused> {
    let id: i64 = experiment.trim().parse().map_err(|_| {
        Refused::invalid(format!(
            "`experiment={experiment}`: the number of an experiment was expected"
        ))
    })?;
    let id = ExperimentId(id);
    asked.shared.read(|reader| reader.experiment(id))?;
    Ok(RunsWanted {
        experiments: vec![id],
        filter: asked.query.get("filter").unwrap_or_default().to_owned(),
        view: View::Active,
        parts: Parts::Listed,
    })
}

fn newest(wanted: &RunsWanted) -> RunsQuery {
    RunsQuery {
        runs: wanted.clone(),
        order_by: Vec::new(),
        columns: Vec::new(),
        at: PageAt::Offset(0),
        limit: RUNS_MAX,
        text_chars_max: 100,
    }
}

/// A text in JSON loses its quotes, all else stays as it is written.
fn text_of_json(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}
