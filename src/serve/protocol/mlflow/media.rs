//! What a body of `/invocations` is, by its `Content-Type`. MLflow's rules: one parameter is known,
//! `charset`, and it is UTF-8. Imports: nothing of ours.

use super::super::words::shown;

/// What is accepted, as the refusal lists it.
const ACCEPTED: &str = "['text/csv', 'application/json', 'image/*', 'application/x-npy']";

/// A kind of body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// A JSON object with inputs and params.
    Json,
    /// A table of one column, encoded pictures in base64.
    Csv,
    /// An array in NumPy's format.
    Npy,
    /// The file of a picture.
    Picture,
}

impl Media {
    /// Reads a `Content-Type`, or says in MLflow's words why it is not accepted.
    pub(super) fn of(content_type: Option<&str>) -> Result<Self, String> {
        let given = content_type.unwrap_or("None");
        let mut parts = given.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut others = Vec::new();
        for parameter in parts.filter(|part| !part.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !key.eq_ignore_ascii_case("charset") {
                others.push(key);
            } else if !value.trim_matches('"').eq_ignore_ascii_case("utf-8") {
                return Err("The scoring server only supports UTF-8".to_owned());
            }
        }
        if !others.is_empty() {
            let others = others.join(", ");
            let others = shown(&others);
            return Err(format!("Unrecognized content type parameters: {others}."));
        }
        match kind.as_str() {
            "application/json" => Ok(Self::Json),
            "text/csv" => Ok(Self::Csv),
            "application/x-npy" => Ok(Self::Npy),
            _ if kind.starts_with("image/") => Ok(Self::Picture),
            _ => Err(format!(
                "This predictor only supports the following content types: Types: {ACCEPTED}. Got '{}'.",
                shown(given)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_their_parameters() {
        for (content_type, expected) in [
            ("application/json", Media::Json),
            ("Application/JSON; charset=UTF-8", Media::Json),
            ("text/csv;charset=\"utf-8\"", Media::Csv),
            ("application/x-npy", Media::Npy),
            ("image/png", Media::Picture),
        ] {
            assert_eq!(
                Media::of(Some(content_type)),
                Ok(expected),
                "{content_type}"
            );
        }
        for (content_type, part) in [
            (
                Some("application/json; charset=latin-1"),
                "only supports UTF-8",
            ),
            (Some("application/json; format=x"), "parameters: format."),
            (
                Some("application/vnd.apache.parquet"),
                "Got 'application/vnd.apache.parquet'.",
            ),
            (
                Some("text/plain"),
                "Types: ['text/csv', 'application/json', ",
            ),
            (Some(""), "Got ''."),
            (None, "Got 'None'."),
        ] {
            let refused = Media::of(content_type).unwrap_err();
            assert!(refused.contains(part), "{content_type:?}: {refused}");
        }
        let long = "x".repeat(10_000);
        assert!(Media::of(Some(&long)).unwrap_err().len() < 300);
    }
}
