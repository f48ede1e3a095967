//! Which predicted classes became more or less frequent, on the page. Imports: report, `detect::{checked, tables}`.

use crate::report::chart::{Arrangement, GroupedBars, GroupedRow};
use crate::report::page::{Block, Chart, Section};
use crate::report::{Align, Table, Tone};

use super::super::checked::{Checked, ClassShare};
use super::super::tables::probability;
use super::{PERCENT, ROWS_MAX, cut, shortened};

/// Classes that have bars.
const BARS_MAX: usize = 20;

/// Returns bars and a table, the classes that moved most first; `None` if nothing is known of classes.
pub(in crate::detect) fn section(checked: &Checked) -> Option<Section> {
    if checked.classes.is_empty() {
        return None;
    }
    let mut classes: Vec<&ClassShare> = checked.classes.iter().collect();
    // Stable: classes that moved as far stay in the order of the model.
    classes.sort_by(|a, b| {
        let moved = b.moved.cmp(&a.moved);
        moved.then(b.difference.abs().total_cmp(&a.difference.abs()))
    });
    let moved = classes.iter().filter(|one| one.moved).count();
    let text = match moved {
        0 => "No class is predicted so much more or less often that chance does not explain it."
            .to_owned(),
        1 => "One class is predicted more or less often than chance explains.".to_owned(),
        more => format!("{more} classes are predicted more or less often than chance explains."),
    };
    let mut blocks = vec![
        Block::Prose(text),
        Block::Charts(vec![bars(&classes)]),
        Block::Table {
            table: table(&classes),
            caption: "The residual says by how many standard deviations a count is off what both sets together \
                      let expect; p is of Fisher's exact test of the class against all others, corrected over \
                      the classes after Holm."
                .to_owned(),
        },
    ];
    blocks.extend(cut(classes.len(), ROWS_MAX));
    Some(Section {
        heading: "Which classes moved".to_owned(),
        blocks,
    })
}

fn bars(classes: &[&ClassShare]) -> Chart {
    let shown = classes.iter().take(BARS_MAX);
    let chart = GroupedBars {
        title: "Predicted classes".to_owned(),
        subtitle: String::new(),
        axis_title: "share of the pictures".to_owned(),
        format: PERCENT,
        arrangement: Arrangement::SideBySide,
        parts: ["reference", "new"].map(str::to_owned).to_vec(),
        rows: shown
            .map(|one| GroupedRow {
                label: shortened(&one.class),
                values: vec![one.reference, one.new],
            })
            .collect(),
    };
    Chart {
        svg: chart.svg(),
        caption: if BARS_MAX < classes.len() {
            format!("The {BARS_MAX} that moved most, of {}.", classes.len())
        } else {
            String::new()
        },
    }
}

fn table(classes: &[&ClassShare]) -> Table {
    let mut table = Table::new([
        ("predicted class", Align::Left),
        ("reference", Align::Right),
        ("new", Align::Right),
        ("of reference", Align::Right),
        ("of new", Align::Right),
        ("difference", Align::Right),
        ("residual", Align::Right),
        ("p", Align::Right),
        ("verdict", Align::Left),
    ]);
    for one in classes.iter().take(ROWS_MAX) {
        let verdict = if one.moved { "moved" } else { "none" };
        table.row([
            shortened(&one.class),
            one.reference_rows.to_string(),
            one.new_rows.to_string(),
            PERCENT.show(one.reference),
            PERCENT.show(one.new),
            format!("{:+.1} %", 100.0 * one.difference),
            format!("{:+.1}", one.residual),
            probability(one.p_val),
            verdict.to_owned(),
        ]);
        if one.moved {
            table.tone(8, Tone::Bad);
        }
    }
    table
}
