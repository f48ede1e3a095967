//! Templates, as the real DVC and cvops resolve them: the same stages with the same commands.

use std::collections::BTreeMap;

use crate::support::Project;
use crate::support::dvc::{self, repository};

/// Pipeline files that both tools read, each with a `params.yaml`.
const FAMILY: [(&str, &str); 9] = [
    (
        "stages:
  s:
    cmd:
      - x ${ a.b } ${a[b]} ${l[-1]} ${l[ 0 ]} ${t} ${n} ${f} ${g}
      - 'x ${t} \\${a} \\\\${a} ${ $a {x'
      - y ${m} z
",
        "a: {b: z}\nl: [1, 2]\nt: true\nn:\nf: 1e-5\ng: 123456789012345680.0\nm: {a: [true, null, 1.5, x y], e: {}, f: [], c: {d: false, g: it's}, h: ''}\n",
    ),
    (
        "stages:
  l: {foreach: [a, a, 1, '1', null, true, 0.50, a/b, c d, 1e3, 'x${m}'], do: {cmd: 'x ${item}'}}
  c: {foreach: [[1, 2], [3]], do: {cmd: 'x ${item[0]}'}}
  p: {foreach: '${q}', do: {cmd: 'x ${item.v} ${key}', wdir: 'w${item.v}', outs: ['${key}.bin']}}
  k: {foreach: {'k${m}': '${m}'}, do: {cmd: 'x ${item} ${key}'}}
",
        "m: 5\nq: {u: {v: 1}, w: {v: 2}}\n",
    ),
    (
        "stages:
  s:
    matrix:
      m: [r18, {n: r50, w: 2}, '${k}']
      s: [1, 2.5, true, [x, y], null]
    cmd: x ${key} ${item.m}
",
        "k: 7\n",
    ),
    (
        "stages:
  s:
    matrix:
      m: ${map}
      s: ${list}
    cmd: x ${key} ${item.m} ${item.s}
",
        "map: {u: 1, v: 2}\nlist: [a, 2]\n",
    ),
    (
        "vars:
  - o.yaml:m,n
  - params.yaml
  - n: {b: 3}
    q: {r: [4, {s: 5}]}
stages:
  s:
    vars: [{own: {x: 1}}, {n: {c: 8}}]
    cmd: x ${m} ${n.a} ${n.b} ${n.c} ${q.r[1].s} ${own.x} ${p}
",
        "p: 0o17\n",
    ),
    (
        "stages:
  s:
    foreach: [a, b]
    do:
      vars: [{v: {w: 1}}]
      cmd: ['x ${item} ${v.w}', 'y ${item} ${key}']
",
        "key: global\n",
    ),
    (
        "stages:
  s:
    cmd: |
      first ${a}
      second \\
        ${a}

      third
",
        "a: 1\n",
    ),
    (
        "stages:
  s:
    cmd: x
    desc: ${n} things
    deps: ['${d}.csv']
    params: ['${d}', '${d}.json': ['k${n}']]
    outs: ['${d}.bin': {cache: false, desc: '${d}'}, 'x${n}']
    metrics: ['${d}.json2']
    plots: ['${d}.csv2': {x: '${d}'}]
plots: ['${d}.csv', {'${d}': {x: '${d}', y: {'${d}.csv': '${l}'}}}]
metrics: ['${d}.json']
artifacts: {'${d}': {path: '${d}.bin', meta: {all: '${l}'}}}
",
        "n: 5\nd: data\nl: [u, v]\n",
    ),
    (
        "stages:
  s:
    cmd: x --yes ${y} --on ${on} ${oct} ${old} ${hex} ${under} ${e} ${dot} ${tilde}
",
        "y: yes\non: on\noct: 0o17\nold: 017\nhex: 0x1F\nunder: 1_000\ne: 1E5\ndot: 5.\ntilde: ~\n",
    ),
];

/// Pipeline files that neither tool reads.
const BROKEN: [&str; 14] = [
    "stages: {s: {cmd: 'x ${nope}'}}\n",
    "stages: {s: {cmd: 'x ${l}'}}\n",
    "stages: {s: {cmd: 'x ${m.}'}}\n",
    "stages: {s: {cmd: x, wdir: '${m}'}}\n",
    "stages: {s: {cmd: x, frozen: '${t}'}}\n",
    "stages: {s: {cmd: x, outs: [o: {cache: '${t}'}]}}\n",
    "stages: {s: {foreach: '${t}', do: {cmd: x}}}\n",
    "stages: {s: {foreach: [a], cmd: x, do: {cmd: x}}}\n",
    "stages: {s: {foreach: [a]}}\n",
    "stages: {s: {matrix: '${m}', cmd: x}}\n",
    "vars: [{t: 1}]\nstages: {s: {cmd: x}}\n",
    "vars: ['params.yaml:t']\nstages: {s: {cmd: x}}\n",
    "vars: ['${t}.yaml']\nstages: {s: {cmd: x}}\n",
    "stages: {s: {foreach: [a], do: {cmd: x, vars: [{item: 3}]}}}\n",
];

/// Makes DVC print what it makes of the `dvc.yaml` of each folder, as a JSON list.
const TELL: &str = "import json, os, sys
from dvc.repo import Repo
told = []
for folder in sys.argv[1:]:
    try:
        stages = Repo(folder).index.stages
        told.append({s.name: s.cmd for s in stages})
    except Exception:
        told.append(None)
print(json.dumps(told))
";

/// Returns a repository for each of some pipeline files.
fn repositories<'t>(files: impl Iterator<Item = (&'t str, &'t str)>) -> Vec<Project> {
    let make = |(pipeline, params): (&str, &str)| {
        let p = repository();
        p.write("dvc.yaml", pipeline).write("params.yaml", params);
        p.write("o.yaml", "m: 1\nn: {a: 2}\nleft: out\n");
        p
    };
    files.map(make).collect()
}

/// Returns the stages of each repository with their commands, as DVC has them.
fn as_dvc_does(repositories: &[Project], what: &str) -> Option<Vec<Told>> {
    let python = dvc::program(what)?.with_file_name("python");
    let first = repositories.first()?;
    let mut command = std::process::Command::new(python);
    command
        .env("HOME", first.home())
        .args(["-c", TELL])
        .args(repositories.iter().map(Project::root))
        .env("DVC_NO_ANALYTICS", "1")
        .env("DVC_SITE_CACHE_DIR", first.home().join("site"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = serde_json::from_str(&text);
    Some(told.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr))))
}

type Told = Option<BTreeMap<String, serde_json::Value>>;

#[test]
fn both_tools_make_the_same_stages() {
    let repositories = repositories(FAMILY.iter().copied());
    let Some(theirs) = as_dvc_does(&repositories, "the same stages") else {
        return;
    };
    for ((p, theirs), (pipeline, _)) in repositories.iter().zip(theirs).zip(FAMILY) {
        let theirs = theirs.unwrap_or_else(|| panic!("DVC refuses\n{pipeline}"));
        let ours = ours(p);
        let theirs: BTreeMap<String, Vec<String>> = theirs
            .into_iter()
            .map(|(name, cmd)| (name, commands(&cmd)))
            .collect();
        assert_eq!(ours, theirs, "{pipeline}");
    }
}

#[test]
fn both_tools_refuse_the_same_files() {
    let params = "t: true\nl: [1]\nm: {a: [1]}\n";
    let repositories = repositories(BROKEN.iter().map(|pipeline| (*pipeline, params)));
    let Some(theirs) = as_dvc_does(&repositories, "the same refusals") else {
        return;
    };
    for ((p, theirs), pipeline) in repositories.iter().zip(theirs).zip(BROKEN) {
        assert_eq!(theirs, None, "DVC takes\n{pipeline}");
        let output = p.cvops("status");
        assert_eq!(output.exit, crate::support::Exit::Code(2), "{pipeline}");
    }
}

/// Returns the stages of a repository with their commands, as cvops has them.
fn ours(p: &Project) -> BTreeMap<String, Vec<String>> {
    let output = p.ok("stage list --json");
    let list: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let stages = list.as_array().unwrap_or_else(|| panic!("{list}"));
    stages
        .iter()
        .map(|stage| {
            let name = stage["name"].as_str().unwrap().to_owned();
            (name, commands(&stage["commands"]))
        })
        .collect()
}

/// Returns the texts of a command, without the blanks around each.
fn commands(cmd: &serde_json::Value) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().trim().to_owned();
    match cmd {
        serde_json::Value::Array(items) => items.iter().map(text).collect(),
        one => vec![text(one)],
    }
}
