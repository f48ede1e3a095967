//! `cvops ui user|token`, and who may do what on a running server.

use std::io::Write;
use std::process::Stdio;

use snapbox::str;

use crate::support::client::{Answer, Server, base64};
use crate::support::{Output, Project, check, mlflow, project};

impl Project {
    /// Runs cvops with this text on stdin.
    pub(crate) fn with_stdin(&self, args: &str, text: &str) -> Output {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        self.run(self.command(args).stdin(Stdio::from(file)))
    }

    /// Adds a user with the password `open sesame`.
    pub(crate) fn add_user(&self, name: &str, role: &str) {
        let args = format!("ui user add {name} --role {role} --password-stdin");
        let added = self.with_stdin(&args, "open sesame\n");
        assert!(added.stdout.contains("added"), "{}", added.transcript());
    }
}

fn empty() -> Project {
    let p = project();
    p.write("pipeline.yaml", "stages: {}\n");
    p
}

#[test]
fn users_come_and_go() {
    let p = empty();
    check(
        &p.cvops("ui user list"),
        str![[r#"
--- stderr ---
there are no users: `cvops ui` serves this machine alone, and whoever works on it; `cvops ui user add` adds one
[exit 0]
"#]],
    );
    assert!(!p.exists(".cvops/tracking.db"));
    check(
        &p.with_stdin(
            "ui user add ada --role write --password-stdin",
            "open sesame\n",
        ),
        str![[r#"
added `ada` with the role `write`
--- stderr ---
from now on `cvops ui` asks everybody who they are
[exit 0]
"#]],
    );
    check(
        &p.cvops("ui user add ada --role admin"),
        str![[r#"
--- stderr ---
error: there is a user `ada` already
 |
 = help: `cvops ui user passwd` gives another password, `cvops ui user role` another role
[exit 2]
"#]],
    );
    check(
        &p.cvops("ui user add ci --role read --no-password"),
        str![[r#"
added `ci` with the role `read`
--- stderr ---
`cvops ui token add ci` makes a token for them
[exit 0]
"#]],
    );
    check(
        &p.cvops("ui user role ci write"),
        str![[r#"
`ci` has the role `write` now
[exit 0]
"#]],
    );
    check(
        &p.cvops("ui user role cl write"),
        str![[r#"
--- stderr ---
error: there is no user `cl`
 |
 = help: did you mean `ci`?
[exit 2]
"#]],
    );
    check(
        &p.with_stdin("ui user passwd ci --password-stdin", "in other words\r\n"),
        str![[r#"
`ci` has another password now
[exit 0]
"#]],
    );
    check(
        &p.cvops("ui user list"),
        str![[r#"
name  role   password  tokens  added
ada   write  yes            0  [DATE]
ci    write  yes            0  [DATE]
[exit 0]
"#]],
    );
    let listed = p.ok("ui user list --json").json().remove(0);
    assert_eq!(listed["users"][1]["name"], "ci");
    assert!(!listed.to_string().contains("argon2"), "{listed}");
    check(
        &p.cvops("ui user rm ci nobody"),
        str![[r#"
--- stderr ---
error: there is no user `nobody`
 |
 = help: `cvops ui user list` shows the users
[exit 2]
"#]],
    );
    check(
        &p.cvops("ui user rm ci ada"),
        str![[r#"
removed `ci`
removed `ada`
--- stderr ---
no user is left: on this machine `cvops ui` is open to everybody, on the network it answers nobody
[exit 0]
"#]],
    );
}

#[test]
fn passwords_are_never_arguments_and_have_a_length() {
    let p = empty();
    check(
        &p.cvops("ui user add ada --role write"),
        str![[r#"
--- stderr ---
error: nobody can be asked for the password
 |
 = note: the input is no terminal, or `--json` was given
 = help: hand it in with `--password-stdin`, or give the user tokens only (`--no-password`)
[exit 2]
"#]],
    );
    check(
        &p.with_stdin("ui user add ada --role write --password-stdin", "sesame\n"),
        str![[r#"
--- stderr ---
error: the password is shorter than 8 characters
 |
 = help: a password has at least 8 characters; nothing was changed
[exit 2]
"#]],
    );
    let long = "x".repeat(1025);
    let rows = [
        ("open\nsesame\n", "several lines"),
        ("open sesame\n\n", "several lines"),
        ("\n", "shorter than"),
        ("", "shorter than"),
        (long.as_str(), "longer than 1024 bytes"),
    ];
    for (text, said) in rows {
        let output = p.with_stdin("ui user add ada --role write --password-stdin", text);
        assert!(output.stderr.contains(said), "{text:?}: {}", output.stderr);
    }
    check(
        &p.cvops("ui user add 'a:b' --role write --no-password"),
        str![[r#"
--- stderr ---
error: invalid value 'a:b' for '<NAME>': a user's name has letters, digits and `.`, `_`, `-`, `@`, `+`, at most 64 of them

For more information, try '--help'.
[exit 2]
"#]],
    );
    assert!(!p.exists(".cvops/tracking.db"));
}

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let p = empty();
    if std::process::Command::new("script")
        .arg("--version")
        .output()
        .is_err()
    {
        return;
    }
    // `script` gives the program a terminal; what is typed would appear in what it prints.
    let ask = |args: &str, typed: &str| {
        // Ctrl-C is for the program; the shell goes on and tells how the terminal is left.
        let program = env!("CARGO_BIN_EXE_cvops");
        let inner = format!("trap : INT; {program} {args}; echo status $?; stty -a");
        let mut command = std::process::Command::new("script");
        command
            .args([
                "--quiet",
                "--return",
                "--echo",
                "always",
                "--command",
                &inner,
                "/dev/null",
            ])
            .current_dir(p.root())
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Line by line, when it was asked for: what came before would be thrown away.
        let mut stdout = child.stdout.take().unwrap();
        let mut seen = String::new();
        for line in typed.lines() {
            let questions = seen.matches(":\r\n").count();
            while seen.matches(":\r\n").count() == questions {
                let mut some = [0; 256];
                let count = std::io::Read::read(&mut stdout, &mut some).unwrap();
                assert_ne!(count, 0, "{seen}");
                seen.push_str(&String::from_utf8_lossy(&some[..count]));
            }
            let end = if line == "\u{3}" { "" } else { "\n" };
            write!(stdin, "{line}{end}").unwrap();
        }
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
        drop(stdin);
        child.wait().unwrap();
        seen + &rest
    };
    let shown = ask("ui user add ada --role write", "open sesame\nopen sesame");
    assert!(
        shown.contains("added `ada`") && !shown.contains("sesame"),
        "{shown}"
    );
    let shown = ask("ui user passwd ada", "open sesame\nopen sesamE");
    assert!(shown.contains("the two are not the same"), "{shown}");
    let shown = ask("ui user passwd ada", "short");
    assert!(shown.contains("shorter than 8"), "{shown}");
    let shown = ask("ui user passwd ada", "\u{3}");
    assert!(
        shown.contains("status 130") && shown.contains(" echo "),
        "{shown}"
    );
}

#[test]
fn tokens_are_shown_once() {
    let p = empty();
    check(
        &p.cvops("ui token add ada"),
        str![[r#"
--- stderr ---
error: there is no user `ada`
 |
 = help: `cvops ui user list` shows the users
[exit 2]
"#]],
    );
    p.ok("ui user add ada --role write --no-password");
    let mode = std::fs::metadata(p.path(".cvops/tracking.db")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
    assert_eq!(mode & 0o007, 0, "hashes are not for everybody: {mode:o}");
    check(
        &p.cvops("ui token list"),
        str![[r#"
--- stderr ---
there are no tokens: `cvops ui token add` makes one
[exit 0]
"#]],
    );
    let made = p.ok("ui token add ada --label laptop --expires 90d");
    let token = made.stdout.trim();
    assert!(token.starts_with("cvops_") && token.len() == 49, "{token}");
    assert!(
        made.stderr.contains("it is shown this once"),
        "{}",
        made.stderr
    );
    let made = p.ok("ui token add ada --json").json().remove(0);
    assert!(
        made["expires"].is_null() && made["expired"] == false,
        "{made}"
    );
    let listed = p.ok("ui token list ada --json").json().remove(0);
    let tokens = listed["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    assert!(!listed.to_string().contains("cvops_"), "{listed}");
    let shown = p.ok("ui token list").transcript();
    assert!(shown.contains("laptop"), "{shown}");
    let id = made["id"].as_str().unwrap();
    let removed = p.ok(&format!("ui token rm {}", &id[..6]));
    assert_eq!(
        removed.stdout,
        format!("removed the token `{id}` of `ada`\n")
    );
    check(
        &p.cvops(&format!("ui token rm {id}")),
        str![[r#"
--- stderr ---
error: there is no token `[HASH]`
 |
 = help: `cvops ui token list` shows the ids of tokens; their first 4 digits do
[exit 2]
"#]],
    );
    check(
        &p.cvops("ui token add ada --expires 2y"),
        str![[r#"
--- stderr ---
error: invalid value '2y' for '--expires <TIME>': write for example `12h` or `90d`; a year at most

For more information, try '--help'.
[exit 2]
"#]],
    );
    let removed = p.ok("ui user rm ada");
    assert!(
        removed.stdout.contains("removed `ada` with 1 token\n"),
        "{}",
        removed.stdout
    );
}

/// Name and password as `Authorization: Basic`.
fn basic(name: &str, password: &str) -> String {
    let pair = base64(format!("{name}:{password}").as_bytes());
    format!("Authorization: Basic {pair}\r\n")
}

/// A new token of a user as `Authorization: Bearer`.
fn bearer(p: &Project, name: &str) -> (String, String) {
    let made = p
        .ok(&format!("ui token add {name} --json"))
        .json()
        .remove(0);
    let token = made["token"].as_str().unwrap();
    let header = format!("Authorization: Bearer {token}\r\n");
    (header, made["id"].as_str().unwrap().to_owned())
}

/// What came back: the status, and the code of an error.
fn said(answer: &Answer) -> String {
    match answer.status {
        200 => "200".to_owned(),
        status => format!("{status} {}", answer.json()["error_code"].as_str().unwrap()),
    }
}

fn look(server: &Server, headers: &str) -> Answer {
    let line = "GET /api/2.0/mlflow/experiments/get?experiment_id=0";
    server.send(line, headers, b"")
}

fn create(server: &Server, headers: &str, name: &str) -> Answer {
    let headers = format!("Content-Type: application/json\r\n{headers}");
    let body = format!(r#"{{"name": "{name}"}}"#);
    let line = "POST /api/2.0/mlflow/experiments/create";
    server.send(line, &headers, body.as_bytes())
}

#[test]
fn the_network_is_for_users_only() {
    let p = empty();
    check(
        &p.cvops("ui --host 0.0.0.0 --port 0"),
        str![[r#"
--- stderr ---
error: on `0.0.0.0` other machines reach the server, and nobody would be asked who they are
 |
 = help: add a user (`cvops ui user add NAME --role write`), or leave `--host` out and let a proxy on this machine ask
[exit 2]
"#]],
    );
    p.add_user("ada", "read");
    let server = p.ui("--host 0.0.0.0");
    let ada = basic("ada", "open sesame");
    assert_eq!(said(&look(&server, "")), "401 UNAUTHENTICATED");
    assert_eq!(said(&look(&server, &ada)), "200");
    p.ok("ui user rm ada");
    let refused = look(&server, &ada);
    assert_eq!(said(&refused), "401 UNAUTHENTICATED");
    assert_eq!(said(&look(&server, "")), "401 UNAUTHENTICATED");
}

#[test]
fn on_the_loopback_nobody_is_asked_until_there_are_users() {
    let p = empty();
    let server = p.ui("");
    assert_eq!(said(&look(&server, "")), "200");
    assert_eq!(said(&create(&server, "", "one")), "200");
    p.add_user("ada", "write");
    let refused = look(&server, "");
    assert_eq!(said(&refused), "401 UNAUTHENTICATED");
    let challenge = refused.header("WWW-Authenticate").unwrap();
    assert_eq!(challenge, r#"Basic realm="cvops", charset="UTF-8""#);
    let message = refused.json()["message"].to_string();
    assert!(message.contains("MLFLOW_TRACKING_TOKEN"), "{message}");
    for open in ["/health", "/version"] {
        assert_eq!(server.get(open).status, 200, "{open}");
    }
    for closed in ["/", "/metrics"] {
        assert_eq!(server.get(closed).status, 401, "{closed}");
    }
    assert_eq!(
        said(&create(&server, &basic("ada", "open sesame"), "two")),
        "200"
    );
    p.ok("ui user rm ada");
    assert_eq!(said(&create(&server, "", "three")), "200");
}

#[test]
fn roles_are_kept_with_passwords_and_tokens() {
    let p = empty();
    p.add_user("eve", "read");
    p.add_user("ada", "write");
    let server = p.ui("");
    let (token_of_eve, _) = bearer(&p, "eve");
    let (token_of_ada, _) = bearer(&p, "ada");
    for eve in [basic("eve", "open sesame"), token_of_eve] {
        assert_eq!(said(&look(&server, &eve)), "200");
        let refused = create(&server, &eve, "of-eve");
        assert_eq!(said(&refused), "403 PERMISSION_DENIED");
        let message = refused.json()["message"].to_string();
        assert!(message.contains("`eve` may only read"), "{message}");
        assert_eq!(refused.header("WWW-Authenticate"), None);
    }
    for (ada, name) in [(basic("ada", "open sesame"), "a"), (token_of_ada, "b")] {
        assert_eq!(said(&create(&server, &ada, name)), "200");
        let headers = format!("Content-Type: application/json\r\n{ada}");
        let line = "POST /api/2.0/mlflow/runs/create";
        let run = server
            .send(line, &headers, br#"{"experiment_id": "0"}"#)
            .json();
        assert_eq!(run["run"]["info"]["user_id"], "ada", "{run}");
    }
    p.ok("ui user role eve write");
    let eve = basic("eve", "open sesame");
    assert_eq!(said(&create(&server, &eve, "of-eve")), "200");
}

#[test]
fn what_opened_the_door_opens_it_no_more_at_once() {
    let p = empty();
    p.add_user("ada", "read");
    let server = p.ui("");
    let (token, id) = bearer(&p, "ada");
    assert_eq!(said(&look(&server, &token)), "200");
    p.ok(&format!("ui token rm {id}"));
    let refused = look(&server, &token);
    assert_eq!(said(&refused), "401 UNAUTHENTICATED");
    let challenge = refused.header("WWW-Authenticate").unwrap();
    assert!(challenge.starts_with("Bearer "), "{challenge}");

    let old = basic("ada", "open sesame");
    assert_eq!(said(&look(&server, &old)), "200");
    p.with_stdin("ui user passwd ada --password-stdin", "in other words");
    assert_eq!(said(&look(&server, &old)), "401 UNAUTHENTICATED");
    let new = basic("ada", "in other words");
    assert_eq!(said(&look(&server, &new)), "200");
    let log = p.serve_log();
    assert!(!log.contains("words") && !log.contains("sesame"), "{log}");
}

#[test]
fn wrong_passwords_must_wait() {
    let p = empty();
    p.add_user("ada", "read");
    let server = p.ui("");
    for name in ["ada", "nobody"] {
        let wrong = basic(name, "a guess at it");
        for _ in 0..4 {
            assert_eq!(
                said(&look(&server, &wrong)),
                "401 UNAUTHENTICATED",
                "{name}"
            );
        }
        let refused = look(&server, &wrong);
        assert_eq!(said(&refused), "429 REQUEST_LIMIT_EXCEEDED", "{name}");
        assert_eq!(refused.header("Retry-After"), Some("1"));
    }
    let (token, _) = bearer(&p, "ada");
    assert_eq!(said(&look(&server, &token)), "200");
    for broken in ["Basic", "Basic ???", "Basic YQ==", "Digest x", "Bearer"] {
        let header = format!("Authorization: {broken}\r\n");
        assert_eq!(
            said(&look(&server, &header)),
            "401 UNAUTHENTICATED",
            "{broken}"
        );
    }
}

#[test]
fn pages_of_other_sites_change_nothing_with_a_password_that_the_browser_knows() {
    let p = empty();
    p.add_user("ada", "write");
    let server = p.ui("--host 0.0.0.0");
    let ada = basic("ada", "open sesame");
    let rows = [
        ("", "200"),
        ("Origin: http://evil.example\r\n", "403 PERMISSION_DENIED"),
        ("Origin: null\r\n", "403 PERMISSION_DENIED"),
        ("Sec-Fetch-Site: cross-site\r\n", "403 PERMISSION_DENIED"),
        (
            "Origin: https://ml.example.org\r\nSec-Fetch-Site: same-origin\r\n",
            "200",
        ),
        (
            "Origin: https://ml.example.org\r\nX-Forwarded-Host: ml.example.org\r\n",
            "200",
        ),
    ];
    for (i, (headers, expected)) in rows.into_iter().enumerate() {
        let answer = create(&server, &format!("{ada}{headers}"), &format!("x{i}"));
        assert_eq!(said(&answer), expected, "{headers}");
    }
}

#[test]
fn the_real_client_says_who_it_is() {
    let Some(python) = mlflow::python("the real client with a password") else {
        return;
    };
    let p = empty();
    p.add_user("ada", "write");
    let server = p.ui("");
    let uri = format!("http://127.0.0.1:{}", server.port);
    let program = "import mlflow
mlflow.set_experiment('mine')
with mlflow.start_run() as run:
    mlflow.log_metric('loss', 0.5)
print(mlflow.get_run(run.info.run_id).data.metrics)";
    let ask = |variables: &[(&str, &str)]| {
        let output = mlflow::command(&python)
            .args(["-c", program])
            .env("HOME", p.home())
            .env("MLFLOW_TRACKING_URI", &uri)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        text(&output.stdout) + &text(&output.stderr)
    };
    let ada = ("MLFLOW_TRACKING_USERNAME", "ada");
    let shown = ask(&[ada, ("MLFLOW_TRACKING_PASSWORD", "open sesame")]);
    assert!(shown.contains("{'loss': 0.5}"), "{shown}");
    let shown = ask(&[ada, ("MLFLOW_TRACKING_PASSWORD", "sesame open")]);
    assert!(
        shown.contains("no user has this name and password"),
        "{shown}"
    );
    let (header, _) = bearer(&p, "ada");
    let token = header.trim().trim_start_matches("Authorization: Bearer ");
    let shown = ask(&[("MLFLOW_TRACKING_TOKEN", token)]);
    assert!(shown.contains("{'loss': 0.5}"), "{shown}");
}
