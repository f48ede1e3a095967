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
    check(&health(port, "http://127.0.0.1:PORT/x"), str![[]]);
    check(&health(port, "--json http://127.0.0.1:PORT/x"), str![[]]);
    check(&health(port, "-q http://127.0.0.1:PORT/x"), str![[]]);
}

#[test]
fn any_other_answer_is_not() {
    let port = answer(0, 503);
    check(
        &health(port, "http://localhost:PORT/health/ready"),
        str![[]],
    );
    check(
        &health(port, "--json http://127.0.0.1:PORT/health/ready"),
        str![[]],
    );
    check(&health(answer(0, 302), "http://127.0.0.1:PORT"), str![[]]);
}

#[test]
fn no_answer_says_why() {
    check(&health(free_port(), "http://127.0.0.1:PORT/x"), str![[]]);
    // It listens and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    check(
        &health(port, "http://127.0.0.1:PORT/x --timeout 50ms"),
        str![[]],
    );
}

#[test]
fn what_cannot_be_asked_is_a_mistake() {
    let p = project();
    check(&p.cvops("health https://example.org/health"), str![[]]);
    check(&p.cvops("health localhost:5001"), str![[]]);
    check(&p.cvops("health --timeout soon"), str![[]]);
}
