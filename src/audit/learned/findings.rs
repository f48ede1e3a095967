//! What was learnt, as findings: doubtful labels, shortcuts, weak segments with their pictures.
//! Imports: `audit::{finding, learned, outliers, segments}`.

use super::super::finding::{Check, Finding, Item};
use super::super::outliers::short;
use super::super::segments::{Mistake, Segment};
use super::{Judge, Learned};

impl Learned {
    /// Returns what is wrong by it, as findings.
    #[must_use]
    pub fn findings(&self, classes: &[String]) -> Vec<Finding> {
        let name = |class: u32| classes.get(class as usize).cloned().unwrap_or_default();
        let labels = self.labels.iter().flat_map(|labels| &labels.suspects);
        let labels = labels.map(|label| Item {
            path: Some(label.path.clone()),
            split: Some(label.split),
            class: Some(name(label.given)),
            detail: format!(
                "rather `{}` ({:.2}) than `{}` ({:.2})",
                name(label.suggested),
                label.suggested_probability,
                name(label.given),
                label.given_probability
            ),
            row: Some(label.row),
            ..Item::default()
        });
        let shortcuts = self.shortcuts.iter().filter(|shortcut| shortcut.alarm);
        let shortcuts = shortcuts.map(|shortcut| Item {
            class: shortcut.class.map(name),
            detail: format!(
                "`{}` alone tells {}: balanced accuracy {:.2}, by chance {:.2}",
                shortcut.property,
                match shortcut.class {
                    Some(class) => format!("`{}` from the rest", name(class)),
                    None => "all classes from each other".to_owned(),
                },
                shortcut.balanced_accuracy,
                shortcut.chance
            ),
            ..Item::default()
        });
        let segments = self.segments.iter().map(|found| segment(found, &name));
        let judge = match self.judge {
            Some(Judge::Model) => "kinds of pictures on which the model is weak",
            Some(Judge::Probe) | None => "kinds of pictures on which a simple classifier is weak",
        };
        [
            Finding::new(
                Check::LabelErrors,
                "labels that a classifier which has not seen them contradicts",
                "look at them, the first are the surest: correct the labels, or leave the pictures out",
                labels.collect(),
            ),
            Finding::new(
                Check::Shortcuts,
                "classes can be told by a single property of the pictures",
                "take pictures of all classes under the same conditions, or be sure that the property \
                 belongs to the class",
                shortcuts.collect(),
            ),
            Finding::new(
                Check::WeakSegments,
                judge,
                "add pictures of this kind, or augment towards it",
                segments.collect(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Says what is weak, and which pictures show it.
fn segment(segment: &Segment, name: &dyn Fn(u32) -> String) -> Item {
    Item {
        class: segment.class.map(name),
        detail: format!(
            "`{}` from {} to {}: {:.0} % of {} pictures right, {:.0} % of the rest",
            segment.property,
            short(segment.from),
            short(segment.to),
            100.0 * segment.accuracy,
            segment.support,
            100.0 * segment.rest_accuracy
        ),
        pictures: segment
            .mistakes
            .iter()
            .map(|wrong| mistake(wrong, name))
            .collect(),
        ..Item::default()
    }
}

fn mistake(mistake: &Mistake, name: &dyn Fn(u32) -> String) -> Item {
    Item {
        path: Some(mistake.path.clone()),
        split: Some(mistake.split),
        class: Some(name(mistake.given)),
        detail: format!(
            "taken for `{}` ({:.2}), `{}` {:.2}",
            name(mistake.taken),
            mistake.taken_probability,
            name(mistake.given),
            mistake.given_probability
        ),
        row: Some(mistake.row),
        ..Item::default()
    }
}
