//! Connections beyond the limit, seen from clients: probes are answered, everybody else is told.

use super::*;

const OPEN: &str = "cvops_http_connections";

/// A server with one place, and a route that is answered beyond it.
fn start_small(spare_timeout: Duration) -> TestServer {
    let limits = Limits {
        connections_max: 1,
        spare_timeout,
        ..Limits::default()
    };
    start_with(limits, |app| {
        let routes = vec![Route::probe("/probe"), Route::post("/hello", 10)];
        let filter = warp::path!(String).map(|name: String| name);
        App::new(RouteTable::new(routes), filter, render, &app.metrics)
    })
}

#[test]
fn beyond_the_limit_probes_are_answered_and_nothing_else() {
    let server = start_small(Duration::from_hours(1));
    let mut first = server.connect();
    assert_eq!(first.ask(&post("/hello", "")).status, 200);
    let mut probe = server.connect();
    let answer = probe.ask(&get("/probe"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "probe"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(probe.is_closed());
    let head = server.ask(&get("/probe").replace("GET", "HEAD"));
    assert_eq!(head.status, 200);
    for other in [
        post("/hello", ""),
        get("/nowhere"),
        get("/probe").replace("GET", "OPTIONS"),
        post("/probe", ""),
    ] {
        let mut client = server.connect();
        let refused = client.ask(&other);
        let told = (refused.status, refused.code());
        assert_eq!(told, (503, "connections_limit".to_owned()), "{other}");
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(client.is_closed());
    }
    // Who has a place keeps it.
    let again = first.ask(&post("/hello", ""));
    assert_eq!((again.status, again.header("connection")), (200, None));
    drop(first);
    server.stop();
}

#[test]
fn a_client_gets_a_place_that_has_become_free() {
    let server = start_small(Duration::from_hours(1));
    let first = server.connect();
    server.until(OPEN, 1.0);
    let mut second = server.connect();
    server.until(OPEN, 2.0);
    drop(first);
    server.until(OPEN, 1.0);
    let answer = second.ask(&post("/hello", ""));
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    // It has the only place now.
    assert_eq!(server.ask(&post("/hello", "")).status, 503);
    assert_eq!(second.ask(&post("/hello", "")).status, 200);
    drop(second);
    server.stop();
}

#[test]
fn nobody_stays_beyond_the_limit() {
    let server = start_small(Duration::ZERO);
    let mut first = server.connect();
    assert_eq!(first.ask(&post("/hello", "")).status, 200);
    let mut silent = server.connect();
    assert!(silent.is_closed());
    assert_eq!(first.ask(&post("/hello", "")).status, 200);
    drop(first);
    server.stop();
}
