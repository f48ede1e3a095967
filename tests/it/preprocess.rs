//! `cvops preprocess`: folders of pictures become prepared data.

use serde_json::Value;
use snapbox::str;

use crate::support::html::fetched;
use crate::support::pictures::{
    PARAMS, idx, png, prepared_project, stripe, stripes, stripes_project,
};
use crate::support::{Project, check, project};

/// Both folders of prepared data hold the same files.
fn assert_same_bytes(p: &Project, one: &str, other: &str) {
    let names = p.names(one);
    assert_eq!(names, p.names(other));
    for name in names {
        let bytes = |folder: &str| p.bytes(&format!("{folder}/{name}"));
        assert!(bytes(one) == bytes(other), "{name} of {one} and {other}");
    }
}

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
    assert_same_bytes(&p, "data/by-1", "data/by-4");
}

#[test]
fn a_list_of_a_folder_gives_the_bytes_of_the_folder() {
    let p = stripes_project();
    // Neither the order of lines nor that of columns means anything.
    let mut table = "label,by,path\n".to_owned();
    let mut lines = String::new();
    for class in ["along", "across"] {
        for number in (0..20).rev() {
            let path = format!("{class}/{number:02}.png");
            table += &format!("{class},\"me, myself\",./{path}\n");
            lines += &format!("{{\"path\": \"{path}\", \"label\": \"{class}\"}}\n");
        }
    }
    p.write("data/raw/all.csv", table)
        .write("data/raw/all.jsonl", lines);
    p.ok("preprocess --out data/of-folder");
    for list in ["all.csv", "all.jsonl"] {
        p.ok(&format!(
            "preprocess --data data/raw/{list} --out data/of-list"
        ));
        assert_same_bytes(&p, "data/of-folder", "data/of-list");
    }
    // The output may lie beside a manifest, but not take a picture's place.
    p.write(
        "data/raw/along.csv",
        "path,label\nalong/01.png,a\nacross/01.png,b\n",
    );
    p.ok("preprocess --data data/raw/along.csv --out data/raw/prepared");
    check(
        &p.cvops("preprocess --data data/raw/along.csv --out data/raw/along"),
        str![[r#"
--- stderr ---
error: `data/raw/along` exists and was not written by `preprocess`
 |
 = help: move it away, or choose another output folder
[exit 2]
"#]],
    );
}

#[test]
fn splits_of_a_list_are_those_of_the_folders() {
    let p = project();
    p.write("params.yaml", PARAMS);
    let mut table = "path,label,split\n".to_owned();
    for (split, each) in [("train", 10), ("test", 3)] {
        let dir = format!("data/raw/{split}");
        p.pictures(&dir, &["across", "along"], each);
        for class in ["across", "along"] {
            for number in 0..each {
                table += &format!("{split}/{class}/{number:02}.png,{class},{split}\n");
            }
        }
    }
    p.write("data/raw/all.csv", table);
    p.ok("preprocess --out data/of-folder");
    p.ok("preprocess --data data/raw/all.csv --out data/of-list");
    assert_same_bytes(&p, "data/of-folder", "data/of-list");
}

#[test]
fn arrays_are_prepared_as_the_same_pictures_in_files() {
    let p = project();
    // What is cut depends on the content, and that of an array is no file.
    p.write("params.yaml", PARAMS.replace("val: 0.2", "val: 0"));
    for (split, array, numbers) in [("train", "train", 0..4_usize), ("test", "t10k", 4..6)] {
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for (label, class) in ["across", "along"].iter().enumerate() {
            for number in numbers.clone() {
                let value = |x, y| stripe(label, number, x, y)[0];
                let file = png(16, 16, |x, y| [value(x, y); 3]);
                p.write(&format!("data/raw/{split}/{class}/{number}.png"), file);
                values.extend((0..16 * 16).map(|at| value(at % 16, at / 16)));
                labels.push(label as u8);
            }
        }
        let count = labels.len() as u32;
        p.write(
            &format!("data/idx/{array}-images-idx3-ubyte"),
            idx(&[count, 16, 16], &values),
        );
        p.write(
            &format!("data/idx/{array}-labels.idx1-ubyte"),
            idx(&[count], &labels),
        );
    }
    p.write("data/idx/classes.txt", "across\nalong\n");
    p.ok("preprocess --out data/of-files");
    check(
        &p.cvops("preprocess --data data/idx --out data/of-arrays"),
        str![[r#"
train 8, val 0, test 4 images
--- stderr ---
12 images in 2 classes
wrote 12 images in 2 shards ([..])
[exit 0]
"#]],
    );
    for name in [
        "train-00000.safetensors",
        "test-00000.safetensors",
        "classes.json",
    ] {
        let bytes = |folder: &str| p.bytes(&format!("data/{folder}/{name}"));
        assert!(bytes("of-files") == bytes("of-arrays"), "{name}");
    }
    // The pictures have names, which the card shows and a list leaves out.
    let picture = "train-images-idx3-ubyte#0";
    assert!(p.read("data/of-arrays/card.html").contains(picture));
    p.write("exclude.txt", format!("# not wanted\n{picture}\n"));
    p.write(
        "params.yaml",
        PARAMS.replace("val: 0.2", "val: 0, exclude: exclude.txt"),
    );
    let prepared = p.ok("preprocess --data data/idx --json").stdout;
    let prepared: Value = serde_json::from_str(&prepared).unwrap();
    assert_eq!(
        (&prepared["train"], &prepared["excluded"]),
        (&Value::from(7), &Value::from(1))
    );
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
