//! `cvops plots`: one page with curves of both sides over each other, images side by side.

use snapbox::str;

use crate::support::stages::with_pipeline;
use crate::support::{Project, check};

const RED: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect fill=\"red\"/></svg>";

fn drawn() -> Project {
    let p = with_pipeline(
        "stages:\n  train:\n    cmd: mkdir -p out/pics && cp src/h.csv src/log.jsonl src/pred.json out/ && cp src/p.svg out/pics/\n    deps: [src]\n    plots:\n      - out/h.csv: {cache: false, x: step, y: loss, title: History}\n      - out/log.jsonl\n      - out/pred.json\n      - out/pics\n",
    );
    p.write("src/h.csv", "step,loss,acc\n1,0.5,0.1\n2,0.4,0.2\n");
    p.write(
        "src/log.jsonl",
        "{\"epoch\": 1, \"lr\": 0.1}\n{\"epoch\": 2, \"lr\": 0.01}\n",
    );
    p.write(
        "src/pred.json",
        r#"[{"actual": "cat", "predicted": "dog"}, {"actual": "dog", "predicted": "dog"}]"#,
    );
    p.write("src/p.svg", RED);
    p.ok("repro");
    p
}

fn changed() -> Project {
    let p = drawn();
    p.git_init();
    p.edit("src/h.csv", "0.5", "0.6")
        .edit("src/p.svg", "red", "blue");
    p.ok("repro");
    p
}

#[test]
fn show_writes_a_page_and_says_where() {
    let p = drawn();
    check(
        &p.cvops("plots show"),
        str![[r#"
.cvops/tmp/plots.html
[exit 0]
"#]],
    );
    let page = p.read(".cvops/tmp/plots.html");
    for piece in [
        "<title>Plots of project</title>",
        "History",
        "out/log.jsonl",
        "data:image/svg+xml;base64,",
    ] {
        assert!(page.contains(piece), "`{piece}` is not in the page");
    }
    check(
        &p.cvops("plots show -o reports/p.html --targets out/h.csv"),
        str![[r#"
reports/p.html
[exit 0]
"#]],
    );
    assert!(!p.read("reports/p.html").contains("log.jsonl"));
}

#[test]
fn diff_draws_both_sides() {
    let p = changed();
    check(
        &p.cvops("plots diff -o p.html"),
        str![[r#"
p.html
[exit 0]
"#]],
    );
    let page = p.read("p.html");
    assert!(page.contains("HEAD and workspace"));
    assert_eq!(
        page.matches("<img ").count(),
        2,
        "the old and the new picture"
    );
    // Unchanged: said so, and drawn once.
    assert!(page.contains("The same on both sides."));
    check(
        &p.cvops("plots diff --svg -o charts"),
        str![[r#"
charts
--- stderr ---
wrote 6 files
[exit 0]
"#]],
    );
    check(
        &p.cvops("plots diff --json --targets out/h.csv"),
        str![[r#"
{"data":{"out/h.csv":[{"datapoints":{"HEAD":[{"acc":0.1,"loss":0.5,"step":1},{"acc":0.2,"loss":0.4,"step":2}],"workspace":[{"acc":0.1,"loss":0.6,"step":1},{"acc":0.2,"loss":0.4,"step":2}]},"revisions":["HEAD","workspace"],"type":"table"}]}}
[exit 0]
"#]],
    );
    check(
        &p.cvops("plots diff HEAD --json --targets out/pics"),
        str![[r#"
{"data":{"out/pics/p.svg":[{"datapoints":{},"revisions":["HEAD","workspace"],"type":"image/svg+xml"}]}}
[exit 0]
"#]],
    );
}

#[test]
fn what_cannot_be_drawn_is_left_out_with_a_warning() {
    let p = drawn();
    p.write("out/log.jsonl", "{\"epoch\": 1}\nnot json\n")
        .write("out/pics/notes.txt", "x")
        .remove("out/pred.json");
    check(
        &p.cvops("plots show"),
        str![[r#"
.cvops/tmp/plots.html
--- stderr ---
warning: `out/log.jsonl` is no table: line 2 is no JSON (expected ident)
 |
 = help: write JSON lines, a JSON list of mappings, or CSV or TSV with a heading
warning: `out/pics/notes.txt` is left out: it is neither a table nor an image
 |
 = help: shown are .jsonl, .json, .yaml, .csv, .tsv, .svg, .png, .jpg, .gif and .webp
warning: `out/pred.json` is not there yet
 |
 = help: `cvops repro` runs its stage
[exit 0]
"#]],
    );
    check(
        &p.cvops("plots show --targets out/log.json"),
        str![[r#"
--- stderr ---
error: `out/log.json` is neither declared nor there
 |
 = help: did you mean `out/log.jsonl`?
[exit 2]
"#]],
    );
    let p = with_pipeline("stages: {a: {cmd: x}}\n");
    check(
        &p.cvops("plots show"),
        str![[r#"
--- stderr ---
error: the pipeline file declares no plots
 |
 = help: list the file under `plots` of its stage: `plots: [reports/train.jsonl]`
[exit 2]
"#]],
    );
}

#[test]
fn without_git_the_last_repro_is_the_old_side() {
    let p = drawn();
    p.edit("out/h.csv", "0.5", "0.7")
        .edit("out/pics/p.svg", "red", "blue");
    p.ok("plots diff -o p.html --targets out/pics");
    assert_eq!(p.read("p.html").matches("<img ").count(), 2);
    check(
        &p.cvops("plots diff --json --targets out/h.csv"),
        str![[r#"
{"data":{"out/h.csv":[{"datapoints":{"lock":[{"acc":0.1,"loss":0.5,"step":1},{"acc":0.2,"loss":0.4,"step":2}],"workspace":[{"acc":0.1,"loss":0.7,"step":1},{"acc":0.2,"loss":0.4,"step":2}]},"revisions":["lock","workspace"],"type":"table"}]}}
[exit 0]
"#]],
    );
}

#[test]
fn a_page_replaces_nothing_but_a_page() {
    let p = drawn();
    p.ok("plots show -o plots.html");
    p.ok("plots show -o plots.html");
    p.write("train.py", "print(1)\n");
    check(&p.cvops("plots show -o train.py"), str![]);
    check(&p.cvops("plots show -o pipeline.yaml"), str![]);
    check(&p.cvops("plots show -o ../no/such/plots.html"), str![]);
    check(&p.cvops("plots show --svg -o train.py"), str![]);
    p.ok("plots show -o new/folder/plots.html");
}

#[test]
fn slips_in_columns_and_templates_are_told_of() {
    let p = with_pipeline(
        "plots:\n  - h.csv: {x: epoc, y: [loss, acuracy]}\n  - c.csv: {template: confusion, x: is, y: said}\n  - s.csv: {template: scatter}\nstages: {a: {cmd: x}}\n",
    );
    p.write("h.csv", "epoch,loss,accuracy\n1,0.5,0.1\n2,0.4,0.2\n");
    p.write("c.csv", "is,said\ncat,dog\n");
    p.write("s.csv", "a\n1\n");
    check(&p.cvops("plots show -o plots.html"), str![]);
}
