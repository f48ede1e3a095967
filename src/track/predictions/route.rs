//! Which routes of a prediction server predict, by their templates: what the log calls `route`, and
//! metrics `handler`. Pure. Imports: nothing of ours.

/// How the routes end that answer predictions of other protocols than our own: MLflow's, TensorFlow
/// Serving's and KServe's, the Open Inference Protocol's.
const ENDS: [&str; 4] = ["/invocations", ":predict", ":classify", "/infer"];

/// Does a route of this template answer with predictions? Explanations do not count: each asks the
/// network some hundred times, so their times say nothing about predictions.
#[must_use]
pub fn predicts(route: &str) -> bool {
    let is_own = route
        .strip_prefix("/predict")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_own || ENDS.iter().any(|end| route.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_of_every_protocol_count_and_explanations_do_not() {
        for route in [
            "/predict",
            "/predict/batch",
            "/predict/model",
            "/invocations",
            "/v1/models/{name}:predict",
            "/v1/models/{name}/versions/{version}:classify",
            "/v2/models/{name}/infer",
            "/v2/models/{name}/versions/{version}/infer",
        ] {
            assert!(predicts(route), "{route}");
        }
        for route in [
            "/explain",
            "/v1/models/{name}:explain",
            "/v1/models/{name}",
            "/v2/models/{name}/ready",
            "/v2/repository/models/{name}/load",
            "/models/{name}/reload",
            "/feedback",
            "/metrics",
            "/predictions",
            "none",
        ] {
            assert!(!predicts(route), "{route}");
        }
    }
}
