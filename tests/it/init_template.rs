//! `cvops init --template vision`: a folder of pictures becomes a running project.

use snapbox::str;

use crate::support::{check, project};

#[test]
fn a_folder_of_class_folders_becomes_a_running_project() {
    let p = project();
    p.pictures("data/pets", &["across", "along"], 12);
    check(&p.cvops("init --template vision"), str![]);
    check(&p.cvops("status"), str![]);
    p.ok("repro");
    let metrics: serde_json::Value = serde_json::from_str(&p.read("reports/metrics.json")).unwrap();
    assert!(metrics["accuracy"].is_number(), "{metrics}");
    assert!(p.exists("models/classifier") && p.exists("reports/evaluation.html"));
    // What was made is no reason to run again, nor to find other data.
    check(&p.cvops("repro"), str![]);
    check(&p.cvops("init --template vision"), str![]);
}

#[test]
fn what_is_there_is_kept() {
    let p = project();
    p.pictures("pictures/train", &["across", "along"], 3);
    p.write("params.yaml", "train: {epochs: 1}\n");
    check(&p.cvops("init --template vision"), str![]);
    assert_eq!(p.read("params.yaml"), "train: {epochs: 1}\n");
    check(&p.cvops("init --template vision --json"), str![]);
}

#[test]
fn without_pictures_it_says_where_they_go() {
    let p = project();
    check(&p.cvops("init --template vision"), str![]);
    check(&p.cvops("repro"), str![]);
    // As soon as they are there, it runs.
    p.pictures("data/images", &["across", "along"], 3);
    p.ok("repro preprocess");
}

#[test]
fn pictures_that_are_no_data_yet_are_explained() {
    let p = project();
    p.pictures("data", &["across"], 3);
    check(&p.cvops("init --template vision"), str![]);
}

#[test]
fn the_larger_of_two_is_taken_and_the_other_named() {
    let p = project();
    p.pictures("data/few", &["across", "along"], 2);
    p.pictures("data/many", &["across", "along"], 3);
    check(&p.cvops("init --template vision"), str![]);
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
    check(&p.cvops("init --template monitoring"), str![]);
    check(&p.cvops("init --template monitoring"), str![]);
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
fn a_folder_that_cannot_be_the_data_writes_nothing() {
    let p = project();
    p.pictures("across", &["x"], 2);
    check(&p.cvops("init --template vision --data nowhere"), str![]);
    check(&p.cvops("init --template vision --data .."), str![]);
    check(&p.cvops("init --template vision --data ../home"), str![]);
    check(&p.cvops("init --template vision --data across"), str![]);
    check(&p.cvops("init --template visoin"), str![]);
    check(&p.cvops("init --data across"), str![]);
    p.remove("across").pictures(".", &["across", "along"], 2);
    check(&p.cvops("init --template vision"), str![]);
    check(&p.cvops("init --template vision --data ."), str![]);
    assert_eq!(p.names("."), ["across", "along"]);
}
