//! How the pictures of the splits compare: classes, and properties. Imports: report, `vision::dataset`,
//! `vision::image`, `audit::{finding, pictures}`.

use crate::report::chart::{Arrangement, GroupedBars, GroupedRow, NumberFormat, Spread};
use crate::report::page::{Block, Chart};
use crate::report::{Align, Table};
use crate::vision::dataset::Split;
use crate::vision::image::PROPERTIES;

use super::super::finding::Audit;
use super::super::pictures::Pictures;
use super::{ROWS_MAX, cut, shortened};

/// Intervals of a property.
const INTERVALS: usize = 24;

/// Returns how many pictures of each class the splits have: bars, and a table.
pub(super) fn classes(audit: &Audit) -> Vec<Block> {
    let count =
        |split: Split, class: usize| audit.counts.of(split).get(class).copied().unwrap_or(0);
    let named = || audit.classes.iter().enumerate().take(ROWS_MAX);
    let bars = GroupedBars {
        title: "Images per class and split".to_owned(),
        subtitle: String::new(),
        axis_title: "images".to_owned(),
        format: NumberFormat::Decimals(0),
        arrangement: Arrangement::Stacked,
        parts: Split::ALL.map(|split| split.name().to_owned()).to_vec(),
        rows: named()
            .map(|(class, name)| GroupedRow {
                label: shortened(name),
                values: Split::ALL.map(|split| count(split, class) as f64).to_vec(),
            })
            .collect(),
    };
    let mut table = Table::new([
        ("class", Align::Left),
        ("train", Align::Right),
        ("val", Align::Right),
        ("test", Align::Right),
        ("all", Align::Right),
    ]);
    for (class, name) in named() {
        let counts = Split::ALL.map(|split| count(split, class));
        let mut row = vec![shortened(name)];
        row.extend(counts.map(|count| count.to_string()));
        row.push(counts.iter().sum::<usize>().to_string());
        table.row(row);
    }
    let mut blocks = vec![
        Block::Charts(vec![Chart {
            svg: bars.svg(),
            caption: String::new(),
        }]),
        Block::Table {
            table,
            caption: String::new(),
        },
    ];
    blocks.extend(cut(audit.classes.len(), ROWS_MAX));
    blocks
}

/// Returns a chart for each property that varies: the share of a split's pictures in each interval.
pub(super) fn properties(pictures: &Pictures) -> Vec<Chart> {
    (0..PROPERTIES.len())
        .filter_map(|at| property(pictures, at))
        .collect()
}

fn property(pictures: &Pictures, at: usize) -> Option<Chart> {
    let of = |split: Split| {
        let rows = pictures.rows.iter().filter(move |row| row.split == split);
        rows.map(|row| row.properties[at]).collect::<Vec<f64>>()
    };
    let spread = Spread {
        title: PROPERTIES[at].to_owned(),
        x_title: PROPERTIES[at].to_owned(),
        y_title: "share of the split".to_owned(),
        groups: Split::ALL
            .map(|split| (split.name().to_owned(), of(split)))
            .to_vec(),
    };
    Some(Chart {
        svg: spread.shares(INTERVALS)?.svg(),
        caption: String::new(),
    })
}
