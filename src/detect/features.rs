//! What a model sees of pictures, as numbers that detectors compare. Imports: rayon, base, drift,
//! `vision::{image`, predict}, `detect::error`.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::Cancel;
use crate::drift::uncertainty::{self, Uncertainty};
use crate::drift::{self, Sample};
use crate::vision::image::{PROPERTIES, Pixels, properties};
use crate::vision::predict::{Embeddings, Predictor};

use super::error::Error;

/// What a detector compares of each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The probabilities of all classes (black box shift detection, Lipton et al. 2018).
    Softmax,
    /// The activations that enter the network's last layer, as many as there are. Only of pictures that
    /// a network trained here looked at.
    Embedding,
    /// The likeliest class, a whole number from 0.
    Label,
    /// The entropy of the probabilities, in nats: how unsure the answer is.
    Entropy,
    /// The largest probability less the second largest.
    Margin,
    /// What can be said of a picture without a network: [`PROPERTIES`]. Only where there are pictures.
    Properties,
    /// 1 where the likeliest class is not the true one, else 0. Only where true classes are known.
    Error,
}

impl Input {
    /// Names as written in params.yaml and in reports.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("softmax", Self::Softmax),
        ("embedding", Self::Embedding),
        ("label", Self::Label),
        ("entropy", Self::Entropy),
        ("margin", Self::Margin),
        ("properties", Self::Properties),
        ("error", Self::Error),
    ];

    /// Returns the input with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::NAMES.iter().find(|(n, _)| *n == name);
        named.map(|(_, input)| *input)
    }

    /// Returns the name as written in params.yaml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Embedding => "embedding",
            Self::Label => "label",
            Self::Entropy => "entropy",
            Self::Margin => "margin",
            Self::Properties => "properties",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of each of some answers: at least one, in the order in which the pictures came.
///
/// The likeliest class is always known; the probabilities, and what follows from them (entropy, margin),
/// unless there are too many to be kept; embeddings and properties where there were pictures, true labels
/// where somebody gave them.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// How many there are.
    classes: usize,
    /// The likeliest class of each row.
    labels: Vec<u32>,
    told: Option<Told>,
    embeddings: Option<Embeddings>,
    properties: Option<Vec<[f64; PROPERTIES.len()]>>,
    truth: Option<Vec<u32>>,
    origin: Origin,
}

/// The probabilities of all classes.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    /// `[rows, classes]`, each row a distribution.
    probabilities: Sample,
    uncertainty: Vec<Uncertainty>,
}

/// What the rows were made of, for those who ask for what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Pictures,
    Probabilities,
    Labels,
}

impl Features {
    /// Asks a network about `pixels`, and measures them. Embeddings are as wide as the network's last
    /// layer; networks from ONNX files have none.
    ///
    /// # Errors
    /// There are no pictures; they have another size than the network takes; the network fails, or
    /// answers with something else than numbers; `cancel` was requested.
    pub fn of_pictures(
        predictor: &Predictor,
        pixels: &Pixels,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let observed = predictor.observe(pixels, cancel)?;
        let features = Self {
            origin: Origin::Pictures,
            ..Self::of_probabilities(&observed.logits.probabilities())?
        };
        let indices = (0..pixels.count()).into_par_iter();
        let measured = indices.map(|index| properties(pixels, index)).collect();
        let features = features.with_properties(measured)?;
        match observed.embeddings {
            Some(embeddings) => features.with_embeddings(embeddings),
            None => Ok(features),
        }
    }

    /// Takes the probabilities that a network gave, a row for each picture: from the prediction log, or
    /// as a server answered. They are rounded to `f32`.
    ///
    /// # Errors
    /// There are no rows, rows of different lengths, fewer than two classes, or a row that is no
    /// distribution.
    pub fn of_probabilities(probabilities: &[Vec<f64>]) -> Result<Self, Error> {
        let expected = probabilities.first().ok_or(Error::NoPictures)?.len();
        let lens = probabilities.iter().map(Vec::len).enumerate();
        for (row, found) in lens {
            if found != expected {
                return Err(Error::Classes {
                    row,
                    found,
                    expected,
                });
            }
        }
        // Servers and the prediction log keep probabilities as f32: an answer is the same numbers wherever
        // it comes from. Near 0 and 1, a detector would see the difference.
        let rounded = probabilities.iter().flatten().map(|p| f64::from(*p as f32));
        let probabilities =
            Sample::new(rounded.collect(), expected).map_err(numbers(Input::Softmax))?;
        let rows = 0..probabilities.rows();
        let labels = rows.map(|row| likeliest(probabilities.row(row))).collect();
        let uncertainty =
            uncertainty::of_probabilities(&probabilities).map_err(numbers(Input::Softmax))?;
        Ok(Self {
            classes: expected,
            labels,
            told: Some(Told {
                probabilities,
                uncertainty,
            }),
            embeddings: None,
            properties: None,
            truth: None,
            origin: Origin::Probabilities,
        })
    }

    /// Takes the likeliest class of each picture, from 0, where nothing else is known: of many classes, the
    /// prediction log keeps the probabilities of a few.
    ///
    /// # Errors
    /// There are no rows, or one is none of `classes` classes.
    pub fn of_labels(labels: Vec<u32>, classes: usize) -> Result<Self, Error> {
        if labels.is_empty() {
            return Err(Error::NoPictures);
        }
        require_classes(&labels, classes)?;
        Ok(Self {
            classes,
            labels,
            told: None,
            embeddings: None,
            properties: None,
            truth: None,
            origin: Origin::Labels,
        })
    }

    /// Adds the embeddings of the pictures.
    ///
    /// # Errors
    /// There is not one for each row.
    pub fn with_embeddings(self, embeddings: Embeddings) -> Result<Self, Error> {
        let Embeddings { rows, width } = &embeddings;
        if *width == 0 || rows.len() != self.rows() * width {
            return Err(self.length("embeddings", rows.len() / width.max(&1)));
        }
        Ok(Self {
            embeddings: Some(embeddings),
            ..self
        })
    }

    /// Adds the properties of the pictures, as `vision::image::properties` measures them.
    ///
    /// # Errors
    /// There are not as many as rows.
    pub fn with_properties(self, properties: Vec<[f64; PROPERTIES.len()]>) -> Result<Self, Error> {
        if properties.len() != self.rows() {
            return Err(self.length("pictures with properties", properties.len()));
        }
        Ok(Self {
            properties: Some(properties),
            ..self
        })
    }

    /// Adds the true class of each picture, from 0.
    ///
    /// # Errors
    /// There are not as many as rows, or one is no class.
    pub fn with_truth(self, truth: Vec<u32>) -> Result<Self, Error> {
        if truth.len() != self.rows() {
            return Err(self.length("true labels", truth.len()));
        }
        require_classes(&truth, self.classes)?;
        Ok(Self {
            truth: Some(truth),
            ..self
        })
    }

    /// Returns the number of answers, at least 1.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns the number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns the probabilities, `[rows, classes]`, where those of all classes are known.
    #[must_use]
    pub fn probabilities(&self) -> Option<&Sample> {
        self.told.as_ref().map(|told| &told.probabilities)
    }

    /// Returns the likeliest class of each row, the first of equally likely ones.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns how sure each answer is, where the probabilities of all classes are known.
    #[must_use]
    pub fn uncertainty(&self) -> Option<&[Uncertainty]> {
        self.told.as_ref().map(|told| told.uncertainty.as_slice())
    }

    /// Returns the true class of each row, where it is known.
    #[must_use]
    pub fn truth(&self) -> Option<&[u32]> {
        self.truth.as_deref()
    }

    /// Tells whether `sample(input)` has something to return.
    #[must_use]
    pub fn has(&self, input: Input) -> bool {
        self.width(input).is_some()
    }

    /// Returns what `input` says of each row: `[rows, classes]` for `softmax`, `[rows, width of the last
    /// layer]` for `embedding`, `[rows, 8]` for `properties`, else `[rows, 1]`. All numbers are finite.
    ///
    /// # Errors
    /// The input is not known of these answers, or an activation is no finite number.
    pub fn sample(&self, input: Input) -> Result<Sample, Error> {
        let told = || self.told.as_ref().ok_or_else(|| self.no_input(input));
        let (values, width) = match input {
            Input::Softmax => return Ok(told()?.probabilities.clone()),
            Input::Embedding => {
                let embeddings = self.embeddings.as_ref();
                let embeddings = embeddings.ok_or_else(|| self.no_input(input))?;
                let values = embeddings.rows.iter().copied().map(f64::from);
                (values.collect(), embeddings.width)
            }
            Input::Label => (self.labels.iter().copied().map(f64::from).collect(), 1),
            Input::Entropy => (told()?.uncertainty.iter().map(|u| u.entropy).collect(), 1),
            Input::Margin => (told()?.uncertainty.iter().map(|u| u.margin).collect(), 1),
            Input::Properties => {
                let properties = self.properties.as_ref();
                let properties = properties.ok_or_else(|| self.no_input(input))?;
                (properties.as_flattened().to_vec(), PROPERTIES.len())
            }
            Input::Error => {
                let truth = self.truth.as_ref().ok_or_else(|| self.no_input(input))?;
                let pairs = self.labels.iter().zip(truth);
                let wrong = pairs.map(|(told, label)| f64::from(u8::from(told != label)));
                (wrong.collect(), 1)
            }
        };
        Sample::new(values, width).map_err(numbers(input))
    }

    /// Returns what the columns of `sample(input)` are called in reports: the names of the classes for
    /// `softmax`, `dim 0`, `dim 1`, … for `embedding`, the names of the properties, or the input's own.
    /// Nothing for an input that is not known of these answers.
    #[must_use]
    pub fn column_names(&self, input: Input, classes: &[String]) -> Vec<String> {
        let columns = 0..self.width(input).unwrap_or(0);
        let name = |column: usize| match input {
            Input::Softmax => {
                let class = classes.get(column).cloned();
                class.unwrap_or_else(|| format!("class {column}"))
            }
            Input::Embedding => format!("dim {column}"),
            Input::Label | Input::Entropy | Input::Margin | Input::Error => input.name().to_owned(),
            Input::Properties => PROPERTIES[column].to_owned(),
        };
        columns.map(name).collect()
    }

    /// Returns the rows with these numbers, in this order; a row may come more than once.
    ///
    /// # Errors
    /// `rows` names none.
    ///
    /// # Panics
    /// There is no such row.
    pub fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        if rows.is_empty() {
            return Err(Error::NoPictures);
        }
        let told = self
            .told
            .as_ref()
            .map(|told| told.select(rows))
            .transpose()?;
        let embeddings = self.embeddings.as_ref().map(|all| {
            let width = all.width;
            let values = rows
                .iter()
                .flat_map(|row| &all.rows[row * width..(row + 1) * width]);
            Embeddings {
                rows: values.copied().collect(),
                width,
            }
        });
        Ok(Self {
            classes: self.classes,
            labels: picked(&self.labels, rows),
            told,
            embeddings,
            properties: self.properties.as_ref().map(|all| picked(all, rows)),
            truth: self.truth.as_ref().map(|all| picked(all, rows)),
            origin: self.origin,
        })
    }

    /// Returns the number of columns of an input; `None` if it is not known of these answers.
    fn width(&self, input: Input) -> Option<usize> {
        match input {
            Input::Softmax => self.told.as_ref().map(|_| self.classes),
            Input::Embedding => self.embeddings.as_ref().map(|all| all.width),
            Input::Label => Some(1),
            Input::Entropy | Input::Margin => self.told.as_ref().map(|_| 1),
            Input::Properties => self.properties.as_ref().map(|_| PROPERTIES.len()),
            Input::Error => self.truth.as_ref().map(|_| 1),
        }
    }

    fn length(&self, what: &'static str, found: usize) -> Error {
        Error::Length {
            what,
            found,
            expected: self.rows(),
        }
    }

    fn no_input(&self, input: Input) -> Error {
        let why = match self.origin {
            Origin::Pictures | Origin::Probabilities | Origin::Labels if input == Input::Error => {
                "the true classes of these pictures are not all known; they are where pictures lie in folders that are \
                 called like the classes, and in prepared data"
            }
            Origin::Pictures => {
                "a network from an ONNX file does not say what enters its last layer"
            }
            Origin::Probabilities => "only the probabilities of these answers are known",
            Origin::Labels => "only the likeliest class of these answers is known",
        };
        Error::NoInput { input, why }
    }
}

impl Told {
    fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        let all = &self.probabilities;
        let values = rows.iter().flat_map(|row| all.row(*row)).copied();
        let probabilities = Sample::new(values.collect(), all.width());
        Ok(Self {
            probabilities: probabilities.map_err(numbers(Input::Softmax))?,
            uncertainty: picked(&self.uncertainty, rows),
        })
    }
}

fn require_classes(labels: &[u32], classes: usize) -> Result<(), Error> {
    let is_no_class = |label: &u32| classes <= *label as usize;
    match labels.iter().position(is_no_class) {
        Some(row) => Err(Error::Label {
            row,
            label: labels[row],
            classes,
        }),
        None => Ok(()),
    }
}

/// Returns a closure for `map_err` that says which input has these numbers.
fn numbers(input: Input) -> impl Fn(drift::Error) -> Error {
    move |source| Error::Numbers { input, source }
}

fn likeliest(probabilities: &[f64]) -> u32 {
    let mut best = 0;
    for (class, probability) in probabilities.iter().enumerate() {
        if probabilities[best] < *probability {
            best = class;
        }
    }
    best as u32
}

fn picked<T: Copy>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|row| all[*row]).collect()
}

mod joined;
#[cfg(test)]
mod tests;
