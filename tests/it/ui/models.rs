//! `/models…`: what is listed, what a promotion shows and does, what forms change.

use serde_json::Value;

use super::support::{HOSTILE_MODEL, encoded};
use crate::support::client::{Answer, Server};
use crate::support::stages::with_pipeline;
use crate::support::{Project, project};

const FORM: &str = "application/x-www-form-urlencoded";

/// A model of four versions: the second is better than the first, the third worse and judged by other
/// data, the fourth of a run that failed after it had made the model.
fn registry() -> (Project, Server) {
    let p = with_pipeline(
        r#"stages:
  train:
    cmd: |-
      lr=$(sed -n 's/^lr: //p' params.yaml); mkdir -p net
      echo "{\"lr\": $lr}" > net/model.json; echo weights > net/all.bin
    params: [lr]
    outs: [net]
  evaluate:
    cmd: |-
      lr=$(sed -n 's/^lr: //p' params.yaml)
      awk -v l="$lr" 'BEGIN { printf "{\"accuracy\": %.3f, \"loss\": %.3f}\n", 1 - l, l }' > metrics.json
    deps: [net, data/test.csv]
    params: [lr]
    metrics:
      - metrics.json: {cache: false}
"#,
    );
    p.write("data/test.csv", "x\n1\n");
    for (lr, test, name) in [
        ("0.3", "x\n1\n", "first"),
        ("0.1", "x\n1\n", "second"),
        ("0.4", "x\n2\n", "third"),
    ] {
        p.write("params.yaml", format!("lr: {lr}\n"));
        p.write("data/test.csv", test);
        p.ok(&format!("repro --name {name}"));
        let alias = if name == "first" {
            "--alias champion"
        } else {
            ""
        };
        p.ok(&format!("models register cats --run {name} {alias}"));
    }
    let server = p.ui("--serve-url http://127.0.0.1:9");
    (p, server)
}

fn page(server: &Server, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

fn send(server: &Server, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", encoded(value)))
        .collect();
    server.post(path, FORM, pairs.join("&"))
}

fn table(server: &Server, path: &str, id: &str) -> Vec<Value> {
    let sign = if path.contains('?') { '&' } else { '?' };
    let answer = server.get(&format!("{path}{sign}format=json&table={id}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json().as_array().unwrap().clone()
}

#[track_caller]
fn holds(text: &str, all: &[&str]) {
    for one in all {
        assert!(text.contains(one), "no `{one}` in\n{text}");
    }
}

#[test]
fn models_are_listed_searched_and_sorted() {
    let (p, server) = registry();
    p.ok("models register dogs --run first");
    let rows = table(&server, "/models", "models");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["name"], "cats");
    assert_eq!(rows[0]["latest"], 3.0);
    assert_eq!(rows[0]["metric"], 0.6);
    assert_eq!(rows[0]["aliases"][0], "champion → 1");
    let csv = server.get("/models?format=csv").text();
    assert!(csv.starts_with("name,latest,aliases,stage,metric"), "{csv}");
    let found = |query: &str| table(&server, &format!("/models?{query}"), "models").len();
    assert_eq!(found("filter=CAT"), 1);
    assert_eq!(found("filter=name+%3D+%27dogs%27"), 1);
    assert_eq!(found("filter=nothing"), 0);
    let rows = table(&server, "/models?order=name+DESC", "models");
    assert_eq!(rows[0]["name"], "dogs");
    let wrong = server.get("/models?filter=name+%3D");
    assert_eq!(wrong.status, 400);
    let text = wrong.text();
    holds(&text, &["role=\"alert\"", "value=\"name =\""]);
    assert!(!text.contains("SQL") && !text.contains("SELECT"), "{text}");
    for query in ["order=x", "cursor=x", "order=name;--"] {
        let status = server.get(&format!("/models?{query}")).status;
        assert_eq!(status, 400, "{query}");
    }
}

#[test]
fn without_a_model_the_page_says_how_to_make_one() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    holds(&page(&server, "/models"), &["cvops models register NAME"]);
    assert_eq!(server.get("/models/none").status, 404);
    assert_eq!(server.get("/models/none/1").status, 404);
}

#[test]
fn a_version_tells_where_it_comes_from_and_how_it_is_used() {
    let (_p, server) = registry();
    let rows = table(&server, "/models/cats", "versions");
    let told: Vec<_> = rows
        .iter()
        .map(|row| (&row["version"], &row["run"]))
        .collect();
    assert_eq!(told[0], (&"3".into(), &"third".into()));
    assert_eq!(rows[2]["aliases"], "champion");
    assert_eq!(rows[2]["accuracy"], Value::Null);
    assert_eq!(rows[2]["metric"], 0.7);
    let text = page(&server, "/models/cats/1");
    holds(
        &text,
        &[
            "data/test.csv",
            ">first</a>",
            "<dt><code>lr</code></dt><dd>0.3</dd>",
            "cvops serve --model models:/cats@champion",
            "No prediction server answers",
            "This version is the champion.",
            "all.bin",
        ],
    );
    let files = table(&server, "/models/cats/1", "files");
    let names: Vec<&str> = files
        .iter()
        .filter_map(|row| row["path"].as_str())
        .collect();
    assert_eq!(names, ["all.bin", "model.json"]);
    let download = "/model-versions/get-artifact?name=cats&version=1&path=all.bin";
    assert!(
        text.contains(&download.replace('&', "&#38;")) || text.contains(download),
        "{text}"
    );
    assert_eq!(server.get(download).text(), "weights\n");
    // An alias leads to its version.
    let answer = server.get("/models/cats/champion");
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/models/cats/1"))
    );
    for path in [
        "/models/cats/9",
        "/models/cats/0",
        "/models/cats/-1",
        "/models/cats/none",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_promotion_shows_the_difference_and_is_noted() {
    let (p, server) = registry();
    let url = "/models/cats/2/promote?alias=champion";
    let text = page(&server, url);
    holds(
        &text,
        &[
            "Promote cats version 2 to champion?",
            "accuracy 0.7 → 0.9",
            "better",
            "name=\"holder\" value=\"1\"",
        ],
    );
    assert!(!text.contains("Before you do"), "{text}");
    let metrics = table(&server, url, "metrics");
    assert_eq!(metrics[0]["metric"], "accuracy");
    assert_eq!(metrics[0]["verdict"], "better");
    assert_eq!(
        (&metrics[1]["metric"], &metrics[1]["verdict"]),
        (&"loss".into(), &"better".into())
    );
    assert_eq!(metrics[1]["better"], "lower");
    assert_eq!(table(&server, url, "params")[0]["name"], "lr");

    let promote = |version: i64, holder: &str| {
        let path = format!("/models/cats/{version}/promote");
        send(&server, &path, &[("alias", "champion"), ("holder", holder)])
    };
    let answer = promote(2, "1");
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/models/cats"))
    );
    assert!(p.ok("models show cats@champion --json").json()[0]["version"] == 2);
    // Who looked before it moved is told, and shown the new difference.
    let answer = promote(3, "1");
    assert_eq!(answer.status, 409);
    holds(
        &answer.text(),
        &[
            "somebody was faster",
            "version 1 had it when you decided",
            "version 2 has it now",
            "accuracy 0.9 → 0.6",
            "name=\"holder\" value=\"2\"",
        ],
    );
    assert!(p.ok("models show cats@champion --json").json()[0]["version"] == 2);

    let history = table(&server, "/models/cats", "promotions");
    assert_eq!(history.len(), 1);
    assert_eq!(
        (&history[0]["version"], &history[0]["from"]),
        (&"2".into(), &"1".into())
    );
    holds(&page(&server, "/models/cats"), &["Roll back to 1"]);
    assert_eq!(promote(1, "2").status, 303);
    let history = table(&server, "/models/cats", "promotions");
    assert_eq!((history.len(), &history[0]["version"]), (2, &"1".into()));
    // Any client of MLflow sees it as a tag.
    let shown = p.ok("models show cats/2 --json").json().remove(0);
    let tag = shown["tags"]["cvops.promoted.champion"].as_str().unwrap();
    assert!(tag.contains("\"from\":1"), "{tag}");
}

#[test]
fn a_promotion_warns_of_what_speaks_against_it() {
    let (p, server) = registry();
    let text = page(&server, "/models/cats/3/promote?alias=champion");
    holds(
        &text,
        &[
            "Before you do",
            "it is worse in `accuracy`",
            "evaluated on other data: `data/test.csv`",
        ],
    );
    // No holder: nothing to compare with, and that is said.
    holds(
        &page(&server, "/models/cats/3/promote?stage=Production"),
        &["No version is <strong>Production</strong> yet"],
    );
    let to_stage = |version: i64, holder: &str| {
        let path = format!("/models/cats/{version}/promote");
        send(
            &server,
            &path,
            &[("stage", "production"), ("holder", holder)],
        )
        .status
    };
    assert_eq!(to_stage(1, ""), 303);
    assert_eq!(to_stage(2, "1"), 303);
    assert_eq!(
        p.ok("models show cats/1 --json").json()[0]["stage"],
        "Archived"
    );
    for query in [
        "",
        "alias=",
        "stage=Archived",
        "stage=x",
        "alias=a&stage=Staging",
    ] {
        let answer = server.get(&format!("/models/cats/1/promote?{query}"));
        assert_eq!(answer.status, 400, "{query}");
    }
    for (alias, holder) in [("latest", ""), ("v1", ""), ("a b", ""), ("champion", "x")] {
        let answer = send(
            &server,
            "/models/cats/1/promote",
            &[("alias", alias), ("holder", holder)],
        );
        assert_eq!(answer.status, 400, "{alias} {holder}");
    }
    assert_eq!(
        server.get("/models/cats/9/promote?alias=champion").status,
        404
    );
}

#[test]
fn forms_change_models_and_versions() {
    let (_p, server) = registry();
    let post = |path: &str, pairs: &[(&str, &str)]| {
        let answer = send(&server, path, pairs);
        (
            answer.status,
            answer.header("location").unwrap_or_default().to_owned(),
        )
    };
    let to = |href: &str| (303, href.to_owned());
    assert_eq!(
        post(
            "/models",
            &[("name", "birds"), ("description", "**big** ones")]
        ),
        to("/models/birds")
    );
    holds(
        &page(&server, "/models/birds"),
        &["<strong>big</strong> ones"],
    );
    assert_eq!(post("/models", &[("name", "birds")]).0, 400);
    assert_eq!(post("/models", &[("name", " ")]).0, 400);
    let birds = "/models/birds";
    assert_eq!(
        post(
            birds,
            &[("action", "tag"), ("key", "team"), ("value", "<b>")]
        ),
        to(birds)
    );
    holds(&page(&server, birds), &["&#60;b&#62;"]);
    for path in [birds, "/models/cats/1"] {
        for action in ["tag", "untag"] {
            let pairs = [("action", action), ("key", "cvops.promoted.champion")];
            assert_eq!(post(path, &pairs).0, 400, "the history is not people's");
        }
    }
    assert_eq!(
        post(birds, &[("action", "untag"), ("key", "team")]),
        to(birds)
    );
    assert_eq!(
        post(birds, &[("action", "rename"), ("name", "big birds")]),
        to("/models/big%20birds")
    );
    assert_eq!(server.get(birds).status, 404);
    holds(
        &page(&server, "/models/big%20birds?confirm=delete"),
        &["Delete the model"],
    );
    assert_eq!(
        post("/models/big%20birds", &[("action", "delete")]),
        to("/models")
    );
    let second = "/models/cats/2";
    assert_eq!(
        post(
            second,
            &[("action", "describe"), ("description", "with *care*")]
        ),
        to(second)
    );
    holds(&page(&server, second), &["<em>care</em>"]);
    assert_eq!(
        post(second, &[("action", "stage"), ("stage", "Staging")]),
        to(second)
    );
    assert_eq!(
        post(second, &[("action", "stage"), ("stage", "Moon")]).0,
        400
    );
    assert_eq!(post(second, &[("action", "fly")]).0, 400);
    assert_eq!(
        post(
            "/models/cats/1",
            &[("action", "unalias"), ("alias", "champion")]
        ),
        to("/models/cats/1")
    );
    assert_eq!(post(second, &[("action", "delete")]), to("/models/cats"));
    assert_eq!(server.get(second).status, 404);
    assert_eq!(post("/models/none", &[("action", "delete")]).0, 404);
}

#[test]
fn an_alias_that_moved_is_not_taken_from_its_new_version() {
    let (p, server) = registry();
    let form = page(&server, "/models/cats");
    holds(&form, &["name=\"version\" value=\"1\""]);
    p.ok("models alias cats champion 2");
    let remove = |path: &str, version: &str| {
        let pairs = [("action", "unalias"), ("alias", "champion")];
        send(
            &server,
            path,
            &[&pairs[..], &[("version", version)]].concat(),
        )
    };
    for path in ["/models/cats", "/models/cats/1"] {
        let answer = remove(path, "1");
        assert_eq!(answer.status, 409, "{path}");
        holds(
            &answer.text(),
            &["Nothing was changed", "version 2</a> has it now"],
        );
    }
    assert!(p.ok("models show cats@champion --json").json()[0]["version"] == 2);
    assert_eq!(remove("/models/cats", "").status, 400);
    assert_eq!(remove("/models/cats", "x").status, 400);
    assert_eq!(remove("/models/cats", "2").status, 303);
    // Twice is once.
    assert_eq!(remove("/models/cats", "2").status, 303);
    let stage = |stage: &str| {
        let pairs = [("action", "stage"), ("stage", stage)];
        assert_eq!(send(&server, "/models/cats/3", &pairs).status, 303);
    };
    stage("Staging");
    stage("Archived");
    let history = table(&server, "/models/cats", "promotions");
    let told: Vec<(&str, &str, &str, Option<&str>)> = history
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap();
            (
                text("title"),
                text("what"),
                text("version"),
                row["from"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Staging", "removed", "3", None),
            ("Staging", "promoted", "3", None),
            ("champion", "removed", "2", None),
            ("champion", "promoted", "2", Some("1")),
        ]
    );
    p.ok("models alias cats champion 3");
    holds(&page(&server, "/models/cats"), &["Roll back to 2"]);
    p.ok("models rm cats/2");
    assert!(!page(&server, "/models/cats").contains("Roll back"));
}

/// Returns what a form of a page says of the text that it began with.
fn began(text: &str) -> &str {
    let rest = text.split("name=\"began\" value=\"").nth(1).unwrap();
    rest.split('"').next().unwrap()
}

#[test]
fn a_description_is_not_lost_to_another() {
    let (_p, server) = registry();
    for path in ["/models/cats", "/models/cats/2"] {
        let describe = |text: &str, began: &str| {
            let pairs = [
                ("action", "describe"),
                ("description", text),
                ("began", began),
            ];
            send(&server, path, &pairs)
        };
        let first = page(&server, path);
        assert_eq!(describe("of ann,\r\ntwo lines", began(&first)).status, 303);
        // Sent twice, it is the same text.
        assert_eq!(describe("of ann,\r\ntwo lines", began(&first)).status, 303);
        let late = describe("of <b>ben</b>", began(&first));
        assert_eq!(late.status, 409, "{path}");
        let late = late.text();
        holds(
            &late,
            &[
                "Nothing was saved",
                "of ann,\ntwo lines",
                "of &#60;b&#62;ben&#60;/b&#62;",
            ],
        );
        holds(&page(&server, path), &["of ann"]);
        // Who has seen both decides.
        assert_eq!(describe("of both", began(&late)).status, 303);
        holds(&page(&server, path), &["of both"]);
        assert_eq!(describe("of a script", "").status, 303);
    }
}

#[test]
fn only_tags_of_people_have_a_button_that_removes_them() {
    let (p, server) = registry();
    p.ok("models alias cats champion 2");
    let set = |key: &str| {
        super::support::post(
            &server,
            "model-versions/set-tag",
            &serde_json::json!({"name": "cats", "version": "2", "key": key, "value": "x"}),
        );
    };
    set("team");
    set("mlflow.something");
    let text = page(&server, "/models/cats/2");
    holds(&text, &["Remove the tag team", "mlflow.something"]);
    for key in ["mlflow.something", "cvops.promoted.champion"] {
        assert!(!text.contains(&format!("Remove the tag {key}")), "{key}");
    }
}

#[test]
fn a_version_is_made_of_an_output_of_a_run() {
    let (p, server) = registry();
    holds(
        &page(&server, "/register?model=cats"),
        &[">second</a>", "Choose"],
    );
    let text = page(&server, "/register?run=second&model=cats");
    holds(&text, &["value=\"net\" required checked", "value=\"cats\""]);
    let id = p.ok("runs show second --json").json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let pairs = [("model", "birds"), ("run", id.as_str()), ("path", "net")];
    let answer = send(&server, "/register", &pairs);
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/models/birds/1"))
    );
    for (run, path) in [
        ("x", "net"),
        (id.as_str(), "../../etc"),
        (id.as_str(), "none"),
    ] {
        let answer = send(
            &server,
            "/register",
            &[("model", "birds"), ("run", run), ("path", path)],
        );
        assert_eq!(answer.status, 400, "{run} {path}");
    }
    assert_eq!(server.get("/register?run=nobody").status, 404);
}

#[test]
fn readers_look_and_those_who_may_write_are_noted() {
    let (p, _) = registry();
    p.add_user("ann", "write");
    p.add_user("ron", "read");
    let server = p.ui("");
    let ask = |line: &str, user: &str, body: &str| {
        let login = crate::support::client::base64(format!("{user}:open sesame").as_bytes());
        let headers = format!("Authorization: Basic {login}\r\nContent-Type: {FORM}\r\n");
        server.send(line, &headers, body.as_bytes())
    };
    let read = ask("GET /models/cats/2", "ron", "").text();
    assert!(
        !read.contains("method=\"post\"") && !read.contains("Promote to"),
        "{read}"
    );
    assert!(
        ask("GET /models/cats/2", "ann", "")
            .text()
            .contains("Promote to champion")
    );
    let line = "POST /models/cats/2/promote";
    let body = "alias=champion&holder=1";
    assert_eq!(ask(line, "ron", body).status, 403);
    assert_eq!(ask(line, "ann", body).status, 303);
    let history = ask("GET /models/cats?format=json&table=promotions", "ron", "").json();
    assert_eq!(history[0]["by"], "ann");
}

#[test]
fn a_hostile_name_stays_text() {
    let (_p, server) = registry();
    let path = format!("/models/{}", encoded(HOSTILE_MODEL));
    let answer = send(
        &server,
        "/models",
        &[
            ("name", HOSTILE_MODEL),
            ("description", "<script>x</script>"),
        ],
    );
    assert_eq!(answer.status, 303);
    let text = page(&server, &path);
    assert!(
        !text.contains("<img") && !text.contains("<script>x"),
        "{text}"
    );
    let text = page(&server, "/models");
    assert!(!text.contains("<img"), "{text}");
    // A command with such a name is one word of a shell.
    let pairs = [("model", "a'b $(x)"), ("path", "net")];
    let id = table(&server, "/models/cats", "versions")[0]["run"].clone();
    assert_eq!(id, "third");
    let run = page(&server, "/register?run=third");
    let run = run
        .split("name=\"run\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(
        send(&server, "/register", &[pairs[0], pairs[1], ("run", run)]).status,
        303
    );
    let text = page(&server, "/models/a%27b%20%24%28x%29/1");
    holds(&text, &["models:/&#39;a&#39;\\&#39;&#39;b $(x)/1&#39;"]);
}
