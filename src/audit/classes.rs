//! Findings about classes: folders without pictures, classes that a split lacks, imbalance. Pure.
//! Imports: base, vision, `audit::{finding, params}`.

use crate::base::units;
use crate::vision::dataset::{ClassCounts, Split, Survey};

use super::finding::{Check, Finding, Item};
use super::params::AuditParams;

/// Looks at the folders that were found and at the usable pictures of each class.
pub(super) fn findings(
    survey: &Survey,
    counts: &ClassCounts,
    params: &AuditParams,
) -> Vec<Finding> {
    let classes = &survey.dataset.classes;
    let empty = survey.empty.iter().map(|folder| Item {
        path: Some(folder.clone()),
        detail: "no picture".to_owned(),
        ..Item::default()
    });
    let unknown = survey.unknown.iter().map(|(split, class)| Item {
        split: Some(*split),
        class: Some(class.clone()),
        detail: "not in train".to_owned(),
        ..Item::default()
    });
    [
        Finding::new(
            Check::EmptyClasses,
            "class folders without a picture",
            "add pictures, or remove the folders: `cvops preprocess` refuses them",
            empty.collect(),
        ),
        Finding::new(
            Check::UnknownClasses,
            "classes of val or test that train does not have",
            "add training pictures, or remove the folders: `cvops preprocess` refuses them",
            unknown.collect(),
        ),
        Finding::new(
            Check::MissingClasses,
            "classes without a usable picture in a split",
            "add pictures: nothing can be said of a class that is not tested",
            missing(survey, counts),
        ),
        Finding::new(
            Check::Imbalance,
            "classes with far fewer training pictures than the largest",
            "add pictures, or judge by figures per class: accuracy hides small classes",
            imbalance(classes, counts, params.imbalance_max),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Classes that have picture files, but no usable one in a split that has some.
fn missing(survey: &Survey, counts: &ClassCounts) -> Vec<Item> {
    // Whatever became of the files: all may be broken or left out.
    let mut has_files = vec![false; survey.dataset.classes.len()];
    for image in &survey.dataset.images {
        has_files[image.label as usize] = true;
    }
    let is_told = |split: Split, class: &String| {
        // `UnknownClasses` says so.
        split == Split::Train && survey.unknown.iter().any(|(_, unknown)| unknown == class)
    };
    let mut items = Vec::new();
    for split in Split::ALL {
        if counts.total(split) == 0 {
            continue;
        }
        for (class, name) in survey.dataset.classes.iter().enumerate() {
            if counts.of(split)[class] == 0 && has_files[class] && !is_told(split, name) {
                items.push(Item {
                    split: Some(split),
                    class: Some(name.clone()),
                    detail: "no usable picture".to_owned(),
                    ..Item::default()
                });
            }
        }
    }
    items
}

fn imbalance(classes: &[String], counts: &ClassCounts, most: f64) -> Vec<Item> {
    let largest = classes
        .iter()
        .zip(&counts.train)
        .rev()
        .max_by_key(|(_, count)| **count);
    let Some((name, &largest)) = largest else {
        return Vec::new();
    };
    let mut small: Vec<(usize, &String)> = counts
        .train
        .iter()
        .copied()
        .zip(classes)
        .filter(|(count, _)| *count != 0 && most * (*count as f64) < largest as f64)
        .collect();
    small.sort_unstable();
    small
        .into_iter()
        .map(|(count, class)| Item {
            split: Some(Split::Train),
            class: Some(class.clone()),
            detail: format!(
                "{}, `{name}` has {largest} ({:.1} times as many)",
                units::count(count, "picture"),
                largest as f64 / count as f64
            ),
            ..Item::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::drawn::params;
    use crate::vision::dataset::{Dataset, ImageFile};

    #[test]
    fn classes_are_counted_where_they_should_be() {
        // `d` has no file, and the one of `e` is no picture.
        let images = [0, 1, 2, 4].map(|label| ImageFile {
            path: format!("{label}.png"),
            label,
            given: None,
        });
        let survey = Survey {
            dataset: Dataset {
                classes: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
                images: images.to_vec(),
                given: vec![],
                skipped: vec![],
            },
            empty: vec!["train/d".to_owned()],
            unknown: vec![(Split::Test, "c".to_owned())],
        };
        let counts = ClassCounts {
            train: vec![230, 20, 0, 0, 0],
            val: vec![0; 5],
            test: vec![9, 0, 5, 0, 0],
        };
        let found = findings(&survey, &counts, &params());
        let shown: Vec<String> = found
            .iter()
            .flat_map(|f| f.items.iter().map(move |item| (f.check.id(), item)))
            .map(|(id, item)| {
                let split = item.split.map_or("-", Split::name);
                let class = item.class.as_deref().unwrap_or("-");
                format!("{id} {split} {class} {}", item.detail)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "empty-classes - - no picture",
                "unknown-classes test c not in train",
                "missing-classes train e no usable picture",
                "missing-classes test b no usable picture",
                "missing-classes test e no usable picture",
                "imbalance train b 20 pictures, `a` has 230 (11.5 times as many)",
            ]
        );
    }
}
