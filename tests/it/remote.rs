//! `cvops remote`.

use snapbox::{assert_data_eq, str};

use crate::support::{check, project};

#[test]
fn remotes_of_a_project_are_settings() {
    let p = project();
    p.ok("init");
    check(&p.cvops("remote list"), str![]);
    check(&p.cvops("remote default"), str![]);
    p.write("sub/x", "");
    check(
        &p.cvops("-C sub remote add --default store ../../store"),
        str![],
    );
    p.ok("remote add --local scratch /tmp/scratch");
    p.ok("remote add cloud s3://bucket/path");
    check(&p.cvops("remote add store /elsewhere"), str![]);
    check(&p.cvops("remote list"), str![]);
    check(&p.cvops("remote list --local"), str![]);
    check(&p.cvops("remote list --json"), str![]);
    check(&p.cvops("remote list --md"), str![]);
    check(&p.cvops("remote modify store jobs 8"), str![]);
    check(&p.cvops("remote modify stor jobs 8"), str![]);
    check(&p.cvops("remote modify store job 8"), str![]);
    check(&p.cvops("remote modify store jobs many"), str![]);
    check(&p.cvops("remote rename store archive"), str![]);
    check(&p.cvops("remote default"), str![]);
    check(&p.cvops("remote rename cloud archive"), str![]);
    let added = p.read(".cvops/config.yaml");
    assert_data_eq!(added.split_once("core:").unwrap().1, str![]);
    check(&p.cvops("remote remove scratch"), str![]);
    check(&p.cvops("remote remove archive"), str![]);
    p.ok("remote remove scratch --local");
    p.ok("remote remove cloud");
    check(&p.cvops("remote list"), str![]);
    check(&p.cvops("remote default cloud"), str![]);
    check(&p.cvops("remote add a/b x"), str![]);
}

#[test]
fn remotes_of_a_dvc_repository_are_written_as_dvc_writes_them() {
    let p = project();
    p.write(".dvc/config", "# ours\n[core]\n    autostage = true\n");
    p.ok("remote add -d Store ../store");
    p.ok("remote modify store jobs 4");
    p.ok("remote modify --local store password 'a,b'");
    p.ok("remote add other ssh://host/path");
    assert_data_eq!(p.read(".dvc/config"), str![]);
    assert_data_eq!(p.read(".dvc/config.local"), str![]);
    check(&p.cvops("remote list"), str![]);
    p.ok("remote rename other far");
    p.ok("remote modify far --unset url");
    check(&p.cvops("remote remove store"), str![]);
    // Options of the removed remote are left in the other file; nothing breaks.
    check(&p.cvops("remote list"), str![]);
    check(&p.cvops("root"), str![]);
    assert_data_eq!(p.read(".dvc/config"), str![]);
}
