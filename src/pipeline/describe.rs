//! A stage in a few words: its `desc`, or what it writes and reads. Pure. Imports: base, spec.

use super::pointer::Pointer;
use super::spec::{OutKind, StageSpec};

/// Returns the first line of what the user says of the stage, or else what it writes, or else what it
/// reads.
#[must_use]
pub fn stage(stage: &StageSpec) -> String {
    if let Some(line) = stage.description.as_ref().and_then(|d| d.lines().next()) {
        return line.to_owned();
    }
    let base = stage.wdir.as_ref();
    let outs = |wanted: fn(OutKind) -> bool| {
        let outs = stage.outs.iter().filter(|(_, out)| wanted(out.kind));
        join(outs.map(|(path, _)| path.relative_to(base)))
    };
    let data = outs(|kind| kind == OutKind::Data);
    let shown = outs(|kind| kind != OutKind::Data);
    let deps = join(stage.reads().map(|path| path.relative_to(base)));
    match (data.is_empty(), shown.is_empty(), deps.is_empty()) {
        (false, true, _) => format!("Outputs {data}"),
        (true, false, _) => format!("Reports {shown}"),
        (false, false, _) => format!("Outputs {data}; Reports {shown}"),
        (true, true, false) => format!("Depends on {deps}"),
        (true, true, true) => "No outputs or dependencies".to_owned(),
    }
}

/// As `stage`, of a pointer.
#[must_use]
pub fn pointer(pointer: &Pointer) -> String {
    if let Some(line) = pointer.desc.as_ref().and_then(|d| d.lines().next()) {
        return line.to_owned();
    }
    let base = pointer.base.as_ref();
    let outs = pointer.outs.iter();
    format!(
        "Outputs {}",
        join(outs.map(|out| out.path.relative_to(base)))
    )
}

fn join(paths: impl Iterator<Item = String>) -> String {
    let mut paths: Vec<String> = paths.collect();
    paths.dedup();
    paths.join(", ")
}

/// Shortens a text to what fits into a column.
#[must_use]
pub fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(3)).collect();
    format!("{kept}...")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ArtifactPath;

    #[test]
    fn paths_are_shown_as_declared() {
        #[track_caller]
        fn check(path: &str, base: Option<&str>, expected: &str) {
            let path: ArtifactPath = path.parse().unwrap();
            let base: Option<ArtifactPath> = base.map(|b| b.parse().unwrap());
            assert_eq!(path.relative_to(base.as_ref()), expected);
        }
        check("a/b", None, "a/b");
        check("a/b", Some("a"), "b");
        check("a/b", Some("c"), "../a/b");
        check("a/b/c", Some("a/d/e"), "../../b/c");
        check("a", Some("a"), ".");
        check("a", Some("a/b"), "..");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("abcdefgh", 8), "abcdefgh");
        assert_eq!(cut("abcdefghi", 8), "abcde...");
    }
}
