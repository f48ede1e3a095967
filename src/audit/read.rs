//! Reads pictures into the table that all checks look at: every one is read and decoded once, on all
//! cores. Of its pixels 35×35 are kept, whatever size `preprocess` gives it (in colour 3.6 KiB, so 370 MB
//! for 100,000 pictures); a model is asked about the pictures at its own size while they pass.
//! Imports: base, vision, `audit::{asking, dhash, error, pictures}`.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::base::hash::{HashAlgo, Hasher};
use crate::base::{Cancel, ContentHash, Observer};
use crate::vision;
use crate::vision::dataset::{Content, Exclusions, ImageFile, PictureSource, Split, Survey};
use crate::vision::image::{
    Facts, Filter, ImageError, Layout, Picture as Opened, Pixels, Target, fit, properties_of,
};
use crate::vision::params::PreprocessParams;
use crate::vision::preprocess::{Hashed, split_all};

use super::asking::Asking;
use super::dhash;
use super::error::Error;
use super::pictures::{Picture, Pictures};

/// Sides of the pictures that are kept.
const SIDE: u32 = 35;
/// Pictures whose results are held beside the table at a time.
const PORTION: usize = 1024;
/// Bytes that pictures at the model's size may take at a time, twice; and how many pictures there are
/// even if they are larger, to keep all cores busy.
const PORTION_BYTES: usize = 32 << 20;
const PORTION_MIN: usize = 16;
/// Pictures between two progress events.
const PROGRESS_IMAGES: usize = 64;

/// What happens while pictures are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    /// The folder was read; no picture was opened yet.
    Scanned {
        /// Picture files.
        images: usize,
        /// Classes.
        classes: usize,
    },
    /// Pictures were decoded.
    Progress {
        /// So far.
        done: usize,
        /// In all.
        total: usize,
    },
    /// All pictures are decoded; the checks begin.
    Read,
}

/// A file that is no usable picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) path: String,
    pub(super) split: Split,
    pub(super) class: u32,
    pub(super) reason: String,
}

/// The pictures to read.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// Their folder.
    pub(super) input: &'a Path,
    /// What lies in it.
    pub(super) survey: &'a Survey,
    /// Pictures that are left out.
    pub(super) exclusions: &'a Exclusions,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) pictures: Pictures,
    /// Sorted by path.
    pub(super) unusable: Vec<Unusable>,
    /// Pictures that were left out.
    pub(super) excluded: usize,
}

/// A decoded file.
struct Decoded {
    bytes: u64,
    facts: Facts,
    transparent: bool,
    width: u32,
    height: u32,
    content: ContentHash,
    properties: [f64; 8],
    dhash: u64,
    /// As it is kept.
    kept: Pixels,
    /// As the model takes it; empty without one.
    asked: Vec<u8>,
}

/// What becomes of a picture.
struct Targets<'a> {
    params: &'a PreprocessParams,
    kept: Target,
    /// As the model takes it.
    asked: Option<Target>,
}

/// What became of a file.
enum Seen {
    Excluded,
    Unusable(ImageError),
    Usable(Box<Decoded>),
}

/// Reads the pictures of `source` as `preprocess` would, and asks about each.
///
/// # Errors
/// `cancel` was requested; as `Asking::ask`.
pub(super) fn read(
    source: Source<'_>,
    params: &PreprocessParams,
    mut asking: Option<&mut Asking<'_>>,
    cancel: &Cancel,
    observer: &dyn Observer<AuditEvent>,
) -> Result<Reading, Error> {
    let stored = PictureSource::open(source.input)?;
    let dataset = &source.survey.dataset;
    let total = dataset.images.len();
    observer.notify(AuditEvent::Scanned {
        images: total,
        classes: dataset.classes.len(),
    });
    let done = AtomicUsize::new(0);
    let targets = Targets {
        params,
        kept: kept(&params.target),
        asked: asking.as_ref().map(|asking| asking.target()),
    };
    let mut pixels = empty(&targets.kept);
    let mut hashes: Vec<Hashed> = Vec::with_capacity(total);
    let mut found = Vec::with_capacity(total);
    let mut excluded = 0;
    let mut unusable = Vec::new();
    for portion in dataset.images.chunks(targets.portion()) {
        let seen: Vec<(Hashed, Seen)> = portion
            .par_iter()
            .map(|file| {
                if let Some(reason) = cancel.reason() {
                    return Err(vision::Error::Cancelled(reason));
                }
                let is_excluded = source.exclusions.has(&file.path);
                let seen = look(&stored, &file.path, is_excluded, &targets);
                let done = 1 + done.fetch_add(1, Ordering::Relaxed);
                if done.is_multiple_of(PROGRESS_IMAGES) || done == total {
                    observer.notify(AuditEvent::Progress { done, total });
                }
                Ok(seen)
            })
            .collect::<Result<_, _>>()?;
        let mut batch = targets.asked.map(|target| (empty(&target), Vec::new()));
        for (hash, seen) in seen {
            let index = hashes.len();
            hashes.push(hash);
            match seen {
                Seen::Excluded => excluded += 1,
                Seen::Unusable(error) => unusable.push((index, error.to_string())),
                Seen::Usable(decoded) => {
                    let file = &dataset.images[index];
                    pixels.append(&decoded.kept);
                    if let Some((pixels, labels)) = &mut batch {
                        pixels.push(&decoded.asked);
                        labels.push(file.label);
                    }
                    found.push((index, picture(file, &decoded)));
                }
            }
        }
        if let (Some(asking), Some((pixels, labels))) = (&mut asking, &batch) {
            asking.ask(pixels, labels, cancel)?;
        }
    }
    // The split of a picture depends on the hashes of all of them.
    let splits = split_all(dataset, &hashes, params);
    let rows = found
        .into_iter()
        .map(|(index, picture)| Picture {
            split: splits[index],
            ..picture
        })
        .collect();
    let unusable = unusable
        .into_iter()
        .map(|(index, reason)| Unusable {
            path: dataset.images[index].path.clone(),
            split: splits[index],
            class: dataset.images[index].label,
            reason,
        })
        .collect();
    Ok(Reading {
        pictures: Pictures {
            classes: dataset.classes.clone(),
            rows,
            pixels,
        },
        unusable,
        excluded,
    })
}

/// Returns how pictures are kept: as `preprocess` lays them over its background, in its channels.
fn kept(target: &Target) -> Target {
    Target {
        height: SIDE,
        width: SIDE,
        filter: Filter::Bilinear,
        ..*target
    }
}

fn empty(target: &Target) -> Pixels {
    let (height, width) = (target.height as usize, target.width as usize);
    Pixels::new(height, width, target.channels.count())
}

impl Targets<'_> {
    /// Returns how many pictures are read at a time.
    fn portion(&self) -> usize {
        let len = self.asked.map_or(1, |target| target.image_len().max(1));
        (PORTION_BYTES / len).clamp(PORTION_MIN, PORTION)
    }
}

/// Makes a row of the table; the split is for later.
fn picture(file: &ImageFile, decoded: &Decoded) -> Picture {
    Picture {
        path: file.path.clone(),
        split: file.given.unwrap_or(Split::Train),
        class: file.label,
        bytes: decoded.bytes,
        facts: decoded.facts,
        transparent: decoded.transparent,
        width: decoded.width,
        height: decoded.height,
        content: decoded.content,
        properties: decoded.properties,
        dhash: decoded.dhash,
    }
}

/// Reads one picture; returns the hash of its content as well.
fn look(
    stored: &PictureSource,
    path: &str,
    is_excluded: bool,
    targets: &Targets<'_>,
) -> (Hashed, Seen) {
    let content = match stored.read(path, targets.params.limits) {
        Ok(content) => content,
        Err(error) => {
            // A file that is too large has a hash for `preprocess`, and with it a part in the splits.
            let hash = stored.hash(path).map_err(|_| error.clone());
            let seen = if is_excluded {
                Seen::Excluded
            } else {
                Seen::Unusable(error)
            };
            return (hash, seen);
        }
    };
    let hash = Ok(content.hash());
    if is_excluded {
        return (hash, Seen::Excluded);
    }
    match decoded(&content, targets) {
        Ok(decoded) => (hash, Seen::Usable(Box::new(decoded))),
        Err(error) => (hash, Seen::Unusable(error)),
    }
}

fn decoded(stored: &Content<'_>, targets: &Targets<'_>) -> Result<Decoded, ImageError> {
    let target = &targets.params.target;
    let picture = stored.decode(targets.params.limits)?;
    let prepared = fitted(&picture, target)?;
    let as_target = |other: &Target| {
        if other == target {
            Ok(prepared.clone())
        } else {
            fitted(&picture, other)
        }
    };
    let mut kept = empty(&targets.kept);
    kept.push(&as_target(&targets.kept)?);
    let asked = targets.asked.as_ref().map(as_target).transpose()?;
    let facts = stored.facts().ok_or_else(|| ImageError::Damaged {
        reason: "its format is not known".to_owned(),
    })?;
    let (height, width) = (target.height as usize, target.width as usize);
    Ok(Decoded {
        bytes: stored.bytes().len() as u64,
        facts,
        transparent: is_transparent(&picture),
        width: picture.width,
        height: picture.height,
        content: content(&picture),
        properties: properties_of(height, width, target.channels.count(), &prepared),
        dhash: dhash::of(&kept, 0),
        kept,
        asked: asked.unwrap_or_default(),
    })
}

/// Returns the picture as `target` says: always as many values as that has.
fn fitted(picture: &Opened, target: &Target) -> Result<Vec<u8>, ImageError> {
    let values = fit(picture, target)?;
    if values.len() == target.image_len() {
        Ok(values)
    } else {
        let reason = "it cannot be brought to its size".to_owned();
        Err(ImageError::Damaged { reason })
    }
}

fn is_transparent(picture: &Opened) -> bool {
    let last = picture.layout.channels();
    let has_alpha = matches!(picture.layout, Layout::GreyAlpha | Layout::Rgba);
    has_alpha
        && picture
            .data
            .chunks_exact(last)
            .any(|pixel| pixel[last - 1] < u8::MAX)
}

/// Returns the hash of what is seen of a picture: its size, and red, green, blue and alpha of its
/// pixels. A grey file and its copy in colour have the same; the colour of invisible pixels does not count.
fn content(picture: &Opened) -> ContentHash {
    let mut hasher = Hasher::new(HashAlgo::Blake3);
    hasher.update(&picture.width.to_le_bytes());
    hasher.update(&picture.height.to_le_bytes());
    let channels = picture.layout.channels();
    let row = picture.width as usize * channels;
    let mut seen = Vec::with_capacity(4 * picture.width as usize);
    for row in picture.data.chunks(row.max(1)) {
        seen.clear();
        for pixel in row.chunks_exact(channels) {
            seen.extend(match *pixel {
                [grey] => [grey, grey, grey, u8::MAX],
                [grey, alpha] if 0 < alpha => [grey, grey, grey, alpha],
                [red, green, blue] => [red, green, blue, u8::MAX],
                [red, green, blue, alpha] if 0 < alpha => [red, green, blue, alpha],
                // Nothing is seen of it.
                _ => [0; 4],
            });
        }
        hasher.update(&seen);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_what_is_seen() {
        let of = |width, height, layout, data: &[u8]| {
            content(&Opened {
                width,
                height,
                layout,
                data: data.to_vec(),
            })
        };
        let grey = of(2, 1, Layout::Grey, &[7, 9]);
        assert_eq!(grey, of(2, 1, Layout::Rgb, &[7, 7, 7, 9, 9, 9]));
        assert_ne!(grey, of(1, 2, Layout::Grey, &[7, 9]));
        // Whatever colour cannot be seen.
        let one = |value, alpha| of(1, 1, Layout::GreyAlpha, &[value, alpha]);
        assert_eq!(one(1, 0), one(2, 0));
        assert_ne!(one(1, 9), one(2, 9));
    }
}
