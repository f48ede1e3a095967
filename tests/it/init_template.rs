//! `cvops init --template vision`: a folder of pictures becomes a running project.

use snapbox::str;

use crate::support::{check, project};

#[test]
fn a_folder_of_class_folders_becomes_a_running_project() {
    let p = project();
    p.pictures("data/pets", &["across", "along"], 12);
    check(
        &p.cvops("init --template vision"),
        str![[r#"
created .cvops
created .cvops/.gitignore
created .cvops/config.yaml
created .cvopsignore
created pipeline.yaml
created params.yaml
--- stderr ---
found 24 pictures of 2 classes in data/pets
next: `cvops repro` prepares the pictures, trains a network and judges it
[exit 0]
"#]],
    );
    check(
        &p.cvops("status"),
        str![[r#"
preprocess  must run    it never ran
train       must run    it never ran
evaluate    must run    it never ran
serve       service     started by name only
[exit 0]
"#]],
    );
    p.ok("repro");
    let metrics: serde_json::Value = serde_json::from_str(&p.read("reports/metrics.json")).unwrap();
    assert!(metrics["accuracy"].is_number(), "{metrics}");
    assert!(p.exists("models/classifier") && p.exists("reports/evaluation.html"));
    // What was made is no reason to run again, nor to find other data.
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
preprocess: unchanged
train: unchanged
evaluate: unchanged
everything is up to date (3 stages)
serve is a service: start it with `cvops repro serve`
[exit 0]
"#]],
    );
    check(
        &p.cvops("init --template vision"),
        str![[r#"
nothing to do: all of it is there already
--- stderr ---
found 24 pictures of 2 classes in data/pets
next: `cvops repro` prepares the pictures, trains a network and judges it
[exit 0]
"#]],
    );
}

#[test]
fn what_is_there_is_kept() {
    let p = project();
    p.pictures("pictures/train", &["across", "along"], 3);
    p.write("params.yaml", "train: {epochs: 1}\n");
    check(
        &p.cvops("init --template vision"),
        str![[r#"
created .cvops
created .cvops/.gitignore
created .cvops/config.yaml
created .cvopsignore
created pipeline.yaml
--- stderr ---
found 6 pictures of 2 classes in pictures
kept params.yaml as it is; it has no section `preprocess`, `model`, `evaluate`, `serve`, which the stages of the template read: add them, or move it away and run this again
[exit 0]
"#]],
    );
    assert_eq!(p.read("params.yaml"), "train: {epochs: 1}\n");
    check(
        &p.cvops("init --template vision --json"),
        str![[r#"
{"also":[],"classes":["across","along"],"created":[],"data":"pictures","images":6,"kept":["params.yaml"],"lacking":{"params.yaml":["preprocess","model","evaluate","serve"]}}
[exit 0]
"#]],
    );
}

#[test]
fn without_pictures_it_says_where_they_go() {
    let p = project();
    check(
        &p.cvops("init --template vision"),
        str![[r#"
created .cvops
created .cvops/.gitignore
created .cvops/config.yaml
created .cvopsignore
created pipeline.yaml
created params.yaml
created data/images/
--- stderr ---
found no pictures
put one folder per class into data/images (data/images/cat/1.jpg, data/images/dog/1.jpg), then run `cvops repro`
[exit 0]
"#]],
    );
    check(
        &p.cvops("repro"),
        str![[r#"
--- stderr ---
preprocess: running: it never ran
preprocess $ cvops preprocess --data data/images --out data/prepared
preprocess | error: the dataset `data/images` holds no class folders
preprocess |  |
preprocess |  = help: put the images into one folder per class: `data/cat/1.png`, `data/dog/2.jpg`
error: stage `preprocess` failed: `cvops preprocess --data data/images --out data/prepared` exited with code 1
 |
 = help: its output is above; mend the cause and run the same command again: finished stages are kept
3 stages: 1 failed, 2 not started
recorded as `[RUN]`; `cvops runs show` shows it
serve is a service: start it with `cvops repro serve`
[exit 1]
"#]],
    );
    // As soon as they are there, it runs.
    p.pictures("data/images", &["across", "along"], 3);
    p.ok("repro preprocess");
}

#[test]
fn pictures_that_are_no_data_yet_are_explained() {
    let p = project();
    p.pictures("data", &["across"], 3);
    check(
        &p.cvops("init --template vision"),
        str![[r#"
created .cvops
created .cvops/.gitignore
created .cvops/config.yaml
created .cvopsignore
created pipeline.yaml
created params.yaml
created data/images/
--- stderr ---
found 3 pictures in data/across, but no set with one folder per class
the dataset `[ROOT]/data` holds only the class `across`
put one folder per class into data/images (data/images/cat/1.jpg, data/images/dog/1.jpg), then run `cvops repro`
[exit 0]
"#]],
    );
}

#[test]
fn a_pipeline_of_ones_own_is_not_said_to_be_the_template() {
    let p = project();
    p.pictures("data", &["across", "along"], 2);
    p.write("pipeline.yaml", "stages: {train: {cmd: 'true'}}\n");
    p.write("params.yaml", "train: {epochs: 1}\n");
    p.ok("init");
    check(
        &p.cvops("init --template vision"),
        str![[r#"
--- stderr ---
found 4 pictures of 2 classes in data
kept pipeline.yaml as it is; it has no stage `preprocess`, `evaluate`, `serve`: for those of the template, move it away and run this again
kept params.yaml as it is; to begin anew, move it away and run this again
[exit 0]
"#]],
    );
}

#[test]
fn pictures_further_down_are_named_and_nothing_is_written() {
    let p = project();
    p.pictures("data/pets/v1", &["across", "along"], 2);
    check(
        &p.cvops("init --template vision"),
        str![[r#"
--- stderr ---
error: found no pictures in the usual folders, but 4 pictures of 2 classes in data/pets/v1
 |
 = help: if that is it: `cvops init --template vision --data data/pets/v1`
[exit 2]
"#]],
    );
    assert_eq!(p.names("."), ["data"]);
    p.ok("init --template vision --data data/pets/v1");
    p.ok("repro preprocess");
}

#[test]
fn the_larger_of_two_is_taken_and_the_other_named() {
    let p = project();
    p.pictures("data/few", &["across", "along"], 2);
    p.pictures("data/many", &["across", "along"], 3);
    check(
        &p.cvops("init --template vision"),
        str![[r#"
created .cvops
created .cvops/.gitignore
created .cvops/config.yaml
created .cvopsignore
created pipeline.yaml
created params.yaml
--- stderr ---
found 6 pictures of 2 classes in data/many
also found data/few; for that, remove pipeline.yaml and params.yaml and run this again with `--data data/few`
next: `cvops repro` prepares the pictures, trains a network and judges it
[exit 0]
"#]],
    );
    assert!(p.read("pipeline.yaml").contains("- data/many\n"));
}

#[test]
fn data_itself_may_hold_the_classes_and_names_may_be_odd() {
    let p = project();
    p.pictures("data", &["across", "along"], 3);
    p.ok("init --template vision");
    p.ok("repro preprocess");
    assert!(p.exists("prepared/card.html"));

    let odd = "my pets' \"pictures\": #1";
    let p = project();
    p.pictures(odd, &["across", "along"], 3);
    p.ok("init --template vision");
    p.ok("repro preprocess");
    assert!(p.exists("data/prepared/card.html"));
}

#[test]
fn monitoring_brings_what_the_containers_read() {
    let p = project();
    check(
        &p.cvops("init --template monitoring"),
        str![[r#"
created .cvops
created .cvops/.gitignore
created .cvops/config.yaml
created .cvopsignore
created docker-compose.yml
created deploy/prometheus/prometheus.yml
created deploy/prometheus/rules/cvops.rules.yml
created deploy/prometheus/rules/cvops_test.yml
created deploy/grafana/provisioning/datasources/prometheus.yml
created deploy/grafana/provisioning/dashboards/cvops.yml
created deploy/grafana/dashboards/cvops-serving.json
--- stderr ---
next: build the image `cvops:local` once, in a clone of cvops (`docker build -f deploy/Dockerfile -t cvops:local .`), then `docker compose up` here
[exit 0]
"#]],
    );
    check(
        &p.cvops("init --template monitoring"),
        str![[r#"
nothing to do: all of it is there already
--- stderr ---
next: build the image `cvops:local` once, in a clone of cvops (`docker build -f deploy/Dockerfile -t cvops:local .`), then `docker compose up` here
[exit 0]
"#]],
    );
    let compose = p.read("docker-compose.yml");
    for folder in [
        "deploy/prometheus",
        "deploy/grafana/provisioning",
        "deploy/grafana/dashboards",
    ] {
        assert!(
            p.exists(folder) && compose.contains(&format!("./{folder}:")),
            "{folder}"
        );
    }
}

#[test]
fn a_manifest_stands_for_its_folder() {
    let p = project();
    p.pictures("data/img", &["across", "along"], 2);
    let rows = |folder: &str| {
        let rows = ["across", "along"].map(|class| format!("{folder}{class}/00.png,{class}\n"));
        format!("path,label\n{}", rows.concat())
    };
    p.write("all.csv", rows("data/img/"));
    check(
        &p.cvops("init --template vision --data all.csv"),
        str![[r#"
--- stderr ---
error: `all.csv` lies directly in the project folder, among what the pipeline writes
 |
 = help: move it and its pictures down, into a folder such as `data/images`: paths in it are relative to its folder
[exit 2]
"#]],
    );
    p.write("data/all.csv", rows("img/"));
    p.ok("init --template vision --data data/all.csv");
    // The dependency holds the pictures as well, and not what is made of them.
    let stage = "--data data/all.csv --out prepared\n    deps:\n      - data\n";
    let pipeline = p.read("pipeline.yaml");
    assert!(pipeline.contains(stage), "{pipeline}");
}

#[test]
fn a_folder_that_cannot_be_the_data_writes_nothing() {
    let p = project();
    p.pictures("across", &["x"], 2);
    check(
        &p.cvops("init --template vision --data nowhere"),
        str![[r#"
--- stderr ---
error: there is no folder `nowhere`
 |
 = help: check the path that follows `--data`, or leave it out to let cvops look
[exit 2]
"#]],
    );
    check(
        &p.cvops("init --template vision --data .."),
        str![[r#"
--- stderr ---
error: the project lies inside `..`
 |
 = help: put the pictures into a folder of the project, such as `data/images`
[exit 2]
"#]],
    );
    check(
        &p.cvops("init --template vision --data ../home"),
        str![[r#"
--- stderr ---
error: `../home` is not inside the project `[ROOT]`
 |
 = help: copy it there: `mkdir -p data && cp -r ../home data/images`
[exit 2]
"#]],
    );
    check(
        &p.cvops("init --template vision --data across"),
        str![[r#"
--- stderr ---
error: the dataset `[ROOT]/across` holds only the class `x`
 |
 = help: a classifier needs at least two classes: add another one beside `x`
[exit 1]
"#]],
    );
    check(
        &p.cvops("init --template visoin"),
        str![[r#"
--- stderr ---
error: invalid value 'visoin' for '--template <NAME>'
  [possible values: vision, monitoring]

  tip: a similar value exists: 'vision'

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("init --data across"),
        str![[r#"
--- stderr ---
error: the following required arguments were not provided:
  --template <NAME>

Usage: cvops init --template <NAME> --data <DIR>

For more information, try '--help'.
[exit 2]
"#]],
    );
    p.remove("across").pictures(".", &["across", "along"], 2);
    check(
        &p.cvops("init --template vision"),
        str![[r#"
--- stderr ---
error: the pictures lie directly in the project folder, among what the pipeline writes
 |
 = note: found here: across along
 = help: move them down, `mkdir -p data/images && mv across along data/images`, and run this again
[exit 2]
"#]],
    );
    check(
        &p.cvops("init --template vision --data ."),
        str![[r#"
--- stderr ---
error: the pictures lie directly in the project folder, among what the pipeline writes
 |
 = note: found here: across along
 = help: move them down, `mkdir -p data/images && mv across along data/images`, and run this again
[exit 2]
"#]],
    );
    assert_eq!(p.names("."), ["across", "along"]);
}
