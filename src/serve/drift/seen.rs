//! What a detector may know of a picture that was answered, and what it wants to know.
//! Imports: base, detect, `vision::{image`, predict}.

use crate::base::ContentHash;
use crate::detect::features::{Features, Input};
use crate::vision::image::PROPERTIES;
use crate::vision::predict::Embeddings;

/// What is known of an answered picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// One per class, sum 1.
    pub(super) probabilities: Vec<f32>,
    /// What entered the last layer of the network, if somebody wants to know.
    pub(super) embedding: Option<Vec<f32>>,
    /// `vision::image::properties` of the picture as the network saw it, if somebody wants to know.
    pub(super) properties: Option<[f64; PROPERTIES.len()]>,
}

/// Something that detectors look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    /// A picture was answered.
    Answer(Answer),
    /// Somebody said whether an earlier answer was right.
    Feedback { correct: bool },
}

/// Something seen, and of whom.
pub(super) struct Tapped {
    /// Position of the model among those that are served.
    pub(super) served: usize,
    /// Of the network that answered.
    pub(super) weights: ContentHash,
    pub(super) seen: Seen,
}

/// What is to be found out about a picture beside its probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Wants {
    /// What enters the last layer of the network.
    pub(in crate::serve) embedding: bool,
    /// `vision::image::properties`.
    pub(in crate::serve) properties: bool,
}

impl Wants {
    /// Returns what detectors of these inputs want to know.
    pub(super) fn of(inputs: impl IntoIterator<Item = Input>) -> Self {
        let mut wants = Self::default();
        for input in inputs {
            match input {
                Input::Embedding => wants.embedding = true,
                Input::Properties => wants.properties = true,
                // Of errors, feedback tells.
                Input::Softmax | Input::Label | Input::Entropy | Input::Margin | Input::Error => {}
            }
        }
        wants
    }

    /// Is all found out that a detector of this input looks at? No answer says whether it is right.
    pub(super) fn include(self, input: Input) -> bool {
        let needed = Self::of([input]);
        input != Input::Error
            && (self.embedding || !needed.embedding)
            && (self.properties || !needed.properties)
    }
}

impl Answer {
    /// Is all known that is wanted? Not of what was asked before somebody wanted it.
    pub(super) fn has(&self, wants: Wants) -> bool {
        (self.embedding.is_some() || !wants.embedding)
            && (self.properties.is_some() || !wants.properties)
    }

    /// Forgets what is not wanted.
    pub(super) fn only(self, wants: Wants) -> Self {
        Self {
            probabilities: self.probabilities,
            embedding: self.embedding.filter(|_| wants.embedding),
            properties: self.properties.filter(|_| wants.properties),
        }
    }

    /// Returns how much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let numbers = self.probabilities.len() + self.embedding.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + numbers * size_of::<f32>()
    }
}

/// Makes what detectors look at of answers: what is known of all of them.
///
/// # Errors
/// There are no answers, or some are no distributions.
pub(super) fn features<'a>(
    answers: impl IntoIterator<Item = &'a Answer>,
) -> Result<Features, String> {
    let answers: Vec<&Answer> = answers.into_iter().collect();
    let wide = |row: &[f32]| row.iter().map(|p| f64::from(*p)).collect();
    let rows: Vec<Vec<f64>> = answers.iter().map(|one| wide(&one.probabilities)).collect();
    let mut features = Features::of_probabilities(&rows).map_err(|e| e.to_string())?;
    let embedded = answers.iter().map(|one| one.embedding.as_deref());
    if let Some(rows) = embedded.collect::<Option<Vec<&[f32]>>>() {
        let width = rows.first().map_or(0, |row| row.len());
        let rows = rows.concat();
        let added = features.with_embeddings(Embeddings { rows, width });
        features = added.map_err(|e| e.to_string())?;
    }
    let measured = answers.iter().map(|one| one.properties);
    if let Some(properties) = measured.collect::<Option<Vec<_>>>() {
        let added = features.with_properties(properties);
        features = added.map_err(|e| e.to_string())?;
    }
    Ok(features)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::serve::drift) fn plain(probabilities: &[f32]) -> Answer {
        Answer {
            probabilities: probabilities.to_vec(),
            embedding: None,
            properties: None,
        }
    }

    #[test]
    fn features_are_those_that_all_answers_have() {
        let whole = Answer {
            embedding: Some(vec![1.0, 2.0, 3.0]),
            properties: Some([0.5; 8]),
            ..plain(&[0.25, 0.75])
        };
        let both = features([&whole, &whole]).unwrap();
        let embeddings = both.sample(Input::Embedding).unwrap();
        assert_eq!(
            (embeddings.rows(), embeddings.row(1)),
            (2, &[1.0, 2.0, 3.0][..])
        );
        assert_eq!(both.sample(Input::Properties).unwrap().row(0), [0.5; 8]);
        let one_lacks = features([&whole, &plain(&[0.5, 0.5])]).unwrap();
        assert!(!one_lacks.has(Input::Embedding) && !one_lacks.has(Input::Properties));
        assert!(one_lacks.has(Input::Softmax));
        assert!(features([]).is_err());
    }

    #[test]
    fn who_wants_nothing_keeps_nothing() {
        let wants = Wants::of([Input::Label, Input::Embedding]);
        let whole = Answer {
            embedding: Some(vec![1.0; 100]),
            properties: Some([0.0; 8]),
            ..plain(&[1.0])
        };
        assert!(wants.include(Input::Softmax) && wants.include(Input::Embedding));
        assert!(!wants.include(Input::Properties) && !wants.include(Input::Error));
        assert!(whole.has(wants) && !plain(&[1.0]).has(wants));
        assert!(plain(&[1.0]).has(Wants::of([Input::Softmax, Input::Margin])));
        assert!(400 < whole.bytes());
        let kept = whole.clone().only(wants);
        assert_eq!((kept.embedding.is_some(), kept.properties), (true, None));
        assert_eq!(whole.only(Wants::default()), plain(&[1.0]));
    }
}
