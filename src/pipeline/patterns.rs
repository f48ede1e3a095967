//! Patterns in `deps` (`data/*.csv`), made the files that they match when the pipeline is read.
//!
//! What another stage writes counts as being there, so a pattern orders stages as a path does: an
//! output that it matches becomes a dep, and so does a folder output in which it could match
//! something, as a whole. From then on a stage has deps as any other has: a file that comes or goes
//! is a changed dependency. Imports: base, project, spec.

use std::collections::BTreeSet;

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::base::doc::{KeyPath, On, Problems};
use crate::base::{self, ArtifactPath, fs};
use crate::project::ignore::PathKind;
use crate::project::{Ignore, Project};

use super::spec::{Pipeline, StageSpec};

/// What patterns may match.
pub(super) struct Ground<'g> {
    pub(super) project: &'g Project,
    pub(super) ignore: &'g Ignore,
    /// Everything that stages write.
    pub(super) outs: &'g BTreeSet<ArtifactPath>,
    /// Everything that pointers track.
    pub(super) tracked: &'g BTreeSet<ArtifactPath>,
}

impl Ground<'_> {
    /// Replaces the patterns of all stages of `pipeline`.
    ///
    /// # Errors
    /// All patterns that cannot be read or match nothing; or a folder that cannot be read.
    pub(super) fn expand(&self, pipeline: &mut Pipeline) -> Result<(), base::Error> {
        let problems = Problems::new(&pipeline.document);
        for stage in &mut pipeline.stages {
            for (pattern, place) in std::mem::take(&mut stage.patterns) {
                let found = self.matches(stage, &pattern, &place, &problems)?;
                for path in found {
                    stage.deps.entry(path).or_insert_with(|| place.clone());
                }
            }
        }
        problems.into_result(())
    }

    fn matches(
        &self,
        stage: &StageSpec,
        pattern: &ArtifactPath,
        place: &KeyPath,
        problems: &Problems<'_>,
    ) -> Result<BTreeSet<ArtifactPath>, base::Error> {
        // A name may hold the characters of patterns itself.
        let is_known = self.outs.contains(pattern) || self.tracked.contains(pattern);
        if is_known || self.project.absolute(pattern).exists() {
            return Ok(BTreeSet::from([pattern.clone()]));
        }
        let matcher = match matcher(pattern.as_str()) {
            Ok(matcher) => matcher,
            Err(e) => {
                let headline = format!("`{pattern}` is no pattern: {}", e.kind());
                problems.report(place, On::Value, "bad-pattern", headline, "", None);
                return Ok(BTreeSet::new());
            }
        };
        let steps: Vec<&str> = pattern.as_str().split('/').collect();
        let fixed = steps.iter().take_while(|step| !is_pattern(step)).count();
        let folder = steps[..fixed].join("/");
        let holds = |out: &ArtifactPath| {
            let out: Vec<&str> = out.as_str().split('/').collect();
            could_hold(&steps, &out)
        };
        let is_match = |path: &ArtifactPath| matcher.is_match(path.as_str());
        let foreign = self.outs.iter();
        let written = foreign
            .filter(|out| !stage.outs.contains_key(*out))
            .filter(|out| is_match(out) || holds(out));
        // The files of a tracked folder are known once it is in the workspace.
        let is_away = |path: &ArtifactPath| !self.project.absolute(path).exists();
        let tracked = self
            .tracked
            .iter()
            .filter(|path| is_match(path) || (is_away(path) && holds(path)));
        let mut found: BTreeSet<ArtifactPath> = written.chain(tracked).cloned().collect();
        found.extend(self.files(&folder, &matcher)?);
        if found.is_empty() {
            let headline = format!("`{pattern}` matches no file");
            let help = if self.project.root.join(&folder).is_dir() {
                "`*` stays inside one folder, `**` goes through all below; ignored files are left out"
                    .to_owned()
            } else {
                format!("there is no folder `{folder}`")
            };
            problems.report(place, On::Value, "no-match", headline, "", Some(help));
        }
        Ok(found)
    }

    /// Returns the files below `folder` that match and that no stage writes.
    fn files(&self, folder: &str, matcher: &GlobMatcher) -> Result<Vec<ArtifactPath>, base::Error> {
        let root = self.project.root.join(folder);
        if !root.is_dir() {
            return Ok(Vec::new());
        }
        let whole = |relative: &str| ArtifactPath::parse_in(folder, relative);
        let keep = |relative: &str, is_dir: bool| {
            let kind = if is_dir {
                PathKind::Folder
            } else {
                PathKind::File
            };
            whole(relative).is_ok_and(|path| {
                !self.outs.contains(&path) && self.ignore.keeps(path.as_str(), kind)
            })
        };
        let entries = fs::walk(&root, &keep).map_err(|(path, source)| base::Error::Io {
            doing: "read",
            path,
            source,
        })?;
        let paths = entries
            .iter()
            .filter_map(|entry| whole(&entry.relative).ok());
        Ok(paths
            .filter(|path| matcher.is_match(path.as_str()))
            .collect())
    }
}

/// Has a path the characters of a pattern?
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn matcher(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    let glob: Glob = GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(false)
        .build()?;
    Ok(glob.compile_matcher())
}

/// Could something inside the folder `out` match? A pattern that begins with `**` is not said to: it
/// would wait for everything.
fn could_hold(pattern: &[&str], out: &[&str]) -> bool {
    if pattern.first() == Some(&"**") {
        return false;
    }
    let mut steps = out.iter();
    for step in pattern {
        if *step == "**" {
            return true;
        }
        let Some(name) = steps.next() else {
            return true;
        };
        if !matcher(step).is_ok_and(|matcher| matcher.is_match(name)) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_could_hold_matches_are_known() {
        for (pattern, out, expected) in [
            ("data/*.csv", "data", true),
            ("data/raw/*.csv", "data", true),
            ("data/*/part.csv", "data/a", true),
            ("data/*/part.csv", "data/a/b", false),
            ("data/x*/part.csv", "data/a", false),
            ("data/**/*.csv", "data/a/b", true),
            ("data/*.csv", "data/a.csv", false),
            ("data/*.csv", "models", false),
            ("**/*.py", "data", false),
        ] {
            let steps = |path: &'static str| path.split('/').collect::<Vec<_>>();
            assert_eq!(
                could_hold(&steps(pattern), &steps(out)),
                expected,
                "{pattern} {out}"
            );
        }
    }
}
