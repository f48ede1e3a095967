//! What a word on the command line means: a stage, a group, a pipeline file, a pointer, an output.
//!
//! Words are relative to the folder in which the user is; a name is looked for in that folder's
//! pipeline file, then in those of the folders above. What is not found so is taken from the top,
//! which is how results print it. Imports: base, graph, spec.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

use crate::base::ArtifactPath;
use crate::base::diag::nearest;
use crate::pipeline::error::Error;
use crate::pipeline::graph::{Maker, PipelineFile, StageGraph};
use crate::pipeline::spec::split_address;

use super::{Naming, Selection};

/// Returns what `target` means; never nothing.
pub(super) fn find(
    graph: &StageGraph,
    target: &str,
    selection: &Selection,
) -> Result<Vec<Maker>, Error> {
    let folder = selection.folder.as_ref();
    let mut bases = vec![folder];
    if folder.is_some() {
        bases.push(None);
    }
    for base in bases {
        let found = in_folder(graph, target, base, selection.naming)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(unknown(graph, target, selection))
}

/// Returns the stages of the pipeline file nearest to `folder`.
pub(super) fn of_nearest_file(
    graph: &StageGraph,
    folder: Option<&ArtifactPath>,
) -> BTreeSet<Maker> {
    let nearest = files_from(graph, folder).next();
    let stages = nearest.map(|file| of_file(graph, file)).unwrap_or_default();
    stages.into_iter().collect()
}

fn in_folder(
    graph: &StageGraph,
    target: &str,
    folder: Option<&ArtifactPath>,
    naming: Naming,
) -> Result<Vec<Maker>, Error> {
    let base = folder.map_or("", ArtifactPath::as_str);
    let path = ArtifactPath::parse_in(base, target).ok();
    if naming == Naming::Below {
        let below = below(graph, path.as_ref());
        if !below.is_empty() {
            return Ok(below);
        }
    }
    if let Some(pointer) = path.as_ref().and_then(|path| graph.find_pointer(path)) {
        return Ok(vec![Maker::Pointer(pointer)]);
    }
    let file = |path: &ArtifactPath| graph.files().iter().find(|file| is_at(file, path));
    if let Some(file) = path.as_ref().and_then(file) {
        return Ok(of_file(graph, file));
    }
    match split_address(target) {
        (Some(text), name) => {
            let path = ArtifactPath::parse_in(base, text).ok();
            if let Some(file) = path.as_ref().and_then(file) {
                return named(graph, file, name, naming);
            }
        }
        (None, name) => {
            let name = name.strip_prefix(':').unwrap_or(name);
            let paths = match naming {
                Naming::GlobPaths => matching(graph, base, name)?,
                Naming::Exact | Naming::Glob | Naming::Below => Vec::new(),
            };
            for file in files_from(graph, folder) {
                let mut found = named(graph, file, name, naming)?;
                if !found.is_empty() {
                    found.extend(paths);
                    return Ok(found);
                }
            }
        }
    }
    if naming == Naming::GlobPaths {
        let found = matching(graph, base, target)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let maker = path.and_then(|path| graph.maker_of(&path));
    Ok(maker.into_iter().collect())
}

/// Returns the pointers, and the makers of data and outputs, whose paths fit `pattern`, which begins
/// in `base`.
fn matching(graph: &StageGraph, base: &str, pattern: &str) -> Result<Vec<Maker>, Error> {
    let pattern = if base.is_empty() {
        pattern.to_owned()
    } else {
        format!("{}/{pattern}", globset::escape(base))
    };
    let matcher = glob(&pattern, true)?;
    let fits = |path: &ArtifactPath| matcher.is_match(path.as_str());
    let mut found = stages_where(graph, |stage| graph.stages()[stage].outs.keys().any(fits));
    let pointers = graph.pointers().iter().enumerate();
    let fitting = pointers
        .filter(|(_, pointer)| fits(&pointer.file) || pointer.outs.iter().any(|o| fits(&o.path)));
    found.extend(fitting.map(|(at, _)| Maker::Pointer(at)));
    Ok(found)
}

fn glob(pattern: &str, stops_at_folders: bool) -> Result<GlobMatcher, Error> {
    let built = GlobBuilder::new(pattern)
        .literal_separator(stops_at_folders)
        .build();
    let built = built.map_err(|e| Error::Pattern {
        pattern: pattern.to_owned(),
        why: e.kind().to_string(),
    })?;
    Ok(built.compile_matcher())
}

/// Is this the pipeline file at `path`?
fn is_at(file: &PipelineFile, path: &ArtifactPath) -> bool {
    match &file.file {
        Some(at) => at == path,
        None => file.document.source.name == path.as_str(),
    }
}

/// Returns the pipeline files of `folder` and of the folders above it, nearest first.
fn files_from<'g>(
    graph: &'g StageGraph,
    folder: Option<&ArtifactPath>,
) -> impl Iterator<Item = &'g PipelineFile> {
    let folders: Vec<ArtifactPath> = folder
        .into_iter()
        .flat_map(|folder| std::iter::once(folder.clone()).chain(folder.ancestors()))
        .collect();
    let in_folder = |folder: Option<&ArtifactPath>| {
        graph.files().iter().find(|file| match &file.file {
            Some(path) => path.parent().as_ref() == folder && folder.is_some(),
            None => folder.is_none(),
        })
    };
    let nearest: Vec<_> = folders.iter().map(Some).chain([None]).collect();
    nearest
        .into_iter()
        .filter_map(in_folder)
        .collect::<Vec<_>>()
        .into_iter()
}

fn of_file(graph: &StageGraph, file: &PipelineFile) -> Vec<Maker> {
    stages_where(graph, |stage| std::ptr::eq(graph.file_of(stage), file))
}

fn stages_where(graph: &StageGraph, fits: impl Fn(usize) -> bool) -> Vec<Maker> {
    (0..graph.stages().len())
        .filter(|&stage| fits(stage))
        .map(Maker::Stage)
        .collect()
}

/// Returns what is called `name` in `file`.
fn named(
    graph: &StageGraph,
    file: &PipelineFile,
    name: &str,
    naming: Naming,
) -> Result<Vec<Maker>, Error> {
    let address = match &file.file {
        Some(file) => format!("{file}:{name}"),
        None => name.to_owned(),
    };
    if let Some(stage) = graph.find(&address) {
        return Ok(vec![Maker::Stage(stage)]);
    }
    let group = graph.group(&address);
    if !group.is_empty() || !matches!(naming, Naming::Glob | Naming::GlobPaths) {
        return Ok(group.into_iter().map(Maker::Stage).collect());
    }
    let matcher = glob(name, false)?;
    Ok(stages_where(graph, |stage| {
        std::ptr::eq(graph.file_of(stage), file)
            && matcher.is_match(graph.stages()[stage].name.local())
    }))
}

/// Returns the stages of all pipeline files, and the pointers, in or below `folder`.
fn below(graph: &StageGraph, folder: Option<&ArtifactPath>) -> Vec<Maker> {
    let lies_in = |path: Option<&ArtifactPath>| match (folder, path) {
        (None, _) => true,
        (Some(folder), Some(path)) => folder.contains(path) && folder != path,
        (Some(_), None) => false,
    };
    let mut found = stages_where(graph, |stage| lies_in(graph.file_of(stage).file.as_ref()));
    let pointers = graph.pointers().iter().enumerate();
    let pointers = pointers.filter(|(_, pointer)| lies_in(Some(&pointer.file)));
    found.extend(pointers.map(|(i, _)| Maker::Pointer(i)));
    found
}

fn unknown(graph: &StageGraph, target: &str, selection: &Selection) -> Error {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for stage in graph.stages() {
        known.insert(stage.name.as_str());
        known.extend(stage.name.group());
    }
    for file in files_from(graph, selection.folder.as_ref()).take(1) {
        for maker in of_file(graph, file) {
            if let Maker::Stage(stage) = maker {
                known.insert(graph.stages()[stage].name.local());
            }
        }
    }
    known.extend(graph.pointers().iter().map(|p| p.file.as_str()));
    // A name of another file is found by its own end of the address.
    let locals = graph.stages().iter().map(|stage| stage.name.local());
    let of_others = || {
        let local = nearest(target, locals)?;
        let mut stages = graph.stages().iter();
        let stage = stages.find(|stage| stage.name.local() == local)?;
        Some(stage.name.as_str())
    };
    let exact = graph.stages().iter().find(|s| s.name.local() == target);
    let exact = exact.map(|stage| stage.name.as_str());
    Error::UnknownTarget {
        target: target.to_owned(),
        nearest: exact
            .or_else(|| nearest(target, known))
            .or_else(of_others)
            .map(str::to_owned),
    }
}
