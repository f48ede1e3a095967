//! `cvops preprocess`: sets of pictures become prepared data.

use std::path::PathBuf;

use serde_json::json;

use crate::base::doc::Problems;
use crate::base::units;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::params::{ParamsArg, exclusions, section};
use crate::cli::progress::Progress;
use crate::vision::params::PreprocessParams;
use crate::vision::preprocess::{PreprocessEvent, preprocess};
use crate::vision::shard::Split;

/// Decode, resize and split pictures into prepared data
///
/// Reads `class/image.png` or `train/class/image.png` (PNG, JPEG, WebP, BMP, GIF and TIFF; of moving
/// pictures the first frame), a manifest, or a folder of IDX files; parameters are in the section
/// `preprocess` of params.yaml, pictures to leave out in the file that `preprocess.exclude` names. The
/// result does not depend on the machine or the number of threads.
///
/// A manifest is a `.csv`, `.jsonl` or `.ndjson` file with `path`, `label` and perhaps `split` of each
/// picture; paths are relative to its folder and stay in it. IDX files are those of MNIST and its family:
/// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same of `t10k`, also as `.gz`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops preprocess --data data/fashion5k --out data/prepared")]
pub(in crate::cli) struct Args {
    /// Folder of class folders, of `train`, `val` and `test`, or of IDX files; or a manifest
    #[arg(long, value_name = "PATH", default_value = "data/raw")]
    data: PathBuf,
    /// Folder for the prepared data; replaced
    #[arg(long, value_name = "DIR", default_value = "data/prepared")]
    out: PathBuf,
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
    let params = PreprocessParams::read(section(ctx, &problems, "preprocess"));
    let params = problems.into_result(params)?;
    let exclusions = exclusions(ctx, &args.params, &document, &params)?;
    let bar = Progress::new(&ctx.out, "decoding", "images");
    let observe = |event: PreprocessEvent| match event {
        PreprocessEvent::Scanned { images, classes } => {
            bar.start(images as u64);
            ctx.out.note(&format!(
                "{} in {} classes",
                units::count(images, "image"),
                classes
            ));
        }
        PreprocessEvent::Excluded { images, unknown } => {
            ctx.out.note(&format!(
                "{} left out by `preprocess.exclude`",
                units::count(images, "image")
            ));
            warn_of_unknown(ctx, &unknown);
        }
        PreprocessEvent::Progress { done, total } => {
            bar.start(total as u64);
            bar.at(done as u64);
        }
        PreprocessEvent::Corrupt { path, reason } => bar.above(|| {
            ctx.out.note(
                &ctx.out
                    .paint(Style::Changed, &format!("left out {path}: {reason}")),
            );
        }),
        PreprocessEvent::Written {
            shards,
            images,
            bytes,
        } => bar.above(|| {
            ctx.out.note(&format!(
                "wrote {} in {} ({})",
                units::count(images, "image"),
                units::count(shards, "shard"),
                units::bytes(bytes)
            ));
        }),
    };
    let card = preprocess(
        &ctx.dir.join(&args.data),
        &ctx.dir.join(&args.out),
        &params,
        &exclusions,
        &ctx.cancel,
        &observe,
    )?;
    bar.end();
    let total = |split: Split| card.counts.total(split);
    let (train, val, test) = (total(Split::Train), total(Split::Val), total(Split::Test));
    match ctx.out.form {
        Form::Json => ctx.out.json(&json!({
            "classes": card.classes, "train": train, "val": val, "test": test,
            "corrupt": card.corrupt.len(), "duplicates": card.duplicates.len(),
            "leakage": card.leakage.len(), "excluded": card.excluded,
        })),
        Form::Text | Form::Md => ctx
            .out
            .result(&format!("train {train}, val {val}, test {test} images")),
    }
    if !card.leakage.is_empty() {
        let text = format!(
            "{} in more than one split: the test is easier than it looks (see card.html)",
            units::count(card.leakage.len(), "picture")
        );
        ctx.out.note(&ctx.out.paint(Style::Changed, &text));
    }
    Ok(Outcome::Done)
}

/// Says which paths of the list of exclusions are no pictures.
pub(super) fn warn_of_unknown(ctx: &Ctx, unknown: &[String]) {
    let Some(first) = unknown.first() else {
        return;
    };
    let (are, no, rest) = match unknown.len() {
        1 => ("is", "no picture", ""),
        _ => ("are", "no pictures", ", …"),
    };
    let text = format!(
        "{} in `preprocess.exclude` {are} {no} of the data: `{first}`{rest}",
        units::count(unknown.len(), "path")
    );
    ctx.out.note(&ctx.out.paint(Style::Changed, &text));
}
