//! `cvops install` and `cvops merge-driver`.

use snapbox::{assert_data_eq, str};

use crate::support::{check, project};

#[test]
fn hooks_and_driver_are_installed_once() {
    let p = project();
    p.write("pipeline.yaml", "stages: {a: {cmd: echo > a, outs: [a]}}\n");
    check(
        &p.cvops("install"),
        str![[r#"
--- stderr ---
error: git is not used for `[ROOT]`
 |
 = note: there is no repository around it, or `core.no_scm` says so
 = help: run `git init` first
[exit 2]
"#]],
    );
    p.git_init();
    check(
        &p.cvops("install"),
        str![[r#"
wrote .git/hooks/post-checkout
wrote .git/hooks/pre-commit
wrote .git/hooks/pre-push
wrote .gitattributes
--- stderr ---
commit `.gitattributes`, so that it counts for everybody
[exit 0]
"#]],
    );
    check(
        &p.cvops("install"),
        str![[r#"
nothing to do: hooks and merge driver are installed
[exit 0]
"#]],
    );
    assert_data_eq!(
        p.read(".git/hooks/post-checkout"),
        str![[r##"
#!/bin/sh
# cvops: begin (written by `cvops install`)
if [ "$3" = 1 ] && [ ! -d "$(git rev-parse --git-path rebase-merge)" ]; then
  cvops checkout || exit
fi
# cvops: end

"##]]
    );
    assert_data_eq!(
        p.read(".git/hooks/pre-commit"),
        str![[r#"
#!/bin/sh
# cvops: begin (written by `cvops install`)
cvops status || exit
# cvops: end

"#]]
    );
    assert_data_eq!(
        p.read(".git/hooks/pre-push"),
        str![[r#"
#!/bin/sh
# cvops: begin (written by `cvops install`)
if cvops --quiet remote default >/dev/null 2>&1; then
  cvops push || exit
fi
# cvops: end

"#]]
    );
    assert_eq!(
        p.read(".gitattributes"),
        "pipeline.lock merge=cvops\n*.cvops merge=cvops\n"
    );
    p.write(
        ".git/hooks/pre-push",
        "#!/bin/sh\nexec dvc git-hook pre-push $@\n",
    );
    check(
        &p.cvops("install"),
        str![[r#"
--- stderr ---
error: there is a git hook already that cannot be added to: `[ROOT]/.git/hooks/pre-push`
 |
 = note: it is no shell script, or ends with `exec` or `exit`; nothing was changed
 = help: move it aside and run `cvops install` again, or call `cvops` in it yourself
[exit 2]
"#]],
    );
}

#[test]
fn locks_are_merged_stage_by_stage_by_git() {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages:\n  a: {cmd: cp x a, deps: [x], outs: [a]}\n  b: {cmd: cp y b, deps: [y], outs: [b]}\n",
    );
    p.write("x", "1").write("y", "1");
    p.ok("init");
    p.git_init();
    p.ok("install");
    // The driver that git calls is the one under test.
    let driver = format!(
        "{} merge-driver --ancestor %O --our %A --their %B --path %P",
        env!("CARGO_BIN_EXE_cvops")
    );
    p.git(&format!("config merge.cvops.driver '{driver}'"));
    p.remove(".git/hooks");
    p.ok("repro");
    p.git("add --all");
    p.git("commit --quiet --message base");
    let change = |branch: &str, file: &str, text: &str| {
        p.git(&format!("checkout --quiet -b {branch} main"));
        p.write(file, text);
        p.ok("repro");
        p.git(&format!("commit --quiet --all --message {branch}"));
    };
    change("left", "x", "2");
    change("right", "y", "2");
    p.git("merge --quiet --no-edit left");
    check(
        &p.cvops("status"),
        str![[r#"
a  restorable  output `a` was modified ([HASH] -> [HASH])
b  unchanged
[exit 0]
"#]],
    );
    change("third", "x", "3");
    p.git("checkout --quiet left");
    let out = p.run(
        std::process::Command::new("git")
            .current_dir(p.root())
            .env("HOME", p.home())
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(["merge", "third"]),
    );
    assert!(
        out.stderr.contains("`cvops repro` settles it"),
        "{}",
        out.transcript()
    );
    assert!(out.stdout.contains("CONFLICT"), "{}", out.transcript());
    // The lock is still one that can be read.
    p.git("checkout --theirs x");
    p.ok("repro");
    check(
        &p.cvops("status"),
        str![[r#"
a  unchanged
b  unchanged
--- stderr ---
everything is up to date
[exit 0]
"#]],
    );
}
