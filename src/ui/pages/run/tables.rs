//! The tables of a run: params, metrics, stages, parts, data. Imports: report, track, `ui::*`.

use super::charts::{Budget, is_of_system};
use super::seen::Seen;
use crate::base::units;
use crate::report::chart::sparkline;
use crate::track::db::{Part, SeriesQuery};
use crate::track::entity::DatasetInput;
use crate::track::series::Axis;
use crate::track::{Error, Reader};
use crate::ui::asked::{Asked, segment};
use crate::ui::parts::chip::Chip;
use crate::ui::parts::number::number;
use crate::ui::parts::table::{Cell, Column, DataTable, Markup};
use crate::ui::parts::time::Ago;

/// So many points of a curve as small as a word.
const SPARK_POINTS: usize = 40;

/// What a dataset was used for.
const CONTEXT: &str = "mlflow.data.context";

/// A longer source or schema is cut in a table.
const CELL_CHARS_MAX: usize = 200;

pub(super) fn params(asked: &Asked, seen: &Seen) -> DataTable {
    let mut table = DataTable::new(
        asked,
        "params",
        &units::count(seen.record.params.len(), "param"),
    );
    table.columns = vec![
        Column::text("param", "Param"),
        Column::text("value", "Value"),
    ];
    let rows = seen.record.params.iter();
    table.rows = rows
        .map(|param| {
            vec![
                Cell::Text(param.key.clone()),
                Cell::Code(param.value.clone()),
            ]
        })
        .collect();
    "No params were recorded.".clone_into(&mut table.empty);
    table
}

/// Which of a run's metrics a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// What stages and clients measured.
    Own,
    /// How busy the machine was.
    System,
}

/// Returns the latest values, each with its curve as far as the budget lets.
pub(super) fn metrics(
    asked: &Asked,
    reader: &Reader<'_>,
    seen: &Seen,
    which: Which,
    budget: &mut Budget,
) -> Result<DataTable, Error> {
    let (id, caption) = match which {
        Which::Own => ("metrics", "Latest values"),
        Which::System => ("system", "Latest values of system metrics"),
    };
    let mut table = DataTable::new(asked, id, caption);
    table.columns = vec![
        Column::text("metric", "Metric"),
        Column::number("value", "Value"),
        Column::number("step", "Step"),
        Column::text("curve", "Curve"),
        Column::text("time", "Time"),
    ];
    "No metrics were recorded.".clone_into(&mut table.empty);
    let href = seen.href();
    for metric in &seen.record.metrics {
        if is_of_system(&metric.name) != (which == Which::System) {
            continue;
        }
        table.rows.push(vec![
            Cell::Link {
                text: metric.name.clone(),
                href: format!("{href}/metrics?metric={}", segment(&metric.name)),
            },
            Cell::Number(metric.value),
            Cell::Shown {
                value: metric.step as f64,
                text: metric.step.to_string(),
            },
            spark(reader, seen, &metric.name, budget)?,
            Cell::Time(Ago {
                at_ms: metric.at_ms,
                now_ms: asked.now_ms,
            }),
        ]);
    }
    Ok(table)
}

fn spark(
    reader: &Reader<'_>,
    seen: &Seen,
    metric: &str,
    budget: &mut Budget,
) -> Result<Cell, Error> {
    if budget.is_spent() {
        return Ok(Cell::Empty);
    }
    let query = SeriesQuery {
        run: seen.id(),
        metric,
        axis: Axis::Step,
        range: None,
        points: SPARK_POINTS,
    };
    let Some(series) = reader.series(&query, &mut budget.left)? else {
        return Ok(Cell::Empty);
    };
    budget.spend(series.total);
    let points: Vec<(f64, f64)> = series
        .buckets
        .iter()
        .map(|bucket| (bucket.x as f64, bucket.last))
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Ok(Cell::Empty);
    };
    if points.len() < 2 {
        return Ok(Cell::Empty);
    }
    let text = format!(
        "{} values, from {} to {}",
        series.total,
        number(first.1),
        number(last.1)
    );
    let svg = sparkline(&format!("{metric}: {text}"), &points);
    Ok(Cell::Markup {
        html: Markup::svg(&svg),
        text,
    })
}

pub(super) fn stages(asked: &Asked, seen: &Seen) -> DataTable {
    let mut table = DataTable::new(
        asked,
        "stages",
        &units::count(seen.detail.stages.len(), "stage"),
    );
    table.columns = vec![
        Column::text("stage", "Stage"),
        Column::text("outcome", "Outcome"),
        Column::number("took", "Took"),
        Column::text("why", "Why"),
    ];
    let rows = seen.detail.stages.iter();
    table.rows = rows
        .map(|stage| {
            let ms = i64::try_from(stage.took.as_millis()).unwrap_or(i64::MAX);
            vec![
                Cell::Link {
                    text: stage.name.clone(),
                    href: format!("/pipeline/{}", segment(&stage.name)),
                },
                Cell::State(Chip::of_stage(stage.outcome)),
                if ms == 0 {
                    Cell::Empty
                } else {
                    Cell::Duration(ms)
                },
                match &stage.message {
                    Some(message) => Cell::Text(message.clone()),
                    None => Cell::Empty,
                },
            ]
        })
        .collect();
    table
}

pub(super) fn parts(asked: &Asked, parts: &[Part], count: u64) -> DataTable {
    let caption = if (parts.len() as u64) < count {
        format!("The newest {} of {count} parts", parts.len())
    } else {
        "Parts".to_owned()
    };
    let mut table = DataTable::new(asked, "parts", &caption);
    table.columns = vec![
        Column::text("run", "Run"),
        Column::text("state", "State"),
        Column::text("started", "Started"),
        Column::number("took", "Took"),
    ];
    let rows = parts.iter();
    table.rows = rows
        .map(|part| {
            vec![
                Cell::Link {
                    text: part.name.clone(),
                    href: format!("/runs/{}", part.id),
                },
                Cell::State(Chip::of_run(part.status)),
                Cell::Time(Ago {
                    at_ms: part.started_ms,
                    now_ms: asked.now_ms,
                }),
                match part.ended_ms {
                    Some(ended) => Cell::Duration(ended.saturating_sub(part.started_ms)),
                    None => Cell::Empty,
                },
            ]
        })
        .collect();
    table
}

pub(super) fn data(asked: &Asked, datasets: &[DatasetInput]) -> DataTable {
    let mut table = DataTable::new(asked, "data", "Data that was read");
    table.columns = vec![
        Column::text("name", "Name"),
        Column::text("digest", "Digest"),
        Column::text("context", "For"),
        Column::text("kind", "Kind"),
        Column::text("source", "Source"),
        Column::text("profile", "Profile"),
        Column::text("schema", "Schema"),
    ];
    let or_empty = |text: Option<&String>| match text.filter(|text| !text.is_empty()) {
        Some(text) => Cell::Code(cut(text)),
        None => Cell::Empty,
    };
    let rows = datasets.iter();
    table.rows = rows
        .map(|DatasetInput { dataset, tags }| {
            let context = tags.iter().find(|tag| tag.key == CONTEXT);
            vec![
                Cell::Text(dataset.name.clone()),
                Cell::Code(dataset.digest.clone()),
                match context {
                    Some(tag) => Cell::Text(tag.value.clone()),
                    None => Cell::Empty,
                },
                Cell::Text(dataset.source_type.clone()),
                Cell::Code(cut(&dataset.source)),
                or_empty(dataset.profile.as_ref()),
                or_empty(dataset.schema.as_ref()),
            ]
        })
        .collect();
    table
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(CELL_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
