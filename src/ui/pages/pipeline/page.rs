//! The page of all stages. Imports: `ui::*`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::experiment::progress::{Finish, Story};
use crate::http::Response;
use crate::mlflow::Refused;
use crate::pipeline::{pointer, words};
use crate::report::EmbeddedSvg;
use crate::ui::asked::{Asked, Format};
use crate::ui::layout::{Layout, Section};
use crate::ui::looks::{self, Going, Look, Seen, Told, Wait};
use crate::ui::parts::as_of::AsOf;
use crate::ui::parts::chip::{Chip, Tone};
use crate::ui::parts::notice::Notice;
use crate::ui::parts::progress::Progress;
use crate::ui::parts::table::{Cell, Column, DataTable, as_file};
use crate::ui::reply;
use crate::ui::site::Site;

use super::graph;
use super::view::{StageView, Tally, stage_href, views};

/// What was found of the pipeline, ready to be shown.
pub(super) struct Facts {
    pub(super) told: Told,
    pub(super) going: Arc<[Going]>,
    pub(super) usual: BTreeMap<String, Duration>,
    pub(super) views: Vec<StageView>,
}

impl Facts {
    /// Asks for everything once.
    pub(super) fn of(site: &Site, asked: &Asked) -> Result<Self, Refused> {
        let going = site.looks.going().list;
        let usual = looks::usual(&asked.shared)?;
        let told = site.looks.now(&going, Wait::AMoment);
        let last = site.looks.last();
        let views = match &*told.seen {
            Seen::Stages(look) => views(
                look,
                &going,
                last.as_ref().map(|(_, story)| &**story),
                &usual,
            ),
            Seen::Nothing | Seen::Broken(_) | Seen::Pending => Vec::new(),
        };
        Ok(Self {
            told,
            going,
            usual,
            views,
        })
    }
}

/// The part that changes while stages run.
#[derive(Template)]
#[template(path = "pages/pipeline/state.html")]
pub(super) struct State {
    as_of: AsOf,
    chips: Vec<Chip>,
    drawing: Option<EmbeddedSvg>,
    table: DataTable,
    last: Option<Last>,
}

/// Its template escapes.
impl HtmlSafe for State {}

impl State {
    pub(super) fn of(
        look: &Look,
        as_of: AsOf,
        views: &[StageView],
        table: DataTable,
        last: Option<&Story>,
    ) -> Self {
        Self {
            as_of,
            last: last.and_then(Last::of),
            chips: Tally::of(views).chips(),
            drawing: graph::draw(&look.graph, views, None),
            table,
        }
    }
}

#[derive(Template)]
#[template(path = "pages/pipeline/page.html")]
struct Page {
    layout: Layout,
    is_empty: bool,
    notices: Vec<Notice>,
    progress: Progress,
    state: Option<State>,
    /// Stands where the state will be told.
    pending: Option<Notice>,
}

/// What the newest command came to.
struct Last {
    command: String,
    chip: Chip,
    run: Option<(String, String)>,
}

impl Last {
    fn of(story: &Story) -> Option<Self> {
        let head = story.head.as_ref()?;
        Some(Self {
            command: head.command.clone(),
            chip: ended(story),
            run: story.run.clone(),
        })
    }
}

pub(super) fn pipeline(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let facts = Facts::of(site, asked)?;
    let table = match &*facts.told.seen {
        Seen::Stages(look) => table(
            look,
            &facts.views,
            DataTable::new(asked, "stages", "Stages"),
        ),
        Seen::Nothing | Seen::Broken(_) | Seen::Pending => {
            DataTable::new(asked, "stages", "Stages")
        }
    };
    if asked.format()? != Format::Html
        && let Some(file) = as_file(asked, &[&table])?
    {
        return Ok(file);
    }
    let (notices, state) = match &*facts.told.seen {
        Seen::Stages(look) => {
            let as_of = AsOf::of(&facts.told, asked.now_ms);
            let notices = look.warnings.iter().map(Notice::warning).collect();
            let last = site.looks.last();
            let last = last.as_ref().map(|(_, story)| &**story);
            (
                notices,
                Some(State::of(look, as_of, &facts.views, table, last)),
            )
        }
        Seen::Nothing | Seen::Pending => (Vec::new(), None),
        Seen::Broken(diagnostics) => (diagnostics.iter().map(Notice::of).collect(), None),
    };
    let layout = Layout::new(site, asked, Section::Pipeline, "Pipeline").module("parts.js");
    reply::html(
        asked,
        &Page {
            layout,
            is_empty: matches!(*facts.told.seen, Seen::Nothing),
            notices,
            pending: matches!(*facts.told.seen, Seen::Pending)
                .then(|| Notice::of(&looks::pending())),
            progress: Progress::of(&facts.going, &facts.usual, asked.now_ms),
            state,
        },
    )
}

/// Returns how a command that is over ended.
pub(super) fn ended(story: &Story) -> Chip {
    match story.end {
        Some((Finish::Done, _)) => Chip::new(Tone::Good, "done"),
        Some((Finish::Failed, _)) => Chip::new(Tone::Bad, "failed"),
        Some((Finish::Stopped, _)) => Chip::new(Tone::Warn, "stopped"),
        None => Chip::new(Tone::Bad, "died"),
    }
}

/// Fills the table of the data that changed and of all stages.
pub(super) fn table(look: &Look, views: &[StageView], mut table: DataTable) -> DataTable {
    table.columns = vec![
        Column::text("stage", "Stage"),
        Column::text("state", "State"),
        Column::text("because", "Why"),
        Column::number("took_ms", "Last took"),
    ];
    let sources = look.sources.iter().map(|change| {
        let pointer: &pointer::Pointer = &look.graph.pointers()[change.pointer];
        vec![
            Cell::Code(pointer.file.to_string()),
            Cell::State(Chip::new(Tone::Warn, words::source_state(change))),
            Cell::Text(words::source_because(change)),
            Cell::Empty,
        ]
    });
    let stages = views.iter().map(|view| {
        vec![
            Cell::Link {
                text: view.name.clone(),
                href: stage_href(&view.name),
            },
            Cell::State(view.chip.clone()),
            if view.why.is_empty() {
                Cell::Empty
            } else {
                Cell::Text(view.why.clone())
            },
            view.took.map_or(Cell::Empty, |took| {
                Cell::Duration(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
            }),
        ]
    });
    table.rows = sources.chain(stages).collect();
    table
}
