//! `cvops du`: how much is where.

use serde_json::json;

use crate::base::units;
use crate::cli::cmd::ls::Place;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::data::browse::rows;
use crate::report::{Align, Table};

/// Show how much files and tracked data hold, checked out or not
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cvops du data\n  cvops du --rev v1.0 -s")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,
    /// Only the sum
    #[arg(short, long)]
    summarize: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let (tree, path) = args.place.look(ctx)?;
    let mut rows = rows(&tree, path.as_ref(), false);
    let total: u64 = rows.iter().filter_map(|row| row.item.size).sum();
    rows.sort_by_key(|row| (row.item.size, row.path.clone()));
    if args.summarize {
        rows.clear();
    }
    let name = path.map_or(".".to_owned(), |path| path.to_string());
    if ctx.out.form == Form::Json {
        let entries = rows
            .iter()
            .map(|row| json!({"path": row.path, "size": row.item.size}));
        let entries: Vec<_> = entries.collect();
        ctx.out
            .json(&json!({"path": name, "size": total, "entries": entries}));
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([("size", Align::Right), ("path", Align::Left)]);
    for row in &rows {
        let size = row.item.size.map_or(String::new(), units::bytes);
        table.row([size, row.path.clone()]);
    }
    table.row([units::bytes(total), name]);
    ctx.out.table(&table);
    Ok(Outcome::Done)
}
