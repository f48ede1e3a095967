//! `cvops config`.

use snapbox::str;

use crate::support::{check, project};

#[test]
fn settings_are_listed_with_their_origin() {
    let p = project();
    check(
        &p.cvops("config"),
        str![[r#"
setting                  value
cache.dir                .cvops/cache
cache.type               reflink,copy
core.autostage           false
core.jobs                1
core.no_scm              false
on_drift.after           15m
on_drift.period          24h
parsing.bool             store_true
parsing.list             nargs
tracking.system_metrics  true
[exit 0]
"#]],
    );
    p.ok("init");
    p.ok("config --global core.jobs 2");
    p.ok("config set cache.type hardlink,copy");
    p.ok("config set --local cache.dir big/cache");
    check(
        &p.cvops("config list --show-origin"),
        str![[r#"
setting                  value          from
cache.dir                big/cache      .cvops/config.local.yaml
cache.type               hardlink,copy  .cvops/config.yaml
core.autostage           false          default
core.jobs                2              [HOME]/.config/cvops/config.yaml
core.no_scm              false          default
on_drift.after           15m            default
on_drift.period          24h            default
parsing.bool             store_true     default
parsing.list             nargs          default
tracking.system_metrics  true           default
[exit 0]
"#]],
    );
    check(
        &p.cvops("config list --md"),
        str![[r#"
| setting                  | value         |
| ------------------------ | ------------- |
| cache.dir                | big/cache     |
| cache.type               | hardlink,copy |
| core.autostage           | false         |
| core.jobs                | 2             |
| core.no\_scm             | false         |
| on\_drift.after          | 15m           |
| on\_drift.period         | 24h           |
| parsing.bool             | store\_true   |
| parsing.list             | nargs         |
| tracking.system\_metrics | true          |
[exit 0]
"#]],
    );
    check(
        &p.cvops("config core.jobs"),
        str![[r#"
2
[exit 0]
"#]],
    );
    check(
        &p.cvops("config get cache.type --json"),
        str![[r#"
{"default":"reflink,copy","file":".cvops/config.yaml","key":"cache.type","meaning":"how cached files reach the workspace, the first way that works","origin":"project","value":"hardlink,copy","values":"a list of `reflink`, `copy`, `hardlink`, `symlink`"}
[exit 0]
"#]],
    );
    assert_eq!(
        p.ok("cache dir").stdout.trim(),
        p.path("big/cache").to_str().unwrap()
    );
}

#[test]
fn changes_keep_comments_and_can_be_taken_back() {
    let p = project();
    p.ok("init");
    let before = p.read(".cvops/config.yaml");
    check(
        &p.cvops("config core.jobs 4"),
        str![[r#"
--- stderr ---
`core.jobs` is `4` in `.cvops/config.yaml`
[exit 0]
"#]],
    );
    assert!(p.read(".cvops/config.yaml").starts_with(&before));
    check(
        &p.cvops("config --global core.jobs 3"),
        str![[r#"
--- stderr ---
`core.jobs` is `3` in `[HOME]/.config/cvops/config.yaml`
`.cvops/config.yaml` overrides it here: `4`
[exit 0]
"#]],
    );
    p.write(
        ".cvops/config.yaml",
        "# ours\ncore:\n  jobs: 4   # the big machine\ncache: {type: [copy]} # slow disk\n",
    );
    p.ok("config set core.jobs 8");
    p.ok("config set cache.type reflink,copy");
    assert_eq!(
        p.read(".cvops/config.yaml"),
        "# ours\ncore:\n  jobs: 8   # the big machine\ncache: {type: [reflink, copy]} # slow disk\n"
    );
    check(
        &p.cvops("config unset core.jobs"),
        str![[r#"
--- stderr ---
`core.jobs` is no longer set in `.cvops/config.yaml`
[exit 0]
"#]],
    );
    check(
        &p.cvops("config unset core.jobs"),
        str![[r#"
--- stderr ---
error: `core.jobs` is not set in `.cvops/config.yaml`
 |
 = help: `cvops config list --show-origin` shows where settings come from
[exit 2]
"#]],
    );
    assert_eq!(p.ok("config core.jobs").stdout, "3\n");
    p.ok("status --help");
    p.write(".cvops/config.yaml", "core: {jbos: 4}\n");
    p.ok("config unset core.jbos");
    p.ok("config");
}

#[test]
fn mistakes_are_named_before_anything_is_written() {
    let p = project();
    p.ok("init");
    let before = p.read(".cvops/config.yaml");
    check(
        &p.cvops("config core.job 4"),
        str![[r#"
--- stderr ---
error: there is no setting `core.job`
 |
 = help: did you mean `core.jobs`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("config get frobnicate"),
        str![[r#"
--- stderr ---
error: there is no setting `frobnicate`
 |
 = help: settings: `cache.dir`, `cache.shared`, `cache.type`, `core.autostage`, `core.jobs`, `core.no_scm`, `core.remote`, `on_drift.after`, `on_drift.command`, `on_drift.period`, `parsing.bool`, `parsing.list`, `remote.NAME.jobs`, `remote.NAME.shared`, `remote.NAME.url`, `remote.NAME.verify`, `remote.NAME.version_aware`, `tracking.system_metrics`, `tracking.uri`
[exit 2]
"#]],
    );
    check(
        &p.cvops("config core.jobs many"),
        str![[r#"
--- stderr ---
error: `core.jobs` must be a whole number from 1 to 1024
 --> .cvops/config.yaml:9:9
  |
9 |   jobs: many
  |         ^^^^ this is a text
  |
  = note: `.cvops/config.yaml` was not changed
[exit 2]
"#]],
    );
    check(
        &p.cvops("config core.jobs 0"),
        str![[r#"
--- stderr ---
error: `core.jobs` must be a whole number from 1 to 1024
 --> .cvops/config.yaml:9:9
  |
9 |   jobs: 0
  |         ^ out of range
  |
  = note: `.cvops/config.yaml` was not changed
[exit 2]
"#]],
    );
    check(
        &p.cvops("config cache.type reflnk"),
        str![[r#"
--- stderr ---
error: `reflnk` is no link type; `cache.type` is a list of `reflink`, `copy`, `hardlink`, `symlink`
 --> .cvops/config.yaml:9:9
  |
9 |   type: [reflnk]
  |         ^
  |
  = note: `.cvops/config.yaml` was not changed
  = help: did you mean `reflink`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("config --global cache.dir here"),
        str![[r#"
--- stderr ---
`cache.dir` is `[ROOT]/here` in `[HOME]/.config/cvops/config.yaml`
[exit 0]
"#]],
    );
    check(
        &p.cvops("config core.jobs 1 --local --global"),
        str![[r#"
--- stderr ---
error: the argument '--local' cannot be used with '--global'

Usage: cvops config [OPTIONS] [KEY [VALUE]]
       cvops config <COMMAND>

For more information, try '--help'.
[exit 2]
"#]],
    );
    assert_eq!(p.read(".cvops/config.yaml"), before);
    assert!(!p.exists(".cvops/config.local.yaml"));
}

#[test]
fn outside_of_a_project_only_the_users_file_can_be_changed() {
    let p = project();
    check(
        &p.cvops("config core.jobs 4"),
        str![[r#"
--- stderr ---
error: `[ROOT]` is not inside a cvops project
 |
 = note: looked for `pipeline.yaml`, `.dvc/` or `.cvops/config.yaml` here and above
 = help: run `cvops init` in the folder that should become the project
[exit 2]
"#]],
    );
    check(
        &p.cvops("config core.jobs 4 --global"),
        str![[r#"
--- stderr ---
`core.jobs` is `4` in `[HOME]/.config/cvops/config.yaml`
[exit 0]
"#]],
    );
    assert_eq!(
        std::fs::read_to_string(p.home().join(".config/cvops/config.yaml")).unwrap(),
        "core:\n  jobs: 4\n"
    );
    assert!(!p.exists(".cvops"));
}

/// Every setting is explained in docs/reference/config.md, with the same values and default.
#[test]
fn the_reference_lists_the_settings() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/config.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = reference
        .lines()
        .skip_while(|line| !line.starts_with("| setting "))
        .take_while(|line| line.starts_with('|'))
        .filter(|line| line.starts_with("| `"))
        .collect();
    let rows: Vec<&str> = rows
        .into_iter()
        .map(|row| row.split('`').nth(1).unwrap_or_default())
        .collect();
    // Those that have no value yet are known to the command all the same.
    let p = project();
    p.ok("init");
    let keys: Vec<String> = rows
        .iter()
        .map(|key| key.replace("NAME", "store"))
        .collect();
    for key in &keys {
        p.ok(&format!("config {key}"));
    }
    let json = p.ok("config list --json").stdout;
    let listed: serde_json::Value = serde_json::from_str(&json).unwrap();
    for setting in listed["settings"].as_array().unwrap() {
        let text = |key: &str| setting[key].as_str().unwrap().to_owned();
        let row = format!(
            "| `{}` | {} | {} | `{}` |",
            text("key"),
            text("meaning"),
            text("values"),
            text("default")
        );
        assert!(reference.contains(&row), "{row}");
    }
}

#[test]
fn a_level_is_asked_for_by_name() {
    let p = project();
    p.ok("init");
    p.ok("config core.jobs 4");
    p.ok("config core.jobs 2 --global");
    assert_eq!(p.ok("config core.jobs --global").stdout, "2\n");
    assert_eq!(p.ok("config get core.jobs").stdout, "4\n");
    check(
        &p.cvops("config core.jobs --local"),
        str![[r#"
--- stderr ---
error: `core.jobs` is not set in `.cvops/config.local.yaml`
 |
 = help: `cvops config list --show-origin` shows where settings come from
[exit 1]
"#]],
    );
}

#[test]
fn a_section_goes_with_its_last_setting() {
    let p = project();
    p.ok("init");
    p.write(
        ".cvops/config.yaml",
        "# ours\ncore:\n  jobs: 4\ncache:\n  type: [copy]\n",
    );
    p.ok("config unset core.jobs");
    assert_eq!(
        p.read(".cvops/config.yaml"),
        "# ours\ncache:\n  type: [copy]\n"
    );
    p.ok("config unset cache.type");
    assert_eq!(p.read(".cvops/config.yaml"), "# ours\n");
    p.ok("config core.jobs 2");
    assert_eq!(p.read(".cvops/config.yaml"), "# ours\ncore:\n  jobs: 2\n");
}

/// In a DVC repository the files are DVC's, and what DVC would refuse stays out of them.
#[test]
fn files_of_dvc_are_read_and_changed_in_their_own_form() {
    let p = project();
    p.write(
        ".dvc/config",
        "# ours\n[core]\n    remote = store  # the big one\n    analytics = false\n['remote \"store\"']\n    url = ../../store\n",
    );
    check(
        &p.cvops("config list --show-origin"),
        str![[r#"
setting                  value         from
cache.dir                .dvc/cache    default
cache.type               reflink,copy  default
core.analytics           false         .dvc/config
core.autostage           false         default
core.jobs                1             default
core.no_scm              false         default
core.remote              store         .dvc/config
on_drift.after           15m           default
on_drift.period          24h           default
parsing.bool             store_true    default
parsing.list             nargs         default
remote.store.url         ../../store   .dvc/config
tracking.system_metrics  true          default
[exit 0]
"#]],
    );
    p.ok("config core.autostage true");
    p.ok("config cache.type hardlink,copy");
    p.ok("config --local cache.dir ../big");
    p.ok("config remote.store.jobs 4");
    p.ok("config exp.auto_push false");
    p.ok("config core.analytics -u");
    check(
        &p.cvops("config core.jobs 3"),
        str![[r#"
--- stderr ---
error: `.dvc/config` cannot hold `core.jobs`
 |
 = note: DVC refuses files with settings that it does not know
 = help: `--local` sets it for this project on this machine, `--global` for all your projects
[exit 2]
"#]],
    );
    p.ok("config core.jobs 3 --local");
    assert_eq!(p.ok("config core.jobs").stdout, "3\n");
    assert_eq!(
        p.ok("cache dir").stdout.trim(),
        p.path("../big")
            .canonicalize()
            .unwrap_or(p.root().parent().unwrap().join("big"))
            .to_str()
            .unwrap()
    );
    check(
        &p.cvops("config --list --show-origin"),
        str![[r#"
.dvc/config	core.remote=store
.dvc/config	core.autostage=true
.dvc/config	cache.type=hardlink,copy
.dvc/config	exp.auto_push=false
.dvc/config	remote.store.url=../../store
.dvc/config	remote.store.jobs=4
.dvc/config.local	cache.dir=../../big
.cvops/config.local.yaml	core.jobs=3
[exit 0]
"#]],
    );
    snapbox::assert_data_eq!(
        p.read(".dvc/config"),
        str![[r##"
# ours
[core]
    remote = store  # the big one
    autostage = true
[cache]
    type = "hardlink,copy"
[exp]
    auto_push = false
['remote "store"']
    url = ../../store
    jobs = 4

"##]]
    );
    assert_eq!(
        p.read(".dvc/config.local"),
        "[cache]\n    dir = ../../big\n"
    );
}

#[test]
fn mistakes_in_files_of_dvc_have_their_place_and_what_is_unknown_is_a_warning() {
    let p = project();
    p.write(
        ".dvc/config.local",
        "[core]\n    autostge = true\n[cache]\n    type = reflnk\n",
    );
    check(
        &p.cvops("root"),
        str![[r#"
--- stderr ---
error: `reflnk` is no link type; `cache.type` is a list of `reflink`, `copy`, `hardlink`, `symlink`
 --> .dvc/config.local:4:12
  |
4 |     type = reflnk
  |            ^^^^^^
  |
  = help: did you mean `reflink`?
[exit 2]
"#]],
    );
    p.write(".dvc/config.local", "[core]\n    autostge = true\n");
    check(
        &p.cvops("root"),
        str![[r#"
[ROOT]
--- stderr ---
warning: unknown setting `core.autostge` is not used
 --> .dvc/config.local:2:5
  |
2 |     autostge = true
  |     ^^^^^^^^ not known
  |
  = help: did you mean `core.autostage`?
[exit 0]
"#]],
    );
    p.write(".dvc/config.local", "[core\n");
    check(
        &p.cvops("root"),
        str![[r#"
--- stderr ---
error: `.dvc/config.local` cannot be parsed
 --> .dvc/config.local:1:1
  |
1 | [core
  | ^^^^^ the bracket of this section is not closed
[exit 2]
"#]],
    );
}
