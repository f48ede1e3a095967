//! What a client was told is kept, however the server dies.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::client::{Server, request};
use super::support::project;
use super::support::stages::wait_until;

/// Servers that are killed.
const ROUNDS: i64 = 6;
/// Clients that log at the same time.
const WRITERS: usize = 8;

fn call(server: &Server, path: &str, body: &Value) -> Value {
    let answer = server.post(
        &format!("/api/2.0/mlflow/{path}"),
        "application/json",
        body.to_string(),
    );
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn new_run(server: &Server, name: &str) -> String {
    let made = call(
        server,
        "runs/create",
        &json!({"experiment_id": "0", "run_name": name, "start_time": 1}),
    );
    made["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

/// Logs one point after the other until the server is gone; counts those it was told of.
fn log_until_the_end(port: u16, run: &str, told: &AtomicI64) {
    // More than any round lets it, should the server not be killed.
    for step in 0..20_000 {
        // Every third time a batch: its points are there together.
        let (path, body) = if step % 3 == 0 {
            let metrics: Vec<Value> = ["a", "b", "c"]
                .iter()
                .map(|key| json!({"key": key, "value": step, "timestamp": step, "step": step}))
                .collect();
            ("runs/log-batch", json!({"run_id": run, "metrics": metrics}))
        } else {
            (
                "runs/log-metric",
                json!({"run_id": run, "key": "a", "value": step, "timestamp": step, "step": step}),
            )
        };
        let line = format!("POST /api/2.0/mlflow/{path}");
        let bytes = request(
            &line,
            "Content-Type: application/json\r\n",
            body.to_string().as_bytes(),
        );
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
            return;
        };
        let mut answer = Vec::new();
        if stream.write_all(&bytes).is_err() || stream.read_to_end(&mut answer).is_err() {
            return;
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            return;
        }
        told.store(step, Ordering::SeqCst);
    }
}

fn steps(server: &Server, run: &str, key: &str) -> Vec<i64> {
    let path = format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={key}");
    let answer = server.get(&path).json();
    let points = answer["metrics"].as_array().cloned().unwrap_or_default();
    points.iter().map(|p| p["step"].as_i64().unwrap()).collect()
}

#[test]
fn no_point_that_was_acknowledged_is_lost_by_a_kill() {
    let p = project();
    p.ok("init");
    for round in 0..ROUNDS {
        let server = p.ui("");
        let runs: Vec<String> = (0..WRITERS)
            .map(|i| new_run(&server, &format!("{round}-{i}")))
            .collect();
        let told: Vec<AtomicI64> = runs.iter().map(|_| AtomicI64::new(-1)).collect();
        std::thread::scope(|scope| {
            for (run, told) in runs.iter().zip(&told) {
                let port = server.port;
                scope.spawn(move || log_until_the_end(port, run, told));
            }
            // Some way into their work, however slow the machine is, and not at a boundary of it.
            wait_until("clients have logged", || {
                let logged = told
                    .iter()
                    .map(|t| t.load(Ordering::SeqCst) + 1)
                    .sum::<i64>();
                8 + 60 * round <= logged
            });
            std::thread::sleep(Duration::from_millis(7 * round.unsigned_abs()));
            server.signal(Signal::KILL);
        });
        assert_eq!(server.end(), None);
        let server = p.ui("");
        let mut all = 0;
        for (run, told) in runs.iter().zip(&told) {
            let told = told.load(Ordering::SeqCst);
            let kept = steps(&server, run, "a");
            // One more may have been written than was told of.
            let expected: Vec<i64> = (0..=told.max(kept.len() as i64 - 1)).collect();
            assert_eq!(kept, expected, "round {round}: told of {told}");
            assert!(kept.len() as i64 <= told + 2, "round {round}");
            let of_batches = steps(&server, run, "b");
            assert_eq!(of_batches, steps(&server, run, "c"), "a batch is whole");
            let whole: Vec<i64> = kept.iter().copied().filter(|s| s % 3 == 0).collect();
            assert_eq!(of_batches, whole);
            all += kept.len();
        }
        assert!(0 < all, "round {round}: nobody logged anything");
        server.signal(Signal::TERM);
        assert_eq!(server.end(), Some(0));
    }
}
