//! `/models/{name}/{version}`: where a version comes from, what was measured, its files, how it is used.
//! Imports: base, track, `ui::*`.

use std::time::Duration;

use askama::Template;
use serde_json::json;

use super::difference::main_metric;
use super::evidence::{Evidence, METRIC_TAG};
use super::model::own_tags;
use super::{
    CHAMPION, NO_STAGE, STAGES, may_write, model_href, number, promote_href, run_href, short,
    stage_cell, status_chip, version_href,
};
use crate::base::{probe, units};
use crate::http::header::HOST;
use crate::http::{HeaderMap, Response};
use crate::mlflow::Refused;
use crate::track::artifacts::path_of_uri;
use crate::track::entity::{RegisteredModel, Tag};
use crate::track::overview::{differing_params, is_table};
use crate::track::promotion::Title;
use crate::track::{Artifacts, Error, Key, Reader, Run, StageOutcome, Status};
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::pages::conflict::mark;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::markdown::{self, Prose};
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::parts::tags::is_tag_of_people;
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::Site;

/// Files that are listed.
const FILES_MAX: usize = 500;

/// Versions that are looked at to find the params that tell them apart.
const OTHERS_MAX: usize = 30;

/// Params in the drawing.
const PARAMS_MAX: usize = 8;

/// How long the prediction server may take to say what it serves.
const SERVER_TIMEOUT: Duration = Duration::from_millis(300);

/// The longest answer of it.
const SERVER_BYTES_MAX: u64 = 64 << 10;

#[derive(Template)]
#[template(path = "pages/models/version.html")]
struct Page {
    layout: Layout,
    name: String,
    version: i64,
    chips: Vec<Chip>,
    description: Prose,
    text: String,
    created: Ago,
    source: String,
    tags: Vec<Tag>,
    lineage: Lineage,
    promote: Option<String>,
    aliases: Vec<String>,
    stage: String,
    metrics: DataTable,
    files: DataTable,
    files_note: String,
    uses: Uses,
    may_write: bool,
    confirm: &'static str,
}

/// What is drawn: data → run → version → server.
struct Lineage {
    data: Vec<(String, String, String)>,
    run: Option<RunCard>,
    /// The run where it is only known by its id, or a link to it elsewhere.
    foreign_run: String,
    server: Option<Serving>,
    server_url: String,
}

struct RunCard {
    name: String,
    href: String,
    state: Chip,
    commit: String,
    branch: String,
    dirty: bool,
    stages: Vec<(String, Chip)>,
    params: Vec<(String, String)>,
}

/// What the prediction server serves.
enum Serving {
    This,
    Other(String),
    /// It tells only those who have a key.
    Closed,
}

/// Commands and snippets.
struct Uses {
    reference: String,
    server: String,
}

struct Known {
    model: RegisteredModel,
    evidence: Evidence,
    params: Vec<(String, String)>,
    files: Files,
}

pub(super) fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let name = asked.param(0);
    if asked.param(1).parse::<i64>().is_err() {
        return by_alias(asked, name);
    }
    let number = number(asked)?;
    let known = asked
        .shared
        .read(|reader| read(reader, &asked.artifacts, name, number))?;
    let tag = known.model.tags.iter().find(|tag| tag.key == METRIC_TAG);
    let main = main_metric(&[&known.evidence], tag.map(|tag| tag.value.as_str()));
    let metrics = metrics(asked, &known.evidence, main.as_ref());
    let files = files(asked, &known.files, name, number);
    if let Some(file) = as_file(asked, &[&metrics, &files])? {
        return Ok(file);
    }
    let version = &known.evidence.version;
    let champion = Title::Alias(CHAMPION.to_owned());
    let may_write = may_write(asked);
    let can_promote = may_write && champion.holder(&known.model) != Some(number);
    let title = format!("{name} · version {number}");
    let alias = version.aliases.first();
    let page = Page {
        layout: Layout::new(site, asked, Section::Models, &title)
            .module("copy.js")
            .crumb("Models", "/models")
            .crumb(name, model_href(name)),
        name: name.to_owned(),
        version: number,
        chips: chips(&known),
        description: markdown::render(version.description.as_deref().unwrap_or_default()),
        text: version.description.clone().unwrap_or_default(),
        created: Ago {
            at_ms: version.created_ms,
            now_ms: asked.now_ms,
        },
        source: version.source.clone(),
        tags: own_tags(&version.tags),
        lineage: lineage(site, &known),
        promote: can_promote.then(|| promote_href(name, number, &champion)),
        aliases: version.aliases.clone(),
        stage: version.stage.clone(),
        files_note: known.files.note(),
        metrics,
        files,
        uses: Uses {
            reference: match alias {
                Some(alias) => format!("{name}@{alias}"),
                None => format!("{name}/{number}"),
            },
            server: address(&asked.headers),
        },
        may_write,
        confirm: match asked.query.get("confirm") {
            Some("delete") => "delete",
            _ => "",
        },
    };
    reply::html(asked, &page)
}

/// `/models/cats/champion` leads to the version that has the alias now.
fn by_alias(asked: &Asked, name: &str) -> Result<Response, Refused> {
    let alias = asked.param(1).trim_start_matches('@');
    let version = asked.shared.read(|reader| {
        reader.registered_model(name)?;
        match reader.version_by_alias(name, alias) {
            Ok(version) => Ok(Some(version.version)),
            Err(Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    match version {
        Some(version) => reply::see_other(&version_href(name, version)),
        None => Err(Refused::missing(format!(
            "`{name}` has no version or alias `{alias}`"
        ))),
    }
}

impl Page {
    /// What the form of the description begins with.
    fn began(&self) -> String {
        mark(&self.text)
    }

    /// Tags that the form removes.
    fn removable(&self) -> impl Iterator<Item = &Tag> {
        self.tags.iter().filter(|tag| is_tag_of_people(&tag.key))
    }

    fn href(&self) -> String {
        version_href(&self.name, self.version)
    }

    /// All stages, and whether the version is in each.
    fn stages(&self) -> [(&'static str, bool); 4] {
        [NO_STAGE, STAGES[0], STAGES[1], "Archived"].map(|stage| (stage, self.stage == stage))
    }
}

fn read(
    reader: &Reader<'_>,
    artifacts: &Artifacts,
    name: &str,
    number: i64,
) -> Result<Known, Error> {
    let model = reader.registered_model(name)?;
    let evidence = Evidence::read(reader, reader.model_version(name, number)?)?;
    let files = Files::read(reader, artifacts, &evidence.version.storage)?;
    let params = match &evidence.run {
        Some(run) => telling_params(reader, name, run)?,
        None => Vec::new(),
    };
    Ok(Known {
        model,
        evidence,
        params,
        files,
    })
}

/// Returns the params of a run in which the runs of this model's versions differ.
fn telling_params(
    reader: &Reader<'_>,
    name: &str,
    run: &Run,
) -> Result<Vec<(String, String)>, Error> {
    let mut runs = vec![run.clone()];
    for version in reader.versions_of(name)?.into_iter().take(OTHERS_MAX) {
        let id = version.run.and_then(|id| id.parse().ok());
        if let Some(id) = id.filter(|id| *id != run.id) {
            match reader.get(id) {
                Ok(other) => runs.push(other),
                Err(Error::Refused { .. } | Error::UnknownRun { .. } | Error::NoRuns) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let keys: Vec<Key> = match differing_params(&runs) {
        keys if keys.is_empty() => run.params.keys().cloned().collect(),
        keys => keys,
    };
    let params = keys.iter().filter_map(|key| {
        let value = run.params.get(key)?;
        Some((
            key.to_string(),
            crate::compare::diff::show(Some(value), None),
        ))
    });
    Ok(params.take(PARAMS_MAX).collect())
}

fn chips(known: &Known) -> Vec<Chip> {
    let version = &known.evidence.version;
    let aliases = version.aliases.iter();
    let mut chips: Vec<Chip> = aliases.map(|alias| Chip::new(Tone::Good, alias)).collect();
    if let Cell::State(chip) = stage_cell(&version.stage) {
        chips.push(chip);
    }
    chips.push(status_chip(version));
    chips
}

fn lineage(site: &Site, known: &Known) -> Lineage {
    let evidence = &known.evidence;
    let data = evidence.data().into_iter();
    Lineage {
        data: data
            .map(|((name, context), digest)| (name, context, short(&digest)))
            .collect(),
        run: evidence.run.as_ref().map(|run| run_card(run, known)),
        foreign_run: evidence.version.run.clone().unwrap_or_default(),
        server: serving(site, evidence),
        server_url: site.serve_url.clone(),
    }
}

fn run_card(run: &Run, known: &Known) -> RunCard {
    let (commit, dirty) = known.evidence.commit().unwrap_or_default();
    let stages = run.stages.iter().map(|stage| {
        let chip = match stage.outcome {
            StageOutcome::Ran => Chip::new(Tone::Good, "ran"),
            StageOutcome::Restored => Chip::new(Tone::Plain, "restored"),
            StageOutcome::Unchanged => Chip::new(Tone::Plain, "unchanged"),
            StageOutcome::Frozen => Chip::new(Tone::Plain, "frozen"),
            StageOutcome::Failed => Chip::new(Tone::Bad, "failed"),
            StageOutcome::NotFinished => Chip::new(Tone::Warn, "not finished"),
        };
        (stage.name.clone(), chip)
    });
    RunCard {
        name: run.name.clone(),
        href: run_href(&run.id.to_string()),
        state: run_chip(run.status),
        commit: short(&commit),
        branch: run
            .git
            .as_ref()
            .and_then(|git| git.branch.clone())
            .unwrap_or_default(),
        dirty: dirty == Some(true),
        stages: stages.collect(),
        params: known.params.clone(),
    }
}

pub(super) fn run_chip(status: Status) -> Chip {
    match status {
        Status::Finished => Chip::new(Tone::Good, "finished"),
        Status::Failed => Chip::new(Tone::Bad, "failed"),
        Status::Killed => Chip::new(Tone::Warn, "stopped"),
        Status::Running => Chip::new(Tone::Busy, "running"),
        Status::Scheduled => Chip::new(Tone::Busy, "scheduled"),
    }
}

/// Asks the prediction server what it serves.
fn serving(site: &Site, evidence: &Evidence) -> Option<Serving> {
    let url = format!("{}/models", site.serve_url.trim_end_matches('/'));
    let (status, told) = probe::read(&url, SERVER_TIMEOUT, SERVER_BYTES_MAX).ok()?;
    if matches!(status, 401 | 403) {
        return Some(Serving::Closed);
    }
    let told: serde_json::Value = serde_json::from_str(&told).ok()?;
    let model = told.get("models")?.get(0)?;
    let text = |key: &str| model.get(key).and_then(|value| value.as_str());
    let (name, version) = (text("name")?, text("version")?);
    let own = &evidence.version;
    // A model that is served from a folder has a name and a number as well, but no run of ours.
    let is_same_run = text("run_id") == own.run.as_deref();
    if name == own.name && version == own.version.to_string() && is_same_run {
        return Some(Serving::This);
    }
    Some(Serving::Other(format!("{name}, version {version}")))
}

fn metrics(asked: &Asked, evidence: &Evidence, main: Option<&Key>) -> DataTable {
    let mut table = DataTable::new(asked, "metrics", "Metrics");
    table.columns = vec![
        Column::text("metric", "Metric"),
        Column::number("value", "Value"),
        Column::text("file", "From"),
    ];
    let mut all = evidence.metrics();
    all.sort_by_key(|(key, _)| {
        (
            main != Some(key),
            is_table(&key.file),
            key.key.contains('.'),
        )
    });
    let rows = all.into_iter().map(|(key, value)| {
        vec![
            Cell::Text(key.key),
            Cell::Number(value),
            if key.file.is_empty() {
                Cell::Empty
            } else {
                Cell::Code(key.file)
            },
        ]
    });
    table.rows = rows.collect();
    "Nothing was measured, or its run is not recorded here.".clone_into(&mut table.empty);
    table
}

/// The files of a version.
pub(super) struct Files {
    /// Relative to the version's own place.
    list: Vec<(String, Option<u64>)>,
    is_cut: bool,
    /// They are not in this project's store, but here.
    elsewhere: Option<String>,
}

impl Files {
    /// Lists them.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(super) fn read(
        reader: &Reader<'_>,
        artifacts: &Artifacts,
        storage: &str,
    ) -> Result<Self, Error> {
        let mut files = Self {
            list: Vec::new(),
            is_cut: false,
            elsewhere: None,
        };
        let Some(root) = path_of_uri(storage) else {
            files.elsewhere = Some(storage.to_owned());
            return Ok(files);
        };
        if let Some(file) = artifacts.find(reader, root)? {
            let name = root.rsplit('/').next().unwrap_or(root);
            files.list.push((name.to_owned(), Some(file.size)));
            return Ok(files);
        }
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = if folder.is_empty() {
                root.to_owned()
            } else {
                format!("{root}/{folder}")
            };
            for entry in artifacts.list(reader, path.trim_matches('/'))? {
                let name = if folder.is_empty() {
                    entry.name
                } else {
                    format!("{folder}/{}", entry.name)
                };
                if entry.is_dir {
                    folders.push(name);
                } else if files.list.len() < FILES_MAX {
                    files.list.push((name, entry.size));
                } else {
                    files.is_cut = true;
                }
            }
            if files.is_cut || FILES_MAX < folders.len() {
                files.is_cut = true;
                break;
            }
        }
        files.list.sort();
        Ok(files)
    }

    /// Are there none where there should be some?
    pub(super) fn are_gone(&self) -> bool {
        self.elsewhere.is_none() && self.list.is_empty()
    }

    fn note(&self) -> String {
        if let Some(uri) = &self.elsewhere {
            return format!("The files are elsewhere: {uri}");
        }
        if self.list.is_empty() {
            return "The files are gone: neither the cache nor an upload has them. Run the stage again, or `cvops pull`.".to_owned();
        }
        if self.is_cut {
            return format!("Only the first {FILES_MAX} files are listed.");
        }
        let bytes: u64 = self.list.iter().filter_map(|(_, size)| *size).sum();
        let count = units::count(self.list.len(), "file");
        format!("{count}, {}", units::bytes(bytes))
    }
}

fn files(asked: &Asked, files: &Files, name: &str, version: i64) -> DataTable {
    let mut table = DataTable::new(asked, "files", "Files");
    table.columns = vec![Column::text("path", "File"), Column::number("size", "Size")];
    let rows = files.list.iter().map(|(path, size)| {
        let query = Query(vec![
            ("name".to_owned(), name.to_owned()),
            ("version".to_owned(), version.to_string()),
            ("path".to_owned(), path.clone()),
        ]);
        vec![
            Cell::Link {
                text: path.clone(),
                href: format!("/model-versions/get-artifact?{}", query.encoded()),
            },
            size.map_or(Cell::Empty, |size| Cell::Shown {
                value: size as f64,
                text: units::bytes(size),
            }),
        ]
    });
    table.rows = rows.collect();
    "No files.".clone_into(&mut table.empty);
    table
}

/// Returns where clients find this server: where the browser found it.
fn address(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("127.0.0.1:5000"))
}

impl RunCard {
    fn has_commit(&self) -> bool {
        !self.commit.is_empty()
    }
}

impl Uses {
    /// The reference as a word of a shell.
    fn word(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@/._-".contains(c);
        if self.reference.chars().all(is_plain) {
            return self.reference.clone();
        }
        format!("'{}'", self.reference.replace('\'', "'\\''"))
    }

    /// A URI as a text of Python's: JSON's are.
    fn uri(&self) -> String {
        json!(format!("models:/{}", self.reference)).to_string()
    }
}
