//! The behaviour of a server, seen from its clients: raw sockets against a small app on port 0.
