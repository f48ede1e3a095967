//! `cvops ls`: what is in the project, tracked data and other files alike.

use serde_json::{Map, Value, json};

use crate::base::fs::Executable;
use crate::base::{ArtifactPath, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Style};
use crate::cli::tracked;
use crate::data::browse::{self, Row, Tree, rows};
use crate::data::used::Commits;
use crate::data::{self, Tracked};
use crate::project::{self, Git, Project};
use crate::report::{Align, Table};

/// List files and tracked data, checked out or not
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "list",
    after_help = "Examples:\n  cvops ls data\n  cvops ls -R --dvc-only          all that is tracked\n  cvops ls --rev v1.0 . models    what another version holds"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,
    /// Every file below, not only the first level
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Only tracked data
    #[arg(long, alias = "tracked")]
    dvc_only: bool,
    /// Show sizes
    #[arg(long)]
    size: bool,
    /// Show hashes
    #[arg(long)]
    show_hash: bool,
}

/// Where to look.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// A folder or file; after the folder of another project (`.` is this one), one in that
    #[arg(value_name = "PATH", num_args = 0..=2)]
    paths: Vec<String>,
    /// Look at this revision instead of the workspace
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let (tree, path) = args.place.look(ctx)?;
    let mut rows = rows(&tree, path.as_ref(), args.recursive);
    if args.dvc_only {
        let holds = |row: &Row| {
            let inside = path
                .as_ref()
                .map_or(String::new(), |path| format!("{path}/"));
            let folder = format!("{inside}{}/", row.path);
            tree.files
                .iter()
                .any(|(at, item)| item.is_out && at.starts_with(&folder))
        };
        rows.retain(|row| row.item.is_out || (row.is_folder && holds(row)));
    }
    match ctx.out.form {
        Form::Json => {
            let rows: Vec<Value> = rows.iter().map(to_json).collect();
            ctx.out.json(&Value::Array(rows));
        }
        Form::Text if !args.size && !args.show_hash => {
            let lines: Vec<String> = rows.iter().map(|row| line(ctx, row)).collect();
            if !lines.is_empty() {
                ctx.out.result(&lines.join("\n"));
            }
        }
        Form::Text | Form::Md => ctx.out.table(&table(ctx, args, &rows)),
    }
    Ok(Outcome::Done)
}

impl Place {
    /// Reads the files of the version that is asked for, with the folder that is meant.
    pub(super) fn look(&self, ctx: &Ctx) -> Result<(Tree, Option<ArtifactPath>), CliError> {
        ctx.listen();
        let (project, text) = match self.paths.as_slice() {
            [] => (ctx.project()?, "."),
            [one] => (ctx.project()?, one.as_str()),
            [top, path, ..] => (other(ctx, top)?, path.as_str()),
        };
        let folder = if self.paths.len() < 2 {
            &ctx.dir
        } else {
            &project.root
        };
        let path = match data::tracked::locate(&project.root, folder, text) {
            Ok(path) => Some(path),
            Err(data::Error::Path {
                source: crate::base::path::PathError::Empty,
                ..
            }) => None,
            Err(error) => return Err(error.into()),
        };
        let tracked = tracked::open(ctx, &project, &[])?;
        let tree = self.tree(&tracked)?.below(path.as_ref());
        tracked.store.finish();
        if tree.files.is_empty()
            && let Some(path) = path
        {
            return Err(data::Error::NothingThere { path }.into());
        }
        Ok((tree, path))
    }

    fn tree(&self, tracked: &Tracked<'_>) -> Result<Tree, CliError> {
        let Some(rev) = &self.rev else {
            return Ok(browse::workspace(tracked)?);
        };
        let mut git = Git::open(tracked.root())?;
        let commit = git.resolve(rev)?;
        let mut commits = Commits::new(git, tracked.project.personality);
        Ok(browse::commit(tracked, &mut commits, &commit)?)
    }
}

fn other(ctx: &Ctx, top: &str) -> Result<Project, CliError> {
    let dir = ctx.dir.join(top);
    Ok(project::discover(&dir, Some(&ctx.env.outer_settings()))?)
}

fn line(ctx: &Ctx, row: &Row) -> String {
    if row.is_folder {
        return ctx.out.paint(Style::Strong, &row.path);
    }
    if row.item.is_out {
        return ctx.out.paint(Style::Changed, &row.path);
    }
    row.path.clone()
}

fn table(ctx: &Ctx, args: &Args, rows: &[Row]) -> Table {
    let mut columns = Vec::new();
    if args.size {
        columns.push(("size", Align::Right));
    }
    if args.show_hash {
        columns.push(("hash", Align::Left));
    }
    columns.push(("path", Align::Left));
    let mut table = Table::new(columns);
    for row in rows {
        let mut cells = Vec::new();
        if args.size {
            cells.push(row.item.size.map_or(String::new(), units::bytes));
        }
        if args.show_hash {
            cells.push(
                row.item
                    .object
                    .map_or(String::new(), |object| object.to_string()),
            );
        }
        cells.push(if ctx.out.form == Form::Md {
            row.path.clone()
        } else {
            line(ctx, row)
        });
        table.row(cells);
    }
    table
}

/// Returns an entry as `dvc ls --json` prints it; the hash is named after its algorithm.
fn to_json(row: &Row) -> Value {
    let mut entry = Map::new();
    entry.insert("isout".to_owned(), json!(row.item.is_out));
    entry.insert("isdir".to_owned(), json!(row.is_folder));
    entry.insert("isexec".to_owned(), json!(row.item.exec == Executable::Yes));
    entry.insert("size".to_owned(), json!(row.item.size));
    let hash = row.item.object.map(|object| object.to_string());
    let key = row
        .item
        .object
        .map_or("md5", |object| object.hash().algo().name());
    entry.insert(key.to_owned(), json!(hash));
    entry.insert("path".to_owned(), json!(row.path));
    Value::Object(entry)
}
