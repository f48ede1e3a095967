//! The pipeline page as it changes. Imports: `ui::*`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::http::Response;
use crate::http::header::ACCEPT;
use crate::mlflow::Refused;
use crate::track::Shared;
use crate::ui::asked::Asked;
use crate::ui::looks::{self, Going, Looks, Seen, Wait};
use crate::ui::parts::as_of::AsOf;
use crate::ui::parts::live::Sent;
use crate::ui::parts::progress::Progress;
use crate::ui::parts::table::DataTable;
use crate::ui::reply;
use crate::ui::site::Site;

use super::page::{State, table};
use super::stage;
use super::view::views;

/// How often journals are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the stages are judged anew while nothing goes on.
const JUDGE_EVERY: Duration = Duration::from_secs(10);

/// Answers with the parts that change, or, for a reader who asks for a page, with that of a stage of
/// this name.
pub(super) fn live(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    if !is_for_events(asked) {
        return stage::named(site, asked, "live");
    }
    let mut follower = Follower::new(&site.looks, &asked.shared);
    let template = DataTable::new(asked, "stages", "Stages");
    let template = DataTable {
        csv_href: "/pipeline?format=csv&table=stages".to_owned(),
        json_href: "/pipeline?format=json&table=stages".to_owned(),
        ..template
    };
    let mut sent = Sent::default();
    // The page of a stage does not show all of them.
    let only_progress = asked.query.get("only") == Some("progress");
    Ok(reply::live(asked, LOOK_EVERY, move || {
        let mut events = Vec::new();
        let judged = follower.look();
        let usual = &follower.usual;
        let now_ms = clock::now().as_millisecond();
        let progress = Progress::of(&follower.going, usual, now_ms);
        sent.send(&mut events, "live-progress", &progress);
        if judged && !only_progress {
            let told = follower.looks.now(&follower.going, Wait::No);
            if let Seen::Stages(look) = &*told.seen {
                let last = follower.looks.last();
                let last = last.as_ref().map(|(_, story)| &**story);
                let views = views(look, &follower.going, last, usual);
                let table = table(look, &views, template.clone());
                let as_of = AsOf::of(&told, now_ms);
                let state = State::of(look, as_of, &views, table, last);
                sent.send(&mut events, "live-state", &state);
            }
        }
        Some(events)
    }))
}

/// Does the reader ask for events?
pub(in crate::ui) fn is_for_events(asked: &Asked) -> bool {
    let accept = asked
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// Follows the commands that run stages, for one reader.
pub(in crate::ui) struct Follower {
    pub(in crate::ui) looks: Arc<Looks>,
    pub(in crate::ui) going: Arc<[Going]>,
    version: Option<u64>,
    /// Looks that were over.
    pub(in crate::ui) looked: u64,
    pub(in crate::ui) usual: std::collections::BTreeMap<String, Duration>,
    shared: Shared,
    judged: Option<Instant>,
}

impl Follower {
    pub(in crate::ui) fn new(looks: &Arc<Looks>, shared: &Shared) -> Self {
        Self {
            looks: Arc::clone(looks),
            going: Arc::new([]),
            version: None,
            looked: 0,
            usual: std::collections::BTreeMap::new(),
            shared: shared.clone(),
            judged: None,
        }
    }

    /// Reads what happened since; returns whether the stages may be other ones now.
    pub(in crate::ui) fn look(&mut self) -> bool {
        let commands = self.looks.going();
        let looked = self.looks.count();
        let happened = self.version != Some(commands.version) || self.looked != looked;
        self.version = Some(commands.version);
        self.looked = looked;
        let before = std::mem::replace(&mut self.going, commands.list);
        let is_over = |one: &Going| self.going.iter().all(|now| now.name != one.name);
        let ended = before.iter().any(is_over);
        let is_due = self.judged.is_none_or(|at| JUDGE_EVERY <= at.elapsed());
        if ended || is_due {
            // Without durations the page says less, and goes on.
            self.usual = looks::usual(&self.shared).unwrap_or_default();
        }
        if happened || is_due {
            self.judged = Some(Instant::now());
        }
        happened || is_due
    }
}
