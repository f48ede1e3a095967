//! `cvops serve` under more load than it can bear, and ended under load: every request that it took has
//! its answer, and the prediction log can be read whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Answer, connect, receive, request};
use crate::support::pictures::{stripes, trained_project};
use crate::support::stages::wait_until;
use crate::support::{Project, memory};

const PNG: &str = "Content-Type: image/png\r\n";
/// Places in the queue.
const PLACES: usize = 4;
/// Three clients for each place.
const CLIENTS: usize = 3 * PLACES;
/// Requests of each of them, one after the other.
const EACH: usize = 25;
/// Requests of a client that goes on until the server ends: if it does not, the test fails some day.
const ENOUGH: usize = 20_000;

fn with_params(p: &Project, more: &str) {
    let params = p.read("params.yaml") + more;
    p.write("params.yaml", params);
}

/// How requests were answered.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    answered: usize,
    refused: usize,
}

impl Tally {
    #[track_caller]
    fn count(&mut self, answer: &Answer) {
        match answer.status {
            200 => self.answered += 1,
            429 | 503 => {
                let seconds = answer.header("Retry-After").map(str::parse::<u64>);
                assert!(
                    matches!(seconds, Some(Ok(1..))),
                    "{}: {seconds:?}",
                    answer.status
                );
                self.refused += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

/// Has all clients ask at once, without regard to `Retry-After`, and others ask for health meanwhile.
fn storm(port: u16) -> Tally {
    let bytes = request("POST /predict", PNG, &stripes(1, 2));
    let start = Barrier::new(CLIENTS);
    let is_over = AtomicBool::new(false);
    let ask = |bytes: &[u8]| {
        let mut stream = connect(port);
        stream.write_all(bytes).unwrap();
        receive(&mut stream)
    };
    std::thread::scope(|scope| {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(scope.spawn(|| {
                let mut tally = Tally::default();
                start.wait();
                for _ in 0..EACH {
                    tally.count(&ask(&bytes));
                }
                tally
            }));
        }
        let watcher = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                for path in ["/health/live", "/health/ready", "/metrics"] {
                    let answer = ask(&request(&format!("GET {path}"), "", b""));
                    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                }
            }
        });
        let tallies: Vec<_> = clients.into_iter().map(ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::SeqCst);
        watcher.join().unwrap();
        let mut all = Tally::default();
        for tally in tallies {
            let tally = tally.unwrap();
            all.answered += tally.answered;
            all.refused += tally.refused;
        }
        all
    })
}

#[test]
fn what_is_too_much_is_refused_and_the_rest_is_answered() {
    let p = trained_project();
    // A picture holds its place for a while, so that the clients meet.
    with_params(
        &p,
        &format!("serve: {{queue_max: {PLACES}, batch_wait_ms: 20, timeout_s: 60}}\n"),
    );
    let server = p.serve_ready("");
    let first = storm(server.port);
    let before = memory::resident(&server);
    let peak = memory::peak(&server);
    let second = storm(server.port);
    let third = storm(server.port);
    let all = [first, second, third];
    let sum = |of: fn(&Tally) -> usize| all.iter().map(of).sum::<usize>() as f64;
    for tally in all {
        assert!(0 < tally.answered && 0 < tally.refused, "{all:?}");
    }
    // What the clients saw is what is counted.
    let counted = "cvops_requests_rejected_total{reason=\"queue_full\"}";
    assert_eq!(server.metric(counted), sum(|tally| tally.refused));
    let counted = "cvops_inference_images_total{model=\"classifier\",version=\"1\"}";
    assert_eq!(server.metric(counted), sum(|tally| tally.answered));
    let queue = "cvops_inference_queue_length{model=\"classifier\"}";
    wait_until("the queue is empty", || server.metric(queue) == 0.0);
    memory::resident(&server).grew_at_most(24, before);
    memory::peak(&server).grew_at_most(32, peak);
}

/// Returns how many threads of the server have this name, as Linux tells it.
fn threads_named(pid: u32, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .flatten()
        // A thread may end meanwhile.
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .filter(|comm| comm.trim_end() == name)
        .count()
}

#[test]
fn memory_is_taken_for_what_is_used() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let p = trained_project();
    let server = p.serve_ready("");
    // The allocator's first page is there before the program says how it wants them.
    memory::in_large_pages(&server).is_at_most(4);
    assert_eq!(threads_named(server.pid(), "cvops-decode"), 0);
    let answered = storm(server.port).answered;
    assert!(0 < answered);
    // Each thread keeps memory: pictures have their own, and no more than can run.
    let cores = std::thread::available_parallelism().unwrap().get();
    let decoding = threads_named(server.pid(), "cvops-decode");
    assert!((1..=cores).contains(&decoding), "{decoding}");
}

#[test]
fn whoever_asks_too_often_is_told_when_to_come_back() {
    let p = trained_project();
    with_params(
        &p,
        "serve: {rate_limit: {per_second: 1, burst: 5}, timeout_s: 60}\n",
    );
    let server = p.serve_ready("");
    let tally = storm(server.port);
    assert!(5 <= tally.answered && 0 < tally.refused, "{tally:?}");
    let counted = "cvops_requests_rejected_total{reason=\"rate_limit\"}";
    assert_eq!(server.metric(counted), tally.refused as f64);
}

/// Sends a request on a connection of its own. `None`: the server has closed the connection, or takes
/// none any more.
fn try_to_ask(port: u16, bytes: &[u8], sent: impl FnOnce()) -> Option<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream.write_all(bytes).ok()?;
    sent();
    match stream.peek(&mut [0]) {
        Ok(1..) => Some(receive(&mut stream)),
        Ok(0) | Err(_) => None,
    }
}

#[test]
fn sigterm_under_load_loses_no_request() {
    let p = trained_project();
    with_params(
        &p,
        "serve: {batch_wait_ms: 20, timeout_s: 60, drain_timeout_s: 60}\n",
    );
    let server = p.serve_ready("");
    let port = server.port;
    // They hold up nothing: one that says nothing, and one that stopped in the middle of its head.
    let silent = server.connect();
    let mut slow = server.connect();
    slow.write_all(b"GET /health HTTP/1.1\r\nX: ").unwrap();
    let bytes = request("POST /predict", PNG, &stripes(0, 1));
    let is_told = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    let after = AtomicUsize::new(0);
    let client = || {
        for _ in 0..ENOUGH {
            // Was the whole request with the server's system before the signal?
            let mut before = false;
            let answer = try_to_ask(port, &bytes, || before = !is_told.load(Ordering::SeqCst));
            match answer {
                Some(answer) => {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::SeqCst);
                    if is_told.load(Ordering::SeqCst) {
                        after.fetch_add(1, Ordering::SeqCst);
                    }
                }
                None if before => panic!("a request that was sent before the signal was lost"),
                None => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(client);
        }
        wait_until("the clients are at it", || {
            50 <= answered.load(Ordering::SeqCst)
        });
        is_told.store(true, Ordering::SeqCst);
        server.signal(Signal::TERM);
        server.event("draining");
    });
    // Some of them were under way.
    assert!(0 < after.load(Ordering::SeqCst));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    assert_eq!(server.end(), Some(0));
    drop((silent, slow));
}

/// Returns the lines of the prediction log, segment by segment, with the name of the segment; of each the
/// last one may be torn and is left out then.
fn whole_lines(p: &Project) -> Vec<(String, Value)> {
    let mut names = p.names(".cvops/predictions");
    names.retain(|name| name.strip_suffix(".jsonl").is_some());
    let mut lines = Vec::new();
    for name in names {
        let text = p.read(&format!(".cvops/predictions/{name}"));
        let end = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..end].lines() {
            let line = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            lines.push((name.clone(), line));
        }
    }
    lines
}

#[test]
fn a_kill_under_load_leaves_a_log_of_whole_lines() {
    const RECORDS: &str = "cvops_prediction_log_records_total";
    let p = trained_project();
    p.ok("init");
    let server = p.serve_ready("");
    let port = server.port;
    let asked = Mutex::new(BTreeSet::new());
    let client = |client: usize| {
        for number in 0..ENOUGH {
            let id = format!("client-{client}-{number}");
            asked.lock().unwrap().insert(id.clone());
            let headers = format!("{PNG}X-Request-Id: {id}\r\n");
            let bytes = request("POST /predict", &headers, &stripes(1, client));
            match try_to_ask(port, &bytes, || {}) {
                Some(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
                None => return,
            }
        }
    };
    let written = std::thread::scope(|scope| {
        let clients = [0, 1, 2, 3];
        for number in clients {
            let client = &client;
            scope.spawn(move || client(number));
        }
        // More than once was written by then.
        let mut written = 0.0;
        wait_until("there is a log", || {
            written = server.metric(RECORDS);
            100.0 <= written
        });
        server.signal(Signal::KILL);
        written as usize
    });
    server.end();

    let lines = whole_lines(&p);
    let asked = asked.into_inner().unwrap();
    let ids: BTreeSet<&str> = lines
        .iter()
        .map(|(_, line)| line["request_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), lines.len(), "a line stands there twice");
    assert!(ids.iter().all(|id| asked.contains(*id)));
    // What was counted is there.
    assert!(written <= lines.len(), "{written} of {}", lines.len());
    // A line that is there has its picture.
    let mut files = BTreeMap::new();
    for (segment, line) in &lines {
        assert_eq!(line["kind"], "prediction");
        let pictures = files.entry(segment).or_insert_with(|| {
            let file = segment.replace(".jsonl", ".pictures");
            p.bytes(&format!(".cvops/predictions/{file}"))
        });
        let place = |key: &str| line["picture"][key].as_u64().unwrap() as usize;
        let picture = &pictures[place("at")..][..place("len")];
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"), "{line}");
        assert!(picture.ends_with(b"IEND\xae\x42\x60\x82"), "{line}");
    }

    // The next server looks into it, and so do the pages.
    let server = p.serve_ready("");
    for (_, line) in [&lines[0], &lines[lines.len() - 1]] {
        let body = json!({"request_id": line["request_id"], "label": line["label"]});
        let answer = server.post("/feedback", "application/json", body.to_string());
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let pages = p.ui(&format!("--serve-url {}", server.url("")));
    let page = pages.get("/serving");
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("judged predictions are right"),
        "{}",
        page.text()
    );
}
