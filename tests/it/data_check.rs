//! `cvops data check`: what is wrong with a folder of pictures, and what `preprocess` makes of it.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use snapbox::str;

use crate::support::html::fetched;
use crate::support::pictures::idx;
use crate::support::{Exit, Project, check, project};

/// Side of the pictures, and of their blocks of one colour.
const SIDE: u32 = 32;
const BLOCK: u32 = 4;

/// Prepared as they are, and learnt from in a blink.
const PARAMS: &str = "\
preprocess: {size: 32}
model:
  blocks: [{filters: 4, pool: max}]
  head: {dense: [8]}
train: {epochs: 1, batch_size: 8}
";

/// Returns picture `seed`: blocks that are as bright as chance has it, in one hue, so that JPEG keeps it.
fn mosaic(seed: u32) -> RgbImage {
    let mut state = u64::from(seed) * 2 + 1;
    // Knuth's MMIX constants; the high bits are the good ones.
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        30 + ((state >> 33) % 196) as u8
    };
    // The first draws of near seeds are near.
    for _ in 0..8 {
        draw();
    }
    let per_side = SIDE / BLOCK;
    let colours: Vec<Rgb<u8>> = (0..per_side * per_side)
        .map(|_| draw())
        .map(|light| Rgb([light, light - 10, light - 20]))
        .collect();
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        colours[(y / BLOCK * per_side + x / BLOCK) as usize]
    })
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(picture: &RgbImage) -> Vec<u8> {
    encoded(picture, ImageFormat::Png)
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    picture.write_with_encoder(encoder).unwrap();
    bytes
}

/// Two classes in three splits, no two pictures alike. Picture `number` of a class in train is
/// `mosaic(number)` of cats and `mosaic(100 + number)` of dogs.
fn clean_project() -> Project {
    let p = project();
    p.write("params.yaml", PARAMS);
    for (at, split) in ["train", "val", "test"].iter().enumerate() {
        for (class, name) in ["cat", "dog"].iter().enumerate() {
            let count = if at == 0 { 16 } else { 8 };
            for number in 0..count {
                let seed = at as u32 * 1000 + class as u32 * 100 + number;
                p.write(
                    &format!("data/raw/{split}/{name}/{number:02}.png"),
                    png(&mosaic(seed)),
                );
            }
        }
    }
    p
}

/// The same with one of each: a broken file, copies of training pictures in the test, exact and nearly
/// so, one picture under two labels, a duplicate.
fn dirty_project() -> Project {
    let p = clean_project();
    let whole = png(&mosaic(50));
    p.write("data/raw/train/cat/broken.png", &whole[..whole.len() / 2]);
    p.write(
        "data/raw/test/cat/exact.bmp",
        encoded(&mosaic(0), ImageFormat::Bmp),
    );
    p.write("data/raw/test/cat/jpeg.jpg", jpeg(&mosaic(1)));
    let mut pixel = mosaic(2);
    pixel.put_pixel(9, 9, Rgb([0, 255, 0]));
    p.write("data/raw/test/cat/pixel.png", png(&pixel));
    let mut bright = mosaic(3);
    for value in bright.iter_mut() {
        *value += 2;
    }
    p.write("data/raw/test/cat/bright.png", png(&bright));
    p.write("data/raw/train/dog/cat-too.png", png(&mosaic(4)));
    p.write("data/raw/train/dog/twice.png", png(&mosaic(105)));
    p
}

/// Runs the check and returns its JSON.
#[track_caller]
fn audit(p: &Project, args: &str, exit: i32) -> Value {
    let output = p.cvops(&format!("data check --json {args}"));
    assert_eq!(output.exit, Exit::Code(exit), "{}", output.transcript());
    serde_json::from_str(&output.stdout).unwrap()
}

/// Returns the paths of each finding, by id.
fn found(audit: &Value) -> BTreeMap<String, Vec<String>> {
    let findings = audit["audit"]["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| {
            let items = finding["items"].as_array().unwrap();
            let paths = items
                .iter()
                .map(|item| item["path"].as_str().unwrap_or("-").to_owned());
            (finding["id"].as_str().unwrap().to_owned(), paths.collect())
        })
        .collect()
}

#[test]
fn clean_pictures_pass() {
    let p = clean_project();
    let value = audit(&p, "", 0);
    assert_eq!(value["format"], "cvops.data-check");
    assert_eq!(value["version"], 1);
    assert_eq!(value["passed"], true);
    assert_eq!(value["audit"]["images"], 64);
    assert_eq!(
        value["audit"]["counts"]["train"],
        serde_json::json!([16, 16])
    );
    for finding in value["audit"]["findings"].as_array().unwrap() {
        let limit = &finding["limit"];
        assert!(
            limit.is_null() || finding["count"].as_u64() <= limit.as_u64(),
            "{finding}"
        );
    }
    let clean = value["audit"]["clean"].to_string();
    for check in ["leaks", "near-leaks", "corrupt", "property-drift"] {
        assert!(clean.contains(&format!("\"{check}\"")), "{clean}");
    }
    let text = p.ok("data check --without-probe");
    assert!(text.stdout.contains("passed: "), "{}", text.transcript());
    assert!(
        text.stderr.contains("`--without-probe`"),
        "{}",
        text.transcript()
    );
}

#[test]
fn each_problem_is_found_where_it_is() {
    let p = dirty_project();
    let value = audit(&p, "data/raw", 1);
    assert_eq!(value["passed"], false);
    let found = found(&value);
    let of = |id: &str| found.get(id).map_or(&[][..], Vec::as_slice);
    assert_eq!(of("corrupt"), ["train/cat/broken.png"]);
    assert_eq!(of("leaks"), ["test/cat/exact.bmp"]);
    assert_eq!(
        of("near-leaks"),
        [
            "test/cat/bright.png",
            "test/cat/jpeg.jpg",
            "test/cat/pixel.png"
        ]
    );
    assert_eq!(
        of("conflicts"),
        ["train/cat/04.png", "train/dog/cat-too.png"]
    );
    assert_eq!(of("duplicates"), ["train/dog/twice.png"]);
    assert_eq!(of("near-duplicates"), [""; 0]);
    let findings = value["audit"]["findings"].as_array().unwrap();
    let leak = findings.iter().find(|f| f["id"] == "leaks").unwrap();
    assert_eq!(leak["severity"], "error");
    let item = &leak["items"][0];
    assert_eq!(
        (&item["split"], &item["class"]),
        (&Value::from("test"), &Value::from("cat"))
    );
    assert_eq!(item["other"]["path"], "train/cat/00.png");
    assert_eq!(item["other"]["split"], "train");
    // What is not known is said.
    let notes = value["audit"]["notes"].as_array().unwrap();
    let notes: Vec<&str> = notes.iter().filter_map(Value::as_str).collect();
    assert!(
        notes.iter().any(|note| note.contains("without a model")),
        "{notes:?}"
    );
    assert_eq!(audit(&p, "--no-fail", 0)["passed"], false);
}

#[test]
fn limits_decide_what_fails() {
    let p = clean_project();
    p.write("data/raw/test/cat/copy.png", png(&mosaic(0)));
    let without = "--without-probe";
    assert_eq!(audit(&p, without, 1)["passed"], false);
    audit(&p, &format!("{without} --limit leaks=1"), 0);
    audit(&p, &format!("{without} --limit leaks=none"), 0);
    p.write("data/raw/train/dog/twice.png", png(&mosaic(105)));
    audit(&p, &format!("{without} --limit leaks=1"), 0);
    audit(
        &p,
        &format!("{without} --limit leaks=1 --limit duplicates=0"),
        1,
    );
    check(
        &p.cvops("data check --limit leak=1"),
        str![[r#"
--- stderr ---
error: invalid value 'leak=1' for '--limit <ID=N>': there is no finding `leak`; did you mean `leaks`?

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn classes_that_cannot_be_trained_or_tested_are_findings() {
    let p = clean_project();
    p.remove("data/raw/val/dog");
    p.write("data/raw/test/emu/00.png", png(&mosaic(9000)));
    p.write("data/raw/train/fox/notes.txt", "later\n");
    let value = audit(&p, "--without-probe", 1);
    let findings = value["audit"]["findings"].as_array().unwrap();
    let items = |id: &str| -> Vec<String> {
        let finding = findings.iter().find(|f| f["id"] == id).unwrap();
        let items = finding["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| {
                let text = |key: &str| item[key].as_str().unwrap_or("-").to_owned();
                format!("{} {} {}", text("path"), text("split"), text("class"))
            })
            .collect()
    };
    assert_eq!(items("empty-classes"), ["train/fox - -"]);
    assert_eq!(items("unknown-classes"), ["- test emu"]);
    assert_eq!(items("missing-classes"), ["- val dog", "- val emu"]);
}

#[test]
fn what_is_excluded_is_not_prepared_and_the_check_passes() {
    let p = dirty_project();
    // Without the list the broken file is too much.
    assert_eq!(p.cvops("preprocess").exit, Exit::Code(1));
    p.write(
        "params.yaml",
        PARAMS.replace("size: 32", "size: 32, exclude: data/exclude.txt"),
    );
    let written = audit(&p, "--write-exclude data/exclude.txt", 1);
    assert_eq!(written["to_exclude"], 8);
    let list = p.read("data/exclude.txt");
    let paths: Vec<&str> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(
        paths,
        [
            "train/cat/00.png",
            "train/cat/01.png",
            "train/cat/02.png",
            "train/cat/03.png",
            "train/cat/04.png",
            "train/cat/broken.png",
            "train/dog/cat-too.png",
            "train/dog/twice.png",
        ]
    );
    assert!(list.contains("# leaks: the same picture as test/cat/exact.bmp\ntrain/cat/00.png\n"));

    let prepared: Value = serde_json::from_str(&p.ok("preprocess --json").stdout).unwrap();
    assert_eq!(prepared["excluded"], 8);
    assert_eq!(
        (&prepared["train"], &prepared["test"]),
        (&Value::from(27), &Value::from(20))
    );
    let index = p.read("data/prepared/index.jsonl");
    assert!(!index.contains("train/cat/00.png") && index.contains("test/cat/exact.bmp"));

    let value = audit(&p, "", 0);
    assert_eq!(value["audit"]["excluded"], 8);
    // Written anew, the list is the same: reasons stay, nothing is forgotten.
    audit(&p, "--write-exclude data/exclude.txt", 0);
    assert_eq!(p.read("data/exclude.txt"), list);
}

#[test]
fn lists_and_arrays_are_checked_as_folders_are() {
    let p = dirty_project();
    let mut table = "path,label,split\n".to_owned();
    for split in ["test", "train", "val"] {
        for class in ["cat", "dog"] {
            for name in p.names(&format!("data/raw/{split}/{class}")) {
                table += &format!("{split}/{class}/{name},{class},{split}\n");
            }
        }
    }
    p.write("data/raw/all.csv", table);
    let of_list = audit(&p, "data/raw/all.csv --without-probe", 1);
    assert_eq!(found(&of_list), found(&audit(&p, "--without-probe", 1)));

    // The test picture is the first one of train.
    let side = [SIDE, SIDE];
    for (array, seeds) in [("train", (0..12).collect::<Vec<u32>>()), ("t10k", vec![0])] {
        let values = seeds.iter().flat_map(|seed| mosaic(*seed).into_raw());
        let values: Vec<u8> = values.step_by(3).collect();
        let labels: Vec<u8> = seeds.iter().map(|seed| (seed % 2) as u8).collect();
        let sizes = [&[labels.len() as u32][..], &side].concat();
        p.write(
            &format!("data/idx/{array}-images-idx3-ubyte"),
            idx(&sizes, &values),
        );
        p.write(
            &format!("data/idx/{array}-labels-idx1-ubyte"),
            idx(&sizes[..1], &labels),
        );
    }
    audit(
        &p,
        "data/idx --without-probe --no-fail --write-exclude list.txt",
        0,
    );
    let expected =
        "# leaks: the same picture as t10k-images-idx3-ubyte#0\ntrain-images-idx3-ubyte#0\n";
    let list = p.read("list.txt");
    assert!(list.contains(expected), "{list}");
}

#[test]
fn leaving_a_picture_out_moves_no_other() {
    let p = project();
    p.write("params.yaml", PARAMS);
    for number in 0..40 {
        for (class, name) in ["cat", "dog"].iter().enumerate() {
            let picture = png(&mosaic(class as u32 * 100 + number));
            p.write(&format!("data/raw/{name}/{number:02}.png"), picture);
        }
    }
    p.ok("preprocess");
    let split_of = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["path"].to_string(), line["split"].to_string())
    };
    let before: BTreeMap<_, _> = p
        .read("data/prepared/index.jsonl")
        .lines()
        .map(split_of)
        .collect();
    p.write(
        "out.txt",
        "cat/03.png\ncat/17.png\ndog/20.png\ncat/99.png\n",
    );
    p.write(
        "params.yaml",
        PARAMS.replace("size: 32", "size: 32, exclude: out.txt"),
    );
    let output = p.ok("preprocess");
    for said in [
        "3 images left out by `preprocess.exclude`",
        "1 path in `preprocess.exclude` is no picture of the data: `cat/99.png`",
    ] {
        assert!(output.stderr.contains(said), "{}", output.transcript());
    }
    let after: BTreeMap<_, _> = p
        .read("data/prepared/index.jsonl")
        .lines()
        .map(split_of)
        .collect();
    assert_eq!(after.len(), 77);
    for (path, split) in &after {
        assert_eq!(before.get(path), Some(split), "{path}");
    }
}

#[test]
fn a_list_that_is_not_there_is_an_error_with_its_place() {
    let p = clean_project();
    p.write("params.yaml", "preprocess:\n  exclude: nowhere.txt\n");
    let output = p.cvops("preprocess");
    assert_eq!(output.exit, Exit::Code(2));
    for said in [
        "there is no list of pictures to leave out `nowhere.txt`",
        "params.yaml",
        "exclude: nowhere.txt",
        "cvops data check --write-exclude FILE",
    ] {
        assert!(output.stderr.contains(said), "{}", output.transcript());
    }
    assert_eq!(p.cvops("data check").exit, Exit::Code(2));
}

#[test]
fn a_check_that_cannot_be_made_is_not_a_failed_one() {
    let p = project();
    p.write("data/raw/cat/1.png", png(&mosaic(1)));
    // One class, no folder, nothing at all.
    assert_eq!(p.cvops("data check").exit, Exit::Code(2));
    assert_eq!(p.cvops("data check nowhere").exit, Exit::Code(2));
    p.remove("data");
    let output = p.cvops("data check");
    assert_eq!(output.exit, Exit::Code(2));
    assert!(
        output.stderr.contains("cvops data check DIR"),
        "{}",
        output.transcript()
    );
}

#[test]
fn the_page_holds_all_it_shows() {
    let p = dirty_project();
    p.ok("data check --no-fail --html reports/data-check.html");
    let page = p.read("reports/data-check.html");
    assert_eq!(fetched(&page), [""; 0]);
    for seen in ["near-leaks", "test/cat/jpeg.jpg", "data:image/png;base64,"] {
        assert!(page.contains(seen), "{seen}");
    }
    // Commands and names in the words are set as code.
    assert!(page.contains("<code>--write-exclude</code>") && !page.contains("`--write-exclude`"));
    assert!(page.len() < 2_000_000, "{}", page.len());
}

#[test]
fn a_model_says_what_accuracy_becomes() {
    let p = clean_project();
    for number in 0..3 {
        let copy = png(&mosaic(number));
        p.write(&format!("data/raw/test/cat/copy-{number}.png"), copy);
    }
    p.ok("preprocess");
    p.ok("train");
    let value = audit(&p, "", 1);
    let accuracy = &value["audit"]["leak_accuracy"];
    assert_eq!(
        (&accuracy["images"], &accuracy["leaked"]),
        (&Value::from(19), &Value::from(3))
    );
    let [all, leaked, clean] = ["accuracy", "leaked_accuracy", "clean_accuracy"]
        .map(|key| accuracy[key].as_f64().unwrap());
    assert!(
        (19.0 * all - 3.0 * leaked - 16.0 * clean).abs() < 1e-9,
        "{accuracy}"
    );
    let text = p.cvops("data check");
    assert!(
        text.stdout.contains("3 pictures that are in train too"),
        "{}",
        text.transcript()
    );
    // The model is asked at its own size, and copies do not depend on that of `preprocess`.
    p.write("params.yaml", PARAMS.replace("size: 32", "size: 48"));
    let larger = audit(&p, "", 1);
    assert_eq!(larger["audit"]["leak_accuracy"], *accuracy);
    assert_eq!(found(&larger).get("leaks"), found(&value).get("leaks"));
    p.write("params.yaml", PARAMS);
    // A model of other classes is passed over, and a mistake where it is named.
    p.write("data/raw/train/emu/1.png", png(&mosaic(7777)));
    let value = audit(&p, "", 1);
    assert!(value["audit"]["leak_accuracy"].is_null(), "{value}");
    let notes = value["audit"]["notes"].to_string();
    assert!(notes.contains("it knows other classes"), "{notes}");
    let output = p.cvops("data check --model models/classifier");
    assert_eq!(output.exit, Exit::Code(2), "{}", output.transcript());
    for said in ["model: cat, dog", "data: cat, dog, emu"] {
        assert!(output.stderr.contains(said), "{}", output.transcript());
    }
    // So is one that cannot be loaded.
    p.remove("models/classifier");
    p.write("models/classifier/model.json", "{");
    let notes = audit(&p, "", 1)["audit"]["notes"].to_string();
    assert!(
        notes.contains("`models/classifier` cannot be loaded"),
        "{notes}"
    );
    let output = p.cvops("data check --model models/classifier");
    assert_eq!(output.exit, Exit::Code(2), "{}", output.transcript());
}

#[test]
fn odd_files_are_told_and_do_not_fail() {
    let p = clean_project();
    p.write("data/raw/train/cat/named.jpg", png(&mosaic(60)));
    let deep = DynamicImage::ImageRgb8(mosaic(61)).into_rgb16();
    let mut bytes = Cursor::new(Vec::new());
    deep.write_to(&mut bytes, ImageFormat::Png).unwrap();
    p.write("data/raw/train/cat/deep.png", bytes.into_inner());
    let black = RgbImage::new(SIDE, SIDE);
    p.write("data/raw/train/dog/black.png", png(&black));
    let found = found(&audit(&p, "--without-probe", 0));
    assert_eq!(found["wrong-extensions"], ["train/cat/named.jpg"]);
    assert_eq!(found["converted"], ["train/cat/deep.png"]);
    assert_eq!(found["near-black"], ["train/dog/black.png"]);
    assert!(found["outliers"].contains(&"train/dog/black.png".to_owned()));
}
