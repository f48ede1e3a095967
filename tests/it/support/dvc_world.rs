//! Random DVC projects: every kind of stage, of params and of name at least once, wired by chance.
//!
//! The same seed gives the same bytes. Every stage is a shell command that depends on nothing but its
//! inputs, and notes its run in `~/runs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Project;

/// A project as its user wrote it: before anything ran.
pub(crate) struct World {
    files: BTreeMap<String, File>,
    /// What is given to `add`.
    pub(crate) tracked: Vec<&'static str>,
    rng: ChaCha8Rng,
}

struct File {
    bytes: Vec<u8>,
    executable: bool,
}

/// Joins its inputs to one output: folders file by file, with their names.
const JOIN: &str = r#"#!/bin/sh
# join.sh OUT INPUT...
out=$1; shift
for f; do
  if [ -d "$f" ]; then
    (cd "$f" && find . -type f | LC_ALL=C sort | while IFS= read -r x; do echo "$x"; cat "$x"; done)
  else cat "$f"; fi
done > "$out"
"#;

/// Names whose order, escaping or encoding someone could get wrong.
const NAMES: [&str; 11] = [
    "a.txt",
    "a/z",
    "a-b/z",
    "ünï.txt",
    "日本/語.txt",
    "sp ace/f",
    ".hidden/f",
    "quote\"q.txt",
    "UPPER.TXT",
    "deep/er/still/x",
    "no-extension",
];

/// Scalars that YAML 1.1 and 1.2, or two printers, see differently.
const SCALARS: [&str; 30] = [
    "1e-3",
    "1.0",
    "0.00001",
    "yes",
    "'yes'",
    "null",
    "0o17",
    "017",
    "1_000",
    "\"é\"",
    "1e6",
    ".inf",
    "[[1, 2], [3]]",
    "''",
    "-0.0",
    "12345678901234567890",
    "1.50",
    "0x1F",
    "~",
    "1E5",
    "5.",
    "'1.0'",
    "on",
    "{x: [1, 2.50, true], y: {}}",
    "\"a: b # c\"",
    "'null'",
    "'- dash'",
    "[]",
    "true",
    "\"a text that is longer than eighty columns so that whoever writes it has to fold it somewhere in the middle\"",
];

/// One stage of every special kind; `@one` and `@last` are inputs.
const SPECIAL: &str = r#"  lists:
    cmd:
      - echo lists >> ~/runs
      - mkdir -p reports
      - printf '%s\n' ${train.flags} > build/flags.txt
    deps: [@one]
    outs:
      - build/flags.txt:
          desc: how it was called
          type: text
          labels: [a, b]
          meta: {who: me}
  lines:
    cmd: |
      echo lines >> ~/runs
      mkdir -p reports
      cd src
      src/join.sh build/lines.txt @last
    deps: [@last, src/join.sh]
    params:
      - train.lr
      - train.flags
      - text
      - conf/p.json: [j.k]
      - conf/p.toml:
      - conf/p.py: [A, C.D, C.G]
    outs:
      - build/lines.txt
  each:
    foreach: [u, 1, true, 0.5]
    do:
      cmd: echo each-${item} >> ~/runs; (echo ${item} ${train.lr}; cat build/lines.txt) > build/each-${item}.txt
      deps: [build/lines.txt]
      outs: ['build/each-${item}.txt']
  map:
    foreach:
      dev: {suffix: .dev, n: 2}
      prod: {suffix: '', n: 3}
    do:
      cmd: echo map-${key} >> ~/runs; head -c ${item.n} build/each-u.txt > build/map${item.suffix}.txt; chmod +x build/map${item.suffix}.txt
      deps: [build/each-u.txt]
      outs:
        - build/map${item.suffix}.txt:
            persist: true
            push: false
  grid:
    matrix:
      k: ${ks}
      m: [r18, {n: r50, w: 2}]
    cmd: echo grid-${key} >> ~/runs; mkdir -p reports && echo '{"acc":0.${item.k},"sub":{"n":1}}' > reports/${key}.json && printf 'epoch,loss\n0,1\n1,0.5\n' > reports/${key}.csv
    deps: [build/each-1.txt]
    metrics:
      - reports/${key}.json:
          cache: false
    plots:
      - reports/${key}.csv:
          x: epoch
          y: loss
          cache: false
  inside:
    wdir: work
    cmd: echo inside >> ~/runs; cat ../data/labels.txt in.txt > out.txt
    deps: [../data/labels.txt, in.txt]
    params: [p.yaml: [w]]
    outs: [out.txt]
metrics:
  - reports/r.json
plots:
  - losses:
      x: epoch
      y: {reports/1-r18.csv: loss}
artifacts:
  flags:
    path: build/flags.txt
    type: model
"#;

impl World {
    /// Makes the project of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self {
            files: BTreeMap::new(),
            tracked: vec!["data/raw", "data/labels.txt"],
            rng: ChaCha8Rng::seed_from_u64(seed),
        };
        world.file("src/join.sh", JOIN).executable = true;
        world.data();
        world.params();
        world.root_pipeline();
        world.sub_pipeline();
        world
    }

    /// Writes it into a repository.
    pub(crate) fn lay_out(&self, p: &Project) {
        for (path, file) in &self.files {
            p.write(path, &file.bytes);
            if file.executable {
                fs::set_permissions(p.path(path), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
    }

    fn file(&mut self, path: &str, text: &str) -> &mut File {
        let file = File {
            bytes: text.as_bytes().to_vec(),
            executable: false,
        };
        self.files.insert(path.to_owned(), file);
        self.files.get_mut(path).expect("just put there")
    }

    fn word(&mut self) -> String {
        (0..6)
            .map(|_| char::from(self.rng.random_range(b'a'..=b'z')))
            .collect()
    }

    fn data(&mut self) {
        for (i, name) in NAMES.iter().enumerate() {
            // Some are left out, so that the order of the others is seen in different company.
            if 2 < i && self.rng.random_bool(0.25) {
                continue;
            }
            let text = match i % 4 {
                0 => format!("{}\r\n{}\r\n", self.word(), self.word()),
                1 => String::new(),
                _ => format!("{}\n", self.word()),
            };
            let executable = self.rng.random_bool(0.3);
            self.file(&format!("data/raw/{name}"), &text).executable = executable;
        }
        let labels = format!("{}\n{}\n", self.word(), self.word());
        self.file("data/labels.txt", &labels);
    }

    fn params(&mut self) {
        let mut text = "# the params of everything\ntrain:\n  lr: 0.1\n  name: a b\n  flags:\n    fast: true\n    slow: false\n    layers: [1, 2]\nks: [1, 3]\n".to_owned();
        for i in 0..16 {
            let scalar = *SCALARS.choose(&mut self.rng).expect("there are some");
            writeln!(text, "p{i}: {scalar}").unwrap();
        }
        text.push_str("text: |\n  line one\n  line two\n");
        self.file("params.yaml", &text);
        let (a, b) = (self.rng.random_range(1..100), self.word());
        self.file(
            "conf/p.json",
            &format!("{{\"j\": {{\"k\": [{a}, {{\"z\": 2}}], \"w\": \"{b}\"}}}}\n"),
        );
        self.file(
            "conf/p.toml",
            &format!("[top]\nk = {a}\nf = 1e3\nname = \"{b}\"\n"),
        );
        self.file("conf/p.py", &format!("A = {a}\nB: float = 2.5\nclass C:\n    D = \"{b}\"\n    E = [1, 2]\n    def __init__(self):\n        self.G = 7\nI = -3\n"));
        self.file(
            "conf/vars.yaml",
            &format!("suffix: -{b}\nwhere: {{out: build}}\n"),
        );
    }

    /// Stages of one input each or more, wired by chance, then one of every special kind.
    fn root_pipeline(&mut self) {
        let mut text = "# comments stay where they are\nvars:\n  - conf/vars.yaml\n  - extra: {unused: 1}\nstages:\n  prep:\n    desc: Copies the raw data\n    cmd: echo prep >> ~/runs; mkdir -p ${where.out}/prep && cp -r data/raw/. ${where.out}/prep/ && cp data/labels.txt ${where.out}/prep/zz\n    deps:\n      - data/raw\n      - data/labels.txt\n    outs:\n      - ${where.out}/prep\n".to_owned();
        let mut things = vec![
            "build/prep".to_owned(),
            "build/prep/a".to_owned(),
            "data/labels.txt".to_owned(),
        ];
        for i in 0..self.rng.random_range(3..6) {
            self.wired(&mut text, i, &mut things);
        }
        let one = things
            .choose(&mut self.rng)
            .expect("there are some")
            .clone();
        let last = things.last().expect("there are some").clone();
        text.push_str(&SPECIAL.replace("@one", &one).replace("@last", &last));
        self.file("dvc.yaml", &text);
        self.file("work/in.txt", "inside\n");
        self.file("work/p.yaml", "w: {b: 1, a: [x, y]}\n");
        self.file("reports/r.json", "{\"r\": 1}\n");
    }

    /// A stage that joins one to three of the things that exist, with some of the params.
    fn wired(&mut self, text: &mut String, i: usize, things: &mut Vec<String>) {
        let count = self.rng.random_range(1..=3);
        let mut inputs: Vec<String> = things.sample(&mut self.rng, count).cloned().collect();
        inputs.dedup();
        let is_folder = self.rng.random_bool(0.4);
        let out = format!("build/{}{i}", if is_folder { "dir" } else { "file" });
        let mut keys: Vec<usize> = (0..self.rng.random_range(1..4))
            .map(|_| self.rng.random_range(0..16))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let patterns: Vec<_> = keys.iter().map(|k| format!("-we p{k}")).collect();
        let params: Vec<_> = keys.iter().map(|k| format!("p{k}")).collect();
        let join = inputs.join(" ");
        let cmd = if is_folder {
            format!(
                "mkdir -p {out}/ü {out}/x && src/join.sh {out}/ü/all {join} && grep {} params.yaml > {out}/x/params; touch {out}/empty",
                patterns.join(" ")
            )
        } else {
            format!(
                "(src/join.sh /dev/stdout {join}; grep {} params.yaml) > {out}",
                patterns.join(" ")
            )
        };
        write!(
            text,
            "  s{i}:\n    cmd: echo s{i} >> ~/runs; {cmd}\n    deps:\n    - src/join.sh\n"
        )
        .unwrap();
        for input in &inputs {
            writeln!(text, "    - {input}").unwrap();
        }
        write!(
            text,
            "    params: [{}]\n    outs:\n    - {out}\n",
            params.join(", ")
        )
        .unwrap();
        things.push(if is_folder {
            format!("{out}/ü")
        } else {
            out.clone()
        });
        if is_folder {
            things.push(out);
        }
    }

    fn sub_pipeline(&mut self) {
        let n = self.rng.random_range(1..100);
        self.file("sub/params.yaml", &format!("n: {n}\nshared: true\n"));
        self.file(
            "sub/dvc.yaml",
            "stages:\n  up:\n    cmd: echo sub-up >> ~/runs; wc -c < ../build/lines.txt > up.txt\n    deps: [../build/lines.txt]\n    params: [n]\n    outs: [up.txt]\n  down:\n    cmd: echo sub-down >> ~/runs; cat up.txt up.txt > down.txt\n    deps: [up.txt]\n    outs: [down.txt]\n",
        );
    }

    /// Changes something, as a user would between two runs, and says what.
    pub(crate) fn edit(&mut self, kind: usize) -> &'static str {
        match kind % 6 {
            0 => {
                let word = self.word();
                self.file("data/labels.txt", &format!("{word}\n"));
                "a tracked file"
            }
            1 => {
                let word = self.word();
                self.file("data/raw/a/new.txt", &word);
                self.files.remove("data/raw/a.txt");
                "a tracked folder"
            }
            2 => {
                self.replace("params.yaml", "lr: 0.1", "lr: 0.25");
                "a param that commands read"
            }
            3 => {
                let scalar = *SCALARS.choose(&mut self.rng).expect("there are some");
                let text = String::from_utf8(self.files["params.yaml"].bytes.clone()).unwrap();
                let lines = text.lines().map(|line| {
                    if line.starts_with("p3:") || line.starts_with("p7:") {
                        format!("{}: {scalar}", &line[..2])
                    } else {
                        line.to_owned()
                    }
                });
                let text = lines.collect::<Vec<_>>().join("\n") + "\n";
                self.file("params.yaml", &text);
                "params of any type"
            }
            4 => {
                self.replace("dvc.yaml", "head -c ${item.n}", "head -c 1${item.n}");
                "commands of a template"
            }
            _ => {
                self.replace(
                    "sub/params.yaml",
                    "shared: true\n",
                    "shared: true\nnew: 1\n",
                );
                self.replace("sub/dvc.yaml", "params: [n]", "params: [n, new]");
                "a param asked for anew"
            }
        }
    }

    fn replace(&mut self, path: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.files[path].bytes.clone()).unwrap();
        assert!(text.contains(from), "{path} has no `{from}`");
        self.file(path, &text.replace(from, to));
    }

    /// Lays out the edited world: also takes away what an edit took away.
    pub(crate) fn lay_out_again(&self, p: &Project) {
        if !self.files.contains_key("data/raw/a.txt") && p.exists("data/raw/a.txt") {
            p.remove("data/raw/a.txt");
        }
        self.lay_out(p);
    }
}
