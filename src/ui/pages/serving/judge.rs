//! `POST /serving/feedback`: what a picture really shows, as somebody says who looks at it.
//!
//! It is told to the server, so that its metrics count it. If the server is down, or does not know the
//! prediction (it serves another project, or another model with other classes), it is appended to the log
//! from here: feedback is a fact about a prediction, not about a process that runs.
//! Imports: base, mlflow, track, `ui::*`.

use std::time::Duration;

use serde_json::json;

use crate::base::clock::Timestamp;
use crate::base::probe;
use crate::http::Response;
use crate::mlflow::{Code, Refused};
use crate::track::predictions::{Entry, Feedback, Prediction, Predictions, Record, Writer};
use crate::ui::asked::{Asked, Query};
use crate::ui::reply;
use crate::ui::site::Site;

use super::{broken, classes_of, log_of};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where it comes from.
const SOURCE: &str = "ui";
/// More classes are not listed in a refusal.
const CLASSES_SHOWN: usize = 20;

pub(super) fn judge(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let form = asked.form();
    let id = form.filled("request_id").unwrap_or_default();
    let index: u32 = form.number("index", 0)?;
    // A button says its class; the list beside it counts if the button says none.
    let label = form.filled("label").or_else(|| form.filled("other"));
    let Some(label) = label else {
        return Err(Refused::invalid("choose the class that the picture shows"));
    };
    let log = log_of(site);
    let mut found = log.of_request(id).map_err(|e| broken(&e))?.into_iter();
    let Some(prediction) = found.find(|prediction| prediction.index == index) else {
        return Err(Refused::missing(format!(
            "no prediction of the request `{id}`, picture {index}, is in the log any more"
        )));
    };
    check_label(site, &log, &prediction, label)?;
    if !is_told(site, &prediction, label) {
        append(site, asked, &prediction, label)?;
    }
    site.serving.forget_window();
    // Back to the same view: a query of ours, whatever the form says.
    let back = form.get("back").unwrap_or_default();
    let back = Query(
        form_urlencoded::parse(back.as_bytes())
            .into_owned()
            .collect(),
    );
    let query = back.encoded();
    reply::see_other(&if query.is_empty() {
        "/serving".to_owned()
    } else {
        format!("/serving?{query}")
    })
}

/// A class that nobody has seen is a typing mistake.
fn check_label(
    site: &Site,
    log: &Predictions,
    prediction: &Prediction,
    label: &str,
) -> Result<(), Refused> {
    if prediction.probabilities.contains_key(label) {
        return Ok(());
    }
    let window = site.serving.window(log).map_err(|e| broken(&e))?;
    let classes = classes_of(&window);
    if classes.iter().any(|class| class == label) {
        return Ok(());
    }
    let shown: Vec<&str> = classes
        .iter()
        .take(CLASSES_SHOWN)
        .map(String::as_str)
        .collect();
    Err(Refused::invalid(format!(
        "`{label}` is no class of the model: {}{}",
        shown.join(", "),
        if CLASSES_SHOWN < classes.len() {
            ", …"
        } else {
            ""
        }
    )))
}

/// Tells the server; returns whether it took it.
fn is_told(site: &Site, prediction: &Prediction, label: &str) -> bool {
    let url = format!("{}/feedback", site.serve_url.trim_end_matches('/'));
    let body = json!({
        "request_id": prediction.request_id, "index": prediction.index, "label": label,
        "source": SOURCE,
    });
    let told = probe::tell(&url, &body.to_string(), PATIENCE);
    told.is_ok_and(|answer| answer.is_well())
}

fn append(site: &Site, asked: &Asked, prediction: &Prediction, label: &str) -> Result<(), Refused> {
    let now = Timestamp::from_millisecond(asked.now_ms).map_err(|_| Refused::bug())?;
    let feedback = Feedback {
        ts: now,
        request_id: prediction.request_id.clone(),
        index: prediction.index,
        label: label.to_owned(),
        source: SOURCE.to_owned(),
        comment: None,
    };
    let entry = Entry {
        record: Record::Feedback(feedback),
        picture: Vec::new(),
    };
    // The bound is the server's: a page removes nothing.
    let mut writer = Writer::new(site.project.layout.predictions(), u64::MAX);
    writer.write(vec![entry], now).map_err(|error| {
        tracing::warn!(target: "cvops::ui", %error, "the prediction log cannot be written");
        Refused::new(
            Code::TemporarilyUnavailable,
            "the prediction log cannot be written now",
        )
    })
}
