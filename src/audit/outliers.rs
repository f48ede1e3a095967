//! Findings about what is in pictures: black, white or empty ones, and those whose properties lie far
//! from all others. Pure. Imports: drift, vision, `audit::{columns, error, finding, params, pictures}`.

use crate::drift::quantile::{Definition, of_sorted};
use crate::vision::image::Pixels;

use super::columns::{Measure, measures};
use super::error::Error;
use super::finding::{Check, Finding};
use super::params::AuditParams;
use super::pictures::Pictures;

/// Values up to here are black, of 255.
const BLACK_MAX: u8 = 16;
/// Values from here on are white.
const WHITE_MIN: u8 = 239;
/// Pictures whose values differ by less have nothing in them.
const CONTRAST_MIN: u8 = 10;
/// This part of the values at either end does not count: specks, hot pixels.
const SPECKS: f64 = 0.01;
/// Makes the median absolute deviation of a normal law its standard deviation: 1/Φ⁻¹(3/4).
const MEDIAN_TO_DEVIATION: f64 = 1.482_602_218_505_602;
/// The same for the mean absolute deviation: √(π/2).
const MEAN_TO_DEVIATION: f64 = 1.253_314_137_315_500_3;

/// Looks at what is in the pictures.
///
/// # Errors
/// A measure is not finite.
pub(super) fn findings(pictures: &Pictures, params: &AuditParams) -> Result<Vec<Finding>, Error> {
    let mut black = Vec::new();
    let mut white = Vec::new();
    let mut empty = Vec::new();
    for row in 0..pictures.rows.len() {
        let spans = spans(&pictures.pixels, row);
        let least = spans.iter().map(|span| span.0).min().unwrap_or(0);
        let most = spans.iter().map(|span| span.1).max().unwrap_or(0);
        let range = spans.iter().map(|span| span.1 - span.0).max().unwrap_or(0);
        let item = pictures.item(row, format!("values from {least} to {most} of 255"));
        if most <= BLACK_MAX {
            black.push(item);
        } else if WHITE_MIN <= least {
            white.push(item);
        } else if range < CONTRAST_MIN {
            empty.push(item);
        }
    }
    let help = "look at them, and leave out what shows nothing";
    Ok([
        Finding::new(
            Check::NearBlack,
            "pictures that are black all over",
            help,
            black,
        ),
        Finding::new(
            Check::NearWhite,
            "pictures that are white all over",
            help,
            white,
        ),
        Finding::new(
            Check::LowInformation,
            "pictures of one colour all over",
            help,
            empty,
        ),
        outliers(pictures, params.outlier_z)?,
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Returns the least and the greatest value of each channel, without specks.
fn spans(pixels: &Pixels, row: usize) -> Vec<(u8, u8)> {
    let channels = pixels.channels();
    let image = pixels.image(row);
    let values = image.len() / channels;
    let specks = (SPECKS * values as f64) as usize;
    let mut counts = vec![[0_usize; 256]; channels];
    for pixel in image.chunks_exact(channels) {
        for (channel, value) in counts.iter_mut().zip(pixel) {
            channel[usize::from(*value)] += 1;
        }
    }
    counts
        .iter()
        .map(|counts| {
            let least = reach((0..=u8::MAX).zip(counts), specks);
            let most = reach((0..=u8::MAX).zip(counts).rev(), specks);
            (least, most)
        })
        .collect()
}

/// Returns the first value by which more than `specks` values were counted.
fn reach<'a>(mut counts: impl Iterator<Item = (u8, &'a usize)>, specks: usize) -> u8 {
    let mut seen = 0;
    let reached = counts.find(|(_, count)| {
        seen += **count;
        specks < seen
    });
    reached.map_or(0, |(value, _)| value)
}

/// Pictures with a measure whose robust z-score (Iglewicz and Hoaglin 1993) is beyond `z_max`; each is
/// told of once, by the farthest of its measures.
fn outliers(pictures: &Pictures, z_max: f64) -> Result<Option<Finding>, Error> {
    let mut worst: Vec<Option<(f64, String)>> = vec![None; pictures.rows.len()];
    for Measure { name, values } in measures(pictures) {
        let Some((median, deviation)) = robust(&values)? else {
            continue;
        };
        for (worst, value) in worst.iter_mut().zip(&values) {
            let z = (value - median) / deviation;
            if z_max < z.abs() && worst.as_ref().is_none_or(|(old, _)| *old < z.abs()) {
                let detail = format!(
                    "{name} {}, median {} (robust z {z:.1})",
                    short(*value),
                    short(median)
                );
                *worst = Some((z.abs(), detail));
            }
        }
    }
    let mut found: Vec<(f64, usize, String)> = worst
        .into_iter()
        .enumerate()
        .filter_map(|(row, worst)| worst.map(|(z, detail)| (z, row, detail)))
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let items = found
        .into_iter()
        .map(|(_, row, detail)| pictures.item(row, detail));
    Ok(Finding::new(
        Check::Outliers,
        "pictures unlike the others in brightness, contrast, size or the like",
        "look at the first ones; rare is not wrong",
        items.collect(),
    ))
}

/// Returns the median of `values` and a standard deviation that outliers do not move: by the median
/// absolute deviation, or, where more than half of the values are equal, by the mean one. None if
/// there is nothing that varies.
fn robust(values: &[f64]) -> Result<Option<(f64, f64)>, Error> {
    if values.is_empty() {
        return Ok(None);
    }
    let median = middle(values.to_vec())?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    let mean = deviations.iter().sum::<f64>() / deviations.len() as f64;
    let by_median = MEDIAN_TO_DEVIATION * middle(deviations)?;
    let deviation = if 0.0 < by_median {
        by_median
    } else {
        MEAN_TO_DEVIATION * mean
    };
    Ok((0.0 < deviation).then_some((median, deviation)))
}

/// Returns the median.
pub(super) fn middle(mut values: Vec<f64>) -> Result<f64, Error> {
    values.sort_unstable_by(f64::total_cmp);
    of_sorted(&values, 0.5, Definition::Linear).map_err(|source| Error::Statistics {
        what: "the median of a property",
        source,
    })
}

/// Formats a number with three significant digits.
pub(super) fn short(value: f64) -> String {
    let whole = value.abs();
    if 1000.0 <= whole || value == 0.0 {
        format!("{value:.0}")
    } else if 100.0 <= whole {
        format!("{value:.1}")
    } else if 0.01 <= whole {
        format!("{value:.3}")
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::drawn::{Drawn, SIDE, params, table};
    use crate::vision::dataset::Split;

    /// `check detail` of every item.
    fn shown(drawn: &[Drawn]) -> Vec<String> {
        let found = findings(&table(drawn), &params()).unwrap();
        found
            .iter()
            .filter(|f| f.check != Check::Outliers)
            .flat_map(|f| {
                f.items
                    .iter()
                    .map(move |item| format!("{} {}", f.check.id(), item.detail))
            })
            .collect()
    }

    fn plain(value: u8) -> Drawn {
        let mut drawn = Drawn::new(1, Split::Train, 0);
        drawn.values = vec![value; SIDE * SIDE];
        drawn
    }

    #[test]
    fn pictures_of_one_colour_are_told_apart() {
        let mut specks = plain(3);
        specks.values[..10].fill(255);
        let mut object = plain(3);
        object.values[..20].fill(255);
        assert_eq!(
            shown(&[specks, plain(250), plain(120), object]),
            [
                "near-black values from 3 to 3 of 255",
                "near-white values from 250 to 250 of 255",
                "low-information values from 120 to 120 of 255",
            ]
        );
    }

    #[test]
    fn a_far_value_is_an_outlier_by_its_robust_score() {
        let mut pictures = table(&vec![Drawn::new(1, Split::Train, 0); 20]);
        for (row, picture) in pictures.rows.iter_mut().enumerate() {
            picture.bytes = 1000 + row as u64;
        }
        pictures.rows[7].bytes = 9000;
        let found = outliers(&pictures, 3.5).unwrap().unwrap();
        assert_eq!(found.items.len(), 1);
        assert_eq!(found.items[0].row, Some(7));
        assert!(
            found.items[0]
                .detail
                .starts_with("file size 9000, median 1010")
        );
        assert_eq!(outliers(&pictures, 1e9).unwrap(), None);
    }

    #[test]
    fn scores_survive_values_that_are_mostly_equal() {
        assert_eq!(robust(&[5.0; 9]).unwrap(), None);
        assert_eq!(robust(&[]).unwrap(), None);
        let (median, deviation) = robust(&[1.0, 1.0, 1.0, 1.0, 6.0]).unwrap().unwrap();
        assert!((median - 1.0).abs() < 1e-12 && (deviation - MEAN_TO_DEVIATION).abs() < 1e-12);
        let (median, deviation) = robust(&[1.0, 2.0, 3.0, 4.0, 500.0]).unwrap().unwrap();
        assert!((median - 3.0).abs() < 1e-12 && (deviation - MEDIAN_TO_DEVIATION).abs() < 1e-12);
        assert!(matches!(robust(&[f64::NAN]), Ok(None) | Err(_)));
    }
}
