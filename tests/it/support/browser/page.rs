//! One page: where it goes, what is done on it, what it shows and what went wrong.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};

use super::connection::{Connection, PATIENCE};
use super::keys::Key;
use crate::support::stages::wait_until;

/// A page in a browser context of its own.
pub(crate) struct Page {
    connection: &'static Connection,
    context: String,
    session: String,
    events: Receiver<Value>,
    errors: RefCell<Vec<String>>,
    /// The URLs of requests, by their ids, for messages.
    requests: RefCell<std::collections::BTreeMap<String, String>>,
    bytes_received: Cell<u64>,
    media: RefCell<(String, String)>,
}

impl Page {
    pub(super) fn open(connection: &'static Connection, context: String, session: String) -> Page {
        let page = Page {
            events: connection.events(&session),
            connection,
            context,
            session,
            errors: RefCell::default(),
            requests: RefCell::default(),
            bytes_received: Cell::new(0),
            media: RefCell::new((String::new(), "light".to_owned())),
        };
        for domain in ["Page", "Runtime", "Log", "Network", "Performance"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.call("Page.setLifecycleEventsEnabled", &json!({"enabled": true}));
        page.call(
            "Emulation.setFocusEmulationEnabled",
            &json!({"enabled": true}),
        );
        page.set_viewport(1440, 900);
        page.emulate_media();
        page
    }

    /// Goes to a URL and waits until the page has loaded with all its scripts, styles and pictures.
    #[track_caller]
    pub(crate) fn goto(&self, url: &str) {
        self.bytes_received.set(0);
        let answer = self.call("Page.navigate", &json!({"url": url}));
        if let Some(error) = answer["errorText"].as_str() {
            panic!("{url}: {error}");
        }
        // Without a loader the page stays and only its fragment changes.
        if let Some(loader) = answer["loaderId"].as_str() {
            self.wait_for_load(url, loader);
        }
    }

    #[track_caller]
    fn wait_for_load(&self, url: &str, loader: &str) {
        let begin = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let event = self.events.recv_timeout(left);
            let event =
                event.unwrap_or_else(|_| panic!("{url} has not loaded within {PATIENCE:?}"));
            self.note(&event);
            let params = &event["params"];
            if event["method"] == "Page.lifecycleEvent"
                && params["name"] == "load"
                && params["loaderId"] == loader
            {
                return;
            }
        }
    }

    /// Returns the value of an expression; a promise is waited for, an exception fails the test.
    #[track_caller]
    pub(crate) fn eval(&self, script: &str) -> Value {
        let begin: String = script.chars().take(200).collect();
        self.try_eval(script)
            .unwrap_or_else(|e| panic!("{begin}\n{e}"))
    }

    fn try_eval(&self, script: &str) -> Result<Value, String> {
        let params = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut answer = self.try_call("Runtime.evaluate", &params)?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].take()),
            exception => Err(exception_text(exception)),
        }
    }

    /// Waits until an expression is true. It may navigate, or throw for want of an element, before.
    #[track_caller]
    pub(crate) fn wait_for(&self, condition: &str) {
        let what = format!("`{condition}` holds at {}", self.url());
        // Truthy, like a condition of JavaScript; a promise is not taken for one.
        let script = format!("Promise.resolve({condition}).then(Boolean)");
        wait_until(&what, || self.try_eval(&script) == Ok(Value::Bool(true)));
    }

    /// Returns the page's URL.
    pub(crate) fn url(&self) -> String {
        let url = self.try_eval("location.href").unwrap_or_default();
        url.as_str().unwrap_or_default().to_owned()
    }

    /// Returns the text of the first element as it is seen, spaces pulled together.
    #[track_caller]
    pub(crate) fn text(&self, css: &str) -> String {
        let texts = self.texts(css);
        texts
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("no `{css}` at {}", self.url()))
    }

    /// Returns the texts of all elements.
    #[track_caller]
    pub(crate) fn texts(&self, css: &str) -> Vec<String> {
        let texts = self.eval(&format!(
            "Array.from(document.querySelectorAll({}), e => (e.innerText ?? e.textContent))",
            json!(css)
        ));
        let texts = texts.as_array().cloned().unwrap_or_default();
        let words = |text: &Value| {
            let words = text.as_str().unwrap_or_default().split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        };
        texts.iter().map(words).collect()
    }

    /// Returns how many elements there are.
    #[track_caller]
    pub(crate) fn count(&self, css: &str) -> u64 {
        let count = self.eval(&format!("document.querySelectorAll({}).length", json!(css)));
        count.as_u64().unwrap()
    }

    /// Clicks in the middle of the first element, which nothing may cover.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        let place = self.place(css);
        self.mouse("mouseMoved", place, 0);
        self.mouse("mousePressed", place, 1);
        self.mouse("mouseReleased", place, 1);
    }

    /// Moves the mouse to the middle of the first element.
    #[track_caller]
    pub(crate) fn hover(&self, css: &str) {
        self.mouse("mouseMoved", self.place(css), 0);
    }

    /// Moves the mouse to a place of the viewport.
    #[track_caller]
    pub(crate) fn hover_at(&self, x: f64, y: f64) {
        self.mouse("mouseMoved", (x, y), 0);
    }

    /// Presses the button in the middle of the first element, moves by (`dx`, `dy`) pixels, lets go.
    #[track_caller]
    pub(crate) fn drag(&self, css: &str, dx: f64, dy: f64) {
        let (x, y) = self.place(css);
        self.drag_at((x, y), (x + dx, y + dy));
    }

    /// Drags from one place of the viewport to another.
    #[track_caller]
    pub(crate) fn drag_at(&self, from: (f64, f64), to: (f64, f64)) {
        self.mouse("mouseMoved", from, 0);
        self.mouse("mousePressed", from, 1);
        for step in 1..=5 {
            let part = f64::from(step) / 5.0;
            let along = |from: f64, to: f64| from + (to - from) * part;
            self.mouse("mouseMoved", (along(from.0, to.0), along(from.1, to.1)), 1);
        }
        self.mouse("mouseReleased", to, 1);
    }

    /// Turns the wheel over the first element; down is positive.
    #[track_caller]
    pub(crate) fn wheel(&self, css: &str, delta: f64) {
        let (x, y) = self.place(css);
        let wheel = json!({"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": delta});
        self.call("Input.dispatchMouseEvent", &wheel);
    }

    #[track_caller]
    fn mouse(&self, kind: &str, (x, y): (f64, f64), buttons: u8) {
        let button = if buttons == 0 { "none" } else { "left" };
        let held = if kind == "mouseReleased" { 0 } else { buttons };
        let event = json!({
            "type": kind, "x": x, "y": y, "button": button, "buttons": held, "clickCount": buttons,
        });
        self.call("Input.dispatchMouseEvent", &event);
    }

    /// Scrolls the first element into view and returns its middle.
    #[track_caller]
    fn place(&self, css: &str) -> (f64, f64) {
        let selector = json!(css);
        self.wait_for(&format!("document.querySelector({selector})"));
        let place = self.eval(&format!(
            "(async () => {{
                const element = document.querySelector({selector});
                element.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}});
                await new Promise(done => requestAnimationFrame(done));
                const box = element.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const hit = document.elementFromPoint(x, y);
                const meant = hit && (element.contains(hit) || hit.contains(element) ||
                    hit.closest('label')?.control == element);
                return meant ? [x, y] : `covered by ${{hit?.outerHTML.slice(0, 200)}}`;
            }})()"
        ));
        match (place[0].as_f64(), place[1].as_f64()) {
            (Some(x), Some(y)) => (x, y),
            _ => panic!("`{css}` at {}: {place}", self.url()),
        }
    }

    /// Presses a key: `Enter`, `Shift+Tab`, `Control+k`, `/`.
    #[track_caller]
    pub(crate) fn press(&self, key: &str) {
        for event in Key::parse(key).events() {
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types into what has the focus.
    #[track_caller]
    pub(crate) fn type_text(&self, text: &str) {
        for letter in text.chars() {
            if letter.is_ascii_graphic() || letter == ' ' {
                let name = if letter == ' ' {
                    "Space".to_owned()
                } else {
                    letter.to_string()
                };
                self.press(&name);
            } else {
                self.call("Input.insertText", &json!({"text": letter.to_string()}));
            }
        }
    }

    /// Sets the size of the window's inside in CSS pixels.
    #[track_caller]
    pub(crate) fn set_viewport(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Sets what the user prefers: `light` or `dark`.
    #[track_caller]
    pub(crate) fn set_theme(&self, theme: &str) {
        theme.clone_into(&mut self.media.borrow_mut().1);
        self.emulate_media();
    }

    /// Sets the medium: `print`, or `screen`.
    #[track_caller]
    pub(crate) fn set_media(&self, media: &str) {
        media.clone_into(&mut self.media.borrow_mut().0);
        self.emulate_media();
    }

    #[track_caller]
    fn emulate_media(&self) {
        let media = self.media.borrow().clone();
        // Nothing moves, so that a picture taken at once shows the end.
        let features = json!([
            {"name": "prefers-color-scheme", "value": media.1},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        let params = json!({"media": media.0, "features": features});
        self.call("Emulation.setEmulatedMedia", &params);
    }

    /// Takes JavaScript away from all pages that are gone to from now on; `eval` still works.
    #[track_caller]
    pub(crate) fn no_javascript(&self) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": true}),
        );
    }

    /// Gives it back, which a click needs: where the element is, a promise says.
    #[track_caller]
    pub(crate) fn with_javascript(&self) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": false}),
        );
    }

    /// Returns the page as PDF.
    #[track_caller]
    pub(crate) fn print_pdf(&self) -> Vec<u8> {
        self.picture("Page.printToPDF", &json!({"printBackground": true}))
    }

    /// Writes `target/screenshots/NAME.png`, the whole page, where `CVOPS_TEST_SCREENSHOTS` is set.
    #[track_caller]
    pub(crate) fn screenshot(&self, name: &str) {
        if std::env::var_os("CVOPS_TEST_SCREENSHOTS").is_none() {
            return;
        }
        // A picture has an end; what a page of this height shows further down, its beginning shows.
        let size =
            self.eval("[innerWidth, Math.min(document.documentElement.scrollHeight, 12000)]");
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let png = self.picture("Page.captureScreenshot", &params);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    #[track_caller]
    fn picture(&self, method: &str, params: &Value) -> Vec<u8> {
        let answer = self.call(method, params);
        let data = answer["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap()
    }

    /// Throws away what nothing refers to any more.
    #[track_caller]
    pub(crate) fn collect_garbage(&self) {
        self.call("HeapProfiler.collectGarbage", &json!({}));
    }

    /// Returns a figure of the page: `JSHeapUsedSize` in bytes, `Nodes`, `JSEventListeners`, …
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let answer = self.call("Performance.getMetrics", &json!({}));
        let metrics = answer["metrics"].as_array().cloned().unwrap_or_default();
        let found = metrics.iter().find(|metric| metric["name"] == name);
        found
            .and_then(|metric| metric["value"].as_f64())
            .unwrap_or_else(|| panic!("no `{name}`"))
    }

    /// Returns how many bytes came over the wire since the last `goto`, heads included.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.take_in();
        self.bytes_received.get()
    }

    /// Returns what has gone wrong so far and forgets it.
    pub(crate) fn take_errors(&self) -> Vec<String> {
        self.take_in();
        self.errors.take()
    }

    /// Fails if anything has gone wrong on this page.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        let errors = self.take_errors();
        assert!(errors.is_empty(), "{}\n{}", self.url(), errors.join("\n"));
    }

    /// Takes in all events that the browser has sent until now.
    fn take_in(&self) {
        // Its answer comes after them on the same pipe.
        let _ = self.try_eval("0");
        while let Ok(event) = self.events.try_recv() {
            self.note(&event);
        }
    }

    fn note(&self, event: &Value) {
        let params = &event["params"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let request = word(&params["requestId"]);
        let error = match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = word(&params["request"]["url"]);
                self.requests.borrow_mut().insert(request, url);
                return;
            }
            "Network.loadingFinished" => {
                let bytes = params["encodedDataLength"].as_f64().unwrap_or(0.0) as u64;
                self.bytes_received.set(self.bytes_received.get() + bytes);
                return;
            }
            // A page that is left behind takes its requests with it.
            "Network.loadingFailed" if params["canceled"] == true => return,
            "Network.loadingFailed" => {
                let urls = self.requests.borrow();
                let url = urls.get(&request).map_or("a request", String::as_str);
                format!("{url}: {}", word(&params["errorText"]))
            }
            "Runtime.exceptionThrown" => exception_text(&params["exceptionDetails"]),
            "Runtime.consoleAPICalled"
                if params["type"] == "error" || params["type"] == "assert" =>
            {
                let args = params["args"].as_array().cloned().unwrap_or_default();
                let args = args.iter().map(|arg| match &arg["value"] {
                    Value::Null => word(&arg["description"]),
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                });
                format!("console: {}", args.collect::<Vec<_>>().join(" "))
            }
            // Answers of 400 and above and violations of the policy come this way.
            "Log.entryAdded" if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                let (source, text, url) = (
                    word(&entry["source"]),
                    word(&entry["text"]),
                    word(&entry["url"]),
                );
                format!("{source}: {text} ({url})")
            }
            "Page.javascriptDialogOpening" => format!("dialog: {}", word(&params["message"])),
            "Inspector.targetCrashed" => "the page crashed".to_owned(),
            _ => return,
        };
        self.errors.borrow_mut().push(error);
    }

    #[track_caller]
    fn call(&self, method: &str, params: &Value) -> Value {
        self.try_call(method, params)
            .unwrap_or_else(|e| panic!("{method}: {e}"))
    }

    fn try_call(&self, method: &str, params: &Value) -> Result<Value, String> {
        self.connection.call(Some(&self.session), method, params)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.connection.dispose(&self.session, &self.context);
    }
}

fn exception_text(details: &Value) -> String {
    let description = &details["exception"]["description"];
    let text = description
        .as_str()
        .or(details["exception"]["value"].as_str());
    let text = text.or(details["text"].as_str()).unwrap_or_default();
    let place = details["url"].as_str().unwrap_or_default();
    format!("exception: {text} ({place}:{})", details["lineNumber"])
}
