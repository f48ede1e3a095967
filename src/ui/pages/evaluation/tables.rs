//! The tables of an evaluation: scores of each class, and what is taken for what. Imports: mlflow,
//! `evaluation::*`, `ui::*`.

use super::confusion::Confusion;
use super::judge::Judged;
use super::source::Source;
use crate::mlflow::Refused;
use crate::ui::asked::Asked;
use crate::ui::parts::table::{Cell, Column, DataTable, Sorted};

/// The columns by which classes can be sorted.
const SORTS: [&str; 6] = ["class", "support", "decided", "precision", "recall", "f1"];

/// The scores of each class, sorted as the query says.
///
/// # Errors
/// They have no such column.
pub(super) fn class_table(
    asked: &Asked,
    source: &Source,
    judged: &Judged,
    counts: &Confusion,
) -> Result<DataTable, Refused> {
    let names = &source.predictions.classes;
    let sort = asked.query.filled("sort").unwrap_or("f1");
    let (key, descends) = match sort.strip_prefix('-') {
        Some(key) => (key, true),
        None => (sort, false),
    };
    if !SORTS.contains(&key) {
        let known = SORTS.join("`, `");
        return Err(Refused::invalid(format!(
            "`sort={sort}`: expected one of `{known}`, or `-` before it"
        )));
    }
    let value = |class: usize| {
        let scores = &judged.classes[class];
        match key {
            "support" => scores.support as f64,
            "decided" => scores.decided as f64,
            "precision" => scores.precision(),
            "recall" => scores.recall(),
            "f1" => scores.f1(),
            _ => class as f64,
        }
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| {
        let order = value(*a).total_cmp(&value(*b));
        if descends { order.reverse() } else { order }
    });
    let column = |name: &'static str, title: &str| {
        let now = match (name == key, descends) {
            (false, _) => Sorted::Not,
            (true, false) => Sorted::Ascending,
            (true, true) => Sorted::Descending,
        };
        let next = if now == Sorted::Ascending {
            format!("-{name}")
        } else {
            name.to_owned()
        };
        let href = asked.href_with(&[("sort", Some(&next))]);
        let column = match name {
            "class" => Column::text(name, title),
            _ => Column::number(name, title),
        };
        column.sort(format!("{href}#classes"), now)
    };
    let mut table = DataTable::new(asked, "classes", "Scores of each class");
    table.columns = vec![
        column("class", "Class"),
        column("support", "Pictures"),
        column("decided", "Decided"),
        column("precision", "Precision"),
        column("recall", "Recall"),
        column("f1", "F1"),
        Column::text("taken_for", "Most often taken for"),
    ];
    table.rows = order
        .into_iter()
        .map(|class| class_row(asked, names, class, judged, counts))
        .collect();
    Ok(table)
}

fn class_row(
    asked: &Asked,
    names: &[String],
    class: usize,
    judged: &Judged,
    counts: &Confusion,
) -> Vec<Cell> {
    let scores = &judged.classes[class];
    let share = |value: f64| Cell::Shown {
        value,
        text: format!("{value:.3}"),
    };
    let href = asked.href_with(&[("class", Some(&names[class])), ("format", None)]);
    vec![
        Cell::Link {
            text: names[class].clone(),
            href: format!("{href}#class"),
        },
        Cell::Number(scores.support as f64),
        Cell::Number(scores.decided as f64),
        share(scores.precision()),
        share(scores.recall()),
        share(scores.f1()),
        counts
            .taken_for(class as u32)
            .map_or(Cell::Empty, |(other, count)| {
                let other = &names[other as usize];
                Cell::Link {
                    text: format!("{other} ({count})"),
                    href: cell_href(asked, &names[class], other),
                }
            }),
    ]
}

/// The most frequent mistakes, as a list: what a matrix of many classes hides.
pub(super) fn mistake_table(
    asked: &Asked,
    source: &Source,
    judged: &Judged,
    counts: &Confusion,
) -> DataTable {
    const ROWS_MAX: usize = 15;
    let names = &source.predictions.classes;
    let mut table = DataTable::new(asked, "mistakes", "Most frequent mistakes");
    "No mistakes.".clone_into(&mut table.empty);
    table.columns = vec![
        Column::text("label", "Class"),
        Column::text("predicted", "Taken for"),
        Column::number("pictures", "Pictures"),
        Column::number("share", "Of its class"),
    ];
    let mistakes = counts.mistakes(ROWS_MAX).into_iter();
    table.rows = mistakes
        .map(|(label, predicted, count)| {
            let (label, predicted) = (label as usize, predicted as usize);
            let decided = judged.classes[label].decided;
            let share = count as f64 / decided.max(1) as f64;
            vec![
                Cell::Text(names[label].clone()),
                Cell::Link {
                    text: names[predicted].clone(),
                    href: cell_href(asked, &names[label], &names[predicted]),
                },
                Cell::Number(count as f64),
                Cell::Shown {
                    value: share,
                    text: percent(share),
                },
            ]
        })
        .collect();
    table
}

/// Returns where a cell of the matrix leads: to its pictures.
pub(super) fn cell_href(asked: &Asked, label: &str, predicted: &str) -> String {
    let href = asked.href_with(&[
        ("true", Some(label)),
        ("predicted", Some(predicted)),
        ("show", None),
        ("page", None),
        ("format", None),
        ("table", None),
    ]);
    format!("{href}#pictures")
}

/// Returns a share as people read it.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
