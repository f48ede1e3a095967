//! A run's pages: what is recorded of it, changes by forms, files of all kinds, hostile names.

use serde_json::{Value, json};

use crate::support::client::{Answer, Server};
use crate::support::{Project, project};

/// A picture of 4 x 4 pixels.
pub(super) const PNG: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x04\x00\x00\
    \x00\x04\x08\x02\x00\x00\x00\x26\x93\x09\x29\x00\x00\x00\x29\x49\x44\x41\x54\x78\xda\x0d\
    \xc7\x31\x01\x00\x00\x0c\xc2\x30\x94\xa0\x04\x25\x55\x52\xf9\x5b\xbe\x24\xb1\x71\x91\x98\
    \xd4\xd6\x55\xfa\x99\x9d\x9b\xec\x83\xc5\x21\x78\x2b\x53\x0d\x21\x59\x54\x09\x87\x00\x00\
    \x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

/// Names that want to be more than text.
const HOSTILE: [&str; 3] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "\u{202e}gnp.exe\u{2066}",
];

/// A project whose server has one experiment with runs of clients.
pub(super) struct Tracked {
    pub(super) server: Server,
    _project: Project,
}

impl Tracked {
    pub(super) fn new() -> Self {
        let project = project();
        project.ok("init");
        Self {
            server: project.ui(""),
            _project: project,
        }
    }

    #[track_caller]
    pub(super) fn call(&self, path: &str, body: &Value) -> Value {
        let path = format!("/api/2.0/mlflow/{path}");
        let answer = self
            .server
            .post(&path, "application/json", body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    #[track_caller]
    pub(super) fn run(&self, name: &str) -> String {
        let body =
            json!({"experiment_id": "0", "run_name": name, "start_time": 1_700_000_000_000_i64});
        let run = &self.call("runs/create", &body)["run"]["info"]["run_id"];
        run.as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn metric(&self, run: &str, key: &str, step: i64, value: f64) {
        let at = 1_700_000_000_000 + step * 1000;
        self.call(
            "runs/log-metric",
            &json!({"run_id": run, "key": key, "value": value, "timestamp": at, "step": step}),
        );
    }

    #[track_caller]
    pub(super) fn param(&self, run: &str, key: &str, value: &str) {
        self.call(
            "runs/log-parameter",
            &json!({"run_id": run, "key": key, "value": value}),
        );
    }

    #[track_caller]
    pub(super) fn tag(&self, run: &str, key: &str, value: &str) {
        self.call(
            "runs/set-tag",
            &json!({"run_id": run, "key": key, "value": value}),
        );
    }

    #[track_caller]
    pub(super) fn finish(&self, run: &str) {
        self.call(
            "runs/update",
            &json!({"run_id": run, "status": "FINISHED", "end_time": 1_700_000_060_000_i64}),
        );
    }

    #[track_caller]
    pub(super) fn file(&self, run: &str, path: &str, bytes: &[u8]) {
        let path = percent(path);
        let answer = self.server.send(
            &format!("PUT /api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path}"),
            "",
            bytes,
        );
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    #[track_caller]
    pub(super) fn page(&self, path: &str) -> String {
        let answer = self.server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    fn form(&self, path: &str, body: &str) -> Answer {
        self.server
            .post(path, "application/x-www-form-urlencoded", body)
    }

    /// Sends a form and returns the page that it leads to.
    #[track_caller]
    fn change(&self, path: &str, body: &str) -> String {
        let answer = self.form(path, body);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        let to = answer.header("location").unwrap().to_owned();
        self.page(&to)
    }
}

/// Escapes a path but for its slashes.
pub(super) fn percent(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[test]
fn a_run_shows_what_is_recorded_of_it() {
    let t = Tracked::new();
    let parent = t.run("sweep");
    let run = t.run("calm-otter");
    t.tag(&run, "mlflow.parentRunId", &parent);
    t.tag(&run, "mlflow.source.git.commit", "0123456789abcdef0123");
    t.tag(&run, "mlflow.source.name", "train.py");
    t.tag(&run, "team", "vision");
    t.param(&run, "lr", "0.01");
    for step in 0..5 {
        t.metric(
            &run,
            "val_loss",
            step,
            1.0 / f64::from(u8::try_from(step).unwrap() + 1),
        );
    }
    t.metric(&run, "system/cpu_utilization_percentage", 0, 12.5);
    t.metric(&run, "system/cpu_utilization_percentage", 1, 25.0);
    t.call(
        "runs/log-inputs",
        &json!({"run_id": run, "datasets": [{
            "dataset": {"name": "clothes", "digest": "abcd1234", "source_type": "local", "source": "data/raw", "profile": "{\"rows\": 5000}"},
            "tags": [{"key": "mlflow.data.context", "value": "training"}]}]}),
    );
    t.finish(&run);
    let page = t.page(&format!("/runs/{run}"));
    for fact in [
        "calm-otter",
        "finished",
        "1 m 00 s",
        "<dt>Part of</dt>",
        "sweep",
        "0123456789",
        "train.py",
        "team",
        "vision",
        "lr",
        "0.01",
        "val_loss",
        "0.2",
        "5 values, from 1 to 0.2",
        "clothes",
        "abcd1234",
        "training",
        "data/raw",
        "{&#34;rows&#34;: 5000}",
    ] {
        let quoted = fact.replace("&#34;", "&quot;");
        assert!(
            page.contains(fact) || page.contains(&quoted),
            "no `{fact}` in\n{page}"
        );
    }
    assert!(!page.contains("system/cpu"), "{page}");
    let of_parent = t.page(&format!("/runs/{parent}"));
    assert!(of_parent.contains("Parts of this run") && of_parent.contains("calm-otter"));
    assert!(of_parent.contains("data-live"), "it goes on");

    let metrics = t.page(&format!("/runs/{run}/metrics"));
    assert!(
        metrics.contains("data-chart=\"/ajax-api/cvops/series?run="),
        "{metrics}"
    );
    assert!(
        metrics.contains("<svg") && metrics.contains(">System metrics</h2>"),
        "{metrics}"
    );

    let params = t
        .server
        .get(&format!("/runs/{run}?format=json&table=params"));
    assert_eq!(params.json(), json!([{"param": "lr", "value": "0.01"}]));
    let csv = t.page(&format!(
        "/runs/{run}/metrics?format=csv&table=history&metric=val_loss"
    ));
    assert_eq!(csv.lines().count(), 6, "{csv}");
    assert!(csv.contains("val_loss,4,2023-11-14T22:13:24Z,0.2"), "{csv}");
    assert_eq!(
        t.server
            .get(&format!("/runs/{run}/metrics?metric=none"))
            .status,
        404
    );
    assert_eq!(t.server.get("/runs/7").status, 404);
    assert_eq!(
        t.server.get(&format!("/runs/{}", "0".repeat(32))).status,
        404
    );
    assert_eq!(t.server.get(&format!("/runs/{run}?diff=x")).status, 404);
}

#[test]
fn a_run_is_compared_with_the_one_before() {
    let t = Tracked::new();
    let first = t.run("first");
    t.param(&first, "lr", "0.1");
    t.param(&first, "seed", "1");
    t.metric(&first, "acc", 0, 0.5);
    t.finish(&first);
    let second = t.run("second");
    t.param(&second, "lr", "0.2");
    t.param(&second, "seed", "1");
    t.metric(&second, "acc", 0, 0.75);
    let page = t.page(&format!("/runs/{second}"));
    let difference = &page[page.find("id=\"difference\"").unwrap()..];
    assert!(
        difference.contains("first") && difference.contains("+0.25"),
        "{difference}"
    );
    let params = t.server.get(&format!(
        "/runs/{second}?diff={first}&format=json&table=diff-params"
    ));
    assert_eq!(
        params.json(),
        json!([{"name": "lr", "other": "0.1", "this": "0.2"}])
    );
    let none = t.page(&format!("/runs/{first}"));
    assert!(
        none.contains("No run of this experiment finished before"),
        "{none}"
    );
}

#[test]
fn a_picture_that_was_written_again_is_shown_anew() {
    let t = Tracked::new();
    let run = t.run("a");
    let line = format!("GET /runs/{run}/file/plot.png");
    let ask = |headers: &str| {
        let answer = t.server.send(&line, headers, b"");
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let tag = answer.header("etag").unwrap().to_owned();
        (answer.status, answer.body.len(), tag)
    };
    t.file(&run, "plot.png", PNG);
    let (status, length, tag) = ask("");
    assert_eq!((status, length), (200, PNG.len()));
    let known = format!("If-None-Match: W/\"x\", {tag}\r\n");
    assert_eq!(ask(&known), (304, 0, tag));
    t.file(&run, "plot.png", &[PNG, b"again"].concat());
    let (status, length, _) = ask(&known);
    assert_eq!((status, length), (200, PNG.len() + 5));
}

#[test]
fn notes_are_not_lost_to_others() {
    let t = Tracked::new();
    let run = t.run("a");
    let path = format!("/runs/{run}/note");
    let began = |text: &str| {
        let rest = text.split("name=\"began\" value=\"").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let first = began(&t.page(&format!("/runs/{run}")));
    t.tag(&run, "mlflow.note.content", "of a client");
    let preview = t
        .form(&path, &format!("note=mine&preview=1&began={first}"))
        .text();
    assert_eq!(began(&preview), first);
    let late = t.form(&path, &format!("note=mine&began={first}"));
    assert_eq!(late.status, 409);
    let late = late.text();
    assert!(
        late.contains("\nof a client</textarea>") && late.contains("\nmine</textarea>"),
        "{late}"
    );
    assert!(
        t.page(&format!("/runs/{run}"))
            .contains("<p>of a client</p>")
    );
    let saved = t.change(&path, &format!("note=mine&began={}", began(&late)));
    assert!(saved.contains("<p>mine</p>"), "{saved}");
}

#[test]
fn forms_change_a_run() {
    let t = Tracked::new();
    let run = t.run("old");
    let at = |what: &str| format!("/runs/{run}/{what}");
    assert!(
        t.change(&at("name"), "name=new+name")
            .contains("<bdi>new name</bdi>")
    );
    assert!(
        t.change(&at("tag"), "key=team&value=a%3Cb")
            .contains("<bdi>a&#60;b</bdi>")
    );
    assert!(!t.change(&at("untag"), "key=team").contains(">team<"));
    let noted = t.change(
        &at("note"),
        "note=%23+Title%0D%0A%0D%0A*yes*+%3Cscript%3Ealert(1)%3C%2Fscript%3E+[x](javascript:1)",
    );
    assert!(
        noted.contains("<h3>Title</h3>") && noted.contains("<em>yes</em>"),
        "{noted}"
    );
    assert!(
        !noted.contains("<script>alert") && !noted.contains("javascript:1\""),
        "{noted}"
    );
    let preview = t.form(&at("note"), "note=**other**&preview=1");
    assert_eq!(preview.status, 200);
    assert!(preview.text().contains("<strong>other</strong>"));
    assert!(
        !t.page(&format!("/runs/{run}")).contains("<strong>other"),
        "nothing was saved"
    );
    let deleted = t.change(&at("delete"), "");
    assert!(deleted.contains("This run is deleted") && deleted.contains("cvops runs restore"));
    assert_eq!(
        t.form(&at("tag"), "key=a&value=b").status,
        400,
        "it is deleted"
    );
    assert!(!t.change(&at("restore"), "").contains("This run is deleted"));
    assert_eq!(t.form(&at("tag"), "value=b").status, 400);
    for of_programs in ["mlflow.user", "cvops.promoted.champion"] {
        let pair = format!("key={of_programs}&value=b");
        assert_eq!(t.form(&at("tag"), &pair).status, 400);
        assert_eq!(t.form(&at("untag"), &pair).status, 400);
        for action in ["tag", "untag"] {
            let several = format!("run={run}&action={action}&{pair}");
            assert_eq!(t.form("/runs/change", &several).status, 400);
        }
    }
    assert_eq!(t.server.get(&at("live?log=x")).status, 400);
    assert_eq!(t.form(&at("name"), "name=+").status, 400);
    assert_eq!(t.server.get(&at("delete")).status, 405);
    // Another site's page may send forms here, but none is taken.
    let crossed = t.server.send(
        &format!("POST {}", at("delete")),
        "Origin: https://evil.example\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        b"x=1",
    );
    assert_eq!(crossed.status, 403);
}

#[test]
fn a_model_is_registered_from_its_run() {
    let t = Tracked::new();
    let run = t.run("trained");
    t.file(&run, "models/classifier/model.json", b"{}");
    let page = t.page(&format!("/runs/{run}"));
    assert!(page.contains("models/classifier"), "{page}");
    let source = format!("mlflow-artifacts%3A%2F0%2F{run}%2Fartifacts%2Fmodels%2Fclassifier");
    let answer = t.form(
        &format!("/runs/{run}/register"),
        &format!("source={source}&name=clothes&alias=champion"),
    );
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/models/clothes/1"));
    let page = t.page(&format!("/runs/{run}"));
    assert!(page.contains("clothes version 1"), "{page}");
    let note = |version: u32| {
        let path = format!("model-versions/get?name=clothes&version={version}");
        let answer = t.server.get(&format!("/api/2.0/mlflow/{path}")).text();
        answer.contains("cvops.promoted.champion")
    };
    assert!(note(1), "a promotion is noted");
    // A second one does not take the alias from the first: that is decided on the next page.
    let answer = t.form(
        &format!("/runs/{run}/register"),
        &format!("source={source}&name=clothes&alias=champion"),
    );
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/models/clothes/2/promote?alias=champion"))
    );
    assert!(!note(2));
    let asked = t.page("/models/clothes/2/promote?alias=champion");
    assert!(asked.contains("name=\"holder\" value=\"1\""), "{asked}");
    let wrong = t.form(&format!("/runs/{run}/register"), "source=x&name=");
    assert_eq!(wrong.status, 400);
}

#[test]
fn a_file_is_shown_as_what_it_is() {
    let t = Tracked::new();
    let run = t.run("files");
    let html = b"<html><script>document.title='run'</script></html>";
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    for (path, bytes) in [
        ("plot.png", PNG),
        ("page.html", html),
        ("draw.svg", svg),
        ("notes.md", b"# Hi\n<script>alert(1)</script>"),
        ("table.csv", b"a,b\n1,<b>x</b>\n2,y\n"),
        ("rows.jsonl", b"{\"k\": 1, \"name\": \"n1\"}\n{\"k\": 2}\n"),
        ("conf.json", b"{\"a\":[1,2]}"),
        (
            "mlflow.json",
            b"{\"columns\":[\"in\",\"out\"],\"data\":[[\"q\",1],[\"r\",2]]}",
        ),
        ("deep/er/x.py", b"import os\nprint('<b>')\n"),
        ("model.bin", b"\0\x01\x02PK"),
        ("fake.png", b"<script>alert(1)</script>"),
        (
            "logs/train.log",
            b"\x1b[1mepoch\x1b[0m 1\r50%\r100%\n<script>alert(1)</script>\n",
        ),
    ] {
        t.file(&run, path, bytes);
    }
    let page = |path: &str| t.page(&format!("/runs/{run}/artifacts/{path}"));
    let top = t.page(&format!("/runs/{run}/artifacts"));
    assert!(top.contains("deep/") && top.contains("plot.png"), "{top}");
    assert!(page("plot.png").contains(&format!("src=\"/runs/{run}/file/plot.png\"")));
    let framed = page("page.html");
    assert!(
        framed.contains("sandbox=\"\"") && !framed.contains("document.title"),
        "{framed}"
    );
    assert!(page("draw.svg").contains("<img"));
    assert!(page("notes.md").contains("<h3>Hi</h3>"));
    let table = page("table.csv");
    assert!(
        table.contains("&#60;b&#62;x&#60;/b&#62;") && table.contains(">a</th>"),
        "{table}"
    );
    assert!(page("rows.jsonl").contains(">name</th>"));
    assert!(page("conf.json").contains("class=\"line\">  &#34;a&#34;: ["));
    assert!(page("mlflow.json").contains(">out</th>"));
    assert!(page("deep/er/x.py").contains("print(&#39;&#60;b&#62;&#39;)"));
    assert!(page("model.bin").contains("00 01 02 50 4b"));
    let log = page("logs/train.log");
    assert!(
        log.contains(">100%") && !log.contains('\u{1b}') && !log.contains("<script>alert"),
        "{log}"
    );
    assert!(t.page(&format!("/runs/{run}/log")).contains(">100%"));
    for path in [
        "plot.png",
        "page.html",
        "draw.svg",
        "fake.png",
        "model.bin",
        "logs/train.log",
    ] {
        assert!(!page(path).contains("<script>alert"), "{path}");
    }

    let file = |path: &str| t.server.get(&format!("/runs/{run}/file/{path}"));
    assert_eq!(file("plot.png").header("content-type"), Some("image/png"));
    assert_eq!(file("plot.png").body, PNG);
    for (path, kind) in [
        ("page.html", "text/html; charset=utf-8"),
        ("draw.svg", "image/svg+xml"),
    ] {
        let foreign = file(path);
        assert_eq!(foreign.header("content-type"), Some(kind));
        let policy = foreign.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("sandbox; default-src 'none'"),
            "{policy}"
        );
    }
    // What a name says makes nothing a picture.
    assert_eq!(file("fake.png").status, 400);
    assert_eq!(file("model.bin").status, 400);
    assert_eq!(file("none.png").status, 404);
    for path in ["../x", "%2e%2e/x", "a//b", "..%2f..%2fetc%2fpasswd"] {
        let answer = file(path);
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
        let answer = t.server.get(&format!("/runs/{run}/artifacts/{path}"));
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
    }
}

#[test]
fn a_long_file_is_cut_and_says_so() {
    let t = Tracked::new();
    let run = t.run("long");
    let lines: Vec<String> = (0..9000).map(|n| format!("line {n}\n")).collect();
    t.file(&run, "logs/train.log", lines.concat().as_bytes());
    t.file(
        &run,
        "long.csv",
        format!("a\n{}", "1\n".repeat(900)).as_bytes(),
    );
    t.file(
        &run,
        "huge.json",
        format!("[{}1]", "1,".repeat(700_000)).as_bytes(),
    );
    let log = t.page(&format!("/runs/{run}/log"));
    assert!(
        log.contains("The last 2000 lines") && log.contains("line 8999"),
        "the end is shown"
    );
    assert!(!log.contains("line 6999\n") && log.contains("line 7000\n"));
    let page = t.page(&format!("/runs/{run}/artifacts/long.csv"));
    assert!(page.contains("Only the first rows"), "{page}");
    let page = t.page(&format!("/runs/{run}/artifacts/huge.json"));
    assert!(page.contains("Only the beginning"), "it is cut");
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn hostile_names_stay_text() {
    let t = Tracked::new();
    let long = "x".repeat(490);
    for name in HOSTILE.into_iter().chain([long.as_str()]) {
        let run = t.run(name);
        t.tag(&run, "weird", name);
        t.tag(&run, "mlflow.note.content", name);
        t.param(&run, "p", name);
        t.file(
            &run,
            &format!("f {name}.txt").replace('/', "_"),
            name.as_bytes(),
        );
        for part in ["", "/metrics", "/artifacts", "/images", "/log"] {
            let page = t.page(&format!("/runs/{run}{part}"));
            assert!(
                !page.contains("<script>alert") && !page.contains("<img src=x"),
                "{part}: {page}"
            );
        }
    }
}

#[test]
fn a_long_history_is_written_as_it_is_read() {
    const POINTS: i64 = 12_000;
    let t = Tracked::new();
    let run = t.run("long");
    for from in (0..POINTS).step_by(1000) {
        let points: Vec<Value> = (from..from + 1000)
            .map(|step| json!({"key": "loss", "value": 0.5, "step": step, "timestamp": step}))
            .collect();
        t.call("runs/log-batch", &json!({"run_id": run, "metrics": points}));
    }
    t.metric(&run, "accuracy", 0, f64::from(1));
    t.metric(&run, "val", 7, 0.25);
    let path = format!("/runs/{run}/metrics?table=history");
    let csv = t.server.get(&format!("{path}&format=csv"));
    assert_eq!(csv.header("transfer-encoding"), Some("chunked"));
    let text = csv.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 12_003);
    assert_eq!(lines[0], "metric,step,time,value");
    assert!(lines[1].starts_with("accuracy,0,"), "{}", lines[1]);
    assert!(lines[12_002].starts_with("val,7,"), "{}", lines[12_002]);
    let is_next = |(step, line): (i64, &&str)| line.starts_with(&format!("loss,{step},"));
    assert!((0..POINTS).zip(&lines[2..]).all(is_next));
    let json = t.server.get(&format!("{path}&format=json")).json();
    assert_eq!(json.as_array().unwrap().len(), 12_002);
    assert_eq!(json[12_001]["metric"], "val");
    let zipped = t.server.send(
        &format!("GET {path}&format=csv"),
        "Accept-Encoding: gzip\r\n",
        b"",
    );
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(zipped.body.len() < text.len() / 4);
    let one = t.page(&format!("{path}&format=csv&metric=val"));
    assert_eq!(one.lines().count(), 2, "{one}");
    let gone = t
        .server
        .get("/runs/00000000000000000000000000000000/metrics?format=csv&table=history");
    assert_eq!(gone.status, 404);
}
