//! Tests of the reader of pipeline files.

use crate::base::doc::{Document, Format};
use crate::base::{ArtifactPath, Error};
use proptest::prelude::*;

use super::*;

fn pipeline(text: &str) -> Result<Pipeline, Error> {
    read(Document::parse(
        "pipeline.yaml",
        text.to_owned(),
        Format::Yaml,
    )?)
}

#[test]
fn a_full_stage_is_read() {
    let stages = pipeline(
        "stages:\n  t:\n    cmd: [a, b]\n    wdir: sub\n    deps: [x, ../y]\n    env: [HOME]\n    params:\n      - lr\n      - other.json: [a.b]\n      - whole.toml:\n    outs:\n      - m: {persist: true}\n    metrics:\n      - r.json: {cache: false, direction: max}\n    plots: [p.svg]\n    always_changed: true\n",
    )
    .unwrap()
    .stages;
    let stage = &stages[0];
    assert_eq!(stage.commands, ["a", "b"]);
    let deps: Vec<_> = stage.deps.keys().map(ArtifactPath::as_str).collect();
    assert_eq!(deps, ["sub/x", "y"]);
    let params: Vec<_> = stage.params.keys().map(ToString::to_string).collect();
    assert_eq!(
        params,
        ["sub/other.json:a.b", "sub/params.yaml:lr", "sub/whole.toml"]
    );
    let out = |p: &str| &stage.outs[&p.parse::<ArtifactPath>().unwrap()];
    assert_eq!(out("sub/m").before_run, BeforeRun::Keep);
    assert_eq!(out("sub/r.json").storage, Storage::Git);
    assert_eq!(out("sub/r.json").direction, Some(Direction::Max));
    assert_eq!(out("sub/p.svg").kind, OutKind::Plot);
    assert_eq!(stage.freshness, Freshness::AlwaysChanged);
}

#[test]
fn the_top_level_names_files_to_show() {
    let shown = pipeline(
        "stages: {a: {cmd: x}}\nparams: [p.yaml]\nmetrics: [m.json, {n.json: {direction: min}}]\nplots:\n  - h.csv\n  - g.jsonl: {x: epoch, y: [loss, accuracy]}\n  - both: {x: epoch, y: {a.csv: loss, b.csv: [loss]}}\n",
    )
    .unwrap()
    .shown;
    let path = |p: &str| p.parse::<ArtifactPath>().unwrap();
    assert_eq!(shown.params, [path("p.yaml")]);
    assert_eq!(shown.metrics[&path("n.json")], Some(Direction::Min));
    assert_eq!(shown.metrics[&path("m.json")], None);
    assert_eq!(shown.plots[&path("g.jsonl")].y, ["loss", "accuracy"]);
    assert_eq!(shown.plots[&path("b.csv")].title.as_deref(), Some("both"));
    assert_eq!(shown.plots.len(), 4);
    assert!(pipeline("stages: {a: {cmd: x}}\nmetrics: [1]\n").is_err());
}

#[test]
fn every_problem_is_found_at_once() {
    let text = "stages:\n  bad/name:\n    cmd: x\n  a:\n    dpes: [x]\n    outs: [/abs, o: {cahce: true}]\n  b: 3\n  c:\n    cmd: y\n    executor: x\n";
    let Err(Error::Document { problems, .. }) = pipeline(text) else {
        panic!()
    };
    let codes: Vec<_> = problems.iter().map(|p| p.code).collect();
    assert_eq!(
        codes,
        [
            "bad-name",
            "missing-key",
            "unknown-key",
            "bad-path",
            "unknown-key",
            "wrong-type",
            "unsupported-key"
        ]
    );
}

proptest! {
    #[test]
    fn no_document_panics(text in "(stages:\n)?( {0,4}(a|cmd|deps|outs|params|plots):( x|\n| \\[x, \\{a: 1\\}\\]|)\n?){0,6}") {
        let _ = pipeline(&text);
    }
}
