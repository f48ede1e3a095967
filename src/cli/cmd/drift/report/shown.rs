//! What `cvops drift report` found, as a table and lines, or as JSON.

use serde_json::Value;

use crate::base::{clock, units};
use crate::cli::cmd::drift::shown::{most_unlike, percent, show_failures};
use crate::cli::ctx::Ctx;
use crate::cli::out::{Form, Style};
use crate::detect::checked::Verdict;
use crate::detect::served::{Figures, Served, Slot};
use crate::detect::tables::probability;
use crate::report::{Align, Table, Tone};

use super::logged::Logged;

/// Classes that are named in a row.
const CLASSES_MAX: usize = 2;
/// The column of the verdict.
const VERDICT: usize = 2;
/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// Shows all of it; what could not be computed of the whole comes last and on stderr, except in JSON, which holds it.
pub(super) fn show(ctx: &Ctx, served: &Served, logged: &Logged) {
    if ctx.out.form == Form::Json {
        ctx.out.json(&json_of(served, logged));
        return;
    }
    ctx.out.table(&windows(served));
    ctx.out.result("\n");
    for line in lines(served) {
        ctx.out.result(&line);
    }
    let verdict = ctx.out.paint(style(served.verdict), &served.in_words());
    ctx.out.result(&verdict);
    for note in notes(served, logged) {
        ctx.out.note(&note);
    }
    show_failures(ctx, &served.whole.checked);
}

fn json_of(served: &Served, logged: &Logged) -> Value {
    // Plain data with texts as keys always has a JSON form.
    let mut value = serde_json::to_value(served).unwrap_or(Value::Null);
    if let Value::Object(map) = &mut value {
        map.insert("is_drift".to_owned(), Value::Bool(served.is_drift()));
        map.insert("log".to_owned(), logged.json());
    }
    value
}

fn windows(served: &Served) -> Table {
    let mut table = Table::new([
        ("from (UTC)", Align::Left),
        ("images", Align::Right),
        ("verdict", Align::Left),
        ("p", Align::Right),
        ("classes that moved", Align::Left),
        ("confidence", Align::Right),
        ("entropy", Align::Right),
        ("accuracy", Align::Right),
    ]);
    for window in &served.windows {
        add(&mut table, clock::utc_minute(window.from), window);
    }
    if 1 < served.windows.len() {
        add(&mut table, "all together".to_owned(), &served.whole);
    }
    let reference = &served.whole.checked.reference;
    let [confidence, entropy, accuracy] = figures(&served.reference);
    table.row([
        format!("reference ({})", reference.split),
        reference.rows.to_string(),
        NOTHING.to_owned(),
        NOTHING.to_owned(),
        NOTHING.to_owned(),
        confidence,
        entropy,
        accuracy,
    ]);
    table
}

fn add(table: &mut Table, name: String, slot: &Slot) {
    let [confidence, entropy, accuracy] = figures(&slot.figures);
    let surest = slot.surest.as_ref();
    table.row([
        name,
        slot.images.to_string(),
        word(slot.checked.verdict).to_owned(),
        surest.map_or_else(|| NOTHING.to_owned(), |surest| probability(surest.p)),
        moved(slot),
        confidence,
        entropy,
        if slot.judged == 0 {
            accuracy
        } else {
            format!("{accuracy} of {}", slot.judged)
        },
    ]);
    if slot.checked.is_drift() {
        table.tone(VERDICT, Tone::Bad);
    }
}

fn figures(figures: &Figures) -> [String; 3] {
    [figures.confidence, figures.entropy, figures.accuracy]
        .map(|figure| figure.map_or_else(|| NOTHING.to_owned(), |figure| format!("{figure:.3}")))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Drift => "drift",
        Verdict::NoDrift => "none",
        Verdict::Incomplete => "too few to say",
    }
}

/// Returns the classes that became more or less frequent, those that moved most first.
fn moved(slot: &Slot) -> String {
    let moved = slot.checked.moved();
    let named = moved.iter().take(CLASSES_MAX);
    let named: Vec<String> = named
        .map(|one| format!("{} {:+.1} %", one.class, 100.0 * one.difference))
        .collect();
    match moved.len().checked_sub(CLASSES_MAX + 1) {
        Some(more) => format!("{} and {} more", named.join(", "), more + 1),
        None if named.is_empty() => NOTHING.to_owned(),
        None => named.join(", "),
    }
}

fn lines(served: &Served) -> Vec<String> {
    let mut lines = Vec::new();
    let checked = &served.whole.checked;
    if let Some(accuracy) = &checked.accuracy {
        let judged = match (served.whole.figures.accuracy, served.whole.judged) {
            (Some(found), judged) if 0 < judged => {
                format!("; {found:.3} of the {judged} that somebody judged")
            }
            _ => String::new(),
        };
        lines.push(format!(
            "accuracy: {:.3} on the reference, about {:.3} here as far as confidence tells{judged}",
            accuracy.reference, accuracy.estimated
        ));
    }
    if served.is_drift() {
        let requests = most_unlike(checked);
        lines.extend(
            requests.map(|names| format!("most unlike the reference (request/picture): {names}")),
        );
    }
    lines
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::NoDrift => Style::Good,
        Verdict::Drift | Verdict::Incomplete => Style::Bad,
    }
}

/// Says what should be known of the numbers.
pub(super) fn notes(served: &Served, logged: &Logged) -> Vec<String> {
    let mut notes = Vec::new();
    let checked = &served.whole.checked;
    notes.extend(level(served));
    if served.update.follows() {
        notes.push(format!(
            "the reference follows (`{}`): a window is compared with the fitted rows and the windows before it, so what \
             moves slowly is found in none of them; all together is compared with the fitted rows alone",
            served.update
        ));
    }
    if 0 < logged.partial {
        notes.push(format!(
            "of {} of {}, the log has the likeliest of {} classes only: softmax, entropy and margin cannot be computed",
            logged.partial,
            units::count(logged.count, "answer"),
            logged.classes
        ));
    }
    let seen = served.whole.pictures;
    if 0 < seen && seen < logged.count {
        notes.push(format!(
            "of {} of {}, no picture is kept that can be looked at: detectors of pictures (embedding, properties) are computed of windows whose \
             pictures are all there",
            logged.count - seen,
            units::count(logged.count, "answer")
        ));
    }
    if let Some(why) = logged.looked.why_not() {
        notes.push(format!(
            "the pictures that the log keeps were not looked at: {why}"
        ));
    }
    if logged.sample < 1.0 {
        notes.push(format!(
            "the log has a share of the requests only: {} (`serve.log.sample`)",
            percent(logged.sample)
        ));
    }
    if logged.is_cut {
        notes.push(format!(
            "there is more in the log: the newest {} of this time were compared",
            units::count(logged.count, "answer")
        ));
    }
    notes.extend(logged.left_out().map(|told| format!("left out: {told}")));
    notes.extend(checked.notes.iter().cloned());
    notes
}

/// Says below which p there is drift. Windows whose detectors are not the same share their level differently.
fn level(served: &Served) -> Option<String> {
    let slots = served.windows.iter().chain([&served.whole]);
    let levels = slots.flat_map(|slot| &slot.checked.detectors);
    let levels: Vec<f64> = levels.map(|one| one.alpha).collect();
    let least = levels.iter().copied().reduce(f64::min)?;
    let most = levels.iter().copied().reduce(f64::max)?;
    let below = if probability(least) == probability(most) {
        probability(least)
    } else {
        format!(
            "{} to {}, depending on how many detectors share it",
            probability(least),
            probability(most)
        )
    };
    Some(format!(
        "drift is a p below {below}, corrected over the features of a detector"
    ))
}
