//! The guard and CORS, seen from clients.

use super::*;

/// Lets in whoever says `x-key: open`; names them.
fn guarded(app: App) -> App {
    app.with_guard(|visitor| {
        assert!(visitor.peer.is_some_and(|peer| peer.is_loopback()));
        let mut verdict = Verdict::default();
        let template = visitor.template.parse().unwrap();
        verdict.headers.insert("x-template", template);
        let method = visitor.method.as_str().parse().unwrap();
        verdict.headers.insert("x-method", method);
        if visitor.headers.get("x-key").is_none_or(|key| key != "open") {
            let code = ProblemCode::Other("closed");
            let problem = Problem::new(StatusCode::UNAUTHORIZED, code, "closed");
            verdict.problem = Some(problem);
        }
        verdict
    })
}

fn listed(app: App) -> App {
    let origins = ["https://app.example".parse::<Origin>().unwrap()];
    guarded(app).with_cors(Cors::new(&origins, Duration::from_mins(1), "x-template"))
}

#[test]
fn a_guard_is_asked_before_the_body() {
    let server = start_with(Limits::default(), guarded);
    // Announced, and never sent: whoever waited for it would wait for long.
    let mut client = server.connect();
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let refused = client.ask(head);
    assert_eq!((refused.status, refused.code().as_str()), (401, "closed"));
    assert_eq!(refused.header("x-template"), Some("/echo"));
    assert_eq!(refused.header("connection"), Some("close"));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    // One that expects to be asked for its body is not.
    let expecting = head.replace("Host", "Expect: 100-continue\r\nHost");
    assert_eq!(server.ask(&expecting).status, 401);

    let mut client = server.connect();
    let closed = client.ask(&get("/hello"));
    assert_eq!((closed.status, closed.header("connection")), (401, None));
    let open = get("/hello").replace("Host", "X-Key: open\r\nHost");
    let let_in = client.ask(&open);
    assert_eq!((let_in.status, let_in.body.as_str()), (200, "hello"));
    assert_eq!(let_in.header("x-template"), Some("/hello"));
    let head = client.ask(&open.replace("GET", "HEAD"));
    assert_eq!((head.status, head.header("x-method")), (200, Some("get")));
    let upload = post("/up/a/b", "abc").replace("POST", "PUT");
    let upload = server.ask(&upload.replace("Host", "X-Key: open\r\nHost"));
    assert_eq!(upload.header("x-template"), Some("/up/{*path}"));
    // What is no route needs no guard.
    assert_eq!(client.ask(&get("/nowhere")).status, 404);
    assert_eq!(client.ask(&post("/hello", "")).status, 405);
    drop(client);
    server.stop();
}

#[test]
fn a_page_of_a_listed_origin_reads_every_answer() {
    let server = start_with(Limits::default(), listed);
    let asks = |request: &str, origin: &str| {
        server.ask(&request.replace("Host", &format!("Origin: {origin}\r\nHost")))
    };
    let mine = "https://app.example";
    let preflight =
        "OPTIONS /echo HTTP/1.1\r\nAccess-Control-Request-Method: POST\r\nHost: x\r\n\r\n";
    let allowed = asks(preflight, mine);
    assert_eq!(
        (allowed.status, allowed.header("allow")),
        (204, Some("post, options"))
    );
    assert_eq!(allowed.header("access-control-allow-origin"), Some(mine));
    assert_eq!(
        allowed.header("access-control-allow-methods"),
        Some("post, options")
    );
    assert_eq!(allowed.header("access-control-max-age"), Some("60"));
    for (request, status) in [
        (get("/hello"), 401),
        (get("/hello").replace("Host", "X-Key: open\r\nHost"), 200),
        (get("/nowhere"), 404),
        (post("/hello", ""), 405),
    ] {
        let told = asks(&request, mine);
        assert_eq!(told.status, status);
        assert_eq!(told.header("access-control-allow-origin"), Some(mine));
        assert_eq!(
            told.header("access-control-expose-headers"),
            Some("x-template")
        );
        assert_eq!(told.header("vary"), Some("origin"));
        let other = asks(&request, "https://other.example");
        assert_eq!(other.status, status);
        assert_eq!(other.header("access-control-allow-origin"), None);
        assert_eq!(other.header("vary"), Some("origin"));
    }
    let refused = asks(preflight, "https://other.example");
    assert_eq!(
        (refused.status, refused.header("allow")),
        (204, Some("post, options"))
    );
    assert_eq!(refused.header("access-control-allow-methods"), None);
    server.stop();
}
