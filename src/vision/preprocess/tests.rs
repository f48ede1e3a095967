//! Whole runs on small datasets made here.

use std::path::Path;
use std::sync::Mutex;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::*;
use crate::base::doc::{Document, Format, KeyPath, Problems};
use crate::base::fs::{create_dir_all, walk, write_atomic};
use crate::base::{Cancel, CancelReason, ToDiagnostics};
use crate::vision::Error;
use crate::vision::dataset::{Exclusions, Split};
use crate::vision::params::PreprocessParams;
use crate::vision::shard::Prepared;

fn params(text: &str) -> PreprocessParams {
    let document = Document::parse("p", text.to_owned(), Format::Yaml).unwrap();
    let problems = Problems::new(&document);
    let params = PreprocessParams::read(problems.fields(KeyPath::root()));
    problems.into_result(params).unwrap()
}

fn png(shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let values: Vec<u8> = (0..10 * 12).map(|i| shade.wrapping_add(i)).collect();
    PngEncoder::new(&mut bytes)
        .write_image(&values, 12, 10, ExtendedColorType::L8)
        .unwrap();
    bytes
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    create_dir_all(path.parent().unwrap()).unwrap();
    write_atomic(&path, bytes).unwrap();
}

/// `cat` and `dog` with 20 pictures each; the first two cats are one picture.
fn pets() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..20u8 {
        put(dir.path(), &format!("cat/{i:02}.png"), &png(i.max(1)));
        put(dir.path(), &format!("dog/{i:02}.png"), &png(100 + i));
    }
    dir
}

fn run(input: &Path, out: &Path, text: &str) -> Result<crate::vision::dataset::DataCard, Error> {
    preprocess(
        input,
        out,
        &params(text),
        &Exclusions::default(),
        &Cancel::new(),
        &|_| {},
    )
}

/// Every file of a folder with its bytes.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = walk(dir, &|_, _| true).unwrap();
    files
        .into_iter()
        .map(|f| {
            (
                f.relative.clone(),
                std::fs::read(dir.join(&f.relative)).unwrap(),
            )
        })
        .collect()
}

#[test]
fn what_is_written_reads_back() {
    let input = pets();
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("deep/prepared");
    let card = run(input.path(), &out, "{size: [8, 9], shard_images: 4}").unwrap();
    assert_eq!(
        (card.images(), card.duplicates.len(), card.leakage.len()),
        (40, 1, 0)
    );
    let prepared = Prepared::open(&out).unwrap();
    assert_eq!(prepared.classes, ["cat", "dog"]);
    assert_eq!(
        (prepared.height, prepared.width, prepared.channels),
        (8, 9, 3)
    );
    let mut paths = Vec::new();
    for split in Split::ALL {
        let data = prepared.load(split).unwrap();
        assert_eq!(data.pixels.count(), prepared.counts.total(split));
        assert!(data.paths.is_sorted());
        for (path, label) in data.paths.iter().zip(&data.labels) {
            assert!(
                path.starts_with(&prepared.classes[*label as usize]),
                "{path} {label}"
            );
        }
        paths.extend(data.paths);
    }
    assert_eq!(paths.len(), 40);
    assert_eq!(
        [
            prepared.counts.train[1],
            prepared.counts.val[1],
            prepared.counts.test[1]
        ],
        [14, 2, 4]
    );
    // The mean is that of the training pictures.
    let train = prepared.load(Split::Train).unwrap();
    let sum: f64 = train
        .pixels
        .data()
        .iter()
        .map(|&v| f64::from(v) / 255.0)
        .sum();
    assert!((prepared.mean[0] - sum / train.pixels.data().len() as f64).abs() < 1e-9);
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_on_what_was_there() {
    let input = pets();
    put(input.path(), "dog/broken.png", &png(7)[..40]);
    let out = tempfile::tempdir().unwrap();
    let text = "{max_corrupt: 0.5, shard_images: 7}";
    let with_threads = |threads, out: &Path| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(input.path(), out, text)).unwrap();
        contents(out)
    };
    let one = with_threads(1, &out.path().join("one"));
    let two = with_threads(2, &out.path().join("two"));
    assert_eq!(one, two);
    assert_eq!(
        one,
        with_threads(2, &out.path().join("one")),
        "written over the old one"
    );
    let names: Vec<&str> = one.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"card.html") && names.contains(&"test-00000.safetensors"));
    let left: Vec<_> = std::fs::read_dir(out.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "no leftovers: {left:?}");
}

#[test]
fn corrupt_images_are_listed_and_limited() {
    let input = pets();
    put(input.path(), "cat/a-text.png", b"hello");
    put(input.path(), "cat/b-empty.png", b"");
    put(input.path(), "dog/c-cut.png", &png(3)[..50]);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out");
    let told = Mutex::new(Vec::new());
    let observer = |event| {
        if let PreprocessEvent::Corrupt { path, .. } = event {
            told.lock().unwrap().push(path);
        }
    };
    let card = preprocess(
        input.path(),
        &out,
        &params("max_corrupt: 0.1"),
        &Exclusions::default(),
        &Cancel::new(),
        &observer,
    );
    let card = card.unwrap();
    let listed: Vec<String> = card
        .corrupt
        .iter()
        .map(|c| format!("{}: {}", c.path, c.reason))
        .collect();
    assert_eq!(
        listed,
        [
            "cat/a-text.png: not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)",
            "cat/b-empty.png: the file is empty (0 bytes)",
            "dog/c-cut.png: the file is truncated",
        ]
    );
    let mut told = told.into_inner().unwrap();
    told.sort_unstable();
    assert_eq!(told, ["cat/a-text.png", "cat/b-empty.png", "dog/c-cut.png"]);
    let before = contents(&out);
    let error = run(input.path(), &out, "{}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 of 43 images could not be read, more than `preprocess.max_corrupt` allows (0)"
    );
    assert_eq!(error.to_diagnostics()[0].notes.len(), 3);
    assert_eq!(contents(&out), before, "a failed run leaves the old data");
}

#[test]
fn given_splits_stay_and_leakage_is_reported() {
    let input = tempfile::tempdir().unwrap();
    for i in 0..10u8 {
        for (class, base) in [("a", 0), ("b", 50)] {
            put(
                input.path(),
                &format!("train/{class}/{i}.png"),
                &png(base + i),
            );
            put(
                input.path(),
                &format!("test/{class}/{i}.png"),
                &png(100 + base + i),
            );
        }
    }
    put(input.path(), "test/a/copy.png", &png(3));
    let out = tempfile::tempdir().unwrap();
    let card = run(input.path(), &out.path().join("out"), "val: 0.2").unwrap();
    assert_eq!(card.counts.train, [8, 8]);
    assert_eq!(card.counts.val, [2, 2]);
    assert_eq!(card.counts.test, [11, 10]);
    assert_eq!(card.leakage.len(), 1);
    assert_eq!(card.leakage[0].paths, ["test/a/copy.png", "train/a/3.png"]);
}

#[test]
fn refuses_places_and_stops_when_asked() {
    let input = pets();
    let out = tempfile::tempdir().unwrap();
    put(out.path(), "thesis.tex", b"years of work");
    assert!(matches!(
        run(input.path(), out.path(), "{}"),
        Err(Error::OutputNotOurs { .. })
    ));
    let inside = input.path().join("out");
    assert!(matches!(
        run(input.path(), &inside, "{}"),
        Err(Error::OutputInsideInput { .. })
    ));
    assert!(matches!(
        run(input.path(), input.path(), "{}"),
        Err(Error::OutputInsideInput { .. })
    ));
    let out = out.path().join("out");
    assert!(matches!(
        run(input.path(), &out, "min_per_class: 99"),
        Err(Error::TooFewImages { needed: 99, .. })
    ));
    let cancel = Cancel::new();
    cancel.request(CancelReason::Interrupted);
    let stopped = preprocess(
        input.path(),
        &out,
        &params("{}"),
        &Exclusions::default(),
        &cancel,
        &|_| {},
    );
    assert!(matches!(
        stopped,
        Err(Error::Cancelled(CancelReason::Interrupted))
    ));
    assert!(!out.exists());
}

#[test]
fn damaged_prepared_data_is_refused() {
    let input = pets();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    run(input.path(), &out, "{}").unwrap();
    let manifest = std::fs::read_to_string(out.join("prepared.json")).unwrap();
    let refuse = |text: &str| {
        write_atomic(&out.join("prepared.json"), text.as_bytes()).unwrap();
        Prepared::open(&out).unwrap_err()
    };
    assert!(matches!(
        refuse(&manifest.replace("\"version\": 1", "\"version\": 2")),
        Error::PreparedVersion {
            found: 2,
            expected: 1,
            ..
        }
    ));
    assert!(matches!(refuse("{}"), Error::NotPrepared { .. }));
    assert!(matches!(
        refuse(&manifest[..100]),
        Error::NotPrepared { .. }
    ));
    let outside = manifest.replace("train-00000", "../train-00000");
    assert!(matches!(refuse(&outside), Error::NotPrepared { .. }));
    assert!(matches!(
        refuse(&manifest.replace("\"cat\",", "")),
        Error::NotPrepared { .. }
    ));
    assert!(matches!(
        Prepared::open(dir.path()),
        Err(Error::NotPrepared { .. })
    ));

    write_atomic(&out.join("prepared.json"), manifest.as_bytes()).unwrap();
    let shard = out.join("train-00000.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    write_atomic(&shard, &bytes).unwrap();
    let prepared = Prepared::open(&out).unwrap();
    let error = prepared.load(Split::Train).unwrap_err();
    assert!(
        matches!(&error, Error::NotPrepared { path, .. } if *path == shard),
        "{error}"
    );
    assert!(prepared.load(Split::Test).is_ok());
}
