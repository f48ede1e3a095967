//! `cvops add`: files and folders tracked by pointers, in both kinds of projects.

use snapbox::{assert_data_eq, str};

use crate::support::{Exit, Project, check, project};

fn dvc() -> Project {
    let p = project();
    p.write(".dvc/config", "")
        .write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n");
    p.git_init();
    p
}

fn native() -> Project {
    let p = project();
    p.git_init();
    p.ok("init");
    p
}

#[test]
fn a_folder_and_a_file_get_pointers_as_dvc_writes_them() {
    let p = dvc();
    p.write("data/raw/cat/1.txt", "cat 1\n")
        .write("data/raw/2.txt", "2\n")
        .write("labels.txt", "cat\n");
    check(&p.cvops("add data/raw labels.txt"), str![]);
    assert_data_eq!(p.read("data/raw.dvc"), str![]);
    assert_data_eq!(p.read("labels.txt.dvc"), str![]);
    assert_eq!(p.read("data/.gitignore"), "/raw\n");
    assert_eq!(p.read(".gitignore"), "/labels.txt\n");
    // What is the same already changes nothing.
    check(&p.cvops("add data/raw labels.txt"), str![]);
    check(&p.cvops("status"), str![]);
}

#[test]
fn a_cvops_project_names_its_own_hash() {
    let p = native();
    p.write("data/1.txt", "1\n").write("run.sh", "#!/bin/sh\n");
    p.ok("add data run.sh");
    assert_data_eq!(p.read("data.cvops"), str![]);
    assert_data_eq!(p.read("run.sh.cvops"), str![]);
    check(&p.cvops("add --json data"), str![]);
}

#[test]
fn part_of_a_tracked_folder_updates_its_pointer_only() {
    let p = dvc();
    p.write("d/a", "1").write("d/b", "2");
    p.ok("add d");
    // `b` changed, too, but only `c` and the folder `e` are named.
    p.write("d/b", "other")
        .write("d/c", "3")
        .write("d/e/f", "4");
    check(&p.cvops("add d/c d/e"), str![]);
    check(&p.cvops("data status --granular"), str![]);
    p.ok("add d");
    check(&p.cvops("ls -R --dvc-only --size"), str![]);
}

#[test]
fn comments_and_other_keys_survive() {
    let p = dvc();
    p.write("sub/x.dvc", "# where it came from\nwdir: ..\nouts:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: x   # here\n  hash: md5\n  size: 0\n  labels: [raw]\nmeta: {owner: me}\n");
    p.write("x", "content\n");
    p.ok("add x");
    assert_data_eq!(p.read("sub/x.dvc"), str![]);
}

#[test]
fn what_cannot_be_tracked_is_refused_before_anything_is_stored() {
    let p = dvc();
    p.write(
        "dvc.yaml",
        "stages:\n  make:\n    cmd: mkdir out && echo 1 > out/x\n    outs: [out]\n",
    );
    p.write("d/a", "1")
        .write("in-git", "x")
        .write("new", "n")
        .write(".dvcignore", "*.log\n")
        .write("a.log", "");
    p.git("add in-git");
    p.ok("add d/a");
    p.write("out/y", "");
    check(&p.cvops("add nothing /etc/passwd"), str![]);
    check(&p.cvops("add out"), str![]);
    check(&p.cvops("add out/y d a.log new d/a.dvc dvc.yaml"), str![]);
    check(&p.cvops("add in-git new"), str![]);
    check(&p.cvops("add new ."), str![]);
    check(&p.cvops("add --glob *.nope"), str![]);
    assert!(!p.exists("new.dvc"));
}

#[test]
fn links_and_special_files_are_told_apart() {
    let p = dvc();
    p.write("real/a", "1");
    std::os::unix::fs::symlink("real", p.path("link")).unwrap();
    std::fs::create_dir(p.path("loop")).unwrap();
    std::os::unix::fs::symlink("../loop", p.path("loop/again")).unwrap();
    check(&p.cvops("add link/a"), str![]);
    let output = p.cvops("add loop");
    assert_eq!(output.exit, Exit::Code(1));
}

#[test]
fn hashes_alone_are_recorded_until_a_commit() {
    let p = native();
    p.write("x", "content\n");
    p.ok("add --no-commit x");
    assert!(!p.exists(".cvops/cache/blake3"));
    check(&p.cvops("data status"), str![]);
    p.ok("commit x.cvops");
    p.remove("x");
    check(&p.cvops("checkout"), str![]);
    assert_eq!(p.read("x"), "content\n");
}

#[test]
fn patterns_and_copies_from_elsewhere() {
    let p = native();
    p.write("data/1.zip", "1")
        .write("data/2.zip", "2")
        .write("data/3.txt", "3");
    std::fs::create_dir(p.home().join("scans")).unwrap();
    std::fs::write(p.home().join("scans/a"), "scan").unwrap();
    check(&p.cvops("add --glob data/*.zip"), str![]);
    let scans = p.home().join("scans");
    let scans = scans.display();
    check(&p.cvops(&format!("add {scans} --out data/scans")), str![]);
    check(&p.cvops(&format!("add {scans} --out data/scans")), str![]);
    std::fs::write(p.home().join("scans/b"), "more").unwrap();
    check(
        &p.cvops(&format!("add {scans} --out data/scans --force")),
        str![],
    );
    assert_eq!(p.read("data/scans/b"), "more");
}

#[test]
fn git_is_told_where_the_settings_ask_for_it() {
    let p = dvc();
    p.write(".dvc/config", "[core]\n    autostage = true\n")
        .write("x", "1");
    check(&p.cvops("add x"), str![]);
    assert_eq!(p.git("diff --cached --name-only"), ".gitignore\nx.dvc\n");
    p.ok("remove x.dvc");
    assert_eq!(p.git("diff --cached --name-only"), "");
}

#[test]
fn a_broken_pointer_shows_all_its_problems() {
    let p = dvc();
    p.write("x.dvc", "outs:\n- md5: abc\n  pth: x\n  cache: maybe\n");
    p.write("y", "1");
    check(&p.cvops("add y"), str![]);
    check(&p.cvops("add x.dvc"), str![]);
    check(&p.cvops("data status"), str![]);
}

#[test]
fn a_killed_add_leaves_the_old_pointer_or_the_new_one() {
    let p = dvc();
    p.write("d/a", "1").write("d/b", "2");
    p.ok("add d");
    let old = p.read("d.dvc");
    let mut n = 0;
    loop {
        n += 1;
        p.write("d.dvc", &old).write("d/c", format!("{n}"));
        let output = p.run(p.command("add d").env("CVOPS_CRASH_AT", n.to_string()));
        let now = p.read("d.dvc");
        if output.exit == Exit::Code(0) {
            assert_ne!(now, old);
            break;
        }
        check(
            &p.cvops("cache verify -q"),
            str![[r#"
[exit 0]
"#]],
        );
        p.ok("add d");
        assert_ne!(p.read("d.dvc"), old, "crash at {n}");
        assert!(n < 200, "the ladder has no end");
    }
    assert!(5 < n, "only {n} steps");
}
