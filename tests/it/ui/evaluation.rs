//! The page of an evaluation: figures, mistakes, thresholds, and two of them beside each other.

use std::fmt::Write;

use serde_json::Value;

use crate::support::client::Server;
use crate::support::stages::with_pipeline;
use crate::support::{Project, project};

/// A stage whose predictions are those in `said.jsonl`, as any program may write them.
const PIPELINE: &str = "stages:
  judge:
    cmd: mkdir -p reports; cp said.jsonl reports/predictions.jsonl
    deps: [said.jsonl]
    outs: [reports/predictions.jsonl]
";

/// Lines of label, predicted and confidence; the rest is left to those of two classes.
fn lines(said: &[(&str, &str, f64)]) -> String {
    let mut text = String::new();
    for (index, (label, predicted, confidence)) in said.iter().enumerate() {
        let other = if predicted == &"cat" { "dog" } else { "cat" };
        let rest = 1.0 - confidence;
        let _ = writeln!(
            text,
            r#"{{"split":"test","index":{index},"path":"test/{index}.png","content":"c{index}","label":"{label}","predicted":"{predicted}","confidence":{confidence},"probabilities":{{"{predicted}":{confidence},"{other}":{rest:.3}}}}}"#
        );
    }
    text
}

const FIRST: [(&str, &str, f64); 5] = [
    ("cat", "cat", 0.9),
    ("cat", "cat", 0.6),
    ("cat", "dog", 0.8),
    ("dog", "dog", 0.95),
    ("dog", "cat", 0.55),
];

fn judged() -> Project {
    let p = with_pipeline(PIPELINE);
    p.write("said.jsonl", lines(&FIRST));
    p.ok("repro --name first");
    p
}

fn page(server: &Server, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

fn run_named(server: &Server, name: &str) -> String {
    let filter = format!("attributes.run_name = '{name}'");
    let asked = serde_json::json!({"experiment_ids": ["0"], "filter": filter}).to_string();
    let path = "/api/2.0/mlflow/runs/search";
    let found = server.post(path, "application/json", asked).json();
    found["runs"][0]["info"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn it_says_how_good_and_where_wrong() {
    let p = judged();
    let server = p.ui("");
    let text = page(&server, "/evaluation");
    for seen in [
        "Evaluation of the workspace",
        "5 pictures of the test split",
        "60.0 %",
        "Worst mistakes",
        "reports/predictions.jsonl",
        if cfg!(feature = "vision") {
            "No output in the workspace is the prepared data"
        } else {
            "built without vision"
        },
    ] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    // Most confident first.
    let (worst, mild) = (text.find("test/2.png"), text.find("test/4.png"));
    assert!(worst.is_some() && worst < mild);
    assert!(!text.contains("test/0.png"));
    let classes = server
        .get("/evaluation?format=json&table=classes&sort=-support")
        .json();
    assert_eq!(classes[0]["class"], "cat");
    assert_eq!(
        (&classes[0]["support"], &classes[1]["support"]),
        (&3.0.into(), &2.0.into())
    );
    assert_eq!(classes[1]["precision"], 0.5);
    let csv = page(&server, "/evaluation?format=csv&table=mistakes");
    assert!(
        csv.starts_with("label,predicted,pictures,share\ncat,dog,1,0.33"),
        "{csv}"
    );
}

#[test]
fn a_cell_leads_to_its_pictures_and_a_class_to_its_curves() {
    let p = judged();
    let server = p.ui("");
    let text = page(&server, "/evaluation");
    assert!(
        text.contains("href=\"/evaluation?true=cat&amp;predicted=dog#pictures\""),
        "{text}"
    );
    let cell = page(&server, "/evaluation?true=cat&predicted=dog");
    assert!(cell.contains("cat, taken for dog") && cell.contains("test/2.png"));
    assert!(!cell.contains("test/4.png"));
    let class = page(&server, "/evaluation?class=dog");
    assert!(class.contains("ROC curve, area 0.8333"), "{class}");
}

#[test]
fn a_threshold_leaves_to_people_what_is_unsure() {
    let p = judged();
    let server = p.ui("");
    let text = page(&server, "/evaluation?threshold=0.85");
    for seen in ["100.0 %", "40.0 %", "2 of 2 caught by the threshold"] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    let left = page(&server, "/evaluation?threshold=0.85&show=undecided");
    assert!(left.contains("test/1.png") && !left.contains("test/0.png"));
    let steps = server.get("/ajax-api/cvops/evaluation/thresholds").json();
    assert_eq!(
        (&steps["all"][0], &steps["all"][85]),
        (&[5, 3].into(), &[2, 2].into())
    );
    assert_eq!(steps["names"], Value::from(["cat", "dog"]));
    assert_eq!(steps["classes"][1][0], Value::from([2, 2, 1]));
}

#[test]
fn a_run_keeps_its_evaluation_when_the_workspace_moves_on() {
    let p = judged();
    p.write(
        "said.jsonl",
        lines(&[("cat", "cat", 0.9), ("dog", "dog", 0.9)]),
    );
    p.ok("repro --name second");
    let server = p.ui("");
    let first = run_named(&server, "first");
    assert!(page(&server, "/evaluation").contains("2 pictures of the test split"));
    for path in [
        format!("/runs/{first}/evaluation"),
        format!("/evaluation?run={first}"),
    ] {
        let text = page(&server, &path);
        assert!(text.contains("5 pictures of the test split"), "{path}");
        assert!(
            text.contains(&format!("<a href=\"/runs/{first}\">first</a>")),
            "{path}"
        );
    }
    let steps = format!("/ajax-api/cvops/evaluation/thresholds?run={first}");
    assert_eq!(server.get(&steps).json()["images"], 5);
}

#[test]
fn two_evaluations_are_compared_picture_by_picture() {
    let p = judged();
    let mut better = FIRST;
    (better[2], better[3]) = (("cat", "cat", 0.7), ("dog", "cat", 0.65));
    p.write("said.jsonl", lines(&better));
    p.ok("repro --name second");
    let server = p.ui("");
    let first = run_named(&server, "first");
    let path = format!("/evaluation?run={first}&other=workspace");
    let text = page(&server, &path);
    for seen in [
        "5 pictures that both judged",
        "As many pictures became right",
        "p = 1.000",
    ] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    assert!(text.contains("test/3.png") && !text.contains("test/2.png"));
    let gained = page(&server, &format!("{path}&show=gained"));
    assert!(gained.contains("test/2.png") && !gained.contains("test/3.png"));
    let figures = server.get(&format!("{path}&format=json")).json();
    assert_eq!(figures[0]["first"], 0.6);
    assert_eq!(figures[0]["change"], 0.0);
}

#[test]
fn behind_the_last_page_is_the_last_page() {
    let p = judged();
    let server = p.ui("");
    for path in [
        "/evaluation?show=all",
        "/evaluation?other=workspace&show=all",
    ] {
        for far in ["2", "307445734561825862", "18446744073709551615"] {
            let text = page(&server, &format!("{path}&page={far}"));
            assert!(text.contains("1 to 5 of 5"), "{path} {far}: {text}");
            assert!(!text.contains("rel=\"next\"") && !text.contains("rel=\"prev\""));
        }
    }
}

#[test]
fn what_cannot_be_shown_says_why() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let text = page(&server, "/evaluation");
    assert!(text.contains("cvops evaluate --predictions"), "{text}");
    let nowhere = "0".repeat(32);
    for path in [
        format!("/runs/{nowhere}/evaluation"),
        "/evaluation?run=x".to_owned(),
    ] {
        assert_eq!(server.get(&path).status, 404, "{path}");
    }
    drop(server);

    let p = judged();
    let server = p.ui("");
    for (query, problem) in [
        ("true=cow", "`true=cow`: no such class"),
        ("class=cow", "`class=cow`: no such class"),
        ("threshold=2", "a number from 0 to 1 was expected"),
        ("threshold=x", "a number was expected"),
        ("show=x", "expected one of `mistakes`"),
        ("sort=x", "expected one of `class`"),
        ("page=-1", "a number was expected"),
        ("format=xml", "there is no format"),
    ] {
        let answer = server.get(&format!("/evaluation?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.text().contains(problem),
            "{query}: {}",
            answer.text()
        );
    }
    for query in [
        "other=0",
        "file=pipeline.yaml",
        "file=../said.jsonl",
        "format=json&table=x",
    ] {
        assert_eq!(
            server.get(&format!("/evaluation?{query}")).status,
            404,
            "{query}"
        );
    }
    p.write("reports/predictions.jsonl", "{\"label\":\"cat\"}\n");
    let broken = server.get("/evaluation");
    assert_eq!(broken.status, 400);
    assert!(
        broken.text().contains("line 1: missing field `predicted`"),
        "{}",
        broken.text()
    );
}

/// Every mistake of another kind, and a class for each picture: what a file name in `label` makes.
#[test]
fn many_classes_stay_a_page_and_too_many_are_none() {
    let p = with_pipeline(PIPELINE);
    let many = |count: usize| {
        let lines = (0..count).map(|n| {
            let other = (n + 1) % count;
            format!("{{\"label\":\"c{n}\",\"predicted\":\"c{other}\",\"confidence\":0.5}}\n")
        });
        lines.collect::<String>()
    };
    p.write("said.jsonl", many(2000));
    p.ok("repro");
    let server = p.ui("");
    let text = page(&server, "/evaluation");
    assert!(text.contains("Too many classes for a matrix"), "{text}");
    let mistakes = server.get("/evaluation?format=json&table=mistakes").json();
    assert_eq!(mistakes[0]["label"], "c0");
    assert_eq!(mistakes[0]["predicted"], "c1");
    p.write("reports/predictions.jsonl", many(100_000));
    for path in ["/evaluation", "/evaluation?format=json&table=classes"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 400, "{path}");
        for said in [
            "reports/predictions.jsonl",
            "`predicted` does not look like a class",
        ] {
            assert!(answer.text().contains(said), "{path}: {}", answer.text());
        }
    }
}

#[test]
fn what_is_too_large_is_not_begun() {
    let p = judged();
    let server = p.ui("");
    let path = p.path("reports/predictions.jsonl");
    let refused = |problem: &str| {
        let answer = server.get("/evaluation");
        assert_eq!(answer.status, 400, "{problem}");
        assert!(answer.text().contains(problem), "{}", answer.text());
    };
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    refused("it has 1.0 TiB, and at most 256.0 MiB are read for a page: write a sample");
    p.write("reports/predictions.jsonl", "[".repeat(2 << 20));
    refused("`reports/predictions.jsonl` cannot be shown: line 1: it has more than 1.0 MiB");
    p.write("reports/predictions.jsonl", lines(&FIRST));
    assert!(page(&server, "/evaluation").contains("5 pictures"));
}

#[test]
fn names_stay_text() {
    const HOSTILE: &str = "</title><script>alert(1)</script>\\\" 'x' \u{202e}&amp;";
    let p = with_pipeline(PIPELINE);
    let line = format!(
        "{{\"label\":\"{HOSTILE}\",\"predicted\":\"b\",\"confidence\":0.5,\"path\":\"{HOSTILE}\",\
         \"probabilities\":{{\"b\":0.5}}}}\n{{\"label\":\"b\",\"predicted\":\"{HOSTILE}\",\"confidence\":1}}\n"
    );
    p.write("said.jsonl", line);
    p.ok("repro");
    let server = p.ui("");
    let text = page(&server, "/evaluation");
    assert!(
        !text.contains("<script>alert") && text.contains("&#60;script")
            || text.contains("&lt;script")
    );
    let classes = server.get("/evaluation?format=json&table=classes").json();
    let name = classes
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["class"].as_str().unwrap());
    let hostile = name
        .into_iter()
        .find(|name| name.contains("alert"))
        .unwrap()
        .to_owned();
    let query = form_urlencoded(&hostile);
    let class = page(
        &server,
        &format!("/evaluation?class={query}&true={query}&predicted=b"),
    );
    assert!(!class.contains("<script>alert"), "{class}");
}

fn form_urlencoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "%{byte:02x}");
        all
    })
}
