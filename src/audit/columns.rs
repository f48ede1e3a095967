//! What can be measured of every picture: the properties of what is in it, and of its file. Pure.
//! Imports: vision, `audit::pictures`.

use crate::vision::image::PROPERTIES;

use super::pictures::Pictures;

/// One measure of all pictures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measure {
    /// Such as `brightness`.
    pub(super) name: &'static str,
    /// By row; all finite.
    pub(super) values: Vec<f64>,
}

/// Makes a measure of width, height and bytes.
type OfFile = fn(f64, f64, f64) -> f64;

/// Returns all measures of `pictures`.
pub(super) fn measures(pictures: &Pictures) -> Vec<Measure> {
    let rows = &pictures.rows;
    let properties = PROPERTIES.iter().enumerate().map(|(at, name)| Measure {
        name,
        values: rows.iter().map(|row| row.properties[at]).collect(),
    });
    let of_file: [(&str, OfFile); 3] = [
        ("aspect ratio", |width, height, _| width / height),
        ("pixels", |width, height, _| width * height),
        ("file size", |_, _, bytes| bytes),
    ];
    let of_file = of_file.into_iter().map(|(name, measure)| Measure {
        name,
        values: rows
            .iter()
            .map(|row| measure(row.width.into(), row.height.into(), row.bytes as f64))
            .collect(),
    });
    properties.chain(of_file).collect()
}
