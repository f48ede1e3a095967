//! A record of runs that is damaged, newer, read-only, in use or on a full disk: what users see, and
//! that nothing of it goes.
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use snapbox::str;

use crate::support::{Output, Project, check, project};

const DB: &str = ".cvops/tracking.db";

/// A project with some runs, all of them in the database file itself.
fn recorded() -> Project {
    let p = project();
    p.write(
        "pipeline.yaml",
        "stages: {a: {cmd: 'cat params.yaml > a.txt', params: [x], outs: [a.txt]}}\n",
    );
    for x in 0..3 {
        p.write("params.yaml", format!("x: {x}\n"));
        p.ok("repro -q");
    }
    p
}

fn damage(p: &Project) {
    let mut bytes = p.bytes(DB);
    assert!(20_000 < bytes.len());
    // All but the first page, which says what kind of file this is.
    bytes[4096..].fill(0xa5);
    p.write(DB, bytes);
    for part in ["-wal", "-shm"] {
        let _ = fs::remove_file(p.path(&format!("{DB}{part}")));
    }
}

#[test]
fn a_damaged_record_is_named_and_kept() {
    let p = recorded();
    damage(&p);
    let damaged = p.bytes(DB);
    check(
        &p.cvops("runs list"),
        str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: database disk image is malformed
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: move it aside with its log (`mkdir [ROOT]/.cvops/damaged && mv [ROOT]/.cvops/tracking.db* [ROOT]/.cvops/damaged`), then bring back a copy of yours; without one the next run starts a new record
[exit 1]
"#]],
    );
    check(
        &p.cvops("ui --port 0"),
        str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: database disk image is malformed
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: move it aside with its log (`mkdir [ROOT]/.cvops/damaged && mv [ROOT]/.cvops/tracking.db* [ROOT]/.cvops/damaged`), then bring back a copy of yours; without one the next run starts a new record
[exit 1]
"#]],
    );
    check(
        &p.cvops("ui user add ada --role read --no-password"),
        str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: database disk image is malformed
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: move it aside with its log (`mkdir [ROOT]/.cvops/damaged && mv [ROOT]/.cvops/tracking.db* [ROOT]/.cvops/damaged`), then bring back a copy of yours; without one the next run starts a new record
[exit 1]
"#]],
    );
    p.write("params.yaml", "x: 7\n");
    check(
        &p.cvops("repro -q"),
        str![[r#"
--- stderr ---
warning: this run is not recorded: could not use the database `[ROOT]/.cvops/tracking.db`: database disk image is malformed
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: move it aside with its log (`mkdir [ROOT]/.cvops/damaged && mv [ROOT]/.cvops/tracking.db* [ROOT]/.cvops/damaged`), then bring back a copy of yours; without one the next run starts a new record
[exit 0]
"#]],
    );
    assert_eq!(p.read("a.txt"), "x: 7\n");
    assert!(p.bytes(DB) == damaged);
}

#[test]
fn a_copy_from_before_a_migration_is_offered() {
    let p = recorded();
    for (schema, text) in [(1, "older"), (2, "old")] {
        p.write(&format!("{DB}.v{schema}"), text);
    }
    let sound = p.bytes(DB);
    damage(&p);
    check(
        &p.cvops("runs list"),
        str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: database disk image is malformed
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = note: `[ROOT]/.cvops/tracking.db.v2` is a copy from before its tables were last changed
 = help: move it aside with its log (`mkdir [ROOT]/.cvops/damaged && mv [ROOT]/.cvops/tracking.db* [ROOT]/.cvops/damaged`), then bring back a copy of yours or that one (`cp [ROOT]/.cvops/damaged/tracking.db.v2 [ROOT]/.cvops/tracking.db`)
[exit 1]
"#]],
    );
    // The steps that are named do it.
    p.write(&format!("{DB}.v2"), sound);
    let help = p.cvops("runs list").stderr;
    let steps: Vec<&str> = help
        .split('`')
        .filter(|s| s.starts_with("mkdir ") || s.starts_with("cp "))
        .collect();
    assert_eq!(steps.len(), 2, "{help}");
    let done = Command::new("sh").args(["-ec", &steps.join("; ")]).status();
    assert!(done.unwrap().success());
    let runs = p.ok("runs list --json").json().remove(0);
    assert_eq!(runs["total"], 3);
}

#[test]
fn a_newer_record_is_left_alone() {
    let p = recorded();
    let set =
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')";
    let Some(()) = python(&p, set) else { return };
    check(
        &p.cvops("runs list"),
        str![[r#"
--- stderr ---
error: the database `[ROOT]/.cvops/tracking.db` was written by a newer version of cvops (schema 99)
 |
 = help: update cvops
[exit 2]
"#]],
    );
    check(
        &p.cvops("ui --port 0"),
        str![[r#"
--- stderr ---
error: the database `[ROOT]/.cvops/tracking.db` was written by a newer version of cvops (schema 99)
 |
 = help: update cvops
[exit 2]
"#]],
    );
    p.write("params.yaml", "x: 7\n");
    check(
        &p.cvops("repro -q"),
        str![[r#"
--- stderr ---
warning: this run is not recorded: the database `[ROOT]/.cvops/tracking.db` was written by a newer version of cvops (schema 99)
 |
 = help: update cvops
[exit 0]
"#]],
    );
}

#[test]
fn a_record_in_use_is_waited_for_and_then_named() {
    let p = recorded();
    let Some(mut holder) = hold(&p) else { return };
    // Whoever only reads does not wait.
    p.ok("runs list");
    check(
        &p.cvops("ui user add ada --role read --no-password"),
        str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: database is locked
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: another process is writing to it and did not finish in time: wait for it, then run the same command again
[exit 1]
"#]],
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    p.ok("ui user add ada --role read --no-password");
}

#[test]
fn a_record_that_may_not_be_written_can_be_read() {
    let p = recorded();
    let folder = p.path(".cvops");
    for (what, mode) in [(p.path(DB), 0o444), (folder.clone(), 0o555)] {
        fs::set_permissions(&what, fs::Permissions::from_mode(mode)).unwrap();
    }
    if let Some(listed) = as_nobody(&p, "runs list --json") {
        assert_eq!(
            listed.json().remove(0)["total"],
            3,
            "{}",
            listed.transcript()
        );
        check(
            &as_nobody(&p, "ui user add ada --role read --no-password").unwrap(),
            str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: attempt to write a readonly database
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: give yourself permission to read and write the file and its folder (`ls -ld` shows owner and mode): SQLite keeps a log beside the file
[exit 1]
"#]],
        );
        fs::set_permissions(p.path(DB), fs::Permissions::from_mode(0o600)).unwrap();
        check(
            &as_nobody(&p, "runs list").unwrap(),
            str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: unable to open database file: [ROOT]/.cvops/tracking.db
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: give yourself permission to read and write the file and its folder (`ls -ld` shows owner and mode): SQLite keeps a log beside the file
[exit 1]
"#]],
        );
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_full_disk_loses_nothing_that_was_recorded() {
    let p = recorded();
    let moved = p.home().join("record");
    fs::rename(p.path(".cvops"), &moved).unwrap();
    fs::create_dir(p.path(".cvops")).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(p.path(".cvops"))
        .output()
        .is_ok_and(|o| o.status.success());
    if !mounted {
        eprintln!("skipped: only root may mount");
        return;
    }
    let _unmount = Unmount(&p);
    let copied = Command::new("cp")
        .arg("-a")
        .arg(moved.join("."))
        .arg(p.path(".cvops"))
        .status();
    assert!(copied.unwrap().success());
    // Whatever space is left.
    let filler = p.path(".cvops/filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[1; 512]).is_ok() {}
    drop(file);
    check(
        &p.cvops("ui user add ada --role read --no-password"),
        str![[r#"
--- stderr ---
error: could not use the database `[ROOT]/.cvops/tracking.db`: disk I/O error
 |
 = note: results of stages do not depend on it: lock and cache are as they were
 = help: free some space on this file system, then run the same command again; nothing was lost
[exit 1]
"#]],
    );
    fs::remove_file(&filler).unwrap();
    let runs = p.ok("runs list --json").json().remove(0);
    assert_eq!(runs["total"], 3);
    p.ok("ui user add ada --role read --no-password");
}

struct Unmount<'a>(&'a Project);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let path = self.0.path(".cvops");
        let _ = Command::new("umount").arg("-l").arg(path).status();
    }
}

/// Runs a line of Python over the record; `None` where there is no Python with SQLite.
fn python(p: &Project, program: &str) -> Option<()> {
    let done = Command::new("python3")
        .args(["-c", program])
        .arg(p.path(DB))
        .status();
    let done = done.is_ok_and(|status| status.success());
    if !done {
        eprintln!("skipped: there is no python3 with sqlite3");
    }
    done.then_some(())
}

/// Starts a process that holds the write lock of the record.
fn hold(p: &Project) -> Option<std::process::Child> {
    let program = "import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN IMMEDIATE')
print('held', flush=True)
sys.stdin.read()";
    let mut command = Command::new("python3");
    command.args(["-c", program]).arg(p.path(DB));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut line = String::new();
    let stdout = child.stdout.take()?;
    BufReader::new(stdout).read_line(&mut line).ok()?;
    if line.is_empty() {
        eprintln!("skipped: there is no python3 with sqlite3");
        let _ = child.wait();
        return None;
    }
    Some(child)
}

/// Runs cvops as nobody; `None` if this process may not become nobody.
fn as_nobody(p: &Project, args: &str) -> Option<Output> {
    let top = p.root().parent().unwrap();
    fs::set_permissions(top, fs::Permissions::from_mode(0o755)).unwrap();
    let program = p.command(args);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .current_dir(p.root());
    let output = command.output().ok()?;
    if !rustix::process::geteuid().is_root() || output.status.code() == Some(127) {
        eprintln!("skipped: only root may become another user");
        return None;
    }
    Some(p.run(&mut command))
}
