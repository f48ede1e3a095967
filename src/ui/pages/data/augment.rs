//! What a training does to its pictures: from a form, from `params.yaml`, from the params of a run.
//! Imports: base, mlflow, project, `ui::*`.

use crate::base::doc::{Document, KeyPath};
use crate::mlflow::Refused;
use crate::project::PARAMS_FILE;
use crate::ui::asked::{Asked, Query};
use crate::ui::eye::Augmented;
use crate::ui::outputs::Outputs;
use crate::ui::site::Site;

/// Nothing is changed.
pub(super) const OFF: Augmented = Augmented {
    flip: 0.0,
    shift: 0,
    rotate: 0.0,
    crop: 0,
    seed: 0,
    epoch: 1,
};

/// Reads what a query says; the rest is as in `default`.
///
/// # Errors
/// A number is none.
pub(super) fn read(query: &Query, default: Augmented) -> Result<Augmented, Refused> {
    let finite = |name: &str, default: f64| {
        let value: f64 = query.number(name, default)?;
        let unfit = || Refused::invalid(format!("`{name}={value}`: a number was expected"));
        value.is_finite().then_some(value).ok_or_else(unfit)
    };
    Ok(Augmented {
        flip: finite("flip", default.flip)?,
        shift: query.number("shift", default.shift)?,
        rotate: finite("rotate", default.rotate)?,
        crop: query.number("crop", default.crop)?,
        seed: query.number("seed", default.seed)?,
        epoch: query.number("epoch", default.epoch)?,
    })
}

/// Returns the pairs that say it in a query.
pub(super) fn pairs(how: &Augmented) -> [(&'static str, String); 5] {
    [
        ("flip", how.flip.to_string()),
        ("shift", how.shift.to_string()),
        ("rotate", how.rotate.to_string()),
        ("crop", how.crop.to_string()),
        ("seed", how.seed.to_string()),
    ]
}

/// Returns what the params of a run, or `params.yaml` of the workspace, say; `OFF` where they are
/// silent or cannot be understood.
pub(super) fn of_params(site: &Site, asked: &Asked, outputs: &Outputs) -> Augmented {
    let params = outputs.run.as_ref().map(|run| {
        let record = asked.shared.read(|reader| reader.record(run.id));
        record.map(|record| record.params).unwrap_or_default()
    });
    let document = Document::read(&site.project.root.join(PARAMS_FILE), PARAMS_FILE).ok();
    let value = |name: &str| match &params {
        Some(params) => params
            .iter()
            .find(|param| param.key == name)?
            .value
            .parse()
            .ok(),
        None => {
            let steps = name
                .split('.')
                .fold(KeyPath::root(), |path, key| path.key(key));
            steps.get(&document.as_ref()?.root)?.as_f64()
        }
    };
    let number = |name: &str| value(name).filter(|value| value.is_finite() && 0.0 <= *value);
    let whole = |name: &str| number(name).map_or(0, |value| value as u64);
    Augmented {
        flip: number("train.augment.flip").unwrap_or(0.0),
        shift: whole("train.augment.shift"),
        rotate: number("train.augment.rotate").unwrap_or(0.0),
        crop: whole("train.augment.crop"),
        seed: whole("train.seed"),
        epoch: 1,
    }
}
