//! `cvops dag`: the pipeline drawn.

use snapbox::str;

use crate::support::Project;
use crate::support::check;
use crate::support::stages::with_pipeline;

fn diamond() -> Project {
    with_pipeline(
        "stages:\n  load: {cmd: x, outs: [raw]}\n  left: {cmd: x, deps: [raw/l], outs: [l]}\n  right: {cmd: x, deps: [raw/r], outs: [r]}\n  join: {cmd: x, deps: [l, r], outs: [j], desc: \"both <sides> & more\"}\n  alone: {cmd: x}\n",
    )
}

#[test]
fn on_the_terminal() {
    let p = diamond();
    check(
        &p.cvops("dag"),
        str![[r#"
        ┌──────┐           ┌───────┐
        │ load │           │ alone │
        └───┬──┘           └───────┘
      ┌─────┴────┐
      ▼          ▼
  ┌──────┐   ┌───────┐
  │ left │   │ right │
  └───┬──┘   └───┬───┘
      ▼          ▼
┌─────────────────────┐
│        join         │
│ both <sides> & more │
└─────────────────────┘
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag left"),
        str![[r#"
┌──────┐
│ load │
└───┬──┘
    ▼
┌──────┐
│ left │
└──────┘
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag r"),
        str![[r#"
 ┌──────┐
 │ load │
 └───┬──┘
     ▼
┌───────┐
│ right │
└───────┘
[exit 0]
"#]],
    );
}

#[test]
fn for_other_programs() {
    let p = diamond();
    check(
        &p.cvops("dag --mermaid"),
        str![[r#"
flowchart TD
    n0["load"]
    n1["left"]
    n2["right"]
    n3["join<br/><small>both #60;sides#62; #38; more</small>"]
    n4["alone"]
    n0 --> n1
    n0 --> n2
    n1 --> n3
    n2 --> n3
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag --md left"),
        str![[r#"
```mermaid
flowchart TD
    n0["load"]
    n1["left"]
    n0 --> n1
```
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag --dot"),
        str![[r##"
digraph {
    node [shape=box, fontname="Helvetica", fontsize=11];
    edge [color="#808a96"];
    "load" [label="load"];
    "left" [label="left"];
    "right" [label="right"];
    "join" [label="join\nboth <sides> & more"];
    "alone" [label="alone"];
    "load" -> "left";
    "load" -> "right";
    "left" -> "join";
    "right" -> "join";
}
[exit 0]
"##]],
    );
    check(
        &p.cvops("dag --json"),
        str![[r#"
{"edges":[["load","left"],["load","right"],["left","join"],["right","join"]],"pointers":[],"stages":["load","left","right","join","alone"]}
[exit 0]
"#]],
    );
    check(
        &p.cvops("dag --dot --svg"),
        str![[r#"
--- stderr ---
error: the argument '--dot' cannot be used with '--svg'

Usage: cvops dag --dot [TARGETS]...

For more information, try '--help'.
[exit 2]
"#]],
    );
}

#[test]
fn as_a_picture_that_needs_nothing_else() {
    let svg = diamond().ok("dag --svg").stdout;
    assert!(
        svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    for name in ["load", "left", "right", "join", "alone"] {
        assert!(svg.contains(&format!(">{name}<")), "{name}");
    }
    assert!(svg.contains("&lt;sides&gt; &amp; more") && !svg.contains("<sides>"));
    assert!(!svg.contains("href=\"http") && !svg.contains("<script"));
}
