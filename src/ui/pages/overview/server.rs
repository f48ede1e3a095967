//! How the prediction server is, asked in a moment. Imports: base, `ui::parts`,
//! `pages::serving`.

use std::time::Duration;

use crate::base::exposition::samples;
use crate::base::probe::{self, ProbeError};
use crate::ui::pages::serving::ready_url;
use crate::ui::parts::chip::{Chip, Tone};

/// How long one answer may take: two of them keep the page waiting for less than 300 ms.
const PATIENCE: Duration = Duration::from_millis(140);
/// Longer texts of metrics are not read.
const METRICS_MAX: u64 = 4 << 20;
/// Whether drift was found: 1 or 0.
const DRIFT: &str = "cvops_drift_detected";

/// How it is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) url: String,
    pub(super) chip: Chip,
    /// What it says, if it is not well.
    pub(super) detail: String,
    pub(super) drift: Chip,
}

impl Server {
    /// Asks the server at `url`.
    pub(super) fn ask(url: &str) -> Self {
        let base = url.trim_end_matches('/');
        let not_watched = Chip::new(Tone::Plain, "not watched");
        let (chip, detail) = match probe::probe(&ready_url(base), PATIENCE) {
            Ok(probe) if probe.is_well() => (Chip::new(Tone::Good, "ready"), String::new()),
            Ok(probe) => (
                Chip::new(Tone::Warn, "not ready"),
                probe
                    .detail
                    .unwrap_or_else(|| format!("it answers {}", probe.status)),
            ),
            Err(ProbeError::Refused { .. }) => {
                (Chip::new(Tone::Plain, "not running"), String::new())
            }
            Err(ProbeError::TimedOut { .. }) => (
                Chip::new(Tone::Bad, "silent"),
                "it did not answer in time".to_owned(),
            ),
            Err(error) => (Chip::new(Tone::Bad, "unknown"), error.to_string()),
        };
        let is_there = matches!(chip.tone, Tone::Good | Tone::Warn);
        let metrics = is_there
            .then(|| probe::read(&format!("{base}/metrics"), PATIENCE, METRICS_MAX).ok())
            .flatten();
        let metrics = metrics.filter(|(status, _)| *status == 200);
        Self {
            drift: metrics
                .and_then(|(_, text)| drift(&text))
                .unwrap_or(not_watched),
            url: base.to_owned(),
            chip,
            detail,
        }
    }
}

/// Returns what the metrics say of drift, in the form of Prometheus; `None` if they say nothing.
fn drift(metrics: &str) -> Option<Chip> {
    let mut values = samples(metrics)
        .filter(|sample| sample.name == DRIFT)
        .map(|sample| sample.value);
    let first = values.next()?;
    let found = 0.0 < first || values.any(|value| 0.0 < value);
    Some(if found {
        Chip::new(Tone::Bad, "drift")
    } else {
        Chip::new(Tone::Good, "no drift")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_read_from_metrics() {
        for (text, expected) in [
            ("", None),
            ("# TYPE cvops_drift_detected gauge\nother 1\n", None),
            ("cvops_drift_detected 0\n", Some("no drift")),
            (
                "cvops_drift_detected{feature=\"a\"} 0\ncvops_drift_detected{feature=\"b}\"} 1 17\n",
                Some("drift"),
            ),
            ("cvops_drift_detected_total 5\n", None),
        ] {
            let found = drift(text).map(|chip| chip.text);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn nobody_there_is_no_error() {
        let server = Server::ask("http://127.0.0.1:1");
        assert_eq!(server.chip.text, "not running");
        assert_eq!(server.drift.text, "not watched");
    }
}
