//! Pipelines of DVC repositories, by DVC and by cvops in turn: neither finds anything to do after the
//! other, and both write the same bytes.

use std::path::Path;

use crate::support::dvc::{Picture, program, repository};
use crate::support::dvc_world::World;
use crate::support::twins::Tool::{Cvops, Dvc};
use crate::support::twins::{Twins, assert_idle, sorted};

/// Seeds whose outcome is kept in `tests/golden/worlds/`.
const GOLDEN_SEEDS: u64 = 3;

/// First run, edits with the tools in turns, results from the other's run cache.
fn check_story(seed: u64) {
    if program("projects by both tools").is_none() {
        return;
    }
    let mut twins = Twins::new(seed);
    let tracked = twins.world.tracked.join(" ");
    twins.both(&format!("add {tracked}"), "of new data");
    twins.both("repro", "from nothing, in the root alone");
    let first = twins.both("repro -P", "of the rest");
    if seed <= GOLDEN_SEEDS {
        assert_golden(&first, seed);
    }
    twins.swap("the first run");
    for kind in [2 * seed as usize, 2 * seed as usize + 1] {
        let what = twins.edit(kind);
        twins.both("repro -P", &format!("after an edit of {what}"));
        twins.swap(what);
    }
    // All is known to the run cache, and half of that was written by the other.
    for (_, p) in &twins.seats {
        p.remove("dvc.lock").remove("sub/dvc.lock").remove("build");
    }
    twins.both("repro -P", "without locks and outputs");
    twins.swap("results of the run cache");
}

#[test]
fn the_tools_take_turns_in_one_project() {
    check_story(1);
}

#[test]
fn the_tools_take_turns_in_another_project() {
    check_story(2);
}

#[test]
fn the_tools_take_turns_in_a_third_project() {
    check_story(3);
}

/// More seeds than a run of all tests has time for: `CVOPS_TEST_SEEDS=4-40`.
#[test]
fn the_tools_take_turns_in_as_many_projects_as_are_asked_for() {
    let Ok(range) = std::env::var("CVOPS_TEST_SEEDS") else {
        return;
    };
    let (first, last) = range.split_once('-').expect("CVOPS_TEST_SEEDS is `A-B`");
    for seed in first.parse().unwrap()..=last.parse().unwrap() {
        check_story(seed);
    }
}

/// What DVC once left is kept, so that cvops is held to it where there is no DVC.
/// `SNAPSHOTS=overwrite` with a DVC writes it anew.
fn assert_golden(picture: &Picture, seed: u64) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/worlds/{seed}.txt"));
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .normalize_paths(false)
        .eq(picture.text(), snapbox::Data::read_from(&path, None).raw());
}

#[test]
fn a_project_becomes_what_dvc_once_made_of_it() {
    for seed in 1..=GOLDEN_SEEDS {
        let world = World::new(seed);
        let p = repository();
        world.lay_out(&p);
        p.ok(&format!("add {}", world.tracked.join(" ")));
        // One at a time: several finish, and are written down, in any order.
        p.ok("repro -P -j 1");
        assert_golden(&p.picture(), seed);
        p.ran();
        assert_idle(Cvops, &p, "itself");
    }
}

#[test]
fn a_repository_of_tests_is_what_dvc_init_makes() {
    if program("dvc init").is_none() {
        return;
    }
    let (ours, theirs) = (repository(), repository());
    theirs.remove(".dvc").remove(".dvcignore").dvc_ok("init");
    ours.picture()
        .assert_same(&theirs.picture(), "the repository of tests");
}

/// Stages that DVC never finds done, or keeps out of its cache.
const SPECIAL: &str = "stages:
  always:
    cmd: echo always >> ~/runs; cp in.txt always.txt
    deps: [in.txt]
    outs: [always.txt]
    always_changed: true
  no-deps:
    cmd: echo no-deps >> ~/runs; echo fixed > no-deps.txt
    outs: [no-deps.txt]
  after:
    cmd: echo after >> ~/runs; cat always.txt no-deps.txt > after.txt
    deps: [always.txt, no-deps.txt]
    outs: [after.txt]
  in-git:
    cmd: echo in-git >> ~/runs; cp in.txt in-git.txt
    deps: [in.txt]
    outs: [in-git.txt: {cache: false}]
";

#[test]
fn stages_that_always_run_leave_the_same_behind() {
    if program("stages that always run").is_none() {
        return;
    }
    let [theirs, ours] = [(); 2].map(|()| {
        let p = repository();
        p.write("dvc.yaml", SPECIAL).write("in.txt", "in\n");
        p
    });
    for (tool, turn) in [(Dvc, 1), (Cvops, 2), (Dvc, 3)] {
        for (tool, p) in [(tool, &theirs), (tool.other(), &ours)] {
            tool.ok(p, "repro");
        }
        let (a, b) = (sorted(&theirs.ran()), sorted(&ours.ran()));
        assert_eq!(a, b, "turn {turn}");
        theirs
            .picture()
            .assert_same(&ours.picture(), &format!("turn {turn}"));
    }
}

/// A run of DVC 3 over data of DVC 2: hashes of text without carriage returns, the old layout.
#[test]
fn data_of_dvc_2_is_read() {
    let p = repository();
    p.write(
        "old.txt.dvc",
        "outs:\n- md5: dd8c6a395b5dd36c56d23275028f526c\n  size: 6\n  path: old.txt\n",
    )
    .write(".dvc/cache/dd/8c6a395b5dd36c56d23275028f526c", "a\r\nb\r\n")
    .write(".gitignore", "/old.txt\n");
    p.ok("checkout");
    assert_eq!(p.read("old.txt"), "a\r\nb\r\n");
    p.ok("remote add --default far ../remote");
    p.ok("push");
    p.remove(".dvc/cache").remove("old.txt");
    p.ok("pull");
    assert_eq!(p.read("old.txt"), "a\r\nb\r\n");
    let before = p.picture();
    p.ok("status --exit-code");
    before.assert_same(&p.picture(), "a look at old data");
}
