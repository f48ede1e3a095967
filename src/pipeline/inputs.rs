//! `Inputs`: what a stage's command, deps, params and environment are *now*, and the `RunKey` made
//! of them. Imports: base, store, spec, params.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::base::ArtifactPath;
use crate::base::canon::Canon;
use crate::base::doc::Value;
use crate::base::fs::Executable;
use crate::base::hash::{ContentHash, ParseHashError};
use crate::store::Presence;

use super::spec::{OutKind, ParamRef, StageSpec, Storage};

/// Everything that decides what a stage's outputs will be.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The commands.
    pub commands: Vec<String>,
    /// The state of each dep.
    pub deps: BTreeMap<ArtifactPath, Presence>,
    /// The value of each param.
    pub params: BTreeMap<ParamRef, Value>,
    /// The value of each environment variable.
    pub env: BTreeMap<String, Option<String>>,
}

/// Identifies a run by its inputs: equal keys mean equal outputs. Names the run-cache entry and the
/// scratch folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey(ContentHash);

impl RunKey {
    /// Computes the key of `stage` with `inputs`. The stage's name is not part of it: a renamed
    /// stage keeps its results.
    #[must_use]
    pub fn of(stage: &StageSpec, inputs: &Inputs) -> Self {
        let mut canon = Canon::new("cvops.run-key.v1");
        canon.list(inputs.commands.len());
        for command in &inputs.commands {
            canon.text(command);
        }
        canon.text(stage.wdir.as_ref().map_or("", ArtifactPath::as_str));
        canon.list(inputs.deps.len());
        for (path, presence) in &inputs.deps {
            canon.text(path.as_str());
            match presence {
                Presence::Missing => canon.none(),
                Presence::Present(p) => canon
                    .text(&p.object.to_string())
                    .int(i128::from(p.exec == Executable::Yes)),
            };
        }
        canon.list(inputs.params.len());
        for (param, value) in &inputs.params {
            canon.text(param.file.as_str()).text(&param.key.to_string());
            encode(&mut canon, value);
        }
        canon.list(inputs.env.len());
        for (name, value) in &inputs.env {
            canon.text(name);
            match value {
                Some(value) => canon.text(value),
                None => canon.none(),
            };
        }
        canon.list(stage.outs.len());
        for (path, out) in &stage.outs {
            let kind = match out.kind {
                OutKind::Data => 0,
                OutKind::Metric => 1,
                OutKind::Plot => 2,
            };
            let storage = match out.storage {
                Storage::Cached => 0,
                Storage::Git => 1,
            };
            canon.text(path.as_str()).int(kind).int(storage);
        }
        Self(canon.finish())
    }
}

fn encode(canon: &mut Canon, value: &Value) {
    match value {
        Value::Null => canon.none(),
        Value::Bool(b) => canon.bytes(&[u8::from(*b)]),
        Value::Int(i) => canon.int((*i).into()),
        Value::UInt(u) => canon.int((*u).into()),
        Value::Float(x) => canon.float(*x),
        Value::Str(s) => canon.text(s),
        Value::List(items) => {
            canon.list(items.len());
            for item in items {
                encode(canon, item);
            }
            canon
        }
        Value::Map(map) => {
            canon.list(map.len());
            // The order of keys in the user's file says nothing.
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            for (key, value) in sorted {
                canon.text(key);
                encode(canon, value);
            }
            canon
        }
    };
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunKey {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
