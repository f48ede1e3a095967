//! How single features are spread in both sets, on the page: probabilities of classes, how sure the answers
//! are, properties of pictures. Imports: report, drift, `detect::{checked, features, kind, rows, tables}`.

use crate::drift::univariate::effect::normed_wasserstein;
use crate::drift::univariate::{Column, Pooled};
use crate::drift::{self, Sample};
use crate::report::chart::Spread;
use crate::report::page::{Block, Chart, Section};

use super::super::checked::{Checked, Detected, FeatureResult};
use super::super::features::Input;
use super::super::kind::TestKind;
use super::super::rows;
use super::super::tables::{number, probability};
use super::{Illustration, shortened};

/// Classes whose probabilities are drawn.
const CLASSES_SHOWN: usize = 6;
/// Steps of a distribution function.
const STEPS: usize = 100;
/// Intervals of a property.
const INTERVALS: usize = 24;
/// Rows of which effects are computed that no detector did.
const ROWS_MAX: usize = 2000;

/// Returns distribution functions of what the model answers.
pub(super) fn answers(checked: &Checked, about: Illustration<'_>) -> Option<Section> {
    let mut charts = Vec::new();
    if let Some(compared) = Compared::of(Input::Softmax, checked, about) {
        let named = |one: &Moved<'_>| {
            let class = shortened(&compared.names[one.column]);
            compared.cumulative(one, &format!("probability of {class}"), "probability")
        };
        charts.extend(compared.moved.iter().filter_map(named).take(CLASSES_SHOWN));
    }
    for (input, title, axis) in [
        (Input::Entropy, "how unsure", "entropy (nats)"),
        (
            Input::Margin,
            "how close a call",
            "probability of the likeliest class less the next",
        ),
    ] {
        let compared = Compared::of(input, checked, about);
        charts.extend(compared.and_then(|compared| {
            let first = compared.moved.first()?;
            compared.cumulative(first, title, axis)
        }));
    }
    let text = "The share of pictures up to each value: where the curves lie apart, the answers moved. Of the \
                classes those that moved most.";
    section("What the model answers", text, charts)
}

/// Returns a chart of each property that varies, those that drifted first.
pub(super) fn properties(checked: &Checked, about: Illustration<'_>) -> Option<Section> {
    let compared = Compared::of(Input::Properties, checked, about)?;
    let charts = compared.moved.iter().filter_map(|one| {
        let name = &compared.names[one.column];
        let chart = compared.spread(one, name, name).shares(INTERVALS)?;
        Some(Chart {
            svg: chart.svg(),
            caption: one.in_words(),
        })
    });
    let text = "What can be said of the pictures without a model, as the model is shown them; what drifted most \
                comes first.";
    section("Properties of the pictures", text, charts.collect())
}

fn section(heading: &str, text: &str, charts: Vec<Chart>) -> Option<Section> {
    (!charts.is_empty()).then(|| Section {
        heading: heading.to_owned(),
        blocks: vec![Block::Prose(text.to_owned()), Block::Charts(charts)],
    })
}

/// An input in both sets.
struct Compared<'a> {
    names: Vec<String>,
    reference: &'a Sample,
    new: Sample,
    /// Its features, those that drifted first, and of those the ones with the largest effect.
    moved: Vec<Moved<'a>>,
}

/// A feature, and how far it moved.
struct Moved<'a> {
    column: usize,
    effect: f64,
    /// What a detector said of it.
    told: Option<&'a FeatureResult>,
}

impl<'a> Compared<'a> {
    /// `None` if one of the sets has no such input.
    fn of(input: Input, checked: &'a Checked, about: Illustration<'a>) -> Option<Self> {
        let reference = about.fitted.reference(input)?;
        let new = about.fitted.sample(input, about.new).ok()?;
        let names = about.fitted.names(input, about.new);
        let told = told(input, names.len(), checked);
        let mut moved: Vec<Moved<'a>> = match told {
            Some(features) => {
                let features = features.iter().enumerate();
                let one = |(column, feature): (usize, &'a FeatureResult)| Moved {
                    column,
                    // Infinite between two constants.
                    effect: feature.effect.unwrap_or(f64::INFINITY),
                    told: Some(feature),
                };
                features.map(one).collect()
            }
            None => {
                let effects = effects(reference, &new).ok()?.into_iter().enumerate();
                let one = |(column, effect)| Moved {
                    column,
                    effect,
                    told: None,
                };
                effects.map(one).collect()
            }
        };
        let drifted = |one: &Moved<'_>| one.told.is_some_and(|told| told.is_drift);
        moved.sort_by(|a, b| {
            let first = drifted(b).cmp(&drifted(a));
            first.then(b.effect.total_cmp(&a.effect))
        });
        Some(Self {
            names,
            reference,
            new,
            moved,
        })
    }

    fn spread(&self, one: &Moved<'_>, title: &str, x_title: &str) -> Spread {
        Spread {
            title: title.to_owned(),
            x_title: x_title.to_owned(),
            y_title: "share of the pictures".to_owned(),
            groups: vec![
                ("reference".to_owned(), self.reference.column(one.column)),
                ("new".to_owned(), self.new.column(one.column)),
            ],
        }
    }

    fn cumulative(&self, one: &Moved<'_>, title: &str, x_title: &str) -> Option<Chart> {
        let chart = self.spread(one, title, x_title).cumulative(STEPS)?;
        Some(Chart {
            svg: chart.svg(),
            caption: one.in_words(),
        })
    }
}

impl Moved<'_> {
    fn in_words(&self) -> String {
        let effect = if self.effect.is_finite() {
            format!("moved by {} standard deviations", number(self.effect))
        } else {
            "moved from one constant to another".to_owned()
        };
        match self.told {
            Some(told) if told.is_drift => {
                format!(
                    "Drift: {effect}, p {} after the correction.",
                    probability(told.adjusted)
                )
            }
            Some(told) => format!(
                "No drift: {effect}, p {} after the correction.",
                probability(told.adjusted)
            ),
            None => format!("Not tested by itself: {effect}."),
        }
    }
}

/// Returns what a detector says of each of the `width` features of `input`, if there is one that tests them one
/// by one.
fn told(input: Input, width: usize, checked: &Checked) -> Option<&[FeatureResult]> {
    // Those whose effects are standard deviations.
    let tests = [TestKind::Ks, TestKind::Cvm].map(TestKind::name);
    let all = checked.detectors.iter();
    let of_input = all.filter(|one| one.input == input && tests.contains(&one.test.as_str()));
    let measured = of_input.filter_map(Detected::measured);
    measured
        .map(|found| found.features.as_slice())
        .find(|features| features.len() == width)
}

/// Returns how far each feature moved, in standard deviations of the reference.
fn effects(reference: &Sample, new: &Sample) -> Result<Vec<f64>, drift::Error> {
    // Evenly spaced rows tell as much as all.
    let stride = new.rows().div_ceil(ROWS_MAX).max(1);
    let few: Vec<usize> = (0..new.rows()).step_by(stride).collect();
    let new = rows::pick(new, &few)?;
    (0..reference.width())
        .map(|column| {
            let old = Column::new(reference.column(column))?;
            let new = Column::new(new.column(column))?;
            Ok(normed_wasserstein(&Pooled::new(&old, &new)))
        })
        .collect()
}
