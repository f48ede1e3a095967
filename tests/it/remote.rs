//! `cvops remote`.

use snapbox::{assert_data_eq, str};

use crate::support::{check, project};

#[test]
fn remotes_of_a_project_are_settings() {
    let p = project();
    p.ok("init");
    check(&p.cvops("remote list"), str!["[exit 0]"]);
    check(
        &p.cvops("remote default"),
        str![[r#"
--- stderr ---
error: no remote is the default
 |
 = help: `cvops remote default NAME` chooses one
[exit 1]
"#]],
    );
    p.write("sub/x", "");
    check(
        &p.cvops("-C sub remote add --default store ../store"),
        str![[r#"
--- stderr ---
added the remote `store` to `.cvops/config.yaml`
`store` is the default remote
[exit 0]
"#]],
    );
    p.ok("remote add --local scratch /tmp/scratch");
    p.ok("remote add cloud s3://bucket/path");
    check(
        &p.cvops("remote add store /elsewhere"),
        str![[r#"
--- stderr ---
error: there is a remote `store` already in `.cvops/config.yaml`
 |
 = help: `--force` replaces it
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote list"),
        str![[r#"
cloud	s3://bucket/path
scratch	/tmp/scratch
store	[ROOT]/store	(default)
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote list --local"),
        str![[r#"
scratch	/tmp/scratch
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote list --json"),
        str![[r#"
{"remotes":[{"default":false,"name":"cloud","url":"s3://bucket/path"},{"default":false,"name":"scratch","url":"/tmp/scratch"},{"default":true,"name":"store","url":"[ROOT]/store"}]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote list --md"),
        str![[r#"
| remote  | url                                |         |
| ------- | ---------------------------------- | ------- |
| cloud   | s3://bucket/path                   |         |
| scratch | /tmp/scratch                       |         |
| store   | [ROOT]/store | default |
[exit 0]
"#]],
    );
}

#[test]
fn options_of_remotes_are_changed() {
    let p = project();
    p.ok("init");
    p.ok("remote add --default store store");
    p.ok("remote add --local scratch /tmp/scratch");
    p.ok("remote add cloud s3://bucket/path");
    check(
        &p.cvops("remote modify store jobs 8"),
        str![[r#"
--- stderr ---
`remote.store.jobs` is `8` in `.cvops/config.yaml`
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote modify stor jobs 8"),
        str![[r#"
--- stderr ---
error: there is no remote `stor`
 |
 = help: did you mean `store`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote modify store job 8"),
        str![[r#"
--- stderr ---
error: remotes have no option `job`
 |
 = help: did you mean `jobs`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote modify store jobs many"),
        str![[r#"
--- stderr ---
error: `remote.store.jobs` must be a whole number from 1 to 1024
  --> .cvops/config.yaml:11:11
   |
11 |     jobs: many
   |           ^^^^ this is a text
   |
   = note: `.cvops/config.yaml` was not changed
[exit 2]
"#]],
    );
}

#[test]
fn remotes_are_renamed_and_removed() {
    let p = project();
    p.ok("init");
    p.ok("remote add --default store store");
    p.ok("remote add --local scratch /tmp/scratch");
    p.ok("remote add cloud s3://bucket/path");
    check(
        &p.cvops("remote rename store archive"),
        str![[r#"
--- stderr ---
the remote `store` is called `archive` in `.cvops/config.yaml`
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote default"),
        str![[r#"
archive
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote rename cloud archive"),
        str![[r#"
--- stderr ---
error: there is a remote `archive` already
 |
 = help: remove it first, or choose another name
[exit 2]
"#]],
    );
    let added = p.read(".cvops/config.yaml");
    assert_data_eq!(
        added.split_once("core:").unwrap().1,
        str![[r#"

#   jobs: 2                    # stages that run at the same time; default: 1
remote:
  cloud:
    url: s3://bucket/path
  archive:
    url: store
core:
  remote: archive

"#]]
    );
    check(
        &p.cvops("remote remove scratch"),
        str![[r#"
--- stderr ---
error: the remote `scratch` is not in `.cvops/config.yaml`
 |
 = help: it is in `.cvops/config.local.yaml`: name its level
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote remove archive"),
        str![[r#"
--- stderr ---
removed the remote `archive` from `.cvops/config.yaml`
[exit 0]
"#]],
    );
    p.ok("remote remove scratch --local");
    p.ok("remote remove cloud");
    check(&p.cvops("remote list"), str!["[exit 0]"]);
    check(
        &p.cvops("remote default cloud"),
        str![[r#"
--- stderr ---
error: there is no remote `cloud`
 |
 = help: `cvops remote list` shows those there are
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote add a/b x"),
        str![[r#"
--- stderr ---
error: `a/b` is no name for a remote
 |
 = help: use letters, digits, `-`, `_` and `.`
[exit 2]
"#]],
    );
}

#[test]
fn remotes_of_a_dvc_repository_are_written_as_dvc_writes_them() {
    let p = project();
    p.write(".dvc/config", "# ours\n[core]\n    autostage = true\n");
    p.ok("remote add -d Store store");
    p.ok("remote modify store jobs 4");
    p.ok("remote modify --local store password 'a,b'");
    p.ok("remote add other ssh://host/path");
    assert_data_eq!(
        p.read(".dvc/config"),
        str![[r##"
# ours
[core]
    autostage = true
    remote = store
['remote "store"']
    url = ../store
    jobs = 4
['remote "other"']
    url = ssh://host/path

"##]]
    );
    assert_data_eq!(
        p.read(".dvc/config.local"),
        str![[r#"
['remote "store"']
    password = "a,b"

"#]]
    );
    check(
        &p.cvops("remote list"),
        str![[r#"
other	ssh://host/path
store	[ROOT]/store	(default)
[exit 0]
"#]],
    );
    p.ok("remote modify --local other user me");
    check(
        &p.cvops("remote rename other far"),
        str![[r#"
--- stderr ---
the remote `other` is called `far` in `.dvc/config` and `.dvc/config.local`
[exit 0]
"#]],
    );
    assert_data_eq!(
        p.read(".dvc/config.local"),
        str![[r#"
['remote "store"']
    password = "a,b"
['remote "far"']
    user = me

"#]]
    );
    p.ok("remote modify far --unset url");
    check(
        &p.cvops("remote remove store"),
        str![[r#"
--- stderr ---
removed the remote `store` from `.dvc/config`
`.dvc/config.local` still has options of it
[exit 0]
"#]],
    );
    // Options of the removed remote are left in the other file; nothing breaks.
    check(&p.cvops("remote list"), str!["[exit 0]"]);
    check(
        &p.cvops("root"),
        str![[r#"
[ROOT]
[exit 0]
"#]],
    );
    assert_data_eq!(
        p.read(".dvc/config"),
        str![[r#"
# ours
[core]
    autostage = true

"#]]
    );
}

#[test]
fn a_remote_of_this_machine_gets_a_place_for_all() {
    let p = project();
    p.write(".dvc/config", "");
    p.ok("remote add --local b /tmp/b");
    check(
        &p.cvops("remote modify b jobs 4"),
        str![[r#"
--- stderr ---
error: the remote `b` has its `url` in `.dvc/config.local`, none in `.dvc/config`
 |
 = help: `cvops remote modify --local b jobs VALUE` changes it there; or give it a `url` in `.dvc/config` first
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote modify --project b url zz"),
        str![[r#"
--- stderr ---
error: the remote `b` is not in `.dvc/config`
 |
 = help: `cvops config list --show-origin` shows where it is; without a level, it may be there
[exit 2]
"#]],
    );
    check(
        &p.cvops("remote modify b url zz"),
        str![[r#"
--- stderr ---
`remote.b.url` is `../zz` in `.dvc/config`
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote modify b jobs 4"),
        str![[r#"
--- stderr ---
`remote.b.jobs` is `4` in `.dvc/config`
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote list"),
        str![[r#"
b	/tmp/b
[exit 0]
"#]],
    );
    check(
        &p.cvops("remote default b"),
        str![[r#"
--- stderr ---
`b` is the default remote in `.dvc/config`
[exit 0]
"#]],
    );
    assert_data_eq!(
        p.read(".dvc/config"),
        str![[r#"
[core]
    remote = b
['remote "b"']
    url = ../zz
    jobs = 4

"#]]
    );
}
