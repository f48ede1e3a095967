//! A server from its start to its end: port, model, threads, drain. Imports: base, http, tokio,
//! prometheus, `serve::*`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use prometheus::Registry;

use crate::base::Cancel;
use crate::http::{self, App, Drained, Limits};

use super::Error;
use super::config::Config;
use super::metrics::{Build, Metrics};
use super::model::{self, LOOK_EVERY, Model, ModelSlot, ModelSource, Stamp, Status};
use super::queue::Queue;
use super::refusal::render;
use super::routes;
use super::service::Service;
use super::worker::{self, Batching};

/// Threads that move bytes. They never compute, so two are enough for any number of connections.
const WORKERS: usize = 2;

/// So many of the largest bodies fit into memory at once, whatever their size is set to.
const LARGEST_BODIES_MIN: u64 = 4;

/// What to serve, and how.
#[derive(Clone)]
pub struct Options {
    /// Limits and addresses.
    pub config: Config,
    /// The model.
    pub source: ModelSource,
    /// What this program is.
    pub build: Build,
}

/// What happens while a server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// Connections are accepted.
    Listening {
        /// Where; with the real port if 0 was asked for.
        addr: SocketAddr,
    },
    /// There is no model: predictions are refused until there is one.
    NoModel {
        /// The file that is missing.
        missing: PathBuf,
    },
    /// Predictions are answered.
    Ready {
        /// The model's name.
        name: String,
        /// Number of classes.
        classes: usize,
        /// Time to load and warm up.
        took: Duration,
    },
    /// A model that appeared cannot be loaded; the next change of its files is waited for.
    Broken {
        /// What is wrong with it.
        problem: String,
    },
    /// The server was asked to end and finishes open requests.
    Draining,
}

/// Who is told what happens; called from several threads.
pub type Observer = Arc<dyn Fn(ServerEvent) + Send + Sync>;

/// Serves until `cancel` is requested and open requests are finished.
///
/// # Errors
/// The port is taken, or the model that is there cannot be loaded: the server does not start.
pub fn run(options: Options, cancel: &Cancel, observe: &Observer) -> Result<Drained, Error> {
    let Options {
        config,
        source,
        build,
    } = options;
    let bound = http::bind(resolve(&config)?)?;
    let registry = Registry::new();
    let queue = Arc::new(Queue::new(config.queue_max));
    let metrics = Metrics::new(&registry, &source.name, build, &queue)?;
    let http_metrics = http::Metrics::new(&registry)?;
    let limits = limits(&config);
    let batching = Batching {
        max: config.batch_max,
        wait: config.batch_wait,
    };
    let service = Arc::new(Service {
        model: ModelSlot::new(Status::Loading),
        draining: AtomicBool::new(false),
        config,
        source,
        build,
        queue: Arc::clone(&queue),
        metrics,
        registry,
    });
    worker::start(Arc::clone(&queue), batching)?;
    let looked = service.source.look();
    let loaded = match &looked {
        Ok(_) => Some(load(&service)?),
        Err(missing) => {
            let missing = missing.clone();
            service.model.set(Status::Absent { missing });
            None
        }
    };
    let rendering = Arc::clone(&service);
    let app = App::new(
        routes::table(&service.config),
        routes::filter(Arc::clone(&service)),
        move |problem, asked| render(&rendering.metrics, problem, asked),
        &http_metrics,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(decoders())
        .thread_name("cvops-http")
        .enable_all()
        .build()
        .map_err(|e| Error::Start {
            problem: e.to_string(),
        })?;
    observe(ServerEvent::Listening { addr: bound.addr() });
    match (loaded, looked) {
        (Some(model), _) => observe(ready(&model)),
        (None, Err(missing)) => {
            observe(ServerEvent::NoModel { missing });
            runtime.spawn(wait_for_model(Arc::clone(&service), Arc::clone(observe)));
        }
        (None, Ok(_)) => {}
    }
    let on_drain = || {
        service.drain();
        observe(ServerEvent::Draining);
    };
    let drained = runtime.block_on(http::serve(bound, app, limits, cancel, on_drain));
    queue.close();
    // What is still decoded has nobody left to tell.
    runtime.shutdown_background();
    Ok(drained?)
}

fn limits(config: &Config) -> Limits {
    let defaults = Limits::default();
    Limits {
        connections_max: config.connections_max,
        drain_timeout: config.drain_timeout,
        bodies_bytes_max: defaults
            .bodies_bytes_max
            .max(LARGEST_BODIES_MIN * config.body_bytes_max),
        ..defaults
    }
}

/// Threads that decode pictures: one per core, whatever the number of requests.
fn decoders() -> usize {
    std::thread::available_parallelism().map_or(2, NonZeroUsize::get)
}

fn resolve(config: &Config) -> Result<SocketAddr, Error> {
    let host = config.host.trim_start_matches('[').trim_end_matches(']');
    let unknown = |problem: String| Error::UnknownHost {
        host: config.host.clone(),
        problem,
    };
    let mut found = (host, config.port)
        .to_socket_addrs()
        .map_err(|e| unknown(e.to_string()))?;
    found
        .next()
        .ok_or_else(|| unknown("the name has no address".to_owned()))
}

fn ready(model: &Model) -> ServerEvent {
    ServerEvent::Ready {
        name: model.name.clone(),
        classes: model.predictor.model().classes.len(),
        took: model.load_time,
    }
}

/// Loads the model and lets requests find it.
fn load(service: &Service) -> Result<Arc<Model>, Error> {
    let loaded = model::load(&service.source, &service.queue, &service.metrics);
    let model = Arc::new(loaded?);
    service.metrics.loaded(&model);
    service.model.set(Status::Ready(Arc::clone(&model)));
    Ok(model)
}

/// Looks for a model until one can be served.
async fn wait_for_model(service: Arc<Service>, observe: Observer) {
    let mut failed: Option<Stamp> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (service, observe) = (Arc::clone(&service), Arc::clone(&observe));
        let seen = failed.clone();
        let looked = tokio::task::spawn_blocking(move || look_once(&service, &observe, seen)).await;
        match looked {
            Ok(Looked::Serving) => return,
            Ok(Looked::Waiting { seen }) => failed = seen,
            // A panic is in the log already; the next look may do better.
            Err(_) => {}
        }
    }
}

enum Looked {
    Serving,
    /// The files that could not be loaded, if there are any.
    Waiting {
        seen: Option<Stamp>,
    },
}

fn look_once(service: &Service, observe: &Observer, seen: Option<Stamp>) -> Looked {
    let stamp = match service.source.look() {
        Ok(stamp) => stamp,
        Err(missing) => {
            service.model.set(Status::Absent { missing });
            return Looked::Waiting { seen: None };
        }
    };
    if seen.as_ref() == Some(&stamp) {
        return Looked::Waiting { seen };
    }
    let before = match &*service.model.get() {
        Status::Broken { problem } => Some(problem.clone()),
        _ => None,
    };
    service.model.set(Status::Loading);
    match load(service) {
        Ok(model) => {
            observe(ready(&model));
            Looked::Serving
        }
        Err(error) => {
            let problem = error.to_string();
            service.model.set(Status::Broken {
                problem: problem.clone(),
            });
            // The lock is written after the model: what it says may change with no file of the model.
            let lock_may_change =
                matches!(error, Error::LockDiffers { .. } | Error::LockAbsent { .. });
            if !lock_may_change || before.as_ref() != Some(&problem) {
                service.metrics.load_failed();
                observe(ServerEvent::Broken { problem });
            }
            let seen = (!lock_may_change).then_some(stamp);
            Looked::Waiting { seen }
        }
    }
}
