//! Sees pictures in prepared data for web pages. Imports: ui, vision.

use crate::base::doc::{Document, Format, KeyPath, Problems};
use crate::base::{self, ToDiagnostics};
use crate::ui::eye::{Augmented, Eye, EyeError, Opener, Wanted};
use crate::vision;
use crate::vision::augment::AugmentParams;
use crate::vision::picture::{self, Variation};
use crate::vision::shard::Split;

/// The eye of this program.
#[derive(Debug)]
pub(super) struct VisionEye;

impl Eye for VisionEye {
    fn picture(&self, open: &Opener<'_>, wanted: Wanted<'_>) -> Result<Option<Vec<u8>>, EyeError> {
        picture::picture(open, wanted_of(wanted)?).map_err(|e| folder(&e))
    }

    fn augmented(
        &self,
        open: &Opener<'_>,
        wanted: Wanted<'_>,
        how: Augmented,
    ) -> Result<Option<Vec<u8>>, EyeError> {
        let variation = Variation {
            params: params_of(how)?,
            seed: how.seed,
            epoch: usize::try_from(how.epoch.saturating_sub(1)).unwrap_or(usize::MAX),
        };
        picture::varied(open, wanted_of(wanted)?, variation).map_err(|e| folder(&e))
    }
}

fn wanted_of(wanted: Wanted<'_>) -> Result<picture::Wanted, EyeError> {
    let split = Split::from_name(wanted.split);
    let unknown = || EyeError::Asked(format!("there is no split `{}`", wanted.split));
    Ok(picture::Wanted {
        split: split.ok_or_else(unknown)?,
        index: wanted.index as usize,
        side_max: wanted.side_max.max(1),
    })
}

/// Reads the numbers as a params file's, so that what is too much here is what is too much there.
fn params_of(how: Augmented) -> Result<AugmentParams, EyeError> {
    let Augmented {
        flip,
        shift,
        rotate,
        crop,
        ..
    } = how;
    let text = format!("{{flip: {flip:?}, shift: {shift}, rotate: {rotate:?}, crop: {crop}}}");
    let asked = |error: base::Error| {
        let problems = error.to_diagnostics().into_iter();
        let problems: Vec<String> = problems.map(|problem| problem.headline).collect();
        EyeError::Asked(problems.join("; "))
    };
    let document = Document::parse("augment", text, Format::Yaml).map_err(asked)?;
    let problems = Problems::new(&document);
    let params = AugmentParams::read(problems.fields(KeyPath::root()));
    problems.into_result(params).map_err(asked)
}

fn folder(error: &vision::Error) -> EyeError {
    EyeError::Folder(error.to_string())
}
