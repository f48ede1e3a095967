//! Pictures that a user names: which files that are, and their pixels as a model takes them.
//! Imports: base, vision, ctx, error, params.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::doc::Problems;
use crate::base::{self, Diagnostic, fs as files};
use crate::vision::image::{EXTENSIONS, FORMAT_LIST, Limits, Target, decode, fit, is_picture_name};
use crate::vision::params::PreprocessParams;

use super::ctx::Ctx;
use super::error::CliError;
use super::params::{ParamsArg, section};

/// Returns what a picture file may ask for: `preprocess.max_pixels`.
pub(super) fn limits(ctx: &Ctx, params: &ParamsArg) -> Result<Limits, CliError> {
    let document = params.document(ctx)?;
    let problems = Problems::new(&document);
    let params = PreprocessParams::read(section(ctx, &problems, "preprocess"));
    Ok(problems.into_result(params)?.limits)
}

/// Returns the pictures named, folders walked in sorted order.
pub(super) fn collect(ctx: &Ctx, paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
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
        .map_err(|(path, e)| base::Error::io("read", &path)(e))?;
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

/// Decodes `paths` on all cores and fits them to `target`: `[height, width, channels]` each, or why that
/// cannot be.
pub(super) fn decode_all(
    ctx: &Ctx,
    paths: &[PathBuf],
    limits: Limits,
    target: &Target,
) -> Vec<Result<Vec<u8>, String>> {
    let load = |path: &PathBuf| load(&ctx.dir.join(path), limits, target);
    paths.par_iter().map(load).collect()
}

fn load(path: &Path, limits: Limits, target: &Target) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let picture = decode(&bytes, limits).map_err(|e| e.to_string())?;
    fit(&picture, target).map_err(|e| e.to_string())
}
