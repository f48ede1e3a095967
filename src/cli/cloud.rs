//! `cvops status --cloud`: how the cache and remotes differ.

use serde_json::{Map, Value};

use super::ctx::Ctx;
use super::error::CliError;
use super::exit::Outcome;
use super::out::{Form, Style};
use super::sync::{self, Chosen, Mover, OfCommits, Where};
use crate::report::{Align, Table};
use crate::store::Standing;

/// The flags of `status` about remotes.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Flags {
    /// Compare the cache with a remote instead
    #[arg(short, long)]
    cloud: bool,
    #[command(flatten)]
    commits: OfCommits,
    #[command(flatten)]
    place: Where,
}

impl Flags {
    /// Is this about remotes?
    pub(super) fn is_asked(&self) -> bool {
        let commits = &self.commits;
        self.cloud
            || self.place.is_named()
            || commits.all_branches
            || commits.all_tags
            || commits.all_commits
    }
}

/// Shows which files are not both in the cache and on their remote; `Changes` if there are some.
pub(super) fn show(ctx: &Ctx, targets: &[String], flags: &Flags) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let request = flags.place.request();
    let chosen = Chosen::of_targets(targets);
    let mover = Mover::new(ctx, &project, "comparing");
    let (standings, remotes) = mover.run(|mover| {
        let (_, used) = sync::used_by(ctx, mover, &request, &chosen, &flags.commits)?;
        Ok::<_, CliError>(mover.compare(&used, &request)?)
    })?;
    match ctx.out.form {
        Form::Json => {
            let paths = standings.iter();
            let paths = paths.map(|(path, s)| (path.clone(), Value::from(name(*s))));
            ctx.out.json(&Value::Object(paths.collect::<Map<_, _>>()));
        }
        Form::Md if !standings.is_empty() => {
            let mut table = Table::new([("state", Align::Left), ("path", Align::Left)]);
            for (path, standing) in &standings {
                table.row([name(*standing), path]);
            }
            ctx.out.table(&table);
        }
        Form::Text | Form::Md if standings.is_empty() => {
            let remotes = remotes.join("`, `");
            ctx.out
                .result(&format!("the cache and the remote `{remotes}` are in sync"));
        }
        Form::Text | Form::Md => {
            for (path, standing) in &standings {
                let style = match standing {
                    Standing::New => Style::Changed,
                    Standing::Deleted => Style::Strong,
                    Standing::Missing => Style::Bad,
                };
                let state = format!("{:<20}", format!("{}:", name(*standing)));
                ctx.out
                    .result(&format!("\t{}{path}", ctx.out.paint(style, &state)));
            }
        }
    }
    Ok(match (standings.is_empty(), ctx.out.is_quiet()) {
        (true, _) => Outcome::Done,
        // As in DVC: with nothing shown, the exit code tells.
        (false, true) => Outcome::Failed,
        (false, false) => Outcome::Changes,
    })
}

/// DVC's words: what a push would bring is new, what only the remote has was deleted here.
fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "new",
        Standing::Deleted => "deleted",
        Standing::Missing => "missing",
    }
}
