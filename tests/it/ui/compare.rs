//! The page that compares runs, and the series that charts ask for.

use serde_json::{Value, json};

use crate::support::client::Server;
use crate::support::{Project, project};

/// Makes a run over MLflow's API; returns its id.
pub(super) fn run(server: &Server, name: &str, params: &[(&str, &str)], loss: &[f64]) -> String {
    let post = |call: &str, body: Value| {
        let path = format!("/api/2.0/mlflow/runs/{call}");
        let answer = server.post(&path, "application/json", body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let new = json!({"experiment_id": "0", "run_name": name, "start_time": 1_700_000_000_000_i64});
    let made = post("create", new);
    let id = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let params: Vec<Value> = params
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    let at = |step: usize| 1_700_000_000_000_i64 + 1000 * step as i64;
    let mut metrics: Vec<Value> = loss
        .iter()
        .enumerate()
        .map(|(step, value)| {
            let value = if value.is_nan() {
                json!("NaN")
            } else {
                json!(value)
            };
            json!({"key": "loss", "value": value, "step": step, "timestamp": at(step)})
        })
        .collect();
    if let Some(last) = loss.last() {
        metrics
            .push(json!({"key": "accuracy", "value": 1.0 - last, "step": 0, "timestamp": at(0)}));
    }
    post(
        "log-batch",
        json!({"run_id": id, "params": params, "metrics": metrics}),
    );
    id
}

fn empty() -> (Project, Server) {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    (p, server)
}

#[test]
fn runs_are_compared_by_what_differs() {
    let (_p, server) = empty();
    let common = [("lr", "0.1"), ("model", "small"), ("batch", "64")];
    let other = [("lr", "0.001"), ("model", "small"), ("depth", "3")];
    let a = run(&server, "first", &common, &[0.9, 0.5, 0.3]);
    let b = run(&server, "second", &other, &[0.8, 0.4, 0.2]);
    let page = server.get(&format!("/compare?run={a}&run={b}"));
    let text = page.text();
    assert_eq!(page.status, 200, "{text}");
    for part in [
        "2 runs compared",
        ">first<",
        ">second<",
        "★ 0.2",
        "★ 0.8",
        "1 params that are the same",
        "data-chart=\"/ajax-api/cvops/series?run=",
        "cvops-parallel",
        "cvops-scatter",
        &format!("/evaluation?run={a}&"),
        &format!("other={b}"),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(
        !text.contains("<style") && !text.contains(" style="),
        "{text}"
    );
    let rows = |table: &str| {
        let url = format!("/compare?run={a}&run={b}&format=json&table={table}");
        server.get(&url).json()
    };
    let params = rows("params");
    assert_eq!(params.as_array().unwrap().len(), 3, "{params}");
    assert_eq!(params[0], json!({"name": "batch", &a: "64", &b: null}));
    assert_eq!(
        rows("same-params"),
        json!([{"name": "model", "value": "small"}])
    );
    let metrics = rows("metrics");
    let loss = metrics
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "loss");
    assert_eq!(loss.unwrap()[&b], 0.2);
    let csv = server.get(&format!("/compare?run={a}&run={b}&format=csv&table=params"));
    assert!(csv.text().contains("lr,0.1,0.001"), "{}", csv.text());
}

#[test]
fn runs_of_an_experiment_are_compared_by_a_filter() {
    let (_p, server) = empty();
    run(&server, "small", &[("lr", "0.1")], &[0.5]);
    run(&server, "large", &[("lr", "0.2")], &[0.4]);
    let page = server.get("/compare?experiment=0&filter=params.lr%20%3D%20'0.1'");
    assert!(page.text().contains("1 run compared"));
    let none = server.get("/compare?experiment=0&filter=params.lr%20%3D%20'7'");
    assert!(none.text().contains("passes the filter"), "{}", none.text());
    assert_eq!(
        server.get("/compare?experiment=0&filter=lr%20is").status,
        400
    );
    assert_eq!(server.get("/compare?experiment=77").status, 404);
    assert!(server.get("/compare").text().contains("No runs are chosen"));
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let (_p, server) = empty();
    let a = run(&server, "a", &[("lr", "0.1")], &[0.5, 0.4]);
    for (query, status, named) in [
        ("run=zzz".to_owned(), 400, "zzz"),
        (format!("run={}", "0".repeat(32)), 404, "0000"),
        (format!("run={a}&x=lr"), 400, "params.NAME"),
        (format!("run={a}&x=params.nothing"), 400, "params.nothing"),
        (format!("run={a}&metric=nothing"), 400, "nothing"),
        (format!("run={a}&band_over=nothing"), 400, "nothing"),
        (format!("run={a}&format=xml"), 400, "xml"),
        (format!("run={a}&format=csv&table=nothing"), 404, "nothing"),
    ] {
        let answer = server.get(&format!("/compare?{query}"));
        assert_eq!(answer.status, status, "{query}");
        assert!(answer.text().contains(named), "{query}: {}", answer.text());
    }
    for (query, named) in [
        ("key=loss".to_owned(), "run"),
        (format!("run={a}"), "key"),
        (format!("run={a}&key=loss&x=epoch"), "epoch"),
        (format!("run={a}&key=loss&from=x"), "from=x"),
        (format!("run={a}&key=loss&from=5&to=1"), "from=5"),
        (format!("run={a}&key=loss&points=many"), "points=many"),
    ] {
        let answer = server.get(&format!("/ajax-api/cvops/series?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{query}: {message}");
    }
}

#[test]
fn series_are_told_over_steps_and_time_and_as_bands() {
    let (_p, server) = empty();
    let seeds = |seed: &'static str| [("lr", "0.1"), ("seed", seed)];
    let a = run(&server, "a", &seeds("1"), &[1.0, f64::NAN, 3.0]);
    let b = run(&server, "b", &seeds("2"), &[3.0, 3.0, 5.0]);
    let series = |rest: &str| {
        let url = format!("/ajax-api/cvops/series?run={a}&run={b}&key=loss{rest}");
        let answer = server.get(&url);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let steps = series("");
    assert_eq!(steps["x"], "step");
    let first = &steps["series"][0];
    assert_eq!(
        (&first["name"], &first["key"]),
        (&json!("a"), &json!("loss"))
    );
    assert_eq!(
        first["points"],
        json!([[0.0, 1.0], [1.0, null], [2.0, 3.0]])
    );
    assert_eq!(
        (&first["total"], &first["not_numbers"]),
        (&json!(3), &json!(1))
    );
    let times = series("&x=time&from=0.5&to=2");
    assert_eq!(
        times["series"][1]["points"],
        json!([[1.0, 3.0], [2.0, 5.0]])
    );
    let wall = series("&x=wall");
    assert_eq!(wall["series"][1]["points"][0][0], 1_700_000_000_000.0);
    let band = series("&band_over=seed");
    assert_eq!(band["series"].as_array().unwrap().len(), 1, "{band}");
    assert_eq!(band["series"][0]["name"], "all runs (2 runs)");
    let middle: Vec<f64> = (0..3)
        .map(|at| band["series"][0]["points"][at][2].as_f64().unwrap())
        .collect();
    assert_eq!(middle, [2.0, 2.5, 4.0]);
}

#[test]
fn many_series_share_the_points_of_an_answer() {
    let (_p, server) = empty();
    let values: Vec<f64> = (0..900).map(f64::from).collect();
    let a = run(&server, "a", &[], &values);
    let series = |keys: usize| {
        let keys: Vec<String> = (0..keys).map(|n| format!("&key=k{n}")).collect();
        let keys = keys.concat();
        let url = format!("/ajax-api/cvops/series?run={a}&points=5000&key=loss{keys}");
        server.get(&url).json()
    };
    let alone = series(0);
    assert_eq!(alone["points"], 5000);
    assert_eq!(alone["series"][0]["sampled"], false);
    assert_eq!(alone["series"][0]["points"].as_array().unwrap().len(), 900);
    let crowded = series(599);
    assert_eq!(crowded["points"], 333);
    let loss = &crowded["series"][0];
    assert_eq!(
        (&loss["sampled"], &loss["total"]),
        (&json!(true), &json!(900))
    );
    let points = loss["points"].as_array().unwrap();
    assert!((333..=666).contains(&points.len()), "{}", points.len());
    let counted: f64 = points.iter().map(|point| point[4].as_f64().unwrap()).sum();
    assert_eq!(counted, 900.0);
}

#[test]
fn hostile_names_stay_text() {
    let (_p, server) = empty();
    let hostile = "<script>alert(1)</script>\"'\u{202e}";
    let params = [("optimizer", hostile), ("lr", "0.1")];
    let a = run(&server, hostile, &params, &[0.5, 0.4]);
    let b = run(&server, hostile, &[("lr", "0.2")], &[0.5, 0.4]);
    let page = server.get(&format!("/compare?run={a}&run={b}"));
    let text = page.text();
    assert_eq!(page.status, 200);
    assert!(!text.contains("<script>alert"), "{text}");
    assert!(text.contains("&lt;script&gt;") || text.contains("&#60;script&#62;"));
}
