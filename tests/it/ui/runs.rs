//! The runs page: filters and what is wrong with them, columns, order, pages, groups, files, changes.

use serde_json::{Value, json};

use crate::support::client::{Answer, Server};
use crate::support::{Project, project};

const FORM: &str = "application/x-www-form-urlencoded";

struct World {
    _project: Project,
    server: Server,
}

impl World {
    fn new() -> Self {
        let project = project();
        project.ok("init");
        let server = project.ui("");
        Self {
            _project: project,
            server,
        }
    }

    #[track_caller]
    fn api(&self, path: &str, body: &Value) -> Value {
        let answer = self.server.post(
            &format!("/api/2.0/mlflow/{path}"),
            "application/json",
            body.to_string(),
        );
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Records a run; returns its id.
    fn run(
        &self,
        name: &str,
        started_ms: i64,
        params: &[(&str, &str)],
        metrics: &[(&str, f64)],
    ) -> String {
        let made = self.api(
            "runs/create",
            &json!({ "experiment_id": "0", "run_name": name, "start_time": started_ms }),
        );
        let id = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let params: Vec<Value> = params
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        let metrics: Vec<Value> = metrics
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value, "timestamp": started_ms, "step": 3 }))
            .collect();
        self.api(
            "runs/log-batch",
            &json!({ "run_id": id, "params": params, "metrics": metrics }),
        );
        self.api(
            "runs/update",
            &json!({ "run_id": id, "status": "FINISHED", "end_time": started_ms + 1500 }),
        );
        id
    }

    #[track_caller]
    fn page(&self, query: &str) -> String {
        let answer = self.server.get(&format!("/runs?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.text()
    }

    /// The names of the runs that a page shows, in order.
    #[track_caller]
    fn names(&self, query: &str) -> String {
        let page = self.page(query);
        let rows = page.split("name=\"run\" value=").skip(1);
        let names = rows.map(|row| {
            let label = row.split("aria-label=\"Select ").nth(1).unwrap_or_default();
            label.split('"').next().unwrap_or_default().to_owned()
        });
        names.collect::<Vec<_>>().join(" ")
    }
}

fn seeds() -> (World, Vec<String>) {
    let world = World::new();
    let mut ids = Vec::new();
    for (n, (lr, accuracy)) in [
        ("0.1", 0.5),
        ("0.1", 0.7),
        ("0.01", 0.9),
        ("0.01", 0.8),
        ("0.01", 0.85),
    ]
    .into_iter()
    .enumerate()
    {
        let at = 1_700_000_000_000 + n as i64 * 1000;
        let params = [("lr", lr), ("model", "cnn"), ("seed", &n.to_string())];
        ids.push(world.run(
            &format!("r{n}"),
            at,
            &params,
            &[("accuracy", accuracy), ("val loss", 1.0 - accuracy)],
        ));
    }
    (world, ids)
}

#[test]
fn runs_are_filtered_and_ordered() {
    let (world, _) = seeds();
    assert_eq!(world.names(""), "r4 r3 r2 r1 r0");
    assert_eq!(world.names("filter=metrics.accuracy+%3E+0.75"), "r4 r3 r2");
    assert_eq!(world.names("order=metrics.accuracy+DESC"), "r2 r4 r3 r1 r0");
    assert_eq!(
        world.names("order=metrics.%60val+loss%60+DESC&filter=params.lr+%3D+%270.01%27"),
        "r3 r4 r2"
    );
    let page = world.page("order=metrics.accuracy+DESC");
    assert!(page.contains("5 runs"), "{page}");
    assert!(page.contains("aria-sort=\"descending\""), "{page}");
    // A click on the heading turns the order round, another one ends it.
    assert!(
        page.contains("href=\"/runs?order=metrics.accuracy&#38;")
            || page.contains("order=metrics.accuracy+ASC"),
        "{page}"
    );
    assert_eq!(
        world.names("experiment=Default&filter=params.lr+%3D+%27x%27"),
        ""
    );
    assert!(
        world
            .page("filter=params.lr+%3D+%27x%27")
            .contains("No run passes this filter")
    );
}

#[test]
fn a_wrong_filter_is_pointed_at() {
    let (world, _) = seeds();
    let page = world.page("filter=metrics.accuracy+%3E+0.5+AND+parms.lr+%3D+%27x%27");
    assert!(
        page.contains("<span class=\"there\">parms.lr</span>"),
        "{page}"
    );
    let caret = format!(
        "{}^^^^^^^^",
        " ".repeat("metrics.accuracy > 0.5 AND ".len())
    );
    assert!(page.contains(&caret), "{page}");
    assert!(
        page.contains("Invalid entity type") && page.contains("Expected a name"),
        "{page}"
    );
    assert!(page.contains("aria-invalid=\"true\""), "{page}");
    // What was written is still there to be mended.
    assert!(
        page.contains("value=\"metrics.accuracy &#62; 0.5 AND parms.lr"),
        "{page}"
    );
    for bad in [
        "metrics.accuracy+%3E",
        "params.lr+%3D+%27",
        "%27%3Cscript%3E",
        "a+OR+b",
        "%00",
    ] {
        let page = world.page(&format!("filter={bad}"));
        assert!(page.contains("id=\"filter-problem\""), "{bad}: {page}");
        assert!(
            !page.contains("<script>") && !page.contains("SELECT"),
            "{bad}: {page}"
        );
        let file = world.server.get(&format!("/runs?format=csv&filter={bad}"));
        assert_eq!(file.status, 400, "{bad}");
    }
    assert!(
        world
            .page("order=nothing")
            .contains("Invalid attribute key")
    );
    for refused in ["view=x", "format=xml", "after=x", "offset=-1", "limit=x"] {
        assert_eq!(
            world.server.get(&format!("/runs?{refused}")).status,
            400,
            "{refused}"
        );
    }
    assert_eq!(world.server.get("/runs?experiment=none").status, 404);
}

#[test]
fn columns_are_those_of_the_url_in_its_order() {
    let (world, _) = seeds();
    let heads = |query: &str| {
        let page = world.page(query);
        let heads = page.split("<th scope=\"col\"").skip(1).map(|head| {
            let text = head.split("</th>").next().unwrap_or_default();
            let text = text.split_once('>').map_or("", |(_, text)| text);
            let text = text.split("</a>").next().unwrap_or_default();
            text.rsplit('>').next().unwrap_or_default().to_owned()
        });
        heads.collect::<Vec<_>>().join(", ")
    };
    // What tells runs apart comes first: the model is the same in all.
    assert_eq!(
        heads(""),
        "Select, Run, State, Started, Took, accuracy, val loss, lr, seed, model, User, Commit"
    );
    assert_eq!(
        heads("column=params.lr&column=metrics.none&column=status&column=nonsense"),
        "Select, Run, lr, none, State"
    );
    let page = world.page("column=metrics.accuracy&column=duration");
    assert!(page.contains(">0.85") && page.contains(">1.5 s"), "{page}");
}

#[test]
fn pages_follow_one_another_both_ways() {
    let world = World::new();
    for n in 0..7 {
        world.run(&format!("r{n}"), 1_700_000_000_000 + n, &[], &[]);
    }
    let link = |page: &str, rel: &str| {
        let before = page.split(&format!("\" rel=\"{rel}\"")).next()?;
        page.contains(&format!("rel=\"{rel}\"")).then(|| {
            let href = before.rsplit("href=\"/runs?").next().unwrap_or_default();
            href.replace("&#38;", "&")
        })
    };
    // A link of a page leads to as many rows as usual.
    let first = world.page("limit=3");
    assert_eq!(link(&first, "prev"), None);
    let next = link(&first, "next").unwrap();
    assert_eq!(world.names(&format!("{next}&limit=3")), "r3 r2 r1");
    let second = world.page(&format!("{next}&limit=3"));
    let back = link(&second, "prev").unwrap();
    assert_eq!(world.names(&format!("{back}&limit=3")), "r6 r5 r4");
    assert_eq!(world.names("before=end&limit=2"), "r1 r0");
    // As the table fetches them.
    let rows = world
        .server
        .get("/ajax-api/cvops/runs?offset=2&limit=2&count=1&column=status")
        .json();
    assert_eq!(
        (&rows["rows"][0]["name"], &rows["total"]),
        (&json!("r4"), &json!(7))
    );
    assert_eq!(
        rows["rows"][0]["cells"][1],
        json!({ "text": "finished", "tone": "good", "mark": "✓" })
    );
    let next = rows["next"].as_str().unwrap();
    let rows = world
        .server
        .get(&format!("/ajax-api/cvops/runs?after={next}&limit=2"))
        .json();
    assert_eq!(rows["rows"][0]["name"], json!("r2"));
}

#[test]
fn groups_show_the_spread_of_their_metrics() {
    let (world, ids) = seeds();
    let page = world.page("group=params.lr&column=metrics.accuracy");
    assert!(page.contains("2 groups"), "{page}");
    assert!(page.contains("0.85 ± 0.05"), "{page}");
    assert!(page.contains("0.6 ± 0.14"), "{page}");
    // The best run of the group.
    assert!(
        page.contains(&format!("href=\"/runs/{}\">0.9</a>", ids[2])),
        "{page}"
    );
    assert!(page.contains("filter=params.lr+%3D+%270.01%27"), "{page}");
    let groups = world
        .server
        .get("/runs?group=params.lr&column=metrics.accuracy&format=json")
        .json();
    assert_eq!(groups[0]["params.lr"], json!("0.01"));
    assert_eq!(groups[0]["runs"], json!("3"));
    assert!((groups[0]["metrics.accuracy.mean"].as_f64().unwrap() - 0.85).abs() < 1e-12);
    assert_eq!(world.names("filter=params.lr+%3D+%270.01%27"), "r4 r3 r2");
}

#[test]
fn files_have_all_runs_and_whole_texts() {
    let (world, ids) = seeds();
    let long = "x".repeat(400);
    world.api(
        "runs/set-tag",
        &json!({ "run_id": ids[0], "key": "note", "value": long }),
    );
    let page = world.page("column=tags.note");
    assert!(!page.contains(&long) && page.contains("x…"), "{page}");
    let csv = world
        .server
        .get("/runs?format=csv&limit=2&column=tags.note&column=metrics.accuracy");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = csv.text();
    assert!(
        text.starts_with("run_id,run_name,tags.note,metrics.accuracy\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 6);
    assert!(
        text.contains(&format!("{},r0,{long},0.5", ids[0])),
        "{text}"
    );
    let some = world
        .server
        .get(&format!(
            "/runs?format=json&column=metrics.accuracy&run={}",
            ids[2]
        ))
        .json();
    assert_eq!(
        some,
        json!([{ "run_id": ids[2], "run_name": "r2", "metrics.accuracy": 0.9 }])
    );
}

#[test]
fn a_file_has_every_run_that_passes_the_filter_and_the_page_says_so() {
    let world = World::new();
    let names: Vec<String> = (0..230).map(|n| format!("=r{n}")).collect();
    for (at, name) in (0..).zip(&names) {
        world.api(
            "runs/create",
            &json!({ "experiment_id": "0", "run_name": name, "start_time": 1000 - at }),
        );
    }
    // With many columns few rows are read at once; one that is named twice is one.
    let columns: Vec<String> = (0..198).map(|n| format!("&column=params.p{n}")).collect();
    let columns = format!("{}&column=params.p0&column=run_id", columns.concat());
    let path = format!("/runs?limit=20&filter=attributes.run_name%20LIKE%20'=r%25'{columns}");
    let csv = world.server.get(&format!("{path}&format=csv"));
    assert_eq!(csv.header("transfer-encoding"), Some("chunked"));
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let saved = csv.header("content-disposition");
    assert_eq!(saved, Some("attachment; filename=\"runs.csv\""));
    let text = csv.text();
    let mut lines = text.lines();
    let heading = lines.next().unwrap();
    assert!(heading.starts_with("run_id,run_name,params.p0,params.p1,"));
    assert!(heading.ends_with(",params.p197"), "{heading}");
    let found: Vec<&str> = lines.map(|line| line.split(',').nth(1).unwrap()).collect();
    // What begins like a formula is text to a spreadsheet.
    let expected: Vec<String> = names.iter().map(|name| format!("'{name}")).collect();
    assert_eq!(found, expected);
    let json = world.server.get(&format!("{path}&format=json")).json();
    let found: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["run_name"].as_str().unwrap())
        .collect();
    assert_eq!(found, names);
    assert!(world.page("").contains(">All runs as <a"));
    let page = world.page("filter=attributes.run_name%20LIKE%20'=r%25'");
    assert!(
        page.contains(">All runs that pass the filter as <a"),
        "{page}"
    );
    assert!(world.page("group=params.p0").contains(">All groups as <a"));
}

#[test]
fn a_file_of_long_texts_is_whole() {
    let world = World::new();
    let tags: Vec<Value> = (0..20)
        .map(|n| json!({ "key": format!("t{n}"), "value": "x".repeat(8000) }))
        .collect();
    // More than a piece of the file holds, and between them runs with nothing.
    let ids: Vec<String> = (0..24)
        .map(|n| {
            let id = world.run(&format!("r{n}"), 1_700_000_000_000 - n, &[], &[]);
            if n % 3 != 0 {
                world.api("runs/log-batch", &json!({ "run_id": id, "tags": tags }));
            }
            id
        })
        .collect();
    let columns: Vec<String> = (0..20).map(|n| format!("&column=tags.t{n}")).collect();
    let columns = columns.concat();
    let named: Vec<String> = ids.iter().map(|id| format!("&run={id}")).collect();
    for runs in [String::new(), named.concat()] {
        let file = format!("/runs?format=json{columns}{runs}");
        let rows = world.server.get(&file).json();
        let rows = rows.as_array().unwrap();
        let found: Vec<&str> = rows
            .iter()
            .map(|row| row["run_id"].as_str().unwrap())
            .collect();
        assert_eq!(found, ids);
        for (n, row) in rows.iter().enumerate() {
            let texts = (0..20).map(|t| row[format!("tags.t{t}")].as_str().map(str::len));
            let expected = (n % 3 != 0).then_some(8000);
            assert!(texts.into_iter().all(|text| text == expected), "{n}");
        }
    }
}

#[test]
fn ids_that_are_none_are_refused_by_their_names() {
    let (world, ids) = seeds();
    for query in [
        "run=nonsense&run=%3Cb%3E".to_owned(),
        format!("run=nonsense&run={}&run=%3Cb%3E", ids[0]),
    ] {
        for format in ["csv", "json"] {
            let file = world.server.get(&format!("/runs?format={format}&{query}"));
            let text = file.text();
            assert_eq!(file.status, 400, "{query}: {text}");
            assert!(
                text.contains("`run=nonsense`, `run=<b>`: expected the id of a run"),
                "{text}"
            );
        }
    }
    // An empty field says nothing.
    let all = world.server.get("/runs?format=json&run=").json();
    assert_eq!(all.as_array().unwrap().len(), 5);
}

fn sent(answer: &Answer) -> (u16, String) {
    (
        answer.status,
        answer.header("location").unwrap_or_default().to_owned(),
    )
}

#[test]
fn chosen_runs_are_tagged_deleted_and_restored() {
    let (world, ids) = seeds();
    let change = |body: String| {
        let back = "back=%2Fruns%3Forder%3Drun_name";
        sent(
            &world
                .server
                .post(&format!("/runs/change?{back}"), FORM, body),
        )
    };
    let both = format!("run={}&run={}", ids[0], ids[1]);
    let done = (303, "/runs?order=run_name".to_owned());
    assert_eq!(
        change(format!("{both}&action=tag&key=best&value=a+%3Cb%3E")),
        done
    );
    assert_eq!(world.names("filter=tags.best+IS+NOT+NULL"), "r1 r0");
    assert_eq!(change(format!("{both}&action=untag&key=best")), done);
    assert_eq!(world.names("filter=tags.best+IS+NOT+NULL"), "");
    assert_eq!(change(format!("{both}&action=delete")), done);
    assert_eq!(world.names(""), "r4 r3 r2");
    assert_eq!(world.names("view=deleted"), "r1 r0");
    assert_eq!(change(format!("run={}&action=restore", ids[0])), done);
    assert_eq!(world.names(""), "r4 r3 r2 r0");
    for bad in [
        "action=delete".to_owned(),
        "action=delete&run=x".to_owned(),
        format!("{both}&action=explode"),
        format!("{both}&action=tag&key=&value="),
    ] {
        assert_eq!(change(bad.clone()).0, 400, "{bad}");
    }
    // All or nothing.
    let missing = "0".repeat(32);
    assert_eq!(
        change(format!("run={}&run={missing}&action=delete", ids[4])).0,
        404
    );
    assert_eq!(world.names(""), "r4 r3 r2 r0");
    // Nobody is sent elsewhere.
    for away in [
        "%2F%2Fevil.org",
        "https%3A%2F%2Fevil.org",
        "%2Fruns%3F%0D%0Ax",
    ] {
        let answer = world.server.post(
            &format!("/runs/change?back={away}"),
            FORM,
            format!("run={}&action=restore", ids[0]),
        );
        assert_eq!(sent(&answer), (303, "/runs".to_owned()), "{away}");
    }
}

#[test]
fn experiments_are_made_renamed_deleted_and_restored() {
    let world = World::new();
    let change = |body: &str| sent(&world.server.post("/experiments/change", FORM, body));
    assert_eq!(
        change("action=create&name=a+%3Cb%3E"),
        (303, "/runs?experiment=1".to_owned())
    );
    let page = world.page("experiment=1");
    assert!(page.contains("<h1>a &#60;b&#62;</h1>"), "{page}");
    assert_eq!(change("action=create&name=a+%3Cb%3E").0, 400);
    assert_eq!(
        change("action=rename&experiment=1&name=c"),
        (303, "/runs?experiment=1".to_owned())
    );
    assert_eq!(
        change("action=delete&experiment=1"),
        (303, "/runs".to_owned())
    );
    let page = world.page("experiment=c");
    assert!(page.contains("Restore the experiment"), "{page}");
    assert_eq!(
        change("action=restore&experiment=1"),
        (303, "/runs?experiment=1".to_owned())
    );
    assert_eq!(change("action=restore&experiment=x").0, 400);
    assert_eq!(change("action=delete&experiment=9").0, 404);
    change("action=delete&experiment=0");
    change("action=delete&experiment=1");
    assert!(world.page("").contains("All experiments are deleted"));
}

#[test]
fn whatever_runs_are_called_stays_text() {
    let world = World::new();
    let hostile = "\"><script>alert(1)</script> <b>\u{202e}abc {{7*7}}";
    let id = world.run(
        hostile,
        1_700_000_000_000,
        &[("p", "<img src=x onerror=alert(1)>")],
        &[("m x", 1.0)],
    );
    world.api(
        "runs/set-tag",
        &json!({ "run_id": id, "key": "t", "value": hostile }),
    );
    for query in [
        "column=tags.t&column=params.p&column=metrics.m+x",
        "group=tags.t",
        "group=params.p&column=metrics.m+x",
        "filter=run_name+%3D+%27%3Cscript%3E%27",
        "filter=%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "order=%3Cscript%3E",
        "column=tags.%3Cscript%3E&theme=%3Cscript%3E",
    ] {
        let page = world.page(query);
        for bad in [
            "<script>alert",
            "<script>\"",
            "<img src=x",
            "<b>",
            "<i>",
            " style=",
        ] {
            assert!(!page.contains(bad), "{query}: {bad}: {page}");
        }
    }
}

#[test]
fn parts_of_a_sweep_are_folded() {
    let world = World::new();
    let parent = world.run("sweep", 1_700_000_000_000, &[], &[]);
    for n in 0..3 {
        let id = world.run(&format!("trial{n}"), 1_700_000_001_000 + n, &[], &[]);
        world.api(
            "runs/set-tag",
            &json!({ "run_id": id, "key": "mlflow.parentRunId", "value": parent }),
        );
    }
    assert_eq!(world.names(""), "trial2 trial1 trial0 sweep");
    assert_eq!(world.names("parts=folded"), "sweep");
    let page = world.page("parts=folded&column=parts");
    let link = format!("filter=tags.mlflow.parentRunId+%3D+%27{parent}%27");
    assert!(page.contains(&link) && page.contains(">3</a>"), "{page}");
    assert_eq!(world.names(&link), "trial2 trial1 trial0");
}
