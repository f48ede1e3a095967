//! Findings about copies, and which pictures to leave out for them. Pure.
//! Imports: vision, `audit::{copies, finding, pictures, read}`.

use crate::vision::dataset::Split;

use super::copies::{Copies, Kin, Match};
use super::finding::{Check, Finding, Item};
use super::pictures::Pictures;
use super::read::Unusable;

/// What a picture is left out for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// The picture, relative to the dataset.
    pub path: String,
    /// The check that asks for it, and why.
    pub reason: String,
}

/// Says which pictures are copies. A picture that has an exact copy is not told of as a near one.
pub(super) fn findings(pictures: &Pictures, copies: &Copies) -> Vec<Finding> {
    let kinds: [Kind; 3] = [
        Kind {
            exact: Check::Leaks,
            near: Check::NearLeaks,
            title: "in an earlier split as well (train, val, test)",
            help: "figures on them flatter the model: take the copies out of training with `--write-exclude`",
            of: |kin| kin.earlier,
        },
        Kind {
            exact: Check::Conflicts,
            near: Check::NearConflicts,
            title: "there under another label as well",
            help: "correct the labels, or leave the exact ones out with `--write-exclude`; pictures that only look alike may both be right",
            of: |kin| kin.conflict,
        },
        Kind {
            exact: Check::Duplicates,
            near: Check::NearDuplicates,
            title: "there more than once in their split and class",
            help: "they count more than once: leave the exact ones out with `--write-exclude`, or keep them knowingly",
            of: |kin| kin.twin,
        },
    ];
    kinds
        .iter()
        .flat_map(|kind| {
            let rows = 0..pictures.rows.len();
            let (mut exact, mut near) = (Vec::new(), Vec::new());
            for row in rows {
                if let Some(found) = (kind.of)(&copies.exact[row]) {
                    exact.push(item(pictures, row, found));
                } else if let Some(found) = (kind.of)(&copies.near[row]) {
                    near.push(item(pictures, row, found));
                }
            }
            [
                Finding::new(
                    kind.exact,
                    format!("pictures that are {}", kind.title),
                    kind.help,
                    exact,
                ),
                Finding::new(
                    kind.near,
                    format!("pictures that are, nearly the same, {}", kind.title),
                    kind.help,
                    near,
                ),
            ]
        })
        .flatten()
        .collect()
}

/// A kind of copy.
struct Kind {
    exact: Check,
    near: Check,
    /// After "pictures that are".
    title: &'static str,
    help: &'static str,
    of: fn(&Kin) -> Option<Match>,
}

fn item(pictures: &Pictures, row: usize, found: Match) -> Item {
    Item {
        other: Some(pictures.place(found.row)),
        ..pictures.item(row, likeness(found))
    }
}

/// Says how much a copy is alike.
fn likeness(found: Match) -> String {
    let Some(likeness) = found.likeness else {
        return "the same picture".to_owned();
    };
    let difference = format!("differs by {:.1} % of its range", 100.0 * likeness.rmse);
    match likeness.correlation {
        Some(correlation) => format!("{difference}, correlation {correlation:.3}"),
        None => difference,
    }
}

/// Returns the pictures to leave out, sorted by path: files that are no pictures, all that have two
/// labels, those of an earlier split that a later one has as well, and in train and val exact copies
/// beyond the first. What leaks is never taken out of the test split, nor is a near copy that harms
/// nothing, nor pictures of two classes that only look alike: both may be right.
pub(super) fn remedies(pictures: &Pictures, unusable: &[Unusable], copies: &Copies) -> Vec<Remedy> {
    let mut remedies: Vec<Remedy> = unusable
        .iter()
        .map(|file| Remedy {
            path: file.path.clone(),
            reason: format!("{}: {}", Check::Corrupt.id(), file.reason),
        })
        .collect();
    for (row, picture) in pictures.rows.iter().enumerate() {
        let (exact, near) = (&copies.exact[row], &copies.near[row]);
        let twin = exact.twin.filter(|_| picture.split != Split::Test);
        let reasons = [
            (Check::Conflicts, exact.conflict),
            (Check::Leaks, exact.later),
            (Check::NearLeaks, near.later),
            (Check::Duplicates, twin),
        ];
        let first = reasons
            .into_iter()
            .find_map(|(check, found)| Some((check, found?)));
        if let Some((check, found)) = first {
            let same = match found.likeness {
                Some(_) => "nearly the same picture as",
                None => "the same picture as",
            };
            remedies.push(Remedy {
                path: picture.path.clone(),
                reason: format!("{}: {same} {}", check.id(), pictures.rows[found.row].path),
            });
        }
    }
    remedies.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    remedies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::copies::copies;
    use crate::audit::drawn::{Drawn, params, table};
    use crate::base::Cancel;

    fn found(drawn: &[Drawn]) -> (Vec<String>, Vec<String>) {
        let pictures = table(drawn);
        let copies = copies(&pictures, &params().near, &Cancel::new()).unwrap();
        let findings = findings(&pictures, &copies);
        let shown = findings.iter().flat_map(|f| {
            let items = f.items.iter();
            items.map(move |item| {
                let other = item.other.as_ref().unwrap();
                format!("{} {} {}", f.check.id(), item.row.unwrap(), other.row)
            })
        });
        let remedies = remedies(&pictures, &[], &copies);
        let left_out = remedies
            .iter()
            .map(|remedy| format!("{} {}", remedy.path, remedy.reason));
        (shown.collect(), left_out.collect())
    }

    #[test]
    fn test_keeps_what_leaks() {
        let (shown, left_out) = found(&[
            Drawn::new(1, Split::Train, 0),
            Drawn::new(1, Split::Train, 0),
            Drawn::new(2, Split::Val, 0).brighter(2),
            Drawn::new(1, Split::Test, 0),
            Drawn::new(2, Split::Test, 0),
            Drawn::new(2, Split::Test, 0),
        ]);
        assert_eq!(
            shown,
            [
                "leaks 3 0",
                "near-leaks 4 2",
                "near-leaks 5 2",
                "duplicates 1 0",
                "duplicates 5 4"
            ]
        );
        assert_eq!(
            left_out,
            [
                "00000.png leaks: the same picture as 00003.png",
                "00001.png leaks: the same picture as 00003.png",
                "00002.png near-leaks: nearly the same picture as 00004.png",
            ]
        );
    }

    #[test]
    fn nobody_with_two_labels_stays() {
        let (shown, left_out) = found(&[
            Drawn::new(1, Split::Train, 0),
            Drawn::new(1, Split::Train, 1),
            Drawn::new(2, Split::Train, 0),
            Drawn::new(2, Split::Train, 0),
        ]);
        assert_eq!(shown, ["conflicts 0 1", "conflicts 1 0", "duplicates 3 2"]);
        assert_eq!(
            left_out,
            [
                "00000.png conflicts: the same picture as 00001.png",
                "00001.png conflicts: the same picture as 00000.png",
                "00003.png duplicates: the same picture as 00002.png",
            ]
        );
    }
}
