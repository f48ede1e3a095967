//! The last answers by their request's id, for feedback that follows soon. Pure. Imports: base.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::ContentHash;

/// Pictures that are remembered; of earlier ones the files tell.
const PICTURES_MAX: usize = 10_000;

/// What was answered about one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Which picture of the request.
    pub(super) index: u32,
    /// The class that was predicted.
    pub(super) label: String,
    /// The name of the model.
    pub(super) model: String,
    /// Its version.
    pub(super) version: String,
    /// The weights whose errors it tells of; `None` of an explanation, and where the files do not tell.
    pub(super) weights: Option<ContentHash>,
    /// Do the files tell that somebody judged it?
    pub(super) is_judged: bool,
}

/// What becomes of feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the log.
    Accepted,
    /// No such request is remembered.
    Unknown,
    /// The request has fewer pictures.
    NoPicture,
    /// The log cannot be written now.
    Unwritten,
}

/// Remembers answers, the last ones.
#[derive(Debug, Default)]
pub(super) struct Recent {
    by_id: BTreeMap<String, Request>,
    /// When which id was added, oldest first; an id that was added again stands there twice.
    order: VecDeque<(u64, String)>,
    added: u64,
    pictures: usize,
}

#[derive(Debug, Default)]
struct Request {
    added: u64,
    pictures: Vec<Known>,
    judged: BTreeSet<u32>,
}

impl Recent {
    /// Remembers a request; the oldest ones are forgotten.
    pub(super) fn add(&mut self, id: &str, pictures: Vec<Known>) {
        self.added += 1;
        self.pictures += pictures.len();
        let request = Request {
            added: self.added,
            pictures,
            judged: BTreeSet::new(),
        };
        self.order.push_back((self.added, id.to_owned()));
        // A client may use an id again.
        if let Some(earlier) = self.by_id.insert(id.to_owned(), request) {
            self.pictures -= earlier.pictures.len();
        }
        while (PICTURES_MAX < self.pictures || 2 * PICTURES_MAX < self.order.len())
            && let Some((added, oldest)) = self.order.pop_front()
        {
            let is_latest = |request: &Request| request.added == added;
            if self.by_id.get(&oldest).is_some_and(is_latest) {
                let gone = self.by_id.remove(&oldest);
                self.pictures -= gone.map_or(0, |request| request.pictures.len());
            }
        }
    }

    /// Returns what was answered about a picture.
    pub(super) fn find(&self, id: &str, index: u32) -> Result<Known, Verdict> {
        let request = self.by_id.get(id).ok_or(Verdict::Unknown)?;
        let found = request.pictures.iter().find(|known| known.index == index);
        found.cloned().ok_or(Verdict::NoPicture)
    }

    /// Notes that somebody judged a picture; returns whether it is the first time.
    pub(super) fn judge(&mut self, id: &str, index: u32) -> bool {
        let request = self.by_id.get_mut(id);
        request.is_none_or(|request| request.judged.insert(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(index: u32) -> Known {
        Known {
            index,
            label: "a".to_owned(),
            model: "m".to_owned(),
            version: "1".to_owned(),
            weights: None,
            is_judged: false,
        }
    }

    #[test]
    fn the_oldest_are_forgotten_and_a_second_word_is_known() {
        let mut recent = Recent::default();
        for i in 0..PICTURES_MAX + 3 {
            recent.add(&format!("r{i}"), vec![known(0)]);
        }
        assert_eq!(recent.find("r2", 0), Err(Verdict::Unknown));
        assert_eq!(recent.find("r3", 0), Ok(known(0)));
        assert_eq!(recent.find("r3", 1), Err(Verdict::NoPicture));
        assert!(recent.judge("r3", 0) && !recent.judge("r3", 0));
        recent.add("r3", vec![known(0), known(1)]);
        assert!(recent.find("r3", 1).is_ok() && recent.judge("r3", 0));
        assert!(recent.pictures <= PICTURES_MAX);
        for _ in 0..3 * PICTURES_MAX {
            recent.add("again", vec![known(0)]);
        }
        assert!(recent.order.len() <= 2 * PICTURES_MAX);
        assert!(recent.find("again", 0).is_ok());
    }
}
