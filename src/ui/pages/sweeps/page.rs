//! `/sweeps/{name}`: one sweep. Imports: `ui::*`.

use askama::Template;

use super::curves::{Curves, curves};
use super::figures::{Contour, Figures, figures};
use super::live::mark_of;
use super::shown::{Shown, TrialEnd, find, href};
use super::trials;
use crate::base::units;
use crate::http::Response;
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::layout::{Layout, Section};
use crate::ui::parts::number::number;
use crate::ui::parts::table::{DataTable, as_file};
use crate::ui::parts::time::{Ago, took};
use crate::ui::reply;
use crate::ui::site::Site;

#[derive(Template)]
#[template(path = "pages/sweeps/sweep.html")]
struct Page {
    layout: Layout,
    shown: Shown,
    name: String,
    began: Ago,
    counts: String,
    done: usize,
    left: Option<String>,
    per_trial: Option<String>,
    best: Option<Best>,
    figures: Option<Figures>,
    curves: Option<Curves>,
    trials: DataTable,
    metric: String,
    mark: String,
}

struct Best {
    number: u64,
    value: String,
    values: Vec<(String, String)>,
    link: String,
}

pub(super) fn page(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let name = asked.param(0);
    let shown = find(site, asked, name)?;
    let mark = mark_of(site, asked, name, &shown);
    let trials = trials::table(asked, &shown)?;
    if let Some(file) = as_file(asked, &[&trials])? {
        return Ok(file);
    }
    let seconds = |seconds: f64| took((seconds * 1000.0) as i64);
    let layout = Layout::new(site, asked, Section::Sweeps, &shown.title)
        .crumb("Sweeps", "/sweeps")
        // First: it looks at the page as it was sent.
        .module("sweep.js")
        .module("chart.js")
        .module("parallel.js")
        .module("copy.js");
    let page = Page {
        layout,
        name: name.to_owned(),
        began: Ago {
            at_ms: shown.began_ms,
            now_ms: asked.now_ms,
        },
        counts: counts(&shown),
        done: shown.rows.len() - shown.count(TrialEnd::Running),
        left: shown.left().map(seconds),
        per_trial: shown.per_trial().map(seconds),
        best: best(&shown),
        figures: figures(asked, &shown)?,
        curves: curves(asked, &shown)?,
        trials,
        metric: asked.query.get("metric").unwrap_or_default().to_owned(),
        mark,
        shown,
    };
    reply::html(asked, &page)
}

impl Page {
    fn live_href(&self) -> String {
        format!("{}/live", href(&self.name))
    }

    fn page_href(&self) -> String {
        href(&self.name)
    }

    fn contour(&self) -> Option<&Contour> {
        self.figures.as_ref()?.contour.as_ref()
    }

    fn parent_href(&self) -> Option<String> {
        self.shown.parent.map(|id| format!("/runs/{id}"))
    }

    fn is_metric(&self, name: &str) -> bool {
        if self.metric.is_empty() {
            self.shown
                .metrics
                .first()
                .is_some_and(|first| first == name)
        } else {
            self.metric == name
        }
    }
}

fn counts(shown: &Shown) -> String {
    let done = shown.count(TrialEnd::Done);
    let mut text = match shown.total {
        Some(total) => format!("{done} of {} done", units::count(total as usize, "trial")),
        None => format!(
            "{} of {} done",
            done,
            units::count(shown.rows.len(), "trial")
        ),
    };
    for (state, word) in [
        (TrialEnd::Failed, "failed"),
        (TrialEnd::Pruned, "pruned"),
        (TrialEnd::Stopped, "stopped early"),
        (TrialEnd::Running, "running"),
        (TrialEnd::Unfinished, "unfinished"),
    ] {
        match shown.count(state) {
            0 => {}
            count => text += &format!(", {count} {word}"),
        }
    }
    text
}

fn best(shown: &Shown) -> Option<Best> {
    let best = shown.study.best()?;
    let names = shown.study.axes.iter().map(|axis| axis.name.clone());
    let values = best.values.iter().map(|value| value.text.clone());
    Some(Best {
        number: best.number,
        value: number(best.value),
        values: names.zip(values).collect(),
        link: best.link.clone(),
    })
}
