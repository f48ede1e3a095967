//! `cvops drift score`: which pictures are strange, one by one.

use std::path::PathBuf;

use serde_json::Value;

use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::params::ParamsArg;
use crate::cli::written::write;
use crate::detect::Fitted;
use crate::detect::scored::{Scored, ScoredRow};
use crate::detect::tables::{number, probability};
use crate::report::{Align, Table, Tone};

use super::new_data::{Asked, NewData};
use super::one_is_drift;
use super::shown::percent;

/// The column of the table that says whether a picture is an outlier.
const OUTLIER: usize = 4;

/// Say of each picture how strange it is to a model
///
/// Where `drift check` compares all pictures together with the reference, this looks at one at a time: the score of
/// outliers that `drift fit` fitted (`drift.outlier` in params.yaml), how likely a picture like those of the
/// reference is to have at least this score (p), and whether it is above the threshold. The strangest come first.
///
/// Ends with 0, with 1 if the share of outliers is above `--limit`, and with 2 if something could not be found out: an
/// error, or a file that cannot be read as a picture. Of usual pictures, `drift.outlier.fpr` are called outliers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops drift score new-pictures/\n  cvops drift score camera2/*.jpg --limit 0.05\n  cvops drift score new-pictures/ --csv reports/scores.csv"
)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// How many pictures the table has; `--json` and `--csv` have all
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Write the scores of all pictures as a table of comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The share of outliers (0 to 1) above which the command ends with 1 (default: none)
    #[arg(long, value_name = "SHARE", value_parser = read_share)]
    limit: Option<f64>,
    /// Pass over files that cannot be read as pictures: they are named, and do not count
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    params: ParamsArg,
}

fn read_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("it must be from 0 to 1".to_owned())
    }
}

pub(super) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| one_is_drift(error.seen_from(&ctx.dir)))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let fitted = Fitted::load(&ctx.dir.join(&args.asked.drift))?;
    // Before any picture is read.
    fitted.require_outliers()?;
    let predictor = args.asked.predictor(ctx, &fitted)?;
    let new = NewData::read(ctx, &args.asked, &args.params, &predictor)?;
    let mut scored = fitted.score(&new.features)?;
    scored.name_pictures(&new.paths);
    if let Some(path) = &args.csv {
        write(&ctx.dir.join(path), &csv_of(&scored)?)?;
    }
    let is_above = args.limit.is_some_and(|limit| limit < scored.share);
    show(ctx, args, &scored, &new);
    let is_whole = args.skip_unreadable || !new.show_left_out(ctx);
    Ok(if is_above {
        Outcome::Failed
    } else if is_whole {
        Outcome::Done
    } else {
        Outcome::Unmade
    })
}

fn show(ctx: &Ctx, args: &Args, scored: &Scored, new: &NewData) {
    if ctx.out.form == Form::Json {
        ctx.out.json(&json_of(args, scored, new));
        return;
    }
    let mut table = Table::new([
        ("picture", Align::Left),
        ("class", Align::Left),
        ("score", Align::Right),
        ("p", Align::Right),
        ("outlier", Align::Left),
    ]);
    for one in scored.scores.iter().take(args.top) {
        table.row([
            one.picture.clone().unwrap_or_default(),
            one.class.clone(),
            number(one.score),
            probability(one.p_val),
            yes_or_no(one).to_owned(),
        ]);
        if one.is_outlier {
            table.tone(OUTLIER, Tone::Bad);
        }
    }
    if !table.rows().is_empty() {
        ctx.out.table(&table);
        ctx.out.result("\n");
    }
    let said = format!(
        "outliers: {} of {} ({}, where {} are usual), with a score above {} ({})",
        scored.outliers,
        units::count(scored.rows, "picture"),
        percent(scored.share),
        percent(scored.false_positives),
        number(scored.threshold),
        scored.method,
    );
    match args.limit {
        Some(limit) if limit < scored.share => {
            let said = format!("{said}: more than the limit of {}", percent(limit));
            ctx.out.result(&ctx.out.paint(Style::Bad, &said));
        }
        Some(_) | None => ctx.out.result(&said),
    }
    if args.top < scored.rows {
        let more = units::count(scored.rows - args.top, "picture");
        ctx.out.note(&format!(
            "{more} of lower scores left out: `--top N` shows more, `--json` and `--csv FILE` have all"
        ));
    }
}

fn yes_or_no(one: &ScoredRow) -> &'static str {
    if one.is_outlier { "yes" } else { "no" }
}

/// Returns all scores, with what could not be read.
fn json_of(args: &Args, scored: &Scored, new: &NewData) -> Value {
    // Plain data with texts as keys always has a JSON form.
    let mut value = serde_json::to_value(scored).unwrap_or(Value::Null);
    if let Value::Object(map) = &mut value {
        map.insert("limit".to_owned(), args.limit.into());
        map.insert("unreadable".to_owned(), new.unreadable_json());
        map.insert("unreadable_count".to_owned(), new.unreadable.len().into());
    }
    value
}

/// Returns a line of names, and one for each picture, the strangest first.
fn csv_of(scored: &Scored) -> Result<Vec<u8>, CliError> {
    let failed = |what: String| {
        let headline = format!("the scores cannot be written as CSV: {what}");
        CliError::usage(Diagnostic::error("not-csv", headline))
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["picture", "class", "score", "p_val", "is_outlier"];
    writer
        .write_record(head)
        .map_err(|e| failed(e.to_string()))?;
    for one in &scored.scores {
        let fields = [
            one.picture.clone().unwrap_or_default(),
            one.class.clone(),
            one.score.to_string(),
            one.p_val.to_string(),
            one.is_outlier.to_string(),
        ];
        writer
            .write_record(fields)
            .map_err(|e| failed(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| failed(e.to_string()))
}
