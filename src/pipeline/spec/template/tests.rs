//! What DVC 3.67.1 makes of templates, and what is said about broken ones.

use std::collections::BTreeMap;

use proptest::prelude::*;
use snapbox::{assert_data_eq, str};

use super::*;
use crate::base::doc::Format;
use crate::pipeline::spec::{self, Pipeline, StageSpec};
use crate::project::{BoolFlags, ListFlags};

/// Reads a pipeline file among params files.
fn read(yaml: &str, files: &[(&str, &str)], parsing: Parsing) -> Result<Pipeline, Error> {
    let document = Document::parse("dvc.yaml", yaml.to_owned(), Format::Yaml)?;
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let scope = Scope {
        folder: None,
        patterns: DepPatterns::Literal,
        parsing,
        read_file: &|path| {
            let format = Format::of_path(std::path::Path::new(path.as_str()));
            let text = files.get(path.as_str());
            text.map(|text| Document::parse(path.as_str(), (*text).to_owned(), format))
                .transpose()
        },
    };
    spec::read(resolve(document, &scope)?)
}

/// Returns the stages that `yaml` declares beside a `params.yaml`, as `NAME: COMMAND` lines.
fn commands(yaml: &str, params: &str) -> Vec<String> {
    let pipeline = read(yaml, &[("params.yaml", params)], Parsing::default()).unwrap();
    let line = |stage: &StageSpec| format!("{}: {}", stage.name, stage.commands.join(" && "));
    pipeline.stages.iter().map(line).collect()
}

/// Returns the problems of `yaml`, as `LINE:COLUMN TEXT: HEADLINE (HELP)`.
fn problems_among(yaml: &str, files: &[(&str, &str)]) -> Vec<String> {
    let Err(Error::Document { problems, .. }) = read(yaml, files, Parsing::default()) else {
        return Vec::new();
    };
    let line = |d: &Diagnostic| {
        let help = d
            .help
            .as_ref()
            .map_or_else(String::new, |h| format!(" ({h})"));
        let Some(label) = d.labels.first() else {
            return format!("{}{help}", d.headline);
        };
        let (line, column) = label.source.line_column(label.span.start);
        let text = &label.source.text[label.span.start..label.span.end];
        format!("{line}:{column} {text}: {}{help}", d.headline)
    };
    problems.iter().map(line).collect()
}

/// Adds a file and what is wrong with it.
fn tell(told: &mut String, yaml: &str, files: &[(&str, &str)]) {
    *told += yaml;
    for problem in problems_among(yaml, files) {
        *told += &format!("  {problem}\n");
    }
}

fn problems(yaml: &str, params: &str) -> Vec<String> {
    problems_among(yaml, &[("params.yaml", params)])
}

/// One stage with `cmd`.
fn cmd(command: &str) -> String {
    format!("stages:\n  s:\n    cmd: {command}\n")
}

#[test]
fn expressions_become_text() {
    let check = |command: &str, params: &str, expected: &str| {
        let lines = commands(&cmd(command), params);
        assert_eq!(lines, [format!("s: {expected}")], "{command}");
    };
    check(
        "x ${ a.b } ${a[b]} ${l[-1]} ${l[ 0 ]}",
        "l: [1, 2]\na: {b: z}",
        "x z z 2 1",
    );
    check(
        "x ${a} ${b} ${c} ${d}",
        "a: true\nb:\nc: 1e-5\nd: 0.50",
        "x true None 1e-05 0.5",
    );
    check(
        "'x ${a} \\${a} \\\\${a} ${ $a {x'",
        "a: 1",
        "x 1 ${a} \\${a} ${ $a {x",
    );
    check("${n}", "n: 5", "5");
    check(
        "[a, '${m} b']",
        "m: {a: [true, null, 1.5, x y], e: {}, f: [], c: {d: false}}",
        "a && --a True None 1.5 'x y' b",
    );
    check("${m}", "m: {a: 1, b: x y}", "--a 1 --b 'x y'");
    check(
        "|\n      a ${n}\n      ${n\n      }",
        "n: 1",
        "a 1\n${n\n}\n",
    );
}

#[test]
fn every_part_of_a_stage_is_resolved() {
    let yaml = "vars: [{d: data, n: 5}]\nstages:\n  s:\n    cmd: x\n    wdir: ${d}\n    desc: ${n} things\n    deps: ['${n}.csv']\n    params: ['a${n}', '${d}.json': ['k${n}']]\n    outs: ['${d}.bin': {cache: false, remote: '${d}'}, 'x${n}']\n    metrics: ['${n}.json']\n    plots: ['${n}.csv2': {x: '${d}'}]\nplots: ['${d}.csv']\nmetrics: ['top${n}.json']\nartifacts: {'${d}': {path: '${d}.bin', meta: {all: '${l}'}}}\n";
    let pipeline = read(yaml, &[("params.yaml", "l: [1, 2]\n")], Parsing::default()).unwrap();
    let stage = &pipeline.stages[0];
    let outs: Vec<_> = stage.outs.keys().map(ArtifactPath::as_str).collect();
    assert_eq!(
        outs,
        ["data/5.csv2", "data/5.json", "data/data.bin", "data/x5"]
    );
    let params: Vec<_> = stage.params.keys().map(ToString::to_string).collect();
    assert_eq!(params, ["data/data.json:k5", "data/params.yaml:a5"]);
    assert_eq!(stage.description.as_deref(), Some("5 things"));
    assert_eq!(stage.deps.keys().next().unwrap().as_str(), "data/5.csv");
    assert!(pipeline.catalog.artifacts.contains_key("data"));
    assert_eq!(
        pipeline.shown.metrics.keys().next().unwrap().as_str(),
        "top5.json"
    );
    assert_eq!(pipeline.template_files.len(), 1);
}

#[test]
fn stages_are_made_for_each_of_a_list() {
    let foreach = |data: &str, command: &str, params: &str| {
        let yaml = format!("stages:\n  s:\n    foreach: {data}\n    do: {{cmd: '{command}'}}\n");
        commands(&yaml, params)
    };
    assert_eq!(
        foreach("[a, a, 1, '1', null, true, 0.50]", "x ${item}", ""),
        [
            "s@a: x a",
            "s@1: x 1",
            "s@None: x None",
            "s@true: x true",
            "s@0.5: x 0.5"
        ]
    );
    assert_eq!(
        foreach("['${m}', 'x${m}']", "x ${item}", "m: 5"),
        ["s@5: x 5", "s@x5: x x5"]
    );
    assert_eq!(
        foreach("[[1, 2], [3]]", "x ${item[0]}", ""),
        ["s@0: x 1", "s@1: x 3"]
    );
    assert_eq!(
        foreach("${l}", "x ${item.n}", "l: [{n: u}, {n: w}]"),
        ["s@0: x u", "s@1: x w"]
    );
    assert_eq!(
        foreach("{u: {v: 1}, w: {v: 2}}", "x ${item.v} ${key}", ""),
        ["s@u: x 1 u", "s@w: x 2 w"]
    );
    assert_eq!(
        foreach("{'k${m}': '${m}'}", "x ${item} ${key}", "m: 5"),
        ["s@k5: x 5 k5"]
    );
    assert_eq!(
        foreach("[a]", "x ${item} ${key}", "item: 5\nkey: z"),
        ["s@a: x a z"]
    );
    assert_eq!(foreach("[a/b, c d]", "x", ""), ["s@a/b: x", "s@c d: x"]);
    assert!(foreach("[]", "x", "").is_empty());
}

#[test]
fn stages_are_made_for_each_cell_of_a_matrix() {
    let matrix = |data: &str, command: &str, params: &str| {
        let yaml = format!("stages:\n  s:\n    matrix: {data}\n    cmd: '{command}'\n");
        commands(&yaml, params)
    };
    assert_eq!(
        matrix(
            "{m: [r18, {n: r50}], s: ['${k}', [x]]}",
            "x ${key} ${item.m}",
            "k: 2.5"
        ),
        [
            "s@r18-2.5: x r18-2.5 r18",
            "s@r18-s1: x r18-s1 r18",
            "s@m1-2.5: x m1-2.5 --n r50",
            "s@m1-s1: x m1-s1 --n r50"
        ]
    );
    assert_eq!(
        matrix("{a: '${m}', b: [1]}", "x ${item.a}", "m: {u: 1, v: 2}"),
        ["s@u-1: x u", "s@v-1: x v"]
    );
    assert!(matrix("{a: [], b: [1]}", "x", "").is_empty());
}

#[test]
fn groups_are_known_and_places_lead_into_the_text() {
    let yaml = "stages:\n  s:\n    foreach: [a, b]\n    do:\n      cmd: x\n      outs: ['${item}.out']\n  one: {cmd: y}\n";
    let pipeline = read(yaml, &[], Parsing::default()).unwrap();
    let groups: Vec<String> = pipeline
        .groups
        .iter()
        .map(|(group, names)| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            format!("{group}: {}", names.join(" "))
        })
        .collect();
    assert_eq!(groups, ["s: s@a s@b"]);
    let stage = &pipeline.stages[1];
    assert_eq!(stage.name.group(), Some("s"));
    let shown = |at: &KeyPath| {
        let span = pipeline.document.locate(at).unwrap().value;
        &yaml[span.start..span.end]
    };
    assert_eq!(shown(&stage.declared), "cmd: x");
    let out = stage.outs.values().next().unwrap();
    assert_eq!(shown(&out.declared), "'${item}.out'");
}

#[test]
fn variables_come_from_files_and_places() {
    let o = ("o.yaml", "m: 1\nn: {a: 2}\n");
    let p = ("params.yaml", "p: 5\n");
    let check = |vars: &str, command: &str, expected: &str| {
        let yaml = format!("vars: {vars}\n{}", cmd(command));
        let pipeline = read(&yaml, &[o, p], Parsing::default()).unwrap();
        assert_eq!(pipeline.stages[0].commands, [expected], "{vars}");
    };
    check("[o.yaml]", "${m} ${n.a} ${p}", "1 2 5");
    check("['o.yaml:m', 'o.yaml:n']", "${m} ${n.a}", "1 2");
    check(
        "['o.yaml:m,n', {n: {b: 3}, q: {r: 4}}]",
        "${m} ${n.a} ${n.b} ${q.r}",
        "1 2 3 4",
    );
    check("[params.yaml, ./params.yaml]", "${p}", "5");
    let own = "vars: [{m: 1}]\nstages:\n  s: {cmd: '${m} ${n.a}', wdir: sub, vars: ['v.yaml', {n: {b: 1}}]}\n";
    let pipeline = read(own, &[("sub/v.yaml", "n: {a: 7}\n")], Parsing::default()).unwrap();
    assert_eq!(pipeline.stages[0].commands, ["1 7"]);
}

#[test]
fn what_is_wrong_with_variables_is_told_with_its_place() {
    let files = [("o.yaml", "m: 1\nn: 2\n"), ("params.yaml", "p: {q: 5}\n")];
    let mut told = String::new();
    for vars in [
        "[{p: {q: 3}}]",
        "[{p: 1}]",
        "['params.yaml:p']",
        "['o.yaml:m,n', 'o.yaml:m']",
        "['o.yaml:m', 'o.yaml']",
        "['o.yaml:mm']",
        "[nope.yaml, 3, /abs.yaml]",
        "{a: 1}",
        "['${a}.yaml', {a: '${b}', '${c}': [1]}]",
    ] {
        let yaml = format!("vars: {vars}\n{}", cmd("x"));
        tell(&mut told, &yaml, &files);
    }
    tell(&mut told, &cmd("${a}"), &[("params.yaml", "[1]")]);
    let own =
        "stages:\n  s:\n    foreach: [a]\n    do: {cmd: 'x ${item}', vars: [{item: 3}, {p: 1}]}\n";
    tell(&mut told, own, &files);
    assert_data_eq!(
        told,
        str![[r#"
vars: [{p: {q: 3}}]
stages:
  s:
    cmd: x
  1:13 q: `p.q` is defined twice (variables add to one another and never override: rename one of the two)
vars: [{p: 1}]
stages:
  s:
    cmd: x
  1:9 p: `p` is defined twice (variables add to one another and never override: rename one of the two)
vars: ['params.yaml:p']
stages:
  s:
    cmd: x
  1:8 'params.yaml:p': `params.yaml:p` cannot be loaded: all of it is loaded already (drop this one)
vars: ['o.yaml:m,n', 'o.yaml:m']
stages:
  s:
    cmd: x
  1:22 'o.yaml:m': `o.yaml:m` cannot be loaded: keys of it are loaded already (load each key once, or the whole file once)
vars: ['o.yaml:m', 'o.yaml']
stages:
  s:
    cmd: x
  1:20 'o.yaml': `o.yaml` cannot be loaded: keys of it are loaded already (load each key once, or the whole file once)
vars: ['o.yaml:mm']
stages:
  s:
    cmd: x
  1:16 mm: `o.yaml` has no key `mm` (did you mean `m`?)
vars: [nope.yaml, 3, /abs.yaml]
stages:
  s:
    cmd: x
  1:8 nope.yaml: `nope.yaml` does not exist (create the file, or drop it from `vars`)
  1:19 3: `vars[1]` must be a file or a mapping, not a whole number (for example `vars: [other.yaml, {folder: data}]`)
  1:22 /abs.yaml: `/abs.yaml` is absolute; paths are relative to the pipeline file
vars: {a: 1}
stages:
  s:
    cmd: x
  1:7 {: `vars` must be a list of files and mappings, not a mapping (for example `vars: [other.yaml, {folder: data}]`)
vars: ['${a}.yaml', {a: '${b}', '${c}': [1]}]
stages:
  s:
    cmd: x
  1:9 ${a}: `${a}` may not stand in `vars` (variables cannot be made of others: write the value itself)
  1:26 ${b}: `${b}` may not stand in `vars` (variables cannot be made of others: write the value itself)
  1:34 ${c}: `${c}` may not stand in `vars` (variables cannot be made of others: write the value itself)
stages:
  s:
    cmd: ${a}
  1:1 [: `params.yaml` must hold a mapping, not a list
stages:
  s:
    foreach: [a]
    do: {cmd: 'x ${item}', vars: [{item: 3}, {p: 1}]}
  4:36 item: `item` cannot be a variable here: it stands for what the stage is made for (choose another name)
  4:47 p: `p` is defined twice (variables add to one another and never override: rename one of the two)

"#]]
    );
}

#[test]
fn what_is_wrong_with_expressions_is_told_all_at_once() {
    let yaml = "stages:\n  a:\n    cmd: x ${trian.lr} ${train.l} ${train.lr\n    deps: ['${train}', '${a.}', x, x]\n    frozen: ${f}\n    outs: [o: {cache: '${f}'}]\n    dpes: y\n  ${a}: {cmd: y}\n";
    assert_eq!(
        problems(yaml, "train: {lr: 1}\nf: true\na: 1\n"),
        [
            "3:12 ${trian.lr}: `trian.lr` is not defined (did you mean `train.lr`?)",
            "3:24 ${train.l}: `train.l` is not defined (did you mean `train.lr`?)",
            "4:13 ${train}: `${train}` is a mapping, where a text must stand (name one of its keys, such as `${train.lr}`; a whole mapping may stand in `cmd` only, as options)",
            "4:25 ${a.}: `${a.}` is no expression: a name must follow the dot (to mean the text itself, write `\\${a.}`)",
            "4:36 x: `x` is listed twice (drop one of the two)",
            "5:13 ${f}: `${f}` may not stand in `frozen` (write `true` or `false`)",
            "6:24 ${f}: `${f}` may not stand in `cache` (write `true` or `false`)",
            "7:5 dpes: unknown key `dpes` in `stages.a` (did you mean `deps`?)",
            "8:3 ${a}: `${a}` may not stand in the name of a stage (`foreach` and `matrix` make several stages of one text)",
        ]
    );
}

#[test]
fn what_is_wrong_with_groups_is_told_once() {
    let mut told = String::new();
    for stage in [
        "{foreach: [{a: 1}, {b: 2}, {b: 3}], do: {cmd: '${item.a}', dpes: x}}",
        "{foreach: [a], cmd: x, do: {cmd: x}}",
        "{foreach: [a]}",
        "{foreach: '${n}', do: {cmd: x}}",
        "{foreach: '${nn}', do: {cmd: x}}",
        "{foreach: [a], do: x}",
        "{foreach: [a], do: {cmd: x, matrix: {a: [1]}}}",
        "{matrix: {a: '${n}'}, cmd: x}",
        "{matrix: {}, cmd: x}",
        "{matrix: '${n}', cmd: x}",
        "{cmd: '${item} ${key}'}",
        "{foreach: [\"a\\nb\", c@d], do: {cmd: x}}",
        "{foreach: [a, b], do: {cmd: x, outs: ['${item}', '${item}']}}",
    ] {
        let yaml = format!("stages:\n  s: {stage}\n");
        tell(&mut told, &yaml, &[("params.yaml", "n: 5\n")]);
    }
    tell(&mut told, "stages:\n  s@x: {cmd: x}\n", &[]);
    assert_data_eq!(
        told,
        str![[r#"
stages:
  s: {foreach: [{a: 1}, {b: 2}, {b: 3}], do: {cmd: '${item.a}', dpes: x}}
  2:53 ${item.a}: `item.a` is not defined (did you mean `item.b`?)
  2:65 dpes: unknown key `dpes` in `stages.s@0` (did you mean `deps`?)
stages:
  s: {foreach: [a], cmd: x, do: {cmd: x}}
  2:21 cmd: `cmd` cannot stand beside `foreach` in `stages.s` (move it below `do`)
stages:
  s: {foreach: [a]}
  2:3 s: `stages.s` has `foreach` but no `do` (`foreach` says for what stages are made, and `do` holds their text)
stages:
  s: {foreach: '${n}', do: {cmd: x}}
  2:16 '${n}': `stages.s.foreach` must be a list or a mapping, not a whole number
stages:
  s: {foreach: '${nn}', do: {cmd: x}}
  2:17 ${nn}: `nn` is not defined (did you mean `n`?)
stages:
  s: {foreach: [a], do: x}
  2:25 x: `stages.s.do` must be a mapping, not a text (it holds `cmd` and the other keys of a stage)
stages:
  s: {foreach: [a], do: {cmd: x, matrix: {a: [1]}}}
  2:34 matrix: `matrix` cannot stand below `do` (use `matrix` to go over several things at once)
stages:
  s: {matrix: {a: '${n}'}, cmd: x}
  2:19 '${n}': `stages.s.matrix.a` must be a list, not a whole number (for example `matrix: {model: [small, large], seed: [1, 2]}`)
stages:
  s: {matrix: {}, cmd: x}
  2:15 {: `stages.s.matrix` has no axes (for example `matrix: {model: [small, large], seed: [1, 2]}`)
stages:
  s: {matrix: '${n}', cmd: x}
  2:15 '${n}': `stages.s.matrix` must be a mapping of names to lists, not a text (for example `matrix: {model: [small, large], seed: [1, 2]}`)
stages:
  s: {cmd: '${item} ${key}'}
  2:13 ${item}: `item` is not defined (`item` is there only in stages of `foreach` and `matrix`; to leave it to the shell, write `/${item}`)
  2:21 ${key}: `key` is not defined (`key` is there only in stages of `matrix`, and of a `foreach` over a mapping; to leave it to the shell, write `/${key}`)
stages:
  s: {foreach: ["a/nb", c@d], do: {cmd: x}}
  2:16 [: `a/nb` cannot be part of a stage's name (go over a mapping: its keys become part of the names)
  2:16 [: `c@d` cannot be part of a stage's name (go over a mapping: its keys become part of the names)
stages:
  s: {foreach: [a, b], do: {cmd: x, outs: ['${item}', '${item}']}}
  2:55 '${item}': `a` is listed twice (drop one of the two)
stages:
  s@x: {cmd: x}
  2:3 s@x: `s@x` is not a stage name: `@` stands only in names that `foreach` and `matrix` make

"#]]
    );
}

const GOLDEN: &str = include_str!("../../../../tests/golden/dvc/tmpl.dvc.yaml");

/// Returns the names and commands that `dvc repro --dry` printed.
fn printed(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Running stage '") {
            name = rest.trim_end_matches("':");
        } else if let Some(command) = line.strip_prefix("> ") {
            lines.push(format!("{name}: {command}"));
        }
    }
    lines
}

#[test]
fn golden_templates_are_resolved_as_dvc_does() {
    let dry = include_str!("../../../../tests/golden/dvc/tmpl.repro-dry.txt");
    assert_eq!(commands(GOLDEN, ""), printed(dry));
    let list = include_str!("../../../../tests/golden/dvc/tmpl.stage-list.txt");
    let names: Vec<_> = list
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    let pipeline = read(GOLDEN, &[], Parsing::default()).unwrap();
    let ours: Vec<_> = pipeline.stages.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(ours, names);
    let bools = BoolFlags::BooleanOptional;
    for (parsing, file) in [
        (
            Parsing {
                bools,
                ..Parsing::default()
            },
            include_str!("../../../../tests/golden/dvc/tmpl.dict-boolean_optional.txt"),
        ),
        (
            Parsing {
                bools,
                lists: ListFlags::Append,
            },
            include_str!("../../../../tests/golden/dvc/tmpl.dict-append.txt"),
        ),
    ] {
        let pipeline = read(GOLDEN, &[], parsing).unwrap();
        let dict = &pipeline.stages[0];
        assert_eq!([format!("dict: {}", dict.commands[0])], printed(file)[..]);
    }
}

#[test]
fn a_golden_project_has_the_stages_that_dvc_lists() {
    let yaml = include_str!("../../../../tests/golden/dvc/project.dvc.yaml");
    let params = include_str!("../../../../tests/golden/dvc/project.params.yaml");
    let pipeline = read(yaml, &[("params.yaml", params)], Parsing::default()).unwrap();
    let list = include_str!("../../../../tests/golden/dvc/project.stage-list-all.txt");
    let names: Vec<_> = list
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .filter(|name| !name.contains(".dvc"))
        .collect();
    let ours: Vec<_> = pipeline.stages.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(ours, names);
}

#[test]
fn a_file_without_templates_is_left_alone() {
    let document = Document::parse("dvc.yaml", cmd("x"), Format::Yaml).unwrap();
    let scope = Scope {
        folder: None,
        patterns: DepPatterns::Literal,
        parsing: Parsing::default(),
        read_file: &|_| unreachable!("no params file is needed"),
    };
    let resolved = resolve(document, &scope).unwrap();
    assert!(resolved.files.is_empty());
}

/// Any value, with templates and the keys of templates all over it.
fn any_value() -> impl Strategy<Value = Value> {
    let text = "(\\$\\{(item|key|a|b\\.c|a\\[0\\]|)\\}|[a-z.\\[\\]\\\\$\\{\\}@ ]){0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        text.prop_map(Value::Str),
    ];
    let key = "(stages|s|cmd|deps|outs|plots|metrics|params|foreach|do|matrix|vars|wdir|artifacts|path|cache|\\$\\{a\\}|item|a|b)";
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::vec((key, inner), 0..5)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_panics(stages in any_value(), vars in any_value(), params in any_value(), rest in any_value()) {
        let mut root = Map::new();
        root.insert("vars".to_owned(), vars);
        root.insert("stages".to_owned(), Value::Map(Map::from_iter([("s".to_owned(), stages)])));
        if let Value::Map(rest) = rest {
            root.extend(rest);
        }
        let yaml = Value::Map(root).to_yaml().unwrap();
        let params = params.to_yaml().unwrap();
        let _ = read(&yaml, &[("params.yaml", &params)], Parsing::default());
    }
}
