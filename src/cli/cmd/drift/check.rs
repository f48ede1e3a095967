//! `cvops drift check`: compare pictures with the reference.

use std::path::PathBuf;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::params::ParamsArg;
use crate::detect::checked::Verdict;
use crate::detect::fitted::{Fitted, Selection};
use crate::detect::{Checked, Features};
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::predict::Predictor;
use crate::vision::shard::Split;

use super::new_data::{Asked, NewData};
use super::{one_is_drift, shown};

/// Compare new pictures with those that a model knows
///
/// Says of each detector what it measured, which predicted classes became more or less frequent, how often the
/// model is likely to be right on the new pictures, and which of them are most unlike the reference. Where
/// pictures lie in folders that are called like the classes, the accuracy is counted as well.
///
/// Ends with 0 if no detector found drift, 1 if one did, and 2 if that could not be found out: an error, or a
/// detector that could not be computed while no other found drift.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops drift check new-pictures/\n  cvops drift check camera2/*.jpg --detector embedding --detector properties\n  cvops drift check data/prepared-march --split test --json"
)]
pub(super) struct Args {
    /// Pictures, folders of pictures, or a folder of prepared data
    #[arg(required = true, value_name = "NEW_DATA")]
    paths: Vec<PathBuf>,
    /// Folder of the fitted detectors
    #[arg(long, value_name = "DIR", default_value = "models/drift")]
    drift: PathBuf,
    /// Folder of the model, or an ONNX file
    #[arg(long, value_name = "MODEL", default_value = "models/classifier")]
    model: PathBuf,
    /// Of prepared data, only this split
    #[arg(long, value_name = "SPLIT", value_parser = ["train", "val", "test"])]
    split: Option<String>,
    /// Only this detector; several times for several (default: all)
    #[arg(long = "detector", value_name = "NAME")]
    detectors: Vec<String>,
    /// End with 0 also where there is drift
    #[arg(long)]
    no_fail: bool,
    #[command(flatten)]
    params: ParamsArg,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| one_is_drift(error.seen_from(&ctx.dir)))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let fitted = Fitted::load(&ctx.dir.join(&args.drift))?;
    let predictor = Predictor::load(
        &ctx.dir.join(&args.model),
        &Device::pick(DeviceChoice::Auto)?,
    )?;
    fitted.require_model(predictor.model())?;
    let asked = Asked {
        paths: &args.paths,
        split: args.split.as_deref().and_then(Split::from_name),
        params: &args.params,
    };
    let new = NewData::read(ctx, &asked, predictor.model())?;
    let mut features = Features::of_pictures(&predictor, &new.pixels, &ctx.cancel)?;
    if let Some(truth) = &new.truth {
        features = features.with_truth(truth.clone())?;
    }
    let selection = if args.detectors.is_empty() {
        Selection::All
    } else {
        Selection::Named(&args.detectors)
    };
    let mut checked = fitted.check(&features, selection, &ctx.cancel)?;
    checked.name_pictures(&new.paths);
    shown::show(ctx, &checked, &new);
    Ok(outcome(&checked, args))
}

fn outcome(checked: &Checked, args: &Args) -> Outcome {
    match checked.verdict {
        Verdict::Drift if args.no_fail => Outcome::Done,
        Verdict::Drift => Outcome::Failed,
        Verdict::NoDrift => Outcome::Done,
        Verdict::Incomplete => Outcome::Unmade,
    }
}
