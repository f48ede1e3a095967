//! Versions of registered models: numbers, sources, stages, tags.

use crate::track::entity::{ExperimentId, ModelVersion, Tag};
use crate::track::error::{Error, Refusal};

use super::registry_tests::{refused, tracking};
use super::{NewLoggedModel, NewRecord, NewVersion, Tracking, Writing};

/// A record with the model `cats`, a run (whose id is returned) and a logged model of that run,
/// called `net` (its id is returned as well).
fn world() -> (tempfile::TempDir, Tracking, String, String) {
    let (tmp, mut tracking) = tracking();
    let (run, model) = tracking
        .change(|w| {
            w.create_registered_model("cats", &[], None, 1)?;
            let run = w
                .create_record(&new_run(ExperimentId(0)))?
                .info
                .id
                .to_string();
            let model = w.create_logged_model(&logged("net", Some(&run)), 2)?;
            Ok((run, model.id))
        })
        .unwrap();
    (tmp, tracking, run, model)
}

fn new_run(experiment: ExperimentId) -> NewRecord {
    NewRecord {
        experiment,
        user: String::new(),
        name: None,
        started_ms: 1,
        tags: vec![],
    }
}

fn logged(name: &str, run: Option<&str>) -> NewLoggedModel {
    NewLoggedModel {
        experiment: ExperimentId(0),
        name: Some(name.to_owned()),
        model_type: None,
        source_run: run.map(str::to_owned),
        params: vec![],
        tags: vec![],
    }
}

fn new(source: &str, run: Option<&str>, logged_model: Option<&str>) -> NewVersion {
    NewVersion {
        name: "cats".to_owned(),
        source: source.to_owned(),
        run: run.map(str::to_owned),
        tags: vec![],
        run_link: None,
        description: None,
        logged_model: logged_model.map(str::to_owned),
    }
}

fn create(tracking: &mut Tracking, new: &NewVersion) -> Result<ModelVersion, Error> {
    tracking.change(|w| w.create_model_version(new, 10))
}

#[test]
fn a_version_comes_back_as_it_was_made() {
    let (_tmp, mut tracking, run, _) = world();
    let source = format!("mlflow-artifacts:/0/{run}/artifacts/model");
    let asked = NewVersion {
        tags: vec![Tag::new("v", "1"), Tag::new("a", "")],
        run_link: Some("https://example.org/run".into()),
        description: Some("first".into()),
        ..new(&source, Some(&run), None)
    };
    let made = create(&mut tracking, &asked).unwrap();
    assert_eq!(
        made,
        ModelVersion {
            name: "cats".into(),
            version: 1,
            created_ms: 10,
            updated_ms: 10,
            description: Some("first".into()),
            source: source.clone(),
            storage: source,
            run: Some(run),
            run_link: Some("https://example.org/run".into()),
            logged_model: None,
            status: "READY".into(),
            stage: "None".into(),
            tags: vec![Tag::new("a", ""), Tag::new("v", "1")],
            aliases: vec![],
        }
    );
    assert_eq!(tracking.reader().model_version("cats", 1).unwrap(), made);
    let model = tracking.reader().registered_model("cats").unwrap();
    assert_eq!((model.created_ms, model.updated_ms), (1, 10));
}

#[test]
fn numbers_count_up_and_are_never_used_again() {
    let (_tmp, mut tracking, ..) = world();
    let asked = new("s3://bucket/model", None, None);
    for expected in 1..=3 {
        assert_eq!(create(&mut tracking, &asked).unwrap().version, expected);
    }
    tracking
        .change(|w| {
            w.delete_model_version("cats", 3, 20)?;
            w.delete_model_version("cats", 1, 21)
        })
        .unwrap();
    assert_eq!(create(&mut tracking, &asked).unwrap().version, 4);
    let versions = tracking.reader().versions_of("cats").unwrap();
    let numbers: Vec<_> = versions.iter().map(|v| v.version).collect();
    assert_eq!(numbers, [4, 2]);
    refused(
        tracking.change(|w| w.delete_model_version("cats", 3, 30)),
        Refusal::Missing,
        "Model Version (name=cats, version=3) not found",
    );
}

#[test]
fn a_refused_version_takes_no_number() {
    let (_tmp, mut tracking, ..) = world();
    let bad = NewVersion {
        tags: vec![Tag::new("a//b", "")],
        ..new("s3://bucket/model", None, None)
    };
    assert!(create(&mut tracking, &bad).is_err());
    let other = NewVersion {
        name: "dogs".into(),
        ..new("s3://bucket/model", None, None)
    };
    refused(
        create(&mut tracking, &other),
        Refusal::Missing,
        "Registered Model with name=dogs not found",
    );
    let good = new("s3://bucket/model", None, None);
    assert_eq!(create(&mut tracking, &good).unwrap().version, 1);
}

#[test]
fn files_of_the_server_are_those_of_the_run_that_is_named() {
    let (_tmp, mut tracking, run, model) = world();
    let elsewhere = |source: &str, field: &str| {
        format!(
            "Invalid model version source: '{source}'. The {field} request parameter must \
             identify the resource that contains the source."
        )
    };
    let inside = format!("mlflow-artifacts:/0/{run}/artifacts/model");
    let of_model = format!("mlflow-artifacts:/0/models/{model}/artifacts");
    let nobody = "0".repeat(32);
    for (source, run_id, model_id, field) in [
        (&inside, None, None, "run_id"),
        (&inside, Some(""), None, "run_id"),
        (&inside, Some(nobody.as_str()), None, "run_id"),
        (&inside, Some("a-run"), None, "run_id"),
        (&inside, None, Some(model.as_str()), "model_id"),
        (&inside, None, Some("m-none"), "model_id"),
        (&of_model, Some(&run), None, "run_id"),
        (
            &"mlflow-artifacts:/0".to_owned(),
            Some(&run),
            None,
            "run_id",
        ),
        (
            &format!("http://h/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts"),
            Some(&run),
            None,
            "run_id",
        ),
    ] {
        refused(
            create(&mut tracking, &new(source, run_id, model_id)),
            Refusal::Invalid,
            &elsewhere(source, field),
        );
    }
    let version = create(&mut tracking, &new(&of_model, None, Some(&model))).unwrap();
    assert_eq!(version.run.as_deref(), Some(run.as_str()));
    assert_eq!(version.logged_model.as_deref(), Some(model.as_str()));
    assert_eq!(version.storage, of_model);
}

#[test]
fn a_path_lies_inside_the_artifacts_of_the_run() {
    let (_tmp, mut tracking, run, model) = world();
    let refused_path = |source: &str, what: &str| {
        format!(
            "Invalid model version source: '{source}'. To use a local path as a model version \
             source, the {what}_id request parameter has to be specified and the local path has \
             to be contained within the artifact directory of the {what} specified by the \
             {what}_id."
        )
    };
    let local_run = tracking
        .change(|w| {
            let place = w.create_experiment("local", Some("/srv/mlruns/7"), &[], 1)?;
            Ok(w.create_record(&new_run(place))?.info)
        })
        .unwrap();
    let id = local_run.id.to_string();
    assert_eq!(
        local_run.artifact_uri,
        format!("/srv/mlruns/7/{id}/artifacts")
    );
    let inside = format!("/srv/mlruns/7/{id}/artifacts/model");
    for (source, run_id) in [
        (inside.as_str(), None),
        (&inside, Some(run.as_str())),
        ("/etc", Some(&id)),
        ("file:///etc", Some(&id)),
    ] {
        refused(
            create(&mut tracking, &new(source, run_id, None)),
            Refusal::Invalid,
            &refused_path(source, "run"),
        );
    }
    refused(
        create(&mut tracking, &new(&inside, Some(&id), Some(&model))),
        Refusal::Invalid,
        &refused_path(&inside, "model"),
    );
    for source in [inside.clone(), format!("file://{inside}")] {
        let version = create(&mut tracking, &new(&source, Some(&id), None)).unwrap();
        assert_eq!(version.storage, source);
    }
    for source in [
        "../x",
        "model",
        "/srv/../etc",
        "mlflow-artifacts:/0/%2e%2e/x",
    ] {
        assert!(create(&mut tracking, &new(source, Some(&id), None)).is_err());
    }
}

#[test]
fn a_path_of_a_run_is_resolved() {
    let (_tmp, mut tracking, run, model) = world();
    let source = format!("runs:/{run}/model/a");
    for asked in [None, Some(run.as_str())] {
        let version = create(&mut tracking, &new(&source, asked, None)).unwrap();
        assert_eq!(version.source, source);
        assert_eq!(
            version.storage,
            format!("mlflow-artifacts:/0/{run}/artifacts/model/a")
        );
        assert_eq!(version.run.as_deref(), Some(run.as_str()));
    }
    let other = "0".repeat(32);
    for (asked, model) in [(Some(other.as_str()), None), (None, Some(model.as_str()))] {
        let result = create(&mut tracking, &new(&source, asked, model));
        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("must identify the resource")
        );
    }
    let nobody = format!("runs:/{other}/model");
    refused(
        create(&mut tracking, &new(&nobody, None, None)),
        Refusal::Missing,
        &format!("Run with id={other} not found"),
    );
    let whole = format!("runs:/{run}");
    let storage = tracking.reader().storage_of(&whole).unwrap();
    assert_eq!(storage, format!("mlflow-artifacts:/0/{run}/artifacts"));
}

#[test]
fn a_path_of_a_run_may_be_a_logged_model() {
    let (_tmp, tracking, run, model) = world();
    let source = format!("runs:/{run}/net");
    let storage = tracking.reader().storage_of(&source).unwrap();
    assert_eq!(
        storage,
        format!("mlflow-artifacts:/0/models/{model}/artifacts")
    );
    let uploaded = format!("0/{run}/artifacts/net/MLmodel");
    let object = "a".repeat(64);
    tracking
        .db
        .execute(
            "INSERT INTO artifact_files (path, object, size, modified_ms) VALUES (?1, ?2, 1, 1)",
            [uploaded, object],
        )
        .unwrap();
    let storage = tracking.reader().storage_of(&source).unwrap();
    assert_eq!(storage, format!("mlflow-artifacts:/0/{run}/artifacts/net"));
}

#[test]
fn a_logged_model_is_a_source() {
    let (_tmp, mut tracking, run, model) = world();
    let source = format!("models:/{model}");
    for asked in [None, Some(model.as_str())] {
        let version = create(&mut tracking, &new(&source, None, asked)).unwrap();
        assert_eq!(version.source, source);
        assert_eq!(version.logged_model.as_deref(), Some(model.as_str()));
        assert_eq!(version.run.as_deref(), Some(run.as_str()));
        assert_eq!(
            version.storage,
            format!("mlflow-artifacts:/0/models/{model}/artifacts")
        );
    }
    for asked in ["m-other", "m-0"] {
        let result = create(&mut tracking, &new(&source, None, Some(asked)));
        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("must identify the resource")
        );
    }
    let result = create(&mut tracking, &new("models:/m-none", None, None));
    assert!(
        result
            .unwrap_err()
            .to_string()
            .contains("must identify the resource")
    );
    let registrations = tracking
        .reader()
        .logged_model(&model)
        .unwrap()
        .registrations;
    assert_eq!(
        registrations,
        [("cats".to_owned(), 1), ("cats".to_owned(), 2)]
    );
    tracking
        .change(|w| w.delete_model_version("cats", 1, 20))
        .unwrap();
    let registrations = tracking
        .reader()
        .logged_model(&model)
        .unwrap()
        .registrations;
    assert_eq!(registrations, [("cats".to_owned(), 2)]);
}

#[test]
fn a_version_of_another_model_is_a_source() {
    let (_tmp, mut tracking, run, model) = world();
    let first = format!("models:/{model}");
    create(&mut tracking, &new(&first, None, None)).unwrap();
    tracking
        .change(|w| {
            w.set_alias("cats", "champion", 1, 11)?;
            w.transition_stage("cats", 1, "Staging", false, 12)
        })
        .unwrap();
    for source in [
        "models:/cats/1",
        "models:/cats@champion",
        "models:/cats/staging",
        "models:/cats/latest",
    ] {
        let storage = tracking.reader().storage_of(source).unwrap();
        assert!(storage.ends_with(&format!("/models/{model}/artifacts")));
    }
    let version = create(&mut tracking, &new("models:/cats@champion", None, None)).unwrap();
    assert_eq!(version.source, "models:/cats/1");
    assert_eq!(version.run.as_deref(), Some(run.as_str()));
    assert_eq!(version.logged_model.as_deref(), Some(model.as_str()));
    for (run, model) in [(Some("other"), None), (None, Some("m-other"))] {
        let result = create(&mut tracking, &new("models:/cats/1", run, model));
        refused(
            result,
            Refusal::Invalid,
            "Invalid model version source: 'models:/cats/1'. The run_id and model_id request \
             parameters must match the referenced model version.",
        );
    }
    let reader = tracking.reader();
    for (source, message) in [
        (
            "models:/cats/9",
            "Model Version (name=cats, version=9) not found",
        ),
        (
            "models:/dogs/1",
            "Model Version (name=dogs, version=1) not found",
        ),
        ("models:/cats@x", "Registered model alias x not found."),
        (
            "models:/cats/Production",
            "No versions of model with name 'cats' and stage 'Production' found",
        ),
    ] {
        let error = reader.storage_of(source).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(
        reader
            .referenced_version("models:/cats/latest")
            .unwrap()
            .version,
        2
    );
    assert!(reader.referenced_version("s3://bucket/a").is_err());
}

#[test]
fn other_places_are_taken_as_they_are() {
    let (_tmp, mut tracking, ..) = world();
    for source in ["s3://bucket/a", "https://example.org/a", "dbfs:/a"] {
        let version = create(&mut tracking, &new(source, Some("any"), None)).unwrap();
        assert_eq!(
            (version.storage.as_str(), version.run.as_deref()),
            (source, Some("any"))
        );
        assert_eq!(tracking.reader().storage_of(source).unwrap(), source);
    }
}

#[test]
fn prompts_have_no_files() {
    let (_tmp, mut tracking, ..) = world();
    let prompt = |source: &str| NewVersion {
        tags: vec![Tag::new("mlflow.prompt.is_prompt", "true")],
        ..new(source, None, None)
    };
    assert!(create(&mut tracking, &prompt("dummy-source")).is_ok());
    refused(
        create(&mut tracking, &prompt("/etc")),
        Refusal::Invalid,
        "Invalid prompt source: '/etc'. Prompt sources must use an MLflow placeholder.",
    );
}

#[test]
fn stages_change_with_or_without_the_others() {
    let (_tmp, mut tracking, ..) = world();
    for _ in 0..4 {
        create(&mut tracking, &new("s3://bucket/a", None, None)).unwrap();
    }
    let told = |tracking: &Tracking| {
        let versions = tracking.reader().versions_of("cats").unwrap();
        let told = versions
            .iter()
            .map(|v| format!("{} {}", v.stage, v.updated_ms));
        told.collect::<Vec<_>>().join(", ")
    };
    let go = |tracking: &mut Tracking, version, stage: &str, archive, now| {
        tracking.change(|w| w.transition_stage("cats", version, stage, archive, now))
    };
    go(&mut tracking, 1, "production", false, 20).unwrap();
    go(&mut tracking, 2, "Production", false, 21).unwrap();
    assert_eq!(
        told(&tracking),
        "None 10, None 10, Production 21, Production 20"
    );
    let version = go(&mut tracking, 3, "PRODUCTION", true, 22).unwrap();
    assert_eq!(version.stage, "Production");
    assert_eq!(
        told(&tracking),
        "None 10, Production 22, Archived 22, Archived 22"
    );
    // A version that is there already does not archive itself.
    go(&mut tracking, 3, "Production", true, 23).unwrap();
    assert_eq!(
        told(&tracking),
        "None 10, Production 23, Archived 22, Archived 22"
    );
    assert_eq!(
        tracking
            .reader()
            .registered_model("cats")
            .unwrap()
            .updated_ms,
        23
    );
    for stage in ["None", "Archived"] {
        assert!(go(&mut tracking, 3, stage, true, 24).is_err());
        assert!(go(&mut tracking, 3, stage, false, 24).is_ok());
    }
    refused(
        go(&mut tracking, 9, "Staging", true, 25),
        Refusal::Missing,
        "Model Version (name=cats, version=9) not found",
    );
}

#[test]
fn descriptions_and_tags_change() {
    let (_tmp, mut tracking, ..) = world();
    create(&mut tracking, &new("s3://bucket/a", None, None)).unwrap();
    let version = tracking
        .change(|w| {
            w.set_model_version_tag("cats", 1, "a", "1")?;
            w.set_model_version_tag("cats", 1, "a", "2")?;
            w.set_model_version_tag("cats", 1, "b", "3")?;
            w.delete_model_version_tag("cats", 1, "b")?;
            w.delete_model_version_tag("cats", 1, "never")?;
            w.update_model_version("cats", 1, Some("better"), 30)
        })
        .unwrap();
    assert_eq!(version.tags, [Tag::new("a", "2")]);
    assert_eq!(
        (version.description.as_deref(), version.updated_ms),
        (Some("better"), 30)
    );
    // The model itself did not change.
    assert_eq!(
        tracking
            .reader()
            .registered_model("cats")
            .unwrap()
            .updated_ms,
        10
    );
    type Work = fn(&Writing<'_>) -> Result<(), Error>;
    let works: [Work; 3] = [
        |w| w.set_model_version_tag("cats", 2, "a", "1"),
        |w| w.delete_model_version_tag("cats", 2, "a"),
        |w| w.update_model_version("cats", 2, None, 0).map(drop),
    ];
    for work in works {
        refused(
            tracking.change(work),
            Refusal::Missing,
            "Model Version (name=cats, version=2) not found",
        );
    }
    assert!(
        tracking
            .change(|w| w.set_model_version_tag("cats", 1, "a#", ""))
            .is_err()
    );
    assert!(
        tracking
            .change(|w| w.delete_model_version_tag("cats", 1, "a#"))
            .is_err()
    );
}

#[test]
fn many_are_read_in_the_order_asked_for() {
    let (_tmp, mut tracking, ..) = world();
    for _ in 0..3 {
        create(&mut tracking, &new("s3://bucket/a", None, None)).unwrap();
    }
    tracking
        .change(|w| w.set_alias("cats", "x", 2, 20))
        .unwrap();
    let keys = [3, 9, 2, 3].map(|version| ("cats".to_owned(), version));
    let versions = tracking.reader().model_versions_of(&keys).unwrap();
    let told: Vec<_> = versions
        .iter()
        .map(|v| (v.version, v.aliases.len()))
        .collect();
    assert_eq!(told, [(3, 0), (2, 1), (3, 0)]);
}
