//! What filters and orders mean: what each key can be compared with, and what a client is told
//! otherwise, in MLflow's words (`utils/search_utils.py` of 3.x has them).
//! Imports: error, attributes, parser, the requests of this room.

use super::ModelOrder;
use super::attributes::{Attribute, Entity, Lists, LoggedModelAttribute, Use};
use super::lexer::Name;
use super::parser::{self, Comparison, List, Operand, shortened};
use crate::track::error::Error;

/// What something must be like. All clauses of a filter must hold.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::track) enum Clause<A> {
    /// The latest value of a metric.
    Metric {
        /// Its name.
        name: String,
        /// How it compares.
        relation: Relation,
        /// With what.
        value: f64,
    },
    /// A param.
    Param {
        /// Its name.
        key: String,
        /// What it must be like.
        test: Test,
    },
    /// A tag.
    Tag {
        /// Its key.
        key: String,
        /// What it must be like.
        test: Test,
    },
    /// An attribute that is a text.
    Text {
        /// Which.
        attribute: A,
        /// What it must be like.
        test: Text,
    },
    /// An attribute that is a number.
    Number {
        /// Which.
        attribute: A,
        /// How it compares.
        relation: Relation,
        /// With what.
        value: Number,
    },
    /// Some dataset that was read.
    Dataset {
        /// What of it.
        attribute: DatasetAttribute,
        /// What that must be like.
        test: Text,
    },
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum Relation {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A number of a filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::track) enum Number {
    Integer(i64),
    Real(f64),
}

/// What a text must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::track) enum Text {
    Equal(String),
    NotEqual(String),
    /// `%` is any text, `_` any character.
    Like(String),
    /// As `Like`, whatever the case of ASCII letters.
    ILike(String),
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// What a tag or param must be like. Without it, only `Missing` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::track) enum Test {
    Is(Text),
    Present,
    Missing,
}

/// What a dataset can be searched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum DatasetAttribute {
    Name,
    Digest,
    /// The tag `mlflow.data.context` of the input.
    Context,
}

const DATASET_ATTRIBUTES: [(&str, DatasetAttribute); 3] = [
    ("context", DatasetAttribute::Context),
    ("digest", DatasetAttribute::Digest),
    ("name", DatasetAttribute::Name),
];

/// One key of an order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::track) struct Order<A> {
    pub(in crate::track) field: Field<A>,
    pub(in crate::track) direction: Direction,
}

/// What can be ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::track) enum Field<A> {
    Metric(String),
    Param(String),
    Tag(String),
    Attribute(A),
}

/// Lowest or highest first. What is missing is last either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum Direction {
    Ascending,
    Descending,
}

/// An order of logged models: a metric can be one of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::track) struct ModelOrdering {
    pub(in crate::track) order: Order<LoggedModelAttribute>,
    pub(in crate::track) dataset: Option<(String, Option<String>)>,
}

/// Reads a filter.
pub(in crate::track) fn filter<A: Attribute>(text: &str) -> Result<Vec<Clause<A>>, Error> {
    let comparisons = parser::comparisons(text)?;
    comparisons.iter().map(clause).collect()
}

pub(super) fn clause<A: Attribute>(comparison: &Comparison<'_>) -> Result<Clause<A>, Error> {
    let entity = entity::<A>(&comparison.name)?;
    let key = comparison.name.key;
    let is_presence = comparison.operand == Operand::None;
    if is_presence && !A::RULES.presence.contains(&entity) {
        return Err(Error::invalid((A::RULES.not_of_presence)(entity, key)));
    }
    match entity {
        Entity::Metric => {
            let Operand::Number(number) = comparison.operand else {
                return Err(Error::invalid(format!(
                    "Expected numeric value type for metric. Found {}",
                    shortened(&comparison.operand.shown())
                )));
            };
            Ok(Clause::Metric {
                name: key.to_owned(),
                relation: relation(&comparison.operator)?,
                value: real(number)?,
            })
        }
        Entity::Param | Entity::Tag => {
            let test = match (is_presence, comparison.operator.as_str()) {
                (true, "IS NULL") => Test::Missing,
                (true, _) => Test::Present,
                (false, _) => Test::Is(text_of_key::<A>(entity, comparison)?),
            };
            let key = key.to_owned();
            Ok(match entity {
                Entity::Param => Clause::Param { key, test },
                _ => Clause::Tag { key, test },
            })
        }
        Entity::Attribute => of_attribute(attribute::<A>(key, Use::Both)?, key, comparison),
        Entity::Dataset => {
            let known = DATASET_ATTRIBUTES.iter().find(|(name, _)| *name == key);
            let Some((_, attribute)) = known else {
                return Err(Error::invalid(format!(
                    "Invalid dataset key '{}' specified. Valid keys are '{}'",
                    shortened(key),
                    set(DATASET_ATTRIBUTES.iter().map(|(name, _)| *name))
                )));
            };
            let expected = "Expected a quoted string value for dataset attributes.";
            let values = values(&comparison.operand, expected)?;
            Ok(Clause::Dataset {
                attribute: *attribute,
                test: text(&comparison.operator, values, TEXTS_AND_LISTS)?,
            })
        }
    }
}

fn of_attribute<A: Attribute>(
    attribute: A,
    key: &str,
    comparison: &Comparison<'_>,
) -> Result<Clause<A>, Error> {
    let Comparison {
        operator, operand, ..
    } = comparison;
    if attribute.is_number() {
        let Operand::Number(number) = operand else {
            return Err(Error::invalid(format!(
                "Expected numeric value type for numeric attribute: {key}. Found {}",
                shortened(&operand.shown())
            )));
        };
        let value = match number.parse() {
            Ok(whole) => Number::Integer(whole),
            Err(_) => Number::Real(real(number)?),
        };
        return Ok(Clause::Number {
            attribute,
            relation: relation(operator)?,
            value,
        });
    }
    if matches!(operand, Operand::List { .. }) && !attribute.takes_list() {
        let lists = A::NAMES
            .iter()
            .filter(|(_, one, used)| one.takes_list() && *used == Use::Both)
            .map(|(name, ..)| *name);
        return Err(Error::invalid(format!(
            "Only {} attributes support comparison with a list of quoted string values.",
            list(lists)
        )));
    }
    let values = values(operand, A::RULES.text_expected)?;
    let operators = if attribute.takes_list() {
        TEXTS_AND_LISTS
    } else {
        TEXTS
    };
    Ok(Clause::Text {
        attribute,
        test: text(operator, values, operators)?,
    })
}

/// Reads what a tag or param is compared with.
fn text_of_key<A: Attribute>(entity: Entity, comparison: &Comparison<'_>) -> Result<Text, Error> {
    let takes_list = A::RULES.lists == Lists::Everywhere;
    let expected = format!(
        "Expected a quoted string value for {} (e.g. 'my-value').",
        entity.word()
    );
    if matches!(comparison.operand, Operand::List { .. }) && !takes_list {
        return Err(Error::invalid(format!(
            "{expected} Got value {}",
            shortened(&comparison.operand.shown())
        )));
    }
    let values = values(&comparison.operand, &expected)?;
    let operators = if takes_list {
        TEXTS_AND_LISTS
    } else if A::RULES.presence.contains(&entity) {
        TEXTS_AND_PRESENCE
    } else {
        TEXTS
    };
    text(&comparison.operator, values, operators)
}

/// One text or a list of them.
enum Values {
    One(String),
    Several(Vec<String>),
}

fn values(operand: &Operand<'_>, expected: &str) -> Result<Values, Error> {
    let message = match operand {
        Operand::Text(text) => return Ok(Values::One((*text).to_owned())),
        Operand::List { items, .. } => match items {
            List::Texts(texts) => return Ok(Values::Several(texts.clone())),
            List::Empty => {
                "While parsing a list in the query, expected a non-empty list of string values, \
                 but got empty list"
                    .to_owned()
            }
            List::OtherThanTexts => format!(
                "While parsing a list in the query, expected string value, punctuation, or \
                 whitespace, but got different type in list: {}",
                shortened(&operand.shown())
            ),
            List::IllFormed => {
                "While parsing a list in the query, expected a non-empty list of string values, \
                 but got ill-formed list."
                    .to_owned()
            }
        },
        Operand::Word(word) => format!(
            "Parameter value is either not quoted or unidentified quote types used for string \
             value {}. Use either single or double quotes.",
            shortened(word)
        ),
        Operand::Number(_) | Operand::None => {
            format!("{expected} Got value {}", shortened(&operand.shown()))
        }
    };
    Err(Error::invalid(message))
}

/// Operators of texts.
const TEXTS: &[&str] = &["!=", "=", "ILIKE", "LIKE"];

/// Operators of texts that may be missing.
const TEXTS_AND_PRESENCE: &[&str] = &["!=", "=", "ILIKE", "IS NOT NULL", "IS NULL", "LIKE"];

/// Operators of texts that are compared with lists as well.
const TEXTS_AND_LISTS: &[&str] = &["!=", "=", "ILIKE", "IN", "LIKE", "NOT IN"];

/// Operators of numbers.
const NUMBERS: &[&str] = &["!=", "<", "<=", "=", ">", ">="];

/// SQLite looks at no longer patterns (`SQLITE_MAX_LIKE_PATTERN_LENGTH`, bytes).
const PATTERN_MAX: usize = 50_000;

fn not_one_of(operator: &str, valid: &[&str]) -> Error {
    Error::invalid(format!(
        "Invalid comparator '{operator}' not one of '{}'",
        set(valid.iter().copied())
    ))
}

fn text(operator: &str, values: Values, valid: &[&str]) -> Result<Text, Error> {
    let refused = || not_one_of(operator, valid);
    if !valid.contains(&operator) {
        return Err(refused());
    }
    let test = match (operator, values) {
        ("=", Values::One(value)) => Text::Equal(value),
        ("!=", Values::One(value)) => Text::NotEqual(value),
        ("LIKE" | "ILIKE", Values::One(value)) if PATTERN_MAX < value.len() => {
            return Err(Error::invalid(format!(
                "Invalid pattern: at most {PATTERN_MAX} bytes are supported, got {}",
                value.len()
            )));
        }
        ("LIKE", Values::One(value)) => Text::Like(value),
        ("ILIKE", Values::One(value)) => Text::ILike(value),
        ("IN", Values::Several(values)) => Text::In(values),
        ("NOT IN", Values::Several(values)) => Text::NotIn(values),
        (_, Values::One(_) | Values::Several(_)) => return Err(refused()),
    };
    Ok(test)
}

fn relation(operator: &str) -> Result<Relation, Error> {
    match operator {
        "=" => Ok(Relation::Equal),
        "!=" => Ok(Relation::NotEqual),
        "<" => Ok(Relation::Less),
        "<=" => Ok(Relation::AtMost),
        ">" => Ok(Relation::Greater),
        ">=" => Ok(Relation::AtLeast),
        other => Err(not_one_of(other, NUMBERS)),
    }
}

fn real(number: &str) -> Result<f64, Error> {
    number.parse().map_err(|_| {
        Error::invalid(format!(
            "Expected numeric value type. Found {}",
            shortened(number)
        ))
    })
}

pub(super) fn entity<A: Attribute>(name: &Name<'_>) -> Result<Entity, Error> {
    let Some(entity) = name.entity else {
        return Ok(Entity::Attribute);
    };
    let known = A::RULES.entities.iter().find(|(one, _)| *one == entity);
    match known {
        Some((_, entity)) => Ok(*entity),
        None => Err(Error::invalid((A::RULES.unknown_entity)(&shortened(
            entity,
        )))),
    }
}

pub(super) fn attribute<A: Attribute>(key: &str, used: Use) -> Result<A, Error> {
    let is_usable = |of: Use| used == Use::Order || of == Use::Both;
    let usable = A::NAMES.iter().filter(|(_, _, of)| is_usable(*of));
    if let Some((_, attribute, _)) = usable.clone().find(|(name, ..)| *name == key) {
        return Ok(*attribute);
    }
    let what = match used {
        Use::Both => "Invalid attribute key",
        Use::Order => A::RULES.unknown_order,
    };
    Err(Error::invalid(format!(
        "{what} '{}' specified. Valid keys are '{}'",
        shortened(key),
        set(usable.map(|(name, ..)| *name))
    )))
}

/// As Python shows a set of texts.
fn set<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("{{{}}}", quoted(items))
}

/// As Python shows a list of texts.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", quoted(items))
}

fn quoted<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = items.map(|one| format!("'{one}'")).collect();
    quoted.join(", ")
}

/// More keys than a person orders by; SQLite joins no more than 64 tables.
const ORDERS_MAX: usize = 20;

/// Reads an order.
pub(in crate::track) fn orders<A: Attribute>(texts: &[String]) -> Result<Vec<Order<A>>, Error> {
    check_count(texts.len())?;
    let mut found: Vec<Order<A>> = Vec::new();
    for text in texts {
        let (name, way) = parser::order(text)?;
        let direction = match way.map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            Some(_) => {
                return Err(Error::invalid(format!(
                    "Invalid ordering key in order_by clause '{}'.",
                    shortened(text)
                )));
            }
        };
        let entity = entity::<A>(&name)?;
        let key = name.key.to_owned();
        let has = |one: Entity| A::RULES.entities.iter().any(|(_, known)| *known == one);
        let field = match entity {
            Entity::Metric => Field::Metric(key),
            Entity::Param => Field::Param(key),
            // Whatever has metrics can be ordered by tags.
            Entity::Tag if has(Entity::Metric) => Field::Tag(key),
            Entity::Attribute => Field::Attribute(attribute(&key, Use::Order)?),
            Entity::Tag => return Err(Error::invalid("Invalid order_by entity: tag")),
            Entity::Dataset => return Err(Error::invalid("Invalid identifier type 'dataset'")),
        };
        if found.iter().any(|order| order.field == field) {
            return Err(duplicate(&list(texts.iter().map(String::as_str))));
        }
        found.push(Order { field, direction });
    }
    Ok(found)
}

/// Refuses too many keys before they are compared with one another.
fn check_count(orders: usize) -> Result<(), Error> {
    if ORDERS_MAX < orders {
        return Err(Error::invalid(format!(
            "Invalid order_by: at most {ORDERS_MAX} fields are supported, got {orders}"
        )));
    }
    Ok(())
}

fn duplicate(shown: &str) -> Error {
    Error::invalid(format!(
        "`order_by` contains duplicate fields: {}",
        shortened(shown)
    ))
}

/// Reads an order of logged models.
pub(in crate::track) fn model_orders(wanted: &[ModelOrder]) -> Result<Vec<ModelOrdering>, Error> {
    check_count(wanted.len())?;
    let mut found: Vec<ModelOrdering> = Vec::new();
    for one in wanted {
        let direction = if one.ascending {
            Direction::Ascending
        } else {
            Direction::Descending
        };
        let field = match one.field.split_once('.') {
            Some(("metrics", name)) => Field::Metric(name.to_owned()),
            Some((entity, _)) => {
                return Err(Error::invalid(format!(
                    "Invalid order by field name: {}, only `metrics.<name>` is allowed.",
                    shortened(entity)
                )));
            }
            None => {
                let known = LoggedModelAttribute::NAMES.iter();
                let wanted = one.field.trim();
                let Some((_, attribute, _)) = known.clone().find(|(name, ..)| *name == wanted)
                else {
                    return Err(Error::invalid(format!(
                        "Invalid order by field name: {}.",
                        shortened(wanted)
                    )));
                };
                Field::Attribute(*attribute)
            }
        };
        let dataset = match field {
            Field::Metric(_) => one.dataset.clone(),
            Field::Param(_) | Field::Tag(_) | Field::Attribute(_) => None,
        };
        let is_again = found
            .iter()
            .any(|before| before.order.field == field && before.dataset == dataset);
        if is_again {
            return Err(duplicate(&list(
                wanted.iter().map(|one| one.field.as_str()),
            )));
        }
        found.push(ModelOrdering {
            order: Order { field, direction },
            dataset,
        });
    }
    Ok(found)
}
