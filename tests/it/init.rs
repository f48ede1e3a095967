//! `cvops init`, `root`, `version`, `schema`: the small ones.

use snapbox::str;

use crate::support::{check, project};

#[test]
fn init_creates_once_and_git_sees_only_what_is_to_be_committed() {
    let p = project();
    check(
        &p.cvops("init"),
        str![[r#"
created .cvops
created .cvops/.gitignore
created .cvops/config.yaml
created .cvopsignore
--- stderr ---
next: write a `pipeline.yaml` (`cvops schema` describes it), then run `cvops repro`
[exit 0]
"#]],
    );
    check(
        &p.cvops("init"),
        str![[r#"
nothing to do: this is a project already
[exit 0]
"#]],
    );
    check(
        &p.cvops("init --json"),
        str![[r#"
{"created":[]}
[exit 0]
"#]],
    );
    p.write("pipeline.yaml", "stages: {a: {cmd: echo > a, outs: [a]}}\n")
        .git_init();
    assert_eq!(
        p.git("ls-files"),
        ".cvops/.gitignore\n.cvops/config.yaml\n.cvopsignore\npipeline.yaml\n"
    );
    p.ok("repro");
    assert_eq!(
        p.git("status --porcelain"),
        "?? .gitignore\n?? pipeline.lock\n"
    );
}

#[test]
fn init_keeps_what_is_there() {
    let p = project();
    p.write(".cvops/config.yaml", "core: {jobs: 3}\n")
        .write(".cvopsignore", "*.tmp\n");
    check(
        &p.cvops("init"),
        str![[r#"
created .cvops/.gitignore
--- stderr ---
next: write a `pipeline.yaml` (`cvops schema` describes it), then run `cvops repro`
[exit 0]
"#]],
    );
    assert_eq!(p.read(".cvops/config.yaml"), "core: {jobs: 3}\n");
    assert_eq!(p.read(".cvopsignore"), "*.tmp\n");
}

#[test]
fn root_is_found_from_below() {
    let p = project();
    check(
        &p.cvops("root"),
        str![[r#"
--- stderr ---
error: `[ROOT]` is not inside a cvops project
 |
 = note: looked for `pipeline.yaml`, `.dvc/` or `.cvops/config.yaml` here and above
 = help: run `cvops init` in the folder that should become the project
[exit 2]
"#]],
    );
    p.ok("init");
    p.write("a/b/c.txt", "");
    check(
        &p.cvops("-C a/b root"),
        str![[r#"
[ROOT]
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C a/b root --json"),
        str![[r#"
{"root":"[ROOT]"}
[exit 0]
"#]],
    );
}

#[test]
fn version_has_two_forms() {
    let p = project();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(p.ok("--version").stdout, format!("cvops {version}\n"));
    assert!(
        p.ok("version")
            .stdout
            .starts_with(&format!("cvops {version}"))
    );
    assert_eq!(p.ok("version --json").json()[0]["version"], version);
}

#[test]
fn the_schema_knows_every_key_that_the_reader_knows() {
    let schema: serde_json::Value =
        serde_json::from_str(&project().ok("schema").stdout).expect("the schema is JSON");
    assert!(
        schema["$schema"]
            .as_str()
            .is_some_and(|s| s.contains("json-schema.org"))
    );
    let text = schema.to_string();
    for key in [
        "stages",
        "cmd",
        "deps",
        "outs",
        "params",
        "metrics",
        "plots",
        "wdir",
        "frozen",
        "always_changed",
        "env",
        "desc",
        "meta",
        "cache",
        "persist",
        "direction",
    ] {
        assert!(
            text.contains(&format!("\"{key}\"")),
            "the schema lacks `{key}`"
        );
    }
}

#[test]
fn a_dvc_repository_is_set_up_as_dvc_does_and_left_as_it_is() {
    let p = project();
    check(
        &p.cvops("init --dvc"),
        str![[r#"
--- stderr ---
error: `[ROOT]` is not the top folder of a git repository
 |
 = help: run `git init` first, or do without git: `--no-scm`
[exit 2]
"#]],
    );
    p.git_init();
    check(
        &p.cvops("init --dvc"),
        str![[r#"
created .dvc
created .dvc/.gitignore
created .dvc/config
created .dvcignore
--- stderr ---
this is a DVC repository: `cvops repro` works with its `dvc.yaml`
[exit 0]
"#]],
    );
    check(
        &p.cvops("init --dvc"),
        str![[r#"
nothing to do: this is a project already
[exit 0]
"#]],
    );
    assert_eq!(p.read(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n");
    assert_eq!(p.read(".dvc/config"), "");
    check(
        &p.cvops("init"),
        str![[r#"
created .cvops
created .cvops/.gitignore
--- stderr ---
this is a DVC repository: `cvops repro` works with its `dvc.yaml`
[exit 0]
"#]],
    );
    assert_eq!(p.read(".cvops/.gitignore"), "*\n");
    assert_eq!(
        p.git("status --porcelain --untracked-files=all"),
        "A  .dvc/.gitignore\nA  .dvc/config\nA  .dvcignore\n"
    );
    p.write("sub/x", "");
    check(
        &p.cvops("-C sub init --dvc"),
        str![[r#"
--- stderr ---
error: `[ROOT]/sub` is not the top folder of a git repository
 |
 = help: `--subdir` accepts that `[ROOT]` is, or `--no-scm` does without git
[exit 2]
"#]],
    );
    p.ok("-C sub init --dvc --no-scm");
    assert_eq!(p.read("sub/.dvc/config"), "[core]\n    no_scm = True\n");
}
