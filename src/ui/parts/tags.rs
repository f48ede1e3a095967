//! Which tags the forms of pages write. Imports: mlflow.

use crate::mlflow::Refused;

/// Tags that people write although their names are programs': the note of a run, and the metric that
/// counts for a model.
const OF_PEOPLE: [&str; 2] = ["mlflow.note.content", "cvops.metric"];

/// Checks that a tag is one that people set and remove. Others tell what programs did, such as who
/// promoted which version: MLflow's API writes those.
///
/// # Errors
/// It is a program's.
pub(in crate::ui) fn check_tag_of_people(key: &str) -> Result<(), Refused> {
    match program_of(key) {
        Some(prefix) => Err(Refused::invalid(format!(
            "`{key}`: tags that begin with `{prefix}` are set by programs"
        ))),
        None => Ok(()),
    }
}

/// Is a tag one that people set and remove?
pub(in crate::ui) fn is_tag_of_people(key: &str) -> bool {
    program_of(key).is_none()
}

/// Returns how the tags of the program that a tag is of begin.
fn program_of(key: &str) -> Option<&'static str> {
    let mut programs = ["mlflow.", "cvops."].into_iter();
    let found = programs.find(|prefix| key.starts_with(prefix));
    found.filter(|_| !OF_PEOPLE.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::check_tag_of_people;

    #[test]
    fn tags_of_programs_are_not_written_by_forms() {
        for (key, is_fine) in [
            ("team", true),
            ("mlflow", true),
            ("mlflow.note.content", true),
            ("mlflow.user", false),
            ("cvops.promoted.champion", false),
            ("cvops.metric", true),
        ] {
            assert_eq!(check_tag_of_people(key).is_ok(), is_fine, "{key}");
        }
    }
}
