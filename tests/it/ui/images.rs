//! Pictures of runs by key, step and run.

use std::time::Instant;

use serde_json::json;

use super::run::{PNG, Tracked};
use crate::support::mlflow;

fn logged(key: &str, step: i64) -> String {
    let key = key.replace('/', "~");
    format!("images/{key}+step+{step}+timestamp+17{step:03}+aaaa-bbbb.png")
}

#[test]
fn pictures_stand_by_key_and_run_at_a_step() {
    let t = Tracked::new();
    let (a, b) = (t.run("a"), t.run("b"));
    for step in [0, 5, 10] {
        t.file(&a, &logged("val/dog", step), PNG);
        t.file(
            &a,
            &logged("val/dog", step).replace(".png", "+compressed.webp"),
            b"RIFF....WEBP",
        );
    }
    t.file(&b, &logged("val/dog", 5), PNG);
    t.file(&b, "step-7/cat.png", PNG);
    t.file(&b, "confusion.png", PNG);
    let grid = |query: &str| {
        let answer = t
            .server
            .get(&format!("/images?run={a}&run={b}{query}&format=json"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let last = grid("");
    assert_eq!(last["step"], 10);
    let keys: Vec<&str> = last["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["cat.png", "confusion.png", "val/dog"]);
    let row = &last["rows"][2]["cells"];
    assert_eq!(
        (&row[0]["step"], &row[0]["is_exact"]),
        (&json!(10), &json!(true))
    );
    assert!(
        row[0]["src"].as_str().unwrap().ends_with("compressed.webp"),
        "{row}"
    );
    assert!(
        row[0]["full"].as_str().unwrap().ends_with("bbbb.png"),
        "{row}"
    );
    // The nearest earlier one, said to be it.
    assert_eq!(
        (&row[1]["step"], &row[1]["is_exact"]),
        (&json!(5), &json!(false))
    );
    assert_eq!(last["rows"][1]["cells"][0], json!(null));
    assert_eq!(last["rows"][1]["cells"][1]["step"], json!(null));
    assert_eq!(grid("&step=6")["rows"][2]["cells"][0]["step"], 5);
    assert_eq!(grid("&key=val/dog")["total"], 1);
    assert_eq!(grid("&filter=CAT")["rows"][0]["key"], "cat.png");
    let steps = grid("&by=steps&key=val/dog");
    assert_eq!(steps["columns"].as_array().unwrap().len(), 3);
    assert_eq!(steps["total"], 2, "a row for each run");
    assert_eq!(steps["rows"][1]["cells"][0], json!(null));

    let page = t.page(&format!("/images?run={a}&run={b}&step=5"));
    assert!(
        page.contains("step 5") && page.contains("loading=\"lazy\""),
        "{page}"
    );
    // Without a script links lead to the other steps.
    assert!(
        page.contains("step=0\" rel=\"prev\"") && page.contains("step=7\" rel=\"next\""),
        "{page}"
    );
    assert!(t.page(&format!("/runs/{a}/images")).contains("val/dog"));
    assert!(t.page("/images").contains(&format!("/images?run={a}")));
    for bad in [
        "run=x",
        &format!("run={a}&by=x"),
        &format!("run={a}&step=x"),
        &format!("run={a}&from=-1"),
    ] {
        assert_eq!(t.server.get(&format!("/images?{bad}")).status, 400, "{bad}");
    }
    let unknown = "0".repeat(32);
    assert_eq!(t.server.get(&format!("/images?run={unknown}")).status, 404);
}

#[test]
fn a_run_without_pictures_says_how_to_log_them() {
    let t = Tracked::new();
    let run = t.run("none");
    let page = t.page(&format!("/runs/{run}/images"));
    assert!(page.contains("mlflow.log_image(image, key="), "{page}");
}

#[test]
fn ten_thousand_pictures_are_sent_a_page_at_a_time() {
    let t = Tracked::new();
    let run = t.run("many");
    // The record is written as uploads write it; one content for all.
    t.file(&run, &logged("k000", 0), PNG);
    for key in 0..20 {
        for step in 0..10 {
            t.file(&run, &logged(&format!("k{key:03}"), step), PNG);
        }
    }
    let began = Instant::now();
    let page = t.page(&format!("/runs/{run}/images"));
    assert_eq!(page.matches("<img").count(), 20);
    assert!(
        page.len() < 100_000,
        "{} bytes after {:?}",
        page.len(),
        began.elapsed()
    );
    let page = t.page(&format!("/runs/{run}/images?by=steps"));
    assert_eq!(page.matches("<img").count(), 200);
    // Behind the last row is the last page.
    for by in ["runs", "steps"] {
        for (from, first) in [("19", 19), ("20", 0), ("18446744073709551615", 0)] {
            let path = format!("/runs/{run}/images?by={by}&from={from}");
            let grid = t.server.get(&format!("{path}&format=json")).json();
            assert_eq!(grid["from"], first, "{path}");
            assert_eq!(grid["rows"].as_array().unwrap().len(), 20 - first, "{path}");
            assert!(!t.page(&path).contains("rel=\"next\">More rows"), "{path}");
        }
    }
}

#[test]
fn pictures_of_mlflows_client_are_found() {
    let Some(python) = mlflow::python("pictures that MLflow's client logs") else {
        return;
    };
    let t = Tracked::new();
    let script = r#"
import sys, numpy, mlflow
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run(run_name="pictures") as run:
    for step in (1, 2):
        mlflow.log_image(numpy.full((8, 8, 3), step * 40, dtype="uint8"), key="val/dog one", step=step)
    mlflow.log_image(numpy.zeros((4, 4, 3), dtype="uint8"), "plain.png")
    print(run.info.run_id)
"#;
    let output = mlflow::command(&python)
        .args(["-c", script, &format!("http://127.0.0.1:{}", t.server.port)])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let stdout = String::from_utf8(output.stdout).unwrap();
    let run = stdout.lines().find(|line| line.len() == 32).unwrap();
    let grid = t
        .server
        .get(&format!("/runs/{run}/images?format=json"))
        .json();
    assert_eq!(grid["step"], 2, "{grid}");
    assert_eq!(grid["rows"][0]["key"], "plain.png");
    let cell = &grid["rows"][1]["cells"][0];
    assert_eq!(grid["rows"][1]["key"], "val/dog one");
    for (what, kind) in [("full", "image/png"), ("src", "image/webp")] {
        let picture = t.server.get(cell[what].as_str().unwrap());
        assert_eq!(picture.header("content-type"), Some(kind), "{what}");
    }
}
