//! What `GET /models` says of drift. Imports: utoipa, `serve::drift::{active, standing}`.

use serde::Serialize;
use utoipa::ToSchema;

use super::active::Active;
use super::standing::Standing;

/// Whether the answers of a model still are what they were where its detectors of drift were fitted.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::serve) struct DriftInfo {
    /// `watched`, or `refused`: the detectors may not look, and `problem` says why.
    #[schema(example = "watched")]
    pub(super) state: &'static str,
    /// Why nothing is watched, and what to do; null where something is.
    pub(super) problem: Option<String>,
    /// Pictures that were looked at since the start or the last reset.
    #[schema(example = 12_600)]
    pub(super) images: u64,
    /// Pictures in the window.
    #[schema(example = 500)]
    pub(super) window_images: usize,
    /// Pictures in a full window.
    #[schema(example = 500)]
    pub(super) window_max: usize,
    /// What each detector says.
    pub(super) detectors: Vec<DetectorInfo>,
    /// Detectors that need more than a server has of a picture: embeddings of a network from an ONNX file, or
    /// errors, which feedback tells to detectors of a stream only.
    #[schema(example = json!(["embedding"]))]
    pub(super) left_out: Vec<String>,
}

/// What a detector of drift says.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::serve) struct DetectorInfo {
    /// Its name.
    #[schema(example = "softmax")]
    pub(super) name: String,
    /// What it looks at: `softmax`, `embedding`, `label`, `entropy`, `margin`, `properties` or, told by feedback
    /// and of a stream only, `error`.
    #[schema(example = "softmax")]
    pub(super) input: &'static str,
    /// `window`: the last pictures together; `stream`: one after the other.
    #[schema(example = "window")]
    pub(super) looks: &'static str,
    /// How it compares.
    #[schema(example = "ks")]
    pub(super) method: &'static str,
    /// What came of the last look: `ok`, `drift`, `error` or `too_few`; null before the first.
    #[schema(example = "ok")]
    pub(super) result: Option<&'static str>,
    /// Whether the last look found drift; of a stream, whether there was an alarm since the last reset. Null
    /// before the first look that measured something: nobody can know.
    #[schema(example = false)]
    pub(super) detected: Option<bool>,
    /// Smallest p-value of the last look; null for a stream.
    #[schema(example = 0.31)]
    pub(super) p_value: Option<f64>,
    /// Its statistic.
    #[schema(example = 0.04)]
    pub(super) score: Option<f64>,
    /// What the p-value, or of a stream the score, is compared with.
    #[schema(example = 0.001)]
    pub(super) threshold: Option<f64>,
    /// Since when drift is found; of a stream, since the first alarm after the last reset. Null if it is not.
    pub(super) drift_since: Option<String>,
    /// When it last measured something.
    #[schema(example = "2026-11-24T19:30:00.123Z")]
    pub(super) checked_at: Option<String>,
    /// Why the last look came to nothing; null if it did not.
    pub(super) problem: Option<String>,
}

impl DriftInfo {
    pub(super) fn watched(active: &Active) -> Self {
        Self {
            state: "watched",
            problem: None,
            images: active.images,
            window_images: active.window_images(),
            window_max: active.window_max(),
            detectors: active.standings().map(DetectorInfo::of).collect(),
            left_out: active.left_out.clone(),
        }
    }

    pub(super) fn refused(problem: &str) -> Self {
        Self {
            state: "refused",
            problem: Some(problem.to_owned()),
            images: 0,
            window_images: 0,
            window_max: 0,
            detectors: Vec::new(),
            left_out: Vec::new(),
        }
    }
}

impl DetectorInfo {
    fn of(standing: &Standing) -> Self {
        Self {
            name: standing.name.clone(),
            input: standing.input.name(),
            looks: standing.looks.word(),
            method: standing.method,
            result: standing.result.map(super::standing::LookResult::label),
            detected: standing.detected(),
            p_value: standing.p_value,
            score: standing.score,
            threshold: standing.threshold,
            drift_since: standing.since.map(|at| at.to_string()),
            checked_at: standing.looked_at.map(|at| at.to_string()),
            problem: standing.problem.clone(),
        }
    }
}
