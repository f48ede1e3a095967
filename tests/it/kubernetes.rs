//! The manifests of `deploy/kubernetes`: what belongs together agrees, with each other and with what a
//! server really answers. Kubernetes' own schemas are asked by `scripts/check-monitoring.sh`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::Exit;
use crate::support::client::failed_start;
use crate::support::pictures::trained_project;
use crate::support::tls;

const FOLDER: &str = "deploy/kubernetes";
const RULES: &str = "deploy/prometheus/rules/cvops.rules.yml";
/// What a server takes at most from the end of its requests to its own: docs/guide/serving.md.
const END_S: u64 = 12;
const MADE: &str = "deploy/kubernetes/monitoring/prometheusrule.yaml";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn documents(path: &Path) -> Vec<Value> {
    let text = read(path);
    let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
    let documents = documents.collect::<Result<_, _>>();
    documents.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All resources, by kind; each folder's kustomization names all of its files.
fn resources() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for folder in [root().join(FOLDER), root().join(FOLDER).join("monitoring")] {
        let named: BTreeSet<String> =
            list(&documents(&folder.join("kustomization.yaml"))[0]["resources"])
                .iter()
                .map(|name| text(name).to_owned())
                .collect();
        let there: BTreeSet<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| Path::new(name).extension().is_some_and(|e| e == "yaml"))
            .filter(|name| name != "kustomization.yaml")
            .collect();
        assert_eq!(named, there, "{}", folder.display());
        for name in named {
            for resource in documents(&folder.join(&name)) {
                let kind = text(&resource["kind"]).to_owned();
                assert_eq!(resource["metadata"]["name"], "cvops", "{name}");
                assert_eq!(resource["metadata"]["labels"], labels(), "{name}");
                assert!(found.insert(kind, resource).is_none(), "{name}: twice");
            }
        }
    }
    found
}

/// All resources with a component, as kustomize would patch them.
fn resources_with(component: &str) -> BTreeMap<String, Value> {
    let mut all = resources();
    let path = root().join(FOLDER).join(component);
    let component = documents(&path.join("kustomization.yaml")).remove(0);
    assert_eq!(
        (&component["apiVersion"], &component["kind"]),
        (
            &json!("kustomize.config.k8s.io/v1alpha1"),
            &json!("Component")
        )
    );
    for patch in list(&component["patches"]) {
        let resource = all.get_mut(text(&patch["target"]["kind"])).unwrap();
        assert_eq!(patch["target"]["name"], resource["metadata"]["name"]);
        let operations: Vec<Value> = serde_yaml::from_str(text(&patch["patch"])).unwrap();
        for operation in &operations {
            apply(resource, operation);
        }
    }
    all
}

/// Does one step of a JSON Patch (RFC 6902), of the kinds that are used.
fn apply(resource: &mut Value, operation: &Value) {
    let (parent, key) = text(&operation["path"]).rsplit_once('/').unwrap();
    let place = resource.pointer_mut(parent);
    let value = operation["value"].clone();
    match (text(&operation["op"]), place, key) {
        ("add", Some(Value::Array(items)), "-") => items.push(value),
        ("add", Some(Value::Object(map)), _) => {
            assert!(map.insert(key.to_owned(), value).is_none(), "{operation}");
        }
        ("replace", Some(Value::Object(map)), _) => {
            assert!(map.insert(key.to_owned(), value).is_some(), "{operation}");
        }
        (_, place, _) => panic!("{operation} on {place:?}"),
    }
}

/// Returns the arguments that a component adds, with its volume at the folder `secret`.
fn added_arguments(all: &BTreeMap<String, Value>, volume: &str) -> String {
    let path = "/spec/template/spec/containers/0/args";
    let before = list(resources()["Deployment"].pointer(path).unwrap()).len();
    let pod = &all["Deployment"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut mounts = list(&container["volumeMounts"]).iter();
    let mount = mounts.find(|mount| mount["name"] == volume).unwrap();
    assert_eq!(mount["readOnly"], true);
    let there = text(&mount["mountPath"]);
    let added = list(&container["args"])[before..].iter();
    let added: Vec<String> = added
        .map(|argument| text(argument).replace(there, "secret"))
        .collect();
    added.join(" ")
}

/// What is mounted is there, and what is there is mounted.
#[track_caller]
fn assert_mounted(deployment: &Value) {
    let pod = &deployment["spec"]["template"]["spec"];
    let names = |value: &Value| -> BTreeSet<String> {
        let names = list(value).iter().map(|v| text(&v["name"]).to_owned());
        names.collect()
    };
    assert_eq!(
        names(&pod["volumes"]),
        names(&pod["containers"][0]["volumeMounts"])
    );
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "cvops"})
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn selectors_ports_and_names_agree() {
    let all = resources();
    let pod = &all["Deployment"]["spec"]["template"];
    assert_eq!(pod["metadata"]["labels"], labels());
    for (kind, path) in [
        ("Deployment", "/spec/selector/matchLabels"),
        ("Service", "/spec/selector"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ("ServiceMonitor", "/spec/selector/matchLabels"),
    ] {
        assert_eq!(all[kind].pointer(path), Some(&labels()), "{kind}");
    }
    let container = &pod["spec"]["containers"][0];
    let port = &container["ports"][0];
    assert_eq!(
        (text(&port["name"]), &port["containerPort"]),
        ("http", &json!(5001))
    );
    let args: Vec<&str> = list(&container["args"]).iter().map(text).collect();
    assert!(
        args.windows(2).any(|pair| pair == ["--port", "5001"]),
        "{args:?}"
    );
    let service = &all["Service"]["spec"]["ports"][0];
    assert_eq!(
        (text(&service["name"]), text(&service["targetPort"])),
        ("http", "http")
    );
    assert_eq!(
        all["ServiceMonitor"]["spec"]["endpoints"][0]["port"],
        "http"
    );
    let target = &all["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"];
    assert_eq!(
        target,
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "cvops"})
    );
    // Rules and dashboards ask for the job that the Operator names after the Service.
    let rules = read(&root().join(RULES));
    assert!(rules.contains("job=\"cvops\""));
    assert_mounted(&all["Deployment"]);
}

#[test]
fn keys_come_from_a_secret_and_without_them_no_server_starts() {
    let all = resources_with("keys");
    assert_mounted(&all["Deployment"]);
    let arguments = added_arguments(&all, "keys");
    let p = trained_project();
    p.write("secret/readme", "");
    // As the guide makes them.
    let key = p.ok("serve keys add web --keys secret/serve-keys.yaml");
    let key = format!("X-API-Key: {}\r\n", key.stdout.trim());
    let server = p.serve_ready(&arguments);
    assert_eq!(server.get("/models").status, 401);
    assert_eq!(server.send("GET /models", &key, b"").status, 200);
    drop(server);
    p.write("secret/serve-keys.yaml", "keys: []\n");
    assert_eq!(failed_start(&p, &arguments).exit, Exit::Code(2));
    p.remove("secret/serve-keys.yaml");
    assert_eq!(failed_start(&p, &arguments).exit, Exit::Code(2));
}

#[test]
fn a_certificate_comes_from_a_secret_and_the_probes_speak_tls() {
    let all = resources_with("tls");
    assert_mounted(&all["Deployment"]);
    let arguments = added_arguments(&all, "tls");
    let p = trained_project();
    let shown = tls::identity();
    p.write("secret/tls.crt", &shown.cert);
    p.write("secret/tls.key", &shown.key);
    let server = p.serve_ready(&arguments);
    let container = &all["Deployment"]["spec"]["template"]["spec"]["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["scheme"], "HTTPS", "{probe}");
        let line = format!("GET {}", text(&asked["path"]));
        let answer = tls::send(server.port, &shown, &line, "", b"");
        assert_eq!(answer.status, 200, "{probe}");
    }
    assert_eq!(all["Service"]["spec"]["ports"][0]["port"], 443);
}

#[test]
fn a_pod_may_do_as_little_as_the_container_of_the_compose_file() {
    let all = resources();
    let pod = &all["Deployment"]["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let whole = &pod["securityContext"];
    assert_eq!(
        (&whole["runAsNonRoot"], &whole["runAsUser"]),
        (&json!(true), &json!(1000))
    );
    assert_eq!(whole["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    let own = &container["securityContext"];
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(own["readOnlyRootFilesystem"], true);
    assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}));
    for path in [
        "/resources/requests/cpu",
        "/resources/requests/memory",
        "/resources/limits/memory",
    ] {
        assert!(container.pointer(path).is_some(), "{path}");
    }
    // The image's user.
    let image = read(&root().join("deploy/Dockerfile"));
    assert!(image.contains("\nUSER 1000\n"));
}

#[test]
fn a_server_answers_the_probes_takes_the_parameters_and_has_the_metric() {
    let all = resources();
    let pod = &all["Deployment"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let params = text(&all["ConfigMap"]["data"]["params.yaml"]);
    let p = trained_project();
    p.write("kubernetes.yaml", params);
    let server = p.serve_ready("--params kubernetes.yaml");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = text(&container[probe]["httpGet"]["path"]);
        assert_eq!(server.get(path).status, 200, "{probe}: {path}");
    }
    // A pod that waits for its model is not restarted.
    assert!(text(&container["livenessProbe"]["httpGet"]["path"]).ends_with("/live"));
    let endpoint = &all["ServiceMonitor"]["spec"]["endpoints"][0];
    let exposition = server.get(text(&endpoint["path"])).text();
    let metric = &all["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]["metric"]["name"];
    assert!(
        exposition.contains(&format!("\n{}{{", text(metric))),
        "{metric}"
    );

    let params: Value = serde_yaml::from_str(params).unwrap();
    let serve = &params["serve"];
    let drain = serve["drain_timeout_s"].as_u64().unwrap();
    let pause = list(&container["lifecycle"]["preStop"]["exec"]["command"]);
    let pause: u64 = text(&pause[1]).parse().unwrap();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(
        pause + drain + END_S < grace,
        "{pause} + {drain} + {END_S} s are not less than {grace} s"
    );
    let compose = documents(&root().join("docker-compose.yml"));
    let compose = text(&compose[0]["services"]["cvops"]["stop_grace_period"]).to_owned();
    let unit = read(&root().join("deploy/systemd/cvops.service"));
    let of_unit = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec="));
    for given in [compose.trim_end_matches('s'), of_unit.unwrap()] {
        let given: u64 = given.parse().unwrap();
        assert!(drain + END_S < given, "{given} s");
    }
    let half = list(&all["HorizontalPodAutoscaler"]["spec"]["metrics"])[0]["pods"]["target"]["averageValue"].clone();
    let half: u64 = text(&half).parse().unwrap();
    assert_eq!(2 * half, serve["batch_max"].as_u64().unwrap());
    assert!(
        serve["log"]["max_mib"].as_u64().unwrap() < 1024,
        "smaller than the volume `state`"
    );
}

/// Keys that the Operator knows, of those that are used; it has no schema that we could fetch.
#[test]
fn the_resources_of_the_operator_have_no_key_that_it_does_not_know() {
    let all = resources();
    for (kind, path, known) in [
        ("ServiceMonitor", "/spec", vec!["selector", "endpoints"]),
        (
            "ServiceMonitor",
            "/spec/endpoints/0",
            vec!["port", "path", "interval", "scrapeTimeout"],
        ),
        ("PrometheusRule", "/spec", vec!["groups"]),
    ] {
        let resource = &all[kind];
        assert_eq!(resource["apiVersion"], "monitoring.coreos.com/v1", "{kind}");
        let keys = resource
            .pointer(path)
            .and_then(Value::as_object)
            .unwrap()
            .keys();
        for key in keys {
            assert!(known.contains(&key.as_str()), "{kind}{path}: `{key}`");
        }
    }
    for group in list(&all["PrometheusRule"]["spec"]["groups"]) {
        for rule in list(&group["rules"]) {
            for key in rule.as_object().unwrap().keys() {
                let known = ["record", "alert", "expr", "for", "labels", "annotations"];
                assert!(known.contains(&key.as_str()), "`{key}`");
            }
        }
    }
}

#[test]
fn the_rules_are_those_that_promtool_tests() {
    let rules = read(&root().join(RULES));
    let groups = &rules[rules.find("\ngroups:\n").unwrap() + 1..];
    let indented = groups.lines().map(|line| {
        let indent = if line.is_empty() { "" } else { "  " };
        format!("{indent}{line}\n")
    });
    let path = root().join(MADE);
    let made = read(&path);
    let head = &made[..made.find("spec:\n").unwrap() + "spec:\n".len()];
    let expected = format!("{head}{}", indented.collect::<String>());
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        made == expected,
        "{MADE} is not what {RULES} makes; `SNAPSHOTS=overwrite cargo test --release --test it \
         kubernetes::the_rules` writes it"
    );
    let (one, other) = (
        &documents(&path)[0]["spec"],
        &documents(&root().join(RULES))[0],
    );
    assert_eq!(one, other);
}
