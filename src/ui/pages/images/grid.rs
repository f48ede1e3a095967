//! Pictures in rows and columns: keys by runs, or keys by steps. Pure. Imports: `images::shots`,
//! `run::file_href`.

use serde::Serialize;

use super::shots::{self, NO_STEP, OfRun};
use crate::ui::pages::run::file_href;

/// Rows of a page.
pub(super) const ROWS: usize = 24;

/// Columns of a page whose columns are steps.
const STEPS_SHOWN: usize = 12;

/// A picture in its place.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shown {
    pub(super) run: String,
    pub(super) run_name: String,
    pub(super) key: String,
    /// `None`: its name says none.
    pub(super) step: Option<i64>,
    /// Is it of the step that was asked for?
    pub(super) is_exact: bool,
    pub(super) src: String,
    pub(super) full: String,
    /// The page of the file.
    #[serde(skip)]
    pub(super) href: String,
    #[serde(skip)]
    pub(super) alt: String,
}

/// A key, in one run where the columns are steps.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) key: String,
    /// Empty where the columns are runs.
    pub(super) run: String,
    pub(super) run_name: String,
    pub(super) cells: Vec<Option<Shown>>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Heading {
    pub(super) text: String,
    pub(super) href: String,
}

/// What a page shows, as its script reads it.
#[derive(Debug, Serialize)]
pub(super) struct Grid {
    pub(super) step: Option<i64>,
    pub(super) columns: Vec<Heading>,
    pub(super) rows: Vec<Row>,
    /// All rows, of which those from `from` on are shown.
    pub(super) total: usize,
    pub(super) from: usize,
}

/// What a grid is made of.
pub(super) struct GridAsk<'a> {
    pub(super) runs: &'a [OfRun],
    pub(super) keys: &'a [&'a str],
    pub(super) steps: &'a [i64],
    pub(super) step: Option<i64>,
    pub(super) from: usize,
}

impl GridAsk<'_> {
    /// Returns the first row that is shown of `total`: behind the end, that of the last page.
    fn begin(&self, total: usize) -> usize {
        let last_page = total.saturating_sub(1) / ROWS * ROWS;
        if self.from < total {
            self.from
        } else {
            last_page
        }
    }

    pub(super) fn by_runs(&self) -> Grid {
        let step = self.step.unwrap_or(i64::MAX);
        let from = self.begin(self.keys.len());
        let rows = self.keys.iter().skip(from).take(ROWS).map(|key| Row {
            key: (*key).to_owned(),
            run: String::new(),
            run_name: String::new(),
            cells: self
                .runs
                .iter()
                .map(|run| {
                    let (found, shot) = shots::nearest(run.strips.get(*key)?, step)?;
                    Some(shown(
                        run,
                        key,
                        found,
                        shot,
                        Some(step) == self.step && found == step,
                    ))
                })
                .collect(),
        });
        Grid {
            step: self.step,
            rows: rows.collect(),
            columns: self
                .runs
                .iter()
                .map(|run| Heading {
                    text: run.name.clone(),
                    href: format!("/runs/{}", run.run),
                })
                .collect(),
            total: self.keys.len(),
            from,
        }
    }

    pub(super) fn by_steps(&self) -> Grid {
        let step = self.step.unwrap_or(i64::MAX);
        // The steps that end with the one that is asked for.
        let end = self.steps.partition_point(|known| *known <= step).max(1);
        let end = end.max(STEPS_SHOWN.min(self.steps.len()));
        let shown_steps: Vec<i64> = self
            .steps
            .get(end.saturating_sub(STEPS_SHOWN)..end.min(self.steps.len()))
            .unwrap_or_default()
            .to_vec();
        let strips: Vec<(&OfRun, &str)> = self
            .keys
            .iter()
            .flat_map(|key| {
                let runs = self.runs.iter();
                runs.filter(|run| run.strips.contains_key(*key))
                    .map(|run| (run, *key))
            })
            .collect();
        let from = self.begin(strips.len());
        let rows = strips.iter().skip(from).take(ROWS).map(|(run, key)| {
            let strip = run.strips.get(*key);
            let cell = |step: &i64| {
                let shot = strip?.get(step)?;
                Some(shown(run, key, *step, shot, true))
            };
            Row {
                key: (*key).to_owned(),
                run: run.run.to_string(),
                run_name: run.name.clone(),
                cells: if shown_steps.is_empty() {
                    vec![strip.and_then(|strip| {
                        let (found, shot) = shots::nearest(strip, step)?;
                        Some(shown(run, key, found, shot, true))
                    })]
                } else {
                    shown_steps.iter().map(cell).collect()
                },
            }
        });
        Grid {
            step: self.step,
            rows: rows.collect(),
            columns: if shown_steps.is_empty() {
                vec![Heading {
                    text: "no step".to_owned(),
                    href: String::new(),
                }]
            } else {
                shown_steps
                    .iter()
                    .map(|step| Heading {
                        text: format!("step {step}"),
                        href: String::new(),
                    })
                    .collect()
            },
            total: strips.len(),
            from,
        }
    }
}

fn shown(run: &OfRun, key: &str, step: i64, shot: &shots::Shot, is_exact: bool) -> Shown {
    let id = run.run.to_string();
    let step = (step != NO_STEP).then_some(step);
    let full = file_href(&id, &shot.full);
    Shown {
        src: match &shot.small {
            Some(small) => file_href(&id, small),
            None => full.clone(),
        },
        href: full.replacen("/file/", "/artifacts/", 1),
        alt: match step {
            Some(step) => format!("{key} of {} at step {step}", run.name),
            None => format!("{key} of {}", run.name),
        },
        run: id,
        run_name: run.name.clone(),
        key: key.to_owned(),
        is_exact: is_exact || step.is_none(),
        step,
        full,
    }
}
