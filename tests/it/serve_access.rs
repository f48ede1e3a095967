//! Keys, scopes, rates and pages of other origins: `cvops serve keys`, and what a server makes of them.

use rustix::process::Signal;
use serde_json::{Value, json};
use snapbox::str;

use crate::support::client::{Answer, Server, connect, failed_start, receive, request};
use crate::support::pictures::{stripes, trained_project};
use crate::support::stages::wait_until;
use crate::support::{Exit, Project, check, project};

fn trained() -> Project {
    let p = trained_project();
    p.ok("init");
    p
}

fn with_params(p: &Project, more: &str) {
    let params = p.read("params.yaml") + more;
    p.write("params.yaml", params);
}

fn add(p: &Project, args: &str) -> String {
    p.ok(&format!("serve keys add {args}"))
        .stdout
        .trim()
        .to_owned()
}

fn predict(server: &Server, headers: &str) -> Answer {
    let headers = format!("Content-Type: image/png\r\n{headers}");
    server.send("POST /predict", &headers, &stripes(1, 3))
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

fn rejected(server: &Server, reason: &str) -> f64 {
    server.metric(&format!(
        "cvops_requests_rejected_total{{reason=\"{reason}\"}}"
    ))
}

#[test]
fn keys_come_and_go() {
    let p = project();
    check(
        &p.cvops("serve keys list"),
        str![[r#"
--- stderr ---
error: there is no project here that could keep keys
 |
 = help: name a file: `--keys serve-keys.yaml`, and start the server with the same
[exit 2]
"#]],
    );
    p.ok("init");
    check(
        &p.cvops("serve keys list"),
        str![[r#"
--- stderr ---
there are no keys: `cvops serve` answers whoever reaches it; `cvops serve keys add` makes one
[exit 0]
"#]],
    );
    assert!(!p.exists(".cvops/serve-keys.yaml"));
    let made = p.ok("serve keys add web --scope predict --scope feedback --expires 90d");
    let key = made.stdout.trim();
    assert!(key.starts_with("cvk_") && key.len() == 47, "{key}");
    assert!(
        made.stderr.contains("asks every request for a key"),
        "{}",
        made.stderr
    );
    let told = p.ok("serve keys add ci --json").json().remove(0);
    assert_eq!(told["scopes"], json!(["predict"]));
    assert_eq!(told["expires"], Value::Null);
    check(
        &p.cvops("serve keys list"),
        str![[r#"
name  scopes             added             valid until
web   predict, feedback  [DATE]  [DATE]
ci    predict            [DATE]
[exit 0]
"#]],
    );
    check(
        &p.cvops("serve keys add ci"),
        str![[r#"
--- stderr ---
error: there is a key `ci` already
 |
 = help: choose another name, or remove the old key: `cvops serve keys remove`
[exit 2]
"#]],
    );
    check(
        &p.cvops("serve keys remove cl"),
        str![[r#"
--- stderr ---
error: there is no key `cl`
 |
 = help: did you mean `ci`?
[exit 2]
"#]],
    );
    check(
        &p.cvops("serve keys add x --scope read"),
        str![[r#"
--- stderr ---
error: invalid value 'read' for '--scope <SCOPE>': the scopes are `predict`, `feedback`, `metrics` and `admin`, which is all of them

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("serve keys add cvk_abc"),
        str![[r#"
--- stderr ---
error: invalid value 'cvk_abc' for '<NAME>': a key's name has letters, digits and `.`, `_`, `-`, `@`, `+`, at most 64 of them, and does not begin with `cvk_`

For more information, try '--help'.
[exit 2]
"#]],
    );

    // Neither key is in the file, which is its owner's alone.
    let file = p.read(".cvops/serve-keys.yaml");
    for key in [key, told["key"].as_str().unwrap()] {
        assert!(!file.contains(&key[4..]) && !file.contains(key), "{file}");
    }
    let listed = p.ok("serve keys list --json").json().remove(0);
    assert_eq!(listed["keys"][0]["name"], "web");
    assert_eq!(listed["keys"][0]["expired"], false);
    assert!(!listed.to_string().contains("blake3"), "{listed}");
    let mode = std::fs::metadata(p.path(".cvops/serve-keys.yaml")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
    assert_eq!(mode & 0o777, 0o600);
    check(
        &p.cvops("serve keys rm web ci"),
        str![[r#"
removed the key `web`
removed the key `ci`
--- stderr ---
no key is left: a server that runs lets nobody in; one that is started now asks nobody
[exit 0]
"#]],
    );
    check(
        &p.cvops("serve keys remove web"),
        str![[r#"
--- stderr ---
error: there is no key `web`
 |
 = help: `cvops serve keys list` shows the keys
[exit 2]
"#]],
    );
}

#[test]
fn a_file_that_cannot_be_left_to_its_owner_stays_as_it_is() {
    const FILE: &str = ".cvops/serve-keys.yaml";
    let p = project();
    p.ok("init");
    add(&p, "web");
    let before = p.read(FILE);
    let mut told = None;
    for command in ["serve keys add ci", "serve keys remove web"] {
        for step in 1.. {
            // 1: the operation is not permitted.
            let mut failing = p.command(command);
            let output = p.run(failing.env("CVOPS_FAIL_AT", format!("{step}:1")));
            if output.exit == Exit::Code(0) {
                // A new file, its owner, its bytes on disk, its name.
                assert!(4 < step, "{step}");
                p.write(FILE, &before);
                break;
            }
            assert_eq!(p.read(FILE), before, "{command} {step}");
            assert!(step < 50, "{}", output.transcript());
            if output.stderr.contains("cannot be given to") {
                told = Some(output);
            }
        }
    }
    check(
        &told.unwrap(),
        str![[r#"
--- stderr ---
error: the file of keys `[ROOT]/.cvops/serve-keys.yaml` cannot be given to user [..] and group [..]: Operation not permitted (os error 1)
 |
 = help: nothing was changed: run the command as that user, or as root, so that a server can read the file as before
[exit 1]
"#]],
    );
}

#[test]
fn a_key_opens_what_its_scopes_say() {
    let p = trained();
    let (web, all) = (add(&p, "web"), add(&p, "ops --scope admin"));
    let judge = add(&p, "judge --scope feedback");
    let server = p.serve_ready("-v");
    let answer = predict(&server, "");
    assert_eq!(answer.outcome(), "401 unauthorized");
    assert_eq!(
        answer.header("WWW-Authenticate"),
        Some("Bearer realm=\"cvops\"")
    );
    assert_eq!(answer.header("Connection"), Some("close"));
    assert!(answer.json()["request_id"].is_string());
    for (headers, expected) in [
        (bearer(&web), "200 -"),
        (format!("X-API-Key: {web}\r\n"), "200 -"),
        (bearer(&all), "200 -"),
        (bearer(&judge), "403 forbidden"),
        (bearer("cvk_wrong"), "401 unauthorized"),
        (bearer(&web[..46]), "401 unauthorized"),
        (
            "Authorization: Basic YTpi\r\n".to_owned(),
            "401 unauthorized",
        ),
    ] {
        assert_eq!(predict(&server, &headers).outcome(), expected, "{headers}");
    }
    let ask = |line: &str, key: &str| server.send(line, &bearer(key), b"").outcome();
    assert_eq!(ask("GET /models", &web), "200 -");
    assert_eq!(ask("GET /model", "cvk_wrong"), "401 unauthorized");
    assert_eq!(ask("POST /feedback", &web), "403 forbidden");
    assert_ne!(ask("POST /feedback", &judge)[..3], *"403");
    // Whoever checks its health, or reads about it, needs none.
    for path in [
        "/health",
        "/health/ready",
        "/readyz",
        "/metrics",
        "/version",
        "/docs",
        "/openapi.json",
        "/",
    ] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    // A body is not read for somebody who may not ask: 100 MB are announced.
    let mut stream = server.connect();
    let head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000000\r\n\r\n";
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    let answer = receive(&mut stream);
    assert_eq!(answer.outcome(), "401 unauthorized");
    assert_eq!(rejected(&server, "unauthorized"), 8.0);
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
    // The log names keys and holds none.
    let log = p.serve_log();
    assert!(
        log.contains("key=\"web\"") && log.contains("key=\"judge\""),
        "{log}"
    );
    for key in [web, all, judge, "cvk_wrong".to_owned()] {
        assert!(!log.contains(&key), "{log}");
    }
}

#[test]
fn a_running_server_follows_the_file() {
    let p = trained();
    let server = p.serve_ready("");
    assert_eq!(predict(&server, "").status, 200, "nobody is asked");
    let web = add(&p, "web");
    wait_until("a key is asked for", || predict(&server, "").status == 401);
    assert_eq!(predict(&server, &bearer(&web)).status, 200);
    let ci = add(&p, "ci");
    wait_until("another key is known", || {
        predict(&server, &bearer(&ci)).status == 200
    });
    // A broken file changes nothing, and the log says so.
    let good = p.read(".cvops/serve-keys.yaml");
    p.write(".cvops/serve-keys.yaml", "keys: [{name: web}]\n");
    wait_until("the log tells of the broken file", || {
        p.serve_log()
            .contains("those that were read last stay valid")
    });
    assert_eq!(predict(&server, &bearer(&web)).status, 200);
    assert_eq!(predict(&server, "").status, 401);
    p.write(".cvops/serve-keys.yaml", good);
    p.ok("serve keys remove ci");
    wait_until("a removed key opens nothing", || {
        predict(&server, &bearer(&ci)).status == 401
    });
    p.ok("serve keys remove web");
    wait_until("the last key is gone", || {
        predict(&server, &bearer(&web)).status == 401
    });
    assert_eq!(predict(&server, "").status, 401, "it never opens up");
}

#[test]
fn a_first_key_that_a_running_server_cannot_read_closes_it() {
    const FILE: &str = ".cvops/serve-keys.yaml";
    let p = trained();
    let server = p.serve_ready("");
    assert_eq!(predict(&server, "").status, 200, "nobody is asked");
    p.write(FILE, "keys:\n- name: web\n");
    wait_until("everybody is asked", || {
        predict(&server, "").outcome() == "401 unauthorized"
    });
    assert_eq!(server.get("/health/ready").status, 200);
    wait_until("the log says so", || {
        p.serve_log()
            .contains("no request that needs one is answered")
    });
    assert!(!p.serve_log().contains("stay valid"));
    p.remove(FILE);
    let web = add(&p, "web");
    wait_until("the key is known", || {
        predict(&server, &bearer(&web)).status == 200
    });
    assert_eq!(predict(&server, "").status, 401);
}

#[test]
fn a_server_does_not_start_with_keys_that_it_cannot_read() {
    let p = trained();
    p.write(
        ".cvops/serve-keys.yaml",
        "keys:\n- name: web\n  scopes: [read]\n",
    );
    let broken = failed_start(&p, "");
    assert_eq!(broken.exit, Exit::Code(2));
    for problem in [
        "`keys[0].blake3` is missing",
        "`keys[0].created` is missing",
        "`keys[0].scopes` is not valid",
        ".cvops/serve-keys.yaml:2",
    ] {
        let told = broken.transcript();
        assert!(told.contains(problem), "{problem}: {told}");
    }
    p.remove(".cvops/serve-keys.yaml");
    check(
        &failed_start(&p, "--keys team.yaml"),
        str![[r#"
--- stderr ---
error: there is no file of keys `team.yaml`
 |
 = help: make a key with `cvops serve keys add NAME --keys team.yaml`, or check the path
[exit 2]
"#]],
    );
    p.write("team.yaml", "keys: []\n");
    check(
        &failed_start(&p, "--keys team.yaml"),
        str![[r#"
--- stderr ---
error: the file `team.yaml` has no key
 |
 = help: make a key with `cvops serve keys add NAME --keys team.yaml`
[exit 2]
"#]],
    );
    with_params(&p, "serve: {keys: conf/keys.yaml}\n");
    check(
        &failed_start(&p, ""),
        str![[r#"
--- stderr ---
error: there is no file of keys `conf/keys.yaml`
 |
 = help: make a key with `cvops serve keys add NAME --keys conf/keys.yaml`, or check the path
[exit 2]
"#]],
    );
    // A parameter is followed by the commands as well.
    p.write("conf/keys.yaml", "");
    let key = add(&p, "web");
    assert!(p.read("conf/keys.yaml").contains("name: web"));
    let server = p.serve_ready("");
    assert_eq!(predict(&server, "").status, 401);
    assert_eq!(predict(&server, &bearer(&key)).status, 200);
    drop(server);
    // The flag goes before it.
    let other = add(&p, "web --keys team.yaml");
    let server = p.serve_ready("--keys team.yaml");
    assert_eq!(predict(&server, &bearer(&key)).status, 401);
    assert_eq!(predict(&server, &bearer(&other)).status, 200);
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    let p = trained();
    let secret = "7JxQmT0secretsecretsecretsecretsecretsecret0";
    let key = format!("cvk_{secret}");
    for text in [
        format!("keys:\n- name: {key}\n"),
        format!("keys:\n- name: web\n  blake3: {key}\n"),
        format!("keys:\n- name: web\n  scopes: [{key}]\n"),
        format!("keys:\n- name: web\n  created: {key}\n  expires: {key}\n"),
        format!("keys:\n- {key}: web\n"),
        format!("keys:\n- {key}: web\n  {key}: web\n"),
        format!("keys:\n- name: [{key}\n"),
        format!("{key}\n"),
    ] {
        p.write(".cvops/serve-keys.yaml", &text);
        for told in [
            p.cvops("serve keys list"),
            p.cvops("serve keys list --json"),
            p.cvops("serve keys add other"),
            failed_start(&p, ""),
        ] {
            assert_eq!(told.exit, Exit::Code(2), "{}", told.transcript());
            let all = told.stdout + &told.stderr;
            assert!(!all.contains(secret), "{text}{all}");
            assert!(all.contains(".cvops/serve-keys.yaml:"), "{text}{all}");
        }
    }
    p.write(".cvops/serve-keys.yaml", "keys:\n- name: 3\n");
    check(
        &p.cvops("serve keys list"),
        str![[r#"
--- stderr ---
error: `keys[0].blake3` is missing
 |
 = note: at .cvops/serve-keys.yaml:2:3
error: `keys[0].scopes` is missing
 |
 = note: at .cvops/serve-keys.yaml:2:3
 = help: for example `scopes: [predict]`
error: `keys[0].created` is missing
 |
 = note: at .cvops/serve-keys.yaml:2:3
error: `keys[0].name` must be a text
 |
 = note: at .cvops/serve-keys.yaml:2:9: this is a whole number
[exit 2]
"#]],
    );
}

#[test]
fn metrics_may_need_a_key() {
    let p = trained();
    with_params(&p, "serve: {open_metrics: false}\n");
    let (web, scraper) = (add(&p, "web"), add(&p, "prometheus --scope metrics"));
    let server = p.serve_ready("");
    let ask = |headers: &str| server.send("GET /metrics", headers, b"");
    assert_eq!(ask("").outcome(), "401 unauthorized");
    assert_eq!(ask(&bearer(&web)).outcome(), "403 forbidden");
    assert_eq!(ask(&bearer(&scraper)).status, 200);
    assert_eq!(
        predict(&server, &bearer(&scraper)).outcome(),
        "403 forbidden"
    );
}

#[test]
fn metrics_need_the_same_key_at_an_address_of_their_own() {
    let p = trained();
    let open = "serve:\n  metrics: {listen: '127.0.0.1:0'}\n";
    let params = p.read("params.yaml");
    let (web, scraper) = (add(&p, "web"), add(&p, "prometheus --scope metrics"));
    for (keys, [nobody, wrong, right]) in [
        ("", ["200 -", "200 -", "200 -"]),
        (
            "  open_metrics: false\n",
            ["401 unauthorized", "403 forbidden", "200 -"],
        ),
    ] {
        p.write("params.yaml", format!("{params}{open}{keys}"));
        let server = p.serve_ready("");
        let url = server.listening["metrics"].as_str().unwrap();
        let port = url.rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
        let ask = |headers: &str| {
            let mut stream = connect(port);
            let request = request("GET /metrics", headers, b"");
            std::io::Write::write_all(&mut stream, &request).unwrap();
            receive(&mut stream).outcome()
        };
        assert_eq!(ask(""), nobody);
        assert_eq!(ask(&bearer(&web)), wrong);
        assert_eq!(ask(&bearer(&scraper)), right);
    }
}

#[test]
fn whoever_asks_too_often_has_to_wait() {
    let p = trained();
    with_params(&p, "serve: {rate_limit: {per_second: 0.001, burst: 3}}\n");
    let server = p.serve_ready("");
    for left in ["2", "1", "0"] {
        let answer = predict(&server, "");
        assert_eq!(
            (answer.status, answer.header("RateLimit-Remaining")),
            (200, Some(left))
        );
        assert_eq!(answer.header("RateLimit-Limit"), Some("3"));
    }
    let refused = predict(&server, "");
    assert_eq!(refused.outcome(), "429 rate_limit");
    let seconds: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((900..=1000).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("RateLimit-Remaining"), Some("0"));
    assert_eq!(refused.header("RateLimit-Reset"), Some("3000"));
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for _ in 0..5 {
            let answer = server.get(path);
            assert_eq!(
                (answer.status, answer.header("RateLimit-Limit")),
                (200, None)
            );
        }
    }
    assert_eq!(rejected(&server, "rate_limit"), 1.0);
    // A key has a bucket of its own, wherever it comes from.
    let (one, two) = (add(&p, "one"), add(&p, "two"));
    wait_until("the keys are known", || {
        predict(&server, &bearer(&one)).status == 200
    });
    wait_until("one key is used up", || {
        predict(&server, &bearer(&one)).status == 429
    });
    assert_eq!(predict(&server, &bearer(&two)).status, 200);
    assert_eq!(predict(&server, "").outcome(), "429 rate_limit");
}

#[test]
fn a_trusted_proxy_says_for_whom_it_asks_and_nobody_else_does() {
    let p = trained();
    with_params(
        &p,
        "serve: {rate_limit: {per_second: 0.001, burst: 1}, trusted_proxies: [127.0.0.1, 10.0.0.0/8]}\n",
    );
    let server = p.serve_ready("-v");
    let of = |headers: &str| predict(&server, headers).status;
    let (one, other) = (
        "X-Forwarded-For: 198.51.100.9, 192.0.2.1, 10.0.0.4\r\n",
        "Forwarded: for=192.0.2.1, for=\"[2001:db8::2]:80\"\r\n",
    );
    // Each of its clients has a bucket of its own, and so has the proxy.
    assert_eq!((of(one), of(one)), (200, 429));
    assert_eq!((of(other), of(other)), (200, 429));
    assert_eq!((of(""), of("")), (200, 429));
    // The same client, with other words before.
    assert_eq!(of("X-Forwarded-For: 203.0.113.1, 192.0.2.1\r\n"), 429);
    // What a proxy hands on changes no model.
    let third = "X-Forwarded-For: 192.0.2.3\r\n";
    let handed = server.send("POST /models/classifier/reload", third, b"");
    assert_eq!(handed.outcome(), "403 forbidden");
    wait_until("all of them are logged", || {
        let log = p.serve_log();
        [
            "client=192.0.2.1 ",
            "client=2001:db8::2 ",
            "client=127.0.0.1 ",
        ]
        .iter()
        .all(|client| log.contains(client))
    });
    drop(server);

    p.edit(
        "params.yaml",
        ", trusted_proxies: [127.0.0.1, 10.0.0.0/8]",
        "",
    );
    let server = p.serve_ready("-v");
    assert_eq!(predict(&server, one).status, 200);
    assert_eq!(predict(&server, other).status, 429);
    wait_until("it is logged", || {
        p.serve_log().contains("client=127.0.0.1 ")
    });
    assert!(!p.serve_log().contains("client=192.0.2.1"));
}

#[test]
fn pages_of_listed_origins_may_ask() {
    let p = trained();
    with_params(&p, "serve: {cors: {origins: ['https://app.example']}}\n");
    let web = add(&p, "web");
    let server = p.serve_ready("");
    let mine = "Origin: https://app.example\r\n";
    let preflight = |origin: &str| {
        let headers = format!(
            "{origin}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n"
        );
        server.send("OPTIONS /predict", &headers, b"")
    };
    let allowed = preflight(mine);
    assert_eq!(allowed.status, 204);
    let header = |name| allowed.header(name).unwrap_or("-");
    assert_eq!(header("Access-Control-Allow-Origin"), "https://app.example");
    assert_eq!(header("Access-Control-Allow-Methods"), "POST, OPTIONS");
    assert_eq!(
        header("Access-Control-Allow-Headers"),
        "authorization,content-type"
    );
    assert_eq!(header("Access-Control-Max-Age"), "600");
    let answer = predict(&server, &format!("{mine}{}", bearer(&web)));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("Access-Control-Allow-Origin"),
        Some("https://app.example")
    );
    let exposed = answer.header("Access-Control-Expose-Headers").unwrap();
    assert!(exposed.contains("x-request-id"), "{exposed}");
    let refused = predict(&server, mine);
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("Access-Control-Allow-Origin"),
        Some("https://app.example")
    );
    let other = "Origin: https://other.example\r\n";
    assert_eq!(preflight(other).header("Access-Control-Allow-Origin"), None);
    let answer = predict(&server, &format!("{other}{}", bearer(&web)));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    assert_eq!(answer.header("Vary"), Some("origin"));
}
