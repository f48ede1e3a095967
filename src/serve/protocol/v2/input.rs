//! From the tensors of a request to the pictures that they are. A model takes one of two inputs:
//! `image`, numbers as they are decoded, or `image_bytes`, files of pictures. Imports: vision,
//! `serve::{envelope, refusal}`, `protocol::words`, `v2::{binary, data, request}`.

use std::borrow::Cow;
use std::iter;
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::serve::envelope::base64_bytes;
use crate::serve::protocol::words::shown;
use crate::serve::refusal::Refusal;
use crate::vision::image::Target;

use super::binary::{Datatype, elements};
use super::data::Elements;
use super::request::{InferRequest, InputParameters, InputTensor, bad};

/// The input of numbers.
pub(super) const IMAGE: &str = "image";
/// The input of files.
pub(super) const IMAGE_BYTES: &str = "image_bytes";

/// What numbers may be: 0 to 255, and as much beyond as resampling with a sharp filter overshoots.
const VALUES: RangeInclusive<f32> = -25.5..=280.5;

/// What a model takes, as far as its requests are judged by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'m> {
    pub(super) model: &'m str,
    pub(super) target: &'m Target,
    /// So many pictures in one request.
    pub(super) pictures_max: usize,
}

/// The pictures of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pictures {
    /// Encoded ones.
    Files(Vec<Bytes>),
    /// `[height][width][channels]` each.
    Values(Vec<Vec<f32>>),
}

impl Taken<'_> {
    /// Returns the pictures of `request`, with `tensors` behind its JSON part.
    pub(super) fn pictures(
        &self,
        request: InferRequest<'_>,
        tensors: &Bytes,
    ) -> Result<Pictures, Refusal> {
        let model = self.model;
        let one = [IMAGE, IMAGE_BYTES];
        let other = request.inputs.iter().find(|i| !one.contains(&&*i.name));
        if let Some(input) = other {
            let name = shown(&input.name);
            return Err(bad(format!(
                "unexpected inference input '{name}' for model '{model}': it takes '{IMAGE}' or '{IMAGE_BYTES}'"
            )));
        }
        let count = request.inputs.len();
        let Ok([input]) = <[InputTensor<'_>; 1]>::try_from(request.inputs) else {
            return Err(bad(format!(
                "expected 1 input but got {count} inputs for model '{model}': send either '{IMAGE}' or '{IMAGE_BYTES}'"
            )));
        };
        if input.parameters.is_some_and(InputParameters::is_shared) {
            return Err(bad(
                "shared memory is not offered: send tensors in the body",
            ));
        }
        if input.name == IMAGE {
            self.values(input, tensors).map(Pictures::Values)
        } else {
            self.files(input, tensors).map(Pictures::Files)
        }
    }

    fn values(&self, input: InputTensor<'_>, tensors: &Bytes) -> Result<Vec<Vec<f32>>, Refusal> {
        let Some(bytes) = input.datatype.number_bytes() else {
            return Err(self.other_type(&input, Datatype::Fp32));
        };
        let target = self.target;
        let one = [
            u64::from(target.height),
            u64::from(target.width),
            target.channels.count() as u64,
        ];
        let [count, height, width, channels] = input.shape[..] else {
            return Err(self.other_shape(&input, &one));
        };
        if [height, width, channels] != one {
            return Err(self.other_shape(&input, &one));
        }
        let count = self.count(count)?;
        let numbers = count * target.image_len();
        let values = match sent(&input, tensors, self.model)? {
            Sent::Binary(tensor) => {
                if tensor.len() != numbers * bytes {
                    return Err(bad(format!(
                        "input '{IMAGE}' of type {} and shape {} has {} bytes, but 'binary_data_size' is {}",
                        input.datatype.name(),
                        list(&input.shape),
                        numbers * bytes,
                        tensor.len()
                    )));
                }
                input.datatype.numbers(&tensor)
            }
            Sent::Json => decimal(input, numbers)?,
        };
        if let Some(value) = values.iter().find(|value| !VALUES.contains(*value)) {
            return Err(bad(format!(
                "values of input '{IMAGE}' should be between 0 and 255, as decoded: found {value}"
            )));
        }
        let pictures = values.chunks_exact(target.image_len());
        Ok(pictures.map(<[f32]>::to_vec).collect())
    }

    fn files(&self, input: InputTensor<'_>, tensors: &Bytes) -> Result<Vec<Bytes>, Refusal> {
        if input.datatype != Datatype::Bytes {
            return Err(self.other_type(&input, Datatype::Bytes));
        }
        let [count] = input.shape[..] else {
            return Err(self.other_shape(&input, &[]));
        };
        let count = self.count(count)?;
        match sent(&input, tensors, self.model)? {
            Sent::Binary(tensor) => elements(&tensor, count).map_err(|problem| {
                bad(format!(
                    "input '{IMAGE_BYTES}' of shape {} cannot be read: {problem}",
                    list(&input.shape)
                ))
            }),
            Sent::Json => base64(input, count),
        }
    }

    fn count(&self, count: u64) -> Result<usize, Refusal> {
        let most = self.pictures_max;
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(Refusal::too_many_images(format!(
                "{count} pictures in one request, at most {most} are taken"
            ))),
        }
    }

    fn other_type(&self, input: &InputTensor<'_>, expected: Datatype) -> Refusal {
        bad(format!(
            "inference input '{}' data-type is '{}', but model '{}' expects '{}'",
            input.name,
            input.datatype.name(),
            self.model,
            expected.name()
        ))
    }

    /// `one` is the shape of one picture.
    fn other_shape(&self, input: &InputTensor<'_>, one: &[u64]) -> Refusal {
        let lengths = iter::once("-1".to_owned()).chain(one.iter().map(u64::to_string));
        let expected = lengths.collect::<Vec<_>>().join(",");
        bad(format!(
            "unexpected shape for input '{}' for model '{}'. Expected [{expected}], got {}",
            input.name,
            self.model,
            list(&input.shape)
        ))
    }
}

/// How a tensor is sent.
enum Sent {
    /// As these bytes.
    Binary(Bytes),
    /// In the JSON part.
    Json,
}

/// `tensors` are all bytes behind the JSON part, which this one input must take.
fn sent(input: &InputTensor<'_>, tensors: &Bytes, model: &str) -> Result<Sent, Refusal> {
    let size = input.parameters.and_then(|p| p.binary_data_size);
    let left = tensors.len() as u64;
    let name = &input.name;
    match (size, &input.data) {
        (Some(_), Some(_)) => Err(bad(format!(
            "input '{name}' has both 'data' and 'binary_data_size': send one of them"
        ))),
        (Some(size), None) if left < size => Err(bad(format!(
            "input '{name}' has a 'binary_data_size' of {size}, but {left} bytes come behind the JSON part: is the header `Inference-Header-Content-Length` right?"
        ))),
        (Some(size), None) if size == left => Ok(Sent::Binary(tensors.clone())),
        (None, Some(_)) if left == 0 => Ok(Sent::Json),
        (None, None) => Err(bad(format!(
            "input '{name}' has neither 'data' nor the parameter 'binary_data_size'"
        ))),
        (Some(_), None) | (None, Some(_)) => Err(bad(format!(
            "unexpected additional input data for model '{model}': {left} bytes come behind the JSON part, which is more than its inputs have"
        ))),
    }
}

/// Returns the numbers in the JSON of `input`, which are to be `count`.
fn decimal(input: InputTensor<'_>, count: usize) -> Result<Vec<f32>, Refusal> {
    let datatype = input.datatype;
    if matches!(datatype, Datatype::Fp16 | Datatype::Bf16) {
        return Err(bad(format!(
            "input '{}' is of type {}, which has no form in JSON: send it as binary data",
            input.name,
            datatype.name()
        )));
    }
    let numbers = match data(input, count)? {
        Elements::Numbers(numbers) => numbers,
        Elements::Texts(_) => {
            return Err(bad(format!(
                "Unable to parse 'data': expected numbers of type {}, found texts",
                datatype.name()
            )));
        }
    };
    if let Some(value) = numbers.iter().find(|value| !datatype.holds(**value)) {
        return Err(bad(format!(
            "Unable to parse 'data': {value} is no value of type {}",
            datatype.name()
        )));
    }
    Ok(numbers)
}

/// Returns the files in the JSON of `input`, which are to be `count`.
fn base64(input: InputTensor<'_>, count: usize) -> Result<Vec<Bytes>, Refusal> {
    let texts = match data(input, count)? {
        Elements::Texts(texts) => texts,
        Elements::Numbers(numbers) if numbers.is_empty() => Vec::new(),
        Elements::Numbers(_) => {
            return Err(bad(
                "Unable to parse 'data': expected texts, pictures in base64",
            ));
        }
    };
    let decode = |(i, text): (usize, Cow<'_, str>)| {
        base64_bytes(&text).map(Bytes::from).map_err(|problem| {
            bad(format!(
                "Unable to parse 'data': element {i} of input '{IMAGE_BYTES}' is {problem}; files that are not in base64 are sent as binary data"
            ))
        })
    };
    texts.into_iter().enumerate().map(decode).collect()
}

/// Returns what stands in `data`: flat, or nested as the shape says.
fn data(input: InputTensor<'_>, count: usize) -> Result<Elements<'_>, Refusal> {
    let nested = input.data.unwrap_or_default();
    let found: Vec<u64> = nested.shape.iter().map(|length| *length as u64).collect();
    let is_as_said = found == [count as u64] || found == input.shape;
    if is_as_said && nested.elements.count() == count {
        return Ok(nested.elements);
    }
    Err(bad(format!(
        "Unable to parse 'data': Shape does not match true shape of 'data' field: input '{}' has the shape {}, its data {}",
        input.name,
        list(&input.shape),
        list(&found)
    )))
}

/// Writes a shape as Triton does.
fn list(shape: &[u64]) -> String {
    const SHOWN_MAX: usize = 16;
    let lengths: Vec<String> = shape.iter().take(SHOWN_MAX).map(u64::to_string).collect();
    let more = if shape.len() <= SHOWN_MAX { "" } else { ",…" };
    format!("[{}{more}]", lengths.join(","))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::request::read;
    use super::*;
    use crate::serve::protocol::given::tests::TARGET;

    /// What a model of two grey pixels takes.
    pub(in crate::serve::protocol::v2) const TAKEN: Taken<'static> = Taken {
        model: "digits",
        target: &TARGET,
        pictures_max: 3,
    };

    fn pictures(tensor: &str, tensors: &[u8]) -> Result<Pictures, (u16, String)> {
        let json = format!("{{\"inputs\": [{tensor}]}}");
        read(json.as_bytes())
            .and_then(|request| TAKEN.pictures(request, &Bytes::copy_from_slice(tensors)))
            .map_err(|refusal| (refusal.status.as_u16(), refusal.detail.to_text()))
    }

    fn image(members: &str) -> String {
        format!("{{\"name\": \"image\", {members}}}")
    }

    fn files(members: &str) -> String {
        format!("{{\"name\": \"image_bytes\", \"datatype\": \"BYTES\", {members}}}")
    }

    #[test]
    fn numbers_come_in_every_form() {
        let two = Ok(Pictures::Values(vec![vec![0.0, 255.0], vec![7.0, 1.0]]));
        let shape = "\"shape\": [2, 1, 2, 1]";
        for datatype in ["UINT8", "UINT16", "INT32", "INT64", "FP32", "FP64"] {
            for data in ["[0, 255, 7, 1]", "[[[[0], [255]]], [[[7], [1]]]]"] {
                let tensor = format!("\"datatype\": \"{datatype}\", {shape}, \"data\": {data}");
                assert_eq!(pictures(&image(&tensor), b""), two, "{tensor}");
            }
        }
        let size = |datatype: &str, size: usize| {
            image(&format!(
                "{shape}, \"datatype\": \"{datatype}\", \"parameters\": {{\"binary_data_size\": {size}}}"
            ))
        };
        assert_eq!(pictures(&size("UINT8", 4), &[0, 255, 7, 1]), two);
        let floats: Vec<u8> = [0.0_f32, 255.0, 7.0, 1.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(pictures(&size("FP32", 16), &floats), two);
        let halves = [0x00, 0x00, 0xf8, 0x5b, 0x00, 0x47, 0x00, 0x3c];
        assert_eq!(pictures(&size("FP16", 8), &halves), two);
        let brains = [0x00, 0x00, 0x7f, 0x43, 0xe0, 0x40, 0x80, 0x3f];
        assert_eq!(pictures(&size("BF16", 8), &brains), two);
    }

    #[test]
    fn files_come_in_both_forms() {
        let two = Ok(Pictures::Files(vec!["hi".into(), "".into()]));
        let json = files("\"shape\": [2], \"data\": [\"aGk=\", \"\"]");
        assert_eq!(pictures(&json, b""), two);
        let binary = files("\"shape\": [2], \"parameters\": {\"binary_data_size\": 10}");
        assert_eq!(pictures(&binary, b"\x02\0\0\0hi\0\0\0\0"), two);
    }

    #[test]
    fn no_picture_is_a_request_as_well() {
        let image = image("\"datatype\": \"FP32\", \"shape\": [0, 1, 2, 1], \"data\": []");
        assert_eq!(pictures(&image, b""), Ok(Pictures::Values(vec![])));
        let json = files("\"shape\": [0], \"data\": []");
        assert_eq!(pictures(&json, b""), Ok(Pictures::Files(vec![])));
        let binary = files("\"shape\": [0], \"parameters\": {\"binary_data_size\": 0}");
        assert_eq!(pictures(&binary, b""), Ok(Pictures::Files(vec![])));
    }

    /// A tensor of one picture of the model's size.
    const ONE: &str = "\"shape\": [1, 1, 2, 1]";

    fn fp32(members: &str) -> String {
        image(&format!("\"datatype\": \"FP32\", {members}"))
    }

    fn with_data(data: &str) -> String {
        format!("{ONE}, \"data\": {data}")
    }

    fn with_size(size: u64) -> String {
        format!("{ONE}, \"parameters\": {{\"binary_data_size\": {size}}}")
    }

    /// `tensors` is the number of bytes behind the JSON part.
    #[track_caller]
    fn refused(tensor: &str, tensors: usize, status: u16, part: &str) {
        let (found, text) = pictures(tensor, &vec![0; tensors]).unwrap_err();
        assert_eq!(found, status, "{tensor}: {text}");
        assert!(text.contains(part), "{tensor}: {text}");
    }

    #[test]
    fn there_is_one_input_of_a_known_name_type_and_shape() {
        refused("", 0, 400, "expected 1 input but got 0 inputs");
        let both = format!("{}, {}", fp32(ONE), fp32(ONE));
        refused(&both, 0, 400, "expected 1 input but got 2 inputs");
        let other = r#"{"name": "x", "shape": [1], "datatype": "FP32"}"#;
        let part = "unexpected inference input 'x' for model 'digits'";
        refused(other, 0, 400, part);
        let bools = image(&format!("\"datatype\": \"BOOL\", {ONE}"));
        let part = "data-type is 'BOOL', but model 'digits' expects 'FP32'";
        refused(&bools, 0, 400, part);
        let bytes = r#"{"name": "image_bytes", "shape": [1], "datatype": "UINT8"}"#;
        let part = "data-type is 'UINT8', but model 'digits' expects 'BYTES'";
        refused(bytes, 0, 400, part);
        let shared = format!("{ONE}, \"parameters\": {{\"shared_memory_region\": \"r\"}}");
        refused(&fp32(&shared), 0, 400, "shared memory");
        for (shape, status, part) in [
            ("[1, 2]", 400, "Expected [-1,1,2,1], got [1,2]"),
            ("[]", 400, "got []"),
            ("[1, 2, 1, 1]", 400, "Expected [-1,1,2,1], got [1,2,1,1]"),
            ("[4, 1, 2, 1]", 413, "4 pictures in one request, at most 3"),
            (
                "[18446744073709551615, 1, 2, 1]",
                413,
                "18446744073709551615 pictures",
            ),
        ] {
            let tensor = format!("\"shape\": {shape}, \"data\": [1, 2]");
            refused(&fp32(&tensor), 0, status, part);
        }
        let nested = files("\"shape\": [1, 1]");
        refused(&nested, 0, 400, "Expected [-1], got [1,1]");
    }

    #[test]
    fn sizes_agree_with_the_shape_and_the_body() {
        refused(&fp32(ONE), 0, 400, "neither 'data' nor");
        refused(&fp32(ONE), 8, 400, "neither 'data' nor");
        for (size, tensors, part) in [
            (8, 7, "but 7 bytes come behind"),
            (8, 9, "unexpected additional input data"),
            (7, 7, "has 8 bytes, but 'binary_data_size' is 7"),
            (u64::MAX, 8, "but 8 bytes come behind"),
        ] {
            refused(&fp32(&with_size(size)), tensors, 400, part);
        }
        let both = format!("{}, \"data\": [1, 2]", with_size(8));
        refused(&fp32(&both), 8, 400, "both 'data' and");
        let part = "unexpected additional input data";
        refused(&fp32(&with_data("[1, 2]")), 1, 400, part);
        let cut = files("\"shape\": [1], \"parameters\": {\"binary_data_size\": 3}");
        refused(&cut, 3, 400, "element 0 ends behind the end");
        let more = files("\"shape\": [1], \"parameters\": {\"binary_data_size\": 8}");
        refused(&more, 8, 400, "4 bytes are left");
    }

    #[test]
    fn data_are_values_of_the_type_and_of_a_picture() {
        for (data, part) in [
            ("[1]", "Shape does not match"),
            ("[1, 2, 3]", "its data [3]"),
            ("[[1, 2]]", "its data [1,2]"),
            ("2", "its data []"),
            ("[[]]", "its data [1,0]"),
            ("[\"1\", \"2\"]", "found texts"),
            ("[1, 1e30]", "between 0 and 255"),
            ("[1, 1e300]", "inf is no value of type FP32"),
        ] {
            refused(&fp32(&with_data(data)), 0, 400, part);
        }
        let of_type = |datatype: &str, data: &str| {
            image(&format!(
                "\"datatype\": \"{datatype}\", {}",
                with_data(data)
            ))
        };
        let part = "0.5 is no value of type UINT8";
        refused(&of_type("UINT8", "[1, 0.5]"), 0, 400, part);
        refused(&of_type("FP16", "[1, 1]"), 0, 400, "no form in JSON");
        for (data, part) in [
            ("[1]", "expected texts, pictures in base64"),
            (
                "[\"?\"]",
                "element 0 of input 'image_bytes' is not valid base64",
            ),
            ("[\"\", \"\"]", "Shape does not match"),
        ] {
            let tensor = format!("\"shape\": [1], \"data\": {data}");
            refused(&files(&tensor), 0, 400, part);
        }
        let mut nan = f32::NAN.to_le_bytes().to_vec();
        nan.extend([0; 4]);
        let (_, text) = pictures(&fp32(&with_size(8)), &nan).unwrap_err();
        let part = "between 0 and 255, as decoded: found NaN";
        assert!(text.contains(part), "{text}");
    }

    proptest! {
        #[test]
        fn any_tensor_is_pictures_or_refused(
            name in prop::sample::select(vec!["image", "image_bytes"]),
            datatype in prop::sample::select(vec!["UINT8", "INT16", "FP16", "FP32", "FP64", "BYTES"]),
            shape in prop::collection::vec(prop_oneof![0_u64..4, any::<u64>()], 0..5),
            size in prop::option::of(prop_oneof![0_u64..20, any::<u64>()]),
            tensors in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let parameters = size.map_or(String::new(), |size| {
                format!(", \"parameters\": {{\"binary_data_size\": {size}}}")
            });
            let tensor = format!(
                "{{\"name\": \"{name}\", \"datatype\": \"{datatype}\", \"shape\": {shape:?}{parameters}}}"
            );
            match pictures(&tensor, &tensors) {
                Ok(Pictures::Values(values)) => {
                    prop_assert_eq!(values.len() as u64, shape[0]);
                    prop_assert!(values.iter().all(|picture| picture.len() == 2));
                }
                Ok(Pictures::Files(files)) => prop_assert_eq!(files.len() as u64, shape[0]),
                Err((status, _)) => prop_assert!(status == 400 || status == 413),
            }
        }

        #[test]
        fn pictures_come_out_as_they_went_in(
            values in prop::collection::vec(prop::array::uniform2(0.0_f32..=255.0), 0..4),
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        ) {
            let bytes: Vec<u8> = values.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
            let head = format!("\"datatype\": \"FP32\", \"shape\": [{}, 1, 2, 1]", values.len());
            let decimal = image(&format!("{head}, \"data\": {}", serde_json::json!(values.concat())));
            let size = bytes.len();
            let binary = image(&format!("{head}, \"parameters\": {{\"binary_data_size\": {size}}}"));
            let expected = Pictures::Values(values.into_iter().map(Vec::from).collect());
            let expected: Result<Pictures, (u16, String)> = Ok(expected);
            prop_assert_eq!(pictures(&decimal, b""), expected.clone());
            prop_assert_eq!(pictures(&binary, &bytes), expected);

            let mut bytes = Vec::new();
            for file in &contents {
                super::super::binary::write_element(&mut bytes, file);
            }
            let size = bytes.len();
            let binary = files(&format!(
                "\"shape\": [{}], \"parameters\": {{\"binary_data_size\": {size}}}",
                contents.len()
            ));
            let expected = Pictures::Files(contents.into_iter().map(Bytes::from).collect());
            prop_assert_eq!(pictures(&binary, &bytes), Ok(expected));
        }
    }
}
