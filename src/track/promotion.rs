//! Promotions: that a version of a registered model took over an alias or a stage. MLflow keeps no
//! history of these; here a version says it itself, in tags that any client shows
//! (`cvops.promoted.ALIAS`, `cvops.promoted.stage.STAGE`). Pure. Imports: base, entity, serde.

use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;

use super::entity::{ModelVersion, RegisteredModel};

/// Tags of promotions begin so.
const PREFIX: &str = "cvops.promoted.";

/// Behind the prefix, of stages: aliases hold no dot.
const STAGE: &str = "stage.";

/// Older promotions of one version to one title are forgotten.
const KEPT_MAX: usize = 50;

/// What a version can be promoted to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Title {
    /// A name that one version has at a time.
    Alias(String),
    /// A stage of MLflow's.
    Stage(String),
}

impl Title {
    /// Returns the alias or the stage.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Alias(name) | Self::Stage(name) => name,
        }
    }

    /// Returns the version that has it; of several in a stage the highest.
    #[must_use]
    pub fn holder(&self, model: &RegisteredModel) -> Option<i64> {
        match self {
            Self::Alias(alias) => {
                let mut aliases = model.aliases.iter();
                aliases
                    .find(|(name, _)| name == alias)
                    .map(|(_, version)| *version)
            }
            Self::Stage(stage) => {
                let mut latest = model.latest.iter();
                latest
                    .find(|version| version.stage.eq_ignore_ascii_case(stage))
                    .map(|version| version.version)
            }
        }
    }

    /// Returns the key of the tag that tells of promotions to it.
    #[must_use]
    pub fn tag(&self) -> String {
        match self {
            Self::Alias(alias) => format!("{PREFIX}{alias}"),
            Self::Stage(stage) => format!("{PREFIX}{STAGE}{stage}"),
        }
    }

    fn of_tag(key: &str) -> Option<Self> {
        let name = key.strip_prefix(PREFIX)?;
        Some(match name.strip_prefix(STAGE) {
            Some(stage) => Self::Stage(stage.to_owned()),
            None => Self::Alias(name.to_owned()),
        })
    }
}

/// One promotion, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// To what.
    pub title: Title,
    /// Which version.
    pub version: i64,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// By whom, where users are known.
    pub by: Option<String>,
    /// The version that had it before.
    pub from: Option<i64>,
    /// The title was taken from this version instead, and no other got it.
    pub is_removal: bool,
}

/// One promotion as a tag holds it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
}

/// Is this the key of a tag that tells of promotions?
#[must_use]
pub fn is_tag(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// Returns the promotions of versions, the latest first. A tag that is not ours is passed over.
#[must_use]
pub fn promotions(versions: &[ModelVersion]) -> Vec<Promotion> {
    let mut all: Vec<Promotion> = versions.iter().flat_map(of_version).collect();
    // A stable sort: of two at one time the one told later is the later.
    all.reverse();
    all.sort_by_key(|one| std::cmp::Reverse(one.at_ms));
    all
}

fn of_version(version: &ModelVersion) -> Vec<Promotion> {
    let mut all = Vec::new();
    for tag in &version.tags {
        let (Some(title), Ok(lines)) = (
            Title::of_tag(&tag.key),
            serde_json::from_str::<Vec<Line>>(&tag.value),
        ) else {
            continue;
        };
        let known = lines.into_iter().filter_map(|line| {
            Some(Promotion {
                title: title.clone(),
                version: version.version,
                at_ms: line.at.parse::<Timestamp>().ok()?.as_millisecond(),
                by: line.by,
                from: line.from,
                is_removal: line.removed,
            })
        });
        all.extend(known);
    }
    all
}

/// Returns the version that had a title before the one that has it now, given all promotions, the
/// latest first. One that a client moved without telling is not known.
#[must_use]
pub fn previous(promotions: &[Promotion], title: &Title, holder: Option<i64>) -> Option<i64> {
    let mut told = promotions.iter().filter(|one| one.title == *title);
    let last = told.next()?;
    let previous = if holder == Some(last.version) && !last.is_removal {
        // Nobody had it: it had been taken away.
        let taken = told.next().filter(|one| one.is_removal);
        last.from.or(taken.map(|one| one.version))
    } else {
        Some(last.version)
    };
    previous.filter(|version| Some(*version) != holder)
}

/// Returns the value of the tag with one more promotion; `known` is what it holds now.
pub(super) fn noted(known: Option<&str>, one: &Promotion) -> String {
    let lines = known.and_then(|text| serde_json::from_str::<Vec<Line>>(text).ok());
    let mut lines = lines.unwrap_or_default();
    let at = Timestamp::from_millisecond(one.at_ms).unwrap_or_default();
    lines.push(Line {
        at: format!("{at:.3}"),
        by: one.by.clone(),
        from: one.from,
        removed: one.is_removal,
    });
    let from = lines.len().saturating_sub(KEPT_MAX);
    serde_json::to_string(&lines[from..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::entity::Tag;

    fn version(number: i64, tags: &[(&str, &str)]) -> ModelVersion {
        ModelVersion {
            name: "cats".into(),
            version: number,
            created_ms: 0,
            updated_ms: 0,
            description: None,
            source: String::new(),
            storage: String::new(),
            run: None,
            run_link: None,
            logged_model: None,
            status: "READY".into(),
            stage: "None".into(),
            tags: tags.iter().map(|(k, v)| Tag::new(*k, *v)).collect(),
            aliases: vec![],
        }
    }

    fn champion(version: i64, at_ms: i64, from: Option<i64>) -> Promotion {
        Promotion {
            title: Title::Alias("champion".into()),
            version,
            at_ms,
            by: Some("ann".into()),
            from,
            is_removal: false,
        }
    }

    #[test]
    fn what_was_noted_is_told_the_latest_first() {
        let first = noted(None, &champion(1, 1000, None));
        let again = noted(Some(&first), &champion(1, 3000, Some(2)));
        let second = noted(Some("a tag of somebody else"), &champion(2, 2000, Some(1)));
        let versions = [
            version(2, &[("cvops.promoted.champion", &second)]),
            version(
                1,
                &[
                    ("cvops.promoted.champion", &again),
                    ("cvops.promoted.x", "no"),
                ],
            ),
        ];
        let all = promotions(&versions);
        assert_eq!(
            all,
            [
                champion(1, 3000, Some(2)),
                champion(2, 2000, Some(1)),
                champion(1, 1000, None)
            ]
        );
        let title = Title::Alias("champion".into());
        assert_eq!(previous(&all, &title, Some(1)), Some(2));
        // A client moved it since: what is known is who had it last.
        assert_eq!(previous(&all, &title, Some(7)), Some(1));
        assert_eq!(
            previous(&all, &Title::Stage("champion".into()), Some(1)),
            None
        );
    }

    #[test]
    fn a_title_that_was_taken_away_leads_back_to_who_had_it() {
        let taken = Promotion {
            is_removal: true,
            ..champion(2, 2000, None)
        };
        let text = noted(Some(&noted(None, &champion(2, 1000, Some(1)))), &taken);
        let all = promotions(&[version(2, &[("cvops.promoted.champion", &text)])]);
        assert_eq!(all, [taken, champion(2, 1000, Some(1))]);
        let title = Title::Alias("champion".into());
        assert_eq!(previous(&all, &title, Some(3)), Some(2));
        let again = [&[champion(3, 3000, None)], &all[..]].concat();
        assert_eq!(previous(&again, &title, Some(3)), Some(2));
    }

    #[test]
    fn a_tag_does_not_grow_without_end() {
        let mut text = None;
        for at_ms in 0..200 {
            text = Some(noted(text.as_deref(), &champion(1, at_ms, None)));
        }
        let versions = [version(1, &[("cvops.promoted.champion", &text.unwrap())])];
        let all = promotions(&versions);
        assert_eq!((all.len(), all[0].at_ms), (KEPT_MAX, 199));
    }
}
