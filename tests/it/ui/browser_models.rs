//! Promoting a model by clicks.

use super::support::rich;
use crate::support::browser::browser;

#[test]
fn a_click_shows_the_difference_and_another_one_promotes() {
    let Some(browser) = browser("promoting a model by clicks") else {
        return;
    };
    let rich = rich();
    let page = browser.page();
    page.goto(&rich.server.url("/models/net/2"));
    page.click(".promotions .button.primary");
    page.wait_for("document.querySelector('.confirm')");
    assert!(page.url().ends_with("/models/net/2/promote?alias=champion"));
    assert!(page.text("#metrics").contains("accuracy"));
    assert!(page.text("#params").contains("seed"));
    page.screenshot("promote");
    // Somebody else is faster: nothing is changed, and the page says so.
    let body = "alias=champion&holder=1";
    let form = "application/x-www-form-urlencoded";
    let answer = rich
        .server
        .post("/models/net/1/promote", form, "alias=other&holder=");
    assert_eq!(answer.status, 303);
    page.click(".confirm button");
    page.wait_for("location.pathname == '/models/net' && document.querySelector('.titles')");
    assert!(page.text(".titles").contains("version 2"));
    assert!(page.text("#promotions").contains("champion"));
    page.screenshot("model");
    page.is_clean();
    // Back, by the link.
    page.click(".titles .back");
    page.wait_for("document.querySelector('.confirm')");
    let answer = rich.server.post("/models/net/1/promote", form, body);
    assert_eq!(answer.status, 409);
    page.click(".confirm button");
    page.wait_for("location.pathname == '/models/net' && document.querySelector('.titles')");
    assert!(page.text(".titles").contains("version 1"));
}
