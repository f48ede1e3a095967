//! Tests of choosing stages.

use crate::base::doc::{Document, Format};
use crate::pipeline::spec;

use super::*;

const PIPELINE: &str = "stages:
  get: {cmd: x, outs: [raw]}
  clean: {cmd: x, deps: [raw], outs: [clean], frozen: true}
  train: {cmd: x, deps: [clean], outs: [model]}
  test: {cmd: x, deps: [model], outs: [report]}
  other: {cmd: x, outs: [thing]}
";

fn graph() -> StageGraph {
    let document = Document::parse("pipeline.yaml", PIPELINE.to_owned(), Format::Yaml).unwrap();
    StageGraph::build(spec::read(document).unwrap()).unwrap()
}

#[track_caller]
fn check(targets: &[&str], selection: impl Into<Selection>, expected: &[&str]) {
    let graph = graph();
    let targets: Vec<String> = targets.iter().map(|&t| t.to_owned()).collect();
    let plan = Plan::select(&graph, &targets, selection).unwrap();
    let names: Vec<&str> = plan
        .order()
        .iter()
        .map(|&i| graph.stages()[i].name.as_str())
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn a_reach_goes_up_to_frozen_stages_or_down() {
    check(&["train"], Reach::Upstream, &["clean", "train"]);
    check(&["clean"], Reach::Upstream, &["clean"]);
    check(&["train"], Reach::Single, &["train"]);
    check(&["clean"], Reach::Downstream, &["clean", "train", "test"]);
    check(&["report", "raw"], Reach::Single, &["get", "test"]);
}

#[test]
fn whole_pipelines_and_patterns() {
    let all = ["get", "clean", "train", "test", "other"];
    check(&[], Reach::Upstream, &all);
    let pipelines = Selection {
        scope: Scope::Pipelines,
        ..Selection::default()
    };
    check(&["train"], pipelines.clone(), &all[..4]);
    check(&["other"], pipelines, &["other"]);
    let everything = Selection {
        scope: Scope::Everything,
        ..Selection::default()
    };
    check(&["other"], everything, &all);
    let glob = Selection {
        reach: Reach::Single,
        naming: Naming::Glob,
        ..Selection::default()
    };
    check(&["t*", "[o]ther"], glob, &["train", "test", "other"]);
    let nearest = Selection {
        bare: Bare::NearestFile,
        ..Selection::default()
    };
    check(&[], nearest, &all);
}
