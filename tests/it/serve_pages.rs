//! The pages of `cvops serve`, seen with a browser: the reference of the API, and the page to drop a
//! picture on.

use crate::support::browser::{Page, axe, browser};
use crate::support::client::base64;
use crate::support::pictures::{stripes, trained_project};

/// No page is wider than its window.
#[track_caller]
fn fits(page: &Page) {
    let over = page.eval("document.documentElement.scrollWidth - innerWidth");
    assert!(over.as_f64().unwrap() <= 0.0, "{over} pixels too wide");
}

#[test]
fn the_reference_is_read_without_a_script() {
    let Some(browser) = browser("the reference of the API") else {
        return;
    };
    let p = trained_project();
    let server = p.serve_ready("");
    let page = browser.page();
    page.no_javascript();
    page.goto(&server.url("/redoc"));
    assert_eq!(page.text("h1 small"), "API reference, version 0.1.0");
    assert_eq!(page.count("script, [style]"), 0);
    let answer = server.get("/redoc");
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    page.screenshot("serve-redoc");
    // The page was loaded without, and has none.
    page.with_javascript();
    page.click("nav a[href='#post-explain']");
    assert!(page.url().ends_with("/redoc#post-explain"));
    page.screenshot("serve-redoc-explain");
    page.click("#post-explain summary");
    page.screenshot("serve-redoc-curl");
    page.is_clean();
}

#[test]
fn the_reference_fits_every_screen_and_paper() {
    let Some(browser) = browser("the looks of the reference") else {
        return;
    };
    let p = trained_project();
    let server = p.serve_ready("");
    let page = browser.page();
    page.goto(&server.url("/redoc"));
    assert_eq!(axe(&page), "");
    fits(&page);
    page.set_theme("dark");
    assert_eq!(axe(&page), "");
    page.screenshot("serve-redoc-dark");
    page.goto(&server.url("/redoc#schema-Prediction"));
    page.screenshot("serve-redoc-schema");
    page.set_viewport(390, 844);
    page.goto(&server.url("/redoc"));
    fits(&page);
    page.screenshot("serve-redoc-phone");
    assert_eq!(axe(&page), "");
    assert!(page.print_pdf().starts_with(b"%PDF"));
    page.set_media("print");
    page.screenshot("serve-redoc-print");
    page.is_clean();
}

#[test]
fn a_dropped_picture_is_explained_at_a_click() {
    let Some(browser) = browser("the page to drop a picture on") else {
        return;
    };
    let p = trained_project();
    let server = p.serve_ready("");
    let page = browser.page();
    page.goto(&server.url("/"));
    page.wait_for("document.querySelector('#model').textContent.startsWith('Model classifier')");
    let drop = |picture: &[u8]| {
        let bytes = format!(
            "Uint8Array.from(atob('{}'), c => c.charCodeAt(0))",
            base64(picture)
        );
        page.eval(&format!(
            "{{ const bag = new DataTransfer(); bag.items.add(new File([{bytes}], 'a.png', {{type: 'image/png'}})); \
             document.dispatchEvent(new DragEvent('drop', {{dataTransfer: bag, bubbles: true, cancelable: true}})); }}"
        ));
    };
    drop(&stripes(1, 3));
    page.wait_for("!document.querySelector('#result').hidden");
    assert!(
        page.text("#label").starts_with('a'),
        "{}",
        page.text("#label")
    );
    assert_eq!(page.count("#explanation[hidden]"), 1);
    page.click("#why");
    page.wait_for("document.querySelector('#heat').naturalWidth == 272");
    assert_eq!(page.count("#explanation[hidden], #why:enabled"), 0);
    assert_eq!(axe(&page), "");
    page.screenshot("serve-index");
    page.set_theme("dark");
    page.set_viewport(390, 844);
    fits(&page);
    assert_eq!(axe(&page), "");
    page.screenshot("serve-index-phone");
    // The next picture begins anew.
    drop(&stripes(0, 2));
    page.wait_for(
        "document.querySelector('#explanation').hidden && !document.querySelector('#why').disabled",
    );
    page.is_clean();
}
