//! A server from its start to its end: port, record, threads, drain. Imports: base, http, project,
//! track, tokio, `mlflow::*`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::Cancel;
use crate::base::secret::Mark;
use crate::http::{self, App, Bound, Drained, EndSwitch, Limits};
use crate::project::Project;
use crate::track::{Artifacts, Shared, Tracking};

use super::Error;
use super::access::{Exposure, Guard, token};
use super::origin::Names;
use super::pages::Pages;
use super::server::{self, Service};

/// The largest upload unless another limit is set, bytes.
pub const UPLOAD_BYTES_MAX: u64 = 10 << 30;

/// Threads that move bytes.
const WORKERS: usize = 2;

/// Threads that read the record and files.
const BLOCKING_MAX: usize = 32;

/// Pages that are made at a time; with live answers (8) they leave threads to those who log.
const PAGES_MAX: usize = 20;

/// Clients log now and then on one connection: it is kept longer than that of a picture.
const IDLE: Duration = Duration::from_mins(1);

/// What to serve, and how.
#[derive(Debug)]
pub struct Options {
    /// Address or name to listen on.
    pub host: String,
    /// Port to listen on, 0 for any free one.
    pub port: u16,
    /// More names that requests may be sent to, if it listens for this machine alone.
    pub allowed_hosts: Vec<String>,
    /// The largest file that may be uploaded, bytes.
    pub upload_bytes_max: u64,
    /// How long open requests may go on after the server was asked to stop.
    pub drain_timeout: Duration,
    /// Whose runs.
    pub project: Project,
    /// What people are shown, if anything.
    pub pages: Option<Arc<dyn Pages>>,
}

impl Options {
    /// Serves the runs of `project` to this machine, on any free port.
    #[must_use]
    pub fn local(project: Project) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            allowed_hosts: Vec::new(),
            upload_bytes_max: UPLOAD_BYTES_MAX,
            drain_timeout: Limits::default().drain_timeout,
            project,
            pages: None,
        }
    }
}

/// What happens while a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// Connections are accepted.
    Listening {
        /// Where; with the real port if 0 was asked for.
        addr: SocketAddr,
    },
    /// The server was asked to end and finishes open requests.
    Draining,
}

/// Who is told what happens.
pub type Observer<'o> = &'o (dyn Fn(ServerEvent) + Send + Sync);

/// Serves until `cancel` is requested and open requests are finished.
///
/// # Errors
/// The port is taken, or the record cannot be opened: the server does not start.
pub fn run(options: Options, cancel: &Cancel, observe: Observer<'_>) -> Result<Drained, Error> {
    let prepared = prepare(options, None)?;
    observe(ServerEvent::Listening {
        addr: prepared.bound.addr(),
    });
    prepared.serve(std::future::pending(), cancel, || {
        observe(ServerEvent::Draining);
    })
}

/// Serves on a thread of this process, until it is told to stop. Whoever shows the handle's token need
/// not be a user.
///
/// # Errors
/// As `run`.
pub fn start(options: Options) -> Result<Handle, Error> {
    let (token, mark) = token::draw()?;
    let prepared = prepare(options, Some(mark))?;
    let addr = prepared.bound.addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    // It also ends when nobody can tell it any more.
    let told = async { drop(stopped.await) };
    let thread = std::thread::Builder::new()
        .name("cvops-mlflow".to_owned())
        .spawn(move || prepared.serve(told, &Cancel::new(), || ()))
        .map_err(|e| Error::Start {
            problem: e.to_string(),
        })?;
    Ok(Handle {
        addr,
        token,
        stop,
        thread,
    })
}

/// A server on a thread of this process; dropped, it is told to stop, and not waited for.
pub struct Handle {
    addr: SocketAddr,
    token: String,
    /// Ends the server when it is dropped.
    stop: tokio::sync::oneshot::Sender<()>,
    thread: JoinHandle<Result<Drained, Error>>,
}

/// The token is a secret.
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.addr).finish()
    }
}

impl Handle {
    /// Returns where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns what clients show (`MLFLOW_TRACKING_TOKEN`) that this process lets work with the record:
    /// if it knows users, they would be asked who they are.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Lets open requests finish and waits for the end of the thread.
    ///
    /// # Errors
    /// The server ended early.
    pub fn stop(self) -> Result<Drained, Error> {
        drop(self.stop);
        self.thread.join().unwrap_or_else(|_| {
            // A panic was told of by its hook.
            Err(Error::Start {
                problem: "its thread has ended".to_owned(),
            })
        })
    }
}

/// A server that clients can connect to already.
struct Prepared {
    bound: Bound,
    app: App,
    limits: Limits,
    live: EndSwitch,
    runtime: tokio::runtime::Runtime,
}

/// `pass` is the mark of a token that opens the door beside those of users.
fn prepare(options: Options, pass: Option<Mark>) -> Result<Prepared, Error> {
    let addr = http::resolve(&options.host, options.port)?;
    let guard = guard(&options, addr, pass)?;
    let bound = http::bind(addr)?;
    let shared = Shared::open(&options.project.layout)?;
    let registry = http::Registry::new();
    let metrics = http::Metrics::new(&registry)?;
    let (live, ending) = http::ending();
    let targets = server::targets(options.upload_bytes_max, options.pages.as_deref());
    let service = Service {
        guard,
        pages: options.pages,
        ending,
        page_turns: Arc::new(tokio::sync::Semaphore::new(PAGES_MAX)),
        artifacts: Arc::new(Artifacts::open(&options.project)),
        shared,
        names: Names {
            loopback_only: bound.addr().ip().is_loopback(),
            more: options.allowed_hosts,
        },
        registry,
        targets,
    };
    let app = server::app(service, &metrics);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_MAX)
        .thread_name("cvops-http")
        .enable_all()
        .build()
        .map_err(|e| Error::Start {
            problem: e.to_string(),
        })?;
    let limits = Limits {
        header_timeout: IDLE,
        drain_timeout: options.drain_timeout,
        ..Limits::default()
    };
    Ok(Prepared {
        bound,
        app,
        limits,
        live,
        runtime,
    })
}

fn guard(options: &Options, addr: SocketAddr, pass: Option<Mark>) -> Result<Guard, Error> {
    let record = Tracking::open(&options.project.layout)?;
    let exposure = if addr.ip().is_loopback() {
        Exposure::Loopback
    } else {
        Exposure::Network
    };
    if exposure == Exposure::Network && !record.reader().has_users()? {
        let host = options.host.clone();
        return Err(Error::NoUsers { host });
    }
    let guard = Guard::new(record, exposure)?;
    Ok(match pass {
        Some(pass) => guard.with_pass(pass),
        None => guard,
    })
}

impl Prepared {
    fn serve(
        self,
        stop: impl Future<Output = ()>,
        cancel: &Cancel,
        on_drain: impl FnOnce(),
    ) -> Result<Drained, Error> {
        let Self {
            bound,
            app,
            limits,
            live,
            runtime,
        } = self;
        let on_drain = || {
            live.end();
            on_drain();
        };
        let served = http::serve_until(bound, app, limits, stop, cancel, on_drain);
        let drained = runtime.block_on(served);
        // What is still read has nobody left to tell.
        runtime.shutdown_background();
        Ok(drained?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_server_runs_inside_another_process_until_it_is_stopped() {
        let tmp = tempfile::tempdir().unwrap();
        crate::project::init(tmp.path()).unwrap();
        let project = crate::project::discover(tmp.path(), None).unwrap();
        let server = start(Options::local(project)).unwrap();
        let addr = server.addr();
        let mut stream = TcpStream::connect(addr).unwrap();
        let request = format!("GET /health HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let drained = server.stop().unwrap();
        assert_eq!(drained.aborted, 0);
        // The idle connection was closed, and nobody listens any more.
        stream.read_to_end(&mut Vec::new()).unwrap();
        assert!(TcpStream::connect(addr).is_err());
    }
}
