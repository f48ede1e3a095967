//! `cvops health`: exit 0 when a server is well, 1 with one line when not.

use std::net::TcpListener;

use snapbox::str;

use crate::support::server::{answer, free_port};
use crate::support::{Output, check, project};

/// Runs `cvops health` with `args`, in which `PORT` is the port; and takes the port out again.
fn health(port: u16, args: &str) -> Output {
    let mut output = project().cvops(&format!(
        "health {}",
        args.replace("PORT", &port.to_string())
    ));
    for text in [&mut output.stdout, &mut output.stderr] {
        *text = text.replace(&port.to_string(), "[PORT]");
    }
    output
}

#[test]
fn a_server_that_answers_2xx_is_well() {
    let port = answer(0, 204);
    check(
        &health(port, "http://127.0.0.1:PORT/x"),
        str![[r#"
--- stderr ---
`http://127.0.0.1:[PORT]/x` is well
[exit 0]
"#]],
    );
    check(
        &health(port, "--json http://127.0.0.1:PORT/x"),
        str![[r#"
{"error":null,"ok":true,"status":204,"url":"http://127.0.0.1:[PORT]/x"}
[exit 0]
"#]],
    );
    check(
        &health(port, "-q http://127.0.0.1:PORT/x"),
        str!["[exit 0]"],
    );
}

#[test]
fn any_other_answer_is_not() {
    let port = answer(0, 503);
    check(
        &health(port, "http://localhost:PORT/health/ready"),
        str![[r#"
--- stderr ---
error: `http://localhost:[PORT]/health/ready` answered 503
[exit 1]
"#]],
    );
    check(
        &health(port, "--json http://127.0.0.1:PORT/health/ready"),
        str![[r#"
{"error":"`http://127.0.0.1:[PORT]/health/ready` answered 503","ok":false,"status":503,"url":"http://127.0.0.1:[PORT]/health/ready"}
[exit 1]
"#]],
    );
    check(
        &health(answer(0, 302), "http://127.0.0.1:PORT"),
        str![[r#"
--- stderr ---
error: `http://127.0.0.1:[PORT]` answered 302
[exit 1]
"#]],
    );
}

#[test]
fn no_answer_says_why() {
    check(
        &health(free_port(), "http://127.0.0.1:PORT/x"),
        str![[r#"
--- stderr ---
error: nothing listens at `http://127.0.0.1:[PORT]/x`
[exit 1]
"#]],
    );
    check(
        &project().cvops("health http://nowhere.invalid/health"),
        str![[r#"
--- stderr ---
error: the host of `http://nowhere.invalid/health` is not known: check its spelling
[exit 1]
"#]],
    );
    // It listens and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    check(
        &health(port, "http://127.0.0.1:PORT/x --timeout 50ms"),
        str![[r#"
--- stderr ---
error: `http://127.0.0.1:[PORT]/x` did not answer within [TIME]
[exit 1]
"#]],
    );
}

#[test]
fn what_cannot_be_asked_is_a_mistake() {
    let p = project();
    check(
        &p.cvops("health https://example.org/health"),
        str![[r#"
--- stderr ---
error: `https://example.org/health` cannot be asked: TLS is not spoken here; ask the server behind the proxy: `http://example.org/health`
 |
 = help: for example `cvops health http://127.0.0.1:5001/health/ready`
[exit 2]
"#]],
    );
    check(
        &p.cvops("health localhost:5001"),
        str![[r#"
--- stderr ---
error: `localhost:5001` cannot be asked: it must start with `http://`
 |
 = help: for example `cvops health http://127.0.0.1:5001/health/ready`
[exit 2]
"#]],
    );
    check(
        &p.cvops("health http://127.0.0.1:99999/health"),
        str![[r#"
--- stderr ---
error: `http://127.0.0.1:99999/health` cannot be asked: `99999` is not a port, which is 1 to 65535
 |
 = help: for example `cvops health http://127.0.0.1:5001/health/ready`
[exit 2]
"#]],
    );
    check(
        &p.cvops("health --timeout soon"),
        str![[r#"
--- stderr ---
error: invalid value 'soon' for '--timeout <TIME>': expected a number of seconds, or for example `500ms`, `30s`, `2h`, `1h 30m`

For more information, try '--help'.
[exit 2]
"#]],
    );
}
