//! Fitted detectors from end to end, on made-up answers.

use rand::RngExt;

use crate::base::{Cancel, ContentHash, rng};
use crate::vision::artifact::Described;
use crate::vision::image::{Channels, Filter, PROPERTIES, Pixels, Target};
use crate::vision::predict::Embeddings;
use crate::vision::shard::Split;

use super::checked::{Outcome, Verdict};
use super::fitted::{Fitted, ReferenceData, Selection};
use super::kind::{Correction, Family, OutlierMethod, TestKind, WatchMethod};
use super::params::{DetectorParams, DriftParams, OnlineParams, Origin, OutlierParams};
use super::{Error, Features, Input};

/// Wider than what is taken as it is.
const WIDTH: usize = 150;

fn described() -> Described {
    Described {
        classes: ["bag", "coat", "shoe"].map(str::to_owned).to_vec(),
        target: Target {
            height: 4,
            width: 4,
            channels: Channels::Rgb,
            filter: Filter::Bilinear,
            background: [255; 3],
        },
        parameters: 1,
        weights_hash: ContentHash::of(b"weights"),
    }
}

/// Answers whose embeddings, brightness and favourite class are moved by `shift`.
pub(super) fn features(rows: usize, shift: f64, seed: u64) -> Features {
    let mut rng = rng::stream(seed, "test.detect", 0);
    let mut draw = || rng.random::<f64>();
    let (mut probabilities, mut embeddings, mut properties) = (vec![], vec![], vec![]);
    for _ in 0..rows {
        let weights = [draw() + shift, draw(), draw()];
        let sum: f64 = weights.iter().sum();
        probabilities.push(weights.map(|weight| weight / sum).to_vec());
        // A few directions vary a lot, as in real embeddings.
        let factors = [draw(), draw(), draw()];
        embeddings.extend((0..WIDTH).map(|at| (factors[at % 3] + shift + 0.1 * draw()) as f32));
        properties.push(std::array::from_fn(|_| draw() + shift));
    }
    let truth = (0..rows).map(|row| row as u32 % 3).collect();
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

pub(super) fn detector(input: Input, test: TestKind) -> DetectorParams {
    DetectorParams {
        origin: Origin::Given,
        name: format!("{}_{}", input.name(), test.name()),
        input,
        test: Some(test),
        correction: Correction::Bonferroni,
        min_effect: 0.0,
    }
}

fn online(input: Input, method: WatchMethod) -> OnlineParams {
    OnlineParams {
        origin: Origin::Given,
        name: format!("online_{}", method.name()),
        input,
        method,
        windows: vec![5],
        ert: 50,
        every: 2,
    }
}

pub(super) fn params() -> DriftParams {
    DriftParams {
        split: Split::Test,
        rows: 100,
        alpha: 0.001,
        family: Family::Bonferroni,
        permutations: 7500,
        pca: 6,
        detectors: vec![
            detector(Input::Softmax, TestKind::Ks),
            detector(Input::Entropy, TestKind::Cvm),
            detector(Input::Label, TestKind::Chi2),
            detector(Input::Margin, TestKind::Fisher),
            detector(Input::Embedding, TestKind::Mmd),
            detector(Input::Properties, TestKind::Mmd),
            detector(Input::Properties, TestKind::Lsdd),
        ],
        online: vec![
            online(Input::Softmax, WatchMethod::Mmd),
            online(Input::Properties, WatchMethod::Lsdd),
            online(Input::Entropy, WatchMethod::Cvm),
            online(Input::Margin, WatchMethod::Fisher),
        ],
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

pub(super) fn fit(params: &DriftParams) -> Result<Fitted, Error> {
    fit_to(params, &features(80, 0.0, 1))
}

fn fit_to(params: &DriftParams, features: &Features) -> Result<Fitted, Error> {
    let pixels = Pixels::from_data(4, 4, 3, vec![128; features.rows() * 48]).unwrap();
    let reference = ReferenceData {
        features,
        pixels: &pixels,
        split: Split::Test,
        data: ContentHash::of(b"data"),
    };
    Fitted::fit(reference, &described(), params, &Cancel::new())
}

#[test]
fn the_same_is_no_drift_and_something_else_is() {
    let fitted = fit(&params()).unwrap();
    let check = |new: &Features| fitted.check(new, Selection::All, &Cancel::new()).unwrap();
    let same = check(&features(60, 0.0, 2));
    assert_eq!(same.verdict, Verdict::NoDrift, "{same:?}");
    let other = check(&features(60, 3.0, 3));
    assert_eq!(other.verdict, Verdict::Drift);
    for one in &other.detectors {
        let measured = one.measured().unwrap();
        // Answers that prefer one class are less unsure: nothing that Fisher's test of the unsure ones must see.
        let must = one.input != Input::Margin;
        assert!(measured.is_drift || !must, "{one:?}");
        assert!(0.0 < measured.p_val && measured.p_val <= 1.0);
    }
    let bag = &other.classes[0];
    assert!(bag.moved && bag.difference > 0.3, "{bag:?}");
    assert!(other.outliers.unwrap().share > 0.9);
    let witnesses = other.witnesses.unwrap();
    assert_eq!((witnesses.unlike.len(), witnesses.typical.len()), (16, 16));
    assert!(witnesses.unlike.iter().all(|one| one.value < 0.0));
}

#[test]
fn what_is_read_back_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a/b"), folder.path().join("c"));
    let fitted = fit(&params()).unwrap();
    fitted.save(&first).unwrap();
    let loaded = Fitted::load(&first).unwrap();
    loaded.save(&second).unwrap();
    for file in ["drift.json", "reference.safetensors", "online.jsonl"] {
        let read = |dir: &std::path::Path| std::fs::read(dir.join(file)).unwrap();
        assert_eq!(read(&first), read(&second), "{file}");
    }
    let new = features(40, 0.2, 4);
    let check = |fitted: &Fitted| fitted.check(&new, Selection::All, &Cancel::new()).unwrap();
    let checked = check(&fitted);
    assert_eq!(checked, check(&loaded));
    let json = serde_json::to_string(&checked).unwrap();
    assert_eq!(
        serde_json::from_str::<super::Checked>(&json).unwrap(),
        checked
    );
    assert_eq!(loaded.thumbnails(), fitted.thumbnails());
    for (a, b) in fitted.watches().iter().zip(loaded.watches()) {
        let rows = fitted.observations(a, &new).unwrap();
        assert_eq!(rows, loaded.observations(b, &new).unwrap());
        let (mut a, mut b) = (a.online.clone(), b.online.clone());
        for row in 0..rows.rows() {
            let (a, b) = (a.observe(rows.row(row)), b.observe(rows.row(row)));
            assert_eq!(a.unwrap(), b.unwrap());
        }
    }
}

#[test]
fn another_model_is_refused() {
    let fitted = fit(&params()).unwrap();
    fitted.require_model(&described()).unwrap();
    let weights_hash = ContentHash::of(b"other weights");
    let other = Described {
        weights_hash,
        ..described()
    };
    let text = fitted.require_model(&other).unwrap_err().to_string();
    for hash in [weights_hash, described().weights_hash] {
        assert!(text.contains(&hash.to_string()), "{text}");
    }
    let mut renamed = described();
    renamed.classes.swap(0, 1);
    let error = fitted.require_model(&renamed).unwrap_err();
    assert!(matches!(error, Error::OtherClasses { .. }));
}

#[test]
fn what_cannot_be_computed_is_never_no_drift() {
    let fitted = fit(&params()).unwrap();
    let check = |new: &Features, selection| fitted.check(new, selection, &Cancel::new()).unwrap();
    let few = check(&features(1, 0.0, 2), Selection::All);
    assert_eq!(few.verdict, Verdict::Incomplete);
    assert_eq!(few.failed().count(), few.detectors.len());
    // Probabilities alone, as in a log.
    let all = features(60, 0.0, 2);
    let rows: Vec<Vec<f64>> = (0..60)
        .map(|row| all.probabilities().unwrap().row(row).to_vec())
        .collect();
    let logged = Features::of_probabilities(&rows).unwrap();
    let whole = check(&logged, Selection::All);
    assert_eq!(whole.verdict, Verdict::Incomplete);
    let embedding = &whole.detectors[4];
    assert!(matches!(&embedding.outcome, Outcome::Failed(why) if why.contains("embedding")));
    let possible = check(&logged, Selection::Possible);
    assert_eq!(possible.verdict, Verdict::NoDrift, "{possible:?}");
    assert_eq!(possible.detectors.len(), 4);
    assert!(
        possible.notes[0].contains("`properties_mmd`"),
        "{:?}",
        possible.notes
    );
}

/// Answers of which the first `wrong` are not the true class.
fn judged(rows: usize, wrong: usize, seed: u64) -> Features {
    let answers = features(rows, 0.0, seed);
    let told = answers.labels().iter().enumerate();
    let truth = told.map(|(row, told)| (told + u32::from(row < wrong)) % 3);
    let truth = truth.collect();
    answers.with_truth(truth).unwrap()
}

fn of_errors() -> DriftParams {
    let mut params = params();
    params.detectors = vec![detector(Input::Error, TestKind::Fisher)];
    params.online = vec![online(Input::Error, WatchMethod::Fisher)];
    params
}

#[test]
fn errors_that_rise_are_drift_and_without_labels_nobody_can_tell() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = of_errors();
    let picky = DetectorParams {
        name: "picky".to_owned(),
        min_effect: 0.45,
        ..params.detectors[0].clone()
    };
    params.detectors.push(picky);
    fit_to(&params, &judged(80, 8, 1))
        .unwrap()
        .save(folder.path())
        .unwrap();
    let fitted = Fitted::load(folder.path()).unwrap();
    assert!(fitted.notes().is_empty(), "{:?}", fitted.notes());
    let check = |new: &Features| fitted.check(new, Selection::All, &Cancel::new()).unwrap();
    for (wrong, verdict) in [
        (6, Verdict::NoDrift),
        // Fewer are no alarm.
        (0, Verdict::NoDrift),
        (30, Verdict::Drift),
    ] {
        let checked = check(&judged(60, wrong, 2));
        assert_eq!(checked.verdict, verdict, "{wrong}: {checked:?}");
        let [one, picky] = checked.detectors.as_slice() else {
            panic!("{checked:?}")
        };
        let expected = wrong as f64 / 60.0 - 0.1;
        let measured = one.measured().unwrap();
        assert!((measured.effect.unwrap() - expected).abs() < 1e-12);
        assert_eq!(measured.effect, measured.features[0].effect);
        assert!(!picky.is_drift(), "40 in a hundred more are not enough");
    }
    let all = features(60, 0.0, 2);
    let rows = (0..60).map(|row| all.probabilities().unwrap().row(row).to_vec());
    let unjudged = Features::of_probabilities(&rows.collect::<Vec<_>>()).unwrap();
    let checked = check(&unjudged);
    assert_eq!(checked.verdict, Verdict::Incomplete);
    let (_, why) = checked.failed().next().unwrap();
    assert!(why.contains("true classes"), "{why}");
}

#[test]
fn a_stream_of_errors_raises_an_alarm_where_they_become_more() {
    for wrong in [0, 8] {
        let fitted = fit_to(&of_errors(), &judged(80, wrong, 1)).unwrap();
        let note = "`online_fisher`: the model is never wrong on the reference; it is taken to be wrong once in 81";
        let said = fitted.notes().iter().any(|one| one.contains(note));
        assert_eq!(said, wrong == 0, "{:?}", fitted.notes());
        let watch = &fitted.watches()[0];
        for (wrong, is_alarm) in [(0, false), (30, true)] {
            let rows = fitted.observations(watch, &judged(30, wrong, 2)).unwrap();
            let mut online = watch.online.clone();
            for row in 0..rows.rows() {
                online.observe(rows.row(row)).unwrap();
            }
            assert_eq!(online.drift_since().is_some(), is_alarm);
        }
    }
}

#[test]
fn the_usual_may_be_left_out_and_the_asked_for_may_not() {
    let unfit = |origin| {
        let mut params = params();
        // A binary test of three classes, a window longer than the reference, too rare a threshold.
        params.detectors[3].origin = origin;
        params.detectors[3].input = Input::Label;
        params.online[0].origin = origin;
        params.online[0].windows = vec![60];
        params.outlier.origin = origin;
        params.outlier.false_positives = 0.001;
        params
    };
    let fitted = fit(&unfit(Origin::Default)).unwrap();
    assert_eq!(fitted.detectors().len(), 6);
    assert_eq!((fitted.watches().len(), fitted.notes().len()), (3, 3));
    assert!(fitted.outliers().is_none());
    let error = fit(&unfit(Origin::Given)).unwrap_err();
    assert!(matches!(error, Error::NotTwoClasses { classes: 3, .. }));
}

#[test]
fn named_detectors_share_the_chance_of_a_false_alarm() {
    let fitted = fit(&params()).unwrap();
    let new = features(60, 0.0, 2);
    let names = ["softmax_ks", "label_chi2"].map(str::to_owned);
    let some = fitted.check(&new, Selection::Named(&names), &Cancel::new());
    let some = some.unwrap();
    assert_eq!(some.detectors.len(), 2);
    assert!(some.detectors.iter().all(|one| one.alpha == 0.0005));
    let unknown = ["mmd".to_owned()];
    let error = fitted.check(&new, Selection::Named(&unknown), &Cancel::new());
    assert!(matches!(error, Err(Error::UnknownDetector { .. })));
}

#[test]
fn a_reference_too_small_for_any_drift_is_refused_with_the_least_number() {
    let fit = |rows: usize, alpha: f64| {
        let features = features(rows, 0.0, 1);
        let reference = ReferenceData {
            features: &features,
            pixels: &Pixels::from_data(4, 4, 3, vec![128; rows * 48]).unwrap(),
            split: Split::Test,
            data: ContentHash::of(b"data"),
        };
        let params = DriftParams {
            alpha,
            detectors: vec![detector(Input::Entropy, TestKind::Ks)],
            online: Vec::new(),
            outlier: OutlierParams {
                method: None,
                ..params().outlier
            },
            ..params()
        };
        Fitted::fit(reference, &described(), &params, &Cancel::new())
    };
    // 2 of 70 ways to divide eight rows into halves are not below 0.0285, 2 of 252 are.
    for (rows, alpha, least) in [(2, 0.05, 4), (3, 0.05, 4), (4, 0.0285, 5), (2, 0.001, 7)] {
        let error = fit(rows, alpha).unwrap_err();
        assert!(
            matches!(error, Error::ReferenceTooSmall { found, needed, .. } if (found, needed) == (rows, least)),
            "{rows} {alpha}: {error}"
        );
        let fitted = fit(least, alpha).unwrap();
        // What is promised is kept: as many new rows, all different, are drift.
        let found = fitted.check(&features(least, 500.0, 2), Selection::All, &Cancel::new());
        assert_eq!(found.unwrap().verdict, Verdict::Drift, "{least} {alpha}");
    }
}

#[test]
fn what_does_not_vary_in_the_reference_is_noted_when_detectors_are_fitted() {
    let constant = |row: usize| -> [f64; PROPERTIES.len()] {
        std::array::from_fn(|at| if at == 1 { 0.5 } else { row as f64 + at as f64 })
    };
    let features = features(80, 0.0, 1)
        .with_properties((0..80).map(constant).collect())
        .unwrap();
    let reference = ReferenceData {
        features: &features,
        pixels: &Pixels::from_data(4, 4, 3, vec![128; 80 * 48]).unwrap(),
        split: Split::Test,
        data: ContentHash::of(b"data"),
    };
    let params = DriftParams {
        detectors: vec![
            detector(Input::Properties, TestKind::Ks),
            detector(Input::Properties, TestKind::Mmd),
            detector(Input::Softmax, TestKind::Ks),
        ],
        online: Vec::new(),
        ..params()
    };
    let fitted = Fitted::fit(reference, &described(), &params, &Cancel::new()).unwrap();
    let [note] = fitted.notes() else {
        panic!("{:?}", fitted.notes());
    };
    let said = format!("properties_ks: the feature {} has", PROPERTIES[1]);
    assert!(note.starts_with(&said), "{note}");
}

#[test]
fn parts_are_the_whole() {
    let whole = features(50, 0.0, 1);
    let part = |rows: std::ops::Range<usize>| whole.select(&rows.collect::<Vec<_>>()).unwrap();
    let joined = Features::joined(vec![part(0..20), part(20..21), part(21..50)]).unwrap();
    assert_eq!(joined, whole);
    // What one part lacks, the whole lacks.
    let labels = Features::of_labels(vec![2, 1], 3).unwrap();
    let joined = Features::joined(vec![part(0..20), labels.clone()]).unwrap();
    assert_eq!(
        joined.labels()[18..],
        [whole.labels()[18], whole.labels()[19], 2, 1]
    );
    for (_, input) in Input::NAMES {
        assert_eq!(joined.has(input), input == Input::Label, "{input}");
    }
    let other = Features::of_labels(vec![0], 4).unwrap();
    let error = Features::joined(vec![labels, other]).unwrap_err();
    assert!(matches!(
        error,
        Error::Classes {
            row: 2,
            found: 4,
            expected: 3
        }
    ));
    assert!(matches!(
        Features::joined(Vec::new()),
        Err(Error::NoPictures)
    ));
}
