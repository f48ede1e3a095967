//! Where the time of a repro went. Imports: base, pipeline, report, out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::base::units;
use crate::cli::out::{Out, Style};
use crate::pipeline::execute::{CriticalPath, Outcome, Summary};
use crate::report::{Align, Table};

/// Of less than this nobody asks where it went.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Shows the critical path in one line; with `-v` a table with the time of every stage above it.
pub(in crate::cli) fn show(out: &Out, summary: &Summary) {
    let CriticalPath { stages, took } = &summary.critical_path;
    if stages.is_empty() {
        return;
    }
    if out.is_verbose() {
        out.note(table(summary).text(None).trim_end());
    }
    let worked = summary
        .done
        .iter()
        .filter(|(_, how, _)| did_something(*how));
    let is_worth_it = WORTH_TELLING <= summary.took && 1 < worked.count();
    if !is_worth_it && !out.is_verbose() {
        return;
    }
    let names: Vec<_> = stages
        .iter()
        .map(|stage| out.paint(Style::Strong, stage.as_str()))
        .collect();
    out.note(&format!(
        "critical path: {}: {} of {}",
        names.join(" > "),
        units::duration(*took),
        units::duration(summary.took)
    ));
}

fn did_something(how: Outcome) -> bool {
    matches!(how, Outcome::Ran | Outcome::Restored)
}

fn table(summary: &Summary) -> Table {
    let mut table = Table::new([
        ("stage", Align::Left),
        ("took", Align::Right),
        ("critical", Align::Left),
    ]);
    for (stage, _, took) in summary
        .done
        .iter()
        .filter(|(_, how, _)| did_something(*how))
    {
        let is_critical = summary.critical_path.stages.contains(stage);
        table.row([
            stage.to_string(),
            units::duration(*took),
            if is_critical { "yes" } else { "" }.to_owned(),
        ]);
    }
    table
}

/// Returns the machine form of the critical path.
pub(super) fn critical_json(path: &CriticalPath) -> Value {
    let stages: Vec<_> = path.stages.iter().map(ToString::to_string).collect();
    json!({"stages": stages, "seconds": path.took.as_secs_f64()})
}
