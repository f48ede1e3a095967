//! `/runs/{id}/live`: what goes on in a run, for pages that are open: new points of metrics, latest
//! values, lines of the console, new artifacts, and the end. Imports: experiment, http, track,
//! `ui::*`.
//!
//! The first answer says the latest values, so that a page that was hidden is up to date again; points
//! come from then on. All is bounded: what does not fit comes with the next look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::console::{journal_of, lines_of_journal};
use super::seen::{Seen, run_of};
use crate::experiment::progress::Tail;
use crate::http::{LiveEvent, Response};
use crate::mlflow::Refused;
use crate::project::Layout;
use crate::track::db::token_behind;
use crate::track::{Artifacts, Error, RunId, Shared};
use crate::ui::asked::Asked;
use crate::ui::parts::chip::Chip;
use crate::ui::parts::number::number;
use crate::ui::parts::time::took;
use crate::ui::reply;
use crate::ui::site::Site;

/// How often the record is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Metrics whose points are told; others are seen when the page is loaded again.
const METRICS_MAX: usize = 300;

/// Points of one metric in one message.
const POINTS_MAX: usize = 500;

/// The journal of a run that has just begun is looked for in so many looks, in every other one.
const JOURNAL_LOOKS_MAX: u32 = 10;

pub(super) fn answer(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let id = run_of(asked)?;
    asked.shared.read(|reader| reader.run_info(id))?;
    let log = match asked.query.filled("log") {
        Some(text) => Some(text.parse().map_err(|_| {
            Refused::invalid(format!("`log={text}`: a place in the log was expected"))
        })?),
        None => None,
    };
    let mut watch = Watch {
        id,
        shared: asked.shared.clone(),
        artifacts: Arc::clone(&asked.artifacts),
        layout: site.project.layout.clone(),
        mark: None,
        places: BTreeMap::new(),
        files: None,
        has_more: false,
        log,
        looks: 0,
        journal: None,
        has_ended: false,
    };
    Ok(reply::live(asked, EVERY, move || watch.look()))
}

/// What was told of a run.
struct Watch {
    id: RunId,
    shared: Shared,
    artifacts: Arc<Artifacts>,
    layout: Layout,
    mark: Option<u64>,
    /// Up to where points of each metric were told.
    places: BTreeMap<String, String>,
    files: Option<usize>,
    /// Some metric has more points than one message takes.
    has_more: bool,
    /// Up to where the page knows the log, if it shows one.
    log: Option<u64>,
    looks: u32,
    /// The journal of the command that is recorded as this run.
    journal: Option<Tail>,
    /// The end was told.
    has_ended: bool,
}

impl Watch {
    /// Returns what is new; `None`: nothing will be any more.
    fn look(&mut self) -> Option<Vec<LiveEvent>> {
        match self.news() {
            Ok(news) => news,
            // It was removed, or the record cannot be read: the page asks again later.
            Err(error) => {
                tracing::debug!(target: "cvops::ui", %error, "a live page ends");
                None
            }
        }
    }

    fn news(&mut self) -> Result<Option<Vec<LiveEvent>>, Error> {
        if self.has_ended {
            return Ok(None);
        }
        let mut events = Vec::new();
        let is_first = self.mark.is_none();
        let shared = self.shared.clone();
        let (mark, seen) = shared.read(|reader| {
            let mark = reader.run_mark(self.id)?;
            let is_same = self.mark == Some(mark) && !self.has_more;
            let seen = (!is_same)
                .then(|| Seen::read(reader, self.id))
                .transpose()?;
            Ok((mark, seen))
        })?;
        self.log(&mut events);
        let Some(seen) = seen else {
            return Ok(Some(events));
        };
        self.mark = Some(mark);
        events.push(event("state", &state(&seen)));
        events.push(event("latest", &latest(&seen)));
        if let Some(points) = self.points(&seen, is_first)? {
            events.push(event("points", &points));
        }
        self.count_files(&seen, &mut events)?;
        if !seen.goes_on() && !self.has_more {
            // The browser would come back if this answer just ended.
            events.push(event("end", &json!({})));
            self.has_ended = true;
        }
        Ok(Some(events))
    }

    fn points(&mut self, seen: &Seen, is_first: bool) -> Result<Option<Value>, Error> {
        let mut series = Vec::new();
        self.has_more = false;
        let shared = self.shared.clone();
        shared.read(|reader| {
            for metric in seen.record.metrics.iter().take(METRICS_MAX) {
                if is_first {
                    self.places
                        .insert(metric.name.clone(), token_behind(metric));
                    continue;
                }
                let place = self.places.get(&metric.name).map(String::as_str);
                let page = reader.metric_history(self.id, &metric.name, Some(POINTS_MAX), place)?;
                let Some(last) = page.items.last() else {
                    continue;
                };
                self.places.insert(metric.name.clone(), token_behind(last));
                self.has_more |= page.items.len() == POINTS_MAX;
                let points: Vec<Value> = page
                    .items
                    .iter()
                    .map(|point| json!([point.step, point.at_ms, finite(point.value)]))
                    .collect();
                series.push(json!({"key": metric.name, "points": points}));
            }
            Ok(())
        })?;
        Ok((!series.is_empty()).then(|| {
            json!({
                "run": self.id.to_string(),
                "name": seen.record.info.name,
                "started_ms": seen.record.info.started_ms,
                "series": series,
            })
        }))
    }

    /// Counts what is at the top of the artifacts and in MLflow's folder of images.
    fn count_files(&mut self, seen: &Seen, events: &mut Vec<LiveEvent>) -> Result<(), Error> {
        let artifacts = Arc::clone(&self.artifacts);
        let count = self.shared.read(|reader| {
            let top = seen.list(reader, &artifacts, "")?.len();
            Ok(top + seen.list(reader, &artifacts, "images")?.len())
        })?;
        if self.files.is_some_and(|known| known != count) {
            events.push(event("artifacts", &json!({"count": count})));
        }
        self.files = Some(count);
        Ok(())
    }

    /// Tells the lines that came after those that the page has, and up to where they go: a page that
    /// was hidden goes on from there.
    fn log(&mut self, events: &mut Vec<LiveEvent>) {
        let Some(from) = self.log else {
            return;
        };
        if self.journal.is_none() && self.looks <= JOURNAL_LOOKS_MAX && self.looks.is_multiple_of(2)
        {
            self.journal = journal_of(&self.layout, self.id).map(|path| Tail::from(&path, from));
        }
        self.looks = self.looks.saturating_add(1);
        if let Some(tail) = &mut self.journal {
            let (lines, _) = lines_of_journal(tail);
            if !lines.is_empty() {
                let told = json!({"lines": lines, "offset": tail.offset()});
                events.push(event("log", &told));
            }
        }
    }
}

fn event(event: &'static str, data: &Value) -> LiveEvent {
    LiveEvent {
        event,
        data: data.to_string(),
    }
}

/// JSON has no NaN.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn state(seen: &Seen) -> Value {
    let info = &seen.record.info;
    let chip = Chip::of_run(info.status);
    json!({
        "text": chip.text,
        "tone": chip.tone.class(),
        "started_ms": info.started_ms,
        "took": info.ended_ms.map(|ended| took(ended.saturating_sub(info.started_ms))),
    })
}

fn latest(seen: &Seen) -> Value {
    let metrics = seen.record.metrics.iter().take(METRICS_MAX);
    metrics
        .map(|metric| {
            json!({
                "name": metric.name,
                "value": finite(metric.value),
                "text": number(metric.value),
                "step": metric.step,
            })
        })
        .collect()
}
