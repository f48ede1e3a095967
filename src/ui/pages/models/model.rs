//! `/models/{name}`: a model with its versions, aliases and what was promoted when.
//! Imports: track, `ui::*`.

use std::collections::BTreeSet;

use askama::Template;

use super::difference::main_metric;
use super::evidence::{Evidence, METRIC_TAG};
use super::{
    CHAMPION, brief, may_write, promote_href, run_href, short, stage_cell, status_chip,
    version_href,
};
use crate::http::Response;
use crate::mlflow::Refused;
use crate::track::entity::{RegisteredModel, Tag};
use crate::track::promotion::{self, Promotion, Title, previous, promotions};
use crate::track::{Error, Key, Reader, Status};
use crate::ui::asked::Asked;
use crate::ui::layout::{Layout, Section};
use crate::ui::pages::conflict::mark;
use crate::ui::parts::markdown::{self, Prose};
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::parts::tags::is_tag_of_people;
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::Site;

/// Versions on one page; older ones are behind `?before=`.
const VERSIONS: usize = 100;

/// Promotions that are listed.
const PROMOTIONS_MAX: usize = 100;

#[derive(Template)]
#[template(path = "pages/models/model.html")]
struct Page {
    layout: Layout,
    model: RegisteredModel,
    description: Prose,
    created: Ago,
    updated: Ago,
    titles: Vec<TitleRow>,
    tags: Vec<Tag>,
    metric: String,
    versions: DataTable,
    older: Option<String>,
    history: DataTable,
    has_history: bool,
    may_write: bool,
    confirm: &'static str,
}

/// An alias, who has it, and the way back.
struct TitleRow {
    name: String,
    is_alias: bool,
    holder: i64,
    holder_href: String,
    back: Option<(i64, String)>,
}

struct Known {
    model: RegisteredModel,
    evidence: Vec<Evidence>,
    promotions: Vec<Promotion>,
    /// The numbers of all its versions.
    numbers: BTreeSet<i64>,
    more: Option<i64>,
}

pub(super) fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let name = asked.param(0);
    let before = asked.query.number("before", i64::MAX)?;
    let known = asked.shared.read(|reader| read(reader, name, before))?;
    let all: Vec<&Evidence> = known.evidence.iter().collect();
    let tag = known.model.tags.iter().find(|tag| tag.key == METRIC_TAG);
    let metric = main_metric(&all, tag.map(|tag| tag.value.as_str()));
    let versions = versions(asked, &known, metric.as_ref());
    let history = history(asked, &known);
    if let Some(file) = as_file(asked, &[&versions, &history])? {
        return Ok(file);
    }
    let confirm = match asked.query.get("confirm") {
        Some("delete") => "delete",
        _ => "",
    };
    let ago = |at_ms| Ago {
        at_ms,
        now_ms: asked.now_ms,
    };
    let model = known.model;
    let older = known.more.map(|number| number.to_string());
    let page = Page {
        layout: Layout::new(site, asked, Section::Models, name).crumb("Models", "/models"),
        description: markdown::render(model.description.as_deref().unwrap_or_default()),
        created: ago(model.created_ms),
        updated: ago(model.updated_ms),
        titles: titles(&model, &known.promotions, &known.numbers),
        tags: model.tags.clone(),
        metric: metric.map(|key| key.key).unwrap_or_default(),
        older: older.map(|number| asked.href_with(&[("before", Some(&number))])),
        has_history: !history.rows.is_empty(),
        versions,
        history,
        may_write: may_write(asked),
        confirm,
        model,
    };
    reply::html(asked, &page)
}

impl Page {
    /// What the form of the description begins with.
    fn began(&self) -> String {
        mark(self.text())
    }

    /// Tags that the form removes.
    fn removable(&self) -> impl Iterator<Item = &Tag> {
        self.tags.iter().filter(|tag| is_tag_of_people(&tag.key))
    }

    fn href(&self) -> String {
        super::model_href(&self.model.name)
    }

    fn text(&self) -> &str {
        self.model.description.as_deref().unwrap_or_default()
    }
}

fn read(reader: &Reader<'_>, name: &str, before: i64) -> Result<Known, Error> {
    let model = reader.registered_model(name)?;
    let all = reader.versions_of(name)?;
    let promotions = promotions(&all);
    let numbers = all.iter().map(|one| one.version).collect();
    let mut shown = all.into_iter().filter(|one| one.version < before);
    let page: Vec<_> = shown.by_ref().take(VERSIONS).collect();
    let more = shown.next().and(page.last().map(|one| one.version));
    let evidence: Result<Vec<Evidence>, Error> = page
        .into_iter()
        .map(|version| Evidence::read(reader, version))
        .collect();
    Ok(Known {
        model,
        evidence: evidence?,
        promotions,
        numbers,
        more,
    })
}

fn titles(
    model: &RegisteredModel,
    promotions: &[Promotion],
    numbers: &BTreeSet<i64>,
) -> Vec<TitleRow> {
    let aliases = model.aliases.iter().map(|(alias, version)| {
        let title = Title::Alias(alias.clone());
        (title, *version)
    });
    let stages = super::STAGES.iter().filter_map(|stage| {
        let title = Title::Stage((*stage).to_owned());
        let holder = title.holder(model)?;
        Some((title, holder))
    });
    aliases
        .chain(stages)
        .map(|(title, holder)| TitleRow {
            back: previous(promotions, &title, Some(holder))
                // One that was deleted since is no way back.
                .filter(|back| numbers.contains(back))
                .map(|back| (back, promote_href(&model.name, back, &title))),
            name: title.name().to_owned(),
            is_alias: matches!(title, Title::Alias(_)),
            holder,
            holder_href: version_href(&model.name, holder),
        })
        .collect()
}

fn versions(asked: &Asked, known: &Known, metric: Option<&Key>) -> DataTable {
    let mut table = DataTable::new(asked, "versions", "Versions");
    let heading = metric.map_or("Metric", |key| key.key.as_str());
    table.columns = vec![
        Column::number("version", "Version"),
        Column::text("aliases", "Aliases"),
        Column::text("stage", "Stage"),
        Column::number("metric", heading),
        Column::text("run", "Run"),
        Column::text("data", "Data"),
        Column::text("commit", "Commit"),
        Column::text("status", "State"),
        Column::text("description", "Description"),
        Column::text("created", "Created"),
        Column::text("promote", ""),
    ];
    let rows = known.evidence.iter();
    table.rows = rows.map(|one| cells(asked, known, one, metric)).collect();
    "No version yet: `cvops models register NAME --run RUN`, or the form below."
        .clone_into(&mut table.empty);
    table
}

fn cells(asked: &Asked, known: &Known, one: &Evidence, metric: Option<&Key>) -> Vec<Cell> {
    let version = &one.version;
    let name = &known.model.name;
    let title = Title::Alias(CHAMPION.to_owned());
    let is_champion = title.holder(&known.model) == Some(version.version);
    vec![
        Cell::Link {
            text: version.version.to_string(),
            href: version_href(name, version.version),
        },
        if version.aliases.is_empty() {
            Cell::Empty
        } else {
            Cell::Text(version.aliases.join(", "))
        },
        stage_cell(&version.stage),
        metric
            .and_then(|key| one.metric(key))
            .map_or(Cell::Empty, Cell::Number),
        run_cell(one),
        data_cell(one),
        commit_cell(one),
        status_cell(one),
        match version.description.as_deref().map(brief) {
            Some(text) if !text.is_empty() => Cell::Text(text),
            Some(_) | None => Cell::Empty,
        },
        Cell::Time(Ago {
            at_ms: version.created_ms,
            now_ms: asked.now_ms,
        }),
        if may_write(asked) && !is_champion {
            Cell::Link {
                text: format!("Promote to {CHAMPION}"),
                href: promote_href(name, version.version, &title),
            }
        } else {
            Cell::Empty
        },
    ]
}

fn run_cell(one: &Evidence) -> Cell {
    match (&one.run, &one.version.run) {
        (Some(run), _) => Cell::Link {
            text: run.name.clone(),
            href: run_href(&run.id.to_string()),
        },
        (None, Some(id)) if !id.is_empty() => Cell::Code(short(id)),
        (None, _) => Cell::Empty,
    }
}

/// The status of the files, and that of the run where that says more.
fn status_cell(one: &Evidence) -> Cell {
    use crate::ui::parts::chip::{Chip, Tone};
    match one.run.as_ref().map(|run| run.status) {
        Some(Status::Failed) => Cell::State(Chip::new(Tone::Bad, "run failed")),
        Some(Status::Killed) => Cell::State(Chip::new(Tone::Warn, "run stopped")),
        Some(Status::Running | Status::Scheduled | Status::Finished) | None => {
            Cell::State(status_chip(&one.version))
        }
    }
}

fn data_cell(one: &Evidence) -> Cell {
    let names = one.data().into_iter();
    let names: Vec<String> = names
        .map(|((name, _), digest)| format!("{name} {}", short(&digest)))
        .collect();
    if names.is_empty() {
        Cell::Empty
    } else {
        Cell::Text(names.join(", "))
    }
}

fn commit_cell(one: &Evidence) -> Cell {
    match one.commit() {
        Some((commit, Some(true))) => Cell::Code(format!("{} + changes", short(&commit))),
        Some((commit, _)) => Cell::Code(short(&commit)),
        None => Cell::Empty,
    }
}

fn history(asked: &Asked, known: &Known) -> DataTable {
    let mut table = DataTable::new(asked, "promotions", "Promotions");
    table.columns = vec![
        Column::text("at", "When"),
        Column::text("title", "Alias or stage"),
        Column::text("what", "What"),
        Column::number("version", "Version"),
        Column::number("from", "Instead of"),
        Column::text("by", "By"),
    ];
    let link = |version: i64| {
        let text = version.to_string();
        if known.numbers.contains(&version) {
            Cell::Link {
                text,
                href: version_href(&known.model.name, version),
            }
        } else {
            Cell::Text(text)
        }
    };
    let all = known.promotions.iter().take(PROMOTIONS_MAX);
    table.rows = all
        .map(|one| {
            vec![
                Cell::Time(Ago {
                    at_ms: one.at_ms,
                    now_ms: asked.now_ms,
                }),
                Cell::Text(one.title.name().to_owned()),
                Cell::Text(
                    if one.is_removal {
                        "removed"
                    } else {
                        "promoted"
                    }
                    .to_owned(),
                ),
                link(one.version),
                one.from.map_or(Cell::Empty, link),
                one.by.clone().map_or(Cell::Empty, Cell::Text),
            ]
        })
        .collect();
    table
}

/// Tags of promotions are told as such.
pub(super) fn own_tags(tags: &[Tag]) -> Vec<Tag> {
    let tags = tags.iter().filter(|tag| !promotion::is_tag(&tag.key));
    tags.cloned().collect()
}
