//! The browser's process, and the protocol of its developer tools over its pipes: JSON, each message ended by NUL.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer may take on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The protocol speaks on descriptors 3 and 4. When the pipe closes the browser ends; the shell
/// waits for that and takes its profile away, which nobody else is left to do.
const SCRIPT: &str = r#"folder=$1; shift
"$@" --user-data-dir="$folder/profile" 3<&0 4>&1 </dev/null >/dev/null 2>"$folder/log"
rm -rf "$folder""#;

const FLAGS: [&str; 20] = [
    "--headless=new",
    "--remote-debugging-pipe",
    // Chromium's sandbox needs what root and containers do not have; the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--no-first-run",
    "--no-default-browser-check",
    // A page behind another page is as awake as the one in front: tests run side by side.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    // Nothing but this machine is reached, and the same pixels come out on each.
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--lang=en-US",
];

/// Sends calls and hands on what comes back.
pub(super) struct Connection {
    writer: Arc<Mutex<Writer>>,
    routes: Arc<Mutex<Routes>>,
}

struct Writer {
    pipe: ChildStdin,
    last_id: u64,
}

/// Who waits for what.
#[derive(Default)]
struct Routes {
    answers: BTreeMap<u64, Sender<Value>>,
    events: BTreeMap<String, Sender<Value>>,
    ended: bool,
}

impl Connection {
    /// Starts the browser and waits until it answers.
    pub(super) fn start(program: &Path) -> Connection {
        let folder = tempfile::Builder::new().prefix("cvops-browser-").tempdir();
        let folder = folder.unwrap().keep();
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("sh").arg(&folder);
        command.arg(program).args(FLAGS);
        let child = command
            .env("TZ", "UTC")
            // Ctrl-C ends the tests, and their end the browser: in this order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|e| panic!("sh: {e}"));
        let writer = Writer {
            pipe: child.stdin.take().unwrap(),
            last_id: 0,
        };
        let connection = Connection {
            writer: Arc::new(Mutex::new(writer)),
            routes: Arc::default(),
        };
        let stdout = child.stdout.take().unwrap();
        let (routes, writer) = (connection.routes.clone(), connection.writer.clone());
        std::thread::spawn(move || {
            read(stdout, &routes, &writer);
            let _ = child.wait();
        });
        if let Err(e) = connection.call(None, "Browser.getVersion", &json!({})) {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("{}: {e}\n{log}", program.display());
        }
        connection
    }

    /// Calls a method, of the browser or of a page's session, and waits for its answer.
    pub(super) fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: &Value,
    ) -> Result<Value, String> {
        let (sender, answer) = mpsc::channel();
        {
            // The answer cannot come before somebody waits for it.
            let mut writer = lock(&self.writer);
            let id = writer.next_id();
            let mut routes = lock(&self.routes);
            if routes.ended {
                return Err("the browser has ended".to_owned());
            }
            routes.answers.insert(id, sender);
            drop(routes);
            writer.send(id, session, method, params);
        }
        let mut answer = answer.recv_timeout(PATIENCE).map_err(|e| match e {
            mpsc::RecvTimeoutError::Timeout => format!("no answer within {PATIENCE:?}"),
            mpsc::RecvTimeoutError::Disconnected => "the browser has ended".to_owned(),
        })?;
        match answer["error"]["message"].as_str() {
            Some(message) => Err(message.to_owned()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Returns all that a session tells from now on.
    pub(super) fn events(&self, session: &str) -> Receiver<Value> {
        let (sender, events) = mpsc::channel();
        lock(&self.routes).events.insert(session.to_owned(), sender);
        events
    }

    /// Ends a page with all it kept; nobody waits for it.
    pub(super) fn dispose(&self, session: &str, context: &str) {
        lock(&self.routes).events.remove(session);
        let mut writer = lock(&self.writer);
        let id = writer.next_id();
        let params = json!({"browserContextId": context});
        writer.send(id, None, "Target.disposeBrowserContext", &params);
    }
}

impl Writer {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn send(&mut self, id: u64, session: Option<&str>, method: &str, params: &Value) {
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        // A browser that has ended is noticed by the reader, which frees whoever waits.
        let _ = self.pipe.write_all(format!("{message}\0").as_bytes());
        let _ = self.pipe.flush();
    }
}

/// Hands on what comes until the browser ends.
fn read(stdout: ChildStdout, routes: &Mutex<Routes>, writer: &Mutex<Writer>) {
    let mut messages = BufReader::new(stdout).split(0);
    while let Some(Ok(bytes)) = messages.next() {
        let Ok(message) = serde_json::from_slice::<Value>(&bytes) else {
            continue;
        };
        if let Some(id) = message["id"].as_u64() {
            let waiting = lock(routes).answers.remove(&id);
            if let Some(waiting) = waiting {
                // Whoever waited may have lost patience.
                let _ = waiting.send(message);
            }
            continue;
        }
        let session = message["sessionId"].as_str().map(str::to_owned);
        if message["method"] == "Page.javascriptDialogOpening" {
            // An open dialog stops its page, and with it the test that could answer it.
            let mut writer = lock(writer);
            let id = writer.next_id();
            let method = "Page.handleJavaScriptDialog";
            writer.send(id, session.as_deref(), method, &json!({"accept": true}));
        }
        if let Some(session) = session {
            let sender = lock(routes).events.get(&session).cloned();
            // A page that is gone has no ears.
            sender.map(|sender| sender.send(message));
        }
    }
    let mut routes = lock(routes);
    routes.ended = true;
    routes.answers.clear();
    routes.events.clear();
}

/// A test that panics leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
