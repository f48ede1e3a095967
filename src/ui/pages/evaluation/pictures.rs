//! Which pictures of an evaluation are shown, in what order. Imports: mlflow (the words of a refusal),
//! `ui::asked`.

use super::judge::is_decided;
use super::predictions::Predictions;
use crate::mlflow::Refused;
use crate::ui::asked::Query;

/// Pictures on a page.
pub(super) const PAGE: usize = 60;

/// Which pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// What was taken for something else.
    Mistakes,
    /// What was told right.
    Right,
    /// Everything that is decided.
    All,
    /// What is below the threshold.
    Undecided,
}

impl Show {
    pub(super) const ALL: [(Self, &str, &str); 4] = [
        (Self::Mistakes, "mistakes", "mistakes"),
        (Self::Right, "right", "told right"),
        (Self::All, "all", "all"),
        (Self::Undecided, "undecided", "below the threshold"),
    ];
}

/// The order of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The most confident first: the worst of mistakes.
    Confident,
    /// The least confident first.
    Unsure,
}

impl Order {
    pub(super) const ALL: [(Self, &str, &str); 2] = [
        (Self::Confident, "confident", "most confident first"),
        (Self::Unsure, "unsure", "least confident first"),
    ];
}

/// What is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    /// Their class.
    pub(super) label: Option<u32>,
    /// What they were taken for.
    pub(super) predicted: Option<u32>,
    pub(super) show: Show,
    pub(super) order: Order,
    pub(super) threshold: f64,
    /// As it is asked for: it may be behind the last one.
    pub(super) page: usize,
}

impl Choice {
    /// Reads what a query chooses.
    ///
    /// # Errors
    /// It names a class that is none, or another word that is not known.
    pub(super) fn read(query: &Query, predictions: &Predictions) -> Result<Self, Refused> {
        let class = |name: &str| {
            let unknown = |text: &str| Refused::invalid(format!("`{name}={text}`: no such class"));
            let named = query.filled(name);
            named
                .map(|text| predictions.class(text).ok_or_else(|| unknown(text)))
                .transpose()
        };
        let (label, predicted) = (class("true")?, class("predicted")?);
        // A cell of the confusion matrix is opened to see what is in it.
        let default = if label.is_some() || predicted.is_some() {
            Show::All
        } else {
            Show::Mistakes
        };
        Ok(Self {
            label,
            predicted,
            show: word(query, "show", &Show::ALL, default)?,
            order: word(query, "order", &Order::ALL, Order::Confident)?,
            threshold: threshold(query)?,
            page: query.number("page", 1)?,
        })
    }

    /// Returns the rows that are chosen, in order.
    pub(super) fn rows(&self, predictions: &Predictions) -> Vec<usize> {
        let is_chosen = |row: &usize| {
            let said = &predictions.said[*row];
            let decided = is_decided(said, self.threshold);
            self.label.is_none_or(|label| said.label == label)
                && self
                    .predicted
                    .is_none_or(|predicted| said.predicted == predicted)
                && match self.show {
                    Show::Mistakes => decided && !said.is_right(),
                    Show::Right => decided && said.is_right(),
                    Show::All => decided,
                    Show::Undecided => !decided,
                }
        };
        let mut rows: Vec<usize> = (0..predictions.len()).filter(is_chosen).collect();
        let confidence = |row: usize| predictions.said[row].confidence;
        rows.sort_by(|a, b| match self.order {
            Order::Confident => confidence(*b).total_cmp(&confidence(*a)),
            Order::Unsure => confidence(*a).total_cmp(&confidence(*b)),
        });
        rows
    }
}

/// Reads the threshold of a query; 0 decides everything.
///
/// # Errors
/// It is none.
pub(super) fn threshold(query: &Query) -> Result<f64, Refused> {
    let threshold: f64 = query.number("threshold", 0.0)?;
    if (0.0..=1.0).contains(&threshold) {
        Ok(threshold)
    } else {
        Err(Refused::invalid(format!(
            "`threshold={threshold}`: a number from 0 to 1 was expected"
        )))
    }
}

/// Reads one of some words.
pub(super) fn word<T: Copy>(
    query: &Query,
    name: &str,
    words: &[(T, &str, &str)],
    default: T,
) -> Result<T, Refused> {
    let Some(text) = query.filled(name) else {
        return Ok(default);
    };
    let found = words.iter().find(|(_, word, _)| *word == text);
    found.map(|(value, ..)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(_, word, _)| *word).collect();
        let known = known.join("`, `");
        Refused::invalid(format!("`{name}={text}`: expected one of `{known}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(query: &[(&str, &str)]) -> Result<Vec<usize>, Refused> {
        let line = |label: &str, predicted: &str, confidence: f64| {
            format!(
                "{{\"label\":\"{label}\",\"predicted\":\"{predicted}\",\"confidence\":{confidence}}}\n"
            )
        };
        let text = [
            line("cat", "cat", 0.9),
            line("cat", "dog", 0.7),
            line("dog", "cat", 0.8),
            line("dog", "dog", 0.6),
        ]
        .concat();
        let predictions = Predictions::parse(text.as_bytes()).unwrap();
        let pairs = query
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let choice = Choice::read(&Query(pairs.collect()), &predictions)?;
        Ok(choice.rows(&predictions))
    }

    #[test]
    fn what_a_query_chooses() {
        for (query, expected) in [
            (&[][..], &[2, 1][..]),
            (&[("order", "unsure")], &[1, 2]),
            (&[("show", "all")], &[0, 2, 1, 3]),
            (&[("true", "cat")], &[0, 1]),
            (&[("true", "cat"), ("predicted", "dog")], &[1]),
            (&[("show", "right"), ("threshold", "0.7")], &[0]),
            (&[("show", "undecided"), ("threshold", "0.75")], &[1, 3]),
            (&[("true", "")], &[2, 1]),
        ] {
            assert_eq!(chosen(query).unwrap(), expected, "{query:?}");
        }
        for (query, problem) in [
            ([("true", "cow")], "`true=cow`: no such class"),
            (
                [("threshold", "2")],
                "`threshold=2`: a number from 0 to 1 was expected",
            ),
            (
                [("threshold", "NaN")],
                "`threshold=NaN`: a number from 0 to 1 was expected",
            ),
            (
                [("order", "x")],
                "`order=x`: expected one of `confident`, `unsure`",
            ),
        ] {
            assert_eq!(chosen(&query).unwrap_err().message, problem);
        }
    }
}
