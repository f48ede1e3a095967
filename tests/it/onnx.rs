//! Networks from elsewhere (ONNX): the same commands and routes as for those that were trained here.
//! What they have to answer was asked of onnxruntime (tests/golden/onnx).

use std::path::Path;

use crate::support::{Exit, Output, Project, project};

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx");
    std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Puts files of tests/golden/onnx into a project, under their names.
fn with(p: &Project, names: &[&str]) {
    for name in names {
        p.write(name, golden(name));
    }
}

/// It ended with `exit`, and all of `parts` were said.
#[track_caller]
fn refused(output: &Output, exit: i32, parts: &[&str]) {
    assert_eq!(output.exit, Exit::Code(exit), "{}", output.stderr);
    for part in parts {
        let said = output.stderr.contains(part);
        assert!(said, "`{part}` is not in: {}", output.stderr);
    }
}

#[cfg(not(feature = "onnx"))]
#[test]
fn a_program_without_the_feature_says_how_to_get_it() {
    let p = project();
    with(&p, &["nchw.onnx", "mlflow/MLmodel", "mlflow/model.onnx"]);
    let help = "build it with them: `cargo build --release --features onnx`";
    for (model, file) in [
        ("nchw.onnx", "`nchw.onnx`"),
        ("mlflow", "`mlflow/model.onnx`"),
    ] {
        let said =
            format!("{file} is a network in ONNX form, and this cvops was built without them");
        let output = p.cvops(&format!("predict --model {model} a.png"));
        refused(&output, 2, &[&said, help]);
    }
}

#[test]
fn a_summary_is_of_networks_that_were_trained_here() {
    let p = project();
    with(&p, &["nchw.onnx"]);
    let said = "`nchw.onnx` is a network from elsewhere, whose layers are not shown";
    refused(&p.cvops("summary --model nchw.onnx"), 2, &[said]);
}

#[test]
fn a_folder_with_several_networks_needs_a_name() {
    let p = project();
    p.write("models/a.onnx", "").write("models/b.onnx", "");
    refused(
        &p.cvops("predict --model models a.png"),
        2,
        &[
            "`models` holds several ONNX files: `a.onnx`, `b.onnx`",
            "name one of them with `--model`: `models/a.onnx`",
        ],
    );
    p.write("models/MLmodel", "flavors: {sklearn: {}}\n");
    let said = "describes a model with the flavours sklearn, and only `onnx` can be read";
    refused(&p.cvops("predict --model models a.png"), 1, &[said]);
}

#[cfg(feature = "onnx")]
mod computed {
    use serde_json::{Value, json};

    use super::*;
    use crate::support::client::{Server, failed_start};
    use crate::support::pictures::stripes;

    /// The pictures that onnxruntime was asked about.
    const ASKED: [(usize, usize); 3] = [(0, 5), (1, 3), (2, 11)];

    /// What onnxruntime answers for a picture.
    fn expected(network: &str, (class, number): (usize, usize)) -> Vec<f64> {
        let answers: Value = serde_json::from_slice(&golden("answers.json")).unwrap();
        let answer = &answers[format!("{network} {class} {number}")];
        let numbers = answer.as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    }

    #[track_caller]
    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{found:?} is not {expected:?}");
        }
    }

    /// The probabilities in an answer of `/predict`, in the order of the classes.
    fn probabilities(answer: &Value) -> Vec<f64> {
        let classes = answer["probabilities"].as_object().unwrap().values();
        classes.map(|p| p.as_f64().unwrap()).collect()
    }

    const NCHW_BLAKE3: &str = "f9ba34987dfece8d6593b214504e74bde7256993affab4e26d1cfb36ed25adab";

    const MLFLOW: [&str; 3] = [
        "mlflow/MLmodel",
        "mlflow/model.onnx",
        "mlflow/8c7d1b1e-5a0f-11f0-9d6e-0242ac120002.data",
    ];

    fn with_all(p: &Project) {
        with(p, &["nchw.onnx", "nhwc.onnx", "nhwc.yaml"]);
        with(p, &MLFLOW);
    }

    #[test]
    fn predict_answers_as_onnxruntime_does() {
        let p = project();
        with_all(&p);
        let names = [
            ("nchw.onnx", "nchw", ["0", "1", "2"]),
            ("nhwc.onnx", "nhwc", ["across", "along", "slanted"]),
            ("mlflow", "mlflow/model", ["0", "1", "2"]),
        ];
        for (model, network, classes) in names {
            for asked in ASKED {
                p.write("a.png", stripes(asked.0, asked.1));
                let told = p.ok(&format!("predict --json --top 3 --model {model} a.png"));
                let told: Value = serde_json::from_str(&told.stdout).unwrap();
                let top = told["top"].as_array().unwrap();
                let of = |class: &&str| {
                    let entry = top.iter().find(|entry| entry["class"] == **class);
                    entry.unwrap()["probability"].as_f64().unwrap()
                };
                let found: Vec<f64> = classes.iter().map(of).collect();
                assert_close(&found, &expected(network, asked));
            }
        }
    }

    fn ask(server: &Server, asked: (usize, usize)) -> Value {
        let answer = server.post("/predict", "image/png", stripes(asked.0, asked.1));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    #[test]
    fn a_server_answers_on_all_routes() {
        let p = project();
        with_all(&p);
        let server = p.serve_ready("--model nchw.onnx");
        for asked in ASKED {
            assert_close(
                &probabilities(&ask(&server, asked)),
                &expected("nchw", asked),
            );
        }
        // Several at once, and each as alone.
        let pictures = ASKED.map(|(class, number)| stripes(class, number));
        let files: Vec<(&str, &[u8])> = pictures.iter().map(|p| ("files", &p[..])).collect();
        let batch = server.form("/predict/batch", &files).json();
        let together = batch["predictions"].as_array().unwrap();
        for (asked, answer) in ASKED.into_iter().zip(together) {
            assert_eq!(
                answer["probabilities"],
                ask(&server, asked)["probabilities"]
            );
        }
        // Numbers 0 to 1, of a picture that is all black.
        let black =
            json!({"signature_name": "serving_default", "data": [vec![vec![[0.0; 3]; 16]; 16]]});
        let answer = server.post("/predict/model", "application/json", black.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let row = answer.json()["predictions"][0].clone();
        let sum: f64 = row
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row}");
        let model = server.get("/model").json();
        assert_eq!(model["name"], "nchw");
        assert_eq!(model["classes"], json!(["0", "1", "2"]));
        assert_eq!(
            model["input"],
            json!({"height": 16, "width": 16, "channels": 3})
        );
        assert_eq!(model["parameters"], 108 + 4 + 24 + 6 + 288 + 3);
        assert_eq!(model["device"], "rten");
        // Of the file, by the `blake3` package of PyPI.
        assert_eq!(model["blake3"], NCHW_BLAKE3);
    }

    #[test]
    fn a_description_names_the_model_and_its_classes() {
        let p = project();
        with_all(&p);
        let server = p.serve_ready("--model nhwc.onnx");
        let answer = ask(&server, (1, 3));
        assert_eq!(answer["model"]["name"], "stripes");
        assert_eq!(answer["label"], "along");
        assert_close(&probabilities(&answer), &expected("nhwc", (1, 3)));
        let server = p.serve_ready("--model mlflow --name other");
        let answer = ask(&server, (2, 11));
        assert_eq!(answer["model"]["name"], "other");
        assert_close(&probabilities(&answer), &expected("mlflow/model", (2, 11)));
    }

    #[test]
    fn a_network_is_waited_for_and_tried_again() {
        let p = project();
        let server = p.serve("--model nets/net.onnx");
        let told = server.event("no_model").to_string();
        assert!(told.contains("`nets/net.onnx` is missing"), "{told}");
        p.write("nets/net.onnx", &golden("nchw.onnx")[..300]);
        let told = server.event("broken").to_string();
        assert!(
            told.contains("net.onnx` cannot be used: it is no ONNX file"),
            "{told}"
        );
        p.write("nets/net.onnx", golden("nchw.onnx"));
        server.event("ready");
        assert_close(
            &probabilities(&ask(&server, (0, 5))),
            &expected("nchw", (0, 5)),
        );
    }

    #[test]
    fn a_registered_network_is_served() {
        let p = project();
        with_all(&p);
        p.ok("init");
        p.write(
            "pipeline.yaml",
            "stages:\n  export:\n    cmd: mkdir -p models && cp -r mlflow models/net\n    deps: [mlflow]\n    outs: [models/net]\n",
        );
        p.ok("repro");
        p.ok("models register stripes --path models/net --alias champion");
        p.remove("models");
        let server = p.serve_ready("--model models:/stripes@champion");
        let answer = ask(&server, (0, 5));
        assert_eq!(answer["model"]["name"], "stripes");
        assert_eq!(answer["model"]["version"], "1");
        assert_close(&probabilities(&answer), &expected("mlflow/model", (0, 5)));
    }

    #[test]
    fn evaluate_judges_a_network() {
        let p = project();
        with_all(&p);
        p.pictures("data/raw", &["across", "along", "slanted"], 20);
        p.write(
            "params.yaml",
            "preprocess: {size: 16}\nevaluate: {bootstrap: 50}\n",
        );
        p.ok("preprocess");
        p.ok("evaluate --model nhwc.onnx");
        let metrics: Value = serde_json::from_str(&p.read("reports/metrics.json")).unwrap();
        assert_eq!(metrics["images"], 12);
        // One that knows other classes.
        let said = "the model in `nchw.onnx` knows other classes than `data/prepared` holds";
        refused(&p.cvops("evaluate --model nchw.onnx"), 2, &[said]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let p = project();
        with_all(&p);
        p.write("a.png", stripes(0, 0));
        let predict = |model: &str| p.cvops(&format!("predict --model {model} a.png"));
        p.write("nchw.yaml", "size: 32\nclasses: [a, b]\n");
        let said = "`size` says [32, 32], and the network takes [16, 16]";
        refused(&predict("nchw.onnx"), 2, &[said, "nchw.yaml:1:7"]);
        p.write("nchw.yaml", "# names\nclasses: [a, b]\n");
        let said = "`classes` has 2 names, and the network gives 3 numbers";
        refused(&predict("nchw.onnx"), 2, &[said, "nchw.yaml:2:10"]);
        p.write("nchw.yaml", "class: [a, b, c]\n");
        let parts = ["unknown key `class`", "did you mean `classes`?"];
        refused(&predict("nchw.onnx"), 2, &parts);
        p.write("text.onnx", "hello\n");
        let said = "`text.onnx` cannot be used: it is no ONNX file";
        refused(&predict("text.onnx"), 1, &[said]);
        p.remove(MLFLOW[2]);
        let said = "8c7d1b1e-5a0f-11f0-9d6e-0242ac120002.data`, which is missing";
        refused(
            &predict("mlflow"),
            1,
            &["`mlflow/model.onnx` cannot be used", said],
        );
        let said = "text.onnx` cannot be used: it is no ONNX file";
        refused(&failed_start(&p, "--model text.onnx"), 1, &[said]);
    }
}
