//! How the pictures of the splits compare: classes, and properties. Imports: report, `vision::dataset`,
//! `vision::image`, `audit::{finding, pictures}`.

use crate::report::chart::{
    Arrangement, Axis, GroupedBars, GroupedRow, LineChart, Naming, NumberFormat, Series,
};
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
    let values = || {
        pictures
            .rows
            .iter()
            .map(move |picture| picture.properties[at])
    };
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    let varies = least < most && (most - least).is_finite();
    if !varies {
        return None;
    }
    let step = (most - least) / INTERVALS as f64;
    let series = Split::ALL.iter().filter_map(|split| {
        let mut counts = [0_usize; INTERVALS];
        for picture in pictures
            .rows
            .iter()
            .filter(|picture| picture.split == *split)
        {
            let interval = ((picture.properties[at] - least) / step) as usize;
            counts[interval.min(INTERVALS - 1)] += 1;
        }
        let all = counts.iter().sum::<usize>() as f64;
        let middle = |interval: usize| least + step * (interval as f64 + 0.5);
        let points = counts.iter().enumerate();
        (0.0 < all).then(|| Series {
            name: split.name().to_owned(),
            points: points
                .map(|(interval, count)| (middle(interval), *count as f64 / all))
                .collect(),
        })
    });
    let chart = LineChart {
        title: PROPERTIES[at].to_owned(),
        x: Axis::linear(PROPERTIES[at]),
        y: Axis::linear("share of the split"),
        series: series.collect(),
        naming: Naming::Marked,
    };
    Some(Chart {
        svg: chart.svg(),
        caption: String::new(),
    })
}
