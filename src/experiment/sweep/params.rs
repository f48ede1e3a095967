//! The params files of a sweep: the user's own as they were at its start, a trial's copies with its
//! values, and the hash over all parameters that are not swept. Imports: base, pipeline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::canon::Canon;
use crate::base::doc::{Document, Format, KeyPath, Value, edit};
use crate::base::{self, ArtifactPath};
use crate::pipeline::Plan;
use crate::pipeline::spec::ParamRef;

use super::error::SweepError;
use super::grammar::Expected;
use super::space::{Space, check_key, overlap};

use super::super::Error;

/// Params files by path.
pub type Files = BTreeMap<ArtifactPath, Document>;

/// Reads the files of the swept parameters and checks that the parameters are there.
///
/// # Errors
/// A file is missing or broken, or lacks a parameter (the nearest one is named).
pub fn read(space: &Space, root: &Path) -> Result<Files, Error> {
    let mut files = Files::new();
    for file in space.files() {
        let path = file.under(root);
        let all_new = space
            .dimensions
            .iter()
            .filter(|d| d.param.file == file)
            .all(|d| d.presence == Expected::Any);
        let document = if path.exists() {
            Document::read(&path, file.as_str())?
        } else if all_new {
            let format = Format::of_path(&path);
            let empty = if format == Format::Json { "{}\n" } else { "" };
            Document::parse(file.as_str(), empty.to_owned(), format)?
        } else {
            return Err(SweepError::new(
                "missing-params-file",
                format!("there is no params file `{file}`"),
            )
            .help(
                "check its name; a key is given as `KEY=…` for `params.yaml`, else as `FILE:KEY=…`",
            )
            .into());
        };
        files.insert(file, document);
    }
    for dimension in &space.dimensions {
        if let Some(document) = files.get(&dimension.param.file) {
            check_key(dimension, &document.root)?;
        }
    }
    Ok(files)
}

/// Returns the files with `values` (one per dimension) in place; comments and order stay.
///
/// # Errors
/// A value cannot be placed: the way to it leads through something that holds no keys.
pub fn with_values(files: &Files, space: &Space, values: &[Value]) -> Result<Files, base::Error> {
    let mut edited = files.clone();
    for (dimension, value) in space.dimensions.iter().zip(values) {
        if let Some(document) = edited.get_mut(&dimension.param.file) {
            let key = &dimension.param.key;
            let found = key.find(&document.root);
            *document = edit::set(document, found.as_ref().unwrap_or(key), value)?;
        }
    }
    Ok(edited)
}

/// Returns a hash over the parameters that the stages of `plan` read and that are not swept: trials
/// with other values of these cannot be compared.
///
/// # Errors
/// A params file is broken. One that is not there is left out: a stage may write it.
pub fn base_hash(plan: &Plan<'_>, space: &Space, root: &Path) -> Result<String, base::Error> {
    let stages = plan.order().iter().map(|&i| &plan.graph().stages()[i]);
    let params: BTreeSet<&ParamRef> = stages.flat_map(|s| s.params.keys()).collect();
    let mut documents: BTreeMap<&ArtifactPath, Option<Document>> = BTreeMap::new();
    let mut leaves: BTreeMap<String, String> = BTreeMap::new();
    for param in params {
        let document = match documents.entry(&param.file) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                let path = param.file.under(root);
                let read = path
                    .exists()
                    .then(|| Document::read(&path, param.file.as_str()));
                new.insert(read.transpose()?)
            }
        };
        if let Some(value) = document.as_ref().and_then(|d| param.key.get(&d.root)) {
            collect(param, value, space, &mut leaves);
        }
    }
    let mut canon = Canon::new("cvops.sweep-base.v1");
    canon.list(leaves.len());
    for (name, value) in &leaves {
        canon.text(name).text(value);
    }
    Ok(canon.finish().to_string())
}

fn collect(at: &ParamRef, value: &Value, space: &Space, out: &mut BTreeMap<String, String>) {
    let inner = |key: KeyPath| ParamRef {
        file: at.file.clone(),
        key,
    };
    // By its text: a key with a dot in its name is given as a path.
    let name = at.to_string();
    if space.dimensions.iter().any(|d| d.param.to_string() == name) {
        return;
    }
    // A list or mapping is taken apart only on the way to a swept parameter.
    let leads_to_swept = space.dimensions.iter().any(|d| overlap(&d.param, at));
    match value {
        Value::Map(map) if leads_to_swept || at.key.is_root() || !map.is_empty() => {
            for (key, value) in map {
                collect(&inner(at.key.key(key)), value, space, out);
            }
        }
        Value::List(items) if leads_to_swept => {
            for (i, item) in items.iter().enumerate() {
                collect(&inner(at.key.index(i)), item, space, out);
            }
        }
        leaf => {
            out.insert(format!("{}:{}", at.file, at.key), leaf.to_string());
        }
    }
}
