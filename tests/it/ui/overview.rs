//! `/`: the state of the project in five seconds.

use crate::support::project;
use crate::support::server::{answer, free_port};
use crate::support::stages::with_pipeline;

const SCORED: &str = r#"stages:
  train:
    cmd: 'echo "{\"accuracy\":0.$(tr -dc 0-9 < params.yaml)}" > m.json; echo 1 > model'
    params: [lr]
    outs: [model]
    metrics: [m.json: {cache: false}]
"#;

#[test]
fn a_stranger_sees_what_is_stale_what_ran_and_what_is_best() {
    let p = with_pipeline(SCORED);
    for (name, lr) in [("one", 5), ("two", 8), ("three", 7)] {
        p.write("params.yaml", format!("lr: {lr}\n"));
        p.ok(&format!("repro --name {name}"));
    }
    p.write("params.yaml", "lr: 9\n");
    let server = p.ui(&format!("--serve-url http://127.0.0.1:{}", free_port()));
    let page = server.get("/").text();
    for expected in [
        "1 <small>of 1 stages to do",
        "parameter `lr` changed (7 -&#62; 9)",
        "0.8 <small>accuracy",
        ">two</a>",
        "not running",
        "not watched",
        "Nothing is registered",
    ] {
        assert!(page.contains(expected), "{expected}:\n{page}");
    }
    let runs = server.get("/?format=json").json();
    let change = |at: usize| runs[at]["change"].as_str().unwrap_or_default().to_owned();
    assert_eq!(runs[0]["run"], "three");
    assert_eq!(change(0), "-0.1 worse");
    assert_eq!(change(1), "+0.3 better");
    assert_eq!(runs[2]["change"], serde_json::Value::Null);
}

#[test]
fn a_server_that_is_not_ready_is_no_trouble() {
    let p = with_pipeline(SCORED);
    p.write("params.yaml", "lr: 1\n");
    let port = answer(0, 503);
    let server = p.ui(&format!("--serve-url http://127.0.0.1:{port}"));
    assert!(server.get("/").text().contains("not ready"));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let other = p.ui(&format!("--serve-url http://127.0.0.1:{port}"));
    let page = other.get("/").text();
    assert!(page.contains("silent"), "{page}");
}

#[test]
fn an_empty_project_says_where_to_begin() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let page = server.get("/");
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(
        text.contains("cvops stage add") && text.contains("No run is recorded yet"),
        "{text}"
    );
    assert_eq!(server.get("/overview/live").status, 400);
}

#[test]
fn the_champion_is_named() {
    let p = with_pipeline(SCORED);
    p.edit(
        "pipeline.yaml",
        "echo 1 > model",
        "mkdir model; echo {} > model/model.json",
    );
    p.write("params.yaml", "lr: 1\n");
    p.ok("repro --name one");
    p.ok("models register net --run one --alias champion");
    let server = p.ui("");
    let page = server.get("/").text();
    assert!(page.contains("champion is version 1"), "{page}");
}
