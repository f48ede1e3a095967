//! Tables of drawn pictures, for the tests of this room. Imports: base, vision, `audit::{dhash,
//! params, pictures}`.

use rand::RngExt;

use super::dhash;
use super::params::AuditParams;
use super::pictures::{Picture, Pictures};
use crate::base::doc::{self, Document, KeyPath, Problems};
use crate::base::{ContentHash, rng};
use crate::vision::dataset::Split;
use crate::vision::image::{Facts, Format, Frames, Pixels, Space, properties};
use crate::vision::params::PreprocessParams;

/// Sides of the pictures.
pub(super) const SIDE: usize = 35;

/// A grey picture to be put into a table.
#[derive(Clone)]
pub(super) struct Drawn {
    pub(super) values: Vec<u8>,
    pub(super) split: Split,
    pub(super) class: u32,
    hash: Option<u64>,
}

impl Drawn {
    /// Draws noise; another seed is another picture.
    pub(super) fn new(seed: u64, split: Split, class: u32) -> Self {
        let mut rng = rng::stream(seed, "test.audit.drawn", 0);
        let values = (0..SIDE * SIDE).map(|_| rng.random_range(20..=220_u8));
        Self {
            values: values.collect(),
            split,
            class,
            hash: None,
        }
    }

    /// Makes every pixel brighter.
    pub(super) fn brighter(mut self, by: u8) -> Self {
        for value in &mut self.values {
            *value = value.saturating_add(by);
        }
        self
    }

    /// Gives it another hash than it has.
    pub(super) fn with_hash(mut self, hash: u64) -> Self {
        self.hash = Some(hash);
        self
    }
}

/// Makes a table of pictures, with two classes.
pub(super) fn table(drawn: &[Drawn]) -> Pictures {
    let mut pixels = Pixels::new(SIDE, SIDE, 1);
    let mut rows = Vec::new();
    for (row, drawn) in drawn.iter().enumerate() {
        pixels.push(&drawn.values);
        rows.push(Picture {
            path: format!("{row:05}.png"),
            split: drawn.split,
            class: drawn.class,
            bytes: 1000,
            facts: Facts {
                format: Some(Format::Png),
                space: Space::Light,
                bits: 8,
                frames: Frames::One,
            },
            transparent: false,
            width: SIDE as u32,
            height: SIDE as u32,
            content: ContentHash::of(&drawn.values),
            properties: properties(&pixels, row),
            dhash: drawn.hash.unwrap_or_else(|| dhash::of(&pixels, row)),
        });
    }
    Pictures {
        classes: vec!["a".to_owned(), "b".to_owned()],
        rows,
        pixels,
    }
}

/// Returns the default parameters.
pub(super) fn params() -> AuditParams {
    let document = Document::parse("params.yaml", String::new(), doc::Format::Yaml).unwrap();
    let problems = Problems::new(&document);
    AuditParams::new(PreprocessParams::read(problems.fields(KeyPath::root())))
}
