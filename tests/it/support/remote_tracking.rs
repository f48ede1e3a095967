//! A tracking server inside the test: as much of MLflow's REST API as the forwarder asks, everything
//! that arrives kept as it came. It can go away after a number of requests, and come back.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// What a server has.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Names of experiments; the place is the id.
    pub(crate) experiments: Vec<String>,
    pub(crate) runs: Vec<Run>,
    /// Files by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// All requests, as `METHOD PATH`.
    pub(crate) asked: Vec<String>,
    /// Headers `Authorization` of all requests.
    pub(crate) logins: Vec<Option<String>>,
    /// Requests that are answered before the connection is cut.
    answered_left: Option<usize>,
}

/// A run as it came.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Key, step, time and value of each point; equal ones once.
    pub(crate) points: BTreeMap<(String, i64, i64, String), usize>,
    pub(crate) ended: bool,
}

/// The server; it answers until the test is over.
pub(crate) struct Remote {
    pub(crate) uri: String,
    kept: Arc<Mutex<Kept>>,
}

impl Remote {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { uri, kept }
    }

    /// Returns what it has.
    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the connection is cut after `requests` more; `None`: never.
    pub(crate) fn dies_after(&self, requests: Option<usize>) {
        self.kept().answered_left = requests;
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some((line, headers, body)) = request(&mut reader) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut kept.answered_left {
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        kept.asked.push(format!("{method} {path}"));
        kept.logins.push(headers.get("authorization").cloned());
        let (status, answer) = kept.answer(method, path, query, body);
        drop(kept);
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        if stream.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

type Request = (String, BTreeMap<String, String>, Vec<u8>);

fn request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length");
    let length = length.map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((line.trim_end().to_owned(), headers, body))
}

impl Kept {
    fn answer(&mut self, method: &str, path: &str, query: &str, body: Vec<u8>) -> (u16, Value) {
        let missing = |what: &str| {
            let message = format!("{what} not found");
            (
                404,
                json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}),
            )
        };
        if let Some(file) = path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/") {
            self.files.insert(file.to_owned(), body);
            return (200, json!({}));
        }
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let word = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        let call = path.strip_prefix("/api/2.0/mlflow/").unwrap_or_default();
        let number = word("run_id")
            .strip_prefix('r')
            .and_then(|n| n.parse::<usize>().ok());
        match (method, call) {
            ("GET", "runs/get") => missing("Run"),
            ("GET", "experiments/get-by-name") => {
                let name = query
                    .strip_prefix("experiment_name=")
                    .unwrap()
                    .replace("%20", " ");
                match self.experiments.iter().position(|n| *n == name) {
                    Some(id) => (
                        200,
                        json!({"experiment": {"experiment_id": id.to_string()}}),
                    ),
                    None => missing("Experiment"),
                }
            }
            ("POST", "experiments/create") => {
                self.experiments.push(word("name"));
                let id = (self.experiments.len() - 1).to_string();
                (200, json!({"experiment_id": id}))
            }
            ("POST", "runs/search") => {
                let filter = word("filter");
                let id = filter.split('\'').nth(1).unwrap();
                let found = self
                    .runs
                    .iter()
                    .position(|run| run.tags.get("cvops.run_id").is_some_and(|t| t == id));
                (
                    200,
                    match found {
                        Some(number) => json!({"runs": [{"info": info(number)}]}),
                        None => json!({}),
                    },
                )
            }
            ("POST", "runs/create") => {
                let mut run = Run {
                    name: word("run_name"),
                    status: "RUNNING".to_owned(),
                    ..Run::default()
                };
                put(&mut run.tags, &asked["tags"]);
                self.runs.push(run);
                (200, json!({"run": {"info": info(self.runs.len() - 1)}}))
            }
            ("POST", "runs/log-inputs") => (200, json!({})),
            ("POST", "runs/log-batch" | "runs/update") => {
                let Some(run) = number.and_then(|number| self.runs.get_mut(number)) else {
                    return missing("Run");
                };
                if call == "runs/update" {
                    run.status = word("status");
                    run.ended = asked["end_time"].is_i64();
                } else {
                    put(&mut run.params, &asked["params"]);
                    put(&mut run.tags, &asked["tags"]);
                    for point in asked["metrics"].as_array().into_iter().flatten() {
                        let key = point["key"].as_str().unwrap().to_owned();
                        let (step, at) = (&point["step"], &point["timestamp"]);
                        let (step, at) = (step.as_i64().unwrap(), at.as_i64().unwrap());
                        let times = run
                            .points
                            .entry((key, step, at, point["value"].to_string()));
                        *times.or_default() += 1;
                    }
                }
                (200, json!({}))
            }
            _ => (
                404,
                json!({"error_code": "ENDPOINT_NOT_FOUND", "message": path}),
            ),
        }
    }
}

fn info(number: usize) -> Value {
    json!({
        "run_id": format!("r{number}"),
        "artifact_uri": format!("mlflow-artifacts:/7/r{number}/artifacts"),
    })
}

fn put(to: &mut BTreeMap<String, String>, pairs: &Value) {
    for pair in pairs.as_array().into_iter().flatten() {
        let text = |key: &str| pair[key].as_str().unwrap().to_owned();
        to.insert(text("key"), text("value"));
    }
}
