//! The page. Imports: `ui::*`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use askama::filters::HtmlSafe;

use crate::base::{clock, units};
use crate::experiment::sweep::journal;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::project::Project;
use crate::report::NodeState;
use crate::track::{self, Reader, Shared};
use crate::ui::asked::{Asked, Format, segment};
use crate::ui::layout::{Layout, Section};
use crate::ui::looks::{self, Going, Looks, Seen, Wait};
use crate::ui::pages::pipeline::{Follower, StageView, Tally, is_for_events, stage_href, views};
use crate::ui::parts::as_of::AsOf;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::live::Sent;
use crate::ui::parts::notice::Notice;
use crate::ui::parts::number::number;
use crate::ui::parts::progress::Progress;
use crate::ui::parts::table::{DataTable, as_file};
use crate::ui::reply;
use crate::ui::site::Site;

use super::disk::{self, Disk};
use super::runs::{Best, Runs};
use super::server::Server;

/// So many stale stages are named.
const STALE_SHOWN: usize = 5;
/// So many models and sweeps are named.
const NAMED_MAX: usize = 5;
/// How often journals are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often everything else is.
const STATE_EVERY: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "pages/overview/page.html")]
struct Page {
    layout: Layout,
    progress: Progress,
    state: State,
}

/// What changes while the page is open.
#[derive(Template)]
#[template(path = "pages/overview/state.html")]
struct State {
    is_empty: bool,
    is_pending: bool,
    as_of: AsOf,
    notices: Vec<Notice>,
    tally: Option<Tally>,
    stale: Vec<Stale>,
    more_stale: usize,
    best: Option<Best>,
    models: Vec<Named>,
    has_models: bool,
    server: Server,
    disk: Option<String>,
    free: Option<String>,
    sweeps: Vec<Named>,
    runs: DataTable,
}

/// Its template escapes.
impl HtmlSafe for State {}

/// A stage that is not up to date.
struct Stale {
    name: String,
    href: String,
    chip: Chip,
    why: String,
}

/// Something with a page of its own, and what there is to say.
struct Named {
    name: String,
    href: String,
    text: String,
}

/// What is asked for it.
struct Source {
    project: Project,
    shared: Shared,
    looks: Arc<Looks>,
    disk: Arc<Disk>,
    serve_url: String,
}

impl Source {
    fn of(site: &Site, asked: &Asked) -> Self {
        Self {
            project: site.project.clone(),
            shared: asked.shared.clone(),
            looks: Arc::clone(&site.looks),
            disk: Arc::clone(&site.disk),
            serve_url: site.serve_url.clone(),
        }
    }

    fn state(
        &self,
        going: &[Going],
        usual: &BTreeMap<String, Duration>,
        table: DataTable,
        now_ms: i64,
        wait: Wait,
    ) -> Result<State, track::Error> {
        let told = self.looks.now(going, wait);
        let seen = &*told.seen;
        let (look, notices) = match seen {
            Seen::Stages(look) => (
                Some(&**look),
                look.warnings.iter().map(Notice::warning).collect(),
            ),
            Seen::Nothing => (None, Vec::new()),
            Seen::Broken(diagnostics) => (None, diagnostics.iter().map(Notice::of).collect()),
            Seen::Pending => (None, vec![Notice::of(&looks::pending())]),
        };
        let last = self.looks.last();
        let last = last.as_ref().map(|(_, story)| &**story);
        let stages = look.map(|look| views(look, going, last, usual));
        let (models, count) = self.shared.read(models)?;
        let runs = self.shared.read(|reader| Runs::of(reader, look, now_ms))?;
        let (stale, more_stale) = stale(stages.as_deref().unwrap_or_default());
        let cache = &self.project.config.cache_dir;
        Ok(State {
            is_empty: matches!(seen, Seen::Nothing),
            is_pending: matches!(seen, Seen::Pending),
            as_of: AsOf::of(&told, now_ms),
            notices,
            tally: stages.as_deref().map(Tally::of),
            stale,
            more_stale,
            models,
            has_models: 0 < count,
            server: Server::ask(&self.serve_url),
            disk: self.disk.taken(cache).map(|taken| {
                let files = usize::try_from(taken.files).unwrap_or(usize::MAX);
                format!(
                    "{} in {}",
                    units::bytes(taken.bytes),
                    units::count(files, "file")
                )
            }),
            free: disk::free(cache).map(units::bytes),
            sweeps: sweeps(&self.project),
            runs: runs.table(table, now_ms),
            best: runs.best,
        })
    }
}

pub(super) fn overview(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let source = Source::of(site, asked);
    let going = site.looks.going().list;
    let usual = looks::usual(&asked.shared)?;
    let table = DataTable::new(asked, "last-runs", "Last runs");
    let state = source.state(&going, &usual, table, asked.now_ms, Wait::AMoment)?;
    if asked.format()? != Format::Html
        && let Some(file) = as_file(asked, &[&state.runs])?
    {
        return Ok(file);
    }
    let layout = Layout::new(site, asked, Section::Overview, "Overview").module("parts.js");
    let progress = Progress::of(&going, &usual, asked.now_ms);
    reply::html(
        asked,
        &Page {
            layout,
            progress,
            state,
        },
    )
}

/// Answers with the parts that change.
pub(super) fn live(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    if !is_for_events(asked) {
        return Err(Refused::invalid(
            "this address sends events: ask for `text/event-stream`",
        ));
    }
    let source = Source::of(site, asked);
    let mut follower = Follower::new(&site.looks, &asked.shared);
    let table = DataTable {
        csv_href: "/?format=csv&table=last-runs".to_owned(),
        json_href: "/?format=json&table=last-runs".to_owned(),
        ..DataTable::new(asked, "last-runs", "Last runs")
    };
    let mut sent = Sent::default();
    let mut looked: Option<Instant> = None;
    Ok(reply::live(asked, LOOK_EVERY, move || {
        let mut events = Vec::new();
        let before = (follower.going.len(), follower.looked);
        follower.look();
        let now_ms = clock::now().as_millisecond();
        let progress = Progress::of(&follower.going, &follower.usual, now_ms);
        sent.send(&mut events, "live-progress", &progress);
        let is_due = looked.is_none_or(|at| STATE_EVERY <= at.elapsed());
        if is_due || (follower.going.len(), follower.looked) != before {
            looked = Some(Instant::now());
            let (going, usual) = (&follower.going, &follower.usual);
            match source.state(going, usual, table.clone(), now_ms, Wait::No) {
                Ok(state) => sent.send(&mut events, "live-state", &state),
                Err(error) => {
                    tracing::warn!(target: "cvops::ui", %error, "a page goes without news");
                }
            }
        }
        Some(events)
    }))
}

/// Returns the first stages that are not up to date, and how many more there are.
fn stale(stages: &[StageView]) -> (Vec<Stale>, usize) {
    let all = stages
        .iter()
        .filter(|view| matches!(view.node, NodeState::Pending | NodeState::Failed));
    let count = all.clone().count();
    let shown = all.take(STALE_SHOWN).map(|view| Stale {
        name: view.name.clone(),
        href: stage_href(&view.name),
        chip: view.chip.clone(),
        why: view.why.clone(),
    });
    (shown.collect(), count.saturating_sub(STALE_SHOWN))
}

/// Returns the registered models that have an alias or a version, and how many models there are.
fn models(reader: &Reader<'_>) -> Result<(Vec<Named>, usize), track::Error> {
    let names = reader.registered_model_names()?;
    let count = names.len();
    let shown: Vec<String> = names.into_iter().take(NAMED_MAX).collect();
    let models = reader.registered_models_of(&shown)?;
    let models = models.into_iter().map(|model| {
        let mut aliases = model.aliases;
        // The one that serves comes first.
        aliases.sort_by_key(|(alias, _)| alias != "champion");
        let aliases: Vec<String> = aliases
            .iter()
            .take(NAMED_MAX)
            .map(|(alias, version)| format!("{alias} is version {version}"))
            .collect();
        Named {
            href: format!("/models/{}", segment(&model.name)),
            name: model.name,
            text: if aliases.is_empty() {
                "no alias yet".to_owned()
            } else {
                aliases.join(", ")
            },
        }
    });
    Ok((models.collect(), count))
}

/// Returns the sweeps that go on.
fn sweeps(project: &Project) -> Vec<Named> {
    let layout = &project.layout;
    let names = journal::names(layout).into_iter();
    let running = names.filter(|name| journal::is_running(layout, name));
    running
        .take(NAMED_MAX)
        .map(|name| {
            let text = match journal::read(layout, &name) {
                Ok(sweep) => {
                    let (finished, failed) = sweep.counts();
                    let trials = units::count(finished + failed, "trial");
                    match sweep.best() {
                        Some((_, best)) => {
                            let metric = &sweep.definition.metric;
                            format!("{trials}, best {metric} {}", number(best.value))
                        }
                        None => trials,
                    }
                }
                Err(_) => String::new(),
            };
            Named {
                href: format!("/sweeps/{}", segment(&name)),
                name,
                text,
            }
        })
        .collect()
}

impl State {
    /// Says in one chip how the pipeline stands.
    fn verdict(&self) -> Chip {
        match self.tally {
            Some(tally) if 0 < tally.running => Chip::new(Tone::Busy, "running"),
            Some(tally) if 0 < tally.failed => Chip::new(Tone::Bad, "failed"),
            Some(tally) if 0 < tally.stale => Chip::new(Tone::Warn, "stale"),
            Some(_) => Chip::new(Tone::Good, "up to date"),
            None if self.is_pending => Chip::new(Tone::Plain, "being judged"),
            None => Chip::new(Tone::Bad, "broken"),
        }
    }
}
