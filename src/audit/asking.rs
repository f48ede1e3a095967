//! Asks a model about the pictures while they are read, batch after batch, as it takes them: of a picture
//! only what the model makes of it is kept, however large its input is.
//! Imports: base, drift, vision, `audit::{error, features, narrow, probe}`.

use crate::base::Cancel;
use crate::drift;
use crate::vision;
use crate::vision::image::{Pixels, Target};
use crate::vision::predict::{Observed, Predictor, softmax};

use super::error::Error;
use super::features::FeatureSource;
use super::narrow::Narrow;
use super::probe::Said;

/// Features of a picture that are kept; more are added up to so many.
const FEATURES_MAX: usize = 512;

/// A model that is asked about the pictures.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// None.
    Nobody,
    /// The usual one, which is there but cannot be loaded, and why: it is passed over with a note.
    Broken(&'a str),
    /// The usual one: it is passed over with a note if it does not fit the pictures.
    Found(&'a Predictor),
    /// One that was named: that it does not fit is an error.
    Named(&'a Predictor),
}

/// Whether a classifier of the pictures' features is trained to check them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is.
    Trained,
    /// It is not: what it would find stays unknown.
    Skipped,
}

/// What a model makes of pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answers {
    /// What it takes each for.
    pub(super) said: Vec<Said>,
    /// What it sees in them; `None` if no probe is trained on it.
    pub(super) seen: Option<Seen>,
}

/// Numbers that a network makes of pictures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// `[pictures, width]`, last dimension fastest.
    pub(super) values: Vec<f32>,
    pub(super) width: usize,
    pub(super) source: FeatureSource,
}

/// How it is taken that a model fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is asked no more.
    Found,
    /// The check ends.
    Named,
}

/// A model that is being asked.
pub(super) struct Asking<'a> {
    model: &'a Predictor,
    standing: Standing,
    probe: Probe,
    seed: u64,
    narrow: Option<Narrow>,
    answers: Answers,
    /// Why it is asked no more.
    failed: Option<String>,
}

impl<'a> Asking<'a> {
    /// Begins to ask; nobody, with a note, if the model is the usual one and cannot be asked about pictures
    /// of these classes.
    ///
    /// # Errors
    /// The named model knows other classes.
    pub(super) fn begin(
        asked: Asked<'a>,
        classes: &[String],
        probe: Probe,
        seed: u64,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, Error> {
        let (model, standing) = match asked {
            Asked::Nobody => return Ok(None),
            Asked::Broken(why) => {
                notes.push(left_out(why, probe));
                return Ok(None);
            }
            Asked::Found(model) => (model, Standing::Found),
            Asked::Named(model) => (model, Standing::Named),
        };
        let known = &model.model().classes;
        if known != classes {
            if standing == Standing::Named {
                return Err(Error::OtherClasses {
                    model: known.clone(),
                    data: classes.to_vec(),
                });
            }
            // Data grow by a class, and are checked before the next training.
            notes.push(left_out("it knows other classes than the data has", probe));
            return Ok(None);
        }
        Ok(Some(Self {
            model,
            standing,
            probe,
            seed,
            narrow: None,
            answers: Answers::default(),
            failed: None,
        }))
    }

    /// Returns how the model takes pictures.
    pub(super) fn target(&self) -> Target {
        self.model.model().target
    }

    /// Asks about the next pictures, which lie before it as it takes them, with their classes.
    ///
    /// # Errors
    /// `cancel` was requested; the named model fails, or gives numbers that are none.
    pub(super) fn ask(
        &mut self,
        pixels: &Pixels,
        labels: &[u32],
        cancel: &Cancel,
    ) -> Result<(), Error> {
        if self.failed.is_some() || pixels.count() == 0 {
            return Ok(());
        }
        match (self.observe(pixels, labels, cancel), self.standing) {
            (Ok(()), _) => Ok(()),
            (Err(error @ Error::Vision(vision::Error::Cancelled(_))), _)
            | (Err(error), Standing::Named) => Err(error),
            (Err(error), Standing::Found) => {
                self.failed = Some(error.to_string());
                Ok(())
            }
        }
    }

    /// Returns all answers, in the order of the questions; `None`, with a note, if the model failed.
    pub(super) fn finish(self, notes: &mut Vec<String>) -> Option<Answers> {
        if let Some(why) = self.failed {
            notes.push(left_out(&why, self.probe));
            return None;
        }
        Some(self.answers)
    }

    fn observe(&mut self, pixels: &Pixels, labels: &[u32], cancel: &Cancel) -> Result<(), Error> {
        let observed = match self.probe {
            Probe::Trained => self.model.observe(pixels, cancel)?,
            Probe::Skipped => Observed {
                logits: self.model.predict(pixels, cancel)?,
                embeddings: None,
            },
        };
        let logits = observed.logits;
        self.finite(&logits.rows, logits.classes)?;
        let said = logits.rows.chunks_exact(logits.classes).zip(labels);
        let said: Vec<Said> = said
            .map(|(row, label)| Said::new(&softmax(row), *label))
            .collect();
        if self.probe == Probe::Trained {
            let (values, width, source) = match observed.embeddings {
                Some(seen) => (seen.rows, seen.width, FeatureSource::Embedding),
                None => (logits.rows, logits.classes, FeatureSource::Logits),
            };
            self.finite(&values, width)?;
            self.see(values, width, source);
        }
        self.answers.said.extend(said);
        Ok(())
    }

    fn see(&mut self, values: Vec<f32>, width: usize, source: FeatureSource) {
        let (values, width) = if width <= FEATURES_MAX {
            (values, width)
        } else {
            let seed = self.seed;
            let draw = || Narrow::new(width, FEATURES_MAX, seed);
            (
                self.narrow.get_or_insert_with(draw).rows(&values),
                FEATURES_MAX,
            )
        };
        match &mut self.answers.seen {
            Some(seen) => seen.values.extend(values),
            seen @ None => {
                *seen = Some(Seen {
                    values,
                    width,
                    source,
                });
            }
        }
    }

    /// Refuses numbers that are none.
    fn finite(&self, values: &[f32], width: usize) -> Result<(), Error> {
        let Some(at) = values.iter().position(|value| !value.is_finite()) else {
            return Ok(());
        };
        let width = width.max(1);
        Err(Error::Statistics {
            what: "what the model makes of the pictures",
            source: drift::Error::NotFinite {
                row: self.answers.said.len() + at / width,
                column: at % width,
                value: values[at].into(),
            },
        })
    }
}

/// Says that a model was passed over, why, and what is not known without it.
fn left_out(why: &str, probe: Probe) -> String {
    let instead = match probe {
        Probe::Trained => "labels and weak segments are judged by the pixels alone, and ",
        Probe::Skipped => "",
    };
    format!(
        "the model was not asked: {why}; {instead}what accuracy becomes without leaked pictures stays \
         unknown"
    )
}

#[cfg(test)]
mod tests;
