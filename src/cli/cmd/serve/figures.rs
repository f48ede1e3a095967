//! How well a model did, as a server tells it: the few figures that say the most. Imports: serve, track.

use crate::serve::Figures;
use crate::track::Key;
use crate::track::overview::headings;

/// Figures that are told of a version, at most.
const FIGURES_MAX: usize = 20;
/// The one that is told in any case.
const ACCURACY: &str = "accuracy";

/// Chooses among `numbers`: the accuracy first, top keys (`log_loss`) before nested ones
/// (`per_class.bag.f1`), else in their order.
pub(super) fn figures(mut numbers: Vec<(Key, f64)>) -> Figures {
    numbers.retain(|(_, value)| value.is_finite());
    // A stable sort: within a rank the order stays.
    numbers.sort_by_key(|(key, _)| (key.key != ACCURACY, key.key.contains('.')));
    numbers.truncate(FIGURES_MAX);
    let (keys, values): (Vec<Key>, Vec<f64>) = numbers.into_iter().unzip();
    headings(&keys).into_iter().zip(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accuracy_is_always_among_them() {
        let mut numbers: Vec<(Key, f64)> = vec![(Key::new("m.json", "per_class.bag.f1"), 0.5)];
        numbers.push((Key::new("m.json", "bad"), f64::NAN));
        for i in 0..FIGURES_MAX {
            numbers.push((Key::new("m.json", format!("count_{i}")), 1.0));
        }
        numbers.push((Key::new("m.json", "accuracy"), 0.9));
        let chosen = figures(numbers);
        assert_eq!(chosen.len(), FIGURES_MAX);
        assert_eq!(chosen[0], ("accuracy".to_owned(), 0.9));
        assert_eq!(chosen[1].0, "count_0");
    }

    #[test]
    fn names_of_two_files_are_told_apart() {
        let numbers = vec![
            (Key::new("b.json", "loss"), 1.0),
            (Key::new("a.json", "accuracy"), 0.5),
            (Key::new("b.json", "accuracy"), 0.25),
        ];
        let chosen = figures(numbers);
        let names: Vec<&str> = chosen.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.json:accuracy", "b.json:accuracy", "loss"]);
    }
}
