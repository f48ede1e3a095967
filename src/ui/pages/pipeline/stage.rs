//! The page of one stage: why it stands as it does. Imports: `ui::*`.

use askama::Template;

use crate::base::diag::{Diagnostic, nearest};
use crate::base::units;
use crate::experiment::progress::{StageStory, Story};
use crate::http::Response;
use crate::mlflow::Refused;
use crate::pipeline::decide::RunReason;
use crate::pipeline::spec::StageSpec;
use crate::pipeline::{Forecast, StageDecision, describe, words};
use crate::report::{EmbeddedSvg, NodeState};
use crate::store::Presence;
use crate::track::{StageOutcome, db::StageRun};
use crate::ui::asked::Asked;
use crate::ui::layout::{Layout, Section};
use crate::ui::looks::{self, Look, Seen};
use crate::ui::parts::as_of::AsOf;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::notice::Notice;
use crate::ui::parts::progress::Progress;
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::parts::time::Ago;
use crate::ui::reply;
use crate::ui::site::Site;

use super::graph;
use super::page::{Facts, ended};
use super::view::StageView;

/// So many runs of the stage are listed.
const RUNS_SHOWN: usize = 20;
/// So many changed files are listed under a reason.
const FILES_SHOWN: usize = 20;
/// So many lines of its log are shown.
const LINES_SHOWN: usize = 100;

pub(super) fn stage(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    named(site, asked, asked.param(0))
}

#[derive(Template)]
#[template(path = "pages/pipeline/stage.html")]
struct Page {
    layout: Layout,
    name: String,
    as_of: AsOf,
    chip: Chip,
    /// What becomes of it, as `cvops why` says.
    verdict: String,
    /// Why it failed in the last command.
    failed: Option<String>,
    reasons: Vec<Reason>,
    what: String,
    commands: Vec<String>,
    drawing: Option<EmbeddedSvg>,
    progress: Progress,
    files: DataTable,
    params: DataTable,
    runs: DataTable,
    log: Option<Log>,
}

struct Reason {
    text: String,
    files: Vec<String>,
    more: usize,
}

/// What it wrote last.
struct Log {
    command: String,
    chip: Chip,
    run: Option<(String, String)>,
    lines_before: usize,
    text: String,
}

#[derive(Template)]
#[template(path = "pages/pipeline/broken.html")]
struct Broken {
    layout: Layout,
    name: String,
    notices: Vec<Notice>,
}

/// Answers with the page of the stage `name`.
pub(super) fn named(site: &Site, asked: &Asked, name: &str) -> Result<Response, Refused> {
    let facts = Facts::of(site, asked)?;
    let layout = Layout::new(site, asked, Section::Pipeline, name)
        .crumb("Pipeline", "/pipeline")
        .module("parts.js");
    let look = match &*facts.told.seen {
        Seen::Stages(look) => look,
        Seen::Nothing => return Err(Refused::missing("this project has no stages yet")),
        Seen::Broken(diagnostics) => return broken(asked, layout, name, diagnostics),
        Seen::Pending => return broken(asked, layout, name, &[looks::pending()]),
    };
    let found = facts.views.iter().find(|view| view.name == name);
    let Some(view) = found else {
        let names = facts.views.iter().map(|view| view.name.as_str());
        let hint = match nearest(name, names) {
            Some(other) => format!("; `{other}` was perhaps meant"),
            None => String::new(),
        };
        return Err(Refused::missing(format!(
            "there is no stage `{name}`{hint}"
        )));
    };
    let spec = &look.graph.stages()[view.index];
    let forecast = look.stages().find(|(index, _)| *index == view.index);
    let history = asked
        .shared
        .read(|reader| reader.stage_history(name, RUNS_SHOWN))?;
    let runs = runs(asked, &history);
    let files = files(asked, look, spec);
    let params = params(asked, look, spec);
    if let Some(file) = as_file(asked, &[&runs, &files, &params])? {
        return Ok(file);
    }
    let (verdict, reasons) = forecast.map_or_else(Default::default, |(_, f)| why(name, f));
    let page = Page {
        layout,
        name: name.to_owned(),
        as_of: AsOf::of(&facts.told, asked.now_ms),
        chip: view.chip.clone(),
        verdict,
        failed: failed(site, view),
        reasons,
        what: describe::stage(spec),
        commands: spec
            .shell_commands(site.project.personality.commands)
            .iter()
            .map(|&c| c.to_owned())
            .collect(),
        drawing: graph::draw(&look.graph, &facts.views, Some(view.index)),
        log: log(site, &facts, view),
        progress: Progress::of(&facts.going, &facts.usual, asked.now_ms),
        files,
        params,
        runs,
    };
    reply::html(asked, &page)
}

/// Answers for a stage that cannot be judged.
fn broken(
    asked: &Asked,
    layout: Layout,
    name: &str,
    diagnostics: &[Diagnostic],
) -> Result<Response, Refused> {
    let page = Broken {
        layout,
        name: name.to_owned(),
        notices: diagnostics.iter().map(Notice::of).collect(),
    };
    reply::html(asked, &page)
}

/// Returns what becomes of a stage and why, in the words of `cvops why`.
fn why(name: &str, forecast: &Forecast) -> (String, Vec<Reason>) {
    let reasons: &[RunReason] = match forecast {
        Forecast::Certain(
            StageDecision::Run(reasons)
            | StageDecision::Restore {
                because: reasons, ..
            },
        ) => reasons,
        Forecast::Certain(StageDecision::Cached | StageDecision::Skip(_))
        | Forecast::DependsOn(_) => &[],
    };
    let reasons = reasons.iter().map(|reason| {
        let mut files = words::changed_files(reason);
        let more = files.len().saturating_sub(FILES_SHOWN);
        files.truncate(FILES_SHOWN);
        Reason {
            text: words::reason(reason),
            files,
            more,
        }
    });
    (words::verdict(name, name, forecast), reasons.collect())
}

/// What it reads and writes, and whether that is as recorded.
fn files(asked: &Asked, look: &Look, spec: &StageSpec) -> DataTable {
    let mut table = DataTable::new(asked, "files", "What it reads and writes");
    table.columns = vec![
        Column::text("path", "Path"),
        Column::text("role", "As"),
        Column::text("object", "Recorded"),
        Column::number("size", "Size"),
    ];
    "It reads and writes no files.".clone_into(&mut table.empty);
    let entry = look.lock.stages.get(&spec.name);
    let row = |path: &crate::base::ArtifactPath, role: &str, recorded: Option<&Presence>| {
        let object = match recorded {
            Some(Presence::Present(present)) => Cell::Code(present.object.short()),
            Some(Presence::Missing) => Cell::Text("missing".to_owned()),
            None => Cell::Empty,
        };
        let size = match recorded {
            Some(Presence::Present(present)) => Cell::Shown {
                value: present.size as f64,
                text: units::bytes(present.size),
            },
            Some(Presence::Missing) | None => Cell::Empty,
        };
        vec![
            Cell::Code(path.to_string()),
            Cell::Text(role.to_owned()),
            object,
            size,
        ]
    };
    let reads = spec.reads().map(|path| {
        let recorded = entry.and_then(|entry| entry.deps.get(path));
        row(path, "dependency", recorded)
    });
    let writes = spec.outs.keys().map(|path| {
        let recorded = entry.and_then(|entry| entry.outs.get(path));
        row(path, "output", recorded)
    });
    table.rows = reads.chain(writes).collect();
    table
}

/// The params it last ran with.
fn params(asked: &Asked, look: &Look, spec: &StageSpec) -> DataTable {
    let mut table = DataTable::new(asked, "params", "Params it last ran with");
    table.columns = vec![
        Column::text("param", "Param"),
        Column::text("value", "Value"),
    ];
    "It reads no params, or has not run.".clone_into(&mut table.empty);
    let recorded = look.lock.stages.get(&spec.name);
    let recorded = recorded.into_iter().flat_map(|entry| &entry.params);
    table.rows = recorded
        .map(|(name, value)| vec![Cell::Code(name.to_string()), Cell::Code(value.to_string())])
        .collect();
    table
}

fn runs(asked: &Asked, history: &[StageRun]) -> DataTable {
    let mut table = DataTable::new(asked, "stage-runs", "Last runs of this stage");
    table.columns = vec![
        Column::text("run", "Run"),
        Column::text("started_ms", "Started"),
        Column::text("outcome", "Outcome"),
        Column::number("took_ms", "Took"),
        Column::text("message", "Message"),
    ];
    "It has not run yet.".clone_into(&mut table.empty);
    table.rows = history
        .iter()
        .map(|one| {
            vec![
                Cell::Link {
                    text: one.run_name.clone(),
                    href: format!("/runs/{}", one.run),
                },
                Cell::Time(Ago {
                    at_ms: one.started_ms,
                    now_ms: asked.now_ms,
                }),
                Cell::State(outcome(one.outcome)),
                Cell::Duration(i64::try_from(one.took.as_millis()).unwrap_or(i64::MAX)),
                one.message.clone().map_or(Cell::Empty, Cell::Text),
            ]
        })
        .collect();
    table
}

fn outcome(outcome: StageOutcome) -> Chip {
    let tone = match outcome {
        StageOutcome::Ran => Tone::Good,
        StageOutcome::Failed => Tone::Bad,
        StageOutcome::NotFinished => Tone::Warn,
        StageOutcome::Restored | StageOutcome::Unchanged | StageOutcome::Frozen => Tone::Plain,
    };
    Chip::new(tone, outcome.as_str().replace('_', " "))
}

/// Returns why the stage failed in the newest command, if it did and that still counts.
fn failed(site: &Site, view: &StageView) -> Option<String> {
    if view.node != NodeState::Failed {
        return None;
    }
    let (_, story) = site.looks.last()?;
    story.stages.get(&view.name)?.message.clone()
}

/// Returns the end of what the stage wrote in the newest command that knows it.
fn log(site: &Site, facts: &Facts, view: &StageView) -> Option<Log> {
    let is_going = facts.going.iter().find_map(|one| {
        let stage = one.story.stages.get(&view.name)?;
        // What runs is shown above.
        (!stage.lines.is_empty() && stage.seconds.is_some()).then_some((&one.story, stage))
    });
    if let Some((story, stage)) = is_going {
        return Some(log_of(story, stage, Chip::new(Tone::Busy, "running")));
    }
    let (_, story) = site.looks.last()?;
    let stage = story
        .stages
        .get(&view.name)
        .filter(|s| !s.lines.is_empty())?;
    Some(log_of(&story, stage, ended(&story)))
}

fn log_of(story: &Story, stage: &StageStory, chip: Chip) -> Log {
    let skipped = stage.lines.len().saturating_sub(LINES_SHOWN);
    let lines: Vec<&str> = stage
        .lines
        .iter()
        .skip(skipped)
        .map(String::as_str)
        .collect();
    Log {
        command: story
            .head
            .as_ref()
            .map(|head| head.command.clone())
            .unwrap_or_default(),
        chip,
        run: story.run.clone(),
        lines_before: stage.lines_before + skipped,
        text: lines.join("\n"),
    }
}
