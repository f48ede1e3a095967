//! Answers that came in parts, as one. Imports: drift, `vision::predict`, `detect::{error, features}`.

use crate::drift::Sample;
use crate::vision::predict::Embeddings;

use super::super::error::Error;
use super::{Features, Input, Told, numbers};

impl Features {
    /// Puts parts one after another: pictures are looked at some at a time, so that not all of them have to be in
    /// memory. What is not known of one part is not known of the whole.
    ///
    /// # Errors
    /// There is no part, or one is of another number of classes than the first.
    pub fn joined(parts: Vec<Self>) -> Result<Self, Error> {
        let (classes, origin) = parts
            .first()
            .map(|first| (first.classes, first.origin))
            .ok_or(Error::NoPictures)?;
        let mut row = 0;
        for part in &parts {
            if part.classes != classes {
                return Err(Error::Classes {
                    row,
                    found: part.classes,
                    expected: classes,
                });
            }
            row += part.rows();
        }
        let mut labels = Vec::with_capacity(row);
        let mut told = Some((Vec::new(), Vec::new()));
        let mut embeddings = Some(Vec::new());
        let mut width = None;
        let mut properties = Some(Vec::with_capacity(row));
        let mut truth = Some(Vec::with_capacity(row));
        for part in parts {
            labels.extend(part.labels);
            told = told.zip(part.told).map(|((mut all, mut unsure), part)| {
                all.extend_from_slice(part.probabilities.values());
                unsure.extend(part.uncertainty);
                (all, unsure)
            });
            let as_wide = part
                .embeddings
                .filter(|part| *width.get_or_insert(part.width) == part.width);
            embeddings = extended(embeddings, as_wide.map(|part| part.rows));
            properties = extended(properties, part.properties);
            truth = extended(truth, part.truth);
        }
        let told = told.map(|(values, uncertainty)| {
            let probabilities = Sample::new(values, classes).map_err(numbers(Input::Softmax))?;
            Ok::<_, Error>(Told {
                probabilities,
                uncertainty,
            })
        });
        Ok(Self {
            classes,
            labels,
            told: told.transpose()?,
            embeddings: embeddings
                .zip(width)
                .map(|(rows, width)| Embeddings { rows, width }),
            properties,
            truth,
            origin,
        })
    }
}

/// Returns `all` with `more` at its end, if both are known.
fn extended<T>(all: Option<Vec<T>>, more: Option<Vec<T>>) -> Option<Vec<T>> {
    all.zip(more).map(|(mut all, more)| {
        all.extend(more);
        all
    })
}
