//! `POST /explain`: which parts of a picture an answer depends on.

use serde_json::{Value, json};

use crate::support::client::base64;
use crate::support::pictures::{png, stripes, trained_project};
use crate::support::stages::wait_until;

const MANY: &str = "cvops_predictions_total{class=\"along\",model=\"classifier\",version=\"1\"}";
const FEW: &str = "cvops_predictions_total{class=\"across\",model=\"classifier\",version=\"1\"}";

#[test]
fn an_explanation_is_a_prediction_with_a_grid() {
    let p = trained_project();
    let server = p.serve_ready("");
    let picture = stripes(1, 3);
    let told = server.form("/predict", &[("file", &picture)]).json();
    for answer in [
        server.form("/explain", &[("file", &picture)]),
        server.post("/explain", "image/png", &picture),
        server.post(
            "/explain",
            "application/json",
            json!({"image": base64(&picture)}).to_string(),
        ),
    ] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("X-Model-Name"), Some("classifier"));
        let body = answer.json();
        for same in [
            "label",
            "class_id",
            "confidence",
            "probabilities",
            "top_k",
            "model",
        ] {
            assert_eq!(body[same], told[same], "{same}");
        }
        let why = &body["explanation"];
        assert_eq!(why["method"], "occlusion");
        assert_eq!(why["label"], told["label"]);
        assert_eq!(why["class_id"], told["class_id"]);
        // 16 pixels: a patch of 3, moved by 1, has 14 places along each side.
        let plan = [&why["patch"], &why["stride"], &why["pictures"]];
        assert_eq!(plan, [&json!(3), &json!(1), &json!(196)]);
        let grid = grid(why);
        assert_eq!(grid.len(), 16);
        assert!(grid.iter().all(|row| row.len() == 16));
        let most = told["confidence"].as_f64().unwrap();
        assert!(grid.iter().flatten().all(|drop| *drop <= most + 1e-6));
        assert!(
            grid.iter().flatten().any(|drop| 1e-6 < drop.abs()),
            "{grid:?}"
        );
    }
    // The pictures with a part covered are no predictions: the three are, and the one before.
    assert_eq!(server.metric(MANY) + server.metric(FEW), 4.0);
    let inferred = "cvops_inference_images_total{model=\"classifier\",version=\"1\"}";
    assert_eq!(server.metric(inferred), 4.0 + 3.0 * 196.0);
}

fn grid(why: &Value) -> Vec<Vec<f64>> {
    let row = |row: &Value| {
        let row = row.as_array().unwrap();
        row.iter().map(|drop| drop.as_f64().unwrap()).collect()
    };
    why["grid"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn what_is_lost_for_one_class_is_won_for_the_other() {
    let p = trained_project();
    let server = p.serve_ready("");
    let ask = |query: &str| {
        let answer = server.post(&format!("/explain?{query}"), "image/png", stripes(0, 2));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["explanation"].clone()
    };
    let across = ask("label=across&patch=8&stride=4");
    let along = ask("label=along&patch=8&stride=4");
    assert_eq!(across["pictures"], 9);
    assert_eq!(
        (&across["label"], &along["label"]),
        (&json!("across"), &json!("along"))
    );
    for (lost, won) in grid(&across)
        .iter()
        .flatten()
        .zip(grid(&along).iter().flatten())
    {
        assert!((lost + won).abs() < 1e-5, "{lost} {won}");
    }
    // A picture of one colour is the same wherever it is covered.
    let grey = png(16, 16, |_, _| [90, 90, 90]);
    let flat = server.post("/explain", "image/png", grey).json();
    let flat = grid(&flat["explanation"]);
    assert!(
        flat.iter().flatten().all(|drop| drop.abs() < 1e-6),
        "{flat:?}"
    );
}

#[test]
fn a_heat_map_is_a_png_of_a_visible_size() {
    let p = trained_project();
    let server = p.serve_ready("");
    let answer = server.post("/explain?format=png", "image/png", stripes(1, 3));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Content-Type"), Some("image/png"));
    assert_eq!(answer.header("X-Model-Version"), Some("1"));
    assert_eq!(answer.body[..8], *b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(answer.body[at..at + 4].try_into().unwrap());
    // 17 times 16 pixels.
    assert_eq!((side(16), side(20)), (272, 272));
}

#[test]
fn what_cannot_be_explained_is_said() {
    let p = trained_project();
    p.write(
        "params.yaml",
        p.read("params.yaml") + "serve: {queue_max: 2, timeout_s: 60}\n",
    );
    let server = p.serve_ready("");
    let picture = stripes(1, 3);
    for (query, loc, kind) in [
        ("format=gif", "format", "literal_error"),
        ("label=coat", "label", "literal_error"),
        ("patch=17", "patch", "less_than_equal"),
        ("stride=0", "stride", "greater_than_equal"),
        ("patch=2&stride=3", "stride", "value_error"),
        ("top_k=0", "top_k", "greater_than_equal"),
    ] {
        let answer = server.post(&format!("/explain?{query}"), "image/png", &picture);
        assert_eq!(answer.status, 422, "{query}");
        let detail = &answer.json()["detail"][0];
        assert_eq!(
            (&detail["loc"], &detail["type"]),
            (&json!(["query", loc]), &json!(kind)),
            "{query}"
        );
    }
    for (content_type, body, outcome) in [
        ("image/png", &b"no picture"[..], "422 image_decode"),
        ("text/plain", &b""[..], "415 media_type"),
        ("application/x-ndjson", &b"{}"[..], "415 media_type"),
        ("application/json", &b"{}"[..], "422 validation"),
    ] {
        assert_eq!(
            server.post("/explain", content_type, body).outcome(),
            outcome
        );
    }
    let headers = "Content-Type: image/png\r\nX-Request-Timeout-Ms: 0\r\n";
    assert_eq!(
        server.send("POST /explain", headers, &picture).outcome(),
        "504 deadline"
    );
    // A queue of two is enough: an explanation takes it a picture at a time, and gives it back.
    assert_eq!(server.post("/explain", "image/png", &picture).status, 200);
    wait_until("the queue is empty", || {
        server.metric("cvops_inference_queue_length{model=\"classifier\"}") == 0.0
    });
}
