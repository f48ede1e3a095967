//! What holds for each page, whatever it shows: one table of pages, and what a browser finds on them.
//!
//! A new page gets a line in `PLACES`; the first test fails until it has one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::browser::{Browser, Page, axe, axe_colours, browser};
use crate::support::client::Server;

use super::support::{HOSTILE, HOSTILE_MODEL, Rich, empty, encoded, rich};

/// A route and the addresses by which it is looked at in a project that has everything.
struct Place {
    route: &'static str,
    urls: fn(&Rich) -> Vec<String>,
}

const fn place(route: &'static str, urls: fn(&Rich) -> Vec<String>) -> Place {
    Place { route, urls }
}

fn one(url: impl Into<String>) -> Vec<String> {
    vec![url.into()]
}

fn of_runs(rich: &Rich, rest: &str) -> Vec<String> {
    let runs = [&rich.runs[0], &rich.live, &rich.hostile];
    runs.map(|run| format!("/runs/{run}{rest}")).to_vec()
}

const PLACES: &[Place] = &[
    place("/", |_| one("/")),
    place("/pipeline", |_| one("/pipeline")),
    place("/pipeline/{*stage}", |_| one("/pipeline/train")),
    place("/runs", |rich| {
        let queries = ["", "?filter=metrics.score+%3E+0", "?filter=metrics.("];
        let mut urls = queries.map(|query| format!("/runs{query}")).to_vec();
        urls.push(format!("/runs?experiment={}", rich.experiment));
        urls
    }),
    place("/runs/{id}", |rich| of_runs(rich, "")),
    place("/runs/{id}/metrics", |rich| of_runs(rich, "/metrics")),
    place("/runs/{id}/artifacts", |rich| of_runs(rich, "/artifacts")),
    place("/runs/{id}/artifacts/{*path}", |rich| {
        let paths = [
            "images/sample.png",
            "notes/readme.md",
            "table.csv",
            "page.html",
            "config.json",
        ];
        paths
            .map(|path| format!("/runs/{}/artifacts/{path}", rich.live))
            .to_vec()
    }),
    place("/runs/{id}/images", |rich| of_runs(rich, "/images")),
    place("/runs/{id}/evaluation", |rich| {
        one(format!("/runs/{}/evaluation", rich.runs[0]))
    }),
    place("/compare", |rich| {
        let runs = [&rich.runs[0], &rich.runs[1], &rich.live, &rich.hostile];
        let query: Vec<String> = runs.iter().map(|run| format!("run={run}")).collect();
        vec![
            "/compare".to_owned(),
            format!("/compare?{}", query.join("&")),
        ]
    }),
    place("/images", |rich| {
        vec!["/images".to_owned(), format!("/images?run={}", rich.live)]
    }),
    place("/evaluation", |_| one("/evaluation")),
    place("/sweeps", |_| one("/sweeps")),
    place("/sweeps/{name}", |_| one("/sweeps/grid")),
    place("/models", |_| one("/models")),
    place("/models/{name}", |_| {
        vec![
            "/models/net".to_owned(),
            format!("/models/{}", encoded(HOSTILE_MODEL)),
        ]
    }),
    place("/models/{name}/{version}/promote", |_| {
        one("/models/net/2/promote?alias=champion")
    }),
    place("/register", |rich| {
        one(format!("/register?run={}", rich.runs[0]))
    }),
    place("/models/{name}/{version}", |_| {
        vec![
            "/models/net/1".to_owned(),
            format!("/models/{}/1", encoded(HOSTILE_MODEL)),
        ]
    }),
    place("/models/{name}/{version}/promote", |_| {
        vec![
            "/models/net/2/promote?alias=champion".to_owned(),
            format!(
                "/models/{}/1/promote?stage=Production",
                encoded(HOSTILE_MODEL)
            ),
        ]
    }),
    place("/register", |rich| {
        let of_run = format!("/register?model=net&run={}", rich.runs[0]);
        vec!["/register".to_owned(), of_run]
    }),
    place("/serving", |_| one("/serving")),
    place("/data", |_| one("/data")),
];

/// The routes of the source that are pages: no assets, no streams, no data for scripts.
fn routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui"),
        &mut routes,
    );
    routes.retain(|route| {
        !["/assets", "/ajax-api"]
            .iter()
            .any(|start| route.starts_with(start))
            && !["/live", "/log"].iter().any(|end| route.ends_with(end))
            && !["/file/", "/pictures/"]
                .iter()
                .any(|part| route.contains(part))
    });
    routes
}

fn collect(folder: &Path, routes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, routes);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // The path is the first text after the call, on its line or on the next.
            let calls = text.split("Endpoint::get(").skip(1);
            let found =
                calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
            routes.extend(found.map(str::to_owned));
        }
    }
}

#[test]
fn every_page_has_a_place_in_the_table() {
    let listed: BTreeSet<String> = PLACES.iter().map(|place| place.route.to_owned()).collect();
    let missing: Vec<String> = routes().difference(&listed).cloned().collect();
    assert!(missing.is_empty(), "no line in PLACES for {missing:?}");
}

/// Goes to every page and collects what is found wrong on it.
#[track_caller]
fn walk(
    browser: &'static Browser,
    server: &Server,
    urls: &[String],
    look: impl Fn(&Page, &str) -> String,
) {
    let mut complaints = String::new();
    for url in urls {
        let page = browser.page();
        let found = look(&page, &server.url(url));
        let errors = page.take_errors().join("\n");
        if !found.is_empty() || !errors.is_empty() {
            complaints.push_str(&format!("{url}\n{found}{errors}\n"));
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

fn urls(rich: &Rich) -> Vec<String> {
    let routes = routes();
    let places = PLACES.iter().filter(|place| routes.contains(place.route));
    places.flat_map(|place| (place.urls)(rich)).collect()
}

/// The pages that need nothing to exist.
fn plain_urls() -> Vec<String> {
    let routes = routes();
    let plain = PLACES.iter().map(|place| place.route);
    plain
        .filter(|route| routes.contains(*route) && !route.contains('{'))
        .map(str::to_owned)
        .collect()
}

/// A name for a picture of a page: of its address, runs by their names.
fn file_name(project: &str, page: &Page, look: &str) -> String {
    let name = page.eval(
        "(location.pathname + location.search.replace(/[0-9a-f]{32}/g, '')).replace(/[0-9a-f]{32}/g,
            id => /hostile|hacked|script/.test(document.title) ? 'hostile' : (document.title.split(' ')[0] ?? id))",
    );
    let name = name
        .as_str()
        .unwrap_or_default()
        .trim_matches('/')
        .to_owned();
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(plain).take(60).collect();
    let name = if name.is_empty() { "overview" } else { &name };
    format!("{project}-{name}-{look}")
}

/// Both sizes and both themes: nothing is wider than the window, nothing keeps people out.
fn looks(project: &str, page: &Page, url: &str) -> String {
    page.goto(url);
    let mut found = String::new();
    for (width, height) in [(1440, 900), (390, 844)] {
        page.set_viewport(width, height);
        for theme in ["light", "dark"] {
            page.set_theme(theme);
            let look = format!("{width}-{theme}");
            let problems = page.eval(LOOK);
            for problem in problems.as_array().into_iter().flatten() {
                found.push_str(&format!("{look}: {problem}\n"));
            }
            page.screenshot(&file_name(project, page, &look));
            // Colours differ between themes, the rest between sizes.
            match theme {
                "light" => found.push_str(&axe(page)),
                _ if width == 1440 => found.push_str(&axe_colours(page)),
                _ => {}
            }
        }
    }
    found
}

/// Returns what is wrong with how a page is built and laid out.
const LOOK: &str = "(async () => {
    // What follows the size of things has seen it.
    for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
    const problems = [];
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) {
        const wide = Array.from(document.body.querySelectorAll('*')).find(e => {
            for (let up = e.parentElement; up && up != document.body; up = up.parentElement)
                if (getComputedStyle(up).overflowX != 'visible') return false;
            return e.getBoundingClientRect().right > innerWidth + 1;
        });
        problems.push(`scrolls sideways: ${root.scrollWidth} px, ${wide?.outerHTML.slice(0, 120)}`);
    }
    const headings = Array.from(document.querySelectorAll('h1, h2, h3, h4, h5, h6'))
        .filter(h => h.checkVisibility() && !h.closest('dialog, .prose'));
    if (headings.filter(h => h.localName == 'h1').length != 1) problems.push('not one h1');
    headings.reduce((before, h) => {
        const level = Number(h.localName[1]);
        if (level > before + 1) problems.push(`heading jumps: ${h.outerHTML.slice(0, 120)}`);
        return level;
    }, 0);
    if (document.querySelector('main').innerText.trim().length < 20) problems.push('hardly a word');
    for (const element of document.querySelectorAll('main [style], main script:not([src])'))
        if (!document.documentElement.classList.contains('js')) problems.push(element.outerHTML.slice(0, 120));
    for (const table of document.querySelectorAll('table'))
        if (!table.caption) problems.push(`table without caption: ${table.outerHTML.slice(0, 120)}`);
    return problems;
})()";

#[test]
fn every_page_looks_right_with_data() {
    let Some(browser) = browser("the look of pages") else {
        return;
    };
    let rich = rich();
    walk(browser, &rich.server, &urls(&rich), |page, url| {
        looks("full", page, url)
    });
}

#[test]
fn every_page_looks_right_without_data() {
    let Some(browser) = browser("the look of empty pages") else {
        return;
    };
    let (_project, server) = empty();
    walk(browser, &server, &plain_urls(), |page, url| {
        looks("empty", page, url)
    });
}

#[test]
fn every_page_says_as_much_without_javascript_and_on_paper() {
    let Some(browser) = browser("pages without JavaScript") else {
        return;
    };
    let rich = rich();
    walk(browser, &rich.server, &urls(&rich), |page, url| {
        page.goto(url);
        let facts = "JSON.stringify([document.title, document.querySelector('h1').innerText,
            document.querySelectorAll('main table').length])";
        let with = page.eval(facts);
        page.no_javascript();
        page.goto(url);
        let without = page.eval(facts);
        let mut found = String::new();
        if with != without {
            found.push_str(&format!("{with} but without JavaScript {without}\n"));
        }
        if page.eval("document.querySelector('main').innerText.trim().length < 20") == true {
            found.push_str("without JavaScript hardly a word\n");
        }
        page.set_media("print");
        if page.eval("document.querySelector('header').checkVisibility()") == true {
            found.push_str("the frame is printed\n");
        }
        if page.eval("getComputedStyle(document.body).color") != "rgb(28, 36, 48)" {
            found.push_str("printed in other than ink\n");
        }
        if page.print_pdf().len() < 3000 {
            found.push_str("printed empty\n");
        }
        found
    });
}

/// Two questions, asked on one walk: loading the pages is what takes the time.
#[test]
fn every_table_can_be_had_as_csv_and_json_and_hostile_names_stay_text() {
    let Some(browser) = browser("tables as data and hostile names") else {
        return;
    };
    let rich = rich();
    walk(browser, &rich.server, &urls(&rich), |page, url| {
        page.goto(url);
        tables_as_data(page) + &hostile_names(page)
    });
}

/// Returns which tables of a page cannot be had as data.
fn tables_as_data(page: &Page) -> String {
    let found = page.eval(
        "(async () => {
            const problems = [];
            const links = [...new Set(Array.from(document.querySelectorAll('a[href*=\"format=\"]'), a => a.href))];
            const count = kind => links.filter(link => link.includes(`format=${kind}`)).length;
            if (count('csv') != count('json')) problems.push('not both of csv and json');
            const tables = document.querySelectorAll('main table.data').length;
            // What could not be read, such as a filter, has no data.
            if (tables && !links.length && !document.querySelector('[role=alert]')) problems.push(`${tables} tables and no link to their data`);
            for (const link of links) {
                const answer = await fetch(link);
                const text = await answer.text();
                const kind = answer.headers.get('content-type') ?? '';
                if (!answer.ok) problems.push(`${link}: ${answer.status} ${text.slice(0, 200)}`);
                else if (link.includes('format=json')) {
                    if (!kind.includes('application/json')) problems.push(`${link}: ${kind}`);
                    try { JSON.parse(text); } catch (e) { problems.push(`${link}: ${e}`); }
                } else if (!kind.includes('text/csv') || !text) problems.push(`${link}: ${kind} ${text.slice(0, 80)}`);
            }
            return problems.join('\\n');
        })()",
    );
    found.as_str().unwrap_or_default().to_owned()
}

/// Returns where a name became more than text.
fn hostile_names(page: &Page) -> String {
    let names = serde_json::json!(HOSTILE);
    let found = page.eval(&format!(
        "(() => {{
            const problems = [];
            if (document.title == 'hacked') problems.push('a script of a name ran');
            for (const e of document.querySelectorAll('img[onerror], svg[onload], script:not([src]), a[href^=\"javascript:\"]'))
                problems.push(`a name became ${{e.outerHTML.slice(0, 120)}}`);
            const names = {names};
            const text = document.body.textContent;
            for (const name of ['&lt;script', '&amp;lt;', '&quot;&#39;', '&#34;&#39;', '49 $'])
                if (text.includes(name)) problems.push(`escaped twice or run: ${{name}}`);
            // What turns the direction of letters ends with the name.
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {{
                const node = walker.currentNode;
                if (!node.data.includes('\\u202e') || !node.parentElement.checkVisibility()) continue;
                const style = getComputedStyle(node.parentElement);
                if (!style.unicodeBidi.includes('isolate') && !/block|cell|flex|grid|list/.test(style.display) && node.parentElement.localName != 'option')
                    problems.push(`turns letters around: ${{node.parentElement.outerHTML.slice(0, 120)}}`);
            }}
            return problems.join('\\n');
        }})()"
    ));
    found.as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_page_is_worked_with_the_keyboard() {
    let Some(browser) = browser("pages by keyboard") else {
        return;
    };
    let rich = rich();
    walk(browser, &rich.server, &urls(&rich), |page, url| {
        page.goto(url);
        page.eval(WATCH_FOCUS);
        page.press("Tab");
        let mut found = String::new();
        if page.eval("document.activeElement.matches('.skip')") != true {
            found.push_str("the first Tab does not lead to the skip link\n");
        }
        // Twice around: charts that come into sight on the way bring buttons. A page of a thousand
        // links is worked like one of a few hundred.
        let mut laps = 0;
        for _ in 0..400 {
            page.press("Tab");
            if page.eval("document.activeElement.matches('.skip')") == true {
                laps += 1;
                if laps == 2 || page.eval("problems(true)") == "" {
                    break;
                }
            }
        }
        let problems = page.eval(&format!("problems({})", 0 < laps));
        found.push_str(problems.as_str().unwrap_or_default());
        found
    });
}

/// Notes what gets the focus, and whether that can be seen.
const WATCH_FOCUS: &str = "
    window.seen = new Set();
    window.unseen = new Set();
    window.reachable = () => Array.from(document.querySelectorAll(
        'a[href], button, input, select, textarea, summary, [tabindex=\"0\"]')).filter(e =>
        e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0 &&
        !(e.type == 'radio' && !e.checked) && !e.closest('[inert]'));
    document.addEventListener('focusin', event => {
        const element = event.target, style = getComputedStyle(element);
        seen.add(element);
        const outlined = style.outlineStyle != 'none' && parseFloat(style.outlineWidth) > 0;
        if (!outlined && style.boxShadow == 'none') unseen.add(element);
    });
    window.problems = whole => [
        ...Array.from(unseen, e => `focus is not seen: ${e.outerHTML.slice(0, 120)}`),
        ...(whole ? reachable().filter(e => !seen.has(e)).map(e => `Tab does not reach ${e.outerHTML.slice(0, 120)}`) : []),
    ].join('\\n');
    0";
