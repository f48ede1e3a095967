//! `cvops add`: track files and folders.

use serde_json::json;

use crate::base::units;
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::sync::Mover;
use crate::cli::tracked;
use crate::data::add::{self, Added, Bytes, Change, add};
use crate::data::sync::Request;
use crate::data::{Tracked, bring, pattern, to_remote};
use crate::project::Project;

/// Track files and folders: their bytes go into the cache, a small pointer file goes into git
///
/// A folder is tracked as a whole, with one pointer. Adding again brings the pointer up to date;
/// adding a file inside a tracked folder, or one that was removed there, updates the pointer of that
/// folder without looking at the other files in it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cvops add data/raw               a folder as a whole\n  cvops add data/raw/new.png       one more file in it\n  cvops add --glob 'data/*.zip'    each file that fits\n  cvops add ~/scans --out data/raw a copy of a folder from elsewhere\n  cvops add ~/scans --to-remote --out data/raw   only to the remote, with a pointer here"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(in crate::cli) struct Args {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    targets: Vec<String>,
    /// Only write the pointers: the bytes stay out of the cache until `cvops commit`
    #[arg(long)]
    no_commit: bool,
    /// The paths are patterns: `*`, `?`, `[abc]`, and `**` for any folders
    #[arg(long)]
    glob: bool,
    /// Copy the file or folder to this place in the project first
    #[arg(short, long, value_name = "PATH")]
    out: Option<String>,
    /// Replace what stands at `--out`; what was there is kept in the cache
    #[arg(short, long, requires = "out")]
    force: bool,
    /// Leave the files as they are, even if the settings ask for links into the cache
    #[arg(long)]
    no_relink: bool,
    /// Send the file or folder to the remote and keep only the pointer; the cache gets no copy
    #[arg(long, conflicts_with_all = ["no_commit", "glob", "no_relink", "force"])]
    to_remote: bool,
    /// With `--to-remote`: the remote (default: `core.remote`)
    #[arg(short, long, value_name = "NAME", requires = "to_remote")]
    remote: Option<String>,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let project = ctx.project()?;
    let _lock = ctx.lock(&project, "cvops add")?;
    let mut tracked = tracked::open_unlocked(ctx, &project, &args.targets)?;
    if args.to_remote {
        let outcome = send(ctx, &project, &mut tracked, args)?;
        return tell(ctx, &project, &outcome);
    }
    let targets = if let Some(out) = &args.out {
        let to = tracked.locate(&ctx.dir, out)?;
        let source = one_source(args)?;
        let force = if args.force {
            bring::Existing::Replace
        } else {
            bring::Existing::Refuse
        };
        bring::bring(&tracked, &ctx.dir.join(source), &to, force)?;
        vec![to]
    } else {
        let paths = tracked::paths(ctx, &project, &args.targets)?;
        if args.glob {
            let found = paths.iter().map(|path| pattern::expand(&project, path));
            found.collect::<Result<Vec<_>, _>>()?.concat()
        } else {
            paths
        }
    };
    let bytes = match (args.no_commit, args.no_relink) {
        (true, _) => Bytes::Hashed,
        (false, true) => Bytes::StoredOnly,
        (false, false) => Bytes::Stored,
    };
    let outcome = add(&mut tracked, &targets, bytes)?;
    tracked.store.finish();
    tell(ctx, &project, &outcome)
}

/// Sends one file or folder to the remote.
fn send(
    ctx: &Ctx,
    project: &Project,
    tracked: &mut Tracked<'_>,
    args: &Args,
) -> Result<add::Outcome, CliError> {
    let source = ctx.dir.join(one_source(args)?);
    let name = source.file_name().and_then(|name| name.to_str());
    let out = args.out.as_deref().or(name).unwrap_or_default();
    let to = tracked.locate(&ctx.dir, out)?;
    let request = Request {
        remote: args.remote.as_deref(),
        ..Request::default()
    };
    let mover = Mover::new(ctx, project, "sending");
    Ok(mover.run(|sync| to_remote::send(tracked, &source, &to, sync, &request))?)
}

fn tell(ctx: &Ctx, project: &Project, outcome: &add::Outcome) -> Result<Outcome, CliError> {
    if ctx.out.form == Form::Json {
        let added: Vec<_> = outcome.added.iter().map(to_json).collect();
        let files = tracked::for_git_json(project, &outcome.for_git);
        ctx.out.json(&json!({"added": added, "for_git": files}));
        tracked::tell_git(ctx, project, &outcome.for_git)?;
        return Ok(Outcome::Done);
    }
    for added in &outcome.added {
        ctx.out.note(&sentence(added));
        for object in &added.damaged {
            ctx.out.note(&format!(
                "  its version before is damaged in the cache: {object} was written to through a link, and was moved to the cache's `corrupt` folder"
            ));
        }
    }
    tracked::tell_git(ctx, project, &outcome.for_git)?;
    Ok(Outcome::Done)
}

fn one_source(args: &Args) -> Result<&str, CliError> {
    match args.targets.as_slice() {
        [one] => Ok(one),
        _ => Err(CliError::usage(
            crate::base::Diagnostic::error(
                "one-source",
                "`--out` and `--to-remote` take one file or folder",
            )
            .help("add them one by one, or copy them into a folder and add that"),
        )),
    }
}

fn sentence(added: &Added) -> String {
    let (path, pointer) = (&added.path, &added.pointer);
    let size = units::bytes(added.present.size);
    let what = match added.present.files {
        Some(1) => format!("1 file, {size}"),
        Some(n) => format!("{n} files, {size}"),
        None => size,
    };
    if added.is_gone {
        return format!("updated {pointer}: `{path}` is gone ({what} left)");
    }
    match added.change {
        Change::New => format!("added `{path}` ({what}): {pointer}"),
        Change::Updated => format!("updated {pointer} for `{path}` ({what})"),
        Change::None => format!("`{path}` is as {pointer} says already"),
    }
}

fn to_json(added: &Added) -> serde_json::Value {
    let change = match added.change {
        Change::New => "new",
        Change::Updated => "updated",
        Change::None => "none",
    };
    json!({
        "path": added.path.as_str(),
        "pointer": added.pointer.as_str(),
        "hash": added.present.object.to_string(),
        "size": added.present.size,
        "files": added.present.files,
        "change": change,
        "gone": added.is_gone,
        "damaged": added.damaged.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
