//! `cvops init --template`: a folder of pictures becomes a running project.
//!
//! First everything is read, then everything is written: a data folder that is none leaves no
//! half-made project behind.

use std::path::{Component, Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use crate::base::{self, Diagnostic, fs, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::templates;
use crate::vision::dataset::{Dataset, Located, Search, Starter, locate, scan};

use super::init::create;

/// Where pictures are expected when there are none yet.
const PLACEHOLDER: &str = "data/images";

/// What the project begins with.
#[derive(Debug, clap::Args)]
pub(super) struct TemplateArgs {
    /// Begin with these files; may be given more than once
    #[arg(long, value_name = "NAME")]
    template: Vec<Template>,
    /// Folder of pictures, inside the project; found by itself if not given
    #[arg(long, value_name = "DIR", requires = "template")]
    data: Option<PathBuf>,
}

impl TemplateArgs {
    /// Was a template asked for?
    pub(super) fn is_given(&self) -> bool {
        !self.template.is_empty()
    }
}

/// What there is to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Preprocess, train, evaluate and serve a classifier of pictures
    Vision,
    /// Server, Prometheus and Grafana as containers, with dashboard and alerts
    Monitoring,
}

pub(super) fn run(ctx: &Ctx, args: &TemplateArgs) -> Result<Outcome, CliError> {
    let wants = |template| args.template.contains(&template);
    let search = if wants(Template::Vision) {
        Some(search(ctx, args)?)
    } else {
        None
    };
    let mut files = Vec::new();
    if let Some(search) = &search {
        let found = search.found.as_ref();
        let data = found.map_or(PLACEHOLDER, |found| &found.path);
        let starter = found.map_or_else(Starter::unseen, |found| Starter::of(&found.dataset));
        files.extend(templates::vision(data, &starter));
    }
    if wants(Template::Monitoring) {
        files.extend(templates::monitoring());
    }

    let mut created = create(ctx)?;
    let mut kept = Vec::new();
    for (name, text) in files {
        let path = ctx.dir.join(name);
        if path.exists() {
            let same = std::fs::read(&path).is_ok_and(|there| there == text.as_bytes());
            kept.extend((!same).then_some(name));
        } else {
            let folder = path.parent().unwrap_or(&ctx.dir);
            fs::create_dir_all(folder).map_err(base::Error::io("create folder", folder))?;
            fs::write_atomic(&path, text.as_bytes()).map_err(base::Error::io("write", &path))?;
            created.push(name.to_owned());
        }
    }
    let folder = ctx.dir.join(PLACEHOLDER);
    let awaits = search.as_ref().is_some_and(|search| search.found.is_none());
    if awaits && !folder.exists() {
        fs::create_dir_all(&folder).map_err(base::Error::io("create folder", &folder))?;
        created.push(format!("{PLACEHOLDER}/"));
    }
    show(ctx, search.as_ref(), &created, &kept);
    if wants(Template::Monitoring) {
        ctx.out.note(
            "next: build the image `cvops:local` once, in a clone of cvops (`docker build -f deploy/Dockerfile -t cvops:local .`), then `docker compose up` here",
        );
    }
    Ok(Outcome::Done)
}

/// Finds the pictures: where the user says, or where they usually are.
fn search(ctx: &Ctx, args: &TemplateArgs) -> Result<Search, CliError> {
    let Some(data) = &args.data else {
        let search = locate(&ctx.dir)?;
        if search.found.is_none() {
            refuse_loose_classes(ctx)?;
        }
        return Ok(search);
    };
    let path = inside(ctx, data)?;
    let dataset = scan(&ctx.dir.join(&path))?;
    Ok(Search {
        found: Some(Located { path, dataset }),
        ..Search::default()
    })
}

/// The project folder itself cannot be the data: outputs would lie among the classes.
fn refuse_loose_classes(ctx: &Ctx) -> Result<(), CliError> {
    let Ok(Dataset { classes, given, .. }) = scan(&ctx.dir) else {
        return Ok(());
    };
    let folders: Vec<&str> = if given.is_empty() {
        classes.iter().map(String::as_str).collect()
    } else {
        given.iter().map(|split| split.name()).collect()
    };
    const SHOWN: usize = 3;
    let shown = folders[..folders.len().min(SHOWN)].join(" ");
    let more = if SHOWN < folders.len() { " …" } else { "" };
    Err(CliError::usage(
        Diagnostic::error(
            "data-is-project",
            "the pictures lie directly in the project folder, among what the pipeline writes",
        )
        .note(format!("found here: {shown}{more}"))
        .help(format!(
            "move them down, `mkdir -p {PLACEHOLDER} && mv {shown}{more} {PLACEHOLDER}`, and run this again"
        )),
    ))
}

/// Returns the folder relative to the project, `/`-separated.
fn inside(ctx: &Ctx, data: &Path) -> Result<String, CliError> {
    let refuse = |headline: String, help: String| {
        Err(CliError::usage(
            Diagnostic::error("data-outside", headline).help(help),
        ))
    };
    let shown = data.display();
    let Ok(absolute) = ctx.dir.join(data).canonicalize() else {
        return refuse(
            format!("there is no folder `{shown}`"),
            "check the path that follows `--data`, or leave it out to let cvops look".to_owned(),
        );
    };
    // A link inside the project counts as being inside, wherever it leads.
    let written: PathBuf = data
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    let plain = written
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let relative = if plain {
        Some(written.as_path())
    } else {
        absolute.strip_prefix(&ctx.dir).ok()
    };
    let name = relative.and_then(Path::to_str);
    match name {
        Some("") => {
            refuse_loose_classes(ctx)?;
            refuse(
                "the project folder itself cannot be the data".to_owned(),
                format!("put the pictures into a folder of it, such as `{PLACEHOLDER}`"),
            )
        }
        Some(name) if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        None if ctx.dir.starts_with(&absolute) => refuse(
            format!("the project lies inside `{shown}`"),
            format!("put the pictures into a folder of the project, such as `{PLACEHOLDER}`"),
        ),
        _ => refuse(
            format!(
                "`{shown}` is not inside the project `{}`",
                ctx.dir.display()
            ),
            format!("copy it there: `mkdir -p data && cp -r {shown} {PLACEHOLDER}`"),
        ),
    }
}

fn show(ctx: &Ctx, search: Option<&Search>, created: &[String], kept: &[&str]) {
    let found = search.and_then(|search| search.found.as_ref());
    let also = search.map_or(&[][..], |search| &search.also);
    if ctx.out.form == Form::Json {
        ctx.out.json(&json!({
            "created": created,
            "kept": kept,
            "data": found.map(|found| &found.path),
            "images": found.map(|found| found.dataset.images.len()),
            "classes": found.map(|found| &found.dataset.classes),
            "also": also,
        }));
        return;
    }
    if let Some(Located { path, dataset }) = found {
        ctx.out.note(&format!(
            "found {} of {} classes in {path}",
            units::count(dataset.images.len(), "picture"),
            dataset.classes.len(),
        ));
        for other in also {
            ctx.out.note(&format!(
                "also found {other}; for that, remove pipeline.yaml and params.yaml and run this again with `--data {other}`"
            ));
        }
    }
    if created.is_empty() {
        ctx.out.result("nothing to do: all of it is there already");
    }
    for name in created {
        ctx.out.result(&format!("created {name}"));
    }
    for name in kept {
        ctx.out.note(&format!(
            "kept {name} as it is; to begin anew, move it away and run this again"
        ));
    }
    match search {
        Some(Search { found: Some(_), .. }) => ctx
            .out
            .note("next: `cvops repro` prepares the pictures, trains a network and judges it"),
        Some(Search { refused, .. }) => {
            if let Some(refused) = refused {
                ctx.out.note(&refused.to_string());
            }
            ctx.out.note(&format!(
                "found no pictures: put one folder per class into {PLACEHOLDER} ({PLACEHOLDER}/cat/1.jpg, {PLACEHOLDER}/dog/1.jpg), then run `cvops repro`"
            ));
        }
        None => {}
    }
}
