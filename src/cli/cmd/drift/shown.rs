//! What `cvops drift check` found, as tables and lines, or as JSON.

use serde_json::Value;

use crate::base::{Diagnostic, units};
use crate::cli::ctx::Ctx;
use crate::cli::out::{Form, Style};
use crate::cli::render::diagnostic;
use crate::detect::Checked;
use crate::detect::checked::{Detected, Measured, Outcome, Verdict};
use crate::report::{Align, Table, Tone};

use super::new_data::NewData;

/// Features that are named in a row.
const FEATURES_MAX: usize = 3;
/// Pictures that are named.
const PICTURES_MAX: usize = 5;
/// What stands where there is no number.
const NOTHING: &str = "-";

/// Shows all of it; what could not be computed comes last and on stderr, except in JSON, which holds it.
pub(super) fn show(ctx: &Ctx, checked: &Checked, new: &NewData) {
    if ctx.out.form == Form::Json {
        ctx.out.json(&json_of(checked, new));
        return;
    }
    ctx.out.table(&detectors(checked));
    let moved = moved(checked);
    if !moved.rows().is_empty() {
        ctx.out.result("\n");
        ctx.out.table(&moved);
    }
    ctx.out.result("\n");
    for line in lines(checked) {
        ctx.out.result(&line);
    }
    let (style, verdict) = verdict(checked);
    ctx.out.result(&ctx.out.paint(style, &verdict));
    for note in &checked.notes {
        ctx.out.note(note);
    }
    for one in &checked.detectors {
        let notes = one
            .measured()
            .into_iter()
            .flat_map(|measured| &measured.notes);
        for note in notes {
            ctx.out.note(&format!("{}: {note}", one.name));
        }
    }
    for (one, reason) in checked.failed() {
        let headline = format!(
            "the detector `{}` could not be computed: {reason}",
            one.name
        );
        diagnostic::show_all(&ctx.out, &[Diagnostic::error("detector", headline)]);
    }
}

/// Returns all that was found, with what could not be read.
fn json_of(checked: &Checked, new: &NewData) -> Value {
    // Plain data with texts as keys always has a JSON form.
    let mut value = serde_json::to_value(checked).unwrap_or(Value::Null);
    if let Value::Object(map) = &mut value {
        map.insert("is_drift".to_owned(), Value::Bool(checked.is_drift()));
        map.insert("unreadable".to_owned(), new.unreadable_json());
    }
    value
}

fn detectors(checked: &Checked) -> Table {
    let mut table = Table::new([
        ("detector", Align::Left),
        ("test", Align::Left),
        ("statistic", Align::Right),
        ("p", Align::Right),
        ("drift below", Align::Right),
        ("effect", Align::Right),
        ("verdict", Align::Left),
    ]);
    for one in &checked.detectors {
        let number = |value: Option<f64>| value.map_or_else(|| NOTHING.to_owned(), number);
        let nothing = || NOTHING.to_owned();
        match &one.outcome {
            Outcome::Failed(_) => {
                let test = one.test.clone();
                let verdict = "not computed".to_owned();
                table.row([
                    one.name.clone(),
                    test,
                    nothing(),
                    nothing(),
                    nothing(),
                    nothing(),
                    verdict,
                ]);
                table.tone(6, Tone::Bad);
            }
            Outcome::Measured(measured) => {
                table.row([
                    one.name.clone(),
                    one.test.clone(),
                    number(measured.statistic),
                    probability(measured.p_val),
                    measured.threshold.map_or_else(nothing, probability),
                    number(measured.effect),
                    word(one, measured),
                ]);
                if measured.is_drift {
                    table.tone(6, Tone::Bad);
                }
            }
        }
    }
    table
}

/// Returns whether it drifted, and which features did most.
fn word(one: &Detected, measured: &Measured) -> String {
    if !measured.is_drift {
        let significant = measured
            .threshold
            .is_some_and(|level| measured.p_val < level);
        return if significant && one.min_effect > 0.0 {
            format!("effect below {}", one.min_effect)
        } else {
            "none".to_owned()
        };
    }
    let mut drifted: Vec<_> = measured.features.iter().filter(|f| f.is_drift).collect();
    if measured.features.len() < 2 || drifted.is_empty() {
        return "drift".to_owned();
    }
    drifted.sort_by(|a, b| a.p_val.total_cmp(&b.p_val));
    let names: Vec<&str> = drifted.iter().map(|f| f.name.as_str()).collect();
    let shown = names[..names.len().min(FEATURES_MAX)].join(", ");
    match names.len().checked_sub(FEATURES_MAX + 1) {
        Some(more) => format!("drift: {shown} and {} more", more + 1),
        None => format!("drift: {shown}"),
    }
}

/// Returns the classes that became more or less frequent, those that moved most first.
fn moved(checked: &Checked) -> Table {
    let mut table = Table::new([
        ("predicted class", Align::Left),
        ("reference", Align::Right),
        ("here", Align::Right),
        ("difference", Align::Right),
    ]);
    let mut moved: Vec<_> = checked.classes.iter().filter(|one| one.moved).collect();
    moved.sort_by(|a, b| b.difference.abs().total_cmp(&a.difference.abs()));
    for one in moved {
        table.row([
            one.class.clone(),
            percent(one.reference),
            percent(one.new),
            format!("{:+.1} %", 100.0 * one.difference),
        ]);
    }
    table
}

fn lines(checked: &Checked) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(accuracy) = &checked.accuracy {
        let counted = accuracy.actual.map_or_else(String::new, |actual| {
            format!("; {actual:.3} by their folders")
        });
        lines.push(format!(
            "accuracy: {:.3} on the reference, about {:.3} here as far as confidence tells{counted}",
            accuracy.reference, accuracy.estimated
        ));
    }
    if let Some(outliers) = &checked.outliers {
        lines.push(format!(
            "outliers: {} of {} ({}, where {} are usual)",
            units::count(outliers.rows, "picture"),
            checked.rows,
            percent(outliers.share),
            percent(outliers.false_positives)
        ));
    }
    let unlike = checked.witnesses.iter().flat_map(|found| &found.unlike);
    let pictures: Vec<&str> = unlike
        .filter_map(|one| one.picture.as_deref())
        .take(PICTURES_MAX)
        .collect();
    if checked.is_drift() && !pictures.is_empty() {
        lines.push(format!(
            "most unlike the reference: {}",
            pictures.join(", ")
        ));
    }
    lines
}

fn verdict(checked: &Checked) -> (Style, String) {
    let (rows, reference) = (checked.rows, &checked.reference);
    let compared = format!(
        "{} against {} of the {} split",
        units::count(rows, "picture"),
        reference.rows,
        reference.split
    );
    let all = units::count(checked.detectors.len(), "detector");
    match checked.verdict {
        Verdict::Drift => {
            let fired: Vec<&str> = checked.fired().map(|one| one.name.as_str()).collect();
            let text = format!(
                "drift: {} of {all} ({}); {compared}",
                fired.len(),
                fired.join(", ")
            );
            (Style::Bad, text)
        }
        Verdict::NoDrift => (Style::Good, format!("no drift: {all}; {compared}")),
        Verdict::Incomplete => {
            let failed = checked.failed().count();
            let text = format!("no verdict: {failed} of {all} could not be computed; {compared}");
            (Style::Bad, text)
        }
    }
}

/// Returns a share as it is shown.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.001 {
        return format!("{value:.1e}");
    }
    format!("{value:.3}")
}

/// Returns a p-value as it is shown.
pub(super) fn probability(p: f64) -> String {
    if p < 0.0001 {
        return format!("{p:.0e}");
    }
    format!("{p:.4}")
}
