//! Reads the parameters of a stage. Imports: base, project.

use std::collections::BTreeMap;

use crate::base::doc::{Fields, KeyPath, On, Value};
use crate::project::PARAMS_FILE;

use super::ParamRef;
use super::paths::path_in;
use super::read::wrong_type;

/// Reads `params`: keys of `params.yaml`, or `file: [keys]`; without keys it is the whole file.
pub(super) fn read(fields: &Fields<'_, '_>, base: &str) -> BTreeMap<ParamRef, KeyPath> {
    let problems = fields.problems();
    let mut params = BTreeMap::new();
    let at = fields.path("params");
    let mut add = |file: &str, key: Option<&str>, place: &KeyPath| {
        let Some(file) = path_in(problems, base, file, place) else {
            return;
        };
        let key = match key.map(str::parse::<KeyPath>) {
            None => KeyPath::root(),
            Some(Ok(key)) => key,
            Some(Err(e)) => {
                problems.report(place, On::Value, "bad-key", e.to_string(), "", None);
                return;
            }
        };
        params.insert(ParamRef { file, key }, place.clone());
    };
    let items = match fields.get("params") {
        None => return params,
        Some(Value::List(items)) => items,
        Some(other) => {
            wrong_type(problems, &at, "a list of keys, or of `file: [keys]`", other);
            return params;
        }
    };
    for (i, item) in items.iter().enumerate() {
        let place = at.index(i);
        match item {
            Value::Str(key) => add(PARAMS_FILE, Some(key), &place),
            Value::Map(files) => {
                for (file, keys) in files {
                    let inside = place.key(file);
                    match keys {
                        Value::Null => add(file, None, &inside),
                        Value::List(keys) if keys.is_empty() => add(file, None, &inside),
                        Value::List(keys) => {
                            for (j, key) in keys.iter().enumerate() {
                                match key.as_str() {
                                    Some(key) => add(file, Some(key), &inside.index(j)),
                                    None => wrong_type(problems, &inside.index(j), "a key", key),
                                }
                            }
                        }
                        other => wrong_type(problems, &inside, "a list of keys", other),
                    }
                }
            }
            other => wrong_type(problems, &place, "a key, or `file: [keys]`", other),
        }
    }
    params
}
