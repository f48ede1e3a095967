//! `cvops runs export`.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::fs::Staged;
use crate::base::{self, Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::project::Project;
use crate::track::db::{Histories, Names};
use crate::track::entity::View;
use crate::track::exchange::{csv, jsonl};
use crate::track::{Reader, RunId, Tracking};

/// Write runs to a file or to the output: as a table for a spreadsheet, or whole
///
/// `csv` has one row per run, with columns called as those of `mlflow.search_runs`. `jsonl` has one
/// line per run with everything: histories of metrics, params, tags, stages, the lock, the hashes of
/// artifacts. `cvops runs import` of it gives the same runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops runs export --all -o runs.csv\n  cvops runs export --experiment pets -o pets.jsonl\n  cvops runs export last"
)]
pub(super) struct Args {
    /// Names, the first digits of ids, or `last`
    #[arg(value_name = "RUN", required_unless_present_any = ["experiment", "all"])]
    runs: Vec<String>,
    /// All runs of this experiment
    #[arg(long, value_name = "NAME", conflicts_with_all = ["runs", "all"])]
    experiment: Option<String>,
    /// All runs
    #[arg(long, conflicts_with = "runs")]
    all: bool,
    /// With `--all` or `--experiment`: deleted runs too
    #[arg(long, conflicts_with = "runs")]
    deleted: bool,
    /// A table, or whole runs; without it a file called `*.csv` gets a table, all else whole runs
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One row per run
    Csv,
    /// One line of JSON per run, with everything
    Jsonl,
}

impl Args {
    fn format(&self) -> Format {
        let by_name = || {
            let extension = self.output.as_deref().and_then(Path::extension);
            if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
                Format::Csv
            } else {
                Format::Jsonl
            }
        };
        self.format.unwrap_or_else(by_name)
    }
}

pub(super) fn run(ctx: &Ctx, project: &Project, args: &Args) -> Result<Outcome, CliError> {
    if ctx.out.form != Form::Text && args.output.is_none() {
        return Err(CliError::usage(
            Diagnostic::error(
                "usage",
                "the runs themselves go to the output in their own format",
            )
            .help("leave `--json` and `--md` out, or name a file with `-o`"),
        ));
    }
    let format = args.format();
    let tracking = super::open(project)?;
    let ids = chosen(&tracking, args)?;
    let reader = tracking.reader();
    let Some(path) = &args.output else {
        write(&reader, &ids, format, &mut |line| {
            // `result` ends the line itself.
            ctx.out.result(line.strip_suffix('\n').unwrap_or(line));
            Ok(())
        })?;
        return Ok(Outcome::Done);
    };
    let path = ctx.dir.join(path);
    let failed = |e| base::Error::io("write", &path)(e);
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut staged = Staged::new_in(dir).map_err(failed)?;
    write(&reader, &ids, format, &mut |line| {
        let written = staged.file().write_all(line.as_bytes());
        written.map_err(|e| base::Error::io("write", &path)(e).into())
    })?;
    staged
        .finish(&path)
        .map_err(|e| base::Error::io("write", &path)(e))?;
    if ctx.out.form == Form::Json {
        ctx.out
            .json(&json!({"runs": ids.len(), "file": path.display().to_string()}));
    } else {
        ctx.out.note(&format!(
            "{} written to `{}`",
            units::count(ids.len(), "run"),
            path.display()
        ));
    }
    Ok(Outcome::Done)
}

fn chosen(tracking: &Tracking, args: &Args) -> Result<Vec<RunId>, CliError> {
    if args.all || args.experiment.is_some() {
        let view = if args.deleted {
            View::All
        } else {
            View::Active
        };
        return Ok(tracking
            .reader()
            .run_ids(args.experiment.as_deref(), view)?);
    }
    let mut ids = Vec::new();
    for name in &args.runs {
        let run = tracking.find(name)?;
        if !ids.contains(&run.id) {
            ids.push(run.id);
        }
    }
    Ok(ids)
}

fn write(
    reader: &Reader<'_>,
    ids: &[RunId],
    format: Format,
    put: &mut dyn FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let names = match format {
        Format::Csv => {
            let names = reader.names_of(ids)?;
            put(&csv::head(&names)?)?;
            names
        }
        Format::Jsonl => Names::default(),
    };
    for id in ids {
        let line = match format {
            Format::Csv => csv::row(&reader.whole_run(*id, Histories::Latest)?, &names)?,
            Format::Jsonl => {
                let run = reader.whole_run(*id, Histories::Whole)?;
                format!("{}\n", jsonl::line(&run, &reader.whole_models_of(*id)?))
            }
        };
        put(&line)?;
    }
    Ok(())
}
