//! All checks, one after the other. Imports: base, vision, the other files of the room.

use std::path::Path;

use crate::base::{Cancel, Observer};
use crate::vision::dataset::{ClassCounts, Exclusions, Split};
use crate::vision::predict::Predictor;

use super::classes;
use super::copied::{self, Remedy, remedies};
use super::copies::{Copies, copies};
use super::error::Error;
use super::files;
use super::finding::Audit;
use super::leak::{LeakAccuracy, leak_accuracy};
use super::learned::{LearnedParams, learn};
use super::outliers;
use super::params::AuditParams;
use super::pictures::Pictures;
use super::read::{AuditEvent, read};
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

/// A model that is asked about the pictures.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// None.
    Nobody,
    /// One that happened to be there: it is passed over with a note if it does not fit the pictures.
    Found(&'a Predictor),
    /// One that was named: that it knows other classes is an error.
    Named(&'a Predictor),
}

/// Whether a classifier of the pictures' features is trained to check them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is.
    Trained,
    /// It is not: what it would find stays unknown.
    Skipped,
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
/// It is no dataset with two classes, the named model knows other classes, a statistic cannot be
/// computed, or `cancel` was requested.
pub fn check(
    request: Request<'_>,
    cancel: &Cancel,
    observer: &dyn Observer<AuditEvent>,
) -> Result<Checked, Error> {
    let params = request.params;
    let reading = read(
        request.input,
        &params.preprocess,
        request.exclusions,
        cancel,
        observer,
    )?;
    observer.notify(AuditEvent::Read);
    let pictures = reading.pictures;
    let mut notes = Vec::new();
    let model = fitting(request.model, &pictures, params, &mut notes)?;
    let counts = counts(&pictures);
    let copies = copies(&pictures, &params.near, cancel)?;
    if copies.crowded != 0 {
        notes.push(format!(
            "{} pictures look so much like thousands of others that they were compared only with \
             those nearest in brightness and contrast",
            copies.crowded
        ));
    }
    let compared = splits::compare(&pictures, params)?;
    notes.extend(compared.notes);

    let mut findings = files::findings(&pictures, &reading.unusable);
    findings.extend(classes::findings(&reading.survey, &counts, params));
    findings.extend(copied::findings(&pictures, &copies));
    findings.extend(outliers::findings(&pictures, params)?);
    findings.extend(compared.findings);
    let learned = match request.probe {
        Probe::Trained => {
            let learned = learn(
                &pictures,
                model,
                &LearnedParams::new(params.preprocess.seed),
                cancel,
            )?;
            notes.extend(learned.notes.iter().cloned());
            findings.extend(learned.findings(&pictures.classes));
            Some(learned)
        }
        Probe::Skipped => {
            let note = "labels, weak segments and shortcuts were not checked (`--without-probe`)";
            notes.push(note.to_owned());
            None
        }
    };
    findings.sort_by_key(|finding| finding.check);
    for finding in &mut findings {
        finding.limit = params.limit(finding.check);
    }
    let leak_accuracy = accuracy(&pictures, &copies, model, &mut notes, cancel)?;
    let remedies = remedies(&pictures, &reading.unusable, &copies);
    Ok(Checked {
        audit: Audit {
            classes: pictures.classes.clone(),
            counts,
            images: pictures.rows.len(),
            excluded: reading.excluded,
            findings,
            leak_accuracy,
            learned,
            notes,
        },
        pictures,
        remedies,
    })
}

/// Returns the model if it sees the pictures as they are fitted; else a note says why it is not asked.
fn fitting<'a>(
    asked: Asked<'a>,
    pictures: &Pictures,
    params: &AuditParams,
    notes: &mut Vec<String>,
) -> Result<Option<&'a Predictor>, Error> {
    let (model, is_named) = match asked {
        Asked::Nobody => return Ok(None),
        Asked::Found(model) => (model, false),
        Asked::Named(model) => (model, true),
    };
    let described = model.model();
    if described.classes != pictures.classes {
        if is_named {
            return Err(Error::OtherClasses {
                model: described.classes.clone(),
                data: pictures.classes.clone(),
            });
        }
        // Data grow by a class, and are checked before the next training.
        notes.push("the model was not asked: it knows other classes than the data has".to_owned());
        return Ok(None);
    }
    if described.target == params.preprocess.target {
        return Ok(Some(model));
    }
    notes.push(
        "the model was not asked: it was trained on pictures of another size, or prepared in another \
         way, than `preprocess` in params.yaml says"
            .to_owned(),
    );
    Ok(None)
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
    model: Option<&Predictor>,
    notes: &mut Vec<String>,
    cancel: &Cancel,
) -> Result<Option<LeakAccuracy>, Error> {
    if let Some(model) = model {
        return leak_accuracy(pictures, copies, model, cancel);
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
    Ok(None)
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
