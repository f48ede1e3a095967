//! How busy the machine is while stages run, recorded as metrics of the run under MLflow's names
//! (<https://mlflow.org/docs/latest/ml/tracking/system-metrics>), and how much of that the stages take.
//! Imports: base, project, track.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sysinfo::{MemoryRefreshKind, Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::base::{clock, fs};
use crate::project::Layout;
use crate::track::entity::MetricPoint;
use crate::track::{self, LoggedBatch, LoggedPoint, RunId, Tracking};

/// MLflow counts megabytes, not mebibytes.
const MEGABYTE: f64 = 1e6;
/// Processes whose parents form a longer chain are not asked whose they are.
const ANCESTORS_MAX: usize = 64;

/// Whose processes are counted as those of the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Children {
    /// All of this process.
    Count,
    /// None: those of other trials of a sweep are among them.
    Ignore,
}

/// Looks at the machine and writes down what it sees.
pub(super) struct Sampler {
    layout: Layout,
    run: RunId,
    /// On the file system that is watched.
    place: PathBuf,
    children: Children,
    seen: Option<Seen>,
    step: i64,
    /// Samples could not be written.
    failed: bool,
}

struct Seen {
    system: System,
    networks: Networks,
    /// Bytes that came and went before.
    before: (u64, u64),
    tracking: Option<Tracking>,
}

impl Sampler {
    /// Prepares for samples of `run`; looks at nothing.
    pub(super) fn new(layout: &Layout, run: RunId, place: PathBuf, children: Children) -> Self {
        Self {
            layout: layout.clone(),
            run,
            place,
            children,
            seen: None,
            step: 0,
            failed: false,
        }
    }

    /// Looks at what the first sample is compared with, once.
    pub(super) fn prepare(&mut self) {
        if self.seen.is_some() {
            return;
        }
        let mut system = System::new();
        look(&mut system, self.children);
        let networks = Networks::new_with_refreshed_list();
        self.seen = Some(Seen {
            before: traffic(&networks),
            system,
            networks,
            tracking: None,
        });
    }

    /// Takes a sample and writes it down. The record is a guest: a sample that cannot be written is the
    /// last one.
    pub(super) fn sample(&mut self) {
        self.prepare();
        let Some(seen) = self.seen.as_mut().filter(|_| !self.failed) else {
            return;
        };
        look(&mut seen.system, self.children);
        seen.networks.refresh(true);
        let mut values = machine(seen);
        values.extend(disk(&self.place));
        if self.children == Children::Count {
            values.extend(children(&seen.system));
        }
        let step = self.step;
        self.step += 1;
        if let Err(error) = write(seen, &self.layout, self.run, step, &values) {
            tracing::warn!(%error, "system metrics cannot be recorded");
            self.failed = true;
        }
    }
}

fn look(system: &mut System, children: Children) {
    system.refresh_cpu_usage();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    if children == Children::Count {
        let what = ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    }
}

fn machine(seen: &Seen) -> Vec<(&'static str, f64)> {
    let Seen {
        system,
        networks,
        before,
        ..
    } = seen;
    let (used, total) = (system.used_memory() as f64, system.total_memory() as f64);
    let (received, sent) = traffic(networks);
    let mut values = vec![
        (
            "cpu_utilization_percentage",
            f64::from(system.global_cpu_usage()),
        ),
        ("system_memory_usage_megabytes", used / MEGABYTE),
        (
            "network_receive_megabytes",
            received.saturating_sub(before.0) as f64 / MEGABYTE,
        ),
        (
            "network_transmit_megabytes",
            sent.saturating_sub(before.1) as f64 / MEGABYTE,
        ),
    ];
    if 0.0 < total {
        values.push(("system_memory_usage_percentage", 100.0 * used / total));
    }
    values
}

fn disk(place: &std::path::Path) -> Vec<(&'static str, f64)> {
    let Ok(volume) = fs::volume(place) else {
        return Vec::new();
    };
    let (free, total) = (volume.free_bytes as f64, volume.total_bytes as f64);
    let mut values = vec![
        ("disk_usage_megabytes", (total - free) / MEGABYTE),
        ("disk_available_megabytes", free / MEGABYTE),
    ];
    if 0.0 < total {
        values.push(("disk_usage_percentage", 100.0 * (total - free) / total));
    }
    values
}

/// Returns what the processes of the stages take: all that descend from this one.
fn children(system: &System) -> Vec<(&'static str, f64)> {
    let own = Pid::from_u32(std::process::id());
    let parents: BTreeMap<Pid, Pid> = system
        .processes()
        .iter()
        .filter_map(|(pid, process)| Some((*pid, process.parent()?)))
        .collect();
    let descends = |pid: Pid| {
        let mut at = pid;
        for _ in 0..ANCESTORS_MAX {
            match parents.get(&at) {
                Some(parent) if *parent == own => return true,
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    };
    let (mut cpu, mut memory) = (0.0, 0.0);
    for (pid, process) in system.processes() {
        if descends(*pid) {
            cpu += f64::from(process.cpu_usage());
            memory += process.memory() as f64;
        }
    }
    vec![
        ("stages_cpu_utilization_percentage", cpu),
        ("stages_memory_usage_megabytes", memory / MEGABYTE),
    ]
}

/// Returns the bytes that came and went so far.
fn traffic(networks: &Networks) -> (u64, u64) {
    let mut sum = (0, 0);
    for network in networks.values() {
        sum.0 += network.total_received();
        sum.1 += network.total_transmitted();
    }
    sum
}

fn write(
    seen: &mut Seen,
    layout: &Layout,
    run: RunId,
    step: i64,
    values: &[(&str, f64)],
) -> Result<(), track::Error> {
    let tracking = match &mut seen.tracking {
        Some(tracking) => tracking,
        none => none.insert(Tracking::open(layout)?),
    };
    let at_ms = clock::now().as_millisecond();
    let point = |(name, value): &(&str, f64)| LoggedPoint {
        point: MetricPoint {
            name: format!("{}{name}", track::overview::SYSTEM),
            // What is measured is not worth more digits.
            value: (value * 10.0).round() / 10.0,
            at_ms,
            step,
        },
        model: None,
        dataset: None,
    };
    let batch = LoggedBatch {
        metrics: values.iter().map(point).collect(),
        ..LoggedBatch::default()
    };
    tracking.change(|writing| writing.log_batch_of(run, &batch))
}
