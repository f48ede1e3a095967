//! Runs services: stages that do not end by themselves.
//!
//! A service has no outputs, no lock entry and no record; all it needs was brought up to date before.
//! It runs in the foreground of the command that started it, in a process group of its own, while the
//! project lock is *not* held: other commands go on. It is ready when its `ready` path answers 2xx.
//! It ends in one of three ways: the user stops the command (SIGTERM to the group, after `GRACE`
//! SIGKILL), it does not become ready in time, or it ends by itself; the last two are failures, and
//! stop the services beside it. A cvops that is killed leaves its services behind; the next start of
//! the same service stops them, others leave them alone (`leftovers`).
//! Imports: base, spec, workspace, execute.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::base::probe::probe;
use crate::base::{self, Cancel, CancelReason, Observer, fs, ports};
use crate::pipeline::error::Error;
use crate::pipeline::spec::{ServiceSpec, StageSpec};
use crate::pipeline::workspace::Files;

use super::Event;
use super::leftovers::{SERVICE_OF, keeper_of, stop_service};
use super::process::{Ended as CommandEnded, Program, Running, Shell, describe};
use super::stage::environment;

/// How long a service has between SIGTERM and SIGKILL: more than a server's drain may take (30 s).
const GRACE: Duration = Duration::from_secs(40);

/// How often the cancel token is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often a service is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How long one such question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How long the port of a service that was left behind may take to become free.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);

/// How many of its last lines the error of a service that ended has.
const LAST_LINES: usize = 3;

/// How a run of services ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The user stopped it.
    Stopped,
    /// One ended by itself or did not become ready; that was told as an event.
    Failed,
}

enum Message {
    Ready { service: usize, took: Duration },
    Late { service: usize, last: String },
    Over { service: usize, error: Error },
}

/// Makes sure that those of `stages` that are services can start: stops what a killed cvops left of
/// them, and checks that their ports are free, since what answers there must be the service itself.
///
/// # Errors
/// A port is in use, or two of the services want the same.
pub fn check(
    stages: &[&StageSpec],
    files: &Files<'_>,
    events: &dyn Observer<Event>,
) -> Result<(), Error> {
    let mut ports_taken: BTreeMap<u16, &StageSpec> = BTreeMap::new();
    for stage in stages {
        let Some(ServiceSpec { port, .. }) = stage.service else {
            continue;
        };
        if let Some(other) = ports_taken.insert(port, stage) {
            return Err(Error::PortShared {
                first: other.name.clone(),
                second: stage.name.clone(),
                port,
            });
        }
        if stop_service(files.root(), &stage.name) {
            events.notify(Event::LeftoverStopped {
                stage: stage.name.clone(),
            });
            let since = Instant::now();
            while !ports::is_free(port) && since.elapsed() < RELEASE_WITHIN {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        if !ports::is_free(port) {
            let owner = ports::owner(port);
            return Err(Error::PortTaken {
                stage: stage.name.clone(),
                port,
                keeper: owner.as_ref().and_then(|owner| keeper_of(owner.pid)),
                owner,
            });
        }
    }
    Ok(())
}

/// Starts `stages` (those that are services), tells when each is ready, and returns when all have
/// ended. `env` are variables for their processes, beside those this process has.
///
/// # Errors
/// Nothing was started: as `check`, or a folder cannot be written.
pub fn run(
    stages: &[&StageSpec],
    files: &Files<'_>,
    env: &[(String, OsString)],
    cancel: &Cancel,
    events: &dyn Observer<Event>,
) -> Result<Ended, Error> {
    check(stages, files, events)?;
    let mut services = Vec::new();
    for stage in stages {
        if let Some(spec) = &stage.service {
            services.push(Service::prepare(stage, spec, files, env)?);
        }
    }
    let running = Running::default();
    // Stops the services; `cancel` is the user's alone.
    let stop = Cancel::new();
    let (sender, messages) = mpsc::channel();
    std::thread::scope(|scope| {
        for (number, service) in services.iter().enumerate() {
            let (running, stop) = (&running, &stop);
            let told = sender.clone();
            scope.spawn(move || {
                // Whoever waits for the end of a service must hear of it, even if it is a bug.
                let run = || service.run(running, stop, events);
                let error = std::panic::catch_unwind(AssertUnwindSafe(run))
                    .unwrap_or_else(|_| Error::Bug("the thread that runs a service panicked"));
                service.is_over.store(true, Ordering::SeqCst);
                // The receiver lives until every service is over.
                let _ = told.send(Message::Over {
                    service: number,
                    error,
                });
            });
            let told = sender.clone();
            scope.spawn(move || {
                if let Some(message) = service.wait_until_ready(number, stop) {
                    let _ = told.send(message);
                }
            });
        }
        Ok(supervise(
            &services, &messages, &running, &stop, cancel, events,
        ))
    })
}

/// Follows the services until all are over.
fn supervise(
    services: &[Service<'_>],
    messages: &mpsc::Receiver<Message>,
    running: &Running,
    stop: &Cancel,
    cancel: &Cancel,
    events: &dyn Observer<Event>,
) -> Ended {
    let mut left = services.len();
    let mut ended = Ended::Stopped;
    let mut stopping: Option<Instant> = None;
    let mut killed = false;
    while left != 0 {
        let message = messages.recv_timeout(LOOK_EVERY).ok();
        // The user's wish comes first: what ends after it was stopped.
        if let Some(reason) = cancel.reason() {
            stop.request(reason);
        }
        let failure = match message {
            None => None,
            Some(Message::Ready { service, took }) => {
                let Service { stage, spec, .. } = &services[service];
                let (stage, url) = (stage.name.clone(), spec.url());
                events.notify(Event::Ready { stage, url, took });
                None
            }
            Some(Message::Late { service, last }) => {
                let Service { stage, spec, .. } = &services[service];
                let error = Error::ServiceNotReady {
                    stage: stage.name.clone(),
                    after: spec.ready_timeout,
                    last,
                };
                Some((service, error))
            }
            Some(Message::Over { service, error }) => {
                left -= 1;
                Some((service, error))
            }
        };
        if let Some((service, error)) = failure
            && !stop.is_requested()
        {
            ended = Ended::Failed;
            stop.request(CancelReason::StageFailed);
            events.notify(Event::Failed {
                stage: services[service].stage.name.clone(),
                error,
                took: services[service].start.elapsed(),
            });
        }
        if let Some(reason) = stop.reason() {
            let since = *stopping.get_or_insert_with(|| {
                let stages = running.stages();
                events.notify(Event::Stopping { stages });
                running.signal(Signal::TERM);
                Instant::now()
            });
            if !killed && (reason == CancelReason::SecondInterrupt || GRACE < since.elapsed()) {
                running.signal(Signal::KILL);
                killed = true;
            }
        }
    }
    ended
}

/// One service, ready to start.
struct Service<'a> {
    stage: &'a StageSpec,
    spec: &'a ServiceSpec,
    dir: PathBuf,
    /// The scratch folder of the stage, removed when it is over.
    scratch: PathBuf,
    env: Vec<(String, OsString)>,
    program: Program,
    start: Instant,
    is_over: AtomicBool,
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // What cannot be removed stays: this is tidiness, no reason to fail.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl<'a> Service<'a> {
    fn prepare(
        stage: &'a StageSpec,
        spec: &'a ServiceSpec,
        files: &Files<'_>,
        env: &[(String, OsString)],
    ) -> Result<Self, Error> {
        let scratch = files.scratch_of(&stage.name);
        let dir = scratch.join("service");
        fs::create_dir_all(&dir).map_err(base::Error::io("create folder", &dir))?;
        let mut env = environment(env, files.root(), &stage.name, &dir);
        let me = std::process::id().to_string();
        env.push((SERVICE_OF.to_owned(), me.into()));
        Ok(Self {
            stage,
            spec,
            dir: files.work_dir(stage.wdir.as_ref()),
            scratch,
            env,
            program: Program::of(files.project().personality.commands, None),
            start: Instant::now(),
            is_over: AtomicBool::new(false),
        })
    }

    /// Runs the commands; returns how it ended, which is a failure unless it was stopped.
    fn run(&self, running: &Running, stop: &Cancel, events: &dyn Observer<Event>) -> Error {
        let stage = &self.stage.name;
        let lines: Mutex<VecDeque<String>> = Mutex::default();
        let listen = |event: Event| {
            if let Event::Output { line, .. } = &event {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LAST_LINES {
                    lines.pop_front();
                }
                lines.push_back(line.clone());
            }
            events.notify(event);
        };
        let shell = Shell {
            program: &self.program,
            stage,
            dir: &self.dir,
            env: &self.env,
            removed: &[],
            running,
            cancel: stop,
            deadline: None,
            events: &listen,
        };
        let mut last = None;
        for command in self.program.commands(self.stage) {
            if stop.is_requested() {
                return Error::Cancelled;
            }
            events.notify(Event::Started {
                stage: stage.clone(),
                command: command.to_owned(),
            });
            match shell.run(command) {
                Ok(CommandEnded { status, .. }) => {
                    last = Some((command.trim_end().to_owned(), describe(status)));
                    if !status.success() {
                        break;
                    }
                }
                Err(source) => {
                    let stage = stage.clone();
                    return Error::Spawn { stage, source };
                }
            }
        }
        let (command, how) = last.unwrap_or_default();
        let lines = lines.into_inner().unwrap_or_else(PoisonError::into_inner);
        Error::ServiceEnded {
            stage: stage.clone(),
            command,
            how,
            lines: lines.into(),
        }
    }

    /// Asks until it is ready or late; `None` if it ended or was stopped before.
    fn wait_until_ready(&self, number: usize, stop: &Cancel) -> Option<Message> {
        let url = self.spec.ready_url();
        loop {
            let asked = probe(&url, ANSWER_WITHIN.min(self.spec.ready_timeout));
            if stop.is_requested() || self.is_over.load(Ordering::SeqCst) {
                return None;
            }
            let took = self.start.elapsed();
            let last = match asked {
                Ok(answer) if answer.is_well() => {
                    return Some(Message::Ready {
                        service: number,
                        took,
                    });
                }
                Ok(answer) => answer.told(&url),
                Err(error) => error.to_string(),
            };
            if self.spec.ready_timeout <= took {
                return Some(Message::Late {
                    service: number,
                    last,
                });
            }
            std::thread::sleep(ASK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::{Document, Format};
    use crate::pipeline::spec;

    /// The thread of a service that panics must not leave the others waited for, for ever.
    #[test]
    fn a_panic_ends_the_services() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(&dir.path().join(".cvops")).unwrap();
        fs::write_atomic(&dir.path().join(".cvops/config.yaml"), b"").unwrap();
        let project = crate::project::discover(dir.path(), None).unwrap();
        let service = |name: &str| {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = port.local_addr().unwrap().port();
            format!("  {name}: {{cmd: sleep 60, service: {{port: {port}, ready: /}}}}\n")
        };
        let text = format!("stages:\n{}{}", service("bad"), service("good"));
        let document = Document::parse("pipeline.yaml", text, Format::Yaml).unwrap();
        let pipeline = spec::read(document).unwrap();
        let stages: Vec<&StageSpec> = pipeline.stages.iter().collect();
        let cancel = Cancel::new();
        let files = Files::open(&project, &cancel);
        let failed: Mutex<Vec<String>> = Mutex::default();
        let observe = |event: Event| match event {
            Event::Started { stage, .. } if stage.as_str() == "bad" => panic!("on purpose"),
            Event::Failed { stage, error, .. } => {
                failed.lock().unwrap().push(format!("{stage}: {error}"));
            }
            _ => {}
        };
        let ended = run(&stages, &files, &[], &cancel, &observe).unwrap();
        assert_eq!(ended, Ended::Failed);
        let expected = "bad: this is a bug in cvops: the thread that runs a service panicked";
        assert_eq!(*failed.lock().unwrap(), [expected]);
        for name in ["bad", "good"] {
            assert!(!project.layout.scratch().join(name).exists(), "{name}");
        }
    }
}
