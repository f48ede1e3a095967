//! A sweep as a table: one row per trial. Pure. Imports: base, report.

use std::time::Duration;

use crate::base::units;
use crate::report::{Align, Table, Tone};

use super::domain::Written;
use super::state::{Sweep, TrialState};

/// Returns the table of all trials, in their order; the best one is marked.
#[must_use]
pub fn trials(sweep: &Sweep, is_running: bool) -> Table {
    let definition = &sweep.definition;
    let names: Vec<String> = definition
        .space
        .dimensions
        .iter()
        .map(|d| d.param.to_string())
        .collect();
    let key = definition.metric.key.to_string();
    let mut columns = vec![("trial", Align::Right)];
    columns.extend(names.iter().map(|n| (n.as_str(), Align::Right)));
    columns.extend([
        (key.as_str(), Align::Right),
        ("", Align::Left),
        ("status", Align::Left),
        ("time", Align::Right),
        ("ran", Align::Left),
        ("restored", Align::Left),
    ]);
    let mut table = Table::new(columns);
    let best = sweep.best().map(|(trial, _)| trial.number);
    let time =
        |seconds: f64| units::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    for trial in &sweep.trials {
        let mut row = vec![trial.number.to_string()];
        row.extend(trial.values.iter().map(|v| Written(v).to_string()));
        let is_best = best == Some(trial.number);
        match &trial.state {
            TrialState::Open => row.extend([
                String::new(),
                String::new(),
                if is_running { "running" } else { "unfinished" }.to_owned(),
            ]),
            TrialState::Failed { seconds, .. } => {
                row.extend([
                    String::new(),
                    String::new(),
                    "failed".to_owned(),
                    time(*seconds),
                ]);
            }
            TrialState::Finished(finished) => row.extend([
                number(finished.value),
                if is_best { "best" } else { "" }.to_owned(),
                "done".to_owned(),
                time(finished.seconds),
                finished
                    .ran
                    .iter()
                    .map(|(stage, _)| stage.as_str())
                    .collect::<Vec<_>>()
                    .join(" "),
                finished.restored.join(" "),
            ]),
        }
        table.row(row);
        let at = 1 + trial.values.len();
        match &trial.state {
            TrialState::Finished(_) if is_best => {
                table.tone(at, Tone::Good);
            }
            TrialState::Failed { .. } => {
                table.tone(at + 2, Tone::Bad);
            }
            TrialState::Finished(_) | TrialState::Open => {}
        }
    }
    table
}

/// Writes a metric: six significant digits, without trailing zeros.
#[must_use]
pub fn number(value: f64) -> String {
    let magnitude = if value == 0.0 {
        0.0
    } else {
        value.abs().log10().floor()
    };
    if !(-5.0..6.0).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = (5.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_six_digits() {
        let shown = [0.812345678, 1.0, 0.0, 1234567.0, 12.5, 0.000012345, -0.5].map(number);
        assert_eq!(
            shown,
            [
                "0.812346",
                "1",
                "0",
                "1.23457e6",
                "12.5",
                "0.000012345",
                "-0.5"
            ]
        );
    }
}
