//! The `preprocess` section of params.yaml. The sections of the network and of training are read
//! beside the code that uses them. Imports: `base::doc`, `image`.
//!
//! | key | meaning | values | default |
//! |---|---|---|---|
//! | `size` | side of a square, or `[height, width]` | 8 to 512 | 35 |
//! | `channels` | 1 (grey) or 3 (colour) | 1, 3 | 3 |
//! | `filter` | how pictures are resized | `nearest`, `bilinear`, `catmullrom`, `lanczos3` | `bilinear` |
//! | `background` | what shows through transparent pixels: grey, or `[red, green, blue]` | 0 to 255 | 255 (white) |
//! | `val` | part of the training pictures kept for validation when none are given | 0 to 0.5 | 0.1 |
//! | `test` | part kept for the final test when none are given | 0 to 0.5 | 0.2 |
//! | `seed` | decides which pictures those are | 0 to 4294967295 | 42 |
//! | `max_corrupt` | part of all pictures that may be unreadable before the stage fails | 0 to 1 | 0.01 |
//! | `min_per_class` | training pictures each class must have | 1 to 1000000 | 1 |
//! | `shard_images` | pictures per shard file | 1 to 1000000 | 4096 |
//! | `exclude` | file that lists pictures to leave out (`dataset::Exclusions`), relative to params.yaml | a path | – |
//! | `max_pixels` | largest width × height that is decoded | 1 to 1000000000 | 50000000 |
//!
//! White is the default background because most cut-out pictures (icons, products) are drawn for
//! a white page. One picture in a hundred may be unreadable by default: large collections always
//! have a few, small ones (under 100) none.

use std::ops::RangeInclusive;

use crate::base::doc::{Fields, On, Value};

use super::image::{Channels, Filter, Limits, Target};

const SIDE: RangeInclusive<u64> = 8..=512;
const COLOUR: RangeInclusive<u64> = 0..=255;
/// `val` and `test` together leave at least a tenth for training.
const HELD_OUT_MAX: f64 = 0.9;
/// Largest picture file: no camera writes more, and it is read as a whole.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// How sets of pictures become prepared data; the module's table explains each key.
#[derive(Clone, Debug, PartialEq)]
pub struct PreprocessParams {
    /// Size, channels, filter, background.
    pub target: Target,
    /// Part of `train` kept for validation, 0..=0.5.
    pub val: f64,
    /// Part kept for the test, 0..=0.5.
    pub test: f64,
    /// Decides which pictures are kept.
    pub seed: u64,
    /// Part of all pictures that may be unreadable, 0..=1.
    pub max_corrupt: f64,
    /// Training pictures each class must have, at least 1.
    pub min_per_class: usize,
    /// Pictures per shard file, at least 1.
    pub shard_images: usize,
    /// The file that lists pictures to leave out, as written; relative to that of the parameters.
    pub exclude: Option<String>,
    /// What one file may ask for.
    pub limits: Limits,
}

impl PreprocessParams {
    /// Reads the section `preprocess`; problems are collected in the fields' `Problems`.
    #[must_use]
    pub fn read(fields: Fields<'_, '_>) -> Self {
        let (height, width) = read_size(&fields);
        let params = Self {
            target: Target {
                height,
                width,
                channels: read_channels(&fields),
                filter: fields.choice("filter", Filter::Bilinear, &Filter::NAMES),
                background: read_background(&fields),
            },
            val: fields.float("val", 0.1, 0.0..=0.5),
            test: fields.float("test", 0.2, 0.0..=0.5),
            seed: fields.int("seed", 42, 0..=u64::from(u32::MAX)),
            max_corrupt: fields.float("max_corrupt", 0.01, 0.0..=1.0),
            min_per_class: fields.int("min_per_class", 1, 1..=1_000_000) as usize,
            shard_images: fields.int("shard_images", 4096, 1..=1_000_000) as usize,
            exclude: read_exclude(&fields),
            limits: Limits {
                pixels_max: fields.int("max_pixels", 50_000_000, 1..=1_000_000_000),
                side_max: u32::MAX,
                file_bytes_max: FILE_BYTES_MAX,
            },
        };
        if HELD_OUT_MAX < params.val + params.test {
            fields.problem(
                "val",
                On::Value,
                "out-of-range",
                format!(
                    "`{}` and `{}` are together {}: at most {HELD_OUT_MAX} may be kept from training",
                    fields.path("val"),
                    fields.path("test"),
                    params.val + params.test,
                ),
                None,
            );
        }
        fields.finish();
        params
    }
}

fn read_size(fields: &Fields<'_, '_>) -> (u32, u32) {
    const DEFAULT: (u32, u32) = (35, 35);
    let side = |value: &Value| {
        let side = u64::try_from(value.as_i64()?).ok()?;
        SIDE.contains(&side).then_some(side as u32)
    };
    let Some(value) = fields.get("size") else {
        return DEFAULT;
    };
    let sides: Option<Vec<u32>> = match value {
        Value::List(sides) => sides.iter().map(side).collect(),
        one => side(one).map(|side| vec![side, side]),
    };
    if let Some([height, width]) = sides.as_deref() {
        return (*height, *width);
    }
    fields.problem(
        "size",
        On::Value,
        "out-of-range",
        format!(
            "`{}` must be a whole number from {} to {}, or two of them: [height, width]",
            fields.path("size"),
            SIDE.start(),
            SIDE.end()
        ),
        None,
    );
    DEFAULT
}

fn read_exclude(fields: &Fields<'_, '_>) -> Option<String> {
    let file = fields.optional_text("exclude")?;
    if file.trim().is_empty() {
        let headline = format!("`{}` must name a file", fields.path("exclude"));
        let help = Some("leave the key out to use all pictures".to_owned());
        fields.problem("exclude", On::Value, "empty", headline, help);
        return None;
    }
    Some(file.to_owned())
}

fn read_channels(fields: &Fields<'_, '_>) -> Channels {
    let Some(value) = fields.get("channels") else {
        return Channels::Rgb;
    };
    let count = value.as_i64().and_then(|count| u64::try_from(count).ok());
    count.and_then(Channels::from_count).unwrap_or_else(|| {
        let headline = format!(
            "`{}` must be 1 (grey) or 3 (colour)",
            fields.path("channels")
        );
        fields.problem("channels", On::Value, "out-of-range", headline, None);
        Channels::Rgb
    })
}

/// Reads `background`: grey, or red, green and blue.
pub(in crate::vision) fn read_background(fields: &Fields<'_, '_>) -> [u8; 3] {
    const WHITE: [u8; 3] = [255; 3];
    let level = |value: &Value| {
        let level = u64::try_from(value.as_i64()?).ok()?;
        COLOUR.contains(&level).then_some(level as u8)
    };
    let Some(value) = fields.get("background") else {
        return WHITE;
    };
    let levels: Option<Vec<u8>> = match value {
        Value::List(levels) => levels.iter().map(level).collect(),
        one => level(one).map(|grey| vec![grey; 3]),
    };
    if let Some(&[red, green, blue]) = levels.as_deref() {
        return [red, green, blue];
    }
    let headline = format!(
        "`{}` must be a whole number from 0 to 255, or three of them: [red, green, blue]",
        fields.path("background")
    );
    fields.problem("background", On::Value, "out-of-range", headline, None);
    WHITE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base;
    use crate::base::doc::{Document, Format, KeyPath, Problems};

    fn read(text: &str) -> Result<PreprocessParams, Vec<String>> {
        let document = Document::parse("params.yaml", text.to_owned(), Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let params = PreprocessParams::read(problems.fields(KeyPath::root().key("preprocess")));
        problems.into_result(params).map_err(|error| match error {
            base::Error::Document { problems, .. } => {
                problems.into_iter().map(|d| d.headline).collect()
            }
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn defaults_and_all_keys() {
        let defaults = read("train: {}\n").unwrap();
        assert_eq!((defaults.target.height, defaults.target.width), (35, 35));
        assert_eq!(defaults.target.background, [255; 3]);
        let given = read(
            "preprocess: {size: [28, 64], channels: 1, filter: lanczos3, background: [1, 2, 3],
             val: 0, test: 0.5, seed: 7, max_corrupt: 1, min_per_class: 3, shard_images: 8,
             exclude: data/exclude.txt, max_pixels: 100}\n",
        )
        .unwrap();
        assert_eq!(
            given,
            PreprocessParams {
                target: Target {
                    height: 28,
                    width: 64,
                    channels: Channels::Grey,
                    filter: Filter::Lanczos3,
                    background: [1, 2, 3],
                },
                val: 0.0,
                test: 0.5,
                seed: 7,
                max_corrupt: 1.0,
                min_per_class: 3,
                shard_images: 8,
                exclude: Some("data/exclude.txt".to_owned()),
                limits: Limits {
                    pixels_max: 100,
                    side_max: u32::MAX,
                    file_bytes_max: FILE_BYTES_MAX
                },
            }
        );
    }

    #[test]
    fn says_what_is_accepted() {
        let size = "`preprocess.size` must be a whole number from 8 to 512, or two of them: [height, width]";
        let background = "`preprocess.background` must be a whole number from 0 to 255, or three of them: [red, green, blue]";
        for (text, expected) in [
            ("size: 4", size),
            ("size: [35]", size),
            ("size: [35, big]", size),
            (
                "channels: 2",
                "`preprocess.channels` must be 1 (grey) or 3 (colour)",
            ),
            ("background: [1, 2]", background),
            ("background: 256", background),
            (
                "val: 0.6",
                "`preprocess.val` must be a number from 0 to 0.5",
            ),
            ("exclude: ''", "`preprocess.exclude` must name a file"),
            ("sise: 35", "unknown key `sise` in `preprocess`"),
            (
                "{val: 0.5, test: 0.5}",
                "`preprocess.val` and `preprocess.test` are together 1: at most 0.9 may be kept from training",
            ),
        ] {
            assert_eq!(
                read(&format!("preprocess:\n  {text}\n")),
                Err(vec![expected.to_owned()]),
                "{text}"
            );
        }
    }
}
