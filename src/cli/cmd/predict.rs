//! `cvops predict`: say what pictures show.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::json;

use crate::base::{Diagnostic, fs as files};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::params::{ParamsArg, section};
use crate::cli::render::diagnostic;
use crate::report::{Align, Table};
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::image::{EXTENSIONS, FORMAT_LIST, Limits, Pixels, decode, fit, is_picture_name};
use crate::vision::params::PreprocessParams;
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
    let limits = limits(ctx, args)?;
    let mut failed = 0;
    let mut table = Table::new([
        ("image", Align::Left),
        ("class", Align::Left),
        ("probability", Align::Right),
    ]);
    let paths = collect(ctx, &args.paths)?;
    for chunk in paths.chunks(CHUNK) {
        let target = predictor.model().target;
        let decoded: Vec<(&PathBuf, Result<Vec<u8>, String>)> = chunk
            .par_iter()
            .map(|path| (path, load(&ctx.dir.join(path), limits, &target)))
            .collect();
        let mut pixels = Pixels::new(
            target.height as usize,
            target.width as usize,
            target.channels.count(),
        );
        for (_, image) in &decoded {
            if let Ok(image) = image {
                pixels.push(image);
            }
        }
        let probabilities = predictor.predict(&pixels, &ctx.cancel)?.probabilities();
        let mut rows = probabilities.iter();
        for (path, image) in &decoded {
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

fn limits(ctx: &Ctx, args: &Args) -> Result<Limits, CliError> {
    let document = args.params.document(ctx)?;
    let problems = crate::base::doc::Problems::new(&document);
    let params = PreprocessParams::read(section(ctx, &problems, "preprocess"));
    Ok(problems.into_result(params)?.limits)
}

/// Returns the pictures named, folders walked in sorted order.
fn collect(ctx: &Ctx, paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut all = Vec::new();
    for path in paths {
        let absolute = ctx.dir.join(path);
        if !absolute.is_dir() {
            all.push(path.clone());
            continue;
        }
        let found = files::walk(&absolute, &|name, is_dir| {
            !name.rsplit('/').next().unwrap_or(name).starts_with('.')
                && (is_dir || is_picture_name(name))
        })
        .map_err(|(path, e)| crate::base::Error::io("read", &path)(e))?;
        if found.is_empty() {
            return Err(CliError::usage(
                Diagnostic::error(
                    "no-pictures",
                    format!("`{}` holds no pictures", path.display()),
                )
                .help(format!(
                    "{FORMAT_LIST} files are read (.{})",
                    EXTENSIONS.join(", .")
                )),
            ));
        }
        all.extend(found.into_iter().map(|entry| path.join(entry.relative)));
    }
    Ok(all)
}

fn load(
    path: &Path,
    limits: Limits,
    target: &crate::vision::image::Target,
) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let picture = decode(&bytes, limits).map_err(|e| e.to_string())?;
    fit(&picture, target).map_err(|e| e.to_string())
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
