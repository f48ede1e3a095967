//! `cvops init --template`: a folder of pictures becomes a running project.
//!
//! First everything is read, then everything is written: a data folder that is none leaves no
//! half-made project behind.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

use crate::base::doc::{Document, Format, KeyPath, Value};
use crate::base::{self, Diagnostic, fs, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::Form;
use crate::cli::templates;
use crate::vision;
use crate::vision::dataset::{Dataset, Located, Search, Starter, folder_of, locate, scan};

use super::init::create;

/// Where pictures are expected when there are none yet.
const PLACEHOLDER: &str = "data/images";

/// The files of the template `vision` that are compared when they are there already.
const PIPELINE_FILE: &str = "pipeline.yaml";
const PARAMS_FILE: &str = "params.yaml";

/// What the project begins with.
#[derive(Debug, clap::Args)]
pub(super) struct TemplateArgs {
    /// Begin with these files; may be given more than once
    #[arg(long, value_name = "NAME")]
    template: Vec<Template>,
    /// Folder of pictures or manifest, inside the project; found by itself if not given
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
        let folder = folder(ctx, data)?;
        let starter = found.map_or_else(Starter::unseen, |found| Starter::of(&found.dataset));
        files.extend(templates::vision(data, &folder, &starter));
    }
    if wants(Template::Monitoring) {
        files.extend(templates::monitoring());
    }

    let mut created = create(ctx)?;
    let mut kept = Vec::new();
    for (name, text) in files {
        let path = ctx.dir.join(name);
        if path.exists() {
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            if there != text {
                let lacks = lacking(name, there, text);
                kept.push(Kept { name, lacks });
            }
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
            refuse_deeper(&search)?;
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

/// Returns the folder that holds all of the data `data`, both relative to the project.
fn folder(ctx: &Ctx, data: &str) -> Result<String, CliError> {
    let path = ctx.dir.join(data);
    let folder = folder_of(&path).strip_prefix(&ctx.dir);
    match folder.ok().and_then(Path::to_str) {
        Some("") => Err(CliError::usage(
            Diagnostic::error(
                "data-is-project",
                format!("`{data}` lies directly in the project folder, among what the pipeline writes"),
            )
            .help(format!(
                "move it and its pictures down, into a folder such as `{PLACEHOLDER}`: paths in it are relative to its folder"
            )),
        )),
        Some(folder) => Ok(folder.to_owned()),
        None => Ok(data.to_owned()),
    }
}

/// The project folder itself cannot be the data: outputs would lie among the classes.
fn refuse_loose_classes(ctx: &Ctx) -> Result<(), CliError> {
    let Ok(Dataset { classes, given, .. }) = scan(&ctx.dir) else {
        return Ok(());
    };
    let names: Vec<&str> = if given.is_empty() {
        classes.iter().map(String::as_str).collect()
    } else {
        given.iter().map(|split| split.name()).collect()
    };
    let error = Diagnostic::error(
        "data-is-project",
        "the pictures lie directly in the project folder, among what the pipeline writes",
    );
    // Arrays have splits, but no folders of that name; `val` may be the folder `valid`.
    if !names.iter().all(|name| ctx.dir.join(name).is_dir()) {
        return Err(CliError::usage(error.help(format!(
            "move them down into the folder `{PLACEHOLDER}`, and run this again"
        ))));
    }
    const SHOWN: usize = 3;
    let shown = names[..names.len().min(SHOWN)].join(" ");
    let more = if SHOWN < names.len() { " …" } else { "" };
    Err(CliError::usage(
        error
            .note(format!("found here: {shown}{more}"))
            .help(format!(
                "move them down, `mkdir -p {PLACEHOLDER} && mv {shown}{more} {PLACEHOLDER}`, and run this again"
            )),
    ))
}

/// A set further down than is looked is most likely the one: a project that awaits pictures in another
/// folder would be a mistake.
fn refuse_deeper(search: &Search) -> Result<(), CliError> {
    let Some(Located { path, dataset }) = &search.deeper else {
        return Ok(());
    };
    let pictures = units::count(dataset.images.len(), "picture");
    let classes = dataset.classes.len();
    let shown = quoted(path);
    Err(CliError::usage(
        Diagnostic::error(
            "data-deeper",
            format!("found no pictures in the usual folders, but {pictures} of {classes} classes in {path}"),
        )
        .help(format!("if that is it: `cvops init --template vision --data {shown}`")),
    ))
}

/// Returns `path` as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    if path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// A file that was there, and is not what the template would write.
struct Kept {
    name: &'static str,
    lacks: Lacks,
}

/// What of the template a file that was kept does not have.
#[derive(Debug, PartialEq, Eq)]
enum Lacks {
    Nothing,
    /// The pipeline has no such stages.
    Stages(Vec<String>),
    /// The parameters have no such sections.
    Sections(Vec<String>),
}

/// Compares the file `name`, in which is `there`, with what the template would write. A file that
/// cannot be read as YAML lacks everything.
fn lacking(name: &str, there: String, template: String) -> Lacks {
    let at = if name == PIPELINE_FILE {
        KeyPath::root().key("stages")
    } else if name == PARAMS_FILE {
        KeyPath::root()
    } else {
        return Lacks::Nothing;
    };
    let keys = |text: String| {
        let document = Document::parse(name, text, Format::Yaml).ok();
        let map = document.and_then(|d| at.get(&d.root).and_then(Value::as_map).cloned());
        map.unwrap_or_default()
    };
    let (there, template) = (keys(there), keys(template));
    let missing: Vec<String> = template
        .into_keys()
        .filter(|key| !there.contains_key(key))
        .collect();
    if missing.is_empty() {
        Lacks::Nothing
    } else if at.is_root() {
        Lacks::Sections(missing)
    } else {
        Lacks::Stages(missing)
    }
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

fn show(ctx: &Ctx, search: Option<&Search>, created: &[String], kept: &[Kept]) {
    let found = search.and_then(|search| search.found.as_ref());
    let also = search.map_or(&[][..], |search| &search.also);
    if ctx.out.form == Form::Json {
        let names: Vec<&str> = kept.iter().map(|kept| kept.name).collect();
        let lacking: BTreeMap<&str, &Vec<String>> = kept
            .iter()
            .filter_map(|kept| match &kept.lacks {
                Lacks::Nothing => None,
                Lacks::Stages(missing) | Lacks::Sections(missing) => Some((kept.name, missing)),
            })
            .collect();
        ctx.out.json(&json!({
            "created": created,
            "kept": names,
            "lacking": lacking,
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
                "also found {other}; for that, remove pipeline.yaml and params.yaml and run this again with `--data {}`",
                quoted(other)
            ));
        }
    }
    let is_whole = kept.iter().all(|kept| kept.lacks == Lacks::Nothing);
    if created.is_empty() && is_whole {
        ctx.out.result("nothing to do: all of it is there already");
    }
    for name in created {
        ctx.out.result(&format!("created {name}"));
    }
    show_kept(ctx, kept);
    match search {
        Some(Search { found: Some(_), .. }) if is_whole => ctx
            .out
            .note("next: `cvops repro` prepares the pictures, trains a network and judges it"),
        Some(Search {
            found: None,
            refused,
            seen,
            ..
        }) => {
            show_seen(ctx, seen, refused.as_ref());
            let then = if is_whole {
                ", then run `cvops repro`"
            } else {
                ""
            };
            ctx.out.note(&format!(
                "put one folder per class into {PLACEHOLDER} ({PLACEHOLDER}/cat/1.jpg, {PLACEHOLDER}/dog/1.jpg){then}"
            ));
        }
        Some(_) | None => {}
    }
}

/// Says of each file that was kept what that means for the project.
fn show_kept(ctx: &Ctx, kept: &[Kept]) {
    let list = |names: &[String]| format!("`{}`", names.join("`, `"));
    // A pipeline of one's own reads parameters of one's own.
    let own = kept
        .iter()
        .any(|kept| matches!(kept.lacks, Lacks::Stages(_)));
    for Kept { name, lacks } in kept {
        ctx.out.note(&match lacks {
            Lacks::Stages(stages) => format!(
                "kept {name} as it is; it has no stage {}: for those of the template, move it away and run this again",
                list(stages)
            ),
            Lacks::Sections(sections) if !own => format!(
                "kept {name} as it is; it has no section {}, which the stages of the template read: add them, or move it away and run this again",
                list(sections)
            ),
            Lacks::Nothing | Lacks::Sections(_) => format!(
                "kept {name} as it is; to begin anew, move it away and run this again"
            ),
        });
    }
}

/// Says which pictures there are, when they are no data.
fn show_seen(ctx: &Ctx, seen: &[(String, usize)], refused: Option<&vision::Error>) {
    const SHOWN: usize = 3;
    if seen.is_empty() {
        ctx.out.note("found no pictures");
        return;
    }
    let pictures: usize = seen.iter().map(|(_, pictures)| pictures).sum();
    let folders: Vec<&str> = seen.iter().map(|(folder, _)| folder.as_str()).collect();
    let shown = match folders[..folders.len().min(SHOWN)].join(", ") {
        here if here == "." => "this folder".to_owned(),
        shown => shown,
    };
    let more = if SHOWN < folders.len() { ", …" } else { "" };
    ctx.out.note(&format!(
        "found {} in {shown}{more}, but no set with one folder per class",
        units::count(pictures, "picture"),
    ));
    if let Some(refused) = refused {
        ctx.out.note(&refused.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_kept_is_compared_with_the_template() {
        let check = |name: &str, there: &str, template: &str, lacks: Lacks| {
            assert_eq!(
                lacking(name, there.to_owned(), template.to_owned()),
                lacks,
                "{there}"
            );
        };
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let stages = "stages: {train: {cmd: a}, serve: {cmd: b}}";
        let pipeline = PIPELINE_FILE;
        check(
            pipeline,
            "stages: {serve: x, train: y, z: 1}",
            stages,
            Lacks::Nothing,
        );
        check(
            pipeline,
            "stages: {train: y}",
            stages,
            Lacks::Stages(list(&["serve"])),
        );
        for nothing in ["", "stages:", "a: [", "- 1"] {
            let all = Lacks::Stages(list(&["train", "serve"]));
            check(pipeline, nothing, stages, all);
        }
        let params = PARAMS_FILE;
        let sections = Lacks::Sections(list(&["model"]));
        check(params, "train: {epochs: 1}", "model: 1\ntrain: 2", sections);
        check("docker-compose.yml", "", "model: 1", Lacks::Nothing);
    }

    #[test]
    fn a_path_is_shown_as_a_shell_takes_it() {
        assert_eq!(quoted("data/pets/v1.0"), "data/pets/v1.0");
        assert_eq!(quoted("my pet's"), r"'my pet'\''s'");
    }
}
