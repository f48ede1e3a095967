//! The last predictions, joined with what people said about them. Pure. Imports: `predictions::*`.

use std::collections::BTreeMap;

use super::folder::Segment;
use super::reader::{Key, key};
use super::record::{Feedback, Prediction};

/// A prediction and the last thing that was said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Where it stands; its picture stands beside.
    pub segment: Segment,
    /// The prediction.
    pub prediction: Prediction,
    /// What the picture shows, if anybody said so.
    pub feedback: Option<Feedback>,
}

impl Labelled {
    /// Was the model right? `None` if nobody said.
    #[must_use]
    pub fn is_right(&self) -> Option<bool> {
        let feedback = self.feedback.as_ref()?;
        Some(feedback.label == self.prediction.label)
    }
}

/// How often the model was right, of those predictions that somebody judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Right ones.
    pub right: usize,
    /// Judged ones.
    pub judged: usize,
}

impl Accuracy {
    /// Returns the share of the right ones; none if none was judged.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        (0 < self.judged).then(|| self.right as f64 / self.judged as f64)
    }
}

/// How many predictions have which confidence, by what people said about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confidence {
    /// Those that are right, one count for each part of 0..=1.
    pub right: Vec<u64>,
    /// Those that are wrong.
    pub wrong: Vec<u64>,
    /// Those that nobody judged.
    pub not_judged: Vec<u64>,
}

/// The last predictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Newest first.
    pub predictions: Vec<Labelled>,
    /// Are there older ones?
    pub is_cut: bool,
    /// Lines that are no records: torn by a kill, or of a later version.
    pub unreadable: usize,
}

impl Window {
    /// Returns how often each class was predicted, the most frequent first.
    #[must_use]
    pub fn class_mix(&self) -> Vec<(&str, usize)> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for labelled in &self.predictions {
            *counts.entry(&labelled.prediction.label).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        // Stable: equal ones in the order of their names.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// Returns how many predictions have a confidence in each of `bins` equal parts of 0..=1.
    #[must_use]
    pub fn confidence(&self, bins: usize) -> Confidence {
        let bins = bins.max(1);
        let empty = || vec![0; bins];
        let mut counts = Confidence {
            right: empty(),
            wrong: empty(),
            not_judged: empty(),
        };
        for labelled in &self.predictions {
            let confidence = f64::from(labelled.prediction.confidence.clamp(0.0, 1.0));
            let bin = ((confidence * bins as f64) as usize).min(bins - 1);
            let kind = match labelled.is_right() {
                Some(true) => &mut counts.right,
                Some(false) => &mut counts.wrong,
                None => &mut counts.not_judged,
            };
            kind[bin] += 1;
        }
        counts
    }

    /// Returns how often the model was right.
    #[must_use]
    pub fn accuracy(&self) -> Accuracy {
        let mut accuracy = Accuracy::default();
        for is_right in self.predictions.iter().filter_map(Labelled::is_right) {
            accuracy.judged += 1;
            accuracy.right += usize::from(is_right);
        }
        accuracy
    }
}

/// Keeps the latest word about each picture.
pub(super) fn keep_latest(kept: &mut BTreeMap<Key, Feedback>, feedback: Feedback) {
    let kept = kept.entry(key(&feedback));
    let kept = kept.or_insert_with(|| feedback.clone());
    if kept.ts < feedback.ts {
        *kept = feedback;
    }
}

/// A window that is put together from records, the newest first.
pub(super) struct Joining {
    most: usize,
    window: Window,
    feedback: BTreeMap<Key, Feedback>,
}

impl Joining {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            window: Window::default(),
            feedback: BTreeMap::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.most <= self.window.predictions.len()
    }

    /// There are older ones.
    pub(super) fn cut(&mut self) {
        self.window.is_cut = true;
    }

    pub(super) fn unreadable(&mut self) {
        self.window.unreadable += 1;
    }

    pub(super) fn prediction(&mut self, segment: &Segment, prediction: Prediction) {
        self.window.predictions.push(Labelled {
            segment: segment.clone(),
            prediction,
            feedback: None,
        });
    }

    pub(super) fn feedback(&mut self, feedback: Feedback) {
        keep_latest(&mut self.feedback, feedback);
    }

    pub(super) fn finish(self) -> Window {
        let Self {
            mut window,
            feedback,
            ..
        } = self;
        // Segments of several writers overlap.
        let newest_first = |l: &Labelled| std::cmp::Reverse(l.prediction.ts);
        window.predictions.sort_by_key(newest_first);
        for labelled in &mut window.predictions {
            let prediction = &labelled.prediction;
            let key = (prediction.request_id.clone(), prediction.index);
            labelled.feedback = feedback.get(&key).cloned();
        }
        window
    }
}
