//! One page with every chart, to look at: set `CVOPS_TEST_GALLERY` to where it
//! shall be written while the tests are compiled.

use std::fmt::Write;

use super::*;
use crate::report::Svg;
use crate::report::svg::theme_css;

fn axis(title: &str) -> Axis {
    Axis::linear(title)
}

/// Numbers that look like measurements and are the same each time.
fn noise(i: usize) -> f64 {
    ((i * 7919 + 104_729) % 1000) as f64 / 1000.0 - 0.5
}

fn curve(at: usize, points: usize) -> Vec<(f64, f64)> {
    let fall = 0.03 + 0.01 * at as f64;
    (0..points)
        .map(|i| {
            (
                i as f64,
                2.0 * (-fall * i as f64).exp() + 0.05 * noise(i * (at + 3)) + 0.2,
            )
        })
        .collect()
}

fn lines(naming: Naming, series: usize, bands: usize) -> Svg {
    let named = |i: usize| format!("run {i}");
    let bands: Vec<Band> = (0..bands)
        .map(|i| Band {
            name: format!("lr = 0.{i}1"),
            points: curve(i, 60)
                .into_iter()
                .map(|(x, y)| (x, y * 0.85, y, y * 1.2))
                .collect(),
        })
        .collect();
    LineChart {
        title: "Validation loss".into(),
        x: axis("step"),
        y: Axis::log("loss (nats)"),
        series: (0..series)
            .map(|i| Series {
                name: named(i),
                points: curve(i, 120),
            })
            .collect(),
        naming,
    }
    .svg_with(&bands)
}

fn points() -> Vec<ScatterPoint> {
    (0..40)
        .map(|i| {
            let lr = 10f64.powf(-4.0 + 3.0 * (noise(i) + 0.5));
            let decay = 10f64.powf(-5.0 + 3.0 * (noise(i * 3 + 1) + 0.5));
            let accuracy =
                0.9 - 0.05 * (lr.log10() + 2.5).powi(2) - 0.03 * (decay.log10() + 3.5).powi(2);
            ScatterPoint {
                shade: Shade::Value(accuracy),
                marked: i == 7,
                title: format!("run {i}: {accuracy:.3}"),
                link: format!("/runs/{i}"),
                ..ScatterPoint::plain(lr, decay)
            }
        })
        .collect()
}

fn charts() -> Vec<Svg> {
    let grouped = |arrangement| GroupedBars {
        title: "Samples".into(),
        subtitle: "per class and split".into(),
        axis_title: "pictures".into(),
        format: NumberFormat::Decimals(0),
        arrangement,
        parts: ["train", "val", "test"].map(String::from).to_vec(),
        rows: ["cat", "dog", "a class with a name that is long"]
            .iter()
            .enumerate()
            .map(|(i, label)| GroupedRow {
                label: (*label).into(),
                values: vec![800.0 - 90.0 * i as f64, 120.0, 14.0 * i as f64],
            })
            .collect(),
    };
    let mut groups = points();
    for (i, point) in groups.iter_mut().enumerate() {
        point.shade = Shade::Group(i % 3);
    }
    vec![
        lines(Naming::Marked, 5, 0),
        lines(Naming::Marked, 0, 3),
        lines(Naming::Legend, 20, 0),
        lines(Naming::Direct, 3, 0),
        ScatterChart {
            title: "Accuracy by learning rate".into(),
            x: Axis::log("lr"),
            y: Axis::log("weight decay"),
            points: points(),
            groups: Vec::new(),
            shade: axis("accuracy"),
        }
        .svg(),
        ScatterChart {
            title: "Three optimizers".into(),
            x: Axis::log("lr"),
            y: Axis::log("weight decay"),
            points: groups,
            groups: ["adam", "sgd", "rmsprop"].map(String::from).to_vec(),
            shade: axis(""),
        }
        .svg(),
        ContourChart {
            title: "Accuracy over learning rate and weight decay".into(),
            x: Axis::log("lr"),
            y: Axis::log("weight decay"),
            z: axis("accuracy"),
            points: points(),
        }
        .svg(),
        parallel(),
        grouped(Arrangement::Stacked).svg(),
        grouped(Arrangement::SideBySide).svg(),
        sparkline("loss, ends at 0.2", &curve(1, 60)),
    ]
}

fn parallel() -> Svg {
    let lines = points().into_iter().enumerate().map(|(i, point)| {
        let Shade::Value(accuracy) = point.shade else {
            unreachable!("made above");
        };
        ParallelLine {
            places: vec![point.x, point.y, (i % 3) as f64, accuracy],
            strength: (accuracy / 0.9).powi(3),
            name: point.title,
            id: i.to_string(),
            marked: point.marked,
        }
    });
    let axis = |title: &str, scale| ParallelAxis {
        title: title.into(),
        scale,
    };
    ParallelCoordinates {
        title: "Parameters and result".into(),
        subtitle: String::new(),
        axes: vec![
            axis("lr", ParallelScale::Numbers(ScaleKind::Log)),
            axis("weight decay", ParallelScale::Numbers(ScaleKind::Log)),
            axis(
                "optimizer",
                ParallelScale::Names(["adam", "sgd", "rmsprop"].map(String::from).to_vec()),
            ),
            axis("accuracy", ParallelScale::Numbers(ScaleKind::Linear)),
        ],
        lines: lines.collect(),
    }
    .svg()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test that writes only when it is asked to"
)]
fn all_charts_can_stand_on_one_page() {
    let mut page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Charts</title><style>{} body{{margin:16px;\
         background:var(--paper);display:flex;flex-wrap:wrap;gap:16px}}:root{{--paper:#fff}}\
         :root[data-theme=dark]{{--paper:#141a22}}</style>",
        theme_css()
    );
    for svg in charts() {
        let _ = write!(page, "<figure class=\"chart\">{}</figure>", svg.embedded());
    }
    if let Some(path) = option_env!("CVOPS_TEST_GALLERY") {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(page.matches("<figure").count(), charts().len());
}
