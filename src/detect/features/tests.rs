//! What is known of answers, what is not, and that both are said.

use super::*;
use crate::base::ToDiagnostics;
use crate::vision::image::{Channels, Filter, Target};
use crate::vision::model::Preset;

const SIDE: usize = 12;
const CLASSES: [&str; 3] = ["cat", "dog", "emu"];

fn predictor() -> Predictor {
    let target = Target {
        height: SIDE as u32,
        width: SIDE as u32,
        channels: Channels::Rgb,
        filter: Filter::Bilinear,
        background: [0; 3],
    };
    Predictor::untrained(&Preset::Resnet8.spec(), target, &CLASSES)
}

/// `count` pictures, each of another brightness, with a pattern.
fn pixels(count: usize) -> Pixels {
    let values = (0..count)
        .flat_map(|picture| (0..SIDE * SIDE * 3).map(move |i| (picture * 40 + i * i % 37) as u8));
    Pixels::from_data(SIDE, SIDE, 3, values.collect()).unwrap()
}

fn of_pictures(count: usize) -> Features {
    Features::of_pictures(&predictor(), &pixels(count), &Cancel::new()).unwrap()
}

fn of_three() -> Features {
    let rows = [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0], [0.25, 0.375, 0.375]];
    Features::of_probabilities(&rows.map(|row| row.to_vec())).unwrap()
}

#[test]
fn pictures_have_all_inputs() {
    let features = of_pictures(5);
    let (predictor, pixels) = (predictor(), pixels(5));
    let observed = predictor.observe(&pixels, &Cancel::new()).unwrap();

    let softmax = features.sample(Input::Softmax).unwrap();
    let told = observed.logits.probabilities().concat();
    let rounded: Vec<f64> = told.iter().map(|p| f64::from(*p as f32)).collect();
    assert_eq!(softmax.values(), rounded);
    assert_eq!(Some(&softmax), features.probabilities());
    let uncertainty = features.uncertainty().unwrap();
    let label = features.sample(Input::Label).unwrap();
    let entropy = features.sample(Input::Entropy).unwrap();
    let margin = features.sample(Input::Margin).unwrap();
    let measured = features.sample(Input::Properties).unwrap();
    assert_eq!(uncertainty.len(), 5);
    for (row, sure) in uncertainty.iter().enumerate() {
        let most = sure.max_probability;
        let class = features.labels()[row] as usize;
        assert_eq!(softmax.row(row)[class], most);
        assert_eq!(label.row(row), [class as f64]);
        assert_eq!(entropy.row(row), [sure.entropy]);
        assert_eq!(margin.row(row), [sure.margin]);
        assert_eq!(measured.row(row), properties(&pixels, row));
    }
    let embedding = features.sample(Input::Embedding).unwrap();
    let expected = observed.embeddings.unwrap();
    assert_eq!((embedding.rows(), embedding.width()), (5, 64));
    let values = expected.rows.iter().map(|value| f64::from(*value));
    assert!(embedding.values().iter().copied().eq(values));
}

#[test]
fn columns_have_the_names_of_what_they_hold() {
    let features = of_pictures(1).with_truth(vec![0]).unwrap();
    let classes = CLASSES.map(str::to_owned);
    for (name, input) in Input::NAMES {
        let sample = features.sample(input).unwrap();
        let names = features.column_names(input, &classes);
        assert_eq!(names.len(), sample.width(), "{name}");
        assert_eq!((input.name(), Input::from_name(name)), (name, Some(input)));
        assert_eq!(serde_json::to_value(input).unwrap(), name);
    }
    let names = |input| features.column_names(input, &classes);
    assert_eq!(names(Input::Softmax), CLASSES);
    assert_eq!(names(Input::Embedding)[63], "dim 63");
    assert_eq!(names(Input::Margin), ["margin"]);
    assert_eq!(names(Input::Properties), PROPERTIES);
    assert_eq!(of_three().column_names(Input::Embedding, &classes), [""; 0]);
}

#[test]
fn probabilities_have_what_follows_from_them() {
    let features = of_three();
    assert_eq!((features.rows(), features.classes()), (3, 3));
    // Of equally likely classes it is the first one, as in the server's answers.
    assert_eq!(features.labels(), [0, 2, 1]);
    let margin = features.sample(Input::Margin).unwrap();
    assert_eq!(margin.values(), [0.25, 1.0, 0.0]);
    let entropy = features.sample(Input::Entropy).unwrap();
    assert!((entropy.values()[0] - 1.5 * 2.0_f64.ln()).abs() < 1e-12);
    for (input, is_known) in [
        (Input::Label, true),
        (Input::Embedding, false),
        (Input::Properties, false),
    ] {
        assert_eq!(features.has(input), is_known);
        assert_eq!(features.sample(input).is_ok(), is_known);
    }
    let error = features.sample(Input::Embedding).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no `embedding` here: only the probabilities of these answers are known"
    );
    let help = error.to_diagnostics()[0].help.clone().unwrap();
    assert!(help.contains("`softmax`"), "{help}");
}

#[test]
fn pictures_of_a_network_without_embeddings_say_why() {
    let features = Features {
        embeddings: None,
        ..of_pictures(2)
    };
    assert!(features.has(Input::Properties));
    let error = features.sample(Input::Embedding).unwrap_err();
    assert!(error.to_string().contains("ONNX"), "{error}");
}

#[test]
fn rows_are_selected_in_all_they_know() {
    let features = of_pictures(4).with_truth(vec![2, 1, 0, 1]).unwrap();
    let picked = features.select(&[3, 0, 3]).unwrap();
    assert_eq!(picked.truth(), Some(&[1, 2, 1][..]));
    for (name, input) in Input::NAMES {
        let (all, some) = (
            features.sample(input).unwrap(),
            picked.sample(input).unwrap(),
        );
        assert_eq!(some.rows(), 3, "{name}");
        for (to, from) in [3, 0, 3].into_iter().enumerate() {
            assert_eq!(some.row(to), all.row(from), "{name}");
        }
    }
    assert_eq!(features.select(&[0, 1, 2, 3]).unwrap(), features);
    assert!(matches!(features.select(&[]), Err(Error::NoPictures)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let said = |error: Result<Features, Error>| error.unwrap_err().to_string();
    let of = |rows: &[&[f64]]| {
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.to_vec()).collect();
        said(Features::of_probabilities(&rows))
    };
    assert_eq!(of(&[]), "there are no pictures to compare");
    assert_eq!(
        of(&[&[0.5, 0.5], &[1.0]]),
        "row 1 has probabilities of 1 classes, the first row of 2"
    );
    let not_finite = of(&[&[0.5, 0.5], &[f64::NAN, 1.0]]);
    assert!(
        not_finite.starts_with("`softmax` cannot be compared: row 1, column 0 is NaN"),
        "{not_finite}"
    );
    assert!(of(&[&[3.0, -1.0]]).contains("softmax first"));
    assert_eq!(
        said(of_three().with_truth(vec![0, 3, 0])),
        "the label of row 1 is class 3, and there are 3 classes"
    );
    assert_eq!(
        said(of_three().with_truth(vec![0])),
        "there are 1 true labels for 3 answers"
    );
    assert!(of_three().with_properties(vec![[0.0; 8]]).is_err());
    let embeddings = |rows: Vec<f32>, width| Embeddings { rows, width };
    assert!(
        of_three()
            .with_embeddings(embeddings(vec![0.0; 4], 2))
            .is_err()
    );
    assert!(
        of_three()
            .with_embeddings(embeddings(Vec::new(), 0))
            .is_err()
    );
    let infinite = embeddings(vec![0.0, 0.0, f32::INFINITY], 1);
    let features = of_three().with_embeddings(infinite).unwrap();
    let error = features.sample(Input::Embedding).unwrap_err().to_string();
    assert!(
        error.starts_with("`embedding` cannot be compared: row 2"),
        "{error}"
    );
    let none = Features::of_pictures(&predictor(), &pixels(0), &Cancel::new());
    assert!(matches!(none, Err(Error::NoPictures)));
}

#[test]
fn of_labels_alone_only_the_labels_are_known() {
    let features = Features::of_labels(vec![2, 0, 2], 3).unwrap();
    assert_eq!((features.rows(), features.classes()), (3, 3));
    assert_eq!(
        features.sample(Input::Label).unwrap().values(),
        [2.0, 0.0, 2.0]
    );
    for (name, input) in Input::NAMES {
        let known = input == Input::Label;
        assert_eq!(features.has(input), known, "{name}");
        let told = features.sample(input).map_err(|error| error.to_string());
        let reason = match input {
            Input::Error => "the true classes of these pictures are not all known",
            _ => "only the likeliest class",
        };
        assert!(known || told.unwrap_err().contains(reason), "{name}");
    }
    assert_eq!(features.select(&[1, 1]).unwrap().labels(), [0, 0]);
    assert!(features.uncertainty().is_none() && features.probabilities().is_none());
    let error = Features::of_labels(vec![0, 3], 3).unwrap_err().to_string();
    assert_eq!(
        error,
        "the label of row 1 is class 3, and there are 3 classes"
    );
    let error = Features::of_labels(Vec::new(), 3);
    assert!(matches!(error, Err(Error::NoPictures)));
}
