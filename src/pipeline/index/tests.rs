//! Tests of finding and reading what a project declares.

use crate::base::{ArtifactPath, ToDiagnostics, fs};
use crate::pipeline::{Maker, Reach, Selection};
use crate::project::discover;

use super::*;

struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(&repository.0.path().join(".dvc")).unwrap();
        repository
    }

    fn write(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write_atomic(&path, text.as_bytes()).unwrap();
        self
    }

    fn index(&self) -> Index {
        Index::load(&discover(self.0.path(), None).unwrap()).unwrap()
    }
}

fn path(text: &str) -> ArtifactPath {
    text.parse().unwrap()
}

#[test]
fn every_pipeline_file_counts_but_not_those_of_others() {
    let repository = Repository::new()
        .write("dvc.yaml", "stages:\n  a: {cmd: x, outs: [out]}\n")
        .write(
            "sub/dvc.yaml",
            "stages:\n  a: {cmd: x, deps: [../out], outs: [b]}\n",
        )
        .write(
            "sub/deep/dvc.yaml",
            "stages:\n  c: {cmd: x, wdir: .., deps: [b]}\n",
        )
        .write("out/dvc.yaml", "not: read\n")
        .write("other/.dvc/config", "")
        .write("other/dvc.yaml", "not: read\n")
        .write(".dvcignore", "/ignored\n")
        .write("ignored/dvc.yaml", "not: read\n");
    let graph = repository.index().graph().unwrap();
    let names: Vec<&str> = graph.stages().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a", "sub/deep/dvc.yaml:c", "sub/dvc.yaml:a"]);
    assert_eq!(graph.edges(), [(0, 2), (2, 1)]);
    let c = &graph.stages()[1];
    assert_eq!(
        (c.name.local(), c.name.file()),
        ("c", Some("sub/deep/dvc.yaml"))
    );
    assert_eq!(c.wdir, Some(path("sub")));
}

#[test]
fn pointers_are_sources_and_share_no_path_with_a_stage() {
    let hash = "d41d8cd98f00b204e9800998ecf8427e";
    let pointer =
        |path: &str| format!("outs:\n- md5: {hash}\n  size: 0\n  hash: md5\n  path: {path}\n");
    let repository = Repository::new()
        .write("data/raw.dvc", &pointer("raw"))
        .write(
            "dvc.yaml",
            "stages:\n  a: {cmd: x, deps: [data/raw], outs: [out]}\n",
        );
    let graph = repository.index().graph().unwrap();
    assert_eq!(graph.sources(0), [0]);
    assert_eq!(graph.maker_of(&path("data/raw/x")), Some(Maker::Pointer(0)));
    assert_eq!(graph.producer_of(&path("data/raw")), None);

    let twice = repository.write("out.dvc", &pointer("out"));
    let error = twice.index().graph().unwrap_err().to_diagnostics();
    assert_eq!(
        error[0].headline,
        "`out` is written by `a` and tracked by `out.dvc`"
    );
    let places: Vec<&str> = error[0]
        .labels
        .iter()
        .map(|label| label.source.name.as_str())
        .collect();
    assert_eq!(places, ["out.dvc", "dvc.yaml"]);
}

#[test]
fn circles_and_overlaps_through_several_files_name_them() {
    let repository = Repository::new()
        .write(
            "dvc.yaml",
            "stages:\n  a: {cmd: x, deps: [sub/b], outs: [a]}\n",
        )
        .write(
            "sub/dvc.yaml",
            "stages:\n  b: {cmd: x, deps: [../a], outs: [b]}\n",
        );
    let error = repository.index().graph().unwrap_err().to_diagnostics();
    assert_eq!(
        error[0].headline,
        "stages depend on each other in a circle: `a` -> `sub/dvc.yaml:b` -> `a`"
    );
    assert_eq!(
        error[0].notes,
        ["the circle goes through dvc.yaml, sub/dvc.yaml"]
    );
    let repository = repository.write(
        "sub/dvc.yaml",
        "stages:\n  b: {cmd: x, outs: [../a/inside]}\n",
    );
    let error = repository.index().graph().unwrap_err().to_diagnostics();
    assert_eq!(
        error[0].headline,
        "the output `a/inside` lies inside the output `a`"
    );
    assert_eq!(error[0].labels.len(), 2);
}

#[test]
fn what_a_target_does_not_need_may_be_broken() {
    let repository = || {
        Repository::new()
            .write("dvc.yaml", "stages:\n  a: {cmd: x}\n")
            .write(
                "sub/dvc.yaml",
                "stages:\n  b: {cmd: x, dpes: [c]}\n  c: {}\n",
            )
    };
    let named = |target: &str| [target.to_owned()];
    assert!(repository().index().graph().is_err());
    assert!(repository().index().graph_for(&[], None).is_err());
    let (graph, warnings) = repository().index().graph_for(&named("a"), None).unwrap();
    assert_eq!(graph.stages().len(), 1);
    assert!(
        warnings[0]
            .headline
            .starts_with("`sub/dvc.yaml` is left out")
    );
    for target in ["sub/dvc.yaml", "sub/dvc.yaml:b"] {
        assert!(
            repository()
                .index()
                .graph_for(&named(target), None)
                .is_err()
        );
    }
    let sub = path("sub");
    assert!(
        repository()
            .index()
            .graph_for(&named("b"), Some(&sub))
            .is_err()
    );
    assert!(
        repository()
            .index()
            .graph_for(&named("../dvc.yaml:a"), Some(&sub))
            .is_ok()
    );
}

#[test]
fn a_bare_command_needs_the_nearest_file_alone() {
    let repository = || {
        Repository::new()
            .write("dvc.yaml", "stages:\n  a: {cmd: x}\n")
            .write("sub/dvc.yaml", "stages: {}\nunknown: 1\n")
            .write("bad.dvc", "outs: 1\n")
            .write("deep/er/dvc.yaml", "stages:\n  c: {cmd: x}\n")
    };
    for (folder, is_sound) in [
        (None, true),
        (Some("deep"), true),
        (Some("deep/er"), true),
        (Some("sub"), false),
        (Some("sub/below"), false),
    ] {
        let folder = folder.map(path);
        let graph = repository().index().graph_nearest(folder.as_ref());
        assert_eq!(graph.is_ok(), is_sound, "{folder:?}");
    }
    let alone = Repository::new().write("sub/dvc.yaml", "stages: 1\n");
    assert!(alone.index().graph_nearest(None).is_err());
}

#[test]
fn words_are_relative_to_the_folder_of_the_user() {
    #[track_caller]
    fn check(graph: &StageGraph, folder: Option<&str>, target: &str, expected: &[&str]) {
        let selection = Selection {
            reach: Reach::Single,
            folder: folder.map(path),
            ..Selection::default()
        };
        let plan = crate::pipeline::Plan::select(graph, &[target.to_owned()], selection);
        let chosen: Vec<String> = match plan {
            Ok(plan) => plan
                .order()
                .iter()
                .map(|&i| graph.stages()[i].name.to_string())
                .collect(),
            Err(error) => vec![error.to_string()],
        };
        assert_eq!(chosen, expected, "{target} in {folder:?}");
    }
    let repository = Repository::new()
        .write(
            "dvc.yaml",
            "stages:\n  a: {cmd: x, outs: [o]}\n  top: {cmd: x}\n",
        )
        .write("sub/dvc.yaml", "stages:\n  a: {cmd: x, outs: [p]}\n");
    let graph = repository.index().graph().unwrap();
    check(&graph, None, "a", &["a"]);
    check(&graph, None, ":a", &["a"]);
    check(&graph, None, "dvc.yaml", &["a", "top"]);
    check(&graph, None, "sub/dvc.yaml", &["sub/dvc.yaml:a"]);
    check(&graph, None, "./sub/dvc.yaml:a", &["sub/dvc.yaml:a"]);
    check(&graph, None, "sub/p", &["sub/dvc.yaml:a"]);
    check(&graph, Some("sub"), "a", &["sub/dvc.yaml:a"]);
    check(&graph, Some("sub"), "top", &["top"]);
    check(&graph, Some("sub"), "../dvc.yaml:a", &["a"]);
    check(&graph, Some("sub"), "sub/dvc.yaml:a", &["sub/dvc.yaml:a"]);
    check(&graph, Some("sub"), "p", &["sub/dvc.yaml:a"]);
    check(&graph, Some("sub"), "../o", &["a"]);
    check(
        &graph,
        None,
        "b",
        &["`b` is neither a stage nor an output of one"],
    );
}
