//! All that is wrong with a pipeline file, each problem once.
//!
//! Imports: base.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::doc::{Document, Key, KeyPath, Problems};
use crate::base::{Diagnostic, Error, Span};

/// The names of the stages of each group, by the group's name.
pub(super) type Groups = BTreeMap<String, Vec<String>>;

/// Adds what is wrong with the templates to what else was found. What was found in the place of a
/// broken template follows from it and is left out.
pub(super) fn with_templates<T>(
    result: Result<T, Error>,
    templates: Vec<Diagnostic>,
    document: &Document,
) -> Result<T, Error> {
    let (name, found) = match result {
        Ok(value) if templates.is_empty() => return Ok(value),
        Ok(_) => (document.source.name.clone(), Vec::new()),
        Err(Error::Document { name, problems }) => (name, problems),
        Err(other) => return Err(other),
    };
    let span = |d: &Diagnostic| d.labels.first().map(|label| label.span);
    let broken: Vec<Span> = templates.iter().filter_map(span).collect();
    let mut problems = templates;
    let mut told = BTreeSet::new();
    for problem in found {
        let follows = span(&problem).is_some_and(|at| {
            broken
                .iter()
                .any(|b| at.start <= b.start && b.end <= at.end)
        });
        let told_before = !told.insert((span(&problem), problem.code, problem.headline.clone()));
        if !follows && !told_before {
            problems.push(problem);
        }
    }
    problems.sort_by_key(span);
    Err(Error::Document { name, problems })
}

/// Keeps of what is wrong with the stages of a group what is wrong with the first of them at each place
/// of their text.
pub(super) fn once_for_groups<'d>(problems: Problems<'d>, groups: &Groups) -> Problems<'d> {
    if !problems.any() {
        return problems;
    }
    let named = |(group, stages): (&'_ String, &'_ Vec<String>)| {
        let group = group.clone();
        let stages = stages.clone().into_iter();
        stages.map(move |stage| (stage, group.clone()))
    };
    let group_of: BTreeMap<String, String> = groups.iter().flat_map(named).collect();
    problems.once(&|at| {
        let [Key::Name(section), Key::Name(stage), rest @ ..] = at.keys() else {
            return at.clone();
        };
        let Some(group) = group_of.get(stage) else {
            return at.clone();
        };
        KeyPath::root().key(section).key(group).then(rest)
    })
}
