//! The page of prepared data.

use crate::support::client::Server;
use crate::support::project;
use crate::support::stages::with_pipeline;

/// A stage that leaves what `preprocess` leaves, without its pixels.
const PIPELINE: &str = "stages:
  prepare:
    cmd: mkdir -p data/prepared; cp card.json index.jsonl data/prepared/
    deps: [card.json, index.jsonl]
    outs: [data/prepared]
";

const CARD: &str = r#"{"format":"cvops.data-card","version":1,"card":{"classes":["<b>cat","dog"],"counts":{"train":[30,3],"val":[1,0],"test":[2,2]},"corrupt":[{"path":"cat/<i>.png","reason":"it ends early"}],"skipped":["notes.txt"],"duplicates":[{"content":"c1","paths":["cat/1.png","dog/2.png"]}],"leakage":[],"conflicts":[{"content":"c1","paths":["cat/1.png","dog/2.png"]}]}}"#;

const INDEX: &str = r#"{"path":"cat/1.png","content":"c1","split":"train","class":0}
{"path":"dog/2.png","content":"c1","split":"train","class":1}
{"path":"dog/3.png","content":"c3","split":"test","class":1}
"#;

fn page(server: &Server, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

#[test]
fn it_says_what_there_is_and_what_is_odd() {
    let p = with_pipeline(PIPELINE);
    p.write("card.json", CARD);
    p.write("index.jsonl", INDEX);
    p.ok("repro --name first");
    let server = p.ui("");
    let text = page(&server, "/data");
    for seen in [
        "38 pictures of 2 classes",
        "data/prepared",
        "10.0 times as many training pictures",
        "Conflicting labels (1)",
        "Duplicates (1)",
        "Unusable files (1)",
        "it ends early",
        "notes.txt",
        "First seen in run",
    ] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    assert!(!text.contains("<b>cat") && !text.contains("<i>.png") && !text.contains("Leakage ("));
    let counts = server.get("/data?format=json&table=counts").json();
    assert_eq!(counts[0]["class"], "<b>cat");
    assert_eq!(
        (&counts[0]["train"], &counts[0]["all"]),
        (&30.0.into(), &33.0.into())
    );
    let conflicts = server.get("/data?format=json&table=conflicts").json();
    assert_eq!(conflicts[0]["files"], "cat/1.png, dog/2.png");
    assert_eq!(conflicts[0]["classes"], "<b>cat, dog");
    let csv = page(&server, "/data?format=csv&table=corrupt");
    assert_eq!(csv, "path,reason\ncat/<i>.png,it ends early\n");

    // Another state of the workspace does not change what the run had.
    let run = text
        .split("href=\"/runs/")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let run = run.unwrap().to_owned();
    p.write("card.json", CARD.replace("[30,3]", "[3,3]"));
    p.ok("repro");
    assert!(page(&server, "/data").contains("11 pictures of 2 classes"));
    assert!(page(&server, &format!("/data?run={run}")).contains("38 pictures of 2 classes"));
}

#[test]
fn what_cannot_be_shown_says_why() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let text = page(&server, "/data");
    assert!(text.contains("cvops init --template vision"), "{text}");
    assert_eq!(server.get("/data?run=x").status, 404);
    drop(server);

    let p = with_pipeline(PIPELINE);
    p.write("card.json", CARD);
    p.write("index.jsonl", INDEX);
    p.ok("repro");
    let server = p.ui("");
    for (query, status) in [
        ("class=cow", 400),
        ("split=dev", 400),
        ("flip=x", if cfg!(feature = "vision") { 400 } else { 200 }),
        ("folder=src", 404),
        ("folder=..", 404),
    ] {
        assert_eq!(
            server.get(&format!("/data?{query}")).status,
            status,
            "{query}"
        );
    }
    p.write("data/prepared/index.jsonl", "{}\n");
    let broken = server.get("/data");
    assert_eq!(broken.status, 400);
    assert!(
        broken.text().contains("line 1: missing field `path`"),
        "{}",
        broken.text()
    );
    p.write(
        "data/prepared/card.json",
        CARD.replace("\"version\":1", "\"version\":2"),
    );
    assert!(
        server
            .get("/data")
            .text()
            .contains("version 2 of cvops.data-card is not known here")
    );
}

#[test]
fn counts_of_a_damaged_card_are_shown_as_they_are() {
    let p = with_pipeline(PIPELINE);
    let largest = u64::MAX.to_string();
    let damaged = CARD.replace("[30,3]", &format!("[{largest},{largest}]"));
    p.write(
        "card.json",
        damaged.replace("[2,2]", &format!("[{largest},2]")),
    );
    p.write("index.jsonl", INDEX);
    p.ok("repro");
    let server = p.ui("");
    let text = page(&server, "/data");
    assert!(text.contains(&format!("{largest} pictures of 2")), "{text}");
    page(&server, "/data?format=csv&table=counts");
}

#[test]
fn a_list_too_long_for_a_page_costs_the_pictures_only() {
    let p = with_pipeline(PIPELINE);
    p.write("card.json", CARD);
    p.write("index.jsonl", INDEX);
    p.ok("repro");
    let index = std::fs::File::create(p.path("data/prepared/index.jsonl")).unwrap();
    index.set_len(1 << 40).unwrap();
    let server = p.ui("");
    let text = page(&server, "/data");
    assert!(text.contains("38 pictures of 2 classes"), "{text}");
    let why = if cfg!(feature = "vision") {
        "at most 256.0 MiB are read for a page: prepare a part"
    } else {
        "built without vision"
    };
    assert!(text.contains(why), "{text}");
}

#[cfg(feature = "vision")]
mod with_pictures {
    use super::page;
    use crate::support::client::Server;
    use crate::support::pictures::{prepared_project, trained_project};

    /// Makes what was prepared by hand an output.
    const PIPELINE: &str = "stages:
  preprocess:
    cmd: cvops preprocess
    deps: [data/raw]
    params: [preprocess]
    outs: [data/prepared]
  evaluate:
    cmd: cvops evaluate --history none
    deps: [data/prepared, models/classifier]
    outs: [reports/predictions.jsonl]
";

    /// Returns the addresses of pictures on a page that hold `part`.
    fn sources(text: &str, part: &str) -> Vec<String> {
        let all = text.split("src=\"").skip(1);
        let urls = all.filter_map(|rest| rest.split('"').next());
        let urls = urls.filter(|url| url.contains(part));
        urls.map(|url| url.replace("&#38;", "&").replace("&amp;", "&"))
            .collect()
    }

    fn side_of(server: &Server, url: &str) -> u32 {
        let answer = server.get(url);
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("image/png"));
        u32::from_be_bytes(answer.body[16..20].try_into().unwrap())
    }

    #[test]
    fn pictures_are_those_of_the_data() {
        let p = prepared_project();
        p.write("pipeline.yaml", PIPELINE);
        p.ok("repro preprocess");
        let server = p.ui("");
        let text = page(&server, "/data?class=along&split=train");
        let pictures = sources(&text, "/data/picture");
        assert!(12 <= pictures.len(), "{text}");
        assert_eq!(side_of(&server, &pictures[0]), 16);
        let augmented = sources(&text, "/data/augmented");
        assert_eq!(augmented.len(), 4 * 7);
        let moved = augmented[0].replace("shift=0", "shift=8");
        assert_eq!(side_of(&server, &moved), 16);
        assert_ne!(server.get(&moved).body, server.get(&augmented[0]).body);
        assert_eq!(server.get(&moved).body, server.get(&moved).body);
        for (from, to, status) in [
            ("shift=0", "shift=99", 400),
            ("flip=0", "flip=2", 400),
            ("split=train", "split=dev", 404),
            ("folder=data%2Fprepared", "folder=..", 404),
            ("folder=data%2Fprepared", "folder=data%2Fraw", 404),
            ("index=", "index=9999", 404),
            ("content=", "content=00", 404),
        ] {
            let url = augmented[0].replacen(from, to, 1);
            assert_ne!(url, augmented[0], "{from}");
            let answer = server.get(&url);
            assert_eq!(answer.status, status, "{to}: {}", answer.text());
        }
    }

    #[test]
    fn an_old_run_shows_the_pictures_it_was_judged_on() {
        let p = trained_project();
        p.write("pipeline.yaml", PIPELINE);
        p.ok("repro --name first");
        let server = p.ui("");
        let text = page(&server, "/evaluation?show=all");
        assert_eq!(sources(&text, "/data/picture").len(), 8, "{text}");
        let runs = server.get("/evaluation").text();
        let run = runs
            .split("<option value=\"")
            .find(|part| part.contains(">first<"))
            .unwrap();
        let run = run.split('"').next().unwrap().to_owned();
        p.write(
            "params.yaml",
            p.read("params.yaml").replace("size: 16", "size: 12"),
        );
        p.ok("repro preprocess");
        assert_eq!(
            sources(&page(&server, "/evaluation?show=all"), "/data/picture").len(),
            8
        );
        let old = page(&server, &format!("/runs/{run}/evaluation?show=all"));
        let pictures = sources(&old, "/data/picture");
        assert_eq!(pictures.len(), 8);
        assert_eq!(side_of(&server, &pictures[0]), 16);
    }
}
