//! What a request of another protocol gives the model, before and after it is measured against what
//! the model takes: numbers 0 to 255 of its very shape, or encoded pictures.
//! Imports: bytes, vision, `serve::{predict, refusal, tensor}`.

use bytes::Bytes;

use crate::http::StatusCode;
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
}

/// Why numbers are no pictures for this model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mismatch {
    /// Another shape than `[n, height, width, channels]`.
    Shape(Vec<usize>),
    /// This value is no brightness.
    Value(f32),
}

/// One input for each picture, or why that one cannot be read.
pub(super) type Inputs = Vec<Result<Input, Refusal>>;

impl Given {
    /// Returns the pictures.
    pub(super) fn into_inputs(self, target: &Target) -> Result<Inputs, Mismatch> {
        match self {
            Self::Numbers(tensor) => numbers(tensor, target),
            Self::Files(files) => Ok(files.into_iter().map(file).collect()),
        }
    }
}

/// Returns the shape of one picture of a model: height, width, channels.
pub(super) fn shape(target: &Target) -> [usize; 3] {
    let channels = target.channels.count();
    [target.height as usize, target.width as usize, channels]
}

fn numbers(tensor: Tensor, target: &Target) -> Result<Inputs, Mismatch> {
    let Tensor {
        shape: found,
        values,
    } = tensor;
    if found == [0] {
        return Ok(Vec::new());
    }
    if found.len() != 4 || found[1..] != shape(target) {
        return Err(Mismatch::Shape(found));
    }
    let range = -OVERSHOOT..=WHITE + OVERSHOOT;
    // What is not a number is in no range.
    if let Some(value) = values.iter().find(|value| !range.contains(value)) {
        return Err(Mismatch::Value(*value));
    }
    let pictures = values.chunks_exact(target.image_len());
    Ok(pictures
        .map(|one| Ok(Input::Values(one.to_vec())))
        .collect())
}

fn file(file: Result<Bytes, String>) -> Result<Input, Refusal> {
    file.map(Input::File)
        .map_err(|problem| Refusal::new(StatusCode::BAD_REQUEST, "base64", problem))
}

impl Mismatch {
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

    fn measured(shape: &[usize], values: &[f32]) -> Result<Inputs, Mismatch> {
        let tensor = Tensor {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        Given::Numbers(tensor).into_inputs(&TARGET)
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
}
