//! What changes in a table of runs while it is looked at. Imports: http, mlflow, track, `ui::*`.
//!
//! Events: `changed` says how many runs pass the filter now, after one began, ended, was deleted or
//! restored; `rows` has rows of runs that go on, and of those that have just ended, when something in
//! them has changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::{LiveEvent, Response};
use crate::mlflow::Refused;
use crate::track::run::RunId;
use crate::track::{Error, Shared};
use crate::ui::asked::Asked;
use crate::ui::reply;
use crate::ui::site::Site;

use super::ask::RunsAsk;
use super::rows::drawn_row;
use super::{COUNTED_MAX, asking};

/// How often the record is asked; most times it says at once that nothing has changed.
const EVERY: Duration = Duration::from_secs(1);

/// Without any change: how often the durations of runs that go on are told anew.
const DURATIONS_EVERY: u32 = 5;

/// Counting a hundred thousand runs takes its time: it rests for so many times as long.
const COUNT_REST: u32 = 10;

/// Runs that go on of which is told.
const GOING_ON_MAX: usize = 100;

/// What a page was told last.
struct Told {
    shared: Shared,
    ask: RunsAsk,
    version: Option<i64>,
    mark: Option<u64>,
    rows: BTreeMap<RunId, String>,
    quiet: u32,
    /// When the runs were counted, and how long that took.
    counted: Option<(Instant, Duration)>,
}

/// Answers `/runs/live`.
pub(super) fn answer(_site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let Some((ask, _)) = asking(asked)? else {
        return Err(Refused::missing("there is no experiment"));
    };
    if let (Some(wrong), _) | (_, Some(wrong)) = ask.wrong() {
        return Err(Refused::invalid(wrong.message));
    }
    let mut told = Told {
        shared: asked.shared.clone(),
        ask,
        version: None,
        mark: None,
        rows: BTreeMap::new(),
        quiet: 0,
        counted: None,
    };
    Ok(reply::live(asked, EVERY, move || {
        // A record that cannot be read now may be readable in a second.
        Some(told.look().unwrap_or_default())
    }))
}

impl Told {
    fn look(&mut self) -> Result<Vec<LiveEvent>, Error> {
        let version = self.shared.version()?;
        self.quiet += 1;
        let is_time = !self.rows.is_empty() && DURATIONS_EVERY <= self.quiet;
        if self.version == Some(version) && !is_time {
            return Ok(Vec::new());
        }
        self.quiet = 0;
        let now_ms = crate::base::clock::now().as_millisecond();
        let id = self.ask.experiment.id;
        let ask = &self.ask;
        let mut told: Vec<RunId> = self.rows.keys().copied().collect();
        let seen = self.mark;
        let counts = self
            .counted
            .is_none_or(|(at, took)| took * COUNT_REST <= at.elapsed());
        let began = Instant::now();
        let (mark, counted, rows) = self.shared.read(move |reader| {
            let mark = reader.experiment_mark(id)?;
            let counted = if counts && seen != Some(mark) {
                Some((
                    reader.count_runs(&ask.runs(), COUNTED_MAX)?,
                    began.elapsed(),
                ))
            } else {
                None
            };
            let going_on = reader.runs_going_on(id, GOING_ON_MAX)?;
            told.retain(|id| !going_on.contains(id));
            let both: Vec<RunId> = going_on.into_iter().chain(told).collect();
            let rows = reader.run_rows_of(&both, &ask.logged(), RunsAsk::text_chars_max())?;
            Ok((mark, counted, rows))
        })?;
        let mut events = Vec::new();
        // Whoever is still to count looks again although nothing new has happened.
        self.version = (counts || self.mark == Some(mark)).then_some(version);
        if let Some((counted, took)) = counted {
            self.counted = Some((Instant::now(), took));
            self.mark = Some(mark);
            let data = json!({ "total": counted.runs, "mark": mark.to_string() });
            events.push(LiveEvent {
                event: "changed",
                data: data.to_string(),
            });
        }
        let mut changed = Vec::new();
        let before = std::mem::take(&mut self.rows);
        for row in &rows {
            let drawn = drawn_row(&self.ask, row, now_ms);
            let text = drawn.to_string();
            if before.get(&row.id) != Some(&text) {
                changed.push(drawn);
            }
            if row.status == crate::track::Status::Running {
                self.rows.insert(row.id, text);
            }
        }
        if !changed.is_empty() {
            events.push(LiveEvent {
                event: "rows",
                data: json!({ "rows": changed }).to_string(),
            });
        }
        Ok(events)
    }
}
