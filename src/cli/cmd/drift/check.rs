//! `cvops drift check`: compare pictures with the reference.

use std::path::PathBuf;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::params::ParamsArg;
use crate::cli::written::write;
use crate::detect::checked::Verdict;
use crate::detect::fitted::{Fitted, Selection};
use crate::detect::{Illustration, page};

use super::new_data::{Asked, NewData};
use super::{one_is_drift, shown};

/// Paths that the page names.
const PATHS_SHOWN: usize = 3;

/// Compare new pictures with those that a model knows
///
/// Says of each detector what it measured, which predicted classes became more or less frequent, how often the
/// model is likely to be right on the new pictures, and which of them are most unlike the reference. Where
/// pictures lie in folders that are called like the classes, the accuracy is counted as well.
///
/// Ends with 0 if no detector found drift, 1 if one did, and 2 if that could not be found out: an error, a
/// detector that could not be computed or a file that cannot be read as a picture, while no detector found drift.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops drift check new-pictures/\n  cvops drift check camera2/*.jpg --detector embedding --detector properties\n  cvops drift check new-pictures/ --html reports/drift.html\n  cvops drift check data/prepared-march --split test --json"
)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Only this detector; several times for several (default: all)
    #[arg(long = "detector", value_name = "NAME")]
    detectors: Vec<String>,
    /// Write all of it as one page, with the pictures that show the difference
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// End with 0 also where there is drift, or a file that cannot be read as a picture
    #[arg(long)]
    no_fail: bool,
    /// Pass over files that cannot be read as pictures: they are named, and do not count
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    params: ParamsArg,
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| one_is_drift(error.seen_from(&ctx.dir)))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let fitted = Fitted::load(&ctx.dir.join(&args.asked.drift))?;
    let predictor = args.asked.predictor(ctx, &fitted)?;
    let new = NewData::read(ctx, &args.asked, &args.params, &predictor)?;
    let selection = if args.detectors.is_empty() {
        Selection::All
    } else {
        Selection::Named(&args.detectors)
    };
    let mut checked = fitted.check(&new.features, selection, &ctx.cancel)?;
    checked.name_pictures(&new.paths);
    checked.notes.extend(new.notes_against(&checked.reference));
    if let Some(path) = &args.html {
        let pictures = new.thumbnails(ctx, &checked.rows_shown())?;
        let about = Illustration {
            fitted: &fitted,
            new: &new.features,
            pictures: Some(&pictures),
            unreadable: &new.unreadable,
            facts: &facts(args),
        };
        let html = page(&checked, about).html();
        write(&ctx.dir.join(path), html.as_bytes())?;
    }
    shown::show(ctx, &checked, &new);
    ctx.out.note(&match &args.html {
        Some(path) => format!("with pictures: `{}`", path.display()),
        None => "`--html FILE` writes all of it as a page, with pictures".to_owned(),
    });
    let is_whole = args.no_fail || args.skip_unreadable || !new.show_left_out(ctx);
    Ok(match checked.verdict {
        Verdict::Drift if args.no_fail => Outcome::Done,
        Verdict::Drift => Outcome::Failed,
        Verdict::NoDrift if is_whole => Outcome::Done,
        Verdict::NoDrift | Verdict::Incomplete => Outcome::Unmade,
    })
}

/// Says what was compared, for the head of the page.
fn facts(args: &Args) -> Vec<(String, String)> {
    let asked = &args.asked;
    let named = asked.paths.iter().take(PATHS_SHOWN);
    let named: Vec<String> = named.map(|path| path.display().to_string()).collect();
    let mut paths = named.join(", ");
    if let Some(more) = asked.paths.len().checked_sub(PATHS_SHOWN + 1) {
        paths += &format!(" and {} more", more + 1);
    }
    if let Some(split) = &asked.split {
        paths += &format!(" ({split} split)");
    }
    [
        ("New pictures", paths),
        ("Model", asked.model.display().to_string()),
        ("Detectors", asked.drift.display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
