//! Clients that send slowly, take nothing, or wait for their turn.

use super::*;

fn short() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(50),
        body_timeout: Duration::from_millis(50),
        ..Limits::default()
    }
}

/// Reads to the end of the connection, or until it breaks; returns whether all of `/long` came.
fn is_whole(mut client: Client) -> bool {
    let mut end = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.stream.read(&mut buffer) {
        end.extend_from_slice(&buffer[count.saturating_sub(5)..count]);
        end.drain(..end.len().saturating_sub(5));
    }
    end == b"0\r\n\r\n"
}

#[test]
fn slow_clients_are_told_and_left() {
    let server = start(short());
    let mut client = server.connect();
    let body = client.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!((body.status, body.code().as_str()), (408, "body_timeout"));
    assert_eq!(body.header("connection"), Some("close"));

    let mut client = server.connect();
    let head = client.ask("GET /hello HTTP/1.1\r\nHos");
    assert_eq!(
        (head.status, head.header("connection")),
        (408, Some("close"))
    );
    assert!(head.header("x-request-id").is_some());
    assert!(client.is_closed());

    // One that says nothing is left without a word.
    assert!(server.connect().is_closed());
    server.stop();
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let server = start(Limits {
        stall_timeout: Duration::ZERO,
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/long"));
    // The server is done with it although nothing was read.
    server.until(
        r#"http_requests_total{handler="/long",method="GET",status="2xx"}"#,
        1.0,
    );
    assert!(!is_whole(client));
    // Short answers find room, whatever the patience.
    assert_eq!(server.ask(&get("/hello")).status, 200);
    server.stop();

    let server = start(Limits::default());
    let mut client = server.connect();
    client.send(&get("/long").replace("Host: x", "Host: x\r\nConnection: close"));
    assert!(is_whole(client));
    server.stop();
}

#[test]
fn a_client_that_takes_nothing_holds_up_no_drain() {
    let server = start(Limits {
        stall_timeout: Duration::from_hours(1),
        drain_stall_timeout: Duration::ZERO,
        drain_timeout: Duration::from_hours(1),
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/long"));
    server.until(r#"cvops_http_requests_in_progress{handler="/long"}"#, 1.0);
    let given_up = Drained {
        finished: 1,
        aborted: 0,
    };
    assert_eq!(server.stop(), given_up);
    assert!(!is_whole(client));
}

#[test]
fn connections_beyond_the_limit_wait_their_turn() {
    let server = start(Limits {
        connections_max: 1,
        ..Limits::default()
    });
    let mut first = server.connect();
    assert_eq!(first.ask(&get("/hello")).status, 200);
    let mut second = server.connect();
    second.send(&get("/hello"));
    assert_eq!(first.ask(&get("/hello")).status, 200);
    assert_eq!(server.metric("cvops_http_connections"), Some(1.0));
    drop(first);
    assert_eq!(second.answer(false).status, 200);
    drop(second);
    server.stop();
}
