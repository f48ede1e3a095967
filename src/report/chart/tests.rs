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
    let embedded = svg.embedded();
    assert_well_formed(embedded.as_str());
    let tags = || {
        embedded
            .as_str()
            .split('<')
            .filter_map(|tag| tag.split('>').next())
    };
    assert!(
        tags().all(|tag| !tag.contains("style")),
        "no style of its own"
    );
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

fn shade() -> impl Strategy<Value = Shade> {
    prop_oneof![
        Just(Shade::Plain),
        (0usize..9).prop_map(Shade::Group),
        value().prop_map(Shade::Value)
    ]
}

proptest! {
    #[test]
    fn any_band_and_sparkline_is_well_formed(
        points in prop::collection::vec((value(), value(), value(), value()), 0..20),
        name in any::<String>(),
        log in any::<bool>(),
    ) {
        let axis = if log { Axis::log(&name) } else { Axis::linear(&name) };
        let few: Vec<(f64, f64)> = points.iter().map(|p| (p.0, p.1)).collect();
        check(|| sparkline(&name, &few));
        let chart = line(axis.clone(), axis, Naming::Marked, vec![(name.clone(), few)]);
        let bands = [Band { name, points }];
        check(|| chart.svg_with(&bands));
    }

    #[test]
    fn any_grouped_bars_are_well_formed(
        rows in prop::collection::vec((any::<String>(), prop::collection::vec(value(), 0..5)), 0..12),
        parts in prop::collection::vec(any::<String>(), 0..5),
        stacked in any::<bool>(),
    ) {
        let rows = rows.into_iter().map(|(label, values)| GroupedRow { label, values }).collect();
        let chart = GroupedBars {
            title: "Samples".into(), subtitle: String::new(), axis_title: "pictures".into(),
            format: NumberFormat::Decimals(0), parts, rows,
            arrangement: if stacked { Arrangement::Stacked } else { Arrangement::SideBySide },
        };
        check(|| chart.svg());
    }

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
        points in prop::collection::vec((value(), value(), any::<bool>(), any::<String>(), shade()), 0..20),
        groups in prop::collection::vec(any::<String>(), 0..4),
        title in any::<String>(),
        log in any::<bool>(),
    ) {
        let axis = if log { Axis::log(&title) } else { Axis::linear(&title) };
        let points: Vec<ScatterPoint> = points.into_iter().map(|(x, y, marked, title, shade)| {
            let link = format!("/{title}");
            ScatterPoint { x, y, marked, shade, title, link }
        }).collect();
        let chart = ContourChart { title: title.clone(), x: axis.clone(), y: axis.clone(), z: axis.clone(), points: points.clone() };
        check(|| chart.svg());
        let chart = ScatterChart { title, x: axis.clone(), y: axis.clone(), points, groups, shade: axis };
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
        let lines = lines.into_iter().map(|(places, strength, marked)| ParallelLine {
            places, strength, marked, name: title.clone(), id: title.clone(),
        }).collect();
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
        links in prop::collection::vec(prop::collection::vec(any::<String>(), 0..12), 0..12),
    ) {
        let chart = ConfusionMatrix { title: "Confusion".into(), classes, counts, links };
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
        links: vec![],
    };
    assert!(matrix.svg().as_str().contains("no data"));
}

#[test]
fn large_matrices_have_no_numbers_and_stay_small() {
    let matrix = |n: usize| ConfusionMatrix {
        links: vec![],
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

#[test]
fn an_embedded_chart_has_classes_instead_of_styles() {
    let text = " style=\"fill:red\"";
    let chart = line(
        Axis::linear(text),
        Axis::linear("loss"),
        Naming::Direct,
        vec![(text.into(), vec![(0.0, 1.0), (1.0, 2.0)])],
    );
    let embedded = chart.svg().embedded();
    for part in [
        "class=\"cvops-svg cvops-plain\"",
        "<path class=\"stroke-c0 line\" stroke-dasharray",
        "<circle class=\"fill-c0\" cx=",
        "<text class=\"fill-c0 s\" x=",
    ] {
        assert!(embedded.as_str().contains(part), "{part} in {embedded}");
    }
    assert!(!embedded.as_str().contains("<style"));
    assert!(embedded.as_str().contains("&quot;fill:red&quot;"));
}

#[test]
fn the_theme_of_pages_follows_the_chosen_theme_and_keeps_kinds_apart() {
    let css = crate::report::svg::theme_css();
    for part in [
        ":root[data-theme=dark] .cvops-svg{",
        ":root:not([data-theme=light]) .cvops-svg{",
        ".cvops-scatter .mark{",
        ".cvops-reliability .mark{",
        ".cvops-graph .done .mark{",
        ".cvops-svg .fill-c7{fill:var(--c7)}",
        ".cvops-svg .stroke-paper{stroke:var(--paper)}",
    ] {
        assert!(css.contains(part), "{part}");
    }
}

#[test]
fn a_contour_is_drawn_between_points_and_says_when_it_cannot_be() {
    let point = |x: f64, y: f64| ScatterPoint {
        shade: Shade::Value(x + y),
        link: "/runs/a".into(),
        title: "a".into(),
        ..ScatterPoint::plain(x, y)
    };
    let chart = |points| {
        ContourChart {
            title: "accuracy".into(),
            x: Axis::linear("width"),
            y: Axis::linear("depth"),
            z: Axis::linear("accuracy"),
            points,
        }
        .svg()
        .embedded()
        .as_str()
        .to_owned()
    };
    let places = [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0), (4.0, 4.0), (2.0, 1.0)];
    let drawn = chart(places.iter().map(|&(x, y)| point(x, y)).collect());
    assert!(drawn.contains("class=\"v1 iso\"") && drawn.contains("class=\"v7 iso\""));
    assert!(drawn.contains("role=\"group\"") && drawn.contains("<a href=\"/runs/a\""));
    let line = chart(vec![point(0.0, 0.0), point(1.0, 1.0), point(2.0, 2.0)]);
    assert!(line.contains("no bands") && !line.contains(" iso\""));
    assert!(chart(vec![point(f64::NAN, 1.0)]).contains("no data"));
}

#[test]
fn links_lead_to_pages_of_the_same_site_only() {
    for link in [
        "javascript:alert(1)",
        "//evil.example",
        "https://evil.example",
        "/\\evil",
    ] {
        let chart = ScatterChart {
            title: "Loss".into(),
            x: Axis::linear("x"),
            y: Axis::linear("y"),
            points: vec![ScatterPoint {
                link: link.into(),
                ..ScatterPoint::plain(1.0, 1.0)
            }],
            groups: Vec::new(),
            shade: Axis::linear(""),
        };
        assert!(!chart.svg().as_str().contains("<a "), "{link}");
    }
}

#[test]
fn a_line_of_parallel_coordinates_carries_its_places() {
    let line = |places: Vec<f64>, id: &str| ParallelLine {
        places,
        strength: 1.0,
        name: id.into(),
        id: id.into(),
        marked: false,
    };
    let axis = |title: &str, scale| ParallelAxis {
        title: title.into(),
        scale,
    };
    let chart = ParallelCoordinates {
        title: "Runs".into(),
        subtitle: String::new(),
        axes: vec![
            axis("lr", ParallelScale::Numbers(ScaleKind::Log)),
            axis(
                "optimizer",
                ParallelScale::Names(vec!["adam".into(), "sgd".into()]),
            ),
        ],
        lines: vec![
            line(vec![0.01, 0.0], "a"),
            line(vec![1.0, f64::NAN], "b"),
            line(vec![0.1, 1.0], "c"),
        ],
    };
    let svg = chart.svg();
    for part in [
        "data-id=\"a\" data-places=\"0.00000 0.25000\"",
        "data-id=\"b\" data-places=\"1.00000 -\"",
        "data-id=\"c\" data-places=\"0.50000 0.75000\"",
        "data-kind=\"log\" data-low=\"1e-2\" data-high=\"1e0\"",
        "data-names=\"adam\nsgd\"",
    ] {
        assert!(svg.as_str().contains(part), "{part} in {svg}");
    }
}
