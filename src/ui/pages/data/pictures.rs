//! Pictures of prepared data as PNG files. Imports: http, mlflow, `ui::*`.

use std::time::Duration;

use crate::http::Response;
use crate::mlflow::{Code, Refused};
use crate::ui::asked::Asked;
use crate::ui::eye::{Eye, EyeError, Wanted};
use crate::ui::outputs::{Outputs, unusable};
use crate::ui::pages::data::augment;
use crate::ui::prepared::Samples;
use crate::ui::reply;
use crate::ui::site::Site;

/// The longest side of a picture that is sent.
const SIDE_MAX: u32 = 2048;
/// The address of a picture names its content, so what a browser has stays right.
const AGE: Duration = Duration::from_hours(24);

/// Answers `…/data/picture?folder=…&split=…&index=…`.
pub(super) fn picture(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    answer(site, asked, &|eye, open, wanted| eye.picture(open, wanted))
}

/// Answers `…/data/augmented?…`: the same as a training would see it.
pub(super) fn augmented(site: &Site, asked: &Asked) -> Result<Response, Refused> {
    let how = augment::read(&asked.query, augment::OFF)?;
    answer(site, asked, &|eye, open, wanted| {
        eye.augmented(open, wanted, how)
    })
}

type Look<'a> = dyn Fn(&dyn Eye, &crate::ui::eye::Opener<'_>, Wanted<'_>) -> Result<Option<Vec<u8>>, EyeError>
    + 'a;

fn answer(site: &Site, asked: &Asked, look: &Look<'_>) -> Result<Response, Refused> {
    let blind = || {
        let text = "this program was built without vision: it cannot look into prepared data";
        Refused::new(Code::NotImplemented, text)
    };
    let eye = site.eye.as_deref().ok_or_else(blind)?;
    let query = &asked.query;
    let needed = |name: &str| {
        let missing = || Refused::invalid(format!("`{name}` is missing"));
        query.filled(name).ok_or_else(missing)
    };
    let (folder, split) = (needed("folder")?, needed("split")?);
    let index: u32 = query.number("index", 0)?;
    let wanted = Wanted {
        split,
        index,
        side_max: query.number("side", SIDE_MAX)?.clamp(1, SIDE_MAX),
    };
    let outputs = Outputs::files_of(site, asked, query.filled("run"))?;
    let missing = || Refused::missing(format!("there is no such picture in `{folder}`"));
    // A folder changes under its pages: a picture that is not the one meant is not shown.
    let samples = Samples::of(&site.parsed, &outputs, folder)?.ok_or_else(missing)?;
    let sample = samples.get(split, index).ok_or_else(missing)?;
    let content = query.filled("content").unwrap_or_default();
    if !sample.content.starts_with(content) {
        return Err(missing());
    }
    let open = |name: &str| outputs.open(&format!("{folder}/{name}"));
    let png = look(eye, &open, wanted).map_err(|error| match error {
        EyeError::Asked(problem) => Refused::invalid(problem),
        EyeError::Folder(problem) => unusable(folder, &problem),
    })?;
    let age = if content.is_empty() {
        Duration::ZERO
    } else {
        AGE
    };
    Ok(reply::picture(png.ok_or_else(missing)?, "image/png", age))
}
