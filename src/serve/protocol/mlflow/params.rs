//! The member `params` of a request to `/invocations`. What is not known is left alone, as MLflow
//! does. Imports: serde.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::words::shown;

/// The member as it was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum GivenParams {
    #[default]
    Nothing,
    Members(Members),
    /// Neither an object nor null.
    Odd,
}

/// Those that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Members {
    top_k: Option<Scalar>,
    returned: Option<Scalar>,
}

/// What is answered for each picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Returned {
    /// Numbers.
    #[default]
    Probabilities,
    /// Names of classes.
    Labels,
}

/// What is asked for beside the inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Params {
    /// So many classes of each picture, the likeliest first; all, or the likeliest, if not given.
    pub(super) top_k: Option<usize>,
    pub(super) returned: Returned,
}

/// A small value; what is larger is not kept.
#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Whole(u64),
    Text(String),
    Other,
}

impl GivenParams {
    /// Returns them, or what is wrong with them.
    pub(super) fn read(self) -> Result<Params, String> {
        let members = match self {
            Self::Nothing => return Ok(Params::default()),
            Self::Members(members) => members,
            Self::Odd => return Err("`params` must be a dictionary: {\"top_k\": 3}".to_owned()),
        };
        let top_k = match members.top_k {
            None => None,
            Some(Scalar::Whole(k)) if 1 <= k => Some(usize::try_from(k).unwrap_or(usize::MAX)),
            Some(Scalar::Whole(_) | Scalar::Text(_) | Scalar::Other) => {
                return Err("the param `top_k` must be a whole number, at least 1".to_owned());
            }
        };
        let returned = match &members.returned {
            None => Returned::default(),
            Some(Scalar::Text(word)) if word == "probabilities" => Returned::Probabilities,
            Some(Scalar::Text(word)) if word == "labels" => Returned::Labels,
            Some(Scalar::Text(_) | Scalar::Whole(_) | Scalar::Other) => {
                return Err("the param `return` must be 'probabilities' or 'labels'".to_owned());
            }
        };
        Ok(Params { top_k, returned })
    }
}

impl<'de> Deserialize<'de> for GivenParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = GivenParams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of params")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<GivenParams, A::Error> {
        let mut known = Members::default();
        while let Some(key) = members.next_key::<Scalar>()? {
            match &key {
                Scalar::Text(key) if key == "top_k" => known.top_k = members.next_value()?,
                Scalar::Text(key) if key == "return" => known.returned = members.next_value()?,
                Scalar::Text(_) | Scalar::Whole(_) | Scalar::Other => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(GivenParams::Members(known))
    }

    fn visit_unit<E>(self) -> Result<GivenParams, E> {
        Ok(GivenParams::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<GivenParams, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(GivenParams::Odd)
    }

    fn visit_bool<E>(self, _: bool) -> Result<GivenParams, E> {
        Ok(GivenParams::Odd)
    }

    fn visit_u64<E>(self, _: u64) -> Result<GivenParams, E> {
        Ok(GivenParams::Odd)
    }

    fn visit_i64<E>(self, _: i64) -> Result<GivenParams, E> {
        Ok(GivenParams::Odd)
    }

    fn visit_f64<E>(self, _: f64) -> Result<GivenParams, E> {
        Ok(GivenParams::Odd)
    }

    fn visit_str<E>(self, _: &str) -> Result<GivenParams, E> {
        Ok(GivenParams::Odd)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Small)
    }
}

struct Small;

impl<'de> Visitor<'de> for Small {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(shown(text).into_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_checked_and_others_passed_over() {
        let read = |text: &str| serde_json::from_str::<GivenParams>(text).unwrap().read();
        let params = |top_k, returned| Ok(Params { top_k, returned });
        let plain = Returned::Probabilities;
        assert_eq!(read("null"), params(None, plain));
        assert_eq!(read("{}"), params(None, plain));
        assert_eq!(
            read(r#"{"temperature": [{}], "top_k": 3}"#),
            params(Some(3), plain)
        );
        assert_eq!(
            read(r#"{"top_k": null, "return": null}"#),
            params(None, plain)
        );
        assert_eq!(
            read(r#"{"return": "labels"}"#),
            params(None, Returned::Labels)
        );
        assert_eq!(read(r#"{"return": "probabilities"}"#), params(None, plain));
        for text in ["0", "-1", "1.5", "\"3\"", "[3]", "{}", "true"] {
            let error = read(&format!("{{\"top_k\": {text}}}")).unwrap_err();
            assert!(error.contains("at least 1"), "{text}: {error}");
        }
        for text in ["\"label\"", "3", "[[]]"] {
            let error = read(&format!("{{\"return\": {text}}}")).unwrap_err();
            assert!(error.contains("'labels'"), "{text}: {error}");
        }
        for text in [
            "[]",
            "[{\"top_k\": 3}]",
            "3",
            "\"top_k\"",
            "false",
            "-1",
            "1.5",
        ] {
            assert!(read(text).unwrap_err().contains("dictionary"), "{text}");
        }
    }
}
