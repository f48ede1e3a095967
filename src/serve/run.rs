//! A server from its start to its end: port, model, threads, drain. Imports: base, http, tokio,
//! arc-swap, prometheus, `serve::*`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus::Registry;

use crate::base::Cancel;
use crate::http::{self, App, Drained, Limits};

use super::Error;
use super::config::Config;
use super::follow;
use super::log::{self, Log};
use super::metrics::{Build, Metrics};
use super::model::{Absence, Model, ModelSlot, ModelSource, Origin, Status};
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
    /// The folder of the prediction log; without one nothing is logged.
    pub log: Option<PathBuf>,
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
        /// What is missing.
        absence: Absence,
    },
    /// Predictions are answered.
    Ready {
        /// The model's name.
        name: String,
        /// Its version, where it comes from a registry.
        version: Option<String>,
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
    /// The registry names another version, or none any more, and the one that is served goes on.
    Behind {
        /// The version that is meant.
        wanted: Option<String>,
        /// The version that is served.
        serving: String,
        /// Why.
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
        log,
    } = options;
    let bound = http::bind(http::resolve(&config.host, config.port)?)?;
    let registry = Registry::new();
    let queue = Arc::new(Queue::new(config.queue_max));
    let version = source.version_before();
    let metrics = Metrics::new(&registry, &source.name, version, build, &queue)?;
    let http_metrics = http::Metrics::new(&registry)?;
    let limits = limits(&config);
    let batching = Batching {
        max: config.batch_max,
        wait: config.batch_wait,
    };
    let log = start_log(log, &config, &metrics)?;
    let service = Arc::new(Service {
        log,
        model: ModelSlot::new(Status::Loading),
        behind: ArcSwapOption::empty(),
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
        Ok(found) => Some(follow::load(&service, found)?),
        Err(absence) => {
            service.model.set(Status::Absent(absence.clone()));
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
    let is_done = loaded.is_some() && matches!(service.source.origin, Origin::Folder(_));
    if let Some(model) = loaded {
        observe(ready(&service, &model));
    }
    if let Err(absence) = looked {
        observe(ServerEvent::NoModel { absence });
    }
    if !is_done {
        runtime.spawn(follow::follow(Arc::clone(&service), Arc::clone(observe)));
    }
    let on_drain = || {
        service.drain();
        observe(ServerEvent::Draining);
    };
    let drained = runtime.block_on(http::serve(bound, app, limits, cancel, on_drain));
    queue.close();
    if let Some(log) = &service.log {
        log.end();
    }
    // What is still decoded has nobody left to tell.
    runtime.shutdown_background();
    Ok(drained?)
}

/// Starts the prediction log, where there is a folder for it and anything is sampled.
fn start_log(
    dir: Option<PathBuf>,
    config: &Config,
    metrics: &Metrics,
) -> Result<Option<Log>, Error> {
    let Some(dir) = dir.filter(|_| 0.0 < config.log.sample) else {
        return Ok(None);
    };
    let settings = log::Settings {
        dir,
        sample: config.log.sample,
        pictures: config.log.pictures,
        bytes_max: config.log.bytes_max,
    };
    Log::start(settings, metrics.of_log()).map(Some)
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

pub(super) fn ready(service: &Service, model: &Model) -> ServerEvent {
    ServerEvent::Ready {
        name: model.name.clone(),
        version: match service.source.origin {
            Origin::Folder(_) => None,
            Origin::Registry(_) => Some(model.version.version.clone()),
        },
        classes: model.predictor.model().classes.len(),
        took: model.load_time,
    }
}
