//! `/serving`: figures of a prediction server, its log, and feedback.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::client::{Answer, Server};
use crate::support::stages::wait_until;
use crate::support::{Project, project};

pub(super) const SEGMENT: &str = "20261128T004907123Z-4711";
/// The smallest that passes for a PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n pixels";
/// Nobody listens there.
pub(super) const NOWHERE: &str = "--serve-url http://127.0.0.1:9";

pub(super) fn prediction(id: &str, second: u32, label: &str, confidence: f64) -> Value {
    json!({
        "kind": "prediction", "ts": format!("2026-11-28T00:49:{second:02}Z"), "request_id": id,
        "index": 0, "route": "/predict", "model": "shirts", "version": "3", "weights": "ab",
        "label": label, "confidence": confidence, "classes": 3,
        "probabilities": {"bag": 0.1, "coat": 0.2, "shirt": 0.7}, "latency_ms": 1.25,
        "image_blake3": "cd", "size": [9, 9], "format": "PNG",
        "picture": {"at": 5, "len": PNG.len()},
    })
}

fn project_with_log(lines: &[Value]) -> Project {
    let p = project();
    p.ok("init");
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    p.write(
        &format!(".cvops/predictions/{SEGMENT}.jsonl"),
        text.join("\n") + "\n",
    );
    let pictures = [b"other", PNG, b"and more"].concat();
    p.write(&format!(".cvops/predictions/{SEGMENT}.pictures"), pictures);
    p
}

pub(super) fn three() -> Project {
    project_with_log(&[
        prediction("first", 1, "coat", 0.95),
        prediction("second", 2, "shirt", 0.4),
        prediction("<script>alert(1)</script>", 3, "shirt", 0.75),
        json!({"kind": "feedback", "ts": "2026-11-28T00:50:00Z", "request_id": "first", "index": 0,
               "label": "bag", "source": "api"}),
    ])
}

fn labels(server: &Server, query: &str) -> Vec<String> {
    let answer = server.get(&format!("/serving?format=json&{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = answer.json();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["request"].as_str().unwrap().to_owned())
        .collect()
}

fn judge(server: &Server, form: &str) -> Answer {
    server.post(
        "/serving/feedback",
        "application/x-www-form-urlencoded",
        form,
    )
}

#[test]
fn without_server_and_log_the_page_says_what_to_do() {
    let p = project();
    p.ok("init");
    let server = p.ui(NOWHERE);
    let page = server.get("/serving");
    assert_eq!(page.status, 200);
    let text = page.text();
    for part in [
        "not running",
        "nothing listens at",
        "cvops serve",
        "No prediction is logged",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(labels(&server, ""), Vec::<String>::new());
}

#[test]
fn the_log_is_shown_filtered_and_as_files() {
    let p = three();
    let server = p.ui(NOWHERE);
    let text = server.get("/serving").text();
    for part in [
        "all 3 predictions of the log",
        "0.0 %",
        "0 of 1 judged",
        "shirts 3",
        "Predicted classes",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        !text.contains("<script>alert") && !text.contains(" style="),
        "{text}"
    );
    let hostile = "<script>alert(1)</script>";
    assert_eq!(labels(&server, ""), [hostile, "second", "first"]);
    assert_eq!(labels(&server, "class=shirt"), [hostile, "second"]);
    assert_eq!(labels(&server, "below=50"), ["second"]);
    assert_eq!(labels(&server, "feedback=none"), [hostile, "second"]);
    assert_eq!(labels(&server, "feedback=wrong"), ["first"]);
    assert_eq!(labels(&server, "feedback=right"), Vec::<String>::new());
    assert_eq!(labels(&server, "rows=1"), [hostile]);
    let csv = server.get("/serving?format=csv&table=classes").text();
    assert_eq!(csv, "class,predictions\nshirt,2\ncoat,1\n");
    let row = &server.get("/serving?format=json").json()[1];
    assert_eq!(
        (&row["confidence"], &row["latency_ms"]),
        (&json!(0.4_f32), &json!(1.25))
    );
    for bad in [
        "below=x",
        "below=101",
        "feedback=maybe",
        "rows=-1",
        "format=xml",
    ] {
        assert_eq!(server.get(&format!("/serving?{bad}")).status, 400, "{bad}");
    }
    // Half a line more, as a kill leaves it.
    let path = format!(".cvops/predictions/{SEGMENT}.jsonl");
    let torn = p.read(&path) + "{\"kind\":";
    p.write(&path, torn);
    // The log is read once a second at most.
    let told = || server.get("/serving").text();
    wait_until("the torn line is told", || {
        told().contains("1 lines of the log could not be read")
    });
}

#[test]
fn only_kept_pictures_are_shown() {
    let p = three();
    p.write(".cvops/predictions/secret", "\u{89}PNG");
    let server = p.ui(NOWHERE);
    let len = PNG.len();
    let picture = server.get(&format!("/serving/pictures/{SEGMENT}/5-{len}"));
    assert_eq!(picture.status, 200);
    assert_eq!(picture.body, PNG);
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert_eq!(picture.header("x-content-type-options"), Some("nosniff"));
    for path in [
        format!("{SEGMENT}/4-{len}"),
        format!("{SEGMENT}/5-999999"),
        format!("{SEGMENT}/5-99999999999"),
        format!("{SEGMENT}/18446744073709551615-9"),
        format!("{SEGMENT}/5"),
        "20261128T004907123Z-1/0-9".to_owned(),
        "..%2F..%2Fsecret/0-9".to_owned(),
        "secret/0-4".to_owned(),
    ] {
        let answer = server.get(&format!("/serving/pictures/{path}"));
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[test]
fn feedback_is_kept_when_the_server_is_down() {
    let p = three();
    let server = p.ui(NOWHERE);
    let answer = judge(
        &server,
        "request_id=second&index=0&label=&other=coat&back=below%3D50",
    );
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/serving?below=50"));
    assert_eq!(labels(&server, "feedback=wrong"), ["second", "first"]);
    // Somebody corrects it: the last word counts.
    assert_eq!(judge(&server, "request_id=second&label=shirt").status, 303);
    assert_eq!(labels(&server, "feedback=right"), ["second"]);
    assert!(server.get("/serving").text().contains("1 of 2 judged"));

    for (form, status, part) in [
        ("request_id=second&label=hat", 400, "bag, coat, shirt"),
        ("request_id=second", 400, "choose the class"),
        ("request_id=nobody&label=coat", 404, "no prediction"),
        ("request_id=second&index=7&label=coat", 404, "no prediction"),
        ("request_id=second&index=x&label=coat", 400, "number"),
        ("", 400, "choose the class"),
    ] {
        let answer = judge(&server, form);
        assert_eq!(answer.status, status, "{form}");
        assert!(answer.text().contains(part), "{form}: {}", answer.text());
    }
    // Where the page comes back to is ours, whatever the form says.
    let answer = judge(
        &server,
        "request_id=second&label=shirt&back=//evil.example/%0d%0aX:y",
    );
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("/serving?"), "{location}");
    // A page of another site may not send it.
    let answer = server.send(
        "POST /serving/feedback",
        "Content-Type: application/x-www-form-urlencoded\r\nOrigin: https://evil.example\r\n",
        b"request_id=second&label=coat",
    );
    assert_eq!(answer.status, 403);
}

/// A prediction server that says this of itself; notes what it is told.
fn stand_in(metrics: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut part = [0; 4096];
            // Requests are short: head and body come in one or two parts.
            while !is_whole(&asked) {
                match stream.read(&mut part) {
                    Ok(n) if 0 < n => asked.extend(&part[..n]),
                    _ => break,
                }
            }
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let (status, body) = if asked.starts_with("GET /metrics ") {
                ("200 OK", metrics)
            } else {
                notes.lock().unwrap().push(asked);
                ("202 Accepted", "{}")
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    (url, told)
}

fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.map_or(0, |text| text.trim().parse::<usize>().unwrap()) <= body.len()
}

const METRICS: &str = "cvops_build_info{version=\"0.1.0\"} 1\n\
    cvops_model_ready{model=\"shirts\",version=\"3\"} 1\nprocess_start_time_seconds 1000\n\
    process_resident_memory_bytes 31457280\n\
    cvops_model_info{model=\"shirts\",version=\"3\",alias=\"champion\",run_id=\"0123456789abcdef\",weights=\"abcdef\",backend=\"cpu\"} 1\n\
    cvops_model_loaded_timestamp_seconds{model=\"shirts\",version=\"3\"} 1001\n\
    http_requests_total{handler=\"/predict\",method=\"POST\",status=\"2xx\"} 90\n\
    http_requests_total{handler=\"/predict\",method=\"POST\",status=\"5xx\"} 10\n\
    http_request_duration_seconds_bucket{handler=\"/predict\",method=\"POST\",le=\"0.01\"} 100\n\
    http_request_duration_seconds_bucket{handler=\"/predict\",method=\"POST\",le=\"+Inf\"} 100\n\
    cvops_requests_rejected_total{reason=\"queue_full\"} 4\n\
    cvops_inference_queue_length{model=\"shirts\"} 7\ncvops_inference_queue_limit{model=\"shirts\"} 256\n";

#[test]
fn a_running_server_is_told_of_feedback_and_shown_with_its_figures() {
    let p = three();
    let (url, told) = stand_in(METRICS);
    let server = p.ui(&format!("--serve-url {url}"));
    let text = server.get("/serving").text();
    for part in [
        "</span> ready</span>",
        "href=\"/models/shirts/3\"",
        "href=\"/runs/0123456789abcdef\"",
        "champion",
        "10 (10 %)",
        "queue full",
        "all since the server began",
        "<dt>p99</dt><dd>9.9 ms</dd>",
        "7 <small>of 256</small>",
        "30.0 MiB",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let before = p.read(&format!(".cvops/predictions/{SEGMENT}.jsonl"));
    assert_eq!(judge(&server, "request_id=second&label=shirt").status, 303);
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    let (head, body) = told[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /feedback "), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    let expected = json!({"request_id": "second", "index": 0, "label": "shirt", "source": "ui"});
    assert_eq!(body, expected);
    // The server writes the log.
    assert_eq!(
        p.read(&format!(".cvops/predictions/{SEGMENT}.jsonl")),
        before
    );
}

#[test]
fn what_is_no_prediction_server_is_said_to_be_none() {
    let p = project();
    p.ok("init");
    let (url, _) = stand_in("<html>another program</html>");
    let text = p.ui(&format!("--serve-url {url}")).get("/serving").text();
    assert!(text.contains("is no prediction server of cvops"), "{text}");
}

#[cfg(feature = "vision")]
#[test]
fn a_server_that_does_not_show_its_figures_is_not_taken_for_a_stranger() {
    let p = project();
    p.ok("init");
    let seen = |server: &Server| {
        let pages = p.ui(&format!("--serve-url {}", server.url("")));
        pages.get("/serving").text()
    };
    p.write(
        "params.yaml",
        "serve: {port: 0, metrics: {listen: '127.0.0.1:0'}}\n",
    );
    let text = seen(&p.serve(""));
    for part in [
        "not ready",
        "at an address of their own",
        "from the prediction log",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    p.write("params.yaml", "serve: {port: 0, open_metrics: false}\n");
    p.ok("serve keys add web");
    let text = seen(&p.serve(""));
    for part in ["not ready", "want a key (401)", "cvops monitor"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_server_is_looked_for_where_the_parameters_say() {
    let p = project();
    p.ok("init");
    p.write("params.yaml", "serve: {host: 0.0.0.0, port: 9}\n");
    let text = p.ui("").get("/serving").text();
    assert!(text.contains("http://127.0.0.1:9<"), "{text}");
    assert!(text.contains("not running"), "{text}");
}
