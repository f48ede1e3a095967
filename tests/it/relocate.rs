//! `cvops move`, `remove` and `unprotect`: tracked data moved, let go and made editable.

use snapbox::str;

use crate::support::{Project, check, project};

fn tracked() -> Project {
    let p = project();
    p.git_init();
    p.ok("init");
    p.write("data/raw/a", "1")
        .write("data/raw/b", "2")
        .write("x", "3");
    p.ok("add data/raw x");
    p
}

#[test]
fn data_moves_with_its_pointer_and_ignore_line() {
    let p = tracked();
    check(&p.cvops("move data/raw photos"), str![]);
    assert_eq!(p.read("photos/a"), "1");
    assert!(!p.exists("data/raw") && !p.exists("data/raw.cvops") && !p.exists("data/.gitignore"));
    check(&p.cvops("data status"), str![]);
    // Into a folder; and by a relative path.
    check(&p.cvops("-C data move ../x ."), str![]);
    assert_eq!(p.read("data/x"), "3");
    check(&p.cvops("ls -R --dvc-only"), str![]);
}

#[test]
fn nothing_is_overwritten() {
    let p = tracked();
    p.write("y", "mine").write("z.cvops", "mine");
    check(&p.cvops("move x y"), str![]);
    check(&p.cvops("move x z"), str![]);
    check(&p.cvops("move data/raw/a elsewhere"), str![]);
    check(&p.cvops("move data/raw data/raw/deeper"), str![]);
    check(&p.cvops("move nothing elsewhere"), str![]);
    assert_eq!((p.read("x").as_str(), p.read("y").as_str()), ("3", "mine"));
}

#[test]
fn a_pointer_goes_and_its_data_stays_or_goes() {
    let p = tracked();
    check(&p.cvops("remove data/raw"), str![]);
    check(&p.cvops("remove data/raw.cvops"), str![]);
    assert_eq!(p.read("data/raw/a"), "1");
    assert!(!p.exists("data/raw.cvops") && !p.exists("data/.gitignore"));
    p.write("x", "edited");
    check(&p.cvops("remove --outs x.cvops"), str![]);
    assert!(!p.exists("x") && !p.exists("x.cvops"));
    check(&p.cvops("remove x.cvops"), str![]);
}

#[test]
fn links_become_files_that_can_be_edited() {
    let p = tracked();
    p.ok("config cache.type [symlink,copy]");
    p.ok("checkout --relink");
    assert!(p.path("x").is_symlink() && p.path("data/raw/a").is_symlink());
    check(&p.cvops("unprotect x data/raw"), str![]);
    check(&p.cvops("unprotect x"), str![]);
    check(&p.cvops("unprotect nothing"), str![]);
    assert!(!p.path("x").is_symlink() && !p.path("data/raw/a").is_symlink());
    p.write("x", "edited");
    check(&p.cvops("checkout x"), str![]);
    assert_eq!(p.read("x"), "3");
    // A pointer that goes leaves plain files.
    p.ok("checkout --relink");
    p.ok("remove x.cvops");
    assert!(!p.path("x").is_symlink());
}
