//! `cvops drift fit`: fit detectors to a model and its reference.

use std::path::PathBuf;

use serde_json::json;

use crate::base::doc::Problems;
use crate::base::units;
use crate::cli::cmd::evaluate;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::params::{ParamsArg, section};
use crate::detect::fitted::{Fitted, ReferenceData, reference_rows, thumbnail_rows};
use crate::detect::{DriftParams, Features, Input};
use crate::report::{Align, Table};
use crate::vision;
use crate::vision::image::Pixels;
use crate::vision::predict::Predictor;
use crate::vision::shard::{Prepared, Split};

use super::shown::percent;

/// Fit detectors of drift to a model and pictures whose labels are known
///
/// The pictures are those of a split that the network has not learned from: of what it learned it is surer
/// than of anything new. The detectors belong to this model and no other; fit them again after each
/// training, as a stage beside `evaluate`. The section `drift` of params.yaml says which detectors.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cvops drift fit --data data/prepared --model models/classifier --out models/drift"
)]
pub(super) struct Args {
    /// Folder of prepared data
    #[arg(long, value_name = "DIR", default_value = "data/prepared")]
    data: PathBuf,
    /// Folder of the model, or an ONNX file
    #[arg(long, value_name = "MODEL", default_value = "models/classifier")]
    model: PathBuf,
    /// Folder for the fitted detectors
    #[arg(long, value_name = "DIR", default_value = "models/drift")]
    out: PathBuf,
    #[command(flatten)]
    params: ParamsArg,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| error.seen_from(&ctx.dir))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let document = args.params.document(ctx)?;
    let problems = Problems::new(&document);
    let params = DriftParams::read(section(ctx, &problems, "drift"));
    let params = problems.into_result(params)?;
    let (prepared, predictor) = evaluate::open(ctx, &args.data, &args.model)?;
    let model = predictor.model();
    let of_split = prepared.paths(params.split)?.len();
    if of_split == 0 {
        return Err(CliError::from(vision::Error::EmptySplit {
            path: prepared.dir().to_owned(),
            split: params.split.name(),
        }));
    }
    let rows = reference_rows(of_split, &params);
    let shown = thumbnail_rows(rows.len(), &params);
    let (features, pixels) = observed(ctx, (&prepared, &predictor), params.split, &rows, &shown)?;
    let reference = ReferenceData {
        features: &features,
        pixels: &pixels,
        split: params.split,
        data: prepared.content_hash,
    };
    let fitted = Fitted::fit(reference, model, &params, &ctx.cancel)?;
    fitted.save(&ctx.dir.join(&args.out))?;
    for note in fitted.notes() {
        ctx.out.note(&ctx.out.paint(Style::Changed, note));
    }
    show(ctx, args, &fitted, params.split.name());
    Ok(Outcome::Done)
}

/// Asks the model about the pictures `rows` of a split, and returns what it says with their classes; and the pixels of
/// those of `rows` that `shown` counts. Both ascend. No more than one file of the prepared data is in memory.
fn observed(
    ctx: &Ctx,
    (prepared, predictor): (&Prepared, &Predictor),
    split: Split,
    rows: &[usize],
    shown: &[usize],
) -> Result<(Features, Pixels), CliError> {
    let room = || Pixels::new(prepared.height, prepared.width, prepared.channels);
    let (mut parts, mut truth, mut kept) = (Vec::new(), Vec::new(), room());
    let mut wanted = rows.iter().copied().enumerate().peekable();
    let mut before = 0;
    for part in prepared.parts(split) {
        let (all, labels) = part?;
        let mut taken = room();
        while let Some((number, row)) = wanted.next_if(|(_, row)| *row < before + all.count()) {
            let image = all.image(row - before);
            taken.push(image);
            truth.push(labels[row - before]);
            if shown.binary_search(&number).is_ok() {
                kept.push(image);
            }
        }
        before += all.count();
        if 0 < taken.count() {
            parts.push(Features::of_pictures(predictor, &taken, &ctx.cancel)?);
        }
    }
    Ok((Features::joined(parts)?.with_truth(truth)?, kept))
}

fn show(ctx: &Ctx, args: &Args, fitted: &Fitted, split: &str) {
    if ctx.out.form == Form::Json {
        let online = fitted.watches().iter().map(|one| {
            json!({
                "name": one.name, "input": one.input, "method": one.method,
                "ert": one.online.ert(), "every": one.every,
            })
        });
        let outlier = fitted.outliers().map(|one| {
            json!({
                "method": one.method(), "input": one.input(), "threshold": one.threshold(),
            })
        });
        ctx.out.json(&json!({
            "rows": fitted.rows(), "split": split, "alpha": fitted.alpha(),
            "detectors": fitted.detectors().collect::<Vec<_>>(),
            "online": online.collect::<Vec<_>>(), "outlier": outlier, "notes": fitted.notes(),
            "out": args.out,
        }));
        return;
    }
    let mut table = Table::new([
        ("detector", Align::Left),
        ("looks at", Align::Left),
        ("by", Align::Left),
        ("false alarms", Align::Left),
    ]);
    let level = fitted.level();
    for spec in fitted.detectors() {
        table.row([
            spec.name.clone(),
            spec.input.name().to_owned(),
            spec.test.name().to_owned(),
            format!("{} of checks", percent(level)),
        ]);
    }
    for one in fitted.watches() {
        let seen = if one.input == Input::Error {
            "judged answers"
        } else {
            "answers"
        };
        table.row([
            one.name.clone(),
            one.input.name().to_owned(),
            format!("online {}", one.method.name()),
            format!("one in {} {seen}", one.online.ert() * one.every as f64),
        ]);
    }
    if let Some(one) = fitted.outliers() {
        table.row([
            "outlier".to_owned(),
            one.input().name().to_owned(),
            one.method().name().to_owned(),
            format!("{} of pictures", percent(one.false_positives())),
        ]);
    }
    ctx.out.table(&table);
    ctx.out.note(&format!(
        "fitted to {} of the {split} split; `cvops drift check PICTURES` compares others with them",
        units::count(fitted.rows(), "picture"),
    ));
}
