//! What the guard says of requests, without a server.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Mutex;

use super::*;
use crate::http::{HeaderMap, Method};
use crate::serve::access::file::KeyFile;
use crate::serve::access::key::ApiKey;

struct Door {
    access: Access,
    counted: Arc<Mutex<Vec<Rejection>>>,
    file: KeyFile,
    _dir: tempfile::TempDir,
}

fn door(limit: Option<(f64, u32)>, metrics: MetricsAccess) -> Door {
    door_at(unix_socket::Access::Owner, limit, metrics)
}

fn door_at(socket: unix_socket::Access, limit: Option<(f64, u32)>, metrics: MetricsAccess) -> Door {
    let dir = tempfile::tempdir().unwrap();
    let file = KeyFile::new(dir.path().join("keys.yaml"), "keys.yaml");
    let config = AccessConfig {
        keys: None,
        metrics,
        rate_limit: limit.map(|(per_second, burst)| RateLimit {
            per_second,
            burst: NonZeroU32::new(burst).unwrap(),
        }),
        cors: None,
    };
    let counted = Arc::new(Mutex::new(Vec::new()));
    let counting = Arc::clone(&counted);
    let source = KeySource::Project(file.clone());
    let access = Access::new(&config, socket, Some(&source), move |reason| {
        counting.lock().unwrap().push(reason);
    });
    Door {
        access: access.unwrap(),
        counted,
        file,
        _dir: dir,
    }
}

impl Door {
    fn add(&self, name: &str, scopes: &[Scope], valid: Option<Duration>) -> String {
        // Long ago, so that a short validity is over.
        let made = Timestamp::from_second(1_700_000_000).unwrap();
        let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
        let (text, key) = ApiKey::draw(name.parse().unwrap(), scopes, made, valid).unwrap();
        self.file.add(key).unwrap();
        self.access.keys.as_ref().unwrap().look();
        text
    }

    fn judge(&self, line: &str, key: &str, peer: &str) -> Verdict {
        let mut headers = HeaderMap::new();
        if !key.is_empty() {
            headers.insert("x-api-key", key.parse().unwrap());
        }
        self.judge_headers(line, &headers, peer)
    }

    fn judge_headers(&self, line: &str, headers: &HeaderMap, peer: &str) -> Verdict {
        let (method, template) = line.split_once(' ').unwrap();
        self.access.judge(&Visitor {
            method: &method.parse::<Method>().unwrap(),
            template,
            headers,
            peer: peer.parse().ok(),
            client: peer.parse().ok(),
        })
    }

    /// Returns status, code and challenge of a refusal, or who was let in.
    fn ask(&self, line: &str, key: &str) -> String {
        told(&self.judge(line, key, "192.0.2.1"))
    }
}

fn told(verdict: &Verdict) -> String {
    let challenge = verdict.headers.get(WWW_AUTHENTICATE);
    let challenge = challenge.map_or("-", |value| value.to_str().unwrap());
    match &verdict.problem {
        None => format!("in {}", verdict.who.as_deref().unwrap_or("-")),
        Some(problem) => format!(
            "{} {} {challenge}",
            problem.status.as_u16(),
            problem.code.as_str(),
        ),
    }
}

const PREDICT: &str = "POST /predict";

#[test]
fn without_keys_everything_is_open_but_what_changes_a_server() {
    let door = door(None, MetricsAccess::WithKey);
    for line in [PREDICT, "POST /feedback", "GET /metrics", "GET /models"] {
        assert_eq!(door.ask(line, "anything"), "in -", "{line}");
    }
    let load = "POST /v2/repository/models/{name}/load";
    assert_eq!(door.ask(load, ""), "403 forbidden -");
    assert_eq!(told(&door.judge(load, "", "127.0.0.1")), "in -");
    assert_eq!(told(&door.judge(load, "", "a Unix socket")), "in -");
    for (header, code) in [
        ("origin", "from_page"),
        ("forwarded", "forbidden"),
        ("via", "forbidden"),
        ("x-forwarded-for", "forbidden"),
        ("x-forwarded-host", "forbidden"),
        ("x-forwarded-proto", "forbidden"),
        ("x-real-ip", "forbidden"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header, "http://example.com".parse().unwrap());
        for peer in ["127.0.0.1", "::1", "a Unix socket"] {
            let judged = door.judge_headers(load, &headers, peer);
            assert_eq!(told(&judged), format!("403 {code} -"), "{header} {peer}");
        }
        let judged = door.judge_headers(PREDICT, &headers, "127.0.0.1");
        assert_eq!(told(&judged), "in -", "{header}");
    }
    let counted = door.counted.lock().unwrap();
    assert_eq!(*counted, [Rejection::Unauthorized; 22]);
}

#[test]
fn without_keys_a_socket_that_others_may_open_changes_no_server() {
    use unix_socket::Access::{Everyone, Group, Owner};
    let load = "POST /models/{name}/reload";
    for (socket, expected) in [
        (Owner, "in -"),
        (Group, "403 forbidden -"),
        (Everyone, "403 forbidden -"),
    ] {
        let door = door_at(socket, None, MetricsAccess::Open);
        let judged = door.judge(load, "", "a Unix socket");
        assert_eq!(told(&judged), expected, "{socket:?}");
        let judged = door.judge(PREDICT, "", "a Unix socket");
        assert_eq!(told(&judged), "in -", "{socket:?}");
        let all = door.add("all", &[Scope::Admin], None);
        let judged = door.judge(load, &all, "a Unix socket");
        assert_eq!(told(&judged), "in all", "{socket:?}");
    }
}

#[test]
fn with_a_key_everybody_is_asked_and_scopes_count() {
    let door = door(None, MetricsAccess::Open);
    let web = door.add("web", &[Scope::Predict], None);
    let all = door.add("all", &[Scope::Admin], None);
    let old = door.add("old", &[Scope::Admin], Some(Duration::from_mins(1)));
    let realm = "Bearer realm=\"cvops\"";
    for (line, key, expected) in [
        (PREDICT, "", format!("401 unauthorized {realm}")),
        (
            PREDICT,
            "cvk_no",
            format!("401 unauthorized {realm}, error=\"invalid_token\""),
        ),
        (
            PREDICT,
            &old,
            format!("401 unauthorized {realm}, error=\"invalid_token\""),
        ),
        (
            PREDICT,
            " ",
            format!("401 unauthorized {realm}, error=\"invalid_request\""),
        ),
        (PREDICT, &web, "in web".to_owned()),
        (
            "POST /feedback",
            &web,
            format!("403 forbidden {realm}, error=\"insufficient_scope\", scope=\"feedback\""),
        ),
        (
            "POST /models/{name}/reload",
            &web,
            format!("403 forbidden {realm}, error=\"insufficient_scope\", scope=\"admin\""),
        ),
        ("POST /models/{name}/reload", &all, "in all".to_owned()),
        ("POST /feedback", &all, "in all".to_owned()),
        ("GET /models", "", format!("401 unauthorized {realm}")),
        ("GET /health/ready", "", "in -".to_owned()),
        ("GET /docs", "cvk_no", "in -".to_owned()),
        ("GET /metrics", "", "in -".to_owned()),
    ] {
        assert_eq!(door.ask(line, key), expected, "{line} {key}");
    }
    let refused = door.judge("POST /feedback", &web, "192.0.2.1");
    assert_eq!(refused.who.as_deref(), Some("web"), "the log names it");
    assert_eq!(door.counted.lock().unwrap().len(), 8);
}

#[test]
fn metrics_can_be_closed() {
    let door = door(None, MetricsAccess::WithKey);
    let web = door.add("web", &[Scope::Predict], None);
    let scraper = door.add("prometheus", &[Scope::Metrics], None);
    assert!(door.ask("GET /metrics", "").starts_with("401"));
    assert!(door.ask("GET /metrics", &web).starts_with("403"));
    assert_eq!(door.ask("GET /metrics", &scraper), "in prometheus");
    assert!(door.ask(PREDICT, &scraper).starts_with("403"));
}

#[test]
fn each_key_and_each_address_has_its_own_rate() {
    let door = door(Some((0.001, 2)), MetricsAccess::Open);
    let web = door.add("web", &[Scope::Predict], None);
    let ci = door.add("ci", &[Scope::Predict], None);
    for expected in ["401", "401", "429", "429"] {
        assert!(door.ask(PREDICT, "cvk_no").starts_with(expected));
    }
    let other = door.judge(PREDICT, "cvk_no", "192.0.2.2");
    assert!(told(&other).starts_with("401"), "another address");
    for (key, expected) in [
        (&web, "in web"),
        (&web, "in web"),
        (&web, "429 rate_limit -"),
        (&ci, "in ci"),
    ] {
        assert_eq!(door.ask(PREDICT, key), expected);
    }
    let judged = door.judge(PREDICT, &web, "192.0.2.9");
    let header = |name: &str| judged.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("ratelimit-limit"), "2");
    assert_eq!(header("ratelimit-remaining"), "0");
    assert_eq!(header("ratelimit-reset"), "2000");
    assert!(judged.problem.unwrap().retry_after.is_some());
    assert_eq!(judged.who.as_deref(), Some("web"));
    for line in ["GET /health/live", "GET /metrics", "GET /version"] {
        for _ in 0..5 {
            let judged = door.judge(line, "", "192.0.2.1");
            assert_eq!(
                (told(&judged), judged.headers.len()),
                ("in -".to_owned(), 0)
            );
        }
    }
    let counted = door.counted.lock().unwrap();
    let limited = counted.iter().filter(|r| **r == Rejection::RateLimit);
    assert_eq!(limited.count(), 4);
}
