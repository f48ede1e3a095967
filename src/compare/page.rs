//! Plots as charts, and charts as a page. Pure. Imports: base, report, plots, rows.

use std::collections::BTreeSet;

use crate::base::doc::Value;
use crate::report::chart::{Axis, ConfusionMatrix, LineChart, Naming, Series};
use crate::report::page::{Block, Chart, Image, ImageKind, Section};
use crate::report::{Page, Svg};

use super::plots::{Content, Plot, Version};
use super::rows::{DataRow, STEP_COLUMNS};

/// Curves of one table beyond this are left out.
const CURVES_MAX: usize = 48;

/// A drawn part of a plot.
#[derive(Clone, Debug)]
pub enum Drawing {
    /// A chart.
    Chart {
        /// What is drawn: a column, or a side.
        name: String,
        /// The chart.
        svg: Svg,
    },
    /// An image.
    Image {
        /// The sides that have it.
        name: String,
        /// Its kind.
        kind: ImageKind,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// Returns the drawings of a plot: a chart for each column with the curves of all sides over each
/// other; confusion matrices and images side by side.
#[must_use]
pub fn drawings(plot: &Plot) -> Vec<Drawing> {
    let mut drawings = images(plot);
    let tables: Vec<(&str, &[DataRow])> = plot
        .versions
        .iter()
        .filter_map(|version| match &version.content {
            Content::Rows(rows) if !rows.is_empty() => Some((version.side.as_str(), &rows[..])),
            _ => None,
        })
        .collect();
    if tables.is_empty() {
        return drawings;
    }
    let labels = plot.labels();
    let is_confusion = |rows: &[DataRow]| {
        rows.iter()
            .all(|row| labels.iter().all(|column| row.contains_key(*column)))
    };
    if tables.iter().all(|(_, rows)| is_confusion(rows)) {
        drawings.extend(confusions(plot, &tables));
    } else {
        drawings.extend(curves(plot, &tables));
    }
    drawings
}

/// Equal images of several sides are shown once.
fn images(plot: &Plot) -> Vec<Drawing> {
    let mut found: Vec<(Vec<&str>, ImageKind, &[u8])> = Vec::new();
    for Version { side, content } in &plot.versions {
        let Content::Image(kind, bytes) = content else {
            continue;
        };
        match found.iter_mut().find(|(_, _, known)| *known == &bytes[..]) {
            Some((sides, _, _)) => sides.push(side),
            None => found.push((vec![side], *kind, bytes)),
        }
    }
    found
        .into_iter()
        .map(|(sides, kind, bytes)| Drawing::Image {
            name: sides.join(", "),
            kind,
            bytes: bytes.to_vec(),
        })
        .collect()
}

fn confusions(plot: &Plot, tables: &[(&str, &[DataRow])]) -> Vec<Drawing> {
    let labels = plot.labels();
    let label = |row: &DataRow, column: &str| match row.get(column) {
        Some(Value::Str(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let classes: BTreeSet<String> = tables
        .iter()
        .flat_map(|(_, rows)| rows.iter())
        .flat_map(|row| labels.map(|column| label(row, column)))
        .collect();
    let classes: Vec<String> = classes.into_iter().collect();
    tables
        .iter()
        .map(|(side, rows)| {
            let mut counts = vec![vec![0; classes.len()]; classes.len()];
            for row in *rows {
                let [actual, predicted] =
                    labels.map(|column| classes.binary_search(&label(row, column)));
                if let (Ok(actual), Ok(predicted)) = (actual, predicted) {
                    counts[actual][predicted] += 1;
                }
            }
            let chart = ConfusionMatrix {
                title: format!("{} of {side}", heading(plot)),
                classes: classes.clone(),
                counts,
                links: Vec::new(),
            };
            Drawing::Chart {
                name: (*side).to_owned(),
                svg: chart.svg(),
            }
        })
        .collect()
}

fn curves(plot: &Plot, tables: &[(&str, &[DataRow])]) -> Vec<Drawing> {
    let rows = || tables.iter().flat_map(|(_, rows)| rows.iter());
    let has = |column: &str| rows().any(|row| number(row.get(column)).is_some());
    let x = match &plot.axes.x {
        Some(declared) if has(declared) => Some(declared.as_str()),
        _ => STEP_COLUMNS.into_iter().find(|column| has(column)),
    };
    let mut columns: Vec<&str> = Vec::new();
    if plot.axes.y.is_empty() {
        for column in rows().flat_map(|row| row.keys()) {
            if Some(column.as_str()) != x && !columns.contains(&column.as_str()) && has(column) {
                columns.push(column);
            }
        }
    } else {
        let declared = plot.axes.y.iter().map(String::as_str);
        columns.extend(declared.filter(|column| has(column)));
    }
    columns
        .into_iter()
        .take(CURVES_MAX)
        .map(|column| {
            let series = tables.iter().map(|(side, rows)| Series {
                name: (*side).to_owned(),
                points: points(rows, x, column),
            });
            let chart = LineChart {
                title: column.to_owned(),
                x: Axis::linear(x.unwrap_or("row")),
                y: Axis::linear(""),
                series: series.filter(|s| !s.points.is_empty()).collect(),
                naming: Naming::Legend,
            };
            Drawing::Chart {
                name: column.to_owned(),
                svg: chart.svg(),
            }
        })
        .collect()
}

fn points(rows: &[DataRow], x: Option<&str>, column: &str) -> Vec<(f64, f64)> {
    rows.iter()
        .enumerate()
        .filter_map(|(at, row)| {
            let x = match x {
                Some(x) => number(row.get(x))?,
                None => at as f64,
            };
            Some((x, number(row.get(column))?))
        })
        .collect()
}

fn number(value: Option<&Value>) -> Option<f64> {
    value.and_then(Value::as_f64)
}

fn heading(plot: &Plot) -> &str {
    match &plot.axes.title {
        Some(title) => title,
        None => plot.path.as_str(),
    }
}

/// Returns the page of `plots`; `sides` are the names of what is shown, the old one first.
#[must_use]
pub fn page(plots: &[Plot], sides: &[&str], project: &str) -> Page {
    let sections = plots.iter().map(section).collect();
    Page {
        title: format!("Plots of {project}"),
        subtitle: sides.join(" and "),
        facts: Vec::new(),
        sections,
        footer: "Made by cvops plots. The page needs no network.".to_owned(),
    }
}

fn section(plot: &Plot) -> Section {
    let mut blocks = Vec::new();
    let absent = plot
        .versions
        .iter()
        .filter(|v| v.content == Content::Absent);
    let absent: Vec<&str> = absent.map(|v| v.side.as_str()).collect();
    if !absent.is_empty() {
        let text = format!("Not there, or not to be shown: {}.", absent.join(", "));
        blocks.push(Block::Prose(text));
    }
    let is_same = |pair: &[Version]| pair[0].content == pair[1].content;
    if 1 < plot.versions.len() && plot.versions.windows(2).all(is_same) {
        blocks.push(Block::Prose("The same on both sides.".to_owned()));
    }
    let (mut charts, mut images) = (Vec::new(), Vec::new());
    for drawing in drawings(plot) {
        match drawing {
            Drawing::Chart { svg, .. } => charts.push(Chart {
                svg,
                caption: String::new(),
            }),
            Drawing::Image { name, kind, bytes } => images.push(Image {
                bytes,
                kind,
                alt: format!("{} of {name}", plot.path),
                caption: name,
            }),
        }
    }
    if charts.is_empty() && images.is_empty() {
        blocks.push(Block::Prose(
            "Nothing to draw: no column of numbers.".to_owned(),
        ));
    }
    if !charts.is_empty() {
        blocks.push(Block::Charts(charts));
    }
    if !images.is_empty() {
        blocks.push(Block::Images(images));
    }
    Section {
        heading: heading(plot).to_owned(),
        blocks,
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::spec::Axes;

    use super::super::rows;
    use super::*;

    fn plot(extension: &str, versions: &[(&str, &str)]) -> Plot {
        let versions = versions.iter().map(|(side, text)| Version {
            side: (*side).to_owned(),
            content: Content::Rows(
                rows::read("f", extension, text.as_bytes())
                    .unwrap()
                    .unwrap()
                    .rows,
            ),
        });
        Plot {
            path: "logs/h.csv".parse().unwrap(),
            axes: Axes::default(),
            versions: versions.collect(),
        }
    }

    fn names(plot: &Plot) -> Vec<String> {
        drawings(plot)
            .into_iter()
            .map(|drawing| match drawing {
                Drawing::Chart { name, .. } => format!("chart {name}"),
                Drawing::Image { name, .. } => format!("image {name}"),
            })
            .collect()
    }

    #[test]
    fn each_column_of_numbers_is_a_chart_of_all_sides() {
        let mut plot = plot(
            "csv",
            &[
                ("HEAD", "epoch,loss,note\n1,0.5,x\n2,0.4,y\n"),
                ("workspace", "epoch,loss,acc\n1,0.6,0.1\n"),
            ],
        );
        assert_eq!(names(&plot), ["chart loss", "chart acc"]);
        let Drawing::Chart { svg, .. } = &drawings(&plot)[0] else {
            panic!()
        };
        assert!(svg.as_str().contains("HEAD") && svg.as_str().contains("workspace"));
        plot.axes.y = vec!["acc".to_owned()];
        plot.axes.x = Some("loss".to_owned());
        assert_eq!(names(&plot), ["chart acc"]);
    }

    #[test]
    fn predictions_are_a_matrix_for_each_side() {
        let text = "actual,predicted\ncat,dog\ncat,cat\n";
        let plot = plot("csv", &[("HEAD", text), ("workspace", text)]);
        assert_eq!(names(&plot), ["chart HEAD", "chart workspace"]);
        let html = page(&[plot], &["HEAD", "workspace"], "p").html();
        assert!(html.contains("The same on both sides."));
    }

    #[test]
    fn a_template_names_the_columns_of_labels() {
        let mut plot = plot("csv", &[("HEAD", "is,said\ncat,dog\n")]);
        assert_eq!(names(&plot), [""; 0]);
        plot.axes = Axes {
            x: Some("is".to_owned()),
            y: vec!["said".to_owned()],
            template: Some("confusion".to_owned()),
            ..Axes::default()
        };
        assert_eq!(names(&plot), ["chart HEAD"]);
    }

    #[test]
    fn equal_images_are_shown_once() {
        let image = |side: &str, bytes: &[u8]| Version {
            side: side.to_owned(),
            content: Content::Image(ImageKind::Png, bytes.to_vec()),
        };
        let mut plot = plot("csv", &[]);
        plot.versions = vec![image("a", b"1"), image("b", b"1"), image("c", b"2")];
        assert_eq!(names(&plot), ["image a, b", "image c"]);
        plot.versions[0].content = Content::Absent;
        let html = page(&[plot], &["a"], "p").html();
        assert!(html.contains("Not there, or not to be shown: a."));
        assert!(html.contains("data:image/png;base64,MQ=="));
    }
}
