//! Declaring a stage: written into a pipeline file with all else in it kept, after everything that
//! could be wrong with it has been looked for. Imports: base, project, graph, index, spec.

use std::collections::BTreeMap;

use crate::base::doc::{Document, Format, KeyPath, Map, Value, edit};
use crate::base::{self, ArtifactPath, fs};
use crate::project::{EditLock, PARAMS_FILE, Project};

use super::error::Error;
use super::graph::StageGraph;
use super::index::{Index, read_document};
use super::spec::{OutKind, StageName};

/// A stage as typed.
#[derive(Clone, Debug, Default)]
pub struct NewStage {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub command: String,
    /// What it reads.
    pub deps: Vec<String>,
    /// `KEY,KEY`, `FILE:KEY,KEY` or `FILE:`.
    pub params: Vec<String>,
    /// What it writes.
    pub outs: Vec<NewOut>,
    /// Where it runs.
    pub wdir: Option<String>,
    /// `always_changed: true`.
    pub always_changed: bool,
    /// A sentence for people.
    pub desc: Option<String>,
}

/// An output as typed.
#[derive(Clone, Debug)]
pub struct NewOut {
    /// Its path.
    pub path: String,
    /// What it is for.
    pub kind: OutKind,
    /// Options that are not the default: `cache`, `persist`.
    pub options: Vec<(&'static str, bool)>,
}

/// What to do with a stage of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Keep,
    /// The new one takes its place.
    Replace,
}

/// A stage that was written.
#[derive(Debug)]
pub struct Declared {
    /// Its address.
    pub name: StageName,
    /// The pipeline file, relative to the root.
    pub file: String,
    /// The graph with it.
    pub graph: StageGraph,
}

/// Writes `new` into the pipeline file `file`, which need not exist; `None` is the one at the top.
///
/// # Errors
/// The name is taken or bad, the pipeline would not be sound with it, or the file cannot be edited or
/// written.
pub fn declare(
    project: &Project,
    file: Option<&ArtifactPath>,
    new: &NewStage,
    existing: Existing,
    lock: &EditLock,
) -> Result<Declared, Error> {
    let shown = file.map_or(project.personality.pipeline_file, ArtifactPath::as_str);
    let path = project.root.join(shown);
    let document = if path.exists() {
        Document::read(&path, shown)?
    } else {
        Document::parse(shown, String::new(), Format::Yaml)?
    };
    let key = KeyPath::root().key("stages").key(&new.name);
    if key.get(&document.root).is_some() && existing == Existing::Keep {
        return Err(Error::StageExists {
            stage: new.name.clone(),
            file: shown.to_owned(),
        });
    }
    let edited = edit::set_blocks(&document, &key, &new.to_value())?;
    let text = edited.source.text.clone();
    let pipeline = read_document(project, edited, file)?;
    let mut index = Index::load(project)?;
    index.pipelines.retain(|known| known.file.as_ref() != file);
    index.broken.retain(|broken| broken.file.as_str() != shown);
    index.pipelines.push(pipeline);
    index.pipelines.sort_by(|a, b| a.file.cmp(&b.file));
    let (graph, _) = index.graph_for(std::slice::from_ref(&new.name), None)?;
    let name = StageName::in_file(file, &new.name).map_err(|e| Error::BadName {
        problem: e.to_string(),
    })?;
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        fs::create_dir_all(folder).map_err(base::Error::io("create folder", folder))?;
    }
    lock.write(&path, &text)?;
    Ok(Declared {
        name,
        file: shown.to_owned(),
        graph,
    })
}

impl NewStage {
    /// Returns the stage as it stands in the file.
    fn to_value(&self) -> Value {
        let text = |text: &String| Value::Str(text.clone());
        let mut stage = Map::new();
        let mut put = |key: &str, value: Value| {
            stage.insert(key.to_owned(), value);
        };
        if let Some(desc) = &self.desc {
            put("desc", text(desc));
        }
        put("cmd", text(&self.command));
        if let Some(wdir) = &self.wdir {
            put("wdir", text(wdir));
        }
        let mut deps = self.deps.clone();
        deps.sort_unstable();
        deps.dedup();
        if !deps.is_empty() {
            put("deps", Value::List(deps.iter().map(text).collect()));
        }
        let params = self.params();
        if !params.is_empty() {
            put("params", Value::List(params));
        }
        for (key, kind) in [
            ("outs", OutKind::Data),
            ("metrics", OutKind::Metric),
            ("plots", OutKind::Plot),
        ] {
            let mut outs: Vec<&NewOut> = self.outs.iter().filter(|o| o.kind == kind).collect();
            outs.sort_by(|a, b| a.path.cmp(&b.path));
            if !outs.is_empty() {
                put(
                    key,
                    Value::List(outs.into_iter().map(NewOut::to_value).collect()),
                );
            }
        }
        if self.always_changed {
            put("always_changed", Value::Bool(true));
        }
        Value::Map(stage)
    }

    /// Keys of the default file first, then the other files.
    fn params(&self) -> Vec<Value> {
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for typed in &self.params {
            let (file, keys) = typed.rsplit_once(':').unwrap_or((PARAMS_FILE, typed));
            let keys = keys.split(',').filter(|key| !key.is_empty());
            files.entry(file).or_default().extend(keys);
        }
        let list = |keys: &[&str]| -> Vec<Value> {
            keys.iter().map(|k| Value::Str((*k).to_owned())).collect()
        };
        let mut params = Vec::new();
        if let Some(keys) = files.get(PARAMS_FILE).filter(|keys| !keys.is_empty()) {
            params.extend(list(keys));
            files.remove(PARAMS_FILE);
        }
        for (file, keys) in files {
            let keys = if keys.is_empty() {
                Value::Null
            } else {
                Value::List(list(&keys))
            };
            params.push(Value::Map([(file.to_owned(), keys)].into_iter().collect()));
        }
        params
    }
}

impl NewOut {
    fn to_value(&self) -> Value {
        if self.options.is_empty() {
            return Value::Str(self.path.clone());
        }
        let options = self.options.iter();
        let options = options.map(|(key, value)| ((*key).to_owned(), Value::Bool(*value)));
        let options = Value::Map(options.collect());
        Value::Map([(self.path.clone(), options)].into_iter().collect())
    }
}
