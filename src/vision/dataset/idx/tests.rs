//! Folders of IDX files made here.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::base::fs::{create_dir_all, write_atomic};
use crate::vision::dataset::{PictureSource, scan};
use crate::vision::image::Limits;

use super::*;

const LIMITS: Limits = Limits {
    pixels_max: 100,
    side_max: 100,
    file_bytes_max: 100,
};

fn labels(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8][..], labels].concat()
}

/// Pictures of 1×2 pixels: the number, twice.
fn images(count: u8) -> Vec<u8> {
    let head = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 1, 0, 0, 0, 2];
    let values: Vec<u8> = (0..count).flat_map(|number| [number; 2]).collect();
    [&head[..], &values].concat()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        write_atomic(&dir.path().join(name), bytes).unwrap();
    }
    dir
}

/// Two training pictures, of label 1 and 0, and a test picture of label 1.
fn small() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train-images-idx3-ubyte.gz", packed(&images(2))),
        ("train-labels.idx1-ubyte", labels(&[1, 0])),
        ("t10k-images.idx3-ubyte.gz", packed(&images(1))),
        ("t10k-labels-idx1-ubyte.gz", packed(&labels(&[1]))),
    ]
}

#[test]
fn arrays_are_pictures_with_paths() {
    let dir = folder(&small());
    create_dir_all(&dir.path().join("processed")).unwrap();
    let dataset = scan(dir.path()).unwrap();
    assert_eq!(dataset.classes, ["0", "1"]);
    assert_eq!(dataset.given, [Split::Train, Split::Test]);
    assert_eq!(dataset.skipped, ["processed/"]);
    let shown: Vec<(&str, u32)> = dataset
        .images
        .iter()
        .map(|image| (image.path.as_str(), image.label))
        .collect();
    assert_eq!(
        shown,
        [
            ("t10k-images.idx3-ubyte#0", 1),
            ("train-images-idx3-ubyte#0", 1),
            ("train-images-idx3-ubyte#1", 0),
        ]
    );
    let source = PictureSource::open(dir.path()).unwrap();
    let content = source.read("train-images-idx3-ubyte#1", LIMITS).unwrap();
    let picture = content.decode(LIMITS).unwrap();
    assert_eq!(
        (picture.width, picture.height, picture.data),
        (2, 1, vec![1, 1])
    );
    let hash = source.hash("train-images-idx3-ubyte#1").unwrap();
    assert_eq!(hash, content.hash());
    for path in [
        "train-images-idx3-ubyte#2",
        "train-images-idx3-ubyte",
        "#0",
        "",
    ] {
        assert!(source.read(path, LIMITS).is_err(), "{path}");
    }
}

#[test]
fn names_are_digits_or_lines() {
    let classes = |labels_: &[u8], names: Option<&str>| {
        let mut files = vec![
            ("train-images-idx3-ubyte", images(labels_.len() as u8)),
            ("train-labels-idx1-ubyte", labels(labels_)),
        ];
        files.extend(names.map(|names| ("classes.txt", names.as_bytes().to_vec())));
        scan(folder(&files).path()).map(|dataset| {
            let shown = dataset.images.iter();
            let shown: Vec<&str> = shown
                .map(|image| dataset.classes[image.label as usize].as_str())
                .collect();
            shown.join(" ")
        })
    };
    assert_eq!(classes(&[2, 10], None).unwrap(), "02 10");
    assert_eq!(classes(&[2, 1], None).unwrap(), "2 1");
    assert_eq!(
        classes(&[1, 0], Some("T-shirt/top\r\nBag\n\n")).unwrap(),
        "Bag T-shirt/top"
    );
    for (names, expected) in [
        (
            "a\n",
            "it names 1 class, and labels go up to 1: line 1 is label 0",
        ),
        ("a\n\nb", "line 2 is no name of a class"),
        ("a\na", "`a` is there twice"),
    ] {
        let error = classes(&[1, 0], Some(names)).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn files_must_fit_each_other() {
    type Files = Vec<(&'static str, Vec<u8>)>;
    let refuse = |change: &dyn Fn(&mut Files)| {
        let mut files = small();
        change(&mut files);
        let dir = folder(&files);
        let prefix = format!("{}/", dir.path().display());
        scan(dir.path())
            .unwrap_err()
            .to_string()
            .replace(&prefix, "")
    };
    let without =
        |name: &'static str| refuse(&move |files| files.retain(|(other, _)| *other != name));
    assert_eq!(
        without("train-labels.idx1-ubyte"),
        "`train-images-idx3-ubyte.gz` cannot be used: `train-labels-idx1-ubyte` belongs to it, with or without `.gz`, and is not there"
    );
    assert_eq!(
        refuse(&|files| files.retain(|(name, _)| name.starts_with("t10k"))),
        "`t10k-images.idx3-ubyte.gz` cannot be used: `train-images-idx3-ubyte` belongs to it, with or without `.gz`, and is not there"
    );
    assert_eq!(
        refuse(&|files| files[1].1 = labels(&[1, 0, 1])),
        "`train-images-idx3-ubyte.gz` cannot be used: it holds 2 images, and `train-labels.idx1-ubyte` 3 labels"
    );
    assert_eq!(
        refuse(&|files| files[2].1 = packed(&images(0))),
        "`t10k-images.idx3-ubyte.gz` cannot be used: it holds 0 images of 1×2 pixels"
    );
    let many = [0, 0, 8, 3, 0, 0x40, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    assert_eq!(
        refuse(&|files| files[2].1 = packed(&many)),
        "`t10k-images.idx3-ubyte.gz` cannot be used: it holds 4194304 images, more than 4000000"
    );
    assert_eq!(
        refuse(&|files| files[0].1.truncate(12)),
        "`train-images-idx3-ubyte.gz` cannot be used: it is truncated"
    );
    assert_eq!(
        refuse(&|files| files[3].1 = packed(&labels(&[2]))),
        "`test` has 1 class that `train` lacks: `2`"
    );
}
