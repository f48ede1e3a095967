//! `cvops summary`: the network as a table.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::Diagnostic;
use crate::base::doc::Problems;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::params::{ParamsArg, at_parameter, section};
use crate::report::{Align, Table};
use crate::vision::artifact::{ModelArtifact, ModelFiles};
use crate::vision::model::{Input, ModelSpec, Plan, summary};
use crate::vision::params::PreprocessParams;
use crate::vision::shard::Prepared;

/// Show the network: layers, shapes, parameters, cost
///
/// Without `--model`: the network that params.yaml declares, for the prepared data if there is any.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops summary")]
pub(in crate::cli) struct Args {
    /// Folder of a trained model to show
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Folder of prepared data, for the number of classes
    #[arg(long, value_name = "DIR", default_value = "data/prepared")]
    data: PathBuf,
    /// Number of classes, where there is no prepared data
    #[arg(long, value_name = "N", default_value_t = 10)]
    classes: usize,
    #[command(flatten)]
    params: ParamsArg,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| error.seen_from(&ctx.dir))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let plan = match &args.model {
        Some(dir) => trained(ctx, dir)?,
        None => declared(ctx, args)?,
    };
    let summary = summary(&plan);
    if ctx.out.form == Form::Json {
        let layers: Vec<_> = summary
            .rows
            .iter()
            .map(|r| {
                json!({
                    "layer": r.layer, "what": r.what, "output": r.output,
                    "parameters": r.parameters, "flops": r.flops,
                })
            })
            .collect();
        ctx.out.json(&json!({
            "layers": layers, "parameters": summary.parameters, "learned": summary.learned,
            "flops": summary.flops,
        }));
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([
        ("layer", Align::Left),
        ("what", Align::Left),
        ("output", Align::Left),
        ("parameters", Align::Right),
        ("MFLOP", Align::Right),
    ]);
    let mega = |flops: u64| format!("{:.2}", flops as f64 / 1e6);
    for row in &summary.rows {
        table.row([
            row.layer.clone(),
            row.what.clone(),
            row.output.clone(),
            row.parameters.to_string(),
            mega(row.flops),
        ]);
    }
    table.row([
        "total".to_owned(),
        String::new(),
        String::new(),
        summary.parameters.to_string(),
        mega(summary.flops),
    ]);
    ctx.out.table(&table);
    Ok(Outcome::Done)
}

/// Returns the network of a model that `cvops train` wrote: only of those the layers are known.
fn trained(ctx: &Ctx, model: &Path) -> Result<Plan, CliError> {
    match ModelFiles::find(&ctx.dir.join(model))? {
        ModelFiles::Trained(dir) => Ok(ModelArtifact::load(&dir)?.plan),
        ModelFiles::Onnx(_) => {
            let text = format!(
                "`{}` is a network from elsewhere, whose layers are not shown",
                model.display()
            );
            Err(CliError::usage(
                Diagnostic::error("not-trained-here", text)
                    .help("`cvops summary` shows models that `cvops train` wrote"),
            ))
        }
    }
}

fn declared(ctx: &Ctx, args: &Args) -> Result<Plan, CliError> {
    let document = args.params.document(ctx)?;
    let problems = Problems::new(&document);
    let model = ModelSpec::read(section(ctx, &problems, "model"));
    let preprocess = PreprocessParams::read(section(ctx, &problems, "preprocess"));
    let (model, target) = problems.into_result((model, preprocess.target))?;
    let data = ctx.dir.join(&args.data);
    let (input, classes) = if data.exists() {
        let prepared = Prepared::open(&data)?;
        let Prepared {
            height,
            width,
            channels,
            ..
        } = prepared;
        (
            Input {
                height,
                width,
                channels,
            },
            prepared.classes.len(),
        )
    } else {
        let (height, width) = (target.height as usize, target.width as usize);
        (
            Input {
                height,
                width,
                channels: target.channels.count(),
            },
            args.classes,
        )
    };
    Plan::new(&model, input, classes).map_err(|e| at_parameter(&document, e))
}
