//! `cvops runs diff`.

use serde_json::json;

use crate::base::ArtifactPath;
use crate::base::doc::Value;
use crate::cli::compare::{ChangeColumn, Look, PathColumn, diff_json, diff_table};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::compare::{Row, Values, Verdict, diff};
use crate::project::Project;
use crate::track::overview::is_system;
use crate::track::{Key, Run};

/// Digits behind the point, as `cvops metrics diff` shows them.
const DIGITS: usize = 5;

/// Below this every whole number is exact in an `f64` (2 to the power of 53).
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Show what differs between two runs: parameters and metrics
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs diff brave-otter-412\n  cvops runs diff 3f2a 91bc --md"
)]
pub(super) struct Args {
    /// The run to compare with
    a: String,
    /// The run that is compared (default: the last one)
    #[arg(default_value = "last")]
    b: String,
    /// Exit with 3 when something differs
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    let tracking = super::open(project)?;
    let (a, b) = (tracking.find(&args.a)?, tracking.find(&args.b)?);
    let no_direction = |_: &ArtifactPath, _: &str| None;
    let directions = super::directions(project);
    let direction = |path: &ArtifactPath, key: &str| Some(directions.of(path.as_str(), key));
    let params = diff::rows(&params_of(&a), &params_of(&b), &no_direction);
    let metrics = diff::rows(&metrics_of(&a), &metrics_of(&b), &direction);
    let (params, metrics) = (changed(&params), changed(&metrics));
    let is_same = params.is_empty() && metrics.is_empty();
    match ctx.out.form {
        Form::Json => ctx.out.json(&json!({
            "a": {"id": a.id.to_string(), "name": a.name},
            "b": {"id": b.id.to_string(), "name": b.name},
            "params": diff_json(&params, &ToString::to_string),
            "metrics": diff_json(&metrics, &ToString::to_string),
        })),
        Form::Text | Form::Md => show(ctx, &params, &metrics, [&a.name, &b.name]),
    }
    if is_same {
        let same = if a.id == b.id {
            format!("`{}` is compared with itself", a.name)
        } else {
            format!(
                "`{}` and `{}` have the same parameters and metrics",
                a.name, b.name
            )
        };
        ctx.out.note(&same);
    }
    Ok(if args.exit_code && !is_same {
        Outcome::Changes
    } else {
        Outcome::Done
    })
}

fn changed(rows: &[Row]) -> Vec<&Row> {
    rows.iter()
        .filter(|row| row.verdict != Verdict::Same)
        .collect()
}

fn show(ctx: &Ctx, params: &[&Row], metrics: &[&Row], names: [&str; 2]) {
    let look = |key, precision, change| Look {
        key,
        precision,
        path: PathColumn::Shown,
        change,
    };
    let tables = [
        (params, look("param", None, ChangeColumn::Hidden)),
        (metrics, look("metric", Some(DIGITS), ChangeColumn::Shown)),
    ];
    let shown = tables.into_iter().filter(|(rows, _)| !rows.is_empty());
    for (at, (rows, look)) in shown.enumerate() {
        if at != 0 {
            ctx.out.result("\n");
        }
        ctx.out
            .table(&diff_table(rows, names, look, &ToString::to_string));
    }
}

fn params_of(run: &Run) -> Values {
    let mut values = Values::new();
    for (key, value) in &run.params {
        let keys = values.entry(file(key)).or_default();
        keys.insert(key.key.clone(), value.clone());
    }
    values
}

fn metrics_of(run: &Run) -> Values {
    let mut values = Values::new();
    for metric in run.metrics.iter().filter(|metric| !is_system(&metric.key)) {
        let number = metric.value;
        let value = if number.fract() == 0.0 && number.abs() < WHOLE_MAX {
            Value::Int(number as i64)
        } else {
            Value::Float(number)
        };
        let keys = values.entry(file(&metric.key)).or_default();
        keys.insert(metric.key.key.clone(), value);
    }
    values
}

/// Returns the file of a value; those that came without one stand under a dash.
fn file(key: &Key) -> ArtifactPath {
    key.file
        .parse()
        .unwrap_or_else(|_| "-".parse().expect("a dash is a path"))
}
