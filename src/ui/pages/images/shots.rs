//! The pictures of runs by key and step. Imports: track, `images::name`.

use std::collections::{BTreeMap, BTreeSet};

use super::name;
use crate::track::artifacts::{Walk, WalkBounds, path_of_uri};
use crate::track::{Artifacts, Error, Reader, RunId};

/// How much of the artifacts of a run is looked through.
const BOUNDS: WalkBounds = WalkBounds {
    files: 200_000,
    files_of_output: 2000,
};

/// Pictures whose names say no step stand at this one.
pub(super) const NO_STEP: i64 = i64::MIN;

/// A picture: where the whole of it is, and a smaller one if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shot {
    pub(super) full: String,
    pub(super) small: Option<String>,
    at_ms: i64,
}

/// The pictures of a key, by step.
pub(super) type Strip = BTreeMap<i64, Shot>;

/// The pictures of a run.
#[derive(Clone, Debug)]
pub(super) struct OfRun {
    pub(super) run: RunId,
    /// What it is called.
    pub(super) name: String,
    /// By key.
    pub(super) strips: BTreeMap<String, Strip>,
    /// What was not looked at.
    pub(super) notes: Vec<String>,
}

impl OfRun {
    /// Finds the pictures of a run.
    ///
    /// # Errors
    /// There is no such run.
    pub(super) fn read(
        reader: &Reader<'_>,
        artifacts: &Artifacts,
        run: RunId,
    ) -> Result<Self, Error> {
        let info = reader.run_info(run)?;
        let mut notes = Vec::new();
        let walk = match path_of_uri(&info.artifact_uri) {
            Some(root) => artifacts.walk(reader, root, BOUNDS)?,
            None => {
                notes.push(format!(
                    "The artifacts of {} are not kept by this server, but at {}.",
                    info.name, info.artifact_uri
                ));
                Walk {
                    is_whole: true,
                    ..Walk::default()
                }
            }
        };
        if !walk.is_whole {
            notes.push(format!(
                "Only the first {} files of {} were looked through.",
                BOUNDS.files, info.name
            ));
        }
        for path in &walk.passed_over {
            notes.push(format!(
                "{path} of {} has more than {} files: it is taken for data.",
                info.name, BOUNDS.files_of_output
            ));
        }
        Ok(Self {
            run,
            name: info.name,
            strips: strips(walk.files.into_iter().map(|(path, _)| path)),
            notes,
        })
    }
}

/// Sorts paths of files by key and step; files that are no pictures are left out.
fn strips(paths: impl Iterator<Item = String>) -> BTreeMap<String, Strip> {
    let mut strips: BTreeMap<String, Strip> = BTreeMap::new();
    let mut small = Vec::new();
    for path in paths {
        let Some(named) = name::read(&path) else {
            continue;
        };
        let step = named.step.unwrap_or(NO_STEP);
        if named.is_small {
            small.push((named.key, step, named.at_ms, path));
            continue;
        }
        let strip = strips.entry(named.key).or_default();
        let is_newer = strip
            .get(&step)
            .is_none_or(|known| known.at_ms <= named.at_ms);
        if is_newer {
            strip.insert(
                step,
                Shot {
                    full: path,
                    small: None,
                    at_ms: named.at_ms,
                },
            );
        }
    }
    for (key, step, at_ms, path) in small {
        let shot = strips.get_mut(&key).and_then(|strip| strip.get_mut(&step));
        if let Some(shot) = shot.filter(|shot| shot.at_ms == at_ms) {
            shot.small = Some(path);
        }
    }
    strips
}

/// Returns all keys, and all steps that say one.
pub(super) fn keys(runs: &[OfRun]) -> BTreeSet<&str> {
    let strips = runs.iter().flat_map(|run| run.strips.keys());
    strips.map(String::as_str).collect()
}

/// Returns the steps of these keys.
pub(super) fn steps(runs: &[OfRun], keys: &[&str]) -> BTreeSet<i64> {
    let strips = runs
        .iter()
        .flat_map(|run| keys.iter().filter_map(|key| run.strips.get(*key)));
    strips
        .flat_map(BTreeMap::keys)
        .copied()
        .filter(|step| *step != NO_STEP)
        .collect()
}

/// Returns the picture that is shown at `step`: that one, else the nearest earlier one, else the first.
pub(super) fn nearest(strip: &Strip, step: i64) -> Option<(i64, &Shot)> {
    let earlier = strip.range(..=step).next_back();
    earlier
        .or_else(|| strip.iter().next())
        .map(|(step, shot)| (*step, shot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_counts_and_the_nearest_earlier_is_shown() {
        let paths = [
            "images/d+step+1+timestamp+5+a.png",
            "images/d+step+1+timestamp+5+a+compressed.webp",
            "images/d+step+1+timestamp+9+b.png",
            "images/d+step+4+timestamp+10+c+compressed.webp",
            "images/d+step+4+timestamp+10+c.png",
            "a.txt",
            "e.png",
        ];
        let strips = strips(paths.into_iter().map(str::to_owned));
        let strip = &strips["d"];
        assert_eq!(strip[&1].full, "images/d+step+1+timestamp+9+b.png");
        assert_eq!(strip[&1].small, None);
        assert!(strip[&4].small.is_some());
        let shown = |step| nearest(strip, step).map(|(step, _)| step);
        assert_eq!(
            [shown(0), shown(1), shown(3), shown(4), shown(99)],
            [Some(1), Some(1), Some(1), Some(4), Some(4)]
        );
        assert_eq!(
            nearest(&strips["e.png"], 7).map(|(step, _)| step),
            Some(NO_STEP)
        );
    }
}
