//! Templates: `vars`, `${…}`, `foreach` and `matrix`, with the meaning that DVC gives them.
//!
//! `resolve` turns the document of a pipeline file into one without templates, whose places still
//! lead into the text that the user wrote. A file without templates goes through untouched and costs
//! one look at its text. Imports: base, project.

mod context;
mod expand;
mod expression;
mod found;
mod names;
mod text;
mod vars;
mod walk;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::doc::{Document, KeyPath, Map, On, Value};
use crate::base::{ArtifactPath, Diagnostic, Error};
use crate::project::{DepPatterns, PARAMS_FILE, Parsing};

use super::{GROUP_SEPARATOR, is_suffix};
use context::Context;
use expand::{Declared, Made};
use expression::expressions;
use found::Found;
use names::Names;
use vars::{Files, Loader};
use walk::{Field, Walk, Way};

pub use vars::ReadFile;

/// Sections of the top level whose values may hold expressions, besides `stages`.
const SECTIONS: [&str; 5] = ["artifacts", "datasets", "metrics", "params", "plots"];

/// Where a pipeline file stands, and how its templates are read.
pub struct Scope<'f> {
    /// The folder of the pipeline file; `None`: the project's.
    pub folder: Option<ArtifactPath>,
    /// How mappings become options of a command.
    pub parsing: Parsing,
    /// What patterns in deps mean.
    pub patterns: DepPatterns,
    /// Reads params files.
    pub read_file: &'f ReadFile<'f>,
}

/// A pipeline file without templates.
#[derive(Debug)]
pub struct Resolved {
    /// What it says; places lead into the text of the user.
    pub document: Document,
    /// The names of the stages that each `foreach` and `matrix` makes, by the name they are declared
    /// under.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The params files that it was made with, whether or not they exist.
    pub files: Vec<ArtifactPath>,
    /// What patterns in deps mean.
    pub patterns: DepPatterns,
    /// What the user should know although nothing is wrong.
    pub warnings: Vec<Diagnostic>,
    /// What is wrong. The document stands for itself where a template could not be resolved, so that
    /// all else that is wrong can be found as well.
    pub(super) problems: Vec<Diagnostic>,
}

impl From<Document> for Resolved {
    /// Takes a document without templates as it is.
    fn from(document: Document) -> Self {
        Self {
            document,
            groups: BTreeMap::new(),
            files: Vec::new(),
            patterns: DepPatterns::Read,
            warnings: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// Resolves the templates of a pipeline file. What is wrong with them is told by `spec::read`, with
/// everything else that is wrong with the file.
///
/// # Errors
/// A params file cannot be read, or variables are defined wrongly: nothing can be said about
/// expressions then.
pub fn resolve(document: Document, scope: &Scope<'_>) -> Result<Resolved, Error> {
    if !has_templates(&document) {
        return Ok(Resolved {
            patterns: scope.patterns,
            ..document.into()
        });
    }
    let document = Arc::new(document);
    let files = Files::new(scope.read_file);
    let mut context = Context::default();
    let folder = scope.folder.as_ref().map_or("", ArtifactPath::as_str);
    let at = KeyPath::root().key("vars");
    let found = Found::new(&document);
    let loader = Loader {
        document: &document,
        files: &files,
        found: &found,
        folder,
        stage: None,
        reserved: &[],
    };
    loader.implicit(&mut context, PARAMS_FILE)?;
    loader.load(
        &mut context,
        at.get(&document.root).unwrap_or(&Value::Null),
        &at,
    )?;
    if found.any() {
        let name = document.source.name.clone();
        let problems = found.into_problems();
        return Err(Error::Document { name, problems });
    }
    let mut maker = Maker {
        document: &document,
        context: &context,
        files: &files,
        found: &found,
        parsing: scope.parsing,
        folder,
        made_from: RefCell::default(),
        groups: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let root = maker.root()?;
    let Maker {
        made_from,
        groups,
        warnings,
        ..
    } = maker;
    Ok(Resolved {
        document: document.derived(root, made_from.into_inner()),
        groups,
        patterns: scope.patterns,
        warnings,
        problems: found.into_problems(),
        files: files.into_paths(),
    })
}

/// Looks at the text alone: cheaper than a walk, and a needless walk changes nothing.
fn has_templates(document: &Document) -> bool {
    let text = &document.source.text;
    ["${", "foreach", "matrix", "vars"]
        .iter()
        .any(|word| text.contains(word))
}

/// Makes the resolved document.
struct Maker<'a> {
    document: &'a Arc<Document>,
    context: &'a Context,
    files: &'a Files<'a>,
    found: &'a Found<'a>,
    parsing: Parsing,
    folder: &'a str,
    made_from: RefCell<BTreeMap<KeyPath, KeyPath>>,
    groups: BTreeMap<String, Vec<String>>,
    warnings: Vec<Diagnostic>,
}

impl Maker<'_> {
    fn root(&mut self) -> Result<Value, Error> {
        let document = self.document;
        let Value::Map(map) = &document.root else {
            return Ok(document.root.clone());
        };
        let mut made = Map::with_capacity(map.len());
        for (key, value) in map {
            let at = KeyPath::root().key(key);
            let value = match (key.as_str(), value) {
                ("vars", _) => continue,
                ("stages", Value::Map(stages)) => Value::Map(self.stages(stages, &at)?),
                (section, value) if SECTIONS.contains(&section) => {
                    let way = Way::Start { from: &at, to: &at };
                    let walk = self.walk(Names::of(self.context), None);
                    walk.value(value, &way, Field::Free)
                }
                (_, value) => value.clone(),
            };
            made.insert(key.clone(), value);
        }
        Ok(Value::Map(made))
    }

    fn walk<'w>(&'w self, names: Names<'w>, stage: Option<&'w str>) -> Walk<'w> {
        Walk {
            names,
            parsing: self.parsing,
            found: self.found,
            made_from: &self.made_from,
            stage,
        }
    }

    fn stages(&mut self, stages: &Map, at: &KeyPath) -> Result<Map, Error> {
        let mut made = Map::with_capacity(stages.len());
        for (name, definition) in stages {
            let place = at.key(name);
            if let Some(first) = expressions(name).first() {
                let headline = format!("`{}` may not stand in the name of a stage", first.text);
                let help = "`foreach` and `matrix` make several stages of one text".to_owned();
                let report = (On::Key, "no-template-here", headline, Some(help));
                self.found.report(&place, name, report, None);
                continue;
            }
            let Value::Map(definition) = definition else {
                made.insert(name.clone(), definition.clone());
                continue;
            };
            match Declared::of(definition, &place, self.found) {
                Declared::Broken => {}
                Declared::Plain => {
                    let stage = Stage {
                        name,
                        definition,
                        from: &place,
                        to: &place,
                        is_made: false,
                    };
                    let value = self.stage(&stage, Names::of(self.context), &[])?;
                    made.insert(name.clone(), value);
                }
                Declared::Foreach(data, body) => {
                    let walk = self.walk(Names::of(self.context), None);
                    let at = place.key("foreach");
                    let all = expand::foreach(&walk, data, &at);
                    self.group(name, (body, &place.key("do")), (&at, all), &mut made)?;
                }
                Declared::Matrix(data) => {
                    let walk = self.walk(Names::of(self.context), None);
                    let at = place.key("matrix");
                    let all = expand::matrix(&walk, data, &at);
                    let mut body = definition.clone();
                    body.shift_remove("matrix");
                    self.group(name, (&body, &place), (&at, all), &mut made)?;
                }
            }
        }
        Ok(made)
    }

    /// Makes the stages of a group from the text `body`, which stands at `from`, for `all` that the
    /// data at `data` names.
    fn group(
        &mut self,
        name: &str,
        (body, from): (&Map, &KeyPath),
        (data, all): (&KeyPath, Option<Vec<Made>>),
        made: &mut Map,
    ) -> Result<(), Error> {
        let Some(all) = all else { return Ok(()) };
        let hidden = expand::hidden(&all);
        for hidden in hidden.iter().filter(|name| self.context.has(name)) {
            let headline =
                format!("the variable `{hidden}` cannot be seen in the stages of `{name}`");
            let warning = Diagnostic::warning("hidden-variable", headline).help(format!(
                "there, `{hidden}` stands for what a stage is made for"
            ));
            self.warnings.push(warning);
        }
        let stages = from.first(1);
        let mut names = Vec::with_capacity(all.len());
        for one in &all {
            let whole = format!("{name}{GROUP_SEPARATOR}{}", one.suffix);
            if !is_suffix(&one.suffix) {
                let suffix = one.suffix.escape_debug();
                let headline = format!("`{suffix}` cannot be part of a stage's name");
                let help = "go over a mapping: its keys become part of the names".to_owned();
                let report = (On::Value, "bad-name", headline, Some(help));
                self.found.report(data, "", report, None);
                continue;
            }
            let to = stages.key(&whole);
            self.made_from.borrow_mut().insert(to.clone(), from.clone());
            let stage = Stage {
                name: &whole,
                definition: body,
                from,
                to: &to,
                is_made: true,
            };
            let seen = Names {
                context: self.context,
                item: Some(&one.item),
                key: one.key.as_ref(),
            };
            let value = self.stage(&stage, seen, hidden)?;
            made.insert(whole.clone(), value);
            names.push(whole);
        }
        self.groups.insert(name.to_owned(), names);
        Ok(())
    }

    /// Makes one stage.
    fn stage(&self, stage: &Stage<'_>, seen: Names<'_>, reserved: &[&str]) -> Result<Value, Error> {
        let told = stage.is_made.then_some(stage.name);
        let own = match stage.definition.get("vars") {
            None => None,
            Some(vars) => Some(self.own_vars(stage, seen, reserved, vars)?),
        };
        let seen = Names {
            context: own.as_ref().unwrap_or(seen.context),
            ..seen
        };
        let walk = self.walk(seen, told);
        let start = Way::Start {
            from: stage.from,
            to: stage.to,
        };
        let mut made = Map::with_capacity(stage.definition.len());
        for (key, value) in stage.definition {
            if key == "vars" {
                continue;
            }
            let way = Way::Key {
                up: &start,
                from: key,
                to: key,
            };
            if let ("frozen" | "always_changed", Value::Str(text)) = (key.as_str(), value)
                && let Some(first) = expressions(text).first()
            {
                self.found
                    .no_expression_in(&way.from(), On::Value, first.text, key);
                continue;
            }
            made.insert(key.clone(), walk.value(value, &way, Field::of_stage(key)));
        }
        Ok(Value::Map(made))
    }

    /// Returns the context of a stage that has `vars` of its own: files are relative to its `wdir`.
    fn own_vars(
        &self,
        stage: &Stage<'_>,
        seen: Names<'_>,
        reserved: &[&str],
        vars: &Value,
    ) -> Result<Context, Error> {
        let told = stage.is_made.then_some(stage.name);
        let at = stage.from.key("wdir");
        let way = Way::Start { from: &at, to: &at };
        let wdir = stage.definition.get("wdir").map(|wdir| {
            self.walk(seen, told)
                .value(wdir, &way, Field::of_stage("wdir"))
        });
        let wdir = wdir.as_ref().and_then(Value::as_str).unwrap_or("");
        let folder = ArtifactPath::parse_in(self.folder, wdir);
        let folder = folder.as_ref().map_or("", ArtifactPath::as_str);
        let loader = Loader {
            document: self.document,
            files: self.files,
            found: self.found,
            folder,
            stage: Some(stage.name),
            reserved,
        };
        let mut context = self.context.clone();
        loader.load(&mut context, vars, &stage.from.key("vars"))?;
        Ok(context)
    }
}

/// The text of a stage, and the place of the stage that is made of it.
struct Stage<'s> {
    name: &'s str,
    definition: &'s Map,
    /// In the text.
    from: &'s KeyPath,
    /// In what is made.
    to: &'s KeyPath,
    /// It is one of several made of one text.
    is_made: bool,
}
