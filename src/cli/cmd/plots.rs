//! `cvops plots show|diff`: plots as one page that needs no network.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, json};

use crate::base::{self, fs, units};
use crate::cli::compare::{SidesArg, TargetsArg, nothing_declared, warn};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::compare::page::{Drawing, drawings, page};
use crate::compare::plots::{self, Content, Plot};
use crate::compare::{Reader, Side};
use crate::project::{self, Project};
use crate::report::page::ImageKind;

/// Show plots, and how they changed, as a page
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  cvops plots show\n  cvops plots diff"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Draw the plots of the workspace
    ///
    /// Tables (.jsonl, .json, .csv, .tsv) become curves, tables of `actual` and `predicted` labels a
    /// confusion matrix, images are shown as they are.
    #[command(after_help = "Examples:\n  cvops plots show\n  cvops plots show -o plots.html")]
    Show(ShowArgs),
    /// Draw the plots of two revisions, runs or the workspace over each other
    #[command(
        after_help = "Examples:\n  cvops plots diff                   HEAD against the workspace\n  cvops plots diff v1.0 main -o plots.html"
    )]
    Diff(DiffArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    targets: TargetsArg,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Debug, clap::Args)]
struct DiffArgs {
    #[command(flatten)]
    sides: SidesArg,
    #[command(flatten)]
    targets: TargetsArg,
    #[command(flatten)]
    output: OutputArg,
}

#[derive(Debug, clap::Args)]
struct OutputArg {
    /// Where to write: an HTML file, or with --svg a folder (default: in .cvops/tmp/)
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// One SVG file for each chart instead of a page
    #[arg(long)]
    svg: bool,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    let project = ctx.project()?;
    let mut reader = Reader::open(&project);
    let (mut sides, targets, output): (Vec<Side>, _, _) = match &args.action {
        Action::Show(args) => (vec![reader.workspace()?], &args.targets, &args.output),
        Action::Diff(args) => {
            let sides = args.sides.open(&mut reader)?;
            (sides.into(), &args.targets, &args.output)
        }
    };
    let targets = targets.paths(ctx, &project)?;
    if targets.is_empty() && sides.iter().all(|side| side.subjects.plots.is_empty()) {
        return Err(nothing_declared(
            "plots",
            "list the file under `plots` of its stage: `plots: [reports/train.jsonl]`",
        ));
    }
    if let Action::Diff(args) = &args.action {
        args.sides.note(ctx, &sides[0]);
    }
    let (plots, warnings) = plots::read(&mut reader, &mut sides, &targets)?;
    warn(ctx, &warnings);
    let titles: Vec<&str> = sides.iter().map(Side::title).collect();
    if ctx.out.form == Form::Json {
        ctx.out.json(&to_json(&plots));
        if output.output.is_none() {
            return Ok(Outcome::Done);
        }
    }
    let written = if output.svg {
        write_files(ctx, &project, output, &plots)?
    } else {
        let name = project.root.file_name().unwrap_or_default();
        let html = page(&plots, &titles, &name.to_string_lossy()).html();
        let path = place(ctx, &project, output, "plots.html")?;
        fs::write_atomic(&path, html.as_bytes()).map_err(base::Error::io("write", &path))?;
        path
    };
    if ctx.out.form != Form::Json {
        let shown = written.strip_prefix(&ctx.dir).unwrap_or(&written);
        ctx.out.result(&shown.display().to_string());
    }
    Ok(Outcome::Done)
}

/// Returns where to write, with its folder made.
fn place(
    ctx: &Ctx,
    project: &Project,
    output: &OutputArg,
    name: &str,
) -> Result<PathBuf, CliError> {
    let path = match &output.output {
        Some(path) => ctx.dir.join(path),
        None => {
            project::init::ensure_state_dir(&project.layout)?;
            project.layout.tmp().join(name)
        }
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(base::Error::io("create folder", folder))?;
    }
    Ok(path)
}

/// Writes each chart and image into a file of its own; returns their folder.
fn write_files(
    ctx: &Ctx,
    project: &Project,
    output: &OutputArg,
    plots: &[Plot],
) -> Result<PathBuf, CliError> {
    let folder = place(ctx, project, output, "plots")?;
    fs::create_dir_all(&folder).map_err(base::Error::io("create folder", &folder))?;
    let mut count = 0;
    for plot in plots {
        for drawing in drawings(plot) {
            let (name, extension, bytes) = match drawing {
                Drawing::Chart { name, svg } => (name, "svg", svg.into_string().into_bytes()),
                Drawing::Image { name, kind, bytes } => (name, extension(kind), bytes),
            };
            let file = format!("{}-{name}.{extension}", plot.path);
            let plain = |c: char| {
                if c.is_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '_'
                }
            };
            let path = folder.join(file.chars().map(plain).collect::<String>());
            fs::write_atomic(&path, &bytes).map_err(base::Error::io("write", &path))?;
            count += 1;
        }
    }
    ctx.out
        .note(&format!("wrote {}", units::count(count, "file")));
    Ok(folder)
}

fn extension(kind: ImageKind) -> &'static str {
    match kind {
        ImageKind::Png => "png",
        ImageKind::Jpeg => "jpg",
        ImageKind::Gif => "gif",
        ImageKind::Webp => "webp",
        ImageKind::Svg => "svg",
    }
}

/// Returns the plots as DVC lists them: by file, the data points of each side.
fn to_json(plots: &[Plot]) -> serde_json::Value {
    let mut data = Map::new();
    for plot in plots {
        let there = plot
            .versions
            .iter()
            .filter(|v| v.content != Content::Absent);
        let revisions: Vec<&str> = there.map(|v| v.side.as_str()).collect();
        let mut points = Map::new();
        let mut kind = "table";
        for version in &plot.versions {
            match &version.content {
                Content::Absent => {}
                Content::Rows(rows) => {
                    points.insert(version.side.clone(), json!(rows));
                }
                Content::Image(image, _) => kind = image.media_type(),
            }
        }
        let entry = json!([{"type": kind, "revisions": revisions, "datapoints": points}]);
        data.insert(plot.path.to_string(), entry);
    }
    json!({"data": data})
}
