//! Puts two sides beside each other, value by value. Pure. Imports: base, pipeline, values.

use std::collections::BTreeSet;

use crate::base::ArtifactPath;
use crate::base::doc::Value;
use crate::pipeline::spec::Direction;

use super::values::{FileValues, Values};

/// One key of one file on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The file.
    pub path: ArtifactPath,
    /// The key; empty for a file that is one value.
    pub key: String,
    /// The value on the old side, if it is there.
    pub old: Option<Value>,
    /// The value on the new side, if it is there.
    pub new: Option<Value>,
    /// New less old, if both are numbers. A whole number if both are.
    pub change: Option<Value>,
    /// What the change means.
    pub verdict: Verdict,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both sides say the same.
    Same,
    /// A number moved in its direction.
    Better,
    /// A number moved against its direction.
    Worse,
    /// Something else changed.
    Changed,
}

/// Returns every key of either side: files by path, keys in the order of the new side's file, then
/// those that only the old side has. `direction` says where a number improves, if that is known.
#[must_use]
pub fn rows(
    old: &Values,
    new: &Values,
    direction: &dyn Fn(&ArtifactPath, &str) -> Option<Direction>,
) -> Vec<Row> {
    let nothing = FileValues::new();
    let paths: BTreeSet<&ArtifactPath> = old.keys().chain(new.keys()).collect();
    let mut rows = Vec::new();
    for path in paths {
        let (before, after) = (
            old.get(path).unwrap_or(&nothing),
            new.get(path).unwrap_or(&nothing),
        );
        let gone = before.keys().filter(|key| !after.contains_key(*key));
        for key in after.keys().chain(gone) {
            let (old, new) = (before.get(key), after.get(key));
            let change = old.zip(new).and_then(|(old, new)| difference(old, new));
            rows.push(Row {
                path: path.clone(),
                key: key.clone(),
                old: old.cloned(),
                new: new.cloned(),
                verdict: judge(old, new, change.as_ref(), direction(path, key)),
                change,
            });
        }
    }
    rows
}

fn judge(
    old: Option<&Value>,
    new: Option<&Value>,
    change: Option<&Value>,
    direction: Option<Direction>,
) -> Verdict {
    let (Some(old), Some(new)) = (old, new) else {
        return Verdict::Changed;
    };
    let is_same = old.same(new) || matches!(change.and_then(Value::as_f64), Some(0.0));
    if is_same {
        return Verdict::Same;
    }
    match (change.and_then(Value::as_f64), direction) {
        (Some(change), Some(direction)) if change != 0.0 && !change.is_nan() => {
            let is_better = match direction {
                Direction::Max => 0.0 < change,
                Direction::Min => change < 0.0,
            };
            if is_better {
                Verdict::Better
            } else {
                Verdict::Worse
            }
        }
        _ => Verdict::Changed,
    }
}

/// Returns new less old, without the noise of binary fractions: 0.3 less 0.1 is 0.2.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    if let (Some(a), Some(b)) = (whole(old), whole(new)) {
        let change = b - a;
        return Some(match i64::try_from(change) {
            Ok(change) => Value::Int(change),
            Err(_) => Value::Float(change as f64),
        });
    }
    let (a, b) = (old.as_f64()?, new.as_f64()?);
    let change = b - a;
    if !change.is_finite() {
        return Some(Value::Float(change));
    }
    // No digit of the difference stands further right than one of the numbers. Beyond 17 digits
    // after the point, rounding is not worth its text.
    let digits = decimals(a).max(decimals(b));
    let rounded = match digits {
        0..=17 => format!("{change:.digits$}").parse().unwrap_or(change),
        _ => change,
    };
    // Numbers of very different size: rounding must not lose the difference itself.
    let kept = if rounded == 0.0 && change != 0.0 {
        change
    } else {
        rounded
    };
    Some(Value::Float(kept + 0.0))
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(i) => Some(i128::from(*i)),
        Value::UInt(u) => Some(i128::from(*u)),
        _ => None,
    }
}

/// Returns how many digits stand behind the point when the number is written shortest.
fn decimals(x: f64) -> usize {
    let text = format!("{x}");
    text.split_once('.').map_or(0, |(_, digits)| digits.len())
}

/// Returns a value for people: texts as they are, numbers with at most `precision` digits behind
/// the point (all of them where it is `None`).
#[must_use]
pub fn show(value: Option<&Value>, precision: Option<usize>) -> String {
    match (value, precision) {
        (None, _) => "-".to_owned(),
        (Some(Value::Str(text)), _) => text.clone(),
        (Some(Value::Float(x)), Some(precision)) if x.is_finite() => rounded(*x, precision),
        (Some(Value::Float(x)), _) if x.is_nan() => "NaN".to_owned(),
        (Some(Value::Float(x)), _) if x.is_finite() && 1e15 <= x.abs() => format!("{x:e}"),
        (Some(Value::Float(x)), _) => format!("{x:?}"),
        (Some(other), _) => other.to_string(),
    }
}

/// A number that would be rounded away keeps two digits of its own.
fn rounded(x: f64, precision: usize) -> String {
    if 1e15 <= x.abs() {
        return format!("{x:e}");
    }
    let text = format!("{x:.precision$}");
    match text.parse::<f64>() {
        Ok(0.0) if x != 0.0 => format!("{x:.1e}"),
        Ok(short) => format!("{short:?}"),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Value {
        use crate::base::doc::{Document, Format};
        let document = Document::parse("v", text.to_owned(), Format::Yaml);
        document.unwrap().root
    }

    fn side(files: &[(&str, &[(&str, &str)])]) -> Values {
        let mut values = Values::new();
        for (path, keys) in files {
            let keys = keys.iter().map(|(k, v)| ((*k).to_owned(), value(v)));
            values.insert(path.parse().unwrap(), keys.collect());
        }
        values
    }

    #[test]
    fn files_by_path_keys_as_they_stand() {
        let old = side(&[
            (
                "m.json",
                &[("gone", "1"), ("loss", "0.3"), ("acc", "0.859")],
            ),
            ("a.json", &[("x", "text")]),
        ]);
        let new = side(&[("m.json", &[("loss", "0.1"), ("acc", "0.88"), ("new", "2")])]);
        let shown: Vec<_> = rows(&old, &new, &|_, key| Some(Direction::of_name(key)))
            .iter()
            .map(|r| {
                let (old, new) = (show(r.old.as_ref(), None), show(r.new.as_ref(), None));
                let change = show(r.change.as_ref(), None);
                format!("{} {} {old} {new} {change} {:?}", r.path, r.key, r.verdict)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a.json x text - - Changed",
                "m.json loss 0.3 0.1 -0.2 Better",
                "m.json acc 0.859 0.88 0.021 Better",
                "m.json new - 2 - Changed",
                "m.json gone 1 - - Changed",
            ]
        );
    }

    #[test]
    fn differences_have_no_noise() {
        for (old, new, change) in [
            ("0.6697", "0.2767", "-0.393"),
            ("1", "3", "2"),
            ("1", "1.5", "0.5"),
            (
                "-9223372036854775808",
                "9223372036854775807",
                "1.8446744073709552e19",
            ),
            ("1e-300", "2e-300", "1e-300"),
            ("1e17", "0.1", "-1e17"),
            (".inf", "1", "-.inf"),
            ("0.1", "0.1", "0.0"),
        ] {
            let found = difference(&value(old), &value(new)).unwrap();
            assert!(found.same(&value(change)), "{old} -> {new}: {found}");
        }
        assert_eq!(difference(&value("true"), &value("1")), None);
        assert_eq!(difference(&value("a"), &value("b")), None);
    }

    #[test]
    fn numbers_are_rounded_for_people() {
        let shown = |x: &str| show(Some(&value(x)), Some(5));
        assert_eq!(shown("0.123456789"), "0.12346");
        assert_eq!(shown("0.5"), "0.5");
        assert_eq!(shown("1.0"), "1.0");
        assert_eq!(shown("0.0000001"), "1.0e-7");
        assert_eq!(shown("12345678"), "12345678");
        assert_eq!(shown("1e300"), "1e300");
        assert_eq!(shown(".nan"), "NaN");
        assert_eq!(shown("[1, a]"), "[1, \"a\"]");
        assert_eq!(show(None, None), "-");
    }

    fn any_side() -> impl Strategy<Value = Values> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            "[a-c]{1,2}".prop_map(Value::Str),
        ];
        let keys = proptest::collection::vec(("[a-d]", leaf), 0..5)
            .prop_map(|items| items.into_iter().collect::<FileValues>());
        proptest::collection::btree_map("[xyz]".prop_map(|p| p.parse().unwrap()), keys, 0..3)
    }

    proptest! {
        #[test]
        fn a_side_is_the_same_as_itself(side in any_side()) {
            let rows = rows(&side, &side, &|_, _| Some(Direction::Max));
            prop_assert!(rows.iter().all(|r| r.verdict == Verdict::Same));
        }

        #[test]
        fn every_key_has_one_row_and_turning_round_turns_verdicts(old in any_side(), new in any_side()) {
            let direction = |_: &ArtifactPath, _: &str| Some(Direction::Max);
            let (there, back) = (rows(&old, &new, &direction), rows(&new, &old, &direction));
            prop_assert_eq!(there.len(), back.len());
            let count: usize = old.keys().chain(new.keys()).collect::<BTreeSet<_>>().iter().map(|p| {
                let keys = [&old, &new].into_iter().filter_map(|s| s.get(*p)).flat_map(|f| f.keys());
                keys.collect::<BTreeSet<_>>().len()
            }).sum();
            prop_assert_eq!(there.len(), count);
            for row in &there {
                let other = back.iter().find(|r| r.path == row.path && r.key == row.key).unwrap();
                let turned = match row.verdict {
                    Verdict::Better => Verdict::Worse,
                    Verdict::Worse => Verdict::Better,
                    same => same,
                };
                prop_assert_eq!(other.verdict, turned);
            }
        }
    }
}
