//! The bodies of answers, and the shapes of requests for the API's description. Imports: utoipa,
//! serde, `serve::{drift, refusal}`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::drift::DriftInfo;
use super::refusal::Detail;

/// A picture for examples in the API's description, in base64: a PNG file of 2 × 2 pixels, short enough to
/// be read past and good enough to be predicted.
pub(super) const EXAMPLE_PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR42mNQuMBwQQEABaYB4WZ4fxwAAAAASUVORK5CYII=";

/// Which model answered.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct ModelRef<'a> {
    /// Its name.
    #[schema(example = "classifier")]
    pub(super) name: &'a str,
    /// Its version; 1 for a model that is served from a folder.
    #[schema(example = "1")]
    pub(super) version: &'a str,
    /// The alias under which a registry names it, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "champion")]
    pub(super) alias: Option<&'a str>,
}

/// A class with its probability.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct Ranked<'a> {
    /// Name of the class.
    #[schema(example = "coat")]
    pub(super) label: &'a str,
    /// Number of the class, from 0.
    #[schema(example = 4)]
    pub(super) class_id: usize,
    /// 0 to 1.
    #[schema(example = 0.9731)]
    pub(super) probability: f32,
}

/// Where the time went, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct Timing {
    /// Decoding and resizing the picture.
    #[schema(example = 0.21)]
    pub(super) decode: f64,
    /// Waiting for a batch.
    #[schema(example = 0.9)]
    pub(super) queue: f64,
    /// The batch in the network.
    #[schema(example = 0.8)]
    pub(super) infer: f64,
}

/// What a picture shows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Prediction<'a> {
    /// The likeliest class; null if its probability is below `threshold`.
    #[schema(example = "coat")]
    pub(super) label: Option<&'a str>,
    /// Number of the likeliest class, from 0.
    #[schema(example = 4)]
    pub(super) class_id: usize,
    /// Probability of the likeliest class.
    #[schema(example = 0.9731)]
    pub(super) confidence: f32,
    /// Probability of every class, in the order of the classes; left out when `top_k` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, f32>>, example = json!({"bag": 0.0269, "coat": 0.9731}))]
    pub(super) probabilities: Option<Probabilities<'a>>,
    /// The likeliest classes, likeliest first: all, or `top_k` of them.
    pub(super) top_k: Vec<Ranked<'a>>,
    /// Which model answered.
    pub(super) model: ModelRef<'a>,
    /// The request's id, also in the header `X-Request-Id`.
    #[schema(example = "01939c1e-7a4c-7d52-9a53-3f1d8a1b2c4d")]
    pub(super) request_id: &'a str,
    /// Where the time went.
    pub(super) timing_ms: Timing,
}

/// What a picture shows, and what that depends on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Explained<'a> {
    #[serde(flatten)]
    pub(super) prediction: Prediction<'a>,
    /// Which parts of the picture the answer depends on.
    pub(super) explanation: Explanation<'a>,
}

/// Which parts of a picture the probability of a class depends on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Explanation<'a> {
    /// How it was found out: always `occlusion`.
    #[schema(example = "occlusion")]
    pub(super) method: &'static str,
    /// The class whose probability is explained: the likeliest, or the one that was asked for.
    #[schema(example = "coat")]
    pub(super) label: &'a str,
    /// Its number, from 0.
    #[schema(example = 4)]
    pub(super) class_id: usize,
    /// Side of the square that was covered, pixels of the picture as the model sees it.
    #[schema(example = 7)]
    pub(super) patch: usize,
    /// How far it was moved each time, pixels.
    #[schema(example = 3)]
    pub(super) stride: usize,
    /// How many pictures with a part covered the model was asked about.
    #[schema(example = 121)]
    pub(super) pictures: usize,
    /// For each pixel of the picture as the model sees it, row by row: by how much the probability
    /// falls, on average, when the pixel is covered. Negative where it rises.
    #[schema(example = json!([[0.02, 0.41], [-0.01, 0.13]]))]
    pub(super) grid: Vec<Vec<f32>>,
}

/// Class names with probabilities, written as an object in the order of the classes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probabilities<'a> {
    pub(super) classes: &'a [String],
    pub(super) values: &'a [f32],
}

/// Names with values, written as an object in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores<'a>(pub &'a [(String, f64)]);

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (class, value) in self.classes.iter().zip(self.values) {
            map.serialize_entry(class, value)?;
        }
        map.end()
    }
}

/// Returns the index of the largest value, the first of equal ones; 0 for none.
pub(super) fn likeliest(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (i, p) in probabilities.iter().enumerate() {
        if probabilities[best] < *p {
            best = i;
        }
    }
    best
}

/// Returns the classes, likeliest first, equal ones in the order of the classes.
pub(super) fn ranked<'a>(
    classes: &'a [String],
    probabilities: &[f32],
    top: usize,
) -> Vec<Ranked<'a>> {
    let mut order: Vec<usize> = (0..probabilities.len().min(classes.len())).collect();
    order.sort_by(|&a, &b| {
        let likelier = probabilities[b].total_cmp(&probabilities[a]);
        likelier.then(a.cmp(&b))
    });
    order.truncate(top);
    let entry = |class_id: usize| Ranked {
        label: &classes[class_id],
        class_id,
        probability: probabilities[class_id],
    };
    order.into_iter().map(entry).collect()
}

/// Answer of `/predict/model`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelPredictions<'a> {
    /// Probabilities of each picture, in the order of the classes.
    #[schema(example = json!([[0.0102, 0.9731, 0.0167]]))]
    pub(super) predictions: Vec<&'a [f32]>,
    /// The likeliest class of each picture.
    #[schema(example = json!(["coat"]))]
    pub(super) labels: Vec<&'a str>,
}

/// What the model takes.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct InputInfo {
    /// Pixels.
    #[schema(example = 35)]
    pub(super) height: u32,
    /// Pixels.
    #[schema(example = 35)]
    pub(super) width: u32,
    /// 1 (grey) or 3 (red, green, blue).
    #[schema(example = 3)]
    pub(super) channels: usize,
}

/// The model that is served.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelInfo<'a> {
    /// Its name.
    #[schema(example = "classifier")]
    pub(super) name: &'a str,
    /// Its version; 1 for a model that is served from a folder.
    #[schema(example = "1")]
    pub(super) version: &'a str,
    /// `main`, `canary` (answers a share of the requests) or `shadow` (is only compared).
    #[schema(example = "main")]
    pub(super) role: &'a str,
    /// The share of the requests that it answers, 0 to 1.
    #[schema(example = 1.0)]
    pub(super) share: f64,
    /// The alias under which a registry names it; null without one.
    pub(super) alias: Option<&'a str>,
    /// The run that made it; null if that is not known.
    pub(super) run_id: Option<&'a str>,
    /// Why another version than the one that is meant is served; null if it is the one.
    pub(super) behind: Option<Behind>,
    /// BLAKE3 of the file of the weights.
    pub(super) blake3: String,
    /// Is the folder what `pipeline.lock` records: `matches`, `differs` or `absent`.
    #[schema(example = "matches")]
    pub(super) lock: &'a str,
    /// Pictures are brought to this size.
    pub(super) input: InputInfo,
    /// How well it did where it was evaluated, as its run records it, or for a folder the lock and the
    /// files of metrics that it names; null if that is not known.
    #[schema(value_type = Option<std::collections::BTreeMap<String, f64>>, example = json!({"accuracy": 0.8412}))]
    pub(super) metrics: Option<Scores<'a>>,
    /// Class names; output i is class i.
    #[schema(example = json!(["bag", "coat"]))]
    pub(super) classes: &'a [String],
    /// Number of weights.
    #[schema(example = 591_274)]
    pub(super) parameters: u64,
    /// Where it computes: `cpu`, `cuda` or `wgpu`.
    #[schema(example = "cpu")]
    pub(super) device: &'a str,
    /// When it was loaded.
    #[schema(example = "2026-11-24T19:30:00.123Z")]
    pub(super) loaded_at: String,
    /// What the detectors of drift say; null where there are none, and of a canary or a shadow.
    #[schema(value_type = Option<DriftInfo>)]
    pub(super) drift: Option<&'a DriftInfo>,
}

/// Why an older version goes on being served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Behind {
    /// The version that is meant; null if the registry names none any more.
    #[schema(example = "4")]
    pub(super) version: Option<String>,
    /// Why it is not served.
    #[schema(example = "version 4 of `classifier` cannot be loaded: `model.json` is missing")]
    pub(super) problem: String,
}

/// Answer of `/models`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct ModelList<'a> {
    /// All that are in memory.
    models: Vec<ModelInfo<'a>>,
}

/// What is to be loaded.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a request; `reload` reads it")]
pub(super) struct ReloadJson {
    /// This version of the registered model; not together with `alias`.
    version: Option<String>,
    /// The version that has this alias, now and later.
    #[schema(example = "champion")]
    alias: Option<String>,
}

/// A PNG, JPEG, WebP, BMP, GIF or TIFF file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes a body")]
pub(super) struct PictureFile(Vec<u8>);

/// A form with one picture.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a request; multer reads it")]
pub(super) struct PredictForm {
    /// A PNG, JPEG, WebP, BMP, GIF or TIFF file.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

/// A form with several pictures.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a request; multer reads it")]
pub(super) struct BatchForm {
    /// PNG, JPEG, WebP, BMP, GIF or TIFF files.
    #[schema(value_type = Vec<String>, format = Binary)]
    files: Vec<Vec<u8>>,
}

/// One picture in JSON.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes a request; the envelope reads it borrowed"
)]
pub(super) struct ImageJson {
    /// Base64 of a PNG, JPEG, WebP, BMP, GIF or TIFF file, or a `data:` URL.
    #[schema(example = json!(EXAMPLE_PICTURE))]
    image: String,
}

/// Several pictures in JSON.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes a request; the envelope reads it borrowed"
)]
pub(super) struct ImagesJson {
    /// Base64 of PNG, JPEG, WebP, BMP, GIF or TIFF files, or `data:` URLs.
    #[schema(example = json!([EXAMPLE_PICTURE, EXAMPLE_PICTURE]))]
    images: Vec<String>,
}

/// Pictures as numbers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a request; `tensor` reads it")]
pub(super) struct TensorJson {
    /// Always `serving_default`; may be left out.
    #[schema(example = "serving_default")]
    signature_name: Option<String>,
    /// `[pictures][height][width][channels]`, values 0 to 1.
    #[schema(value_type = Vec<Vec<Vec<Vec<f32>>>>, example = json!([]))]
    data: Vec<f32>,
}

/// What a picture really shows.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a request; `feedback` reads it")]
pub(super) struct FeedbackJson {
    /// `request_id` of the prediction.
    #[schema(example = "01939c1e-7a4c-7d52-9a53-3f1d8a1b2c4d")]
    request_id: String,
    /// The right class.
    #[schema(example = "coat")]
    label: String,
    /// Which picture of the request, from 0; may be left out.
    index: Option<u32>,
    /// Words beside it; may be left out.
    comment: Option<String>,
    /// Where it comes from; `api` if left out.
    source: Option<String>,
}

/// Answer of `/feedback`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct Accepted {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    status: String,
}

/// Why a request was not answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `refusal` writes it")]
pub(super) struct ErrorBody {
    /// A sentence; for status 422 with code `validation` a list of what is wrong and where.
    #[schema(example = "the queue is full: the server is behind, try again later")]
    detail: Detail,
    /// A stable name.
    #[schema(example = "queue_full")]
    code: String,
    /// The request's id.
    #[schema(example = "01939c1e-7a4c-7d52-9a53-3f1d8a1b2c4d")]
    request_id: String,
}

/// Answer of `/predict/batch`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswer<'a> {
    /// In the order of the request.
    pub(super) predictions: Vec<BatchItem<'a>>,
    /// Which model answered.
    pub(super) model: ModelRef<'a>,
}

/// One picture of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchItem<'a> {
    /// What it shows.
    Answered(Prediction<'a>),
    /// Why it was not answered.
    Failed {
        /// The reason, as in an answer of its own.
        #[schema(value_type = ItemError)]
        error: serde_json::Value,
    },
}

/// Why one picture of a batch was not answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `refusal` writes it")]
pub(super) struct ItemError {
    /// A stable name.
    #[schema(example = "image_decode")]
    code: String,
    /// As in `ErrorBody`.
    detail: Detail,
}

/// A batch that was not answered: as a whole, or each of its pictures for itself.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) enum BatchRefusal<'a> {
    /// The request was refused.
    Whole(ErrorBody),
    /// Every picture failed.
    Each(BatchAnswer<'a>),
}

/// Is the server well?
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct Health {
    /// `ok`, `ready`, `loading` or `draining`.
    #[schema(example = "ready")]
    status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_classes_stand_in_their_order() {
        let classes: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let p = [0.25, 0.5, 0.25];
        let labels = |top| {
            let ranked = ranked(&classes, &p, top);
            ranked.iter().map(|r| r.label).collect::<String>()
        };
        assert_eq!((labels(9), labels(2)), ("bac".to_owned(), "ba".to_owned()));
        assert_eq!(likeliest(&p), 1);
        assert_eq!(likeliest(&[0.5, 0.5]), 0);
    }

    #[test]
    fn probabilities_keep_the_order_of_the_classes() {
        let classes: Vec<String> = ["z", "a"].map(str::to_owned).to_vec();
        let values = [0.1, 0.9];
        let written = serde_json::to_string(&Probabilities {
            classes: &classes,
            values: &values,
        });
        assert_eq!(written.unwrap(), r#"{"z":0.1,"a":0.9}"#);
    }
}
