//! The driver of the browser itself, on small pages that a thread of the test serves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use crate::support::browser::{Page, axe, browser};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'";

/// Serves a page at `/` and its script at `/page.js` until the test ends; all else is not found.
fn serve(html: &'static str, script: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
            let line = head.next().unwrap_or_default();
            // All of it is read, or the connection would be reset.
            let _ = head.find(String::is_empty);
            let (status, kind, body) = match line.split(' ').nth(1) {
                Some("/") => ("200 OK", "text/html; charset=utf-8", html),
                Some("/page.js") => ("200 OK", "text/javascript", script),
                Some("/favicon.ico") => ("204 No Content", "text/plain", ""),
                _ => ("404 Not Found", "text/plain", "nothing"),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Security-Policy: {POLICY}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://127.0.0.1:{port}/")
}

/// Opens a page at once, or says why not.
fn open(what: &str, html: &'static str, script: &'static str) -> Option<Page> {
    let page = browser(what)?.page();
    page.goto(&serve(html, script));
    Some(page)
}

const GOOD: &str = "<!doctype html><html lang=en><title>Good</title><main><h1>Hello  there</h1>
    <noscript>no script</noscript><button>Press</button>
    <label>Name <input></label><p id=said></p><p id=tall></p></main>
    <script type=module src=/page.js></script>";
const GOOD_SCRIPT: &str = "
    const said = document.querySelector('#said');
    document.querySelector('button').onclick = e => said.textContent = `clicked ${e.isTrusted}`;
    document.querySelector('input').onkeydown = e => { if (e.key == 'Enter') said.textContent = e.target.value; };
    document.onwheel = e => said.textContent = `wheel ${e.deltaY}`;
    document.querySelector('h1').onmousedown = e => document.onmouseup = f => said.textContent = `dragged ${f.clientX - e.clientX}`;
    document.querySelector('#tall').style.height = '3000px';
    await new Promise(done => setTimeout(done, 1));
    document.querySelector('h1').append('!');";

#[test]
fn hands_and_eyes() {
    let Some(page) = open("the browser's hands", GOOD, GOOD_SCRIPT) else {
        return;
    };
    page.wait_for("document.querySelector('h1').textContent.endsWith('!')");
    assert_eq!(page.text("h1"), "Hello there!");
    assert_eq!(page.count("p"), 2);
    page.click("button");
    assert_eq!(page.text("#said"), "clicked true");
    page.click("input");
    page.type_text("Aé/ 1");
    page.press("Enter");
    assert_eq!(page.text("#said"), "Aé/ 1");
    page.press("Shift+Tab");
    assert_eq!(page.eval("document.activeElement.localName"), "button");
    page.drag("h1", 30.0, 5.0);
    assert_eq!(page.text("#said"), "dragged 30");
    page.hover("h1");
    assert_eq!(page.count("h1:hover"), 1);
    page.hover_at(1.0, 1.0);
    assert_eq!(page.count("h1:hover"), 0);
    page.wheel("h1", 120.0);
    page.wait_for("document.querySelector('#said').textContent == 'wheel 120'");
    page.wait_for("scrollY > 0");
    assert_eq!(
        page.eval("Promise.resolve({a: [1, 'x']})").to_string(),
        r#"{"a":[1,"x"]}"#
    );
    assert_eq!(page.eval("document.visibilityState"), "visible");
    page.is_clean();
}

#[test]
fn looks() {
    let Some(page) = open("the browser's looks", GOOD, GOOD_SCRIPT) else {
        return;
    };
    let is = |query: &str| page.eval(&format!("matchMedia('{query}').matches")) == true;
    assert!(is("(prefers-color-scheme: light)") && is("screen"));
    page.set_theme("dark");
    page.set_media("print");
    assert!(is("(prefers-color-scheme: dark)") && is("print"));
    assert_eq!(page.eval("innerWidth"), 1440);
    page.set_viewport(390, 844);
    assert_eq!(page.eval("innerWidth"), 390);
    page.screenshot("browser-driver");
    assert!(page.print_pdf().starts_with(b"%PDF"));
    assert!(page.bytes_received() > 1000);
    assert!(page.metric("Nodes") > 5.0);
    page.collect_garbage();
    page.no_javascript();
    let url = page.url();
    page.goto(&url);
    assert_eq!(page.text("h1"), "Hello there");
    assert_eq!(page.text("noscript"), "no script");
    page.is_clean();
}

#[test]
fn faults_are_noticed() {
    let html = "<!doctype html><html lang=en><title>Bad</title><main><h1>Bad</h1><img src=data:,x>
        <script>alert(1)</script><p style='color:red'>x</p><input></main>
        <script type=module src=/page.js></script><script type=module src=/gone.js></script>";
    let script =
        "console.error('wrong', 1); alert('boo'); Promise.reject(new Error('lost')); null.x";
    let Some(page) = open("the faults of a page", html, script) else {
        return;
    };
    let errors = page.take_errors().join("\n");
    for sign in [
        "console: wrong 1",
        "dialog: boo",
        "Error: lost",
        "TypeError: Cannot read properties of null",
        "gone.js",
        "404",
        "inline script violates",
        "inline style violates",
        "img-src",
    ] {
        assert!(errors.contains(sign), "no `{sign}` in\n{errors}");
    }
    page.is_clean();
    let found = axe(&page);
    assert!(found.is_empty() || found.contains("label"), "{found}");
    assert_eq!(
        std::env::var_os("CVOPS_TEST_AXE").is_none(),
        found.is_empty()
    );
}
