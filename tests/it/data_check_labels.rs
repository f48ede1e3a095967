//! `cvops data check`: what a classifier of the pictures finds: doubtful labels, shortcuts.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;

use crate::support::{Exit, Project, project};

/// Side of the pictures, and of their blocks of one colour.
const SIDE: u32 = 32;
const BLOCK: u32 = 4;

/// Which half is lit.
#[derive(Clone, Copy)]
enum Lit {
    Upper,
    Lower,
}

/// Draws blocks that are as bright as chance has it, brighter in one half, by `more` everywhere.
fn mosaic(seed: u32, lit: Lit, more: u8) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 1;
    // Knuth's MMIX constants; the high bits are the good ones.
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        10 + ((state >> 33) % 100) as u8
    };
    // The first draws of near seeds are near.
    for _ in 0..8 {
        draw();
    }
    let per_side = SIDE / BLOCK;
    let lights: Vec<u8> = (0..per_side * per_side)
        .map(|block| {
            let is_lit = match lit {
                Lit::Upper => block < per_side * per_side / 2,
                Lit::Lower => per_side * per_side / 2 <= block,
            };
            draw() + more + if is_lit { 80 } else { 0 }
        })
        .collect();
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let light = lights[(y / BLOCK * per_side + x / BLOCK) as usize];
        Rgb([light, light, light / 2])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Sixty cats that are lit from above, sixty dogs lit from below, `more` brighter.
fn lit_project(more: u8) -> Project {
    let p = project();
    p.write("params.yaml", "preprocess: {size: 32}\n");
    for number in 0..60 {
        let cat = mosaic(number, Lit::Upper, 0);
        let dog = mosaic(1000 + number, Lit::Lower, more);
        p.write(&format!("data/raw/cat/{number:02}.png"), cat);
        p.write(&format!("data/raw/dog/{number:02}.png"), dog);
    }
    p
}

#[track_caller]
fn audit(p: &Project, args: &str) -> Value {
    let output = p.cvops(&format!("data check --json --no-fail {args}"));
    assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
    serde_json::from_str(&output.stdout).unwrap()
}

#[track_caller]
fn finding<'a>(audit: &'a Value, id: &str) -> Option<&'a Value> {
    let findings = audit["audit"]["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["id"] == id)
}

/// Four cats among the dogs, and four dogs among the cats.
fn mislabelled_project() -> Project {
    let p = lit_project(0);
    for number in 0..4 {
        let cat = mosaic(500 + number, Lit::Upper, 0);
        let dog = mosaic(1500 + number, Lit::Lower, 0);
        p.write(&format!("data/raw/dog/wrong-{number}.png"), cat);
        p.write(&format!("data/raw/cat/wrong-{number}.png"), dog);
    }
    p
}

#[test]
fn wrong_labels_are_doubted() {
    let p = mislabelled_project();
    let audit = audit(&p, "");
    let doubtful = finding(&audit, "label-errors").expect("a finding");
    let items = doubtful["items"].as_array().unwrap();
    let wrong = items
        .iter()
        .filter(|item| item["path"].as_str().unwrap().contains("wrong-"));
    let wrong = wrong.count();
    assert!(6 <= wrong && items.len() <= wrong + 1, "{doubtful:#}");
    let learned = &audit["audit"]["learned"];
    assert_eq!(learned["features"], "pixels");
    let estimated = learned["labels"]["estimated"].as_f64().unwrap();
    assert!((5.0..11.0).contains(&estimated), "{estimated}");
    let first = &learned["labels"]["suspects"][0];
    assert_ne!(first["given"], first["suggested"]);
    assert!(finding(&audit, "shortcuts").is_none(), "{learned:#}");
}

#[test]
fn doubted_labels_stand_on_the_page_with_the_class_they_rather_are() {
    let p = mislabelled_project();
    p.ok("data check --no-fail --html check.html");
    let page = p.read("check.html");
    for seen in ["Label errors (", "labelled cat, rather dog", "wrong-"] {
        assert!(page.contains(seen), "{seen}");
    }
}

#[test]
fn the_same_data_give_the_same_audit_whatever_the_threads() {
    let p = mislabelled_project();
    let with = |threads: &str| {
        let mut command = p.command("data check --json --no-fail --html check.html");
        let output = p.run(command.env("RAYON_NUM_THREADS", threads));
        assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
        (output.stdout, p.read("check.html"))
    };
    assert_eq!(with("1"), with("4"));
}

#[test]
fn a_class_that_is_brighter_is_a_shortcut() {
    let p = lit_project(60);
    let audit = audit(&p, "");
    let shortcuts = finding(&audit, "shortcuts").expect("a finding");
    let details: Vec<&str> = shortcuts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["detail"].as_str().unwrap())
        .collect();
    assert!(
        details
            .iter()
            .any(|detail| detail.starts_with("`brightness` alone tells `dog` from the rest")),
        "{details:?}"
    );
    assert_eq!(
        p.cvops("data check --limit shortcuts=0").exit,
        Exit::Code(1)
    );
}
