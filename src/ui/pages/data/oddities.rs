//! What `preprocess` found odd, as tables. Imports: `ui::*`.

use crate::ui::asked::{Asked, Format};
use crate::ui::outputs::Outputs;
use crate::ui::parts::table::{Cell, Column, DataTable};
use crate::ui::prepared::{Card, Group, Sample, Samples, picture_href};

/// Rows of a table on the page; the files have all.
const ROWS_MAX: usize = 200;
/// The longer side of a picture in a table.
const SIDE: u32 = 96;

/// A table with what stands above it.
pub(super) struct Oddity {
    pub(super) id: &'static str,
    pub(super) heading: &'static str,
    pub(super) meaning: &'static str,
    pub(super) count: usize,
    pub(super) left_out: usize,
    pub(super) table: DataTable,
}

/// Returns all kinds of oddities, those without any as well.
pub(super) fn of(
    asked: &Asked,
    outputs: &Outputs,
    folder: &str,
    card: &Card,
    samples: Option<&Samples>,
) -> Vec<Oddity> {
    let rows_max = match asked.format() {
        Ok(Format::Html) | Err(_) => ROWS_MAX,
        Ok(Format::Csv | Format::Json) => usize::MAX,
    };
    let groups = |id, heading, meaning, groups: &[Group]| {
        let mut table = DataTable::new(asked, id, heading);
        table.columns = vec![
            Column::text("picture", "Picture"),
            Column::text("files", "Files"),
            Column::text("splits", "Splits"),
            Column::text("classes", "Classes"),
            Column::text("content", "Content"),
        ];
        let row = |group: &Group| group_row(outputs, folder, card, samples, group);
        table.rows = groups.iter().take(rows_max).map(row).collect();
        Oddity {
            id,
            heading,
            meaning,
            count: groups.len(),
            left_out: groups.len().saturating_sub(rows_max),
            table,
        }
    };
    let mut oddities = vec![
        groups(
            "leakage",
            "Leakage",
            "The same picture in more than one split: results on it flatter the model.",
            &card.leakage,
        ),
        groups(
            "conflicts",
            "Conflicting labels",
            "The same picture under more than one class: one of the labels is wrong.",
            &card.conflicts,
        ),
    ];
    let mut table = DataTable::new(asked, "corrupt", "Unusable files");
    table.columns = vec![
        Column::text("path", "File"),
        Column::text("reason", "Reason"),
    ];
    let row = |(path, reason): (&String, &String)| {
        vec![Cell::Code(path.clone()), Cell::Text(reason.clone())]
    };
    let corrupt = card.corrupt.iter().map(|c| (&c.path, &c.reason));
    table.rows = corrupt.take(rows_max).map(row).collect();
    oddities.push(Oddity {
        id: "corrupt",
        heading: "Unusable files",
        meaning: "They could not be decoded, and were left out of all splits.",
        count: card.corrupt.len(),
        left_out: card.corrupt.len().saturating_sub(rows_max),
        table,
    });
    oddities.push(groups(
        "duplicates",
        "Duplicates",
        "The same picture more than once.",
        &card.duplicates,
    ));
    let mut table = DataTable::new(asked, "skipped", "Passed over");
    table.columns = vec![Column::text("path", "Path")];
    let skipped = card.skipped.iter().take(rows_max);
    table.rows = skipped.map(|path| vec![Cell::Code(path.clone())]).collect();
    oddities.push(Oddity {
        id: "skipped",
        heading: "Passed over",
        meaning: "Files and folders beside the pictures that are none.",
        count: card.skipped.len(),
        left_out: card.skipped.len().saturating_sub(rows_max),
        table,
    });
    oddities
}

fn group_row(
    outputs: &Outputs,
    folder: &str,
    card: &Card,
    samples: Option<&Samples>,
    group: &Group,
) -> Vec<Cell> {
    let found: Vec<&Sample> = samples
        .into_iter()
        .flat_map(|samples| group.paths.iter().filter_map(|path| samples.at_path(path)))
        .collect();
    let joined = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.dedup();
        Cell::Text(names.join(", "))
    };
    let class = |sample: &&Sample| card.classes.get(sample.class as usize).map(String::as_str);
    let picture = found.first().map_or(Cell::Empty, |sample| Cell::Picture {
        src: picture_href(outputs, folder, sample, SIDE),
        alt: sample.path.to_string(),
    });
    vec![
        picture,
        Cell::Code(group.paths.join(", ")),
        joined(found.iter().map(|sample| sample.split_name()).collect()),
        joined(found.iter().filter_map(class).collect()),
        Cell::Code(group.content.chars().take(12).collect()),
    ]
}
