//! `/models/{name}/{version}/promote`: what changes when a version takes over an alias or a stage, and
//! the button that does it. Who had it when the page was shown is sent along: if that is another one by
//! now, nothing is done and the page shows the new difference. Imports: pipeline, track, `ui::*`.

use askama::Template;

use super::difference::{Changed, Declared, Difference, MetricRow, Verdict, difference};
use super::evidence::{Evidence, METRIC_TAG};
use super::version::{Files, run_chip};
use super::{STAGES, model_href, number, run_href, short, version_href};
use crate::http::{Response, StatusCode};
use crate::mlflow::Refused;
use crate::pipeline::Index;
use crate::pipeline::spec::{Direction, OutKind};
use crate::track::promotion::Title;
use crate::track::{Artifacts, Error, Promote, Promoted, Reader};
use crate::ui::asked::{Asked, Query};
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::number::number as shown;
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::reply;
use crate::ui::site::Site;

#[derive(Template)]
#[template(path = "pages/models/promote.html")]
struct Page {
    layout: Layout,
    name: String,
    version: i64,
    title: Title,
    holder: Option<i64>,
    is_holder: bool,
    moved: Option<Moved>,
    warnings: Vec<String>,
    verdict: Option<(Chip, String)>,
    metrics: DataTable,
    more_metrics: usize,
    params: DataTable,
    data: DataTable,
    runs: Vec<(String, String, String, Chip)>,
    compare: Option<String>,
}

/// Somebody was faster.
#[derive(Clone, Copy, Debug)]
struct Moved {
    /// Who had the title when this was decided.
    from: Option<i64>,
}

struct Known {
    holder: Option<i64>,
    held: Option<Evidence>,
    new: Evidence,
    metric: Option<String>,
    files_are_gone: bool,
}

pub(super) fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let title = title(&asked.query)?;
    confirmation(site, asked, &title, None)
}

pub(super) fn promote(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let (name, version) = (asked.param(0).to_owned(), number(asked)?);
    let form = asked.form();
    let title = title(&form)?;
    let expected = match form.get("holder") {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Refused::invalid(format!(
                "`holder={text}`: the number of a version was expected"
            ))
        })?),
    };
    let by = asked.user.as_ref().map(|user| user.name.clone());
    let asked_for = Promote {
        name: name.clone(),
        version,
        title: title.clone(),
        expected,
        by: by.clone(),
        now_ms: asked.now_ms,
    };
    let done = asked
        .shared
        .change(move |writing| writing.promote(&asked_for))?;
    match done {
        Promoted::Done => {
            tracing::info!(
                target: "cvops::ui", user = ?by, model = %name, version, to = title.name(),
                from = ?expected, "promoted"
            );
            reply::see_other(&model_href(&name))
        }
        Promoted::Moved { .. } => confirmation(site, asked, &title, Some(Moved { from: expected })),
    }
}

/// Reads what is to be promoted to.
fn title(pairs: &Query) -> Result<Title, Refused> {
    match (pairs.filled("alias"), pairs.filled("stage")) {
        (Some(alias), None) => Ok(Title::Alias(alias.trim().to_owned())),
        (None, Some(stage)) => {
            let mut known = STAGES.iter();
            match known.find(|known| known.eq_ignore_ascii_case(stage.trim())) {
                Some(stage) => Ok(Title::Stage((*stage).to_owned())),
                None => Err(Refused::invalid(format!(
                    "a version cannot be promoted to the stage `{stage}`: {} are stages of versions in use",
                    STAGES.join(" and ")
                ))),
            }
        }
        _ => Err(Refused::invalid(
            "say what to promote to: `?alias=NAME` or `?stage=Production`",
        )),
    }
}

/// Shows what changes.
fn confirmation(
    site: &Site,
    asked: &Asked,
    title: &Title,
    moved: Option<Moved>,
) -> Result<Response, Refused> {
    let (name, version) = (asked.param(0), number(asked)?);
    let known = asked
        .shared
        .read(|reader| read(reader, &asked.artifacts, name, version, title))?;
    let is_holder = known.holder == Some(version);
    let held = known.held.as_ref().filter(|_| !is_holder);
    let what = difference(held, &known.new, known.metric.as_deref(), &declared(site));
    let metrics = metrics(asked, &what, known.holder, version);
    let params = changed(
        asked,
        ("params", "Params that differ"),
        &what.params,
        &known,
        version,
    );
    let data = changed(asked, ("data", "Data"), &what.data, &known, version);
    if moved.is_none()
        && let Some(file) = as_file(asked, &[&metrics, &params, &data])?
    {
        return Ok(file);
    }
    let mut warnings = what.warnings;
    if known.files_are_gone {
        warnings.push("its files are gone: it cannot be served".to_owned());
    }
    let heading = format!("Promote {name} {version} to {}", title.name());
    let page = Page {
        layout: Layout::new(site, asked, Section::Models, &heading)
            .crumb("Models", "/models")
            .crumb(name, model_href(name))
            .crumb(format!("version {version}"), version_href(name, version)),
        name: name.to_owned(),
        version,
        title: title.clone(),
        holder: known.holder,
        is_holder,
        moved,
        warnings,
        verdict: what.metrics.first().filter(|_| held.is_some()).map(told),
        metrics,
        more_metrics: what.more_metrics,
        params,
        data,
        runs: runs(held, &known.new),
        compare: compare_href(held, &known.new),
    };
    let mut response = reply::html(asked, &page)?;
    if moved.is_some() {
        *response.status_mut() = StatusCode::CONFLICT;
    }
    Ok(response)
}

impl Page {
    fn action(&self) -> String {
        format!("{}/promote", version_href(&self.name, self.version))
    }

    fn back(&self) -> String {
        version_href(&self.name, self.version)
    }

    fn field(&self) -> &'static str {
        match self.title {
            Title::Alias(_) => "alias",
            Title::Stage(_) => "stage",
        }
    }

    fn holder_text(&self) -> String {
        self.holder
            .map(|holder| holder.to_string())
            .unwrap_or_default()
    }

    fn holder_href(&self) -> String {
        version_href(&self.name, self.holder.unwrap_or_default())
    }

    fn has_params(&self) -> bool {
        self.holder.is_some() && !self.is_holder
    }

    /// Who had it before, in words.
    fn before(&self) -> String {
        match self.moved.as_ref().and_then(|moved| moved.from) {
            Some(version) => format!("version {version} had it when you decided"),
            None => "no version had it when you decided".to_owned(),
        }
    }
}

fn read(
    reader: &Reader<'_>,
    artifacts: &Artifacts,
    name: &str,
    version: i64,
    title: &Title,
) -> Result<Known, Error> {
    let model = reader.registered_model(name)?;
    let new = Evidence::read(reader, reader.model_version(name, version)?)?;
    let holder = title.holder(&model);
    let held = match holder {
        Some(holder) => Some(Evidence::read(reader, reader.model_version(name, holder)?)?),
        None => None,
    };
    let files = Files::read(reader, artifacts, &new.version.storage)?;
    let tag = model.tags.into_iter().find(|tag| tag.key == METRIC_TAG);
    Ok(Known {
        holder,
        held,
        new,
        metric: tag.map(|tag| tag.value),
        files_are_gone: files.are_gone(),
    })
}

/// Returns in which direction the metrics files of the project improve, where it says so. A pipeline
/// that cannot be read says nothing.
fn declared(site: &Site) -> Declared {
    let Ok(index) = Index::load(&site.project) else {
        return Declared::new();
    };
    let mut declared = Declared::new();
    for pipeline in &index.pipelines {
        for (path, direction) in &pipeline.shown.metrics {
            if let Some(direction) = direction {
                declared.insert(path.to_string(), *direction);
            }
        }
        for (path, out) in pipeline.stages.iter().flat_map(|stage| &stage.outs) {
            if let (OutKind::Metric, Some(direction)) = (out.kind, out.direction) {
                declared.insert(path.to_string(), direction);
            }
        }
    }
    declared
}

fn verdict_chip(verdict: Verdict) -> Chip {
    match verdict {
        Verdict::Better => Chip::new(Tone::Good, "better"),
        Verdict::Worse => Chip::new(Tone::Bad, "worse"),
        Verdict::Same => Chip::new(Tone::Plain, "same"),
        Verdict::Unknown => Chip::new(Tone::Warn, "not in both"),
    }
}

/// Says what becomes of the metric that counts.
fn told(row: &MetricRow) -> (Chip, String) {
    let side = |value: Option<f64>| value.map_or_else(|| "nothing".to_owned(), shown);
    let text = format!("{} {} → {}", row.key.key, side(row.held), side(row.new));
    (verdict_chip(row.verdict), text)
}

fn metrics(asked: &Asked, what: &Difference, holder: Option<i64>, version: i64) -> DataTable {
    let mut table = DataTable::new(asked, "metrics", "Metrics, the one that counts first");
    let held = holder.map_or_else(
        || "In use".to_owned(),
        |holder| format!("{holder} (in use)"),
    );
    table.columns = vec![
        Column::text("metric", "Metric"),
        Column::number("held", &held),
        Column::number("new", &version.to_string()),
        Column::number("change", "Change"),
        Column::text("verdict", "Verdict"),
        Column::text("better", "Better is"),
    ];
    let number = |value: Option<f64>| value.map_or(Cell::Empty, Cell::Number);
    let rows = what.metrics.iter().map(|row| {
        let change = row.held.zip(row.new).map(|(held, new)| new - held);
        vec![
            Cell::Text(row.key.key.clone()),
            number(row.held),
            number(row.new),
            change.map_or(Cell::Empty, |change| Cell::Shown {
                value: change,
                text: signed(change),
            }),
            if row.held.is_none() && holder.is_none() {
                Cell::Empty
            } else {
                Cell::State(verdict_chip(row.verdict))
            },
            Cell::Text(
                match row.direction {
                    Direction::Max => "higher",
                    Direction::Min => "lower",
                }
                .to_owned(),
            ),
        ]
    });
    table.rows = rows.collect();
    "Neither version has a metric.".clone_into(&mut table.empty);
    table
}

/// A change without the noise of binary fractions.
fn signed(change: f64) -> String {
    let rounded: f64 = format!("{change:.9}").parse().unwrap_or(change);
    let change = if rounded == 0.0 { change } else { rounded };
    let sign = if 0.0 < change { "+" } else { "" };
    format!("{sign}{}", shown(change)).replace('-', "−")
}

fn changed(
    asked: &Asked,
    (id, caption): (&'static str, &str),
    all: &[Changed],
    known: &Known,
    version: i64,
) -> DataTable {
    let mut table = DataTable::new(asked, id, caption);
    let held = known.holder.map_or_else(
        || "In use".to_owned(),
        |holder| format!("{holder} (in use)"),
    );
    table.columns = vec![
        Column::text("name", "Name"),
        Column::text("held", &held),
        Column::text("new", &version.to_string()),
        Column::text("verdict", ""),
    ];
    let side = |value: &Option<String>| value.clone().map_or(Cell::Empty, Cell::Code);
    let rows = all.iter().map(|one| {
        let chip = if one.is_changed() {
            Chip::new(Tone::Warn, "differs")
        } else {
            Chip::new(Tone::Plain, "same")
        };
        vec![
            Cell::Text(one.name.clone()),
            side(&one.held),
            side(&one.new),
            Cell::State(chip),
        ]
    });
    table.rows = rows.collect();
    "No difference is known.".clone_into(&mut table.empty);
    table
}

/// The runs of both, with their commits.
fn runs(held: Option<&Evidence>, new: &Evidence) -> Vec<(String, String, String, Chip)> {
    let both = held.into_iter().chain([new]);
    both.filter_map(|one| {
        let run = one.run.as_ref()?;
        let commit = one.commit().map(|(commit, _)| short(&commit));
        Some((
            format!("version {}: {}", one.version.version, run.name),
            run_href(&run.id.to_string()),
            commit.unwrap_or_default(),
            run_chip(run.status),
        ))
    })
    .collect()
}

fn compare_href(held: Option<&Evidence>, new: &Evidence) -> Option<String> {
    let (held, new) = (held?.run.as_ref()?, new.run.as_ref()?);
    let runs = [held, new].map(|run| ("run".to_owned(), run.id.to_string()));
    Some(format!("/compare?{}", Query(runs.to_vec()).encoded()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_a_sign_and_no_noise() {
        for (change, expected) in [
            (0.3 - 0.1 - 0.2, "−2.77556e−17"),
            (0.884 - 0.851, "+0.033"),
            (-1.5, "−1.5"),
            (0.0, "0"),
        ] {
            assert_eq!(signed(change), expected);
        }
    }
}
