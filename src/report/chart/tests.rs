//! Tests of all charts.

use proptest::prelude::*;

use super::*;
use crate::report::Svg;
use crate::report::svg::tests::assert_well_formed;

/// Values as they come from trainings that go wrong, too.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![4 => -1e3..1e3, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(0.0)]
}

fn check(draw: impl Fn() -> Svg) {
    let svg = draw();
    assert_well_formed(svg.as_str());
    assert_eq!(svg, draw(), "same input, same bytes");
}

fn line(x: Axis, y: Axis, naming: Naming, series: Vec<(String, Vec<(f64, f64)>)>) -> LineChart {
    let series = series
        .into_iter()
        .map(|(name, points)| Series { name, points })
        .collect();
    LineChart {
        title: "Loss".into(),
        x,
        y,
        series,
        naming,
    }
}

proptest! {
    #[test]
    fn any_curve_is_well_formed(
        series in prop::collection::vec((any::<String>(), prop::collection::vec((value(), value()), 0..20)), 0..12),
        title in any::<String>(),
        direct in any::<bool>(),
        log in any::<bool>(),
    ) {
        let axis = if log { Axis::log(&title) } else { Axis::linear(&title) };
        let naming = if direct { Naming::Direct } else { Naming::Legend };
        let chart = line(axis.clone(), axis, naming, series);
        check(|| chart.svg());
    }

    #[test]
    fn any_points_are_well_formed(
        points in prop::collection::vec((value(), value(), any::<bool>()), 0..20),
        title in any::<String>(),
        log in any::<bool>(),
    ) {
        let axis = if log { Axis::log(&title) } else { Axis::linear(&title) };
        let points = points.into_iter().map(|(x, y, marked)| ScatterPoint { x, y, marked }).collect();
        let chart = ScatterChart { title, x: axis.clone(), y: axis, points };
        check(|| chart.svg());
    }

    #[test]
    fn any_parallel_coordinates_are_well_formed(
        axes in prop::collection::vec((any::<String>(), prop::option::of(prop::collection::vec(any::<String>(), 0..4)), any::<bool>()), 0..6),
        lines in prop::collection::vec((prop::collection::vec(value(), 0..8), value(), any::<bool>()), 0..12),
        title in any::<String>(),
    ) {
        let axes = axes.into_iter().map(|(title, names, log)| ParallelAxis {
            title,
            scale: match names {
                Some(names) => ParallelScale::Names(names),
                None => ParallelScale::Numbers(if log { ScaleKind::Log } else { ScaleKind::Linear }),
            },
        }).collect();
        let lines = lines.into_iter().map(|(places, strength, marked)| ParallelLine { places, strength, marked }).collect();
        let chart = ParallelCoordinates { subtitle: title.clone(), title, axes, lines };
        check(|| chart.svg());
    }

    #[test]
    fn any_bars_are_well_formed(
        bars in prop::collection::vec((any::<String>(), value(), prop::option::of((value(), value()))), 0..20),
        max in prop::option::of(value()),
        title in any::<String>(),
    ) {
        let bars = bars.into_iter().map(|(label, value, interval)| Bar { label, value, interval }).collect();
        let chart = BarChart {
            title: title.clone(), subtitle: title.clone(), axis_title: title, axis_max: max,
            format: NumberFormat::Decimals(3), bars,
        };
        check(|| chart.svg());
    }

    #[test]
    fn any_matrix_is_well_formed(
        classes in prop::collection::vec(any::<String>(), 0..12),
        counts in prop::collection::vec(prop::collection::vec(0u64..5000, 0..12), 0..12),
    ) {
        let chart = ConfusionMatrix { title: "Confusion".into(), classes, counts };
        check(|| chart.svg());
    }

    #[test]
    fn any_bins_are_well_formed(
        bins in prop::collection::vec((value(), value(), value(), value(), any::<u64>()), 0..20),
        edges in prop::collection::vec(value(), 0..20),
        text in any::<String>(),
    ) {
        let counts = bins.iter().map(|bin| bin.4).collect();
        let bins = bins
            .into_iter()
            .map(|(from, to, confidence, accuracy, count)| ReliabilityBin { from, to, confidence, accuracy, count })
            .collect();
        let chart = ReliabilityDiagram { title: text.clone(), subtitle: text.clone(), bins };
        check(|| chart.svg());
        let series = vec![HistogramSeries { name: text.clone(), counts }];
        let chart = Histogram { title: text.clone(), x_title: text.clone(), y_title: text, edges, series };
        check(|| chart.svg());
    }
}

#[test]
fn a_point_that_cannot_be_shown_leaves_a_gap() {
    let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.0)];
    let svg = line(
        Axis::linear("epoch"),
        Axis::linear("loss"),
        Naming::Legend,
        vec![("a".into(), points)],
    )
    .svg();
    let path = svg
        .as_str()
        .split("d=\"")
        .find(|part| part.contains('L') && part.matches('M').count() == 2);
    assert!(path.is_some(), "two pieces of one curve: {svg}");
}

#[test]
fn a_range_beyond_all_floats_is_drawn() {
    let svg = line(
        Axis::linear("epoch"),
        Axis::linear("loss"),
        Naming::Legend,
        vec![("a".into(), vec![(0.0, 1e308), (1.0, 0.0), (2.0, -1e308)])],
    )
    .svg();
    assert_eq!(svg.as_str().matches("<circle").count(), 3);
    assert!(svg.as_str().contains("a ends at -1e308 (at 2)."));
}

#[test]
fn charts_without_data_say_so() {
    let empty = line(
        Axis::linear("epoch"),
        Axis::log("loss"),
        Naming::Legend,
        vec![("a".into(), vec![(1.0, -1.0)])],
    );
    assert!(empty.svg().as_str().contains("no data"));
    let matrix = ConfusionMatrix {
        title: "Confusion".into(),
        classes: vec![],
        counts: vec![],
    };
    assert!(matrix.svg().as_str().contains("no data"));
}

#[test]
fn large_matrices_have_no_numbers_and_stay_small() {
    let matrix = |n: usize| ConfusionMatrix {
        title: "Confusion".into(),
        classes: (0..n).map(|i| format!("class {i}")).collect(),
        counts: (0..n)
            .map(|row| {
                (0..n)
                    .map(|column| {
                        if row == column {
                            90
                        } else {
                            u64::from(row + 1 == column)
                        }
                    })
                    .collect()
            })
            .collect(),
    };
    assert!(matrix(10).svg().as_str().contains(">90<"));
    let large = matrix(100).svg();
    assert!(!large.as_str().contains(">90<"));
    assert!(large.as_str().len() < 100_000, "{}", large.as_str().len());
}
