//! The pictures that the log keeps beside its answers: what the model sees in them, and some of them for the page.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::progress::Progress;
use crate::detect::Fitted;
use crate::detect::served::{Answer, Seen, Served, wants_pictures};
use crate::track::predictions::Predictions;
use crate::vision;
use crate::vision::device::{Device, DeviceChoice};
use crate::vision::image::{Limits, Pixels, Target, decode, fit};
use crate::vision::predict::Predictor;

use super::logged::{Logged, Looked, Place};

/// Where a model lies unless somebody says so.
const MODEL: &str = "models/classifier";
/// Pictures that are held at a time.
const CHUNK: usize = 512;
/// A kept picture is small: a larger file is none.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Which network looks at pictures.
#[derive(Clone, Copy, Debug)]
pub(super) enum Eye<'a> {
    /// None.
    Closed,
    /// The usual one, if it is there and the one that answered.
    Usual,
    /// This one.
    Named(&'a Path),
}

/// Writes beside each answer what the network that gave it sees in its picture, where that is kept.
pub(super) fn look(
    ctx: &Ctx,
    log: &Predictions,
    logged: &mut Logged,
    fitted: &Fitted,
    eye: Eye<'_>,
) -> Result<(), CliError> {
    if logged.pictures.is_empty() || !wants_pictures(fitted) {
        return Ok(());
    }
    let predictor = match open(ctx, fitted, eye)? {
        Ok(predictor) => predictor,
        Err(why) => {
            logged.looked = Looked::Not(why);
            return Ok(());
        }
    };
    let bar = Progress::new(&ctx.out, "looking", "pictures");
    bar.start(logged.pictures.len() as u64);
    let mut done = 0;
    for some in logged.answers.chunks_mut(CHUNK) {
        done += look_at(ctx, log, some, &logged.pictures, &predictor)?;
        bar.at(done);
    }
    bar.end();
    logged.looked = Looked::At;
    Ok(())
}

/// Returns the network, or why there is none where nobody named one.
fn open(ctx: &Ctx, fitted: &Fitted, eye: Eye<'_>) -> Result<Result<Predictor, String>, CliError> {
    let help = "`--network PATH` names the model that answered";
    let path = match eye {
        Eye::Closed => return Ok(Err("`--answers-only`".to_owned())),
        Eye::Usual => Path::new(MODEL),
        Eye::Named(path) => path,
    };
    let whole = ctx.dir.join(path);
    let is_named = matches!(eye, Eye::Named(_));
    if !is_named && !whole.exists() {
        return Ok(Err(format!("there is no `{MODEL}`; {help}")));
    }
    let predictor = match Predictor::load(&whole, &Device::pick(DeviceChoice::Auto)?) {
        Ok(predictor) => predictor,
        Err(error) if is_named => return Err(error.into()),
        Err(error) => return Ok(Err(format!("{error}; {help}"))),
    };
    match fitted.require_model(predictor.model()) {
        Ok(()) => Ok(Ok(predictor)),
        Err(error) if is_named => Err(error.into()),
        Err(_) => Ok(Err(format!(
            "`{MODEL}` is not the model that answered; {help}"
        ))),
    }
}

/// Returns how many pictures of `answers` are kept.
fn look_at(
    ctx: &Ctx,
    log: &Predictions,
    answers: &mut [Answer],
    places: &BTreeMap<String, Place>,
    predictor: &Predictor,
) -> Result<u64, CliError> {
    if let Some(reason) = ctx.cancel.reason() {
        return Err(vision::Error::Cancelled(reason).into());
    }
    let target = &predictor.model().target;
    let read: Vec<Option<Vec<u8>>> = answers
        .par_iter()
        .map(|answer| {
            let place = places.get(&answer.name);
            place.map_or(Ok(None), |place| values(log, place, target))
        })
        .collect::<Result<_, CliError>>()?;
    let (height, width) = (target.height as usize, target.width as usize);
    let mut pixels = Pixels::new(height, width, target.channels.count());
    let mut of = Vec::with_capacity(read.len());
    for (answer, values) in answers.iter_mut().zip(&read) {
        if let Some(values) = values {
            pixels.push(values);
            of.push(answer);
        }
    }
    if of.is_empty() {
        return Ok(0);
    }
    let count = of.len() as u64;
    let seen = Seen::of_pictures(predictor, &pixels, &ctx.cancel)?;
    for (answer, seen) in of.into_iter().zip(seen) {
        answer.seen = Some(seen);
    }
    Ok(count)
}

/// Returns the picture as the model saw it; `None` if it is not there any more.
fn values(log: &Predictions, place: &Place, target: &Target) -> Result<Option<Vec<u8>>, CliError> {
    let Some(bytes) = log.picture(&place.segment, place.kept)? else {
        return Ok(None);
    };
    let limits = Limits {
        pixels_max: u64::from(target.width) * u64::from(target.height),
        side_max: target.width.max(target.height),
        file_bytes_max: FILE_BYTES_MAX,
    };
    let picture = decode(&bytes, limits).ok();
    // Of another size, it is none that this network was shown.
    let picture = picture.filter(|one| (one.width, one.height) == (target.width, target.height));
    Ok(picture.and_then(|picture| fit(&picture, target).ok()))
}

/// Returns the pictures that a page can show, by the names of their answers: those that are most unlike the reference.
pub(super) fn of_page(
    log: &Predictions,
    logged: &Logged,
    served: &Served,
) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let checked = &served.whole.checked;
    let unlike = checked.witnesses.iter().flat_map(|found| &found.unlike);
    let mut pictures = BTreeMap::new();
    for name in unlike.filter_map(|one| one.picture.as_ref()) {
        let Some(place) = logged.pictures.get(name) else {
            continue;
        };
        if let Some(bytes) = log.picture(&place.segment, place.kept)? {
            pictures.insert(name.clone(), bytes);
        }
    }
    Ok(pictures)
}
