//! A server from its start to its end: port, models, threads, drain. Imports: base, http, tokio,
//! prometheus, `serve::*`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use prometheus::Registry;

use crate::base::Cancel;
use crate::http::{self, App, Drained, Endpoint, Limits, RouteTable};

use super::Error;
use super::access::{self, Access, KeySource};
use super::config::Config;
use super::decoders::Decoders;
use super::drift::{self, DriftEvent, DriftOptions, DriftSource, Tap, Taps};
use super::endpoint;
use super::follow::{self, PlaceId};
use super::life::{Life, Watcher};
use super::log::{self, Log};
use super::metrics::{Build, Metrics};
use super::metrics_port::MetricsPort;
use super::protocol;
use super::queue::Queue;
use super::routes;
use super::served::{Canary, Place, Role, Served};
use super::service::Service;
use super::source::{Absence, ModelSource};
use super::worker::{self, Batching};

/// Threads that move bytes. They never compute, so two are enough for any number of connections.
const WORKERS: usize = 2;

/// So many of the largest bodies fit into memory at once, whatever their size is set to.
const LARGEST_BODIES_MIN: u64 = 4;
/// Threads for what is neither pictures nor looks at models: keys, certificates, feedback, a load, `GET
/// /models`.
const OTHER_WORK: usize = 8;
/// How long such a thread waits for more. Looks at models come each second, to all threads in turn, and
/// would keep as many as there ever were, each with its own free memory.
const OTHER_WORK_IDLE_MAX: Duration = Duration::from_secs(3);

/// What to serve, and how.
#[derive(Clone)]
pub struct Options {
    /// Limits and addresses.
    pub config: Config,
    /// The models, at least one, each under its own name; the first one answers who names none.
    pub models: Vec<ServedModel>,
    /// What this program is.
    pub build: Build,
    /// The folder of the prediction log; without one nothing is logged.
    pub log: Option<PathBuf>,
    /// Where the keys are of those who may ask; without it nobody is asked for one.
    pub keys: Option<KeySource>,
    /// Where it is kept how detectors of drift stand, and what is done when they find some; without it,
    /// neither.
    pub drift: Option<DriftOptions>,
    /// Who watches over the server.
    pub watcher: Watcher,
    /// Returns memory to the system that the calling thread has and does not use. Called after a load,
    /// which takes several times what stays of it.
    pub give_back: fn(),
}

/// A model that is to be served under the name of its source.
#[derive(Clone)]
pub struct ServedModel {
    /// What answers.
    pub source: ModelSource,
    /// What answers a share of the requests in its stead, 0 to 1.
    pub canary: Option<(ModelSource, f64)>,
    /// What is asked as well and only compared.
    pub shadow: Option<ModelSource>,
    /// What watches its answers for drift, if that is wanted.
    pub drift: Option<DriftSource>,
}

/// Which place of which model an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The name under which the model is served.
    pub model: String,
    /// What the place is for.
    pub role: Role,
}

impl About {
    pub(super) fn of(place: &Place) -> Self {
        Self {
            model: place.source.name.clone(),
            role: place.role,
        }
    }
}

/// What happens while a server runs.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent {
    /// Connections are accepted.
    Listening {
        /// Where; with the real port if 0 was asked for.
        at: Endpoint,
        /// Where metrics are asked for, if that is a place of its own.
        metrics: Option<SocketAddr>,
    },
    /// There is no model: predictions are refused until there is one.
    NoModel {
        /// Of what.
        about: About,
        /// What is missing.
        absence: Absence,
        /// The same in words, and what to do.
        said: String,
    },
    /// Predictions are answered.
    Ready {
        /// By what.
        about: About,
        /// Its version, where it comes from a registry.
        version: Option<String>,
        /// Number of classes.
        classes: usize,
        /// Time to load and warm up.
        took: Duration,
    },
    /// A model that appeared cannot be loaded; the next change of its files is waited for.
    Broken {
        /// Of what.
        about: About,
        /// What is wrong with it.
        problem: String,
    },
    /// The registry names another version, or none any more, and the one that is served goes on.
    Behind {
        /// Of what.
        about: About,
        /// The version that is meant.
        wanted: Option<String>,
        /// The version that is served.
        serving: String,
        /// Why.
        problem: String,
    },
    /// Something about the detectors of drift of a model.
    Drift {
        /// The name under which the model is served.
        model: String,
        /// What.
        event: DriftEvent,
    },
    /// The server was asked to end and finishes open requests.
    Draining,
}

/// Who is told what happens; called from several threads.
pub type Observer = Arc<dyn Fn(ServerEvent) + Send + Sync>;

/// Serves until `cancel` is requested and open requests are finished.
///
/// # Errors
/// The port is taken, or a model that is there and is to answer cannot be loaded: the server does not
/// start. A canary or a shadow that cannot be loaded is told and tried again.
pub fn run(options: Options, cancel: &Cancel, observe: &Observer) -> Result<Drained, Error> {
    let Options {
        config,
        models,
        build,
        log,
        keys,
        drift,
        watcher,
        give_back,
    } = options;
    let listener = config.transport.listen(&config.host, config.port)?;
    let for_metrics = config.transport.listen_for_metrics()?;
    let registry = Registry::new();
    let queue = Arc::new(Queue::new(config.queue_max));
    let metrics = Metrics::new(&registry, build)?;
    let http_metrics = http::Metrics::new(&registry)?;
    let limits = limits(&config);
    let batching = Batching {
        max: config.batch_max,
        wait: config.batch_wait,
    };
    let taps = Taps::new();
    let (models, watched) = all_served(models, &metrics, &config, &taps);
    let log = start_log(log, &config, &metrics, &models)?;
    let cannot_start = |error: std::io::Error| Error::Start {
        problem: error.to_string(),
    };
    let (decoders, decoder_threads) = Decoders::start(cores()).map_err(cannot_start)?;
    let service = Arc::new(Service {
        log,
        models,
        draining: AtomicBool::new(false),
        config,
        build,
        queue: Arc::clone(&queue),
        metrics,
        registry,
        observe: Arc::clone(observe),
        decoders,
        give_back,
    });
    let counting = Arc::clone(&service);
    let counted = move |reason| counting.metrics.rejected(reason);
    let socket = service.config.transport.unix_access;
    let access = Access::new(&service.config.access, socket, keys.as_ref(), counted)?;
    let access = Arc::new(access);
    worker::start(Arc::clone(&queue), batching)?;
    let (events, followed) = load_all(&service)?;
    let rendering = Arc::clone(&service);
    let guard = Arc::clone(&access);
    let (table, handlers) = routes::endpoints(&service.config).into_iter().unzip();
    let mut app = App::new(
        RouteTable::new(table),
        endpoint::filter(Arc::clone(&service), handlers),
        move |problem, asked| protocol::render(&rendering.metrics, problem, asked),
        &http_metrics,
    )
    .with_guard(move |visitor| guard.judge(visitor))
    .with_proxies(service.config.transport.proxies());
    if let Some(cors) = access::cors(&service.config.access) {
        app = app.with_cors(cors);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(followed.len() + OTHER_WORK)
        .thread_keep_alive(OTHER_WORK_IDLE_MAX)
        .thread_name("cvops-http")
        .enable_all()
        .build()
        .map_err(cannot_start)?;
    observe(ServerEvent::Listening {
        at: listener.endpoint(),
        metrics: for_metrics.as_ref().map(http::Bound::addr),
    });
    for event in events {
        observe(event);
    }
    let watching = watch_for_drift(&service, taps, watched, drift)?;
    for id in followed {
        runtime.spawn(follow::follow(Arc::clone(&service), id));
    }
    runtime.spawn(Arc::clone(&access).tend());
    let metrics_port = for_metrics.map(|bound| {
        MetricsPort::start(
            &runtime,
            bound,
            Arc::clone(&service),
            Arc::clone(&access),
            &http_metrics,
            &limits,
        )
    });
    watcher.tell(Life::Started);
    runtime.spawn(watcher.clone().pulse());
    let on_drain = || {
        service.drain();
        watcher.tell(Life::Ending);
        observe(ServerEvent::Draining);
    };
    let drained = runtime.block_on(http::serve(listener, app, limits, cancel, on_drain));
    if let Some(port) = metrics_port {
        port.end(&runtime);
    }
    queue.close();
    if let Some(watching) = watching {
        watching.end();
    }
    if let Some(log) = &service.log {
        log.end();
    }
    // What is still decoded has nobody left to tell.
    runtime.shutdown_background();
    decoder_threads.end();
    Ok(drained?)
}

/// Starts to watch answers for drift, if any model's are to be.
fn watch_for_drift(
    service: &Service,
    taps: Taps,
    watched: Vec<WatchedModel>,
    options: Option<DriftOptions>,
) -> Result<Option<drift::Handle>, Error> {
    if watched.is_empty() {
        return Ok(None);
    }
    let (config, metrics) = (&service.config.drift, service.metrics.drift.clone());
    drift::start(taps, watched, config, options, metrics, &service.observe).map(Some)
}

/// A model, and what it is watched with.
type WatchedModel = (Arc<Served>, DriftSource);

/// Makes all models; returns as well those that are to be watched for drift.
fn all_served(
    models: Vec<ServedModel>,
    metrics: &Metrics,
    config: &Config,
    taps: &Taps,
) -> (Vec<Arc<Served>>, Vec<WatchedModel>) {
    let mut all = Vec::new();
    let mut watched = Vec::new();
    for (i, mut model) in models.into_iter().enumerate() {
        let source = model.drift.take();
        let tap = source.as_ref().map(|_| {
            let dropped = metrics.drift.dropped(&model.source.name);
            taps.tap(i, dropped)
        });
        let served = Arc::new(served(model, metrics, config, tap));
        watched.extend(source.map(|source| (Arc::clone(&served), source)));
        all.push(served);
    }
    (all, watched)
}

/// Makes the places of a model.
fn served(model: ServedModel, metrics: &Metrics, config: &Config, tap: Option<Arc<Tap>>) -> Served {
    let name = model.source.name.clone();
    let version = model.source.version_before();
    Served {
        drift: tap,
        metrics: metrics.of(&name, version, config.queue_max),
        main: Place::new(Role::Main, model.source),
        canary: model.canary.map(|(source, share)| Canary {
            place: Place::new(Role::Canary, source),
            share,
        }),
        shadow: model.shadow.map(|source| Place::new(Role::Shadow, source)),
        name,
    }
}

/// Loads what is there; returns what is to be told, and which places are looked at from now on.
fn load_all(service: &Service) -> Result<(Vec<ServerEvent>, Vec<PlaceId>), Error> {
    let mut events = Vec::new();
    let mut followed = Vec::new();
    for (i, served) in service.models.iter().enumerate() {
        for (k, place) in served.places().enumerate() {
            followed.push(PlaceId {
                served: i,
                place: k,
            });
            events.push(match (follow::first(service, served, place), place.role) {
                (Ok(event), _) => event,
                (Err(error), Role::Main) => return Err(error),
                (Err(error), Role::Canary | Role::Shadow) => follow::broken(served, place, &error),
            });
        }
    }
    Ok((events, followed))
}

/// Starts the prediction log, where there is a folder for it and anything is sampled.
fn start_log(
    dir: Option<PathBuf>,
    config: &Config,
    metrics: &Metrics,
    models: &[Arc<Served>],
) -> Result<Option<Arc<Log>>, Error> {
    let Some(dir) = dir.filter(|_| 0.0 < config.log.sample) else {
        return Ok(None);
    };
    let settings = log::Settings {
        dir,
        sample: config.log.sample,
        pictures: config.log.pictures,
        bytes_max: config.log.bytes_max,
    };
    let tapped = |served: &Arc<Served>| {
        let tap = Arc::clone(served.drift.as_ref()?);
        Some((served.name.clone(), tap))
    };
    let taps = models.iter().filter_map(tapped).collect();
    let log = Log::start(settings, metrics.of_log(), taps)?;
    Ok(Some(Arc::new(log)))
}

fn limits(config: &Config) -> Limits {
    let defaults = config.transport.limit(&Limits::default());
    Limits {
        connections_max: config.connections_max,
        drain_timeout: config.drain_timeout,
        bodies_bytes_max: defaults
            .bodies_bytes_max
            .max(LARGEST_BODIES_MIN * config.body_bytes_max),
        ..defaults
    }
}

/// Pictures that are decoded at a time: one per core, whatever the number of requests.
fn cores() -> NonZeroUsize {
    const UNKNOWN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
    std::thread::available_parallelism().unwrap_or(UNKNOWN)
}
