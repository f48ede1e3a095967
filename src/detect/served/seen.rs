//! What is known of the pictures of answers, where a server kept them.
//! Imports: rayon, base, `vision::{image`, predict}, `detect::{error, features, fitted, outlier, served}`.

use rayon::prelude::*;

use crate::base::Cancel;
use crate::vision::image::{PROPERTIES, Pixels, properties};
use crate::vision::predict::{Embeddings, Predictor};

use super::super::Error;
use super::super::features::{Features, Input};
use super::super::fitted::Fitted;
use super::super::outlier::OutlierScore;
use super::Answer;

/// What detectors compare of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    properties: [f64; PROPERTIES.len()],
    /// What enters the network's last layer; networks from elsewhere do not say.
    embedding: Option<Vec<f32>>,
}

impl Seen {
    /// Takes what is known already.
    #[cfg(test)]
    pub(super) fn new(properties: [f64; PROPERTIES.len()], embedding: Option<Vec<f32>>) -> Self {
        Self {
            properties,
            embedding,
        }
    }

    /// Asks the network that answered about the pictures, and measures them.
    ///
    /// # Errors
    /// They have another size than the network takes; it fails; `cancel` was requested.
    pub fn of_pictures(
        predictor: &Predictor,
        pixels: &Pixels,
        cancel: &Cancel,
    ) -> Result<Vec<Self>, Error> {
        let embeddings = predictor.observe(pixels, cancel)?.embeddings;
        let embedding = |index: usize| {
            let all = embeddings.as_ref()?;
            all.rows.chunks(all.width.max(1)).nth(index)
        };
        let seen = (0..pixels.count()).into_par_iter().map(|index| Self {
            properties: properties(pixels, index),
            embedding: embedding(index).map(<[f32]>::to_vec),
        });
        Ok(seen.collect())
    }
}

/// Says whether something of `fitted` looks at pictures.
#[must_use]
pub fn wants_pictures(fitted: &Fitted) -> bool {
    let mut inputs = fitted.detectors().map(|spec| spec.input);
    let outlier = fitted.outliers().map(OutlierScore::input);
    inputs.any(looks_at_pictures) || outlier.is_some_and(looks_at_pictures)
}

/// Says whether an input is made of pictures, not of answers.
pub(super) fn looks_at_pictures(input: Input) -> bool {
    [Input::Embedding, Input::Properties].contains(&input)
}

/// Adds what is known of the pictures of `answers`, if all were seen.
pub(super) fn with_pictures(features: Features, answers: &[Answer]) -> Result<Features, Error> {
    let seen = answers.iter().map(|answer| answer.seen.as_ref());
    let Some(seen) = seen.collect::<Option<Vec<&Seen>>>() else {
        return Ok(features);
    };
    let measured = seen.iter().map(|one| one.properties).collect();
    let features = features.with_properties(measured)?;
    let rows = seen.iter().map(|one| one.embedding.as_deref());
    match rows.collect::<Option<Vec<&[f32]>>>() {
        Some(rows) => features.with_embeddings(Embeddings {
            width: rows.first().map_or(0, |row| row.len()),
            rows: rows.concat(),
        }),
        None => Ok(features),
    }
}
