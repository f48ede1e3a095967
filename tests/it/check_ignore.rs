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
    check(
        &p.cvops("check-ignore a.log keep.log none.txt"),
        str![[r#"
a.log
[exit 0]
"#]],
    );
    check(
        &p.cvops("check-ignore -d a.log keep.log none.txt sub/a.log dir/f .git .dvc/tmp inner/x"),
        str![[r#"
.dvcignore:2:*.log	a.log
.dvcignore:3:!keep.log	keep.log
sub/.dvcignore:1:!a.log	sub/a.log
.dvcignore:4:dir/	dir/f
:.git	.git
:.dvc/	.dvc/tmp
in sub_repo:inner	inner/x
[exit 0]
"#]],
    );
    check(
        &p.cvops("check-ignore -d -a -n none.txt a.log"),
        str![[r#"
::	none.txt
.dvcignore:2:*.log	a.log
[exit 0]
"#]],
    );
    check(
        &p.cvops("-C sub check-ignore -d ../a.log a.log b.log"),
        str![[r#"
.dvcignore:2:*.log	../a.log
sub/.dvcignore:1:!a.log	a.log
.dvcignore:2:*.log	b.log
[exit 0]
"#]],
    );
    check(&p.cvops("check-ignore none.txt"), str!["[exit 1]"]);
    check(
        &p.cvops("check-ignore --json a.log keep.log none.txt"),
        str![[r#"
{"paths":[{"ignored":true,"path":"a.log","pattern":".dvcignore:2:*.log"},{"ignored":false,"path":"keep.log","pattern":".dvcignore:3:!keep.log"},{"ignored":false,"path":"none.txt","pattern":null}]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("check-ignore"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  <PATH>...

Usage: cvops check-ignore <PATH>...

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(&p.cvops("check-ignore ../x.log"), str!["[exit 1]"]);
}

#[test]
fn our_own_files_count_and_broken_ones_are_named() {
    let p = project();
    p.write("pipeline.yaml", "stages: {}\n");
    p.write(".cvopsignore", "*.tmp\n");
    check(
        &p.cvops("check-ignore -d x.tmp .cvops/tmp"),
        str![[r#"
.cvopsignore:1:*.tmp	x.tmp
:.cvops/	.cvops/tmp
[exit 0]
"#]],
    );
    p.write("data/.cvopsignore", "ok\n[z-a]\n");
    check(
        &p.cvops("check-ignore -d data/x.tmp"),
        str![[r#"
.cvopsignore:1:*.tmp	data/x.tmp
--- stderr ---
error: `[ROOT]/data/.cvopsignore` holds a pattern that cannot be read: line 2: error parsing glob '[z-a]': invalid range; 'z' > 'a'
 |
 = help: the grammar is that of `.gitignore` (`git help gitignore`)
[exit 2]
"#]],
    );
}
