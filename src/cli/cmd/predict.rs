//! `cvops predict`: say what pictures show.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::Diagnostic;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::params::ParamsArg;
use crate::cli::pictures::{collect, decode_all, limits};
use crate::cli::render::diagnostic;
use crate::report::{Align, Table};
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::image::Pixels;
use crate::vision::predict::Predictor;

/// Pictures that are decoded and judged together.
const CHUNK: usize = 1024;

/// Say what pictures show
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops predict photo.jpg\n  cvops predict --json pictures/ > predictions.jsonl"
)]
pub(in crate::cli) struct Args {
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder of the model, or an ONNX file
    #[arg(long, value_name = "MODEL", default_value = "models/classifier")]
    model: PathBuf,
    /// How many classes to show for each picture
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    top: u64,
    #[command(flatten)]
    params: ParamsArg,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| error.seen_from(&ctx.dir))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let predictor = Predictor::load(
        &ctx.dir.join(&args.model),
        &Device::pick(DeviceChoice::Auto)?,
    )?;
    let limits = limits(ctx, &args.params)?;
    let mut failed = 0;
    let mut table = Table::new([
        ("image", Align::Left),
        ("class", Align::Left),
        ("probability", Align::Right),
    ]);
    let paths = collect(ctx, &args.paths)?;
    for chunk in paths.chunks(CHUNK) {
        let target = predictor.model().target;
        let decoded = decode_all(ctx, chunk, limits, &target);
        let mut pixels = Pixels::new(
            target.height as usize,
            target.width as usize,
            target.channels.count(),
        );
        for image in decoded.iter().flatten() {
            pixels.push(image);
        }
        let probabilities = predictor.predict(&pixels, &ctx.cancel)?.probabilities();
        let mut rows = probabilities.iter();
        for (path, image) in chunk.iter().zip(&decoded) {
            match image {
                Err(reason) => {
                    failed += 1;
                    let text =
                        format!("`{}` cannot be read as a picture: {reason}", path.display());
                    let error = Diagnostic::error("not-a-picture", text);
                    match ctx.out.form {
                        Form::Text | Form::Md => diagnostic::show_all(&ctx.out, &[error]),
                        Form::Json => ctx.out.json(&json!({"image": path, "error": reason})),
                    }
                }
                Ok(_) => {
                    let Some(row) = rows.next() else { continue };
                    show(ctx, args, &predictor.model().classes, path, row, &mut table);
                }
            }
        }
    }
    if ctx.out.form != Form::Json && !table.rows().is_empty() {
        ctx.out.table(&table);
    }
    Ok(if failed == 0 {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

fn show(ctx: &Ctx, args: &Args, classes: &[String], path: &Path, row: &[f64], table: &mut Table) {
    let mut ranked: Vec<(usize, f64)> = row.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(args.top as usize);
    if ctx.out.form == Form::Json {
        let top: Vec<_> = ranked
            .iter()
            .map(|&(class, p)| json!({"class": classes[class], "probability": p}))
            .collect();
        ctx.out
            .json(&json!({"image": path, "class": classes[ranked[0].0], "top": top}));
        return;
    }
    for (rank, &(class, p)) in ranked.iter().enumerate() {
        let name = if rank == 0 {
            path.display().to_string()
        } else {
            String::new()
        };
        table.row([name, classes[class].clone(), format!("{p:.3}")]);
    }
}
