//! `cvops config`.

use snapbox::str;

use crate::support::{check, project};

#[test]
fn settings_are_listed_with_their_origin() {
    let p = project();
    check(&p.cvops("config"), str![]);
    p.ok("init");
    p.ok("config --global core.jobs 2");
    p.ok("config set cache.type hardlink,copy");
    p.ok("config set --local cache.dir big/cache");
    check(&p.cvops("config list --show-origin"), str![]);
    check(&p.cvops("config list --md"), str![]);
    check(&p.cvops("config core.jobs"), str![]);
    check(&p.cvops("config get cache.type --json"), str![]);
    assert_eq!(
        p.ok("cache dir").stdout.trim(),
        p.path("big/cache").to_str().unwrap()
    );
}

#[test]
fn changes_keep_comments_and_can_be_taken_back() {
    let p = project();
    p.ok("init");
    let before = p.read(".cvops/config.yaml");
    check(&p.cvops("config core.jobs 4"), str![]);
    assert!(p.read(".cvops/config.yaml").starts_with(&before));
    check(&p.cvops("config --global core.jobs 3"), str![]);
    p.write(
        ".cvops/config.yaml",
        "# ours\ncore:\n  jobs: 4   # the big machine\ncache: {type: [copy]} # slow disk\n",
    );
    p.ok("config set core.jobs 8");
    p.ok("config set cache.type reflink,copy");
    assert_eq!(
        p.read(".cvops/config.yaml"),
        "# ours\ncore:\n  jobs: 8   # the big machine\ncache: {type: [reflink, copy]} # slow disk\n"
    );
    check(&p.cvops("config unset core.jobs"), str![]);
    check(&p.cvops("config unset core.jobs"), str![]);
    assert_eq!(p.ok("config core.jobs").stdout, "3\n");
    p.ok("status --help");
    p.write(".cvops/config.yaml", "core: {jbos: 4}\n");
    p.ok("config unset core.jbos");
    p.ok("config");
}

#[test]
fn mistakes_are_named_before_anything_is_written() {
    let p = project();
    p.ok("init");
    let before = p.read(".cvops/config.yaml");
    check(&p.cvops("config core.job 4"), str![]);
    check(&p.cvops("config get frobnicate"), str![]);
    check(&p.cvops("config core.jobs many"), str![]);
    check(&p.cvops("config core.jobs 0"), str![]);
    check(&p.cvops("config cache.type reflnk"), str![]);
    check(&p.cvops("config --global cache.dir here"), str![]);
    check(&p.cvops("config core.jobs 1 --local --global"), str![]);
    assert_eq!(p.read(".cvops/config.yaml"), before);
    assert!(!p.exists(".cvops/config.local.yaml"));
}

#[test]
fn outside_of_a_project_only_the_users_file_can_be_changed() {
    let p = project();
    check(&p.cvops("config core.jobs 4"), str![]);
    check(&p.cvops("config core.jobs 4 --global"), str![]);
    assert_eq!(
        std::fs::read_to_string(p.home().join(".config/cvops/config.yaml")).unwrap(),
        "core:\n  jobs: 4\n"
    );
    assert!(!p.exists(".cvops"));
}

/// Every setting is explained in docs/reference/config.md, with the same values and default.
#[test]
fn the_reference_lists_the_settings() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/config.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = reference
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let json = project().ok("config list --json").stdout;
    let listed: serde_json::Value = serde_json::from_str(&json).unwrap();
    let settings = listed["settings"].as_array().unwrap();
    let expected: Vec<String> = settings
        .iter()
        .map(|setting| {
            let text = |key: &str| setting[key].as_str().unwrap().to_owned();
            format!(
                "| `{}` | {} | {} | `{}` |",
                text("key"),
                text("meaning"),
                text("values"),
                text("default")
            )
        })
        .collect();
    assert_eq!(rows, expected);
}
