//! Registered models, their tags and aliases, in a database. Also helpers of the tests beside.

use crate::project::Layout;
use crate::project::personality::CVOPS;
use crate::track::entity::{RegisteredModel, Tag};
use crate::track::error::{Error, Refusal};

use super::{NewVersion, Tracking, Writing};

/// An empty record, and the folder that goes with it.
pub(super) fn tracking() -> (tempfile::TempDir, Tracking) {
    let tmp = tempfile::tempdir().unwrap();
    let tracking = Tracking::open(&Layout::new(tmp.path(), &CVOPS)).unwrap();
    (tmp, tracking)
}

/// Expects a refusal of this kind in these words.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Error>, kind: Refusal, words: &str) {
    match result {
        Err(Error::Refused { why, message }) => assert_eq!((why, message.as_str()), (kind, words)),
        other => panic!("expected a refusal, not {other:?}"),
    }
}

/// Makes `n` versions of `name`, at the times 11, 12, ….
fn with_versions(tracking: &mut Tracking, name: &str, n: i64) {
    let work = |writing: &Writing<'_>| {
        writing.create_registered_model(name, &[], None, 10)?;
        for at in 0..n {
            let new = NewVersion {
                name: name.to_owned(),
                source: "s3://bucket/model".to_owned(),
                run: None,
                tags: vec![Tag::new("n", at.to_string())],
                run_link: None,
                description: None,
                logged_model: None,
            };
            writing.create_model_version(&new, 11 + at)?;
        }
        Ok(())
    };
    tracking.change(work).unwrap();
}

#[test]
fn a_model_comes_back_as_it_was_registered() {
    let (_tmp, mut tracking) = tracking();
    let tags = [Tag::new("task", "first"), Tag::new("task", "last")];
    let model = tracking
        .change(|writing| writing.create_registered_model("cats", &tags, Some("35x35"), 5))
        .unwrap();
    assert_eq!(
        model,
        RegisteredModel {
            name: "cats".into(),
            created_ms: 5,
            updated_ms: 5,
            description: Some("35x35".into()),
            latest: vec![],
            tags: vec![Tag::new("task", "last")],
            aliases: vec![],
        }
    );
    assert_eq!(tracking.reader().registered_model("cats").unwrap(), model);
}

#[test]
fn a_name_is_taken_once_and_by_a_name() {
    let (_tmp, mut tracking) = tracking();
    let mut create =
        |name: &str| tracking.change(|writing| writing.create_registered_model(name, &[], None, 0));
    create("cats").unwrap();
    // Not the same name.
    create("Cats").unwrap();
    refused(
        create("cats"),
        Refusal::Exists,
        "Registered Model (name=cats) already exists.",
    );
    refused(
        create("a/b"),
        Refusal::Invalid,
        "Invalid model name 'a/b'. Names cannot contain '/' or ':'.",
    );
    assert_eq!(
        tracking.reader().registered_model_names().unwrap(),
        ["Cats", "cats"]
    );
}

#[test]
fn what_is_not_there_is_said_to_be_so_by_everything() {
    let (_tmp, mut tracking) = tracking();
    let missing = "Registered Model with name=x not found";
    let reader = tracking.reader();
    refused(reader.registered_model("x"), Refusal::Missing, missing);
    refused(reader.versions_of("x"), Refusal::Missing, missing);
    refused(reader.latest_versions("x", &[]), Refusal::Missing, missing);
    refused(reader.version_by_alias("x", "a"), Refusal::Missing, missing);
    assert_eq!(reader.registered_models_of(&["x".into()]).unwrap(), []);
    type Work = fn(&Writing<'_>) -> Result<(), Error>;
    let works: [Work; 6] = [
        |w| w.update_registered_model("x", None, 0).map(drop),
        |w| w.rename_registered_model("x", "y", 0).map(drop),
        |w| w.delete_registered_model("x"),
        |w| w.set_registered_model_tag("x", "k", "v"),
        |w| w.delete_registered_model_tag("x", "k"),
        |w| w.delete_alias("x", "a", 0),
    ];
    for work in works {
        refused(tracking.change(work), Refusal::Missing, missing);
    }
    refused(
        tracking.change(|w| w.set_alias("x", "a", 1, 0)),
        Refusal::Missing,
        "Model Version (name=x, version=1) not found",
    );
}

#[test]
fn a_description_changes_with_the_time() {
    let (_tmp, mut tracking) = tracking();
    with_versions(&mut tracking, "cats", 0);
    let model = tracking
        .change(|w| w.update_registered_model("cats", Some("new"), 99))
        .unwrap();
    assert_eq!(
        (
            model.description.as_deref(),
            model.created_ms,
            model.updated_ms
        ),
        (Some("new"), 10, 99)
    );
}

#[test]
fn a_renamed_model_keeps_everything() {
    let (_tmp, mut tracking) = tracking();
    with_versions(&mut tracking, "cats", 2);
    with_versions(&mut tracking, "dogs", 1);
    let model = tracking
        .change(|w| {
            w.set_registered_model_tag("cats", "k", "v")?;
            w.set_alias("cats", "champion", 1, 20)?;
            w.rename_registered_model("cats", "felines", 30)
        })
        .unwrap();
    assert_eq!((model.name.as_str(), model.updated_ms), ("felines", 30));
    assert_eq!(model.tags, [Tag::new("k", "v")]);
    assert_eq!(model.aliases, [("champion".to_owned(), 1)]);
    let versions = tracking.reader().versions_of("felines").unwrap();
    let told: Vec<_> = versions
        .iter()
        .map(|v| (v.version, v.updated_ms, v.tags.len(), v.aliases.len()))
        .collect();
    assert_eq!(told, [(2, 30, 1, 0), (1, 30, 1, 1)]);
    assert!(tracking.reader().registered_model("cats").is_err());
    refused(
        tracking.change(|w| w.rename_registered_model("felines", "dogs", 40)),
        Refusal::Exists,
        "Registered Model (name=dogs) already exists.",
    );
    refused(
        tracking.change(|w| w.rename_registered_model("felines", " ", 40)),
        Refusal::Invalid,
        "Missing value for required parameter 'new_name'.",
    );
    let same = tracking.change(|w| w.rename_registered_model("felines", "felines", 50));
    assert_eq!(same.unwrap().updated_ms, 50);
    // Numbers go on under the new name.
    let next = tracking.change(|w| {
        let new = NewVersion {
            name: "felines".into(),
            source: "s3://bucket/model".into(),
            run: None,
            tags: vec![],
            run_link: None,
            description: None,
            logged_model: None,
        };
        w.create_model_version(&new, 60)
    });
    assert_eq!(next.unwrap().version, 3);
}

#[test]
fn a_deleted_model_is_gone_with_all_that_was_its() {
    let (_tmp, mut tracking) = tracking();
    with_versions(&mut tracking, "cats", 2);
    with_versions(&mut tracking, "dogs", 1);
    tracking
        .change(|w| {
            w.set_registered_model_tag("cats", "k", "v")?;
            w.set_alias("cats", "champion", 1, 20)?;
            w.delete_registered_model("cats")
        })
        .unwrap();
    for table in [
        "registered_models WHERE name",
        "registered_model_tags WHERE model",
        "model_versions WHERE model",
        "model_version_tags WHERE model",
        "aliases WHERE model",
    ] {
        let sql = format!("SELECT count(*) FROM {table} = 'cats'");
        let left: i64 = tracking.db.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
    assert_eq!(tracking.reader().versions_of("dogs").unwrap().len(), 1);
    // A model of the same name is another one.
    with_versions(&mut tracking, "cats", 1);
    let model = tracking.reader().registered_model("cats").unwrap();
    assert_eq!((model.latest[0].version, model.aliases.len()), (1, 0));
}

#[test]
fn tags_are_replaced_and_removed() {
    let (_tmp, mut tracking) = tracking();
    with_versions(&mut tracking, "cats", 0);
    tracking
        .change(|w| {
            w.set_registered_model_tag("cats", "a", "1")?;
            w.set_registered_model_tag("cats", "b", "2")?;
            w.set_registered_model_tag("cats", "a", "3")?;
            w.delete_registered_model_tag("cats", "b")?;
            w.delete_registered_model_tag("cats", "never")
        })
        .unwrap();
    let model = tracking.reader().registered_model("cats").unwrap();
    assert_eq!(model.tags, [Tag::new("a", "3")]);
    for (key, value) in [("a//b", ""), ("", ""), ("a", "x".repeat(100_001).as_str())] {
        let result = tracking.change(|w| w.set_registered_model_tag("cats", key, value));
        assert!(result.is_err(), "{key}");
    }
    assert!(
        tracking
            .change(|w| w.delete_registered_model_tag("cats", "a//b"))
            .is_err()
    );
}

#[test]
fn an_alias_names_one_version_and_vanishes_with_it() {
    let (_tmp, mut tracking) = tracking();
    with_versions(&mut tracking, "cats", 3);
    tracking
        .change(|w| {
            w.set_alias("cats", "champion", 1, 20)?;
            w.set_alias("cats", "baseline", 1, 21)?;
            w.set_alias("cats", "champion", 2, 22)
        })
        .unwrap();
    let reader = tracking.reader();
    let version = reader.version_by_alias("cats", "champion").unwrap();
    assert_eq!(
        (version.version, version.aliases.join(",")),
        (2, "champion".into())
    );
    let model = reader.registered_model("cats").unwrap();
    assert_eq!(
        model.aliases,
        [("baseline".to_owned(), 1), ("champion".to_owned(), 2)]
    );
    assert_eq!(model.updated_ms, 22);
    for latest in ["latest", "LATEST"] {
        let version = reader.version_by_alias("cats", latest).unwrap();
        assert_eq!(version.version, 3);
    }
    // Aliases are told apart by case.
    let unknown = "Registered model alias Champion not found.";
    refused(
        reader.version_by_alias("cats", "Champion"),
        Refusal::Invalid,
        unknown,
    );
    tracking
        .change(|w| w.delete_model_version("cats", 2, 30))
        .unwrap();
    let reader = tracking.reader();
    assert!(reader.version_by_alias("cats", "champion").is_err());
    assert_eq!(reader.registered_model("cats").unwrap().aliases.len(), 1);
    tracking
        .change(|w| {
            w.delete_alias("cats", "baseline", 40)?;
            w.delete_alias("cats", "baseline", 41)
        })
        .unwrap();
    let model = tracking.reader().registered_model("cats").unwrap();
    assert_eq!((model.aliases.len(), model.updated_ms), (0, 40));
    for alias in ["latest", "v1", "a b", ""] {
        assert!(
            tracking
                .change(|w| w.set_alias("cats", alias, 1, 0))
                .is_err()
        );
    }
    refused(
        tracking.change(|w| w.set_alias("cats", "a", 2, 0)),
        Refusal::Missing,
        "Model Version (name=cats, version=2) not found",
    );
}

#[test]
fn the_latest_of_nothing_is_missing() {
    let (_tmp, mut tracking) = tracking();
    with_versions(&mut tracking, "cats", 0);
    refused(
        tracking.reader().version_by_alias("cats", "latest"),
        Refusal::Missing,
        "Latest version not found for model cats.",
    );
}

#[test]
fn the_latest_of_each_stage_is_its_highest() {
    let (_tmp, mut tracking) = tracking();
    with_versions(&mut tracking, "cats", 5);
    tracking
        .change(|w| {
            w.transition_stage("cats", 1, "Production", false, 20)?;
            w.transition_stage("cats", 3, "production", false, 20)?;
            w.transition_stage("cats", 4, "Staging", false, 20)
        })
        .unwrap();
    let reader = tracking.reader();
    let latest = |stages: &[&str]| {
        let stages: Vec<String> = stages.iter().map(ToString::to_string).collect();
        let versions = reader.latest_versions("cats", &stages)?;
        Ok(versions.iter().map(|v| v.version).collect::<Vec<_>>())
    };
    assert_eq!(latest(&[]).unwrap(), [3, 4, 5]);
    assert_eq!(latest(&["Production"]).unwrap(), [3]);
    assert_eq!(latest(&["none", "STAGING"]).unwrap(), [4, 5]);
    assert_eq!(latest(&["Archived"]).unwrap(), [] as [i64; 0]);
    refused(
        latest(&["prod"]),
        Refusal::Invalid,
        "Invalid Model Version stage: prod. Value must be one of None, Staging, Production, \
         Archived.",
    );
}

#[test]
fn many_are_read_in_the_order_asked_for() {
    let (_tmp, mut tracking) = tracking();
    for name in ["a", "b", "c"] {
        with_versions(&mut tracking, name, 2);
    }
    tracking
        .change(|w| {
            w.transition_stage("b", 1, "Staging", false, 20)?;
            w.set_alias("c", "x", 2, 20)
        })
        .unwrap();
    let names = ["c", "nobody", "b", "a"].map(str::to_owned);
    let models = tracking.reader().registered_models_of(&names).unwrap();
    let told: Vec<_> = models
        .iter()
        .map(|m| {
            let latest: Vec<_> = m
                .latest
                .iter()
                .map(|v| (v.name.as_str(), v.version))
                .collect();
            (m.name.as_str(), latest, m.aliases.len())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("c", vec![("c", 2)], 1),
            ("b", vec![("b", 1), ("b", 2)], 0),
            ("a", vec![("a", 2)], 0),
        ]
    );
}
