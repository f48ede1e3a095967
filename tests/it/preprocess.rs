//! `cvops preprocess`: folders of pictures become prepared data.

use serde_json::Value;
use snapbox::str;

use crate::support::html::fetched;
use crate::support::pictures::{PARAMS, prepared_project, stripes, stripes_project};
use crate::support::{check, project};

#[test]
fn it_says_what_it_found_and_wrote() {
    let p = stripes_project();
    check(
        &p.cvops("preprocess"),
        str![[r#"
train 24, val 8, test 8 images
--- stderr ---
40 images in 2 classes
wrote 40 images in 3 shards (30.7 KiB)
[exit 0]
"#]],
    );
    check(
        &p.cvops("preprocess --json"),
        str![[r#"
{"classes":["across","along"],"corrupt":0,"duplicates":0,"excluded":0,"leakage":0,"test":8,"train":24,"val":8}
[exit 0]
"#]],
    );
    assert_eq!(
        p.names("data/prepared"),
        [
            "card.html",
            "card.json",
            "classes.json",
            "index.jsonl",
            "prepared.json",
            "test-00000.safetensors",
            "train-00000.safetensors",
            "val-00000.safetensors",
        ]
    );
    assert_eq!(p.names("data"), ["prepared", "raw"]);
}

#[test]
fn the_card_counts_and_shows_without_the_net() {
    let p = prepared_project();
    let card: Value = serde_json::from_str(&p.read("data/prepared/card.json")).unwrap();
    assert_eq!(card["card"]["counts"]["train"], serde_json::json!([12, 12]));
    let page = p.read("data/prepared/card.html");
    assert_eq!(fetched(&page), [""; 0]);
    for seen in ["across", "along", "data:image/png;base64,"] {
        assert!(page.contains(seen), "{seen}");
    }
}

#[test]
fn equal_pictures_give_equal_bytes_whatever_the_threads() {
    let p = stripes_project();
    for threads in ["1", "4"] {
        let mut command = p.command(&format!("preprocess --out data/by-{threads}"));
        let output = p.run(command.env("RAYON_NUM_THREADS", threads));
        assert_eq!(output.exit, crate::support::Exit::Code(0));
    }
    let names = p.names("data/by-1");
    assert_eq!(names, p.names("data/by-4"));
    for name in names {
        assert_eq!(
            p.bytes(&format!("data/by-1/{name}")),
            p.bytes(&format!("data/by-4/{name}")),
            "{name}"
        );
    }
}

#[test]
fn splits_that_are_given_stay() {
    let p = project();
    p.write("params.yaml", PARAMS);
    p.pictures("data/raw/train", &["across", "along"], 10);
    p.pictures("data/raw/test", &["across", "along"], 3);
    p.write("data/raw/README.md", "not a picture\n");
    // `test` holds pictures of `train`: what that means is said.
    check(
        &p.cvops("preprocess"),
        str![[r#"
train 16, val 4, test 6 images
--- stderr ---
26 images in 2 classes
wrote 26 images in 3 shards (20.1 KiB)
6 pictures in more than one split: the test is easier than it looks (see card.html)
[exit 0]
"#]],
    );
}

#[test]
fn a_picture_and_its_copy_share_a_split() {
    let p = stripes_project();
    for number in 0..20 {
        p.write(
            &format!("data/raw/across/copy-{number:02}.png"),
            stripes(0, number),
        );
    }
    check(
        &p.cvops("preprocess --json"),
        str![[r#"
{"classes":["across","along"],"corrupt":0,"duplicates":20,"excluded":0,"leakage":0,"test":12,"train":36,"val":12}
[exit 0]
"#]],
    );
    let index = p.read("data/prepared/index.jsonl");
    let lines: Vec<Value> = index
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for a in &lines {
        for b in lines.iter().filter(|b| b["content"] == a["content"]) {
            assert_eq!(a["split"], b["split"], "{a} {b}");
        }
    }
}

#[test]
fn a_failed_run_leaves_the_old_data() {
    let p = prepared_project();
    let before = p.bytes("data/prepared/train-00000.safetensors");
    p.write("data/raw/along/05.png", "");
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
40 images in 2 classes
left out along/05.png: the file is empty (0 bytes)
error: 1 of 40 images could not be read, more than `preprocess.max_corrupt` allows (0)
 |
 = note: `along/05.png`: the file is empty (0 bytes)
 = help: replace or remove these files, or raise `preprocess.max_corrupt` in params.yaml
[exit 1]
"#]],
    );
    assert_eq!(p.bytes("data/prepared/train-00000.safetensors"), before);
    assert_eq!(p.names("data"), ["prepared", "raw"]);
}
