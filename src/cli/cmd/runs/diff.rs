//! `cvops runs diff`.

use serde_json::{Value as Json, json};

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::report::{Align, Table};
use crate::track::overview::{Diff, diff};

use super::text;

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
    let diff = diff(&a, &b);
    match ctx.out.form {
        Form::Json => {
            let mut document = to_json(&diff);
            document["a"] = json!({"id": a.id.to_string(), "name": a.name});
            document["b"] = json!({"id": b.id.to_string(), "name": b.name});
            ctx.out.json(&document);
        }
        Form::Text | Form::Md => show(ctx, &diff, &a.name, &b.name),
    }
    let is_same = diff == Diff::default();
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

fn show(ctx: &Ctx, diff: &Diff, a: &str, b: &str) {
    let table = |what| {
        Table::new([
            ("File", Align::Left),
            (what, Align::Left),
            (a, Align::Right),
            (b, Align::Right),
        ])
    };
    let mut params = table("Param");
    for (key, old, new) in &diff.params {
        let value = |v: &Option<_>| v.as_ref().map(text::value).unwrap_or_default();
        params.row([key.file.clone(), key.key.clone(), value(old), value(new)]);
    }
    let mut metrics = Table::new([
        ("File", Align::Left),
        ("Metric", Align::Left),
        (a, Align::Right),
        (b, Align::Right),
        ("Change", Align::Right),
    ]);
    for (key, old, new) in &diff.metrics {
        let value = |v: &Option<f64>| v.map(text::number).unwrap_or_default();
        let change = match (old, new) {
            (Some(old), Some(new)) => text::number(new - old),
            _ => String::new(),
        };
        metrics.row([
            key.file.clone(),
            key.key.clone(),
            value(old),
            value(new),
            change,
        ]);
    }
    let shown: Vec<_> = [params, metrics]
        .into_iter()
        .filter(|table| !table.rows().is_empty())
        .collect();
    for (i, table) in shown.iter().enumerate() {
        if i != 0 {
            ctx.out.result("\n");
        }
        ctx.out.table(table);
    }
}

fn to_json(diff: &Diff) -> Json {
    let params: Vec<Json> = diff
        .params
        .iter()
        .map(|(key, old, new)| {
            json!({
                "file": key.file, "key": key.key,
                "old": old.as_ref().map(text::param_json), "new": new.as_ref().map(text::param_json),
            })
        })
        .collect();
    let metrics: Vec<Json> = diff
        .metrics
        .iter()
        .map(|(key, old, new)| {
            json!({
                "file": key.file, "key": key.key,
                "old": old.map(text::number_json), "new": new.map(text::number_json),
            })
        })
        .collect();
    json!({"params": params, "metrics": metrics})
}
