//! From the bytes of a request to the picture that the model takes, and what the prediction log wants
//! to know of it, and what detectors of drift do. Runs on the threads of `decoders`. Imports: vision, base,
//! `serve::{drift, envelope, refusal, queue}`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::ContentHash;
use crate::vision::image::{
    Format, Limits, PROPERTIES, Target, decode, fit, pixels, properties_of,
};

use super::drift::Wants;
use super::envelope;
use super::queue::Picture;
use super::refusal::Refusal;

/// Larger pictures than this one (8 megapixels, up to 8 bytes each while they are decoded) take turns,
/// so that a few of them cannot take all memory: a file of 300 kB can unfold to half a gigabyte.
const LARGE_PIXELS: u64 = 8 << 20;
static LARGE_TURN: Mutex<()> = Mutex::new(());

/// Where an encoded picture is.
pub(super) enum Source {
    /// This file.
    File(Bytes),
    /// In this form.
    Form { body: Bytes, boundary: String },
    /// In base64 in this JSON body.
    Json(Bytes),
}

/// A picture as models take it.
pub(super) struct Fitted {
    /// For the model that answers.
    pub(super) picture: Picture,
    /// For the shadow, if there is one that takes it.
    pub(super) shadow: Option<Picture>,
    /// What the log notes of it, if it does.
    pub(super) seen: Option<Seen>,
    /// What can be said of `picture` without a network, if it was measured.
    pub(super) properties: Option<[f64; PROPERTIES.len()]>,
    /// How long it took to bring it to the size; `None` if it came in it.
    pub(super) fitting: Option<Duration>,
}

/// How closely the log looks at the pictures of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Not at all: the request is not logged.
    Away,
    /// It notes what picture it was.
    Note,
    /// It keeps the picture.
    Keep,
}

/// What the log knows of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// Of what was sent.
    pub(super) hash: ContentHash,
    /// Width and height of what was sent.
    pub(super) size: [u32; 2],
    /// Of the file that was sent.
    pub(super) format: Option<Format>,
    /// `[height, width, channels]` values as the model takes them, if they are kept.
    pub(super) pixels: Vec<u8>,
}

/// Reads one picture and fits it to what the model takes, and to what the `shadow` takes, if there is
/// one.
pub(super) fn read(
    source: Source,
    pictures_max: usize,
    limits: Limits,
    target: &Target,
    shadow: Option<&Target>,
    look: Look,
) -> Result<Fitted, Refusal> {
    match source {
        Source::File(bytes) => read_file(&bytes, limits, target, shadow, look),
        Source::Form { body, boundary } => {
            let file = envelope::form_one(&body, &boundary, pictures_max)?;
            read_file(&file, limits, target, shadow, look)
        }
        Source::Json(body) => {
            let file = envelope::json_one(&body)?;
            read_file(&file, limits, target, shadow, look)
        }
    }
}

/// Takes `[height, width, channels]` values 0..=1 that have the model's size already.
pub(super) fn numbers(
    values: Vec<f32>,
    target: &Target,
    shadow: Option<&Target>,
    look: Look,
) -> Fitted {
    let seen = see_numbers(&values, target, look);
    // Numbers of one size are none of another.
    let shadow = shadow.filter(|shadow| {
        let size = |target: &Target| (target.height, target.width, target.channels);
        size(shadow) == size(target)
    });
    Fitted {
        shadow: shadow.map(|_| Picture::Unit(values.clone())),
        picture: Picture::Unit(values),
        seen,
        properties: None,
        fitting: None,
    }
}

/// Takes `[height, width, channels]` values 0..=255 that have the model's size already, as the whole
/// numbers that a decoded picture has.
pub(super) fn levels(values: &[f32]) -> Fitted {
    Fitted {
        picture: Picture::Bytes(values.iter().map(|value| value.round() as u8).collect()),
        shadow: None,
        seen: None,
        properties: None,
        fitting: None,
    }
}

impl Fitted {
    /// Measures the picture for the model that takes `target`, if that is wanted. Values that a client made
    /// are measured as the nearest that a decoded picture can have, as detectors were fitted to such ones.
    pub(super) fn measured(mut self, wants: Wants, target: &Target) -> Self {
        if wants.properties {
            let (height, width) = (target.height as usize, target.width as usize);
            let measure =
                |values: &[u8]| properties_of(height, width, target.channels.count(), values);
            self.properties = Some(match &self.picture {
                Picture::Bytes(values) | Picture::Covered(values) => measure(values),
                Picture::Unit(values) => measure(&levels_of(values)),
            });
        }
        self
    }
}

/// Returns the nearest of 256 levels of each value 0..=1.
fn levels_of(values: &[f32]) -> Vec<u8> {
    values.iter().map(|v| (v * 255.0).round() as u8).collect()
}

fn read_file(
    bytes: &[u8],
    limits: Limits,
    target: &Target,
    shadow: Option<&Target>,
    look: Look,
) -> Result<Fitted, Refusal> {
    let refused = |error| Refusal::image(&error, bytes);
    let is_large = pixels(bytes).is_none_or(|pixels| LARGE_PIXELS < pixels);
    let _turn = is_large.then(|| LARGE_TURN.lock().unwrap_or_else(PoisonError::into_inner));
    let picture = decode(bytes, limits).map_err(refused)?;
    let began = Instant::now();
    let values = fit(&picture, target).map_err(refused)?;
    let fitting = began.elapsed();
    let seen = (look != Look::Away).then(|| Seen {
        hash: ContentHash::of(bytes),
        size: [picture.width, picture.height],
        format: Format::of(bytes),
        pixels: kept(look, &values),
    });
    let shadow = shadow.and_then(|shadow| {
        if shadow == target {
            return Some(values.clone());
        }
        // What the model that answers can take is no client's fault any more.
        fit(&picture, shadow).ok()
    });
    Ok(Fitted {
        picture: Picture::Bytes(values),
        shadow: shadow.map(Picture::Bytes),
        seen,
        properties: None,
        fitting: Some(fitting),
    })
}

fn kept(look: Look, values: &[u8]) -> Vec<u8> {
    match look {
        Look::Keep => values.to_vec(),
        Look::Away | Look::Note => Vec::new(),
    }
}

/// Returns what the log knows of a picture that was sent as numbers.
fn see_numbers(values: &[f32], target: &Target, look: Look) -> Option<Seen> {
    if look == Look::Away {
        return None;
    }
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let pixels = match look {
        Look::Keep => levels_of(values),
        Look::Away | Look::Note => Vec::new(),
    };
    Some(Seen {
        hash: ContentHash::of(&bytes),
        size: [target.width, target.height],
        format: None,
        pixels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::image::{Channels, Filter};

    #[test]
    fn numbers_are_measured_as_the_picture_that_they_are_of() {
        let target = Target {
            height: 2,
            width: 1,
            channels: Channels::Rgb,
            filter: Filter::Bilinear,
            background: [0; 3],
        };
        let unit = || {
            numbers(
                vec![0.2, 0.2, 0.2, 1.0, 0.0, 0.0],
                &target,
                None,
                Look::Away,
            )
        };
        assert_eq!(unit().measured(Wants::default(), &target).properties, None);
        let wants = Wants {
            embedding: false,
            properties: true,
        };
        let picture = levels(&[51.0, 51.0, 51.0, 255.0, 0.0, 0.0]);
        let of_picture = picture.measured(wants, &target).properties;
        assert!(
            of_picture.is_some_and(|all| all[3] == 0.6),
            "{of_picture:?}"
        );
        assert_eq!(unit().measured(wants, &target).properties, of_picture);
    }
}
