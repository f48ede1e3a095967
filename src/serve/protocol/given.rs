//! What a request of another protocol gives the model, before and after it is measured against what
//! the model takes: numbers 0 to 255 of its very shape, or encoded pictures. How many pictures
//! there are is looked at before anything is made of them.
//! Imports: bytes, vision, `serve::{envelope, predict, refusal, tensor}`.

use bytes::Bytes;

use crate::http::StatusCode;
use crate::serve::envelope::too_many;
use crate::serve::predict::Input;
use crate::serve::refusal::Refusal;
use crate::serve::tensor::Tensor;
use crate::vision::image::Target;

/// Largest value of a picture as it was decoded.
const WHITE: f32 = 255.0;
/// How far a value may lie outside 0..=255: resampling with a sharp filter overshoots a little.
const OVERSHOOT: f32 = 25.5;

/// The inputs of a body, in its order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// Numbers, the outermost dimension counts the pictures.
    Numbers(Tensor),
    /// Encoded pictures; what is no base64 is the problem of that one.
    Files(Vec<Result<Bytes, String>>),
    /// So many encoded pictures that none of them was kept.
    TooMany(usize),
}

/// What inputs are measured against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure<'m> {
    pub(super) target: &'m Target,
    /// So many pictures in one request.
    pub(super) pictures_max: usize,
}

/// Why numbers are no pictures for this model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mismatch {
    /// Another shape than `[n, height, width, channels]`.
    Shape(Vec<usize>),
    /// This value is no brightness.
    Value(f32),
    /// More than so many pictures.
    TooMany { pictures: usize, most: usize },
}

/// One input for each picture, or why that one cannot be read.
pub(super) type Inputs = Vec<Result<Input, Refusal>>;

impl Given {
    /// Returns the pictures.
    pub(super) fn into_inputs(self, measure: Measure<'_>) -> Result<Inputs, Mismatch> {
        match self {
            Self::Numbers(tensor) => numbers(tensor, measure),
            Self::Files(files) => {
                measure.count(files.len())?;
                Ok(files.into_iter().map(file).collect())
            }
            Self::TooMany(pictures) => Err(measure.too_many(pictures)),
        }
    }
}

impl Measure<'_> {
    /// Are numbers of this shape pictures for the model, and not too many of them?
    pub(super) fn shape(&self, found: &[usize]) -> Result<(), Mismatch> {
        match found {
            [0] => Ok(()),
            [pictures, one @ ..] if one == shape(self.target) => self.count(*pictures),
            _ => Err(Mismatch::Shape(found.to_vec())),
        }
    }

    fn count(&self, pictures: usize) -> Result<(), Mismatch> {
        if pictures <= self.pictures_max {
            Ok(())
        } else {
            Err(self.too_many(pictures))
        }
    }

    fn too_many(&self, pictures: usize) -> Mismatch {
        let most = self.pictures_max;
        Mismatch::TooMany { pictures, most }
    }
}

/// Returns the shape of one picture of a model: height, width, channels.
pub(super) fn shape(target: &Target) -> [usize; 3] {
    let channels = target.channels.count();
    [target.height as usize, target.width as usize, channels]
}

fn numbers(tensor: Tensor, measure: Measure<'_>) -> Result<Inputs, Mismatch> {
    let Tensor { shape, values } = tensor;
    // Before they are copied, picture by picture.
    measure.shape(&shape)?;
    let range = -OVERSHOOT..=WHITE + OVERSHOOT;
    // What is not a number is in no range.
    if let Some(value) = values.iter().find(|value| !range.contains(value)) {
        return Err(Mismatch::Value(*value));
    }
    let pictures = values.chunks_exact(measure.target.image_len());
    Ok(pictures
        .map(|one| Ok(Input::Values(one.to_vec())))
        .collect())
}

fn file(file: Result<Bytes, String>) -> Result<Input, Refusal> {
    file.map(Input::File)
        .map_err(|problem| Refusal::new(StatusCode::BAD_REQUEST, "base64", problem))
}

impl Mismatch {
    /// Refuses a request for it: as on every route where there are too many pictures, else with `invalid`.
    pub(super) fn refusal(
        &self,
        target: &Target,
        invalid: impl FnOnce(String) -> Refusal,
    ) -> Refusal {
        match self {
            Self::TooMany { pictures, most } => too_many(*pictures, *most),
            Self::Shape(_) | Self::Value(_) => invalid(self.sentence(target)),
        }
    }

    /// Says what is wrong, and what is expected.
    pub(super) fn sentence(&self, target: &Target) -> String {
        match self {
            Self::Shape(found) => {
                let [height, width, channels] = shape(target);
                format!(
                    "the input `image` has the shape [-1, {height}, {width}, {channels}] (pictures, height, width, channels), found {found:?}"
                )
            }
            Self::Value(value) => format!(
                "the values of `image` are 0 to 255, as a decoded picture has them, found {value}"
            ),
            Self::TooMany { pictures, most } => too_many(*pictures, *most).detail.to_text(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::vision::image::{Channels, Filter};

    pub(in crate::serve::protocol) const TARGET: Target = Target {
        height: 1,
        width: 2,
        channels: Channels::Grey,
        filter: Filter::Bilinear,
        background: [255; 3],
    };

    pub(in crate::serve::protocol) const MEASURE: Measure<'static> = Measure {
        target: &TARGET,
        pictures_max: 2,
    };

    fn measured(shape: &[usize], values: &[f32]) -> Result<Inputs, Mismatch> {
        let tensor = Tensor {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        Given::Numbers(tensor).into_inputs(MEASURE)
    }

    #[test]
    fn numbers_have_the_shape_and_the_range_of_the_model() {
        let two = measured(&[2, 1, 2, 1], &[0.0, 255.0, 1.5, 2.0]).unwrap();
        let expected = [vec![0.0, 255.0], vec![1.5, 2.0]].map(|one| Ok(Input::Values(one)));
        assert_eq!(two, expected);
        assert_eq!(measured(&[0], &[]), Ok(Vec::new()));
        assert_eq!(measured(&[0, 1, 2, 1], &[]), Ok(Vec::new()));
        for shape in [&[1, 2, 1][..], &[], &[2], &[1, 1, 2, 3], &[1, 1, 1, 2, 1]] {
            let wrong = measured(shape, &[]);
            assert_eq!(wrong, Err(Mismatch::Shape(shape.to_vec())));
        }
        for value in [-26.0, 281.0, f32::INFINITY] {
            let wrong = measured(&[1, 1, 2, 1], &[0.0, value]);
            assert_eq!(wrong, Err(Mismatch::Value(value)));
        }
        assert!(measured(&[1, 1, 2, 1], &[0.0, f32::NAN]).is_err());
    }

    #[test]
    fn pictures_are_counted_before_anything_is_made_of_them() {
        let too_many = |pictures| {
            Err(Mismatch::TooMany {
                pictures,
                most: MEASURE.pictures_max,
            })
        };
        // The values are not looked at: there are none.
        assert_eq!(measured(&[3, 1, 2, 1], &[]), too_many(3));
        let files = |count: usize| Given::Files(vec![Ok(Bytes::new()); count]);
        assert_eq!(files(2).into_inputs(MEASURE).map(|all| all.len()), Ok(2));
        assert_eq!(files(3).into_inputs(MEASURE), too_many(3));
        assert_eq!(Given::TooMany(9).into_inputs(MEASURE), too_many(9));
        let refusal = too_many(9)
            .unwrap_err()
            .refusal(&TARGET, |_| panic!("it is the number"));
        assert_eq!(
            (refusal.status.as_u16(), refusal.code),
            (413, "too_many_images")
        );
    }
}
