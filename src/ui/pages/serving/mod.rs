//! `/serving`: what the prediction server does, what it was asked last, and what people say about
//! its answers. Figures come from the server's `/metrics`, predictions from its log on disk, so that
//! the page says what was even when the server is down. Imports: http, mlflow, track, `ui::*`.

mod judge;
mod reading;
mod server;
mod view;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::base;
use crate::http::{LiveEvent, Response};
use crate::mlflow::Refused;
use crate::track::predictions::{KeptPicture, Predictions, Window};
use crate::ui::asked::Asked;
use crate::ui::reply;
use crate::ui::site::{Endpoint, Site};

use watch::Server;
pub(in crate::ui) use watch::{Watch, ready_url};

pub(in crate::ui) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/serving", view::answer),
    Endpoint::get("/serving/live", live),
    Endpoint::get("/serving/pictures/{segment}/{place}", picture),
    Endpoint::post("/serving/feedback", judge::judge),
];

/// How often a live page is told of news.
const LIVE_EVERY: Duration = Duration::from_secs(2);
/// A kept picture never changes.
const PICTURE_AGE: Duration = Duration::from_hours(24);
/// Classes that are offered for correction.
const CLASSES_MAX: usize = 1000;

fn log_of(site: &Site) -> Predictions {
    Predictions::new(site.project.layout.predictions())
}

fn broken(error: &base::Error) -> Refused {
    tracing::error!(target: "cvops::ui", %error, "the prediction log cannot be read");
    Refused::bug()
}

/// Returns the classes of the models whose predictions are in the log: those of the newest model in
/// their order, then what else was predicted.
fn classes_of(window: &Window) -> Vec<String> {
    let mut classes = indexmap::IndexSet::new();
    for labelled in &window.predictions {
        for class in labelled.prediction.probabilities.keys() {
            if !classes.contains(class) {
                classes.insert(class.clone());
            }
        }
        // Each line of a model with few classes has all of them.
        let known = classes.len();
        if CLASSES_MAX <= known || labelled.prediction.classes <= known {
            break;
        }
    }
    classes.into_iter().collect()
}

/// `GET /serving/pictures/{segment}/{place}`: a kept picture, by where it stands in the log.
fn picture(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let gone = || Refused::missing("the log has no such picture any more");
    let segment = asked.param(0).parse().map_err(|()| gone())?;
    let (at, len) = asked.param(1).split_once('-').ok_or_else(gone)?;
    let kept = KeptPicture {
        at: at.parse().map_err(|_| gone())?,
        len: len.parse().map_err(|_| gone())?,
    };
    let bytes = log_of(site).picture(&segment, kept);
    let bytes = bytes.map_err(|e| broken(&e))?.ok_or_else(gone)?;
    Ok(reply::picture(bytes, "image/png", PICTURE_AGE))
}

/// `GET /serving/live`: says `changed` when there is something new to see.
#[expect(clippy::unnecessary_wraps, reason = "an endpoint may refuse")]
fn live(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let (watch, log) = (Arc::clone(&site.serving), log_of(site));
    let url = site.serve_url.clone();
    let mut told = None;
    Ok(reply::live(asked, LIVE_EVERY, move || {
        let now = base::clock::now().as_millisecond();
        let server = match watch.server(&url, now) {
            Server::Up(up) => {
                let reading = &up.reading;
                let seen = (reading.all_requests(), reading.queue, reading.is_ready);
                format!("{seen:?} {:?}", reading.model)
            }
            Server::Down(why) | Server::Strange(why) => why,
            Server::Unseen { is_ready, why } => format!("{is_ready:?} {why}"),
        };
        let seen = (server, log.stamp().unwrap_or_default());
        if told.as_ref() == Some(&seen) {
            return Some(Vec::new());
        }
        let is_first = told.replace(seen).is_none();
        let news = (!is_first).then(|| LiveEvent {
            event: "changed",
            data: json!({"at": now}).to_string(),
        });
        Some(news.into_iter().collect())
    }))
}
