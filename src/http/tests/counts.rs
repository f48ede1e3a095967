//! What is counted, and how it is told.

use super::*;

#[test]
fn requests_are_counted_by_route_and_nothing_a_client_makes_up() {
    let server = start(Limits::default());
    let ok = r#"http_requests_total{handler="/echo",method="POST",status="2xx"}"#;
    assert_eq!(server.metric(ok), Some(0.0));
    server.ask(&post("/echo", "abc"));
    server.until(ok, 1.0);
    server.until(
        r#"http_request_duration_seconds_count{handler="/echo",method="POST"}"#,
        1.0,
    );
    server.until(r#"http_request_size_bytes_sum{handler="/echo"}"#, 3.0);
    server.until(r#"http_response_size_bytes_sum{handler="/echo"}"#, 3.0);
    server.until(r#"cvops_http_requests_in_progress{handler="/echo"}"#, 0.0);
    let none = |method: &str| {
        format!(r#"http_requests_total{{handler="none",method="{method}",status="4xx"}}"#)
    };
    server.ask(&get("/first"));
    server.ask("BREW /first HTTP/1.1\r\nHost: x\r\n\r\n");
    server.until(&none("other"), 1.0);
    server.until(&none("GET"), 1.0);
    let series = |server: &TestServer| exposition(&server.registry).unwrap().lines().count();
    let before = series(&server);
    let mut client = server.connect();
    for i in 0..200 {
        client.ask(&format!("M{i} /{i} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    drop(client);
    server.until(&none("other"), 201.0);
    assert_eq!(series(&server), before);
    server.stop();
}

#[test]
fn methods_that_a_path_does_not_answer_are_counted_as_one() {
    let server = start(Limits::default());
    let counted = |method: &str, class: &str| {
        format!(r#"http_requests_total{{handler="/hello",method="{method}",status="{class}"}}"#)
    };
    let refused = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"];
    for method in refused.into_iter().chain(["HEAD", "OPTIONS"]) {
        server.ask(&format!("{method} /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    server.until(&counted("other", "4xx"), refused.len() as f64);
    // Those that it answers without being in the table have their names.
    server.until(&counted("HEAD", "2xx"), 1.0);
    server.until(&counted("OPTIONS", "2xx"), 1.0);
    let text = exposition(&server.registry).unwrap();
    for method in refused {
        let series = format!(r#"{{handler="/hello",method="{method}""#);
        assert!(!text.contains(&series), "{text}");
    }
    server.stop();
}

#[test]
fn the_exposition_has_the_type_to_the_letter() {
    let registry = Registry::new();
    Metrics::new(&registry).unwrap();
    let plain = exposition_response(&registry, None).unwrap();
    assert_eq!(
        plain.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(!plain.headers().contains_key("content-encoding"));
    let zipped = exposition_response(&registry, Some("gzip")).unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
}
