//! What stands around every page: assets, refusals, policies.

use crate::support::project;

#[test]
fn a_page_says_what_a_browser_may_do_with_it() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let page = server.get("/");
    assert_eq!(page.status, 200);
    let policy = page
        .header("content-security-policy")
        .unwrap_or_default()
        .to_owned();
    assert!(
        policy.contains("script-src 'self'; style-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let text = page.text();
    assert!(
        !text.contains("<script>") && !text.contains(" style="),
        "{text}"
    );
}

#[test]
fn people_are_refused_in_a_page_and_programs_in_json() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let page = server.get("/nothing/%3Cscript%3E");
    assert_eq!(page.status, 404);
    let text = page.text();
    assert!(
        text.contains("there is no") && !text.contains("<script>"),
        "{text}"
    );
    assert!(page.header("content-security-policy").is_some());
    let program = server.get("/api/2.0/nothing");
    assert_eq!(program.json()["error_code"], "ENDPOINT_NOT_FOUND");
}

#[test]
fn an_asset_is_sent_once() {
    let p = project();
    p.ok("init");
    let server = p.ui("");
    let sheet = server.get("/assets/cvops.css");
    assert_eq!(
        sheet.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    let tag = sheet.header("etag").unwrap_or_default().to_owned();
    let again = server.send(
        "GET /assets/cvops.css",
        &format!("If-None-Match: {tag}\r\n"),
        b"",
    );
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(server.get("/assets/..%2fmod.rs").status, 404);
    assert_eq!(server.get("/assets/nothing.js").status, 404);
}
