//! Reading requests, as lenient and as strict as MLflow is: fields in its spelling or in lower camel
//! case, numbers also as texts, enums by name or number, `null` as absent, unknown fields ignored;
//! what does not fit is refused in MLflow's words. Imports: base, track, `mlflow::*`.
//!
//! `Fields` is a request of any endpoint, from the query or the body. The two endpoints that
//! trainings call again and again read their bodies into structs of `Scalar`s instead.

use std::borrow::Cow;
use std::fmt::{self, Display};

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::base::clock::Timestamp;
use crate::mlflow::refused::Refused;
use crate::track::entity::{ExperimentId, Tag, View};
use crate::track::{RunId, validate};

use super::Ask;

/// What MLflow says after what it says.
const SEE_DOCS: &str = "See the API docs for more information about request parameters.";

/// Characters of a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 200;

/// A value of a request before anybody has said what it should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Scalar<'a> {
    /// Not there, or `null`.
    #[default]
    Absent,
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Double(f64),
    /// Anything else.
    Other(Value),
}

impl<'a> Scalar<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Absent,
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Self::Integer(integer),
                (None, Some(double)) => Self::Double(double),
                (None, None) => Self::Other(value.clone()),
            },
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Self::Other(value.clone()),
        }
    }

    /// Takes a text; none if absent.
    pub(super) fn text(self, name: impl Display) -> Result<Option<Cow<'a, str>>, Refused> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Integer(_) | Self::Double(_) | Self::Other(_) => Err(self.mistyped(name)),
        }
    }

    /// Takes a text that has to be there and is not empty.
    pub(super) fn required(self, name: impl Display) -> Result<Cow<'a, str>, Refused> {
        match self {
            Self::Absent => Err(missing(name)),
            Self::Text(text) if text.is_empty() => Err(missing(name)),
            other => Ok(other.text(&name)?.unwrap_or_default()),
        }
    }

    /// Takes a whole number: a number without a fraction, or a text of digits.
    pub(super) fn integer(self, name: impl Display) -> Result<Option<i64>, Refused> {
        match &self {
            Self::Absent => Ok(None),
            Self::Integer(integer) => Ok(Some(*integer)),
            Self::Double(double) => match whole(*double) {
                Some(integer) => Ok(Some(integer)),
                None => Err(self.mistyped(name)),
            },
            Self::Text(text) => match text.trim().parse() {
                Ok(integer) => Ok(Some(integer)),
                Err(_) => Err(self.mistyped(name)),
            },
            Self::Other(_) => Err(self.mistyped(name)),
        }
    }

    /// Takes a number: a number, a text of one, or `"NaN"`, `"Infinity"`, `"-Infinity"`.
    pub(super) fn double(self, name: impl Display) -> Result<Option<f64>, Refused> {
        match &self {
            Self::Absent => Ok(None),
            #[expect(clippy::cast_precision_loss, reason = "as any reader of JSON does")]
            Self::Integer(integer) => Ok(Some(*integer as f64)),
            Self::Double(double) => Ok(Some(*double)),
            Self::Text(text) => match text.trim().parse::<f64>() {
                // `1e999` is no infinity, though it is read as one.
                Ok(double)
                    if double.is_finite() || !text.contains(|c: char| c.is_ascii_digit()) =>
                {
                    Ok(Some(double))
                }
                Ok(_) | Err(_) => Err(self.mistyped(name)),
            },
            Self::Other(_) => Err(self.mistyped(name)),
        }
    }

    /// Takes a truth.
    fn flag(self, name: impl Display) -> Result<Option<bool>, Refused> {
        match &self {
            Self::Absent => Ok(None),
            Self::Other(Value::Bool(flag)) => Ok(Some(*flag)),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Self::Text(_) | Self::Integer(_) | Self::Double(_) | Self::Other(_) => {
                Err(self.mistyped(name))
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Absent => Value::Null,
            Self::Text(text) => Value::from(text.as_ref()),
            Self::Integer(integer) => Value::from(*integer),
            Self::Double(double) => Value::from(*double),
            Self::Other(value) => value.clone(),
        }
    }

    fn mistyped(&self, name: impl Display) -> Refused {
        mistyped(name, &self.json())
    }
}

/// The request lacks a value that it needs.
pub(super) fn missing(name: impl Display) -> Refused {
    Refused::invalid(format!(
        "Missing value for required parameter '{name}'. {SEE_DOCS}"
    ))
}

/// The value is of another type than the one it has to be of.
fn mistyped(name: impl Display, value: &Value) -> Refused {
    let kind = match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    unfit(
        name,
        value,
        format_args!("Hint: Value was of type '{kind}'."),
    )
}

/// The value is not one that can be, and why.
pub(super) fn unfit(name: impl Display, value: &Value, why: impl Display) -> Refused {
    let value = value.to_string();
    let shown = validate::cut(&value, SHOWN_CHARS_MAX);
    let more = if shown.len() < value.len() { "…" } else { "" };
    Refused::invalid(format!(
        "Invalid value {shown}{more} for parameter '{name}' supplied: {why} {SEE_DOCS}"
    ))
}

fn whole(double: f64) -> Option<i64> {
    // Both bounds are exact: 2^63 is the first that does not fit.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within the bounds, without a fraction"
    )]
    (double.fract() == 0.0 && (-BOUND..BOUND).contains(&double)).then_some(double as i64)
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(integer))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Self::Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "as any reader of JSON does")]
        Ok(i64::try_from(integer).map_or(Scalar::Double(integer as f64), Scalar::Integer))
    }

    fn visit_f64<E>(self, double: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Double(double))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other(Value::Bool(flag)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(items)).map(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(entries)).map(Scalar::Other)
    }
}

/// A list of a request, before anybody has said that it should be one.
#[derive(Debug)]
pub(super) enum Listed<'a, T> {
    /// It is one, or absent.
    Items(Vec<T>),
    /// It is something else.
    Other(Scalar<'a>),
}

impl<T> Default for Listed<'_, T> {
    fn default() -> Self {
        Self::Items(Vec::new())
    }
}

impl<T> Listed<'_, T> {
    /// Takes the items.
    pub(super) fn items(self, name: &str) -> Result<Vec<T>, Refused> {
        match self {
            Self::Items(items) => Ok(items),
            Self::Other(Scalar::Absent) => Ok(Vec::new()),
            Self::Other(other) => Err(other.mistyped(name)),
        }
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Listed<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(std::marker::PhantomData))
    }
}

struct ListVisitor<'a, T>(std::marker::PhantomData<Listed<'a, T>>);

impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for ListVisitor<'a, T> {
    type Value = Listed<'a, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Listed::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Listed::Other(Scalar::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Self::Value, E> {
        Ok(Listed::Other(Scalar::Integer(integer)))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Self::Value, E> {
        Ok(Listed::Other(Scalar::Other(Value::from(integer))))
    }

    fn visit_f64<E>(self, double: f64) -> Result<Self::Value, E> {
        Ok(Listed::Other(Scalar::Double(double)))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Listed::Other(Scalar::Other(Value::Bool(flag))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Listed::Items(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(entries))?;
        Ok(Listed::Other(Scalar::Other(value)))
    }
}

/// Where fields come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The query: all values are texts, and a list with one item looks like its item.
    Query,
    /// The body.
    Body,
}

/// The fields of a request, or of an object in one.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: Cow<'a, Map<String, Value>>,
    origin: Origin,
    /// What stands before the names in messages: `tags[0].`.
    place: String,
}

impl Fields<'static> {
    /// Reads the fields of a question: those of the body, or of the query if there is no body.
    pub(super) fn of(ask: &Ask) -> Result<Self, Refused> {
        if !ask.body.is_empty() {
            return Self::of_body(ask);
        }
        Ok(Self::new(of_query(&ask.query), Origin::Query))
    }

    /// Reads the fields of a change, which are in the body alone.
    pub(super) fn of_body(ask: &Ask) -> Result<Self, Refused> {
        let map = if ask.body.is_empty() {
            Map::new()
        } else {
            object(&ask.body)?
        };
        Ok(Self::new(map, Origin::Body))
    }

    fn new(map: Map<String, Value>, origin: Origin) -> Self {
        Self {
            map: Cow::Owned(map),
            origin,
            place: String::new(),
        }
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        // An empty message.
        Ok(Value::Null) => Ok(Map::new()),
        Ok(other) => Err(unfit("body", &other, "a request is a JSON object.")),
        Err(error) => Err(Refused::broken_json(&error)),
    }
}

fn of_query(query: &[(String, String)]) -> Map<String, Value> {
    let mut map = Map::new();
    for (key, text) in query {
        let text = Value::from(text.as_str());
        match map.get_mut(key) {
            None => {
                map.insert(key.clone(), text);
            }
            Some(Value::Array(list)) => list.push(text),
            Some(first) => *first = Value::Array(vec![first.take(), text]),
        }
    }
    map
}

/// Returns the lower camel spelling of a name.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    camel
}

impl Fields<'_> {
    fn value(&self, name: &str) -> Result<&Value, Refused> {
        let spelt = self.map.get(name);
        let other = if name.contains('_') {
            self.map.get(&camel(name))
        } else {
            None
        };
        match (spelt, other) {
            (Some(_), Some(_)) => Err(Refused::invalid(format!(
                "Request specifies both '{name}' and '{}'; provide only one of them.",
                camel(name)
            ))),
            (Some(value), None) | (None, Some(value)) => Ok(value),
            (None, None) => Ok(&Value::Null),
        }
    }

    fn scalar(&self, name: &str) -> Result<Scalar<'_>, Refused> {
        let value = match self.value(name)? {
            // As Flask does: the first.
            Value::Array(list) if self.origin == Origin::Query => {
                list.first().unwrap_or(&Value::Null)
            }
            value => value,
        };
        Ok(Scalar::of(value))
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    /// Returns a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refused> {
        let text = self.scalar(name)?.text(self.name(name))?;
        Ok(text.map(Cow::into_owned))
    }

    /// Returns a text, unless it is empty: what clients send for one that is not set.
    pub(super) fn filled(&self, name: &str) -> Result<Option<String>, Refused> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// Returns a text that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<String, Refused> {
        let text = self.scalar(name)?.required(self.name(name))?;
        Ok(text.into_owned())
    }

    /// Returns a whole number.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refused> {
        self.scalar(name)?.integer(self.name(name))
    }

    /// Returns a truth.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refused> {
        self.scalar(name)?.flag(self.name(name))
    }

    /// Returns a time, milliseconds since 1970.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Refused> {
        let time = self.integer(name)?;
        time.map(|ms| check_time(self.name(name), ms)).transpose()
    }

    fn list(&self, name: &str) -> Result<&[Value], Refused> {
        match self.value(name)? {
            Value::Null => Ok(&[]),
            Value::Array(list) => Ok(list),
            one @ Value::String(_) if self.origin == Origin::Query => Ok(std::slice::from_ref(one)),
            other => Err(mistyped(self.name(name), other)),
        }
    }

    /// Is there a value?
    pub(super) fn has(&self, name: &str) -> Result<bool, Refused> {
        Ok(!self.value(name)?.is_null())
    }

    /// Returns a list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Refused> {
        let list = self.list(name)?;
        let texts = list.iter().map(|item| match item {
            Value::String(text) => Ok(text.clone()),
            // MLflow names the list, not the item.
            _ => Err(mistyped(self.name(name), &Value::from(list))),
        });
        texts.collect()
    }

    /// Returns a list of objects.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Fields<'_>>, Refused> {
        let list = self.list(name)?;
        let objects = list.iter().enumerate().map(|(i, item)| match item {
            Value::Object(map) => Ok(Fields {
                map: Cow::Borrowed(map),
                origin: Origin::Body,
                place: format!("{}{name}[{i}].", self.place),
            }),
            _ => Err(mistyped(self.name(name), &Value::from(list))),
        });
        objects.collect()
    }

    /// Returns the object of this name.
    pub(super) fn object(&self, name: &str) -> Result<Fields<'_>, Refused> {
        match self.value(name)? {
            Value::Object(map) => Ok(Fields {
                map: Cow::Borrowed(map),
                origin: Origin::Body,
                place: format!("{}{name}.", self.place),
            }),
            Value::Null => Err(missing(self.name(name))),
            other => Err(mistyped(self.name(name), other)),
        }
    }

    /// Returns a list of keys with texts: tags, params.
    pub(super) fn tags(&self, name: &str) -> Result<Vec<Tag>, Refused> {
        let objects = self.objects(name)?;
        objects.iter().map(Fields::tag).collect()
    }

    /// Returns a key and its text; none is an empty one.
    pub(super) fn tag(&self) -> Result<Tag, Refused> {
        let key = self.required("key")?;
        Ok(Tag::new(key, self.text("value")?.unwrap_or_default()))
    }

    /// Returns one of the values of an enum, by name or number.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, i64, T)],
    ) -> Result<Option<T>, Refused> {
        let given = self.scalar(name)?;
        if given == Scalar::Absent {
            return Ok(None);
        }
        let number = given.clone().integer(name).ok().flatten();
        let chosen = choices.iter().find(|(word, of_word, _)| match &given {
            Scalar::Text(text) if text == word => true,
            _ => number == Some(*of_word),
        });
        let words = || {
            let words: Vec<&str> = choices.iter().map(|(word, _, _)| *word).collect();
            words.join(", ")
        };
        match chosen {
            Some((_, _, value)) => Ok(Some(*value)),
            None => Err(unfit(
                self.name(name),
                &given.json(),
                format_args!("it must be one of {}.", words()),
            )),
        }
    }

    /// Returns which of the active and the deleted are meant.
    pub(super) fn view(&self, name: &str) -> Result<View, Refused> {
        let views = [
            ("ACTIVE_ONLY", 1, View::Active),
            ("DELETED_ONLY", 2, View::Deleted),
            ("ALL", 3, View::All),
        ];
        Ok(self.choice(name, &views)?.unwrap_or_default())
    }

    /// Returns `max_results`, if given.
    pub(super) fn max_results_given(&self, limit: usize) -> Result<Option<usize>, Refused> {
        let Some(given) = self.integer("max_results")? else {
            return Ok(None);
        };
        let why = match usize::try_from(given) {
            Ok(max) if 1 <= max && max <= limit => return Ok(Some(max)),
            Ok(max) if limit < max => format!("It must be at most {limit}."),
            Ok(_) | Err(_) => "It must be a positive integer.".to_owned(),
        };
        Err(unfit("max_results", &Value::from(given), why))
    }

    /// Returns how many items a page may have.
    pub(super) fn max_results(&self, default: usize, limit: usize) -> Result<usize, Refused> {
        Ok(self.max_results_given(limit)?.unwrap_or(default))
    }

    /// Returns the token of a page, unless it is the first.
    pub(super) fn page_token(&self) -> Result<Option<String>, Refused> {
        self.filled("page_token")
    }

    /// Returns the run that is meant: `run_id`, or its twin `run_uuid`.
    pub(super) fn run(&self) -> Result<RunId, Refused> {
        run(self.scalar("run_id")?, self.scalar("run_uuid")?)
    }

    /// Returns the experiment that is meant.
    pub(super) fn experiment(&self) -> Result<ExperimentId, Refused> {
        experiment(&self.required("experiment_id")?)
    }

    /// Returns the experiments that are meant.
    pub(super) fn experiments(&self) -> Result<Vec<ExperimentId>, Refused> {
        let ids = self.texts("experiment_ids")?;
        ids.iter().map(|id| experiment(id)).collect()
    }

    /// Returns the number of a version of a model, given as a text or a number.
    pub(super) fn version(&self) -> Result<i64, Refused> {
        let given = self.scalar("version")?;
        match &given {
            Scalar::Absent => Err(missing("version")),
            Scalar::Text(text) if text.is_empty() => Err(missing("version")),
            Scalar::Text(text) => text.trim().parse().map_err(|_| {
                let shown = validate::cut(text, SHOWN_CHARS_MAX);
                Refused::invalid(format!(
                    "Parameter 'version' must be an integer, got '{shown}'."
                ))
            }),
            Scalar::Integer(_) | Scalar::Double(_) | Scalar::Other(_) => {
                let number = given.integer("version")?;
                number.ok_or_else(|| missing("version"))
            }
        }
    }
}

/// Returns the run that `run_id` or its twin `run_uuid` names.
pub(super) fn run(id: Scalar<'_>, twin: Scalar<'_>) -> Result<RunId, Refused> {
    let is_given = |scalar: &Scalar<'_>| match scalar {
        Scalar::Absent => false,
        Scalar::Text(text) => !text.is_empty(),
        Scalar::Integer(_) | Scalar::Double(_) | Scalar::Other(_) => true,
    };
    let given = if is_given(&id) { id } else { twin };
    Ok(validate::run_id(&given.required("run_id")?)?)
}

/// Reads the id of an experiment.
fn experiment(text: &str) -> Result<ExperimentId, Refused> {
    match text.parse() {
        Ok(id) => Ok(ExperimentId(id)),
        Err(_) => Err(Refused::invalid(format!(
            "Invalid experiment ID '{}'. Experiment ID must be a valid integer.",
            validate::cut(text, SHOWN_CHARS_MAX)
        ))),
    }
}

/// Checks that a time is one that this program can show.
pub(super) fn check_time(name: impl Display, ms: i64) -> Result<i64, Refused> {
    if 0 <= ms && Timestamp::from_millisecond(ms).is_ok() {
        return Ok(ms);
    }
    Err(unfit(
        name,
        &Value::Number(Number::from(ms)),
        "Timestamp must be a nonnegative long (64-bit integer): milliseconds since 1970, before the \
         year 10000.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: fmt::Debug>(result: Result<T, Refused>) -> String {
        result.unwrap_err().message.into_owned()
    }

    fn body(text: &str) -> Fields<'static> {
        Fields::of(&Ask::of(&[], text)).unwrap()
    }

    #[test]
    fn names_have_two_spellings() {
        assert_eq!(camel("run_id"), "runId");
        assert_eq!(
            camel("archive_existing_versions"),
            "archiveExistingVersions"
        );
        let fields = body(r#"{"runName": "a", "max_results": 3, "unknown": {}, "key": null}"#);
        assert_eq!(fields.required("run_name").unwrap(), "a");
        assert_eq!(fields.integer("max_results").unwrap(), Some(3));
        assert_eq!(fields.text("key").unwrap(), None);
        assert!(!fields.has("key").unwrap());
        let both = body(r#"{"runName": "a", "run_name": "b"}"#);
        assert_eq!(
            message(both.text("run_name")),
            "Request specifies both 'run_name' and 'runName'; provide only one of them."
        );
    }

    #[test]
    fn bodies_are_objects() {
        for text in ["", "null", "{}"] {
            assert!(body(text).map.is_empty(), "{text:?}");
        }
        for text in ["[]", "3", "\"{}\"", "{", "{\"a\": }", "\u{feff}{}"] {
            let message = message(Fields::of(&Ask::of(&[], text)));
            assert!(
                message.contains("body") && (message.contains("JSON")),
                "{text:?}: {message}"
            );
        }
        let place = message(Fields::of(&Ask::of(&[], "{\n \"a\": x}")));
        assert!(place.contains("line 2"), "{place}");
        let deep = "[".repeat(100_000);
        assert!(Fields::of(&Ask::of(&[], &deep)).is_err());
    }

    #[test]
    fn whole_numbers_may_be_texts() {
        let fields = body(
            r#"{"a": 7, "b": "-8", "c": 9.0, "d": "9223372036854775807", "e": 1.5, "f": "x",
                "g": true, "h": 9223372036854775808, "i": [1], "j": ""}"#,
        );
        let read = |name| fields.integer(name).ok().flatten();
        assert_eq!(
            ["a", "b", "c", "d"].map(read),
            [Some(7), Some(-8), Some(9), Some(i64::MAX)]
        );
        for name in ["e", "f", "g", "h", "i", "j"] {
            let message = message(fields.integer(name));
            assert!(
                message.contains(&format!("for parameter '{name}' supplied: Hint")),
                "{message}"
            );
        }
        assert_eq!(
            message(fields.integer("e")),
            "Invalid value 1.5 for parameter 'e' supplied: Hint: Value was of type 'float'. See the \
             API docs for more information about request parameters."
        );
    }

    #[test]
    fn numbers_may_be_texts_and_no_numbers() {
        let double = |text: &str| Scalar::Text(text.into()).double("value").ok().flatten();
        assert_eq!(double("1.5e3"), Some(1500.0));
        assert_eq!(double("Infinity"), Some(f64::INFINITY));
        assert_eq!(double("-Infinity"), Some(f64::NEG_INFINITY));
        assert!(double("NaN").unwrap().is_nan());
        for text in ["", "1e999", "abc", "0x10", "1,5"] {
            assert_eq!(double(text), None, "{text}");
        }
        assert_eq!(Scalar::Integer(3).double("value").unwrap(), Some(3.0));
        assert_eq!(
            message(Scalar::Other(Value::Bool(true)).double("value")),
            "Invalid value true for parameter 'value' supplied: Hint: Value was of type 'bool'. See \
             the API docs for more information about request parameters."
        );
    }

    #[test]
    fn what_is_needed_is_asked_for() {
        for text in ["{}", r#"{"name": null}"#, r#"{"name": ""}"#] {
            assert_eq!(
                message(body(text).required("name")),
                "Missing value for required parameter 'name'. See the API docs for more \
                 information about request parameters."
            );
        }
        let tags = body(r#"{"tags": [{"key": "a"}, {"value": "b"}]}"#);
        assert!(message(tags.tags("tags")).contains("'tags[1].key'"));
        let tags = body(r#"{"tags": [{"key": "a", "value": 3}]}"#);
        assert!(
            message(tags.tags("tags")).contains("Invalid value 3 for parameter 'tags[0].value'")
        );
    }

    #[test]
    fn lists_are_repeated_keys_in_a_query() {
        let query = [
            ("order_by", "a"),
            ("order_by", "b"),
            ("stages", "x"),
            ("max_results", "5"),
        ];
        let fields = Fields::of(&Ask::of(&query, "")).unwrap();
        assert_eq!(fields.texts("order_by").unwrap(), ["a", "b"]);
        assert_eq!(fields.texts("stages").unwrap(), ["x"]);
        assert_eq!(fields.text("order_by").unwrap().as_deref(), Some("a"));
        assert_eq!(fields.max_results(10, 100).unwrap(), 5);
        // A change has no query.
        let fields = Fields::of_body(&Ask::of(&query, "")).unwrap();
        assert!(fields.map.is_empty());
        assert!(message(body(r#"{"stages": "x"}"#).texts("stages")).contains("type 'str'"));
        assert!(message(body(r#"{"stages": ["x", 2]}"#).texts("stages")).contains(r#"["x",2]"#));
    }

    #[test]
    fn enums_go_by_name_or_number() {
        let view = |text: &str| body(&format!(r#"{{"view_type": {text}}}"#)).view("view_type");
        assert_eq!(view("\"ALL\"").unwrap(), View::All);
        assert_eq!(view("2").unwrap(), View::Deleted);
        assert_eq!(view("\"3\"").unwrap(), View::All);
        assert_eq!(view("null").unwrap(), View::Active);
        assert!(message(view("\"SOME\"")).contains("one of ACTIVE_ONLY, DELETED_ONLY, ALL"));
        assert!(message(view("9")).contains("Invalid value 9 for parameter 'view_type'"));
    }

    #[test]
    fn pages_have_limits() {
        let max =
            |text: &str| body(&format!(r#"{{"max_results": {text}}}"#)).max_results(1000, 50_000);
        assert_eq!(max("null").unwrap(), 1000);
        assert_eq!(max("\"50000\"").unwrap(), 50_000);
        for (text, why) in [
            ("0", "positive"),
            ("-1", "positive"),
            ("123456789", "at most 50000"),
        ] {
            let message = message(max(text));
            let start = format!("Invalid value {text} for parameter 'max_results' supplied");
            assert!(
                message.starts_with(&start) && message.contains(why),
                "{message}"
            );
        }
    }

    #[test]
    fn a_run_has_two_names_for_its_id() {
        let id = "0123456789abcdef0123456789abcdef";
        for text in [
            format!(r#"{{"run_id": "{id}"}}"#),
            format!(r#"{{"run_uuid": "{id}"}}"#),
            format!(r#"{{"run_id": "", "runUuid": "{id}"}}"#),
        ] {
            assert_eq!(body(&text).run().unwrap().to_string(), id);
        }
        assert!(message(body("{}").run()).contains("'run_id'"));
        assert!(
            message(body(r#"{"run_id": 31}"#).run())
                .starts_with("Invalid value 31 for parameter 'run_id' supplied: ")
        );
    }

    #[test]
    fn versions_are_numbers_or_texts_of_them() {
        for text in ["3", "\"3\"", "3.0", "\" 3\""] {
            let fields = body(&format!(r#"{{"version": {text}}}"#));
            assert_eq!(fields.version().unwrap(), 3, "{text}");
        }
        assert_eq!(
            message(body(r#"{"version": "x"}"#).version()),
            "Parameter 'version' must be an integer, got 'x'."
        );
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let long = format!(r#"{{"experiment_id": ["{}"]}}"#, "x".repeat(10_000));
        assert!(message(body(&long).experiment()).len() < 500);
    }

    #[test]
    fn times_are_ones_that_can_be_shown() {
        assert!(check_time("t", 1_795_547_419_210).is_ok());
        for ms in [-1, i64::MAX, i64::MIN, 1_795_547_419_210_000_000] {
            assert!(check_time("t", ms).is_err(), "{ms}");
        }
    }
}
