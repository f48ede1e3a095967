//! All checks, one after the other. Imports: base, vision, the other files of the room.

use std::path::Path;

use crate::base::{Cancel, Observer};
use crate::vision::dataset::{ClassCounts, Exclusions, Split, survey};

use super::asking::{Answers, Asked, Asking, Probe};
use super::classes;
use super::copied::{self, Remedy, remedies};
use super::copies::{Copies, copies};
use super::error::Error;
use super::files;
use super::finding::{Audit, Check, Finding};
use super::leak::{LeakAccuracy, leak_accuracy};
use super::learned::{Evidence, learn};
use super::outliers;
use super::params::AuditParams;
use super::pictures::Pictures;
use super::read::{AuditEvent, Source, read};
use super::splits;

/// What is to be checked, and how.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The folder of pictures.
    pub input: &'a Path,
    /// What counts as odd.
    pub params: &'a AuditParams,
    /// Pictures that are left out.
    pub exclusions: &'a Exclusions,
    /// Whom to ask what accuracy becomes, and what it sees in the pictures.
    pub model: Asked<'a>,
    /// Whether a classifier is asked about labels, segments and shortcuts.
    pub probe: Probe,
}

/// What a check found, and what it looked at.
#[derive(Debug)]
pub struct Checked {
    /// The findings.
    pub audit: Audit,
    /// What it looked at.
    pub pictures: Pictures,
    /// Pictures to leave out, sorted by path.
    pub remedies: Vec<Remedy>,
}

/// Checks a folder of pictures.
///
/// # Errors
/// It is no dataset with two classes, the named model knows other classes or fails, a statistic cannot be
/// computed, or `cancel` was requested.
pub fn check(
    request: Request<'_>,
    cancel: &Cancel,
    observer: &dyn Observer<AuditEvent>,
) -> Result<Checked, Error> {
    let params = request.params;
    let survey = survey(request.input)?;
    let mut notes = Vec::new();
    let mut asking = Asking::begin(
        request.model,
        &survey.dataset.classes,
        request.probe,
        params.preprocess.seed,
        &mut notes,
    )?;
    let source = Source {
        input: request.input,
        survey: &survey,
        exclusions: request.exclusions,
    };
    let reading = read(
        source,
        &params.preprocess,
        asking.as_mut(),
        cancel,
        observer,
    )?;
    observer.notify(AuditEvent::Read);
    let pictures = reading.pictures;
    let answers = asking.and_then(|asking| asking.finish(&mut notes));
    let counts = counts(&pictures);
    let copies = copies(&pictures, &params.near, cancel)?;
    if copies.crowded != 0 {
        notes.push(format!(
            "{} pictures look so much like thousands of others that they were compared only with \
             those nearest in brightness and contrast",
            copies.crowded
        ));
    }
    let leak_accuracy = accuracy(&pictures, &copies, answers.as_ref(), &mut notes);
    let compared = splits::compare(&pictures, params)?;
    notes.extend(compared.notes);
    let mut left_out = compared.left_out;

    let mut findings = files::findings(&pictures, &reading.unusable);
    findings.extend(classes::findings(&survey, &counts, params));
    findings.extend(copied::findings(&pictures, &copies));
    findings.extend(outliers::findings(&pictures, params)?);
    findings.extend(compared.findings);
    let learned = match request.probe {
        Probe::Trained => {
            let evidence = Evidence {
                pictures: &pictures,
                groups: &copies.groups,
                answers,
            };
            let learned = learn(evidence, &params.learned, cancel)?;
            notes.extend(learned.notes.iter().cloned());
            findings.extend(learned.findings(&pictures.classes));
            left_out.extend(learned.left_out());
            Some(learned)
        }
        Probe::Skipped => {
            let note = "labels, weak segments and shortcuts were not checked (`--without-probe`)";
            notes.push(note.to_owned());
            left_out.extend([Check::LabelErrors, Check::Shortcuts, Check::WeakSegments]);
            None
        }
    };
    findings.sort_by_key(|finding| finding.check);
    for finding in &mut findings {
        finding.limit = params.limit(finding.check);
    }
    let remedies = remedies(&pictures, &reading.unusable, &copies);
    Ok(Checked {
        audit: Audit {
            classes: pictures.classes.clone(),
            counts,
            images: pictures.rows.len(),
            excluded: reading.excluded,
            clean: clean(&findings, &left_out),
            findings,
            leak_accuracy,
            learned,
            notes,
        },
        pictures,
        remedies,
    })
}

/// Returns the checks that found nothing and were not left out.
fn clean(findings: &[Finding], left_out: &[Check]) -> Vec<Check> {
    let has_found = |check: Check| findings.iter().any(|finding| finding.check == check);
    let mut clean = Check::ALL.to_vec();
    clean.retain(|check| !has_found(*check) && !left_out.contains(check));
    clean
}

fn counts(pictures: &Pictures) -> ClassCounts {
    let mut counts = ClassCounts::zero(pictures.classes.len());
    for picture in &pictures.rows {
        counts.add(picture.split, picture.class);
    }
    counts
}

fn accuracy(
    pictures: &Pictures,
    copies: &Copies,
    answers: Option<&Answers>,
    notes: &mut Vec<String>,
) -> Option<LeakAccuracy> {
    if let Some(answers) = answers {
        return leak_accuracy(pictures, copies, &answers.said);
    }
    let has_leaks = super::leak::leaked(pictures, copies).contains(&true);
    if has_leaks {
        notes.push(format!(
            "what accuracy on `{}` becomes without the pictures that `{}` has as well is not known \
             without a model that was trained on these data (`--model`)",
            Split::Test.name(),
            Split::Train.name()
        ));
    }
    None
}

impl Audit {
    /// Returns the audit for programs; `passed` says whether all findings are within their limits.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        #[derive(serde::Serialize)]
        struct File<'a> {
            format: &'static str,
            version: u32,
            passed: bool,
            audit: &'a Audit,
        }
        serde_json::json!(File {
            format: "cvops.data-check",
            version: 1,
            passed: self.failures().next().is_none(),
            audit: self,
        })
    }
}
