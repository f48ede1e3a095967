//! `cvops evaluate`: judge a model on pictures it has not seen.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::doc::Problems;
use crate::base::{Diagnostic, Error as BaseError};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::out::Form;
use crate::cli::params::{ParamsArg, at_parameter, section};
use crate::vision;
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::evaluate::{
    Destinations, EvaluateParams, EvaluationInput, Illustration, Predictions, evaluate, write,
};
use crate::vision::predict::Predictor;
use crate::vision::shard::{Prepared, Split};
use crate::vision::train::EpochRecord;

/// Judge a model on pictures it has not seen
///
/// Writes figures with confidence intervals, what the model says of each picture, plots, and a page that shows the worst mistakes. The
/// section `evaluate` of params.yaml says how.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops evaluate --data data/prepared --model models/classifier")]
pub(in crate::cli) struct Args {
    /// Folder of prepared data
    #[arg(long, value_name = "DIR", default_value = "data/prepared")]
    data: PathBuf,
    /// Folder of the model, or an ONNX file
    #[arg(long, value_name = "MODEL", default_value = "models/classifier")]
    model: PathBuf,
    /// Figures of each epoch as written by `cvops train`, for the training curves; may be absent
    #[arg(long, value_name = "FILE", default_value = "reports/train.jsonl")]
    history: PathBuf,
    /// File for the figures
    #[arg(long, value_name = "FILE", default_value = "reports/metrics.json")]
    metrics: PathBuf,
    /// File for what the model says of each picture, one JSON object per line
    #[arg(long, value_name = "FILE", default_value = "reports/predictions.jsonl")]
    predictions: PathBuf,
    /// Folder for the plots
    #[arg(long, value_name = "DIR", default_value = "reports/plots")]
    plots: PathBuf,
    /// File for the page
    #[arg(long, value_name = "FILE", default_value = "reports/evaluation.html")]
    page: PathBuf,
    #[command(flatten)]
    params: ParamsArg,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| error.seen_from(&ctx.dir))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let document = args.params.document(ctx)?;
    let problems = Problems::new(&document);
    let params = EvaluateParams::read(section(ctx, &problems, "evaluate"));
    let params = problems.into_result(params)?;
    let (prepared, predictor) = open(ctx, &args.data, &args.model)?;
    let model = predictor.model();
    let split = Split::from(params.split);
    let data = prepared.load(split)?;
    if data.labels.is_empty() {
        let path = prepared.dir().to_owned();
        let error = vision::Error::EmptySplit {
            path,
            split: split.name(),
        };
        return Err(at_parameter(&document, error));
    }
    let logits = predictor.predict(&data.pixels, &ctx.cancel)?;
    let input = EvaluationInput {
        classes: &prepared.classes,
        labels: &data.labels,
        logits: &logits,
        paths: &data.paths,
    };
    let evaluation = evaluate(input, &params);
    let history = read_history(&ctx.dir.join(&args.history), &args.history)?;
    let facts = [
        (
            "Network".to_owned(),
            format!("{} parameters", model.parameters),
        ),
        (
            "Input".to_owned(),
            format!(
                "{}×{}×{}",
                prepared.height, prepared.width, prepared.channels
            ),
        ),
        (
            "Judged on".to_owned(),
            format!("the {} split, {} images", split.name(), data.labels.len()),
        ),
        ("Data".to_owned(), prepared.content_hash.short()),
    ];
    let to = Destinations {
        metrics: &ctx.dir.join(&args.metrics),
        predictions: &ctx.dir.join(&args.predictions),
        plots: &ctx.dir.join(&args.plots),
        page: &ctx.dir.join(&args.page),
    };
    write(
        &evaluation,
        Predictions {
            input,
            split,
            contents: &data.contents,
        },
        Illustration {
            pixels: &data.pixels,
            history: &history,
            facts: &facts,
        },
        to,
    )?;
    match ctx.out.form {
        Form::Json => ctx.out.json(&json!({
            "images": evaluation.images, "accuracy": evaluation.accuracy,
            "macro_f1": evaluation.macro_average.f1, "log_loss": evaluation.log_loss,
            "ece": evaluation.ece, "metrics": args.metrics, "predictions": args.predictions,
            "page": args.page,
        })),
        Form::Text | Form::Md => {
            let interval = evaluation.accuracy_interval.map_or_else(String::new, |i| {
                format!(" (95 % interval {:.3} to {:.3})", i.low, i.high)
            });
            ctx.out.result(&format!(
                "accuracy {:.3}{interval}, top-{} {:.3}, macro F1 {:.3}, log loss {:.3}, ECE {:.3}",
                evaluation.accuracy,
                evaluation.top_k,
                evaluation.top_k_accuracy,
                evaluation.macro_average.f1,
                evaluation.log_loss,
                evaluation.ece
            ));
            ctx.out.note(&format!("look at {}", args.page.display()));
        }
    }
    Ok(Outcome::Done)
}

/// Opens the data at `data` and the model at `model`, which must be of the same classes.
pub(super) fn open(
    ctx: &Ctx,
    data: &Path,
    model: &Path,
) -> Result<(Prepared, Predictor), CliError> {
    let prepared = Prepared::open(&ctx.dir.join(data))?;
    let predictor = Predictor::load(&ctx.dir.join(model), &Device::pick(DeviceChoice::Auto)?)?;
    let known = &predictor.model().classes;
    if *known == prepared.classes {
        return Ok((prepared, predictor));
    }
    Err(CliError::usage(
        Diagnostic::error(
            "other-classes",
            format!(
                "the model in `{}` knows other classes than `{}` holds",
                model.display(),
                data.display()
            ),
        )
        .note(format!("model: {}", known.join(", ")))
        .note(format!("data: {}", prepared.classes.join(", ")))
        .help("train it on this data, or name the data it was trained on"),
    ))
}

fn read_history(path: &Path, shown: &Path) -> Result<Vec<EpochRecord>, CliError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(BaseError::io("read", path)(e).into()),
    };
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            EpochRecord::from_json(line).map_err(|e| {
                let headline = format!(
                    "line {} of `{}` is no epoch record: {e}",
                    i + 1,
                    shown.display()
                );
                let error = Diagnostic::error("history", headline).help(
                    "it is written by `cvops train`; delete it to go without training curves",
                );
                CliError {
                    class: ErrorClass::Failed,
                    diagnostics: vec![error],
                }
            })
        })
        .collect()
}
