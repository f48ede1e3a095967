//! `cvops plots show|diff`: plots as one page that needs no network.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Map, json};

use crate::base::{self, ArtifactPath, Diagnostic, fs, units};
use crate::cli::compare::{SidesArg, TargetsArg, in_project, nothing_declared, value_json, warn};
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
        Some(path) => {
            check_free(ctx, project, path, output.svg)?;
            ctx.dir.join(path)
        }
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

/// By this a page of plots is known again.
const PAGE_MARK: &str = "Made by cvops plots.";

/// Checks that nothing of the user's is lost by writing to `path`: nothing that the pipeline declares,
/// and no file that is not such a page already.
fn check_free(ctx: &Ctx, project: &Project, path: &Path, is_folder: bool) -> Result<(), CliError> {
    let refuse = |code: &'static str, why: String| {
        let headline = format!("`{}` is not written: {why}", path.display());
        let diagnostic = Diagnostic::error(code, headline);
        CliError::usage(diagnostic.help("give a new file: `-o plots.html`"))
    };
    let full = ctx.dir.join(path);
    match in_project(ctx, project, &path.to_string_lossy()) {
        Ok(inside) => {
            if let Some(why) = declared(ctx, project, &inside)? {
                return Err(refuse("declared", why));
            }
        }
        // Outside of the project, folders are the user's to make.
        Err(_) => {
            let is_there = full.parent().is_none_or(Path::is_dir);
            if let (false, Some(folder)) = (is_there, path.parent()) {
                let why = format!("there is no folder `{}`", folder.display());
                return Err(refuse("no-folder", why));
            }
        }
    }
    if is_folder {
        return if full.is_file() {
            let why = "with `--svg`, it is a folder, and there is a file".to_owned();
            Err(refuse("is-file", why))
        } else {
            Ok(())
        };
    }
    if full.is_dir() {
        return Err(refuse("is-folder", "it is a folder".to_owned()));
    }
    if !full.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(&full).map_err(base::Error::io("read", &full))?;
    if String::from_utf8_lossy(&bytes).contains(PAGE_MARK) {
        return Ok(());
    }
    let why = "it is there, and no page of plots".to_owned();
    Err(refuse("not-a-page", why))
}

/// Returns what a path is to the pipeline, if it is anything. A stage may well write a page of plots
/// as its output.
fn declared(ctx: &Ctx, project: &Project, path: &ArtifactPath) -> Result<Option<String>, CliError> {
    let (pipeline, lock) = (
        project.personality.pipeline_file,
        project.personality.lock_file,
    );
    if [pipeline, lock].contains(&path.as_str()) {
        return Ok(Some("the pipeline is in it".to_owned()));
    }
    if !project.pipeline_file().exists() {
        return Ok(None);
    }
    let graph = Ctx::graph(project)?;
    let is_touched = |other: &ArtifactPath| other.contains(path);
    for stage in graph.stages() {
        let role = if stage.params.keys().any(|param| is_touched(&param.file)) {
            "reads parameters from it"
        } else if stage.deps.keys().any(is_touched) {
            "depends on it"
        } else if ctx.env.get("CVOPS_STAGE").is_none() && stage.outs.keys().any(is_touched) {
            "writes it"
        } else {
            continue;
        };
        return Ok(Some(format!("stage `{}` {role}", stage.name)));
    }
    Ok(None)
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
                    let rows = rows.iter().map(|row| {
                        let cells = row
                            .iter()
                            .map(|(key, value)| (key.clone(), value_json(value)));
                        serde_json::Value::Object(cells.collect())
                    });
                    points.insert(version.side.clone(), rows.collect());
                }
                Content::Image(image, _) => kind = image.media_type(),
            }
        }
        let entry = json!([{"type": kind, "revisions": revisions, "datapoints": points}]);
        data.insert(plot.path.to_string(), entry);
    }
    json!({"data": data})
}
