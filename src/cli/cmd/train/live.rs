//! The figures of each epoch, logged while the training goes on: to the run that `MLFLOW_RUN_ID` names,
//! at the tracking server that `MLFLOW_TRACKING_URI` names. In a pipeline both are the repro's own;
//! elsewhere any MLflow server will do. Imports: base, track, vision.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::base::{Diagnostic, clock};
use crate::cli::ctx::Ctx;
use crate::cli::out::Out;
use crate::cli::render::diagnostic;
use crate::track::client::{Client, ClientError, Live, Login};
use crate::track::entity::MetricPoint;
use crate::vision::train::EpochRecord;

/// A server has so long for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A training that is over waits so long for what is not sent yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Logs to one run.
pub(super) struct Logger(Result<Live, ClientError>);

impl Logger {
    /// Starts to log, if the environment says where to. Whatever goes wrong is told at the end.
    pub(super) fn start(ctx: &Ctx) -> Option<Self> {
        let uri = ctx.env.get("MLFLOW_TRACKING_URI")?;
        let run = ctx.env.get("MLFLOW_RUN_ID")?;
        // As MLflow's client: a name and a password go before a token.
        let named = ctx.env.get("MLFLOW_TRACKING_USERNAME");
        let login = match (named, ctx.env.get("MLFLOW_TRACKING_PASSWORD")) {
            (Some(user), Some(password)) => Login::Password {
                user: user.to_owned(),
                password: password.to_owned(),
            },
            _ => match ctx.env.get("MLFLOW_TRACKING_TOKEN") {
                Some(token) => Login::Token(token.to_owned()),
                None => Login::Nobody,
            },
        };
        match Client::new(uri, login, TIMEOUT) {
            Ok(client) => Live::start(client, run.to_owned()).map(|live| Self(Ok(live))),
            Err(error) => Some(Self(Err(error))),
        }
    }

    /// Logs the figures of an epoch, under the names and with the values of the history file.
    pub(super) fn log(&self, record: &EpochRecord) {
        if let Ok(live) = &self.0 {
            live.log(points(record, clock::now().as_millisecond()));
        }
    }

    /// Waits a little for what is not sent yet; warns if something could not be logged.
    pub(super) fn end(self, out: &Out) {
        let result = self.0.and_then(|live| live.end(PATIENCE));
        if let Err(error) = result {
            let headline = format!("figures of epochs were not logged: {error}");
            let warning = Diagnostic::warning("not-logged", headline)
                .note("the model and the history file are as ever");
            diagnostic::show_all(out, &[warning]);
        }
    }
}

fn points(record: &EpochRecord, at_ms: i64) -> Vec<MetricPoint> {
    // The history file rounds: what is logged is the same metric only if it is the same number.
    let columns: Map<String, Json> = serde_json::from_str(&record.to_json()).unwrap_or_default();
    let numbers = columns.into_iter().filter(|(name, _)| name != "epoch");
    numbers
        .filter_map(|(name, value)| {
            Some(MetricPoint {
                name,
                value: value.as_f64()?,
                at_ms,
                step: record.epoch as i64,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_logged_as_the_history_has_it() {
        let record = EpochRecord {
            epoch: 3,
            lr: 0.001,
            train_loss: 0.123_456_789,
            train_accuracy: 0.5,
            val_loss: Some(0.25),
            val_accuracy: None,
        };
        let lines: Vec<String> = points(&record, 7)
            .iter()
            .map(|p| format!("{}={} {} {}", p.name, p.value, p.step, p.at_ms))
            .collect();
        let expected = [
            "lr=0.001 3 7",
            "train_accuracy=0.5 3 7",
            "train_loss=0.123457 3 7",
            "val_loss=0.25 3 7",
        ];
        let mut sorted = lines.clone();
        sorted.sort();
        assert_eq!(sorted, expected);
    }
}
