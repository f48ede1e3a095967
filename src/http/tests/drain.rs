//! The end of a server: what is in flight, who has connected, the deadline.

use super::*;

#[test]
fn a_drain_finishes_what_is_in_flight() {
    let server = start(Limits::default());
    let mut idle = server.connect();
    assert_eq!(idle.ask(&get("/hello")).status, 200);
    let mut client = server.connect();
    client.send(&get("/slow"));
    server.reached.recv_timeout(PATIENCE).unwrap();
    server.cancel.request(CancelReason::Terminated);
    server.draining.recv_timeout(PATIENCE).unwrap();
    // Idle connections end at once, although the drain is not over.
    assert!(idle.is_closed());
    server.release.notify_one();
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
    assert!(client.is_closed());
    let addr = server.addr;
    assert_eq!(
        server.ended.join().unwrap(),
        Drained {
            finished: 1,
            aborted: 0
        }
    );
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn who_has_connected_before_the_end_is_answered() {
    let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = bound.addr();
    // They stand in the system's queue, their requests sent, when the server hears that it is to end.
    let mut clients: Vec<Client> = (0..20).map(|_| Client::to(addr)).collect();
    for client in &mut clients {
        client.send(&get("/hello"));
    }
    let cancel = Cancel::new();
    cancel.request(CancelReason::Terminated);
    let server = start_at(bound, Listener::from, cancel, Limits::default(), |app| app);
    for client in &mut clients {
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
        assert!(client.is_closed());
    }
    assert_eq!(
        server.ended.join().unwrap(),
        Drained {
            finished: 20,
            aborted: 0
        }
    );
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_drain_has_a_deadline_and_a_second_signal_ends_it() {
    let cut_off = Drained {
        finished: 0,
        aborted: 1,
    };
    let server = start(Limits {
        drain_timeout: Duration::from_millis(20),
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/slow"));
    server.reached.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.stop(), cut_off);
    assert!(client.is_closed());

    let server = start(Limits {
        drain_timeout: Duration::from_hours(1),
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(&get("/slow"));
    server.reached.recv_timeout(PATIENCE).unwrap();
    server.cancel.request(CancelReason::Interrupted);
    server.draining.recv_timeout(PATIENCE).unwrap();
    server.cancel.request(CancelReason::SecondInterrupt);
    assert_eq!(server.ended.join().unwrap(), cut_off);
    assert!(client.is_closed());
}
