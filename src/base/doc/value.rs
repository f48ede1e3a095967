//! `Value`: what a YAML, JSON or TOML document holds, with maps in file order.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{self, Deserialize, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

/// A mapping in file order.
pub type Map = IndexMap<String, Value>;

/// One value of a document. Whole numbers beyond 64 bits are refused: they could only be kept
/// inexactly, and a change in them would go unseen.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond `i64::MAX`; smaller ones are `Int`.
    UInt(u64),
    /// A floating-point number.
    Float(f64),
    /// A text (TOML dates are texts as well).
    Str(String),
    /// A sequence.
    List(Vec<Value>),
    /// A mapping with text keys.
    Map(Map),
}

impl Value {
    /// Returns what it is, for messages: `a list`, `a whole number`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::UInt(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Str(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// Returns the text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(s) => Some(s),
            _ => None,
        }
    }

    /// Returns the mapping, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(m) => Some(m),
            _ => None,
        }
    }

    /// Returns the list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(l) => Some(l),
            _ => None,
        }
    }

    /// Returns the whole number, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// Returns a number, whole or not.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(i) => Some(*i as f64),
            Self::UInt(u) => Some(*u as f64),
            Self::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// Returns the value as YAML text, block style, keys in their order.
    ///
    /// # Errors
    /// None that these values allow; what the writer says is passed on.
    pub fn to_yaml(&self) -> std::io::Result<String> {
        serde_yaml::to_string(self).map_err(std::io::Error::other)
    }

    /// Do two values say the same? `NaN` equals itself, and the order of keys does not count.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(x), Self::Float(y)) => x == y || (x.is_nan() && y.is_nan()),
            (Self::List(x), Self::List(y)) => {
                x.len() == y.len() && x.iter().zip(y).all(|(a, b)| a.same(b))
            }
            (Self::Map(x), Self::Map(y)) => {
                x.len() == y.len()
                    && x.iter()
                        .all(|(key, a)| y.get(key).is_some_and(|b| a.same(b)))
            }
            _ => self == other,
        }
    }

    /// Applies YAML merge keys (`<<`): own keys win, earlier sources win over later ones.
    fn merge(map: Map) -> Result<Self, String> {
        if !map.contains_key("<<") {
            return Ok(Self::Map(map));
        }
        let mut merged = Map::new();
        let mut sources = Vec::new();
        for (key, value) in map {
            if key == "<<" {
                match value {
                    Self::Map(m) => sources.push(m),
                    Self::List(items) => {
                        for item in items {
                            match item {
                                Self::Map(m) => sources.push(m),
                                other => {
                                    return Err(format!(
                                        "`<<` merges mappings, not {}",
                                        other.kind()
                                    ));
                                }
                            }
                        }
                    }
                    other => return Err(format!("`<<` merges mappings, not {}", other.kind())),
                }
            } else {
                merged.insert(key, value);
            }
        }
        for source in sources {
            for (key, value) in source {
                merged.entry(key).or_insert(value);
            }
        }
        Ok(Self::Map(merged))
    }
}

/// Writes the value in JSON's spelling, floats always recognisable as such (`1.0`).
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::UInt(u) => write!(f, "{u}"),
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Str(s) => f.write_str(&serde_json::Value::from(s.as_str()).to_string()),
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(map) => {
                f.write_str("{")?;
                for (i, (key, value)) in map.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(
                        f,
                        "{comma}{}: {value}",
                        serde_json::Value::from(key.as_str())
                    )?;
                }
                f.write_str("}")
            }
        }
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::UInt(u) => serializer.serialize_u64(*u),
            Self::Float(x) => serializer.serialize_f64(*x),
            Self::Str(s) => serializer.serialize_str(s),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(map) => serializer.collect_map(map),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// A mapping key: YAML allows any scalar, we keep its text.
struct KeyText(String);

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Str(s) => Ok(Self(s)),
            Value::Null => Ok(Self("null".to_owned())),
            Value::List(_) | Value::Map(_) => Err(de::Error::custom("a key must be a plain text")),
            scalar => Ok(Self(scalar.to_string())),
        }
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
        Ok(Value::Int(i))
    }

    fn visit_u64<E>(self, u: u64) -> Result<Value, E> {
        Ok(i64::try_from(u).map_or(Value::UInt(u), Value::Int))
    }

    fn visit_i128<E: de::Error>(self, i: i128) -> Result<Value, E> {
        i64::try_from(i).map(Value::Int).map_err(|_| too_large(&i))
    }

    fn visit_u128<E: de::Error>(self, u: u128) -> Result<Value, E> {
        u64::try_from(u)
            .map_err(|_| too_large(&u))
            .and_then(|u| self.visit_u64(u))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(Value::Float(x))
    }

    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(Value::Str(s.to_owned()))
    }

    fn visit_string<E>(self, s: String) -> Result<Value, E> {
        Ok(Value::Str(s))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(KeyText(key)) = access.next_key()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("duplicate key `{key}`")));
            }
            let value = access.next_value()?;
            map.insert(key, value);
        }
        // The toml crate hands a date over as a map of this one key.
        if map.len() == 1
            && let Some(date) = map.get("$__toml_private_datetime")
        {
            return Ok(date.clone());
        }
        Value::merge(map).map_err(de::Error::custom)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(de::Error::custom("YAML tags (`!name`) are not supported"))
    }
}

fn too_large<E: de::Error>(number: &dyn fmt::Display) -> E {
    E::custom(format!(
        "`{number}` is beyond 64 bits; write it as a text in quotes"
    ))
}
