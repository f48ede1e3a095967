//! The lines of the prediction log. Imports: `base::clock`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// A picture and what the model said about it.
    Prediction(Box<Prediction>),
    /// What the picture really shows, as somebody says.
    Feedback(Feedback),
    /// What another version says about a picture that was answered.
    Shadow(Box<Shadow>),
}

/// What a model said about one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// When it was answered.
    #[serde(with = "rfc3339")]
    pub ts: Timestamp,
    /// The request's id.
    pub request_id: String,
    /// Which picture of the request, from 0.
    pub index: u32,
    /// The route that was asked.
    pub route: String,
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// BLAKE3 of its weights.
    pub weights: String,
    /// The likeliest class.
    pub label: String,
    /// Its probability.
    pub confidence: f32,
    /// Number of classes of the model.
    pub classes: usize,
    /// Probability of every class in their order; where there are many, of the likeliest, likeliest
    /// first.
    pub probabilities: IndexMap<String, f32>,
    /// Time in decoding, queue and network.
    pub latency_ms: f64,
    /// BLAKE3 of what was sent: the file, or the numbers as little-endian f32.
    pub image_blake3: String,
    /// Width and height of what was sent.
    pub size: [u32; 2],
    /// Format of the file that was sent; none for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Where the picture is kept, as the model saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<KeptPicture>,
}

/// Where a picture stands in the file of pictures beside its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPicture {
    /// Its first byte.
    pub at: u64,
    /// Its length.
    pub len: u32,
}

/// What a version says that is only compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// When it said so.
    #[serde(with = "rfc3339")]
    pub ts: Timestamp,
    /// The request's id.
    pub request_id: String,
    /// Which picture of the request, from 0.
    pub index: u32,
    /// Name of the model.
    pub model: String,
    /// The version that was only compared.
    pub version: String,
    /// Its likeliest class.
    pub label: String,
    /// The probability of that.
    pub confidence: f32,
    /// Is it the class that was answered?
    pub agrees: bool,
    /// As those of a prediction.
    pub probabilities: IndexMap<String, f32>,
}

/// What a picture really shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// When it was said.
    #[serde(with = "rfc3339")]
    pub ts: Timestamp,
    /// The request's id.
    pub request_id: String,
    /// Which picture of the request, from 0.
    pub index: u32,
    /// The right class.
    pub label: String,
    /// Where it comes from: `api`, `ui`.
    pub source: String,
    /// Words beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Times as people and other programs read them.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::base::clock::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}
