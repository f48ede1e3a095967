//! The story of a sweep, line by line, as text or as JSON. Imports: base, experiment, out.

use serde_json::{Value, json};

use crate::base::{Observer, units};
use crate::cli::out::{Form, Out, Style};
use crate::cli::render::diagnostic;
use crate::experiment::sweep::{Definition, Event, Trial, TrialState, table, trial};

/// Shows events as they come.
pub(super) struct Story<'a> {
    out: &'a Out,
    definition: &'a Definition,
}

impl<'a> Story<'a> {
    /// Tells the story of a sweep to `out`.
    pub(super) fn new(out: &'a Out, definition: &'a Definition) -> Self {
        Self { out, definition }
    }

    fn tell(&self, event: &Event) {
        let out = self.out;
        match event {
            Event::LeftoversStopped { stages } => out.note(&out.paint(
                Style::Changed,
                &format!(
                    "stopped processes that a killed sweep left behind ({})",
                    names(stages.iter().map(String::as_str))
                ),
            )),
            Event::Begins {
                name,
                definition,
                done,
                total,
            } => {
                let mut text = format!(
                    "{}: {} of {} ({}), {} {}",
                    out.paint(Style::Strong, name),
                    definition.method.name(),
                    units::count(*total as usize, "trial"),
                    definition
                        .space
                        .dimensions
                        .iter()
                        .map(|d| d.param.to_string())
                        .collect::<Vec<_>>()
                        .join(", "),
                    definition.goal.name(),
                    definition.metric,
                );
                if *done != 0 {
                    text += &format!("; {done} done already");
                }
                out.note(&text);
            }
            Event::SharedStarted { stages } => out.note(&format!(
                "running what all trials share: {}",
                names(stages.iter().map(crate::pipeline::StageName::as_str))
            )),
            Event::SharedFinished { took } => {
                out.note(&format!(
                    "shared stages: done in {}",
                    units::duration(*took)
                ));
            }
            Event::Started { trial, values } => out.note(&out.paint(
                Style::Dim,
                &format!(
                    "trial {trial}: {}",
                    trial::describe(self.definition, values)
                ),
            )),
            Event::Ended { trial, best } => out.note(&self.ended(trial, *best)),
            Event::InputsChanged { trial, what } => out.note(&out.paint(
                Style::Changed,
                &format!(
                    "trial {trial}: {} changed since the sweep began, so it cannot be compared with those before",
                    what.join(", ")
                ),
            )),
            Event::Warning(warning) => {
                diagnostic::show_all(out, std::slice::from_ref(warning));
            }
            Event::Stopping => out.note("stopping the running trials (again to kill)"),
        }
    }

    fn ended(&self, trial: &Trial, best: Option<(u64, f64)>) -> String {
        let out = self.out;
        let time = |seconds: f64| {
            units::duration(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
        };
        match &trial.state {
            TrialState::Finished(finished) => {
                let best = match best {
                    Some((number, _)) if number == trial.number => {
                        out.paint(Style::Good, "best so far")
                    }
                    Some((number, value)) => {
                        format!("best {} in trial {number}", table::number(value))
                    }
                    None => String::new(),
                };
                format!(
                    "trial {}: {} = {} in {}, {best}",
                    trial.number,
                    self.definition.metric.key,
                    table::number(finished.value),
                    time(finished.seconds),
                )
            }
            TrialState::Failed { error, seconds, .. } => format!(
                "trial {}: {} in {}: {error}",
                trial.number,
                out.paint(Style::Bad, "failed"),
                time(*seconds)
            ),
            TrialState::Open => String::new(),
        }
    }

    fn to_json(&self, event: &Event) -> Value {
        match event {
            Event::LeftoversStopped { stages } => {
                json!({"event": "leftovers_stopped", "stages": stages})
            }
            Event::Begins {
                name,
                definition,
                done,
                total,
            } => json!({
                "event": "begins", "sweep": name, "done": done, "trials": total,
                "method": definition.method.name(), "metric": definition.metric.to_string(),
                "goal": definition.goal.name(), "seed": definition.seed,
            }),
            Event::SharedStarted { stages } => {
                let stages: Vec<&str> = stages
                    .iter()
                    .map(crate::pipeline::StageName::as_str)
                    .collect();
                json!({"event": "shared_started", "stages": stages})
            }
            Event::SharedFinished { took } => {
                json!({"event": "shared_finished", "seconds": took.as_secs_f64()})
            }
            Event::Started { trial, values } => json!({
                "event": "started", "trial": trial, "params": self.definition.named(values),
            }),
            Event::Ended { trial, best } => {
                let mut line = super::show::trial_json(self.definition, trial);
                line["event"] = json!("ended");
                line["best"] =
                    json!(best.map(|(number, value)| json!({"trial": number, "value": value})));
                line
            }
            Event::InputsChanged { trial, what } => {
                json!({"event": "inputs_changed", "trial": trial, "what": what})
            }
            Event::Warning(warning) => json!({"event": "warning", "message": warning.headline}),
            Event::Stopping => json!({"event": "stopping"}),
        }
    }
}

impl Observer<Event> for Story<'_> {
    fn notify(&self, event: Event) {
        match self.out.form {
            Form::Json => self.out.json(&self.to_json(&event)),
            Form::Text | Form::Md => self.tell(&event),
        }
    }
}

fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
