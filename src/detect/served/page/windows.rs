//! The windows as a table, on the page. Imports: report, `base::clock`, `drift::reference_update`,
//! `detect::{checked, page, served, tables}`.

use crate::base::clock;
use crate::drift::reference_update::ReferenceUpdate;
use crate::report::page::{Block, Section};
use crate::report::wording::keep_end;
use crate::report::{Align, Table, Tone};

use super::super::super::checked::Verdict;
use super::super::super::page::PERCENT;
use super::super::super::tables::{number, probability};
use super::super::{Served, Slot};

/// Detectors and classes that are named in a row, and characters of a name.
const NAMES_MAX: usize = 3;
const NAME_MAX: usize = 40;
/// The column of the verdict.
const VERDICT: usize = 2;
/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// Returns a row for each window, and one for all of them.
pub(super) fn section(served: &Served) -> Section {
    let update = served.update;
    let mut columns = vec![
        ("time (UTC)", Align::Left),
        ("answers", Align::Right),
        ("verdict", Align::Left),
        ("detectors that found drift", Align::Left),
        ("smallest p", Align::Right),
        ("its effect", Align::Right),
        ("classes that moved", Align::Left),
        ("accuracy, estimated", Align::Right),
        ("accuracy, judged", Align::Right),
    ];
    if update.follows() {
        columns.push(("reference: arrived", Align::Right));
    }
    let mut table = Table::new(columns);
    for window in &served.windows {
        let [from, until] = [window.from, window.until].map(clock::utc_minute);
        add(&mut table, format!("{from} to {until}"), window, update);
    }
    if 1 < served.windows.len() {
        add(&mut table, "all together".to_owned(), &served.whole, update);
    }
    let mut caption = "Windows without answers are left out. p is corrected over the features of a detector; the windows and \
                       all together share the chance of a false alarm."
        .to_owned();
    if update.follows() {
        caption += " The last column says how many rows of the reference are answers of earlier windows, of how many; \
                    all together is compared with the reference as it was fitted.";
    }
    Section {
        heading: "Window by window".to_owned(),
        blocks: vec![Block::Table { table, caption }],
    }
}

fn add(table: &mut Table, name: String, slot: &Slot, update: ReferenceUpdate) {
    let checked = &slot.checked;
    let nothing = || NOTHING.to_owned();
    let surest = slot.surest.as_ref();
    let effect = surest.and_then(|one| one.effect);
    let estimated = checked.accuracy.as_ref().map(|one| one.estimated);
    let judged = slot.figures.accuracy;
    let mut row = vec![
        name,
        slot.images.to_string(),
        word(checked.verdict).to_owned(),
        listed(checked.fired().map(|one| keep_end(&one.name, NAME_MAX))),
        surest.map_or_else(nothing, |one| probability(one.p)),
        effect.map_or_else(nothing, number),
        listed(checked.moved().into_iter().map(|one| {
            let class = keep_end(&one.class, NAME_MAX);
            format!("{class} {:+.1} %", 100.0 * one.difference)
        })),
        estimated.map_or_else(nothing, |share| PERCENT.show(share)),
        judged.map_or_else(nothing, |share| {
            format!("{} of {}", PERCENT.show(share), slot.judged)
        }),
    ];
    if update.follows() {
        row.push(format!(
            "{} of {}",
            slot.reference_arrived, checked.reference.rows
        ));
    }
    table.row(row);
    if checked.is_drift() {
        table.tone(VERDICT, Tone::Bad);
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Drift => "drift",
        Verdict::NoDrift => "none",
        Verdict::Incomplete => "cannot be told",
    }
}

/// Returns the first names, and how many more there are.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return NOTHING.to_owned();
    }
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().checked_sub(NAMES_MAX + 1) {
        Some(more) => format!("{shown} and {} more", more + 1),
        None => shown,
    }
}
