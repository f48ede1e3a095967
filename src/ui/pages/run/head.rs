//! What stands above each part of a run: its name, how far it is, where its parts are.
//! Imports: `ui::*`, track.

use askama::Template;
use askama::filters::HtmlSafe;

use super::seen::Seen;
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::chip::Chip;
use crate::ui::parts::time::{Ago, took};
use crate::ui::site::Site;

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ui::pages) enum Part {
    Overview,
    Metrics,
    Artifacts,
    Images,
    Log,
}

impl Part {
    const SHOWN: [Self; 5] = [
        Self::Overview,
        Self::Metrics,
        Self::Artifacts,
        Self::Images,
        Self::Log,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Metrics => "Metrics",
            Self::Artifacts => "Artifacts",
            Self::Images => "Images",
            Self::Log => "Log",
        }
    }

    fn below(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Metrics => "/metrics",
            Self::Artifacts => "/artifacts",
            Self::Images => "/images",
            Self::Log => "/log",
        }
    }
}

/// A link to a part.
pub(super) struct Tab {
    pub(super) title: &'static str,
    pub(super) href: String,
    pub(super) is_here: bool,
}

/// What stands above a part of a run. Shown as HTML.
#[derive(Template)]
#[template(path = "pages/run/head.html")]
pub(in crate::ui::pages) struct Head {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) state: Chip,
    pub(super) is_deleted: bool,
    pub(super) goes_on: bool,
    pub(super) started: Ago,
    pub(super) took: String,
    pub(super) tabs: Vec<Tab>,
}

/// Its template escapes.
impl HtmlSafe for Head {}

impl Head {
    pub(in crate::ui::pages) fn new(asked: &Asked, seen: &Seen, here: Part) -> Self {
        let info = &seen.record.info;
        let href = seen.href();
        let until = info
            .ended_ms
            .or_else(|| seen.goes_on().then_some(asked.now_ms));
        Self {
            name: info.name.clone(),
            state: Chip::of_run(info.status),
            is_deleted: seen.is_deleted(),
            goes_on: seen.goes_on(),
            started: Ago {
                at_ms: info.started_ms,
                now_ms: asked.now_ms,
            },
            took: until.map_or_else(String::new, |until| {
                took(until.saturating_sub(info.started_ms))
            }),
            tabs: Part::SHOWN
                .into_iter()
                .map(|part| Tab {
                    title: part.title(),
                    href: format!("{href}{}", part.below()),
                    is_here: part == here,
                })
                .chain(std::iter::once(Tab {
                    title: "Evaluation",
                    href: format!("{href}/evaluation"),
                    is_here: false,
                }))
                .collect(),
            href,
        }
    }
}

/// Frames a part of a run.
pub(in crate::ui::pages) fn layout(site: &Site, asked: &Asked, seen: &Seen, part: Part) -> Layout {
    let name = &seen.record.info.name;
    let title = match part {
        Part::Overview => name.clone(),
        other => format!("{} of {name}", other.title()),
    };
    let experiment = seen.record.info.experiment;
    let framed = Layout::new(site, asked, Section::Runs, &title)
        .crumb("Runs", "/runs")
        .crumb(&seen.experiment, format!("/runs?experiment={experiment}"));
    if part == Part::Overview {
        framed.module("run.js")
    } else {
        framed.crumb(name, seen.href()).module("run.js")
    }
}

/// Says that a run's artifacts are not kept here.
pub(super) fn elsewhere(seen: &Seen) -> Refused {
    Refused::missing(format!(
        "the artifacts of this run are not kept by this server, but at {}",
        seen.record.info.artifact_uri
    ))
}
