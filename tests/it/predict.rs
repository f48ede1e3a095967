//! `cvops predict`: what pictures show.

use snapbox::str;

use crate::support::pictures::trained_project;
use crate::support::{Exit, check};

#[test]
fn files_and_folders_are_told_in_order() {
    let p = trained_project();
    check(
        &p.cvops("predict data/raw/along/03.png"),
        str![[r#"
image                  class[..]probability
data/raw/along/03.png  a[..]  0.[..]
[exit 0]
"#]],
    );
    let output = p.ok("predict data/raw");
    let images: Vec<&str> = output
        .stdout
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected: Vec<String> = ["across", "along"]
        .iter()
        .flat_map(|class| (0..20).map(move |n| format!("data/raw/{class}/{n:02}.png")))
        .collect();
    assert_eq!(images, expected);
}

#[test]
fn top_shows_more_classes_and_never_more_than_there_are() {
    let p = trained_project();
    check(
        &p.cvops("predict data/raw/along/03.png --top 9"),
        str![[r#"
image                  class[..]probability
data/raw/along/03.png  a[..]  0.[..]
                       a[..]  0.[..]
[exit 0]
"#]],
    );
    check(
        &p.cvops("predict data/raw/along/03.png --top 0"),
        str![[r#"
--- stderr ---
error: invalid value '0' for '--top <K>': 0 is not in 1..=1000

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn json_is_a_line_per_picture() {
    let p = trained_project();
    check(
        &p.cvops("predict --json --top 2 data/raw/along/03.png data/raw/across/00.png"),
        str![[r#"
{"class":"a[..]","image":"data/raw/along/03.png","top":[{"class":"a[..]","probability":0.[..]},{"class":"a[..]","probability":0.[..]}]}
{"class":"a[..]","image":"data/raw/across/00.png","top":[{"class":"a[..]","probability":0.[..]},{"class":"a[..]","probability":0.[..]}]}
[exit 0]
"#]],
    );
}

#[test]
fn one_bad_picture_fails_and_the_others_are_still_told() {
    let p = trained_project();
    p.write("bad.png", "hello\n");
    let args = "bad.png data/raw/along/03.png missing.png";
    check(
        &p.cvops(&format!("predict {args}")),
        str![[r#"
image                  class[..]probability
data/raw/along/03.png  a[..]  0.[..]
--- stderr ---
error: `bad.png` cannot be read as a picture: not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)
error: `missing.png` cannot be read as a picture: No such file or directory (os error 2)
[exit 1]
"#]],
    );
    let output = p.cvops(&format!("predict --json {args}"));
    assert_eq!(output.exit, Exit::Code(1));
    assert_eq!(output.stdout.lines().count(), 3);
    assert_eq!(output.stderr, "");
}

#[test]
fn a_folder_without_pictures_is_no_success() {
    let p = trained_project();
    p.write("notes/a.txt", "hello\n");
    check(
        &p.cvops("predict notes"),
        str![[r#"
--- stderr ---
error: `notes` holds no pictures
 |
 = help: PNG, JPEG, WebP, BMP, GIF or TIFF files are read (.png, .jpg, .jpeg, .webp, .bmp, .gif, .tif, .tiff)
[exit 2]
"#]],
    );
    check(
        &p.cvops("predict"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <PATH>...

Usage: cvops predict <PATH>...

For more information, try '--help'.
[exit 2]
"#]],
    );
}

/// The forms of the kernels differ in the last bits, not in what they say.
#[test]
fn every_form_of_the_kernels_says_the_same() {
    let p = trained_project();
    let args = "predict data/raw --json --top 2";
    let probabilities = |form: Option<&str>| -> Option<Vec<f64>> {
        let mut command = p.command(args);
        if let Some(form) = form {
            command.env("CVOPS_CPU", form);
        }
        let output = p.run(&mut command);
        if output.exit == Exit::Code(2) {
            return None;
        }
        assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
        let numbers = output.stdout.lines().flat_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let top = line["top"].as_array().unwrap().clone();
            // In the order of the classes: two that are equally likely may change places.
            let mut pairs: Vec<(String, f64)> = top
                .iter()
                .map(|guess| {
                    let class = guess["class"].as_str().unwrap().to_owned();
                    (class, guess["probability"].as_f64().unwrap())
                })
                .collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs.into_iter().map(|(_, probability)| probability)
        });
        Some(numbers.collect())
    };
    let expected = probabilities(None).unwrap();
    assert_eq!(expected.len(), 80);
    let mut compared = 0;
    for form in ["scalar", "avx2", "avx512", "neon"] {
        // A machine has two or three of them.
        let Some(found) = probabilities(Some(form)) else {
            continue;
        };
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-4,
                "{form}: {found} {expected}"
            );
        }
        compared += 1;
    }
    assert!(2 <= compared, "{compared}");
}

#[test]
fn an_unknown_form_of_the_kernels_is_refused() {
    let p = trained_project();
    let mut command = p.command("predict data/raw/along/03.png");
    check(
        &p.run(command.env("CVOPS_CPU", "mmx")),
        str![[r#"
--- stderr ---
error: `CVOPS_CPU` is `mmx`
 |
 = help: this machine has scalar[..]
[exit 2]
"#]],
    );
}
