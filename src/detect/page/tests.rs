//! Tests of the page of a check.

use rand::RngExt;

use super::super::Input;
use super::super::fitted::{ReferenceData, Selection};
use super::super::kind::{Correction, Family, OutlierMethod, TestKind};
use super::super::params::{DetectorParams, DriftParams, Origin, OutlierParams};
use super::*;
use crate::base::{Cancel, ContentHash, rng};
use crate::report::svg::tests::assert_well_formed;
use crate::vision::artifact::Described;
use crate::vision::image::{Channels, Filter, Pixels, Target};
use crate::vision::predict::Embeddings;
use crate::vision::shard::Split;

const NASTY: &str = "<b>\"&'</b>";
/// Activations that enter the last layer.
const WIDTH: usize = 8;

/// Answers of which the first class, the embeddings and the properties are moved by `shift`.
fn features(rows: usize, classes: usize, shift: f64, seed: u64) -> Features {
    let mut rng = rng::stream(seed, "test.detect.page", 0);
    let mut draw = || rng.random::<f64>();
    let (mut probabilities, mut embeddings, mut properties) = (vec![], vec![], vec![]);
    for _ in 0..rows {
        let mut weights: Vec<f64> = (0..classes).map(|_| draw()).collect();
        weights[0] += shift;
        let sum: f64 = weights.iter().sum();
        let row: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
        probabilities.push(row);
        embeddings.extend((0..WIDTH).map(|_| (draw() + shift) as f32));
        properties.push(std::array::from_fn(|_| draw() + shift));
    }
    let truth = (0..rows).map(|row| (row % classes) as u32).collect();
    Features::of_probabilities(&probabilities)
        .unwrap()
        .with_embeddings(Embeddings {
            rows: embeddings,
            width: WIDTH,
        })
        .unwrap()
        .with_properties(properties)
        .unwrap()
        .with_truth(truth)
        .unwrap()
}

fn params() -> DriftParams {
    let detector = |input: Input, test: TestKind| DetectorParams {
        origin: Origin::Given,
        name: input.name().to_owned(),
        input,
        test: Some(test),
        correction: Correction::Bonferroni,
        min_effect: 0.0,
    };
    DriftParams {
        split: Split::Test,
        rows: 2000,
        alpha: 0.05,
        family: Family::Bonferroni,
        permutations: 200,
        pca: WIDTH,
        detectors: vec![
            detector(Input::Softmax, TestKind::Ks),
            detector(Input::Label, TestKind::Chi2),
            detector(Input::Embedding, TestKind::Mmd),
            detector(Input::Properties, TestKind::Ks),
        ],
        online: Vec::new(),
        outlier: OutlierParams {
            origin: Origin::Given,
            method: Some(OutlierMethod::Mahalanobis),
            false_positives: 0.05,
            neighbours: 5,
            components: 3,
        },
        seed: 7,
    }
}

/// Pictures of noise, which does not compress.
fn noise(rows: usize, side: usize) -> Pixels {
    let mut rng = rng::stream(1, "test.detect.page.noise", 0);
    let data = (0..rows * side * side * 3).map(|_| rng.random::<u8>());
    Pixels::from_data(side, side, 3, data.collect()).unwrap()
}

fn fit(features: &Features, pixels: &Pixels, classes: &[String]) -> Fitted {
    let described = Described {
        classes: classes.to_vec(),
        target: Target {
            height: pixels.height() as u32,
            width: pixels.width() as u32,
            channels: Channels::Rgb,
            filter: Filter::Bilinear,
            background: [255; 3],
        },
        parameters: 1,
        weights_hash: ContentHash::of(b"weights"),
    };
    let reference = ReferenceData {
        features,
        pixels,
        split: Split::Test,
        data: ContentHash::of(b"data"),
    };
    Fitted::fit(reference, &described, &params(), &Cancel::new()).unwrap()
}

fn check(fitted: &Fitted, new: &Features, path: impl Fn(usize) -> String) -> Checked {
    let mut checked = fitted.check(new, Selection::All, &Cancel::new()).unwrap();
    let paths: Vec<String> = (0..new.rows()).map(path).collect();
    checked.name_pictures(&paths);
    checked
}

/// Thumbnails of what the page shows of `all`.
fn shown(checked: &Checked, all: &Pixels) -> Thumbnails {
    let rows = checked.rows_shown();
    let mut pixels = Pixels::new(all.height(), all.width(), all.channels());
    for row in &rows {
        pixels.push(all.image(*row));
    }
    Thumbnails::of_pixels(&rows, &pixels)
}

fn three_classes() -> Vec<String> {
    [NASTY, "dog", "cat"].map(str::to_owned).to_vec()
}

#[test]
fn all_parts_are_there_and_escaped() {
    let classes = three_classes();
    let pixels = noise(60, 4);
    let fitted = fit(&features(60, 3, 0.0, 1), &pixels, &classes);
    let new = features(40, 3, 3.0, 2);
    let checked = check(&fitted, &new, |row| format!("{NASTY}/{row}.png"));
    let pictures = shown(&checked, &pixels);
    let about = Illustration {
        fitted: &fitted,
        new: &new,
        pictures: Some(&pictures),
        unreadable: &[(PathBuf::from("a<i>.png"), format!("it is {NASTY}"))],
        facts: &[("New pictures".to_owned(), NASTY.to_owned())],
    };
    let html = page(&checked, about).html();
    assert_well_formed(&html);
    assert_eq!(html, page(&checked, about).html());
    assert!(!html.contains("<b>") && !html.contains("<i>") && !html.contains("<script"));
    for text in [
        "Drift: 4 of 4 detectors (softmax, label, embedding, properties); 40 pictures against 60 of the test split.",
        "accuracy, counted",
        "accuracy, estimated",
        "What each detector says",
        "Cramér&#39;s V",
        "Predicted classes",
        "residual",
        "&lt;b&gt;&quot;&amp;&#39;&lt;/b&gt;/",
        "of the embedding",
        "of the reference: taken for",
        "probability of &lt;b&gt;",
        "entropy (nats)",
        ">brightness<",
        "by what enters the last layer",
        "Those with a ring",
        "Outliers",
        "a&lt;i&gt;.png",
        "The pictures themselves changed",
    ] {
        assert!(html.contains(text), "no `{text}`");
    }
    // Unlike ones, typical ones, outliers.
    assert_eq!(html.matches("data:image/png").count(), 48);
    assert_eq!(html.matches("class=\"ring\"").count(), 16);
    for picture in html.split("<img ").skip(1) {
        assert!(!picture.contains("alt=\"\""), "a picture without words");
    }
}

#[test]
fn no_drift_is_said_as_such() {
    let classes = three_classes();
    let pixels = noise(60, 4);
    let same = features(60, 3, 0.0, 1);
    let fitted = fit(&same, &pixels, &classes);
    let checked = check(&fitted, &same, |row| row.to_string());
    let pictures = shown(&checked, &pixels);
    let about = Illustration {
        fitted: &fitted,
        new: &same,
        pictures: Some(&pictures),
        unreadable: &[],
        facts: &[],
    };
    let html = page(&checked, about).html();
    assert_well_formed(&html);
    assert!(html.contains("No drift: 4 detectors; 60 pictures against 60"));
    assert!(html.contains("Nothing has to be done.") && html.contains("No class is predicted"));
    assert!(!html.contains("no pictures"));
}

#[test]
fn answers_alone_are_a_page_without_pictures() {
    let classes = three_classes();
    let pixels = noise(60, 4);
    let all = features(60, 3, 0.0, 1);
    let fitted = fit(&all, &pixels, &classes);
    let rows = (0..60).map(|row| all.probabilities().unwrap().row(row).to_vec());
    let logged = Features::of_probabilities(&rows.collect::<Vec<_>>()).unwrap();
    let checked = check(&fitted, &logged, |row| row.to_string());
    let about = Illustration {
        fitted: &fitted,
        new: &logged,
        pictures: None,
        unreadable: &[],
        facts: &[],
    };
    let html = page(&checked, about).html();
    assert_well_formed(&html);
    for text in [
        "No verdict: 2 of 4 detectors could not be computed",
        "What could not be told",
        "The detector embedding could not be computed",
        "by the probabilities of the classes",
    ] {
        assert!(html.contains(text), "no `{text}`");
    }
    assert!(!html.contains("<img") && !html.contains("Properties of the pictures"));
}

#[test]
fn the_page_stays_below_two_megabytes() {
    // Names are as long as file systems allow, and grow when they are escaped.
    let classes: Vec<String> = (0..100)
        .map(|class| format!("{class}{}", "&ö".repeat(85)))
        .collect();
    let pixels = noise(2000, 64);
    let fitted = fit(&features(2000, 100, 0.0, 1), &pixels, &classes);
    let new = features(2000, 100, 0.3, 2);
    let long = |row: usize| format!("{}/{row}.png", "long\"name&".repeat(100));
    let checked = check(&fitted, &new, long);
    let unreadable: Vec<(PathBuf, String)> = (0..3000)
        .map(|row| (PathBuf::from(long(row)), "why&".repeat(1000)))
        .collect();
    let pictures = shown(&checked, &pixels);
    let about = Illustration {
        fitted: &fitted,
        new: &new,
        pictures: Some(&pictures),
        unreadable: &unreadable,
        facts: &[("New pictures".to_owned(), long(0).repeat(50))],
    };
    let html = page(&checked, about).html();
    assert_well_formed(&html);
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    for text in [
        "The first 50 of 100.",
        "The first 50 of 3000.",
        "moved most, of 100.",
    ] {
        assert!(html.contains(text), "no `{text}`");
    }
    assert_eq!(html.matches("data:image/png").count(), 48);
}
