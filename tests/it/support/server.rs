//! A web server inside the test: answers every request with one status.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

/// Returns a port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Answers with `status` on `port` from now on, until the test ends; port 0 takes a free one, which
/// is returned.
pub(crate) fn answer(port: u16, status: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // A client that goes away early is its own business.
            let _ = stream.read(&mut [0; 1024]);
            let head =
                format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
        }
    });
    port
}
