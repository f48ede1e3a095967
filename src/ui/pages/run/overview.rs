//! `/runs/{id}`: what a run is, what came out, what it was made from. Imports: track, `ui::*`.

use askama::Template;

use super::charts::Budget;
use super::difference::Difference;
use super::head::{Head, Part, layout};
use super::seen::{Seen, id_of};
use super::tables::{self, Which};
use crate::base::clock;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::entity::LoggedModel;
use crate::track::{Artifacts, Error, Reader, RunId};
use crate::ui::asked::{Asked, segment};
use crate::ui::layout::Layout;
use crate::ui::pages::conflict;
use crate::ui::parts::markdown::{self, Prose};
use crate::ui::parts::table::{DataTable, as_file};
use crate::ui::reply;
use crate::ui::site::Site;

/// The tag that holds the notes of a run.
pub(super) const NOTE: &str = "mlflow.note.content";

/// The artifact that says how the work tree differed from the commit.
const WORKSPACE_DIFF: &str = "cvops/workspace.diff";

/// By these files a folder of artifacts is known as a model: ours, MLflow's.
const MODEL_FILES: [&str; 2] = ["model.json", "MLmodel"];

/// How tags begin that programs set.
const OF_PROGRAMS: [&str; 2] = ["mlflow.", "cvops."];

/// Parts that a page shows.
const PARTS_MAX: usize = 50;

/// A longer lock is cut, bytes.
const LOCK_BYTES_MAX: usize = 128 << 10;

/// Where a run stood in git.
struct GitShown {
    commit: String,
    short: String,
    branch: String,
    /// What is known of changes.
    state: &'static str,
    /// The differences from the commit.
    diff_href: String,
}

/// A tag.
struct TagShown {
    key: String,
    value: String,
}

/// A model that the run made.
struct ModelShown {
    /// Where its files are, as the form that registers it says.
    source: String,
    name: String,
    /// `m-…`, of a logged model.
    id: String,
    href: String,
    /// What is known of it.
    note: String,
}

/// A link.
struct Link {
    text: String,
    href: String,
}

#[derive(Template)]
#[template(path = "pages/run/overview.html")]
struct Page {
    layout: Layout,
    head: Head,
    href: String,
    id: String,
    experiment: Link,
    user: String,
    source: String,
    targets: String,
    started: String,
    ended: String,
    git: Option<GitShown>,
    parent: Option<Link>,
    host: String,
    note: Prose,
    note_text: String,
    note_mark: String,
    tags: Vec<TagShown>,
    system_tags: Vec<TagShown>,
    models: Vec<ModelShown>,
    versions: Vec<Link>,
    metrics: DataTable,
    params: DataTable,
    stages: DataTable,
    parts: DataTable,
    data: DataTable,
    difference: Option<Difference>,
    /// What the form asks to compare with.
    diff_with: String,
    lock: String,
    commands: Vec<String>,
    registered: Vec<String>,
}

/// What is read at one moment.
struct Read {
    parent: Option<Link>,
    other: Option<Seen>,
    metrics: DataTable,
    parts: DataTable,
    models: Vec<ModelShown>,
    versions: Vec<(String, i64)>,
    registered: Vec<String>,
    has_diff: bool,
}

pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let seen = Seen::of(asked)?;
    let with = asked
        .query
        .filled("diff")
        .map(str::trim)
        .map(id_of)
        .transpose()?;
    let read = asked
        .shared
        .read(|reader| read(asked, reader, &seen, with))?;
    let params = tables::params(asked, &seen);
    let stages = tables::stages(asked, &seen);
    let data = tables::data(asked, &seen.record.datasets);
    let difference = read
        .other
        .as_ref()
        .map(|other| Difference::of(asked, &seen, other));
    let mut tables = vec![&params, &read.metrics, &stages, &read.parts, &data];
    if let Some(difference) = &difference {
        tables.extend([&difference.params, &difference.metrics, &difference.stages]);
    }
    if let Some(file) = as_file(asked, &tables)? {
        return Ok(file);
    }
    let info = &seen.record.info;
    let (system_tags, tags) = tags(&seen);
    let git = git(&seen, read.has_diff);
    let page = Page {
        layout: layout(site, asked, &seen, Part::Overview),
        head: Head::new(asked, &seen, Part::Overview),
        href: seen.href(),
        id: seen.id().to_string(),
        experiment: Link {
            text: seen.experiment.clone(),
            href: format!("/runs?experiment={}", info.experiment),
        },
        user: info.user.clone(),
        source: source(&seen),
        targets: seen.detail.targets.join(" "),
        started: clock::utc(info.started_ms),
        ended: info.ended_ms.map_or_else(String::new, clock::utc),
        git,
        parent: read.parent,
        host: seen.tag("cvops.host").unwrap_or_default().to_owned(),
        note: markdown::render(seen.tag(NOTE).unwrap_or_default()),
        note_mark: conflict::mark(seen.tag(NOTE).unwrap_or_default()),
        note_text: seen.tag(NOTE).unwrap_or_default().to_owned(),
        tags,
        system_tags,
        models: read.models,
        versions: versions(&read.versions),
        metrics: read.metrics,
        params,
        stages,
        parts: read.parts,
        data,
        difference,
        diff_with: asked.query.filled("diff").unwrap_or_default().to_owned(),
        lock: lock(&seen),
        commands: commands(&seen, read.other.as_ref()),
        registered: read.registered,
    };
    reply::html(asked, &page)
}

fn read(
    asked: &Asked,
    reader: &Reader<'_>,
    seen: &Seen,
    with: Option<RunId>,
) -> Result<Read, Error> {
    let id = seen.id();
    let other = match with {
        Some(other) => Some(other),
        None => reader.run_before(id)?,
    };
    let parent = match seen.detail.parent {
        Some(parent) => match reader.run_info(parent) {
            Ok(info) => Some(Link {
                text: info.name,
                href: format!("/runs/{parent}"),
            }),
            // It was removed for good.
            Err(Error::Refused { .. }) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let (count, parts) = reader.parts_of(id, PARTS_MAX)?;
    Ok(Read {
        parent,
        other: other.map(|id| Seen::read(reader, id)).transpose()?,
        metrics: tables::metrics(asked, reader, seen, Which::Own, &mut Budget::new())?,
        parts: tables::parts(asked, &parts, count),
        models: models(reader, &asked.artifacts, seen)?,
        versions: reader.versions_from(id)?,
        registered: reader.registered_model_names()?,
        has_diff: seen
            .file(reader, &asked.artifacts, WORKSPACE_DIFF)?
            .is_some(),
    })
}

/// Returns the models that a run made: what clients logged as models, and folders that are one.
fn models(
    reader: &Reader<'_>,
    artifacts: &Artifacts,
    seen: &Seen,
) -> Result<Vec<ModelShown>, Error> {
    let outputs = seen.record.model_outputs.iter();
    let ids: Vec<String> = outputs.map(|output| output.model.clone()).collect();
    let logged = reader.logged_models_of(&ids)?;
    let mut models: Vec<ModelShown> = logged.iter().map(of_logged).collect();
    let uri = &seen.record.info.artifact_uri;
    for entry in seen.list(reader, artifacts, "")? {
        let mut folders = vec![entry.name.clone()];
        if entry.is_dir && entry.name == "models" {
            let below = seen.list(reader, artifacts, &entry.name)?;
            let dirs = below.into_iter().filter(|entry| entry.is_dir);
            folders = dirs.map(|dir| format!("models/{}", dir.name)).collect();
        }
        if !entry.is_dir {
            continue;
        }
        for folder in folders {
            for file in MODEL_FILES {
                let path = format!("{folder}/{file}");
                if seen.file(reader, artifacts, &path)?.is_some() {
                    models.push(ModelShown {
                        source: format!("{uri}/{folder}"),
                        href: artifact_href(seen, &folder),
                        name: folder.clone(),
                        id: String::new(),
                        note: String::new(),
                    });
                    break;
                }
            }
        }
    }
    Ok(models)
}

fn of_logged(model: &LoggedModel) -> ModelShown {
    let registered = model.registrations.first();
    ModelShown {
        source: format!("models:/{}", model.id),
        name: model.name.clone(),
        id: model.id.clone(),
        href: registered.map_or_else(String::new, |(name, version)| {
            format!("/models/{}/{version}", segment(name))
        }),
        note: model.model_type.clone().unwrap_or_default(),
    }
}

/// Returns the address of an artifact's page.
pub(super) fn artifact_href(seen: &Seen, path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(segment).collect();
    format!("{}/artifacts/{}", seen.href(), parts.join("/"))
}

fn versions(versions: &[(String, i64)]) -> Vec<Link> {
    versions
        .iter()
        .map(|(name, version)| Link {
            text: format!("{name} version {version}"),
            href: format!("/models/{}/{version}", segment(name)),
        })
        .collect()
}

fn source(seen: &Seen) -> String {
    if seen.detail.command.is_empty() {
        seen.tag("mlflow.source.name")
            .unwrap_or_default()
            .to_owned()
    } else {
        seen.detail.command.clone()
    }
}

/// Returns the tags of programs, and those of people.
fn tags(seen: &Seen) -> (Vec<TagShown>, Vec<TagShown>) {
    seen.record
        .tags
        .iter()
        .map(|tag| TagShown {
            key: tag.key.clone(),
            value: tag.value.clone(),
        })
        .partition(|tag| OF_PROGRAMS.iter().any(|start| tag.key.starts_with(start)))
}

fn git(seen: &Seen, has_diff: bool) -> Option<GitShown> {
    let commit = match &seen.detail.git {
        Some(git) => git.commit.clone(),
        None => seen.tag("mlflow.source.git.commit")?.to_owned(),
    };
    let known = seen.detail.git.as_ref();
    let branch = known
        .and_then(|git| git.branch.clone())
        .or_else(|| seen.tag("mlflow.source.git.branch").map(str::to_owned));
    Some(GitShown {
        short: commit.chars().take(10).collect(),
        commit,
        branch: branch.unwrap_or_default(),
        state: match known.map(|git| git.dirty) {
            Some(Some(true)) => "with changes",
            Some(Some(false)) => "clean",
            Some(None) | None => "changes not known",
        },
        diff_href: if has_diff {
            artifact_href(seen, WORKSPACE_DIFF)
        } else {
            String::new()
        },
    })
}

fn lock(seen: &Seen) -> String {
    let text = seen.detail.lock.as_deref().unwrap_or_default();
    let mut end = text.len().min(LOCK_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Returns what can be typed about this run.
fn commands(seen: &Seen, other: Option<&Seen>) -> Vec<String> {
    let short = seen.id().short();
    let mut commands = Vec::new();
    if seen.is_deleted() {
        commands.push(format!("cvops runs restore {short}"));
        return commands;
    }
    commands.push(format!("cvops runs show {short}"));
    if seen.detail.lock.is_some() {
        commands.push(format!("cvops runs apply {short}"));
    }
    if let Some(other) = other {
        commands.push(format!("cvops runs diff {} {short}", other.id().short()));
    }
    commands
}
