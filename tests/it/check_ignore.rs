//! `cvops check-ignore`.

use snapbox::str;

use crate::support::{check, project};

#[test]
fn the_deciding_pattern_is_named_as_dvc_names_it() {
    let p = project();
    p.write(".dvc/config", "");
    p.write(".dvcignore", "# c\n*.log\n!keep.log\ndir/\n");
    p.write("sub/.dvcignore", "!a.log\n");
    p.write("dir/f", "");
    p.write("inner/.dvc/config", "");
    check(&p.cvops("check-ignore a.log keep.log none.txt"), str![]);
    check(
        &p.cvops("check-ignore -d a.log keep.log none.txt sub/a.log dir/f .git .dvc/tmp inner/x"),
        str![],
    );
    check(&p.cvops("check-ignore -d -a -n none.txt a.log"), str![]);
    check(
        &p.cvops("-C sub check-ignore -d ../a.log a.log b.log"),
        str![],
    );
    check(&p.cvops("check-ignore none.txt"), str![]);
    check(
        &p.cvops("check-ignore --json a.log keep.log none.txt"),
        str![],
    );
    check(&p.cvops("check-ignore"), str![]);
    check(&p.cvops("check-ignore ../x.log"), str![]);
}

#[test]
fn our_own_files_count_and_broken_ones_are_named() {
    let p = project();
    p.write("pipeline.yaml", "stages: {}\n");
    p.write(".cvopsignore", "*.tmp\n");
    check(&p.cvops("check-ignore -d x.tmp .cvops/tmp"), str![]);
    p.write("data/.cvopsignore", "ok\n[z-a]\n");
    check(&p.cvops("check-ignore -d data/x.tmp"), str![]);
}
