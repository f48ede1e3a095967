//! `cvops data check`: what is wrong with a folder of pictures.

mod model;
mod numbers;
mod text;

use std::path::{Path, PathBuf};

use crate::audit::{Audit, AuditEvent, Check, Checked, Probe, Request, check, page};
use crate::base::diag::nearest;
use crate::base::doc::{Document, Problems};
use crate::base::{Diagnostic, units};
use crate::cli::cmd::preprocess::warn_of_unknown;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::{ErrorClass, Outcome};
use crate::cli::params::{ParamsArg, exclusions, section};
use crate::cli::progress::Progress;
use crate::cli::written::write;
use crate::vision::dataset::{Exclusions, locate, survey};
use crate::vision::params::PreprocessParams;

use self::model::Model;
use self::numbers::Numbers;

/// Where pictures are unless the user says otherwise.
const DATA: &str = "data/raw";

/// Say what is wrong with a folder of pictures, before a model is trained on it
///
/// Looks for files that cannot be decoded, the same or nearly the same picture in several splits or
/// under several labels, labels that a classifier doubts, classes that can be told by brightness or size
/// alone, splits that differ, outliers and odd files. Reads pictures as `cvops preprocess` does, with
/// the section `preprocess` of params.yaml, so it knows which picture would be in which split.
///
/// A finding with more items than its limit fails the check (exit code 1). By default this holds for
/// one item of `corrupt`, `empty-classes`, `unknown-classes`, `missing-classes`, `leaks`, `near-leaks`,
/// `conflicts`, `label-drift` and `property-drift`; the others are only told. A check
/// that could not be made ends with 2.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops data check\n  cvops data check data/raw --html reports/data-check.html\n  cvops data check --limit near-leaks=10 --limit outliers=0\n  cvops data check --write-exclude data/exclude.txt   and `preprocess: {exclude: data/exclude.txt}` in params.yaml"
)]
pub(super) struct Args {
    /// Folder of class folders, of `train`, `val` and `test`, or of IDX files; or a manifest (default:
    /// `data/raw`, else the folder of pictures that is found)
    data: Option<PathBuf>,
    /// Folder of a model that was trained on these data, or an ONNX file (default: `models/classifier`,
    /// if it can be loaded and knows the classes of the data; a note says if not); without one, labels are
    /// judged by the pixels alone
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Write all findings with pictures as one page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a list of pictures to leave out, for `preprocess.exclude`: what cannot be decoded, has two
    /// labels, is in a later split as well or is there twice; entries that are there stay
    #[arg(long, value_name = "FILE")]
    write_exclude: Option<PathBuf>,
    /// How many items a finding may have, or `none` for any number; may be repeated
    #[arg(long, value_name = "ID=N", value_parser = read_limit)]
    limit: Vec<(Check, Option<usize>)>,
    /// Exit with 0 whatever is found
    #[arg(long)]
    no_fail: bool,
    /// Do not train a classifier on the pictures: label errors, weak segments and shortcuts stay unknown
    #[arg(long)]
    without_probe: bool,
    #[command(flatten)]
    params: ParamsArg,
    #[command(flatten)]
    numbers: Numbers,
}

fn read_limit(text: &str) -> Result<(Check, Option<usize>), String> {
    let (id, limit) = text
        .split_once('=')
        .ok_or("expected ID=N, such as `near-leaks=10`")?;
    let check = Check::from_id(id).ok_or_else(|| {
        let ids = Check::ALL.map(Check::id);
        match nearest(id, ids) {
            Some(near) => format!("there is no finding `{id}`; did you mean `{near}`?"),
            None => format!("there is no finding `{id}`: they are {}", ids.join(", ")),
        }
    })?;
    if limit == "none" {
        return Ok((check, None));
    }
    let limit = limit
        .parse()
        .map_err(|_| format!("`{limit}` is neither a whole number nor `none`"))?;
    Ok((check, Some(limit)))
}

/// Whatever keeps the check from being made is 2: 1 says that something was found.
pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| {
        let mut error = error.seen_from(&ctx.dir);
        error.class = match error.class {
            ErrorClass::Failed | ErrorClass::Usage => ErrorClass::Usage,
            ErrorClass::Interrupted => ErrorClass::Interrupted,
        };
        error
    })
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let document = args.params.document(ctx)?;
    let problems = Problems::new(&document);
    let preprocess = PreprocessParams::read(section(ctx, &problems, "preprocess"));
    let preprocess = problems.into_result(preprocess)?;
    let excluded = known_exclusions(ctx, args, &document, &preprocess)?;
    let data = find_data(ctx, args)?;
    let input = ctx.dir.join(&data);
    if !excluded.is_empty() {
        warn_of_unknown(ctx, &excluded.unknown(&survey(&input)?.dataset));
    }
    let model = Model::load(&ctx.dir, args.model.as_deref())?;
    let checked = look(ctx, args, &input, preprocess, &excluded, &model)?;

    if let Some(path) = &args.html {
        let facts = facts(&data, &model, &checked.audit);
        let html = page(&checked.audit, &checked.pictures, &facts).html();
        write(&ctx.dir.join(path), html.as_bytes())?;
    }
    if let Some(path) = &args.write_exclude {
        let mut list = list_at(&ctx.dir.join(path))?;
        list.extend(&excluded);
        for remedy in &checked.remedies {
            list.add(&remedy.path, &remedy.reason)?;
        }
        write(&ctx.dir.join(path), list.text().as_bytes())?;
    }
    text::show(ctx, args, &checked);
    let fails = checked.audit.failures().next().is_some();
    Ok(if fails && !args.no_fail {
        Outcome::Failed
    } else {
        Outcome::Done
    })
}

/// Runs all checks.
fn look(
    ctx: &Ctx,
    args: &Args,
    input: &Path,
    preprocess: PreprocessParams,
    exclusions: &Exclusions,
    model: &Model,
) -> Result<Checked, CliError> {
    let mut params = args.numbers.params(preprocess);
    params.limits = args.limit.iter().copied().collect();
    let bar = Progress::new(&ctx.out, "decoding", "images");
    let observe = |event: AuditEvent| match event {
        AuditEvent::Scanned { images, classes } => {
            bar.start(images as u64);
            // A dataset has at least two classes.
            let images = units::count(images, "image");
            ctx.out.note(&format!("{images} in {classes} classes"));
        }
        AuditEvent::Progress { done, .. } => bar.at(done as u64),
        AuditEvent::Read => bar.end(),
    };
    let request = Request {
        input,
        params: &params,
        exclusions,
        model: model.asked(),
        probe: if args.without_probe {
            Probe::Skipped
        } else {
            Probe::Trained
        },
    };
    Ok(check(request, &ctx.cancel, &observe)?)
}

/// Returns the folder to check, as it is to be shown.
fn find_data(ctx: &Ctx, args: &Args) -> Result<PathBuf, CliError> {
    if let Some(data) = &args.data {
        return Ok(data.clone());
    }
    if ctx.dir.join(DATA).is_dir() {
        return Ok(PathBuf::from(DATA));
    }
    let search = locate(&ctx.dir)?;
    if let Some(found) = search.found {
        ctx.out.note(&format!("checking `{}`", found.path));
        return Ok(PathBuf::from(found.path));
    }
    if let Some(refused) = search.refused {
        return Err(refused.into());
    }
    let headline =
        format!("there is no folder `{DATA}`, and no other folder of pictures was found");
    let error = Diagnostic::error("no-dataset", headline)
        .help("name a folder that holds one folder of images per class: `cvops data check DIR`");
    Err(CliError::usage(error))
}

/// Reads the list that `preprocess.exclude` names. The one that is about to be written need not be there.
fn known_exclusions(
    ctx: &Ctx,
    args: &Args,
    document: &Document,
    preprocess: &PreprocessParams,
) -> Result<Exclusions, CliError> {
    if let (Some(file), Some(target)) = (&preprocess.exclude, &args.write_exclude) {
        let file = args.params.folder(ctx).join(file);
        let is_same =
            std::path::absolute(&file).ok() == std::path::absolute(ctx.dir.join(target)).ok();
        if is_same && !file.exists() {
            return Ok(Exclusions::default());
        }
    }
    exclusions(ctx, &args.params, document, preprocess)
}

/// Returns the list in the file `path`; an empty one if there is none.
fn list_at(path: &Path) -> Result<Exclusions, CliError> {
    if path.exists() {
        Ok(Exclusions::read(path)?)
    } else {
        Ok(Exclusions::default())
    }
}

/// Says what was checked, for the head of the page.
fn facts(data: &Path, model: &Model, audit: &Audit) -> Vec<(String, String)> {
    let mut facts = vec![("Data".to_owned(), data.display().to_string())];
    if let Some(path) = model.path() {
        facts.push(("Model".to_owned(), path.display().to_string()));
    }
    if let Some(text) = text::accuracy(audit) {
        facts.push(("Accuracy".to_owned(), text));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        assert_eq!(read_limit("leaks=3"), Ok((Check::Leaks, Some(3))));
        assert_eq!(read_limit("leaks=none"), Ok((Check::Leaks, None)));
        for (text, expected) in [
            ("leaks", "expected ID=N, such as `near-leaks=10`"),
            (
                "leak=3",
                "there is no finding `leak`; did you mean `leaks`?",
            ),
            ("leaks=-1", "`-1` is neither a whole number nor `none`"),
        ] {
            assert_eq!(read_limit(text), Err(expected.to_owned()));
        }
    }
}
