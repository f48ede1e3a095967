//! What a repro is for its stages: a tracking server, with a run of their own to log to.
//!
//! `CVOPS_TEST_MLFLOW` names a Python with MLflow's client (2.22 or 3.x); without it the test of the
//! real client says that it skips.

#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::stages::{wait_until, with_pipeline};
use crate::support::{Exit, Project};

/// Logs a metric as any program would that knows nothing but the REST API: `log.sh KEY VALUE STEP`.
const LOG: &str = r#"host=${MLFLOW_TRACKING_URI#http://}
body="{\"run_id\":\"$MLFLOW_RUN_ID\",\"key\":\"$1\",\"value\":$2,\"step\":$3,\"timestamp\":1700000000000}"
exec 3<>"/dev/tcp/${host%:*}/${host##*:}" || exit 7
printf 'POST /api/2.0/mlflow/runs/log-metric HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "$host" "${#body}" "$body" >&3
read -r answer <&3
case $answer in *' 200 '*) ;; *) echo "$answer" >&2; cat <&3 >&2; exit 8 ;; esac
"#;

/// A project whose stages can say `bash log.sh KEY VALUE STEP`.
fn logging(pipeline: &str) -> Project {
    let p = with_pipeline(pipeline);
    p.write("log.sh", LOG);
    p
}

/// Returns everything about a run.
fn shown(p: &Project, run: &str) -> Value {
    p.ok(&format!("runs show {run} --json")).json().remove(0)
}

/// Returns the steps and values of a metric.
fn curve(p: &Project, run: &str, metric: &str) -> Vec<(i64, f64)> {
    let shown = p.ok(&format!("runs show {run} --curve {metric} --json"));
    let points = shown.json().remove(0)["points"].take();
    let point = |p: &Value| (p["step"].as_i64().unwrap(), p["value"].as_f64().unwrap());
    points.as_array().unwrap().iter().map(point).collect()
}

/// What a user of another tracking server has in the environment.
fn of_elsewhere(command: &mut Command) -> &mut Command {
    command
        .env("MLFLOW_TRACKING_URI", "http://elsewhere.invalid:5000")
        .env("MLFLOW_TRACKING_TOKEN", "secret")
        .env("MLFLOW_TRACKING_USERNAME", "me")
        .env("MLFLOW_TRACKING_PASSWORD", "secret")
        .env("MLFLOW_EXPERIMENT_NAME", "theirs")
}

#[test]
fn what_stages_log_lands_in_the_repros_own_run() {
    let p = logging(
        "stages:\n  \
         one: {cmd: 'for i in 1 2 3; do bash log.sh loss 0.$i $i; done; echo 1 > one', outs: [one]}\n  \
         two: {cmd: 'bash log.sh late 7 0; env | grep ^MLFLOW_ | sort > ~/env; echo 2 > two', \
               deps: [one], outs: [two]}\n",
    );
    let output = p.run(of_elsewhere(
        &mut p.command("repro --experiment mine --json"),
    ));
    assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
    let run = shown(&p, "last");
    assert_eq!(run["status"], "finished");
    assert_eq!(run["metrics"][""], json!({"loss": 0.3, "late": 7.0}));
    assert_eq!(curve(&p, "last", "loss"), [(1, 0.1), (2, 0.2), (3, 0.3)]);
    let env = fs::read_to_string(p.home().join("env")).unwrap();
    let lines: Vec<&str> = env.lines().collect();
    let [experiment, id, token, uri] = lines[..] else {
        panic!("{env}")
    };
    assert_eq!(experiment, "MLFLOW_EXPERIMENT_ID=1");
    assert_eq!(id, format!("MLFLOW_RUN_ID={}", run["id"].as_str().unwrap()));
    // One of its own, not the user's.
    assert!(token.starts_with("MLFLOW_TRACKING_TOKEN=cvops_"), "{token}");
    assert!(
        uri.starts_with("MLFLOW_TRACKING_URI=http://127.0.0.1:"),
        "{uri}"
    );
    // It has ended with the repro.
    let address = uri.rsplit_once('/').unwrap().1;
    assert!(std::net::TcpStream::connect(address).is_err(), "{address}");
}

#[test]
fn without_a_record_stages_have_what_the_user_has() {
    let p = logging(
        "stages: {one: {cmd: 'env | grep ^MLFLOW_ | sort > ~/env; echo 1 > one', outs: [one]}}\n",
    );
    let output = p.run(of_elsewhere(&mut p.command("repro --no-track")));
    assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
    let env = fs::read_to_string(p.home().join("env")).unwrap();
    assert!(
        env.contains("MLFLOW_TRACKING_URI=http://elsewhere.invalid:5000\n"),
        "{env}"
    );
    assert!(!env.contains("MLFLOW_RUN_ID"), "{env}");
}

#[test]
fn a_repro_that_runs_no_stage_starts_no_server() {
    const STARTS: &str = "stages can log";
    let p = logging("stages: {one: {cmd: 'echo 1 > one', outs: [one]}}\n");
    let first = p.ok("repro -v");
    assert!(first.stderr.contains(STARTS), "{}", first.stderr);
    let idle = p.ok("repro -v");
    assert!(!idle.stderr.contains(STARTS), "{}", idle.stderr);
    p.remove("one");
    let restored = p.ok("repro -v");
    assert!(!restored.stderr.contains(STARTS), "{}", restored.stderr);
    assert_eq!(shown(&p, "last")["stages"][0]["outcome"], "restored");
}

/// A running cvops that does not outlive the test.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        // Whoever has ended already cannot be killed.
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::KILL);
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let p = logging(
        "stages:\n  one:\n    cmd: bash log.sh loss 0.5 1 || exit 1; touch ~/logged; n=0; \
         while [ ! -e ~/go ] && [ $n -lt 1000 ]; do sleep 0.03; n=$((n+1)); done; echo 1 > one\n    \
         outs: [one]\n",
    );
    let mut command = p.command("repro --name killed");
    let mut running = Running(command.stderr(Stdio::null()).spawn().unwrap());
    let logged = p.home().join("logged");
    wait_until("the stage has logged", || logged.exists());
    // While it goes on, everybody can see it.
    let seen = || {
        let run = shown(&p, "killed");
        (run["status"].clone(), run["metrics"][""]["loss"].clone())
    };
    assert_eq!(seen(), (json!("running"), json!(0.5)));
    running.kill();
    assert_eq!(seen(), (json!("killed"), json!(0.5)));
    fs::write(p.home().join("go"), "").unwrap();
    p.ok("repro");
    assert_eq!(curve(&p, "last", "loss"), [(1, 0.5)]);
}

#[test]
fn each_trial_of_a_sweep_logs_to_its_own_run() {
    let p = logging(
        r#"stages:
  shared: {cmd: 'bash log.sh seen 0 0; echo 1 > shared', outs: [shared]}
  train:
    cmd: |
      lr=$(tr -dc 0-9 < params.yaml)
      bash log.sh seen $lr 1 || exit 1
      echo "{\"score\":$lr}" > m.json
    deps: [shared]
    params: [lr]
    metrics: [m.json: {cache: false}]
"#,
    );
    p.write("params.yaml", "lr: 1\n");
    p.ok("params sweep lr=1,2,3,4 -j 3 --metric m.json:score --name s");
    let runs = p.ok("runs list --all --json").json().remove(0);
    let mut seen = BTreeMap::new();
    for run in runs["runs"].as_array().unwrap() {
        let name = run["name"].as_str().unwrap().to_owned();
        seen.insert(name, run["metrics"][""]["seen"].clone());
    }
    for trial in 1..=4 {
        assert_eq!(seen[&format!("s-{trial}")], f64::from(trial), "{seen:?}");
    }
    assert_eq!(seen["s-shared"], 0.0, "{seen:?}");
}

#[test]
fn a_run_says_what_it_was_made_from() {
    let p = logging(
        "stages:\n  one: {cmd: 'cat raw/* words.txt > one', deps: [raw, words.txt, one.py], outs: [one]}\n  \
         two: {cmd: 'wc one raw/* > two', deps: [one, raw], outs: [two]}\n",
    );
    p.write("raw/a.txt", "a\n").write("raw/b.txt", "b\n");
    p.write("words.txt", "fig\n").write("one.py", "pass\n");
    p.git_init();
    p.write("one.py", "print(1)\n")
        .write("new.py", "print(2)\n");
    let output = p.run(p.command("repro").env("USER", "ann"));
    assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
    let run = shown(&p, "last");
    assert_eq!(run["git"]["dirty"], true);
    let tag = |name: &str| run["tags"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        tag("mlflow.source.git.commit"),
        run["git"]["commit"].as_str().unwrap()
    );
    assert_eq!(tag("mlflow.source.git.branch"), "main");
    assert_eq!(tag("mlflow.source.name"), "cvops repro");
    assert_eq!(tag("mlflow.source.type"), "PROJECT");
    assert_eq!(tag("mlflow.user"), "ann");
    assert_eq!(tag("mlflow.runName"), run["name"].as_str().unwrap());
    assert!(!tag("cvops.host").is_empty() && !tag("cvops.os").is_empty());
    let names: Vec<(&str, &str)> = run["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["name"].as_str().unwrap(), d["context"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("raw", "one"), ("words.txt", "one")]);
    let raw = &run["datasets"][0];
    assert_eq!(raw["digest"].as_str().unwrap().len(), 16);
    assert_eq!(raw["source_type"], "local");
    assert_eq!(raw["source"], r#"{"uri":"raw"}"#);
    assert_eq!(raw["profile"], r#"{"files":2,"size":4}"#);
    // The differences are among the run's files, and their bytes in the cache.
    let diff = cached(&p)
        .into_iter()
        .find(|text| text.contains("diff --git"));
    let diff = diff.expect("no differences in the cache");
    assert!(diff.contains("# not in git: new.py\n"), "{diff}");
    assert!(diff.contains("-pass\n+print(1)\n"), "{diff}");
    assert!(!diff.contains("pipeline.lock"), "{diff}");
    let text = p.ok("runs show").stdout;
    assert!(
        text.contains("ann@") && text.contains("words.txt"),
        "{text}"
    );
    assert!(!text.contains("mlflow."), "{text}");
    assert!(
        p.ok("-v runs show")
            .stdout
            .contains("mlflow.source.type=PROJECT")
    );
    // A clean tree has nothing to add.
    p.git("add --all");
    p.git("commit --quiet --message next");
    fs::remove_dir_all(p.path(".cvops/cache")).unwrap();
    p.ok("repro -f");
    assert!(!cached(&p).iter().any(|text| text.contains("diff --git")));
}

/// Returns the texts of all objects in the cache.
fn cached(p: &Project) -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![p.path(".cvops/cache")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.extend(fs::read_to_string(path));
            }
        }
    }
    texts
}

#[test]
fn mlflows_own_client_needs_no_set_up() {
    let Some(python) = std::env::var_os("CVOPS_TEST_MLFLOW") else {
        eprintln!("the real client: skipped, CVOPS_TEST_MLFLOW names no Python with mlflow");
        return;
    };
    let p = logging(
        "stages:\n  train: {cmd: '$PYTHON train.py', deps: [train.py], outs: [model.txt]}\n  \
         fails: {cmd: '$PYTHON fails.py', deps: [model.txt, fails.py], outs: [never]}\n",
    );
    p.write(
        "train.py",
        "import mlflow\n\
         for step in range(3):\n    mlflow.log_metric('loss', 1 / (step + 1), step=step)\n\
         mlflow.log_params({'optimiser': 'sgd', 'layers': 3})\n\
         mlflow.set_tag('colour', 'blue')\n\
         open('model.txt', 'w').write('weights')\n\
         mlflow.log_artifact('model.txt', 'model')\n\
         run = mlflow.active_run().info\n\
         names = [f.path for f in mlflow.MlflowClient().list_artifacts(run.run_id, 'model')]\n\
         assert names == ['model/model.txt'], names\n",
    );
    p.write(
        "fails.py",
        "import mlflow\n\
         with mlflow.start_run() as run:\n    mlflow.log_metric('half', 0.5)\n\
         with mlflow.start_run(run_name='child', nested=True) as child:\n    mlflow.log_metric('x', 1)\n\
         raise SystemExit(1)\n",
    );
    let python: OsString = python;
    let output = p.run(
        p.command("repro --experiment real")
            .env("PYTHON", &python)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("GIT_PYTHON_REFRESH", "quiet"),
    );
    assert_eq!(output.exit, Exit::Code(1), "{}", output.transcript());
    let runs = p.ok("runs list --all --json").json().remove(0);
    let runs = runs["runs"].as_array().unwrap();
    let own = runs
        .iter()
        .find(|run| run["stages"][0].is_object())
        .unwrap();
    let run = shown(&p, own["id"].as_str().unwrap());
    assert_eq!(run["status"], "failed");
    // The machine's metrics stand beside them: the client takes longer to start than the first sample.
    let mut metrics = run["metrics"][""].clone();
    let logged = metrics.as_object_mut().unwrap();
    logged.retain(|name, _| !name.starts_with("system/"));
    assert_eq!(metrics, json!({"loss": 1.0 / 3.0, "half": 0.5}));
    assert_eq!(
        run["params"][""],
        json!({"optimiser": "sgd", "layers": "3"})
    );
    assert_eq!(run["tags"]["colour"], "blue");
    assert_eq!(runs.len(), 2);
}

/// Trainings log each epoch while they go on.
#[cfg(feature = "vision")]
mod train {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;
    use crate::support::pictures::prepared_project;

    /// Answers requests with 200 and hands on their bodies.
    fn server() -> (String, mpsc::Receiver<Value>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let (tell, bodies) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                let body = loop {
                    let count = stream.read(&mut buffer).unwrap();
                    text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                    let whole = text.split_once("\r\n\r\n");
                    match whole.and_then(|(_, body)| serde_json::from_str(body).ok()) {
                        Some(body) => break body,
                        None if count == 0 => return,
                        None => {}
                    }
                };
                let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                stream.write_all(answer.as_bytes()).unwrap();
                if tell.send(body).is_err() {
                    return;
                }
            }
        });
        (uri, bodies)
    }

    #[test]
    fn figures_of_epochs_go_to_the_run_that_the_environment_names() {
        let p = prepared_project();
        let (uri, bodies) = server();
        let mut command = p.command("train");
        command
            .env("MLFLOW_TRACKING_URI", &uri)
            .env("MLFLOW_RUN_ID", "r1");
        let output = p.run(&mut command);
        assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
        let mut logged = Vec::new();
        for body in bodies.try_iter() {
            assert_eq!(body["run_id"], "r1");
            logged.extend(body["metrics"].as_array().unwrap().clone());
        }
        let losses = logged.iter().filter(|m| m["key"] == "train_loss");
        let losses: Vec<(i64, f64)> = losses
            .map(|m| (m["step"].as_i64().unwrap(), m["value"].as_f64().unwrap()))
            .collect();
        let history = p.read("reports/train.jsonl");
        let expected: Vec<(i64, f64)> = history
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|row| {
                (
                    row["epoch"].as_i64().unwrap(),
                    row["train_loss"].as_f64().unwrap(),
                )
            })
            .collect();
        assert_eq!(losses, expected);
    }

    #[test]
    fn a_server_that_is_not_there_costs_a_warning() {
        let p = prepared_project();
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for (uri, why) in [
            (format!("http://{free}"), "did not answer"),
            ("databricks".to_owned(), "is no `http://` address"),
        ] {
            let mut command = p.command("train");
            command
                .env("MLFLOW_TRACKING_URI", &uri)
                .env("MLFLOW_RUN_ID", "r1");
            let output = p.run(&mut command);
            assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
            assert_eq!(
                output.stderr.matches("warning").count(),
                1,
                "{}",
                output.stderr
            );
            assert!(output.stderr.contains(why), "{}", output.stderr);
        }
    }

    #[test]
    fn the_history_takes_the_place_of_what_was_logged_live() {
        let p = prepared_project();
        p.write(
            "pipeline.yaml",
            "stages:\n  train:\n    cmd: cvops train\n    deps: [data/prepared]\n    \
             params: [model, train]\n    outs: [models/classifier]\n    \
             plots: [reports/train.jsonl]\n",
        );
        p.ok("repro");
        let run = shown(&p, "last");
        let metrics = &run["metrics"];
        let all = metrics.as_object().unwrap();
        assert_eq!(
            all.keys().collect::<Vec<_>>(),
            ["reports/train.jsonl"],
            "{metrics}"
        );
        assert_eq!(curve(&p, "last", "train_loss").len(), 3);
    }
}
