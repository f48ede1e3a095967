//! Tests against locks that DVC 3.67 wrote.

use proptest::prelude::*;

use super::*;
use crate::base::doc::Format;
use crate::pipeline::spec;
use crate::store::Presence;

const FIRST: &str = include_str!("fixtures/first.lock");
const SECOND: &str = include_str!("fixtures/second.lock");
const TYPES: &str = include_str!("fixtures/types.lock");
const SPELT: &str = include_str!("fixtures/spelt.lock");

fn parse(text: &str) -> Document {
    Document::parse("dvc.lock", text.to_owned(), Format::Yaml).unwrap()
}

fn shapes(yaml: &str) -> Vec<(String, Shape)> {
    let stages = spec::read(parse(yaml)).unwrap().stages;
    let shapes = stages
        .iter()
        .map(|stage| (stage.name.to_string(), Shape::of(stage)));
    shapes.collect()
}

fn entries(text: &str, shapes: &[(String, Shape)]) -> Vec<(String, LockEntry)> {
    let problems = parse(text);
    let problems = Problems::new(&problems);
    let root = &problems.document().root;
    let stages = KeyPath::root().key("stages");
    let names = stages.get(root).and_then(Value::as_map).unwrap().keys();
    let entries = names.map(|name| {
        let shape = shapes.iter().find(|(known, _)| known == name);
        let shape = shape.map(|(_, shape)| shape.clone()).unwrap_or_default();
        (
            name.clone(),
            entry::read(&problems, &stages.key(name), &shape).unwrap(),
        )
    });
    entries.collect()
}

fn write(
    before: Option<&str>,
    entries: &[(String, LockEntry)],
    shapes: &[(String, Shape)],
) -> String {
    let none = Shape::default();
    let updates = entries.iter().map(|(name, entry)| {
        let shape = shapes.iter().find(|(known, _)| known == name);
        let shape = shape.map_or(&none, |(_, shape)| shape);
        Update { name, entry, shape }
    });
    to_text("dvc.lock", before, &updates.collect::<Vec<_>>()).unwrap()
}

#[test]
fn locks_of_dvc_are_written_to_the_byte() {
    for (text, yaml) in [
        (FIRST, None),
        (SECOND, None),
        (TYPES, Some(include_str!("fixtures/types.yaml"))),
        (SPELT, Some(include_str!("fixtures/spelt.yaml"))),
    ] {
        let shapes = yaml.map(shapes).unwrap_or_default();
        let entries = entries(text, &shapes);
        assert_eq!(write(None, &entries, &shapes), text);
        assert_eq!(write(Some(text), &entries, &shapes), text);
    }
    // From one state of a project to the next.
    let second = entries(SECOND, &[]);
    assert_eq!(write(Some(FIRST), &second, &[]), SECOND);
    assert_eq!(write(Some(FIRST), &[], &[]), FIRST);
}

#[test]
fn what_nobody_declares_and_what_says_the_same_keeps_its_text() {
    let text = "# ours\nschema: '2.0'\nstages:\n  # about b\n  b:\n    cmd: \"x\"  # why\n    outs:\n    - {path: o, md5: d8e8fca2dc0f896fd7cb4cb0031ba249, size: 5}\n  # about gone\n  'gone@1':\n    cmd: [y]\ndatasets:\n- name: d\n";
    let old = entries(text, &[]);
    assert_eq!(write(Some(text), &old, &[]), text);
    let object = old[0]
        .1
        .outs
        .values()
        .next()
        .and_then(Presence::object)
        .unwrap();
    assert_eq!(
        object.hash().algo(),
        crate::base::hash::HashAlgo::Md5Dos2Unix
    );
    let mut new = old[0].1.clone();
    new.commands = vec!["z".to_owned()];
    let update = |name: &str| (name.to_owned(), new.clone());
    let entry = "    cmd: z\n    outs:\n    - path: o\n      md5: d8e8fca2dc0f896fd7cb4cb0031ba249\n      size: 5\n";
    assert_eq!(
        write(Some(text), &[update("b"), update("a")], &[]),
        format!(
            "# ours\nschema: '2.0'\nstages:\n  # about b\n  b:\n{entry}  # about gone\n  'gone@1':\n    cmd: [y]\n  a:\n{entry}datasets:\n- name: d\n"
        )
    );
    // Another layout is brought into DVC's.
    let flow = "{schema: '2.0', datasets: [], stages: {b: {cmd: q}}}";
    assert_eq!(
        write(Some(flow), &[update("a")], &[]),
        format!("schema: '2.0'\ndatasets: []\nstages:\n  b:\n    cmd: q\n  a:\n{entry}")
    );
    // DVC 1 had the stages at the top.
    let one = "b:\n  cmd: q\n  outs:\n  - path: o\n    md5: d8e8fca2dc0f896fd7cb4cb0031ba249\n";
    let lock = read(&parse(one), &|_| None).unwrap();
    assert_eq!(lock.stages.len(), 1);
    assert_eq!(
        write(Some(one), &[update("a")], &[]),
        format!(
            "schema: '2.0'\nstages:\n  b:\n    cmd: q\n    outs:\n    - path: o\n      md5: d8e8fca2dc0f896fd7cb4cb0031ba249\n  a:\n{entry}"
        )
    );
}

#[test]
fn a_broken_lock_says_what_is_wrong() {
    let text = "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    deps:\n    - path: d\n      md5: 12\n    params: 3\n";
    let Err(Error::Document { problems, .. }) = read(&parse(text), &|_| None) else {
        panic!()
    };
    let said: Vec<&str> = problems.iter().map(|p| p.headline.as_str()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
}

proptest! {
    /// What can be read says the same after it was written anew, and nothing panics.
    #[test]
    fn any_lock_is_read_or_refused(
        text in "(schema: '2.0'\n|stages:\n|  a:\n|  b@1:\n|    cmd: x\n|    (deps|outs):\n|    - path: p\n|      md5: d41d8cd98f00b204e9800998ecf8427e(\\.dir)?\n|      size: [0-9x]\n|    params:\n|      f.yaml:\n|        k: (1|y|\\[1\\]|null)\n|: |- |\\[|#)*"
    ) {
        let Ok(document) = Document::parse("dvc.lock", text.clone(), Format::Yaml) else {
            return Ok(());
        };
        let Ok(lock) = read(&document, &|_| None) else {
            return Ok(());
        };
        let shape = Shape::default();
        let updates: Vec<Update<'_>> = lock
            .stages
            .iter()
            .map(|(name, entry)| Update { name: name.local(), entry, shape: &shape })
            .collect();
        if let Ok(written) = to_text("dvc.lock", Some(&text), &updates) {
            prop_assert_eq!(read(&parse(&written), &|_| None).unwrap(), lock);
        }
    }
}
