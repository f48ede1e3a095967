//! The pipeline as it reads with other values in its params files, nothing of which is written.
//!
//! Only templates are resolved anew, from the texts that the graph was made of: a file that is edited
//! meanwhile changes nothing. Imports: base, project, graph, index.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ArtifactPath;
use crate::base::doc::{Document, Format};
use crate::project::{Ignore, Project};

use super::error::Error;
use super::graph::{PipelineFile, StageGraph};
use super::index::read_with;
use super::patterns::Ground;
use super::spec::Pipeline;

/// Params files with other values, by path.
pub type Overlay = BTreeMap<ArtifactPath, Document>;

/// Returns `graph` as it is with the params files of `overlay` in place of those in the project;
/// `None` if no template reads any of them, so that it would be the same.
///
/// # Errors
/// With these values the pipeline cannot be read, or its parts do not fit together.
pub fn with_params(
    project: &Project,
    graph: &StageGraph,
    overlay: &Overlay,
) -> Result<Option<StageGraph>, Error> {
    let reads = |file: &PipelineFile| file.template_files.iter().any(|f| overlay.contains_key(f));
    if !graph.files().iter().any(reads) {
        return Ok(None);
    }
    let mut pipelines: Vec<Pipeline> = Vec::with_capacity(graph.files().len());
    for file in graph.files() {
        let source = &file.document.source;
        let document = Document::parse(&source.name, source.text.clone(), Format::Yaml)?;
        pipelines.push(read_with(project, document, file.file.as_ref(), overlay)?);
    }
    let stages = pipelines.iter().flat_map(|pipeline| &pipeline.stages);
    let outs: BTreeSet<ArtifactPath> = stages.flat_map(|s| s.outs.keys().cloned()).collect();
    let tracked = graph.pointers().iter().flat_map(|pointer| &pointer.outs);
    let tracked = tracked.map(|out| out.path.clone()).collect();
    let ignore = Ignore::of(project);
    let ground = Ground {
        project,
        ignore: &ignore,
        outs: &outs,
        tracked: &tracked,
    };
    for pipeline in &mut pipelines {
        ground.expand(pipeline)?;
    }
    ignore.check()?;
    StageGraph::connect(pipelines, graph.pointers().to_vec()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;
    use crate::pipeline::Index;

    fn params(text: &str) -> Overlay {
        let document = Document::parse("params.yaml", text.to_owned(), Format::Yaml).expect("YAML");
        Overlay::from([("params.yaml".parse().expect("a path"), document)])
    }

    #[test]
    fn templates_take_other_values_and_nothing_else_is_read_again() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap();
        let pipeline = "stages:\n  a:\n    foreach: ${names}\n    do:\n      cmd: echo ${lr} > ${item}\n      outs: ['${item}']\n";
        let write = |name: &str, text: &str| {
            fs::write_atomic(&root.join(name), text.as_bytes()).unwrap();
        };
        write("pipeline.yaml", pipeline);
        write("params.yaml", "lr: 1\nnames: [x]\n");
        let project = crate::project::discover(&root, None).unwrap();
        let graph = Index::load(&project).unwrap().graph().unwrap();
        write("pipeline.yaml", "stages: {}\n");

        let other = params("lr: 2\nnames: [x, y]\n");
        let variant = with_params(&project, &graph, &other).unwrap().unwrap();
        let commands: Vec<&str> = variant
            .stages()
            .iter()
            .map(|s| s.commands[0].as_str())
            .collect();
        assert_eq!(commands, ["echo 2 > x", "echo 2 > y"]);
        assert_eq!(graph.stages().len(), 1);

        let clash = params("lr: 2\nnames: [x, ./x]\n");
        assert!(with_params(&project, &graph, &clash).is_err());
        let elsewhere: Overlay = [(
            "other.yaml".parse().unwrap(),
            other.into_values().next().unwrap(),
        )]
        .into();
        assert!(with_params(&project, &graph, &elsewhere).unwrap().is_none());
    }
}
