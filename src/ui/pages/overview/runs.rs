//! The newest runs with the metric that counts, and the best of all. Imports: pipeline, track, `ui::*`.

use crate::pipeline::spec::Direction;
use crate::track::{self, Filter, Key, Order, Reader, Run, Status, overview};
use crate::ui::looks::Look;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::number::number;
use crate::ui::parts::table::{Cell, Column, DataTable};
use crate::ui::parts::time::Ago;

/// So many runs are shown.
const SHOWN: usize = 5;
/// Which metric counts is found out from so many.
const LOOKED_AT: usize = 20;

/// The runs.
#[derive(Debug)]
pub(super) struct Runs {
    newest: Vec<Run>,
    /// The metric that counts, how it is called, and where it improves.
    metric: Option<(Key, String, Direction)>,
    pub(super) best: Option<Best>,
}

/// The best run by the metric that counts.
#[derive(Debug)]
pub(super) struct Best {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) metric: String,
    pub(super) value: String,
    pub(super) when: Ago,
}

impl Runs {
    /// Reads them; `look` knows in which direction metrics improve.
    pub(super) fn of(
        reader: &Reader<'_>,
        look: Option<&Look>,
        now_ms: i64,
    ) -> Result<Self, track::Error> {
        let newest = reader.list(&Filter {
            limit: Some(LOOKED_AT),
            ..Filter::default()
        })?;
        // The runs of the pipeline count, whatever else is logged to this record.
        let declared_metrics = |run: &&Run| run.metrics.iter().any(|m| !m.key.file.is_empty());
        let of_pipeline: Vec<Run> = newest.iter().filter(declared_metrics).cloned().collect();
        let key = [&of_pipeline, &newest]
            .into_iter()
            .find_map(|runs| overview::main_metrics(runs, 1).into_iter().next());
        let metric = key.map(|key| {
            let direction = look
                .and_then(|look| declared(look, &key))
                .unwrap_or_else(|| Direction::of_name(&key.key));
            let title = overview::headings(std::slice::from_ref(&key)).concat();
            (key, title, direction)
        });
        let best = match &metric {
            Some((key, title, direction)) => best(reader, key, title, *direction, now_ms)?,
            None => None,
        };
        Ok(Self {
            newest,
            metric,
            best,
        })
    }

    /// Fills the table of the newest.
    pub(super) fn table(&self, mut table: DataTable, now_ms: i64) -> DataTable {
        table.columns = vec![
            Column::text("run", "Run"),
            Column::text("status", "State"),
            Column::text("started_ms", "Started"),
            Column::number("took_ms", "Took"),
        ];
        if let Some((key, title, _)) = &self.metric {
            table.columns.push(Column::number(&key.key, title));
            table.columns.push(Column::text("change", "Change"));
        }
        "No run is recorded yet: `cvops repro` records one.".clone_into(&mut table.empty);
        let rows = self.newest.iter().take(SHOWN).enumerate();
        table.rows = rows
            .map(|(at, run)| {
                let mut row = vec![
                    Cell::Link {
                        text: run.name.clone(),
                        href: format!("/runs/{}", run.id),
                    },
                    Cell::State(status(run.status)),
                    Cell::Time(Ago {
                        at_ms: run.started.as_millisecond(),
                        now_ms,
                    }),
                    run.took().map_or(Cell::Empty, |took| {
                        Cell::Duration(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
                    }),
                ];
                if let Some((key, _, direction)) = &self.metric {
                    let value = run.metric(key);
                    row.push(value.map_or(Cell::Empty, Cell::Number));
                    // Runs without it (a sweep's own, a failed one) are passed over.
                    let before = self.newest[at + 1..].iter().find_map(|run| run.metric(key));
                    row.push(match value.zip(before) {
                        Some((value, before)) => change(value - before, *direction),
                        None => Cell::Empty,
                    });
                }
                row
            })
            .collect();
        table
    }
}

fn best(
    reader: &Reader<'_>,
    key: &Key,
    title: &str,
    direction: Direction,
    now_ms: i64,
) -> Result<Option<Best>, track::Error> {
    let full = if key.file.is_empty() {
        key.key.clone()
    } else {
        format!("{}:{}", key.file, key.key)
    };
    let order = match direction {
        Direction::Max => Order::Highest(full),
        Direction::Min => Order::Lowest(full),
    };
    let first = reader.list(&Filter {
        order,
        limit: Some(SHOWN),
        ..Filter::default()
    })?;
    let finished = first.iter().find(|run| run.status == Status::Finished);
    Ok(finished.and_then(|run| {
        let value = run.metric(key)?;
        Some(Best {
            name: run.name.clone(),
            href: format!("/runs/{}", run.id),
            metric: title.to_owned(),
            value: number(value),
            when: Ago {
                at_ms: run.started.as_millisecond(),
                now_ms,
            },
        })
    }))
}

/// Returns the direction that the pipeline file declares for the file of a metric.
fn declared(look: &Look, key: &Key) -> Option<Direction> {
    let mut outs = look.graph.stages().iter().flat_map(|stage| &stage.outs);
    let (_, out) = outs.find(|(path, _)| path.as_str() == key.file)?;
    out.direction
}

fn change(difference: f64, direction: Direction) -> Cell {
    let is_better = match direction {
        Direction::Max => 0.0 < difference,
        Direction::Min => difference < 0.0,
    };
    let tone = match (difference == 0.0 || difference.is_nan(), is_better) {
        (true, _) => Tone::Plain,
        (false, true) => Tone::Good,
        (false, false) => Tone::Warn,
    };
    let sign = if 0.0 < difference { "+" } else { "" };
    let word = match tone {
        Tone::Good => " better",
        Tone::Warn => " worse",
        Tone::Plain | Tone::Bad | Tone::Busy => "",
    };
    Cell::State(Chip::new(
        tone,
        format!("{sign}{}{word}", number(difference)),
    ))
}

/// Returns the state of a run.
pub(super) fn status(status: Status) -> Chip {
    let (tone, word) = match status {
        Status::Scheduled => (Tone::Plain, "scheduled"),
        Status::Running => (Tone::Busy, "running"),
        Status::Finished => (Tone::Good, "finished"),
        Status::Failed => (Tone::Bad, "failed"),
        Status::Killed => (Tone::Warn, "killed"),
    };
    Chip::new(tone, word)
}
