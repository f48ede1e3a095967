//! Who may start: so many jobs at a time, and what stages ask of the machine (`resources`).
//!
//! CPUs, memory and GPUs are only counted for stages that ask for them: of the others only the number
//! of jobs is known. Nothing is enforced: a stage that says 4 GiB and takes 8 is not stopped.
//! Imports: the pipeline's other files.

use std::collections::BTreeMap;
use std::process::Command;

use crate::pipeline::decide::StageDecision;
use crate::pipeline::error::Error;
use crate::pipeline::forecast::{Forecast, forecast};
use crate::pipeline::lock::LockFile;
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::{Resources, StageSpec};
use crate::pipeline::workspace::Workspace;

use super::Options;

/// The variable that tells a program which GPUs it may use.
pub(super) const VISIBLE_GPUS: &str = "CUDA_VISIBLE_DEVICES";

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// CPUs.
    pub(super) cpus: u32,
    /// Bytes of memory; `None`: the system does not say.
    pub(super) memory: Option<u64>,
    /// GPUs, by the names that `CUDA_VISIBLE_DEVICES` takes.
    pub(super) gpus: Vec<String>,
}

impl Capacity {
    /// Looks at this machine, as far as the stages of `plan` ask for something. `jobs` stages may run
    /// at the same time: whoever says that this machine can do more than it has CPUs is believed.
    /// `visible` is the value of `CUDA_VISIBLE_DEVICES`.
    pub(super) fn for_plan(plan: &Plan<'_>, jobs: usize, visible: Option<&str>) -> Self {
        let stages = plan.graph().stages();
        let wanted = |asks: fn(&Resources) -> bool| {
            let mut chosen = plan.order().iter().map(|&i| &stages[i]);
            chosen.any(|stage| asks(&stage.run.resources))
        };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpus: u32::try_from(cpus.max(jobs)).unwrap_or(u32::MAX),
            memory: if wanted(|r| r.memory.is_some()) {
                memory()
            } else {
                None
            },
            gpus: if wanted(|r| r.gpus.is_some_and(|n| n != 0)) {
                gpus(visible)
            } else {
                Vec::new()
            },
        }
    }

    /// Says why `stage` could never start here.
    pub(super) fn too_small_for(&self, stage: &StageSpec) -> Option<Error> {
        let Resources {
            cpus, memory, gpus, ..
        } = &stage.run.resources;
        let gpus_here = u64::try_from(self.gpus.len()).unwrap_or(u64::MAX);
        let checks = [
            (
                "cpus",
                cpus.map(|n| u64::from(n.get())),
                u64::from(self.cpus),
            ),
            ("memory", *memory, self.memory.unwrap_or(u64::MAX)),
            ("gpus", gpus.map(u64::from), gpus_here),
        ];
        let (what, wants, has) = checks
            .into_iter()
            .find_map(|(what, wants, has)| Some((what, wants.filter(|w| has < *w)?, has)))?;
        Some(Error::NeverFits {
            stage: stage.name.clone(),
            what,
            wants,
            has,
        })
    }
}

/// Makes sure, before anything runs, that no stage of `plan` that is to run asks for more than there
/// is. What is up to date or can be restored may have been made on a larger machine.
///
/// # Errors
/// All stages that can never start; or as `forecast`.
pub fn check_resources(
    plan: &Plan<'_>,
    lock: &LockFile,
    workspace: &mut Workspace<'_>,
    options: &Options,
) -> Result<(), Error> {
    let visible = workspace.env().get(VISIBLE_GPUS).map(String::as_str);
    let capacity = Capacity::for_plan(plan, options.jobs, visible);
    let stages = plan.graph().stages();
    let too_large = |&index: &usize| capacity.too_small_for(&stages[index]).is_some();
    if !plan.order().iter().any(too_large) {
        return Ok(());
    }
    let forecasts = forecast(plan, lock, workspace, options.force, options.records)?;
    let mut problems: Vec<Error> = plan
        .order()
        .iter()
        .zip(forecasts)
        .filter(|(_, forecast)| match forecast {
            Forecast::Certain(decision) => matches!(decision, StageDecision::Run(_)),
            Forecast::DependsOn(_) => true,
        })
        .filter_map(|(&index, _)| {
            let stage = &stages[index];
            let error = capacity.too_small_for(stage)?;
            Some(plan.graph().at_its_line(stage, error))
        })
        .collect();
    match problems.len() {
        0 => Ok(()),
        1 => Err(problems.remove(0)),
        _ => Err(Error::Several(problems)),
    }
}

/// Returns the bytes of memory that this process may use.
fn memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let meminfo = read("/proc/meminfo")?;
    let total = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // In a container the limit is what counts; without one it says `max`.
    let limit = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let bytes = kib.saturating_mul(1024);
    Some(limit.map_or(bytes, |limit: u64| limit.min(bytes)))
}

/// Returns the names of the GPUs that stages may use.
fn gpus(visible: Option<&str>) -> Vec<String> {
    if let Some(visible) = visible {
        let names = visible.split(',').map(str::trim);
        // Programs stop reading at the first that is none.
        let names = names.take_while(|name| !name.is_empty() && *name != "-1");
        return names.map(str::to_owned).collect();
    }
    let Ok(output) = Command::new("nvidia-smi").arg("-L").output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    // One line for each: `GPU 0: NAME (UUID: …)`; their partitions are indented.
    let lines = text.lines().filter_map(|line| line.strip_prefix("GPU "));
    lines
        .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
        .collect()
}

/// What a stage that runs has of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    cpus: u32,
    memory: u64,
    /// Names of its GPUs; `None`: it did not ask, and sees what there is.
    pub(super) gpus: Option<Vec<String>>,
}

/// What is free.
#[derive(Debug)]
pub(super) struct Admission {
    jobs: usize,
    cpus: u32,
    memory: u64,
    gpus: Vec<String>,
    granted: BTreeMap<usize, Grant>,
}

impl Admission {
    pub(super) fn new(jobs: usize, capacity: &Capacity) -> Self {
        Self {
            jobs,
            cpus: capacity.cpus,
            memory: capacity.memory.unwrap_or(u64::MAX),
            gpus: capacity.gpus.clone(),
            granted: BTreeMap::new(),
        }
    }

    /// How many stages run now.
    pub(super) fn running(&self) -> usize {
        self.granted.len()
    }

    /// May another stage start, if it asks for nothing?
    pub(super) fn has_slot(&self) -> bool {
        self.granted.len() < self.jobs
    }

    /// Is what `stage` asks for free? Only a command needs it: to restore a result takes a slot.
    pub(super) fn fits(&self, stage: &StageSpec, decision: &StageDecision) -> bool {
        if !matches!(decision, StageDecision::Run(_)) {
            return self.has_slot();
        }
        let wants = &stage.run.resources;
        self.has_slot()
            && wants.cpus.is_none_or(|n| n.get() <= self.cpus)
            && wants.memory.is_none_or(|n| n <= self.memory)
            && wants.gpus.is_none_or(|n| n as usize <= self.gpus.len())
    }

    /// Gives stage number `index` what it asks for, which is free.
    pub(super) fn admit(
        &mut self,
        index: usize,
        stage: &StageSpec,
        decision: &StageDecision,
    ) -> Grant {
        let nothing = Resources::default();
        let wants = match decision {
            StageDecision::Run(_) => &stage.run.resources,
            _ => &nothing,
        };
        let gpus = wants.gpus.filter(|n| *n != 0).map(|n| {
            let n = self.gpus.len().min(n as usize);
            self.gpus.drain(..n).collect()
        });
        let grant = Grant {
            cpus: wants.cpus.map_or(0, std::num::NonZeroU32::get),
            memory: wants.memory.unwrap_or(0),
            gpus,
        };
        self.cpus -= grant.cpus.min(self.cpus);
        self.memory -= grant.memory.min(self.memory);
        self.granted.insert(index, grant.clone());
        grant
    }

    /// Takes back what stage number `index` had.
    pub(super) fn give_back(&mut self, index: usize) {
        let Some(grant) = self.granted.remove(&index) else {
            return;
        };
        self.cpus += grant.cpus;
        self.memory += grant.memory;
        self.gpus.extend(grant.gpus.into_iter().flatten());
        // The same stages get the same ones each time.
        self.gpus.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::{Document, Format};
    use crate::pipeline::decide::RunReason;
    use crate::pipeline::spec;

    fn stages(text: &str) -> Vec<StageSpec> {
        let document = Document::parse("p.yaml", text.to_owned(), Format::Yaml).unwrap();
        spec::read(document).unwrap().stages
    }

    #[test]
    fn a_stage_starts_when_what_it_asks_for_is_free() {
        let all = stages(
            "stages:\n  plain: {cmd: x}\n  two: {cmd: x, resources: {cpus: 2, memory: 6GiB}}\n  gpu: {cmd: x, resources: {gpus: 1}}\n  both: {cmd: x, resources: {gpus: 2}}\n  big: {cmd: x, resources: {memory: 9GiB}}\n",
        );
        let [plain, two, gpu, both, big] = all.as_slice() else {
            panic!()
        };
        let capacity = Capacity {
            cpus: 3,
            memory: Some(8 << 30),
            gpus: vec!["0".to_owned(), "1".to_owned()],
        };
        assert!(capacity.too_small_for(two).is_none());
        let error = capacity.too_small_for(big).unwrap();
        assert!(error.to_string().contains("memory"), "{error}");

        let runs = StageDecision::Run(vec![RunReason::NeverRun]);
        let mut admission = Admission::new(3, &capacity);
        assert!(admission.fits(two, &runs) && admission.fits(both, &runs));
        admission.admit(1, two, &runs);
        assert!(
            !admission.fits(two, &runs),
            "neither CPUs nor memory are left"
        );
        assert!(admission.fits(two, &StageDecision::Cached));
        assert!(admission.fits(plain, &runs) && admission.fits(gpu, &runs));
        let grant = admission.admit(2, gpu, &runs);
        assert_eq!(grant.gpus.as_deref(), Some(&["0".to_owned()][..]));
        assert!(!admission.fits(both, &runs));
        assert_eq!(admission.admit(0, plain, &runs).gpus, None);
        assert!(!admission.fits(plain, &runs), "no job is left");
        assert_eq!(admission.running(), 3);
        admission.give_back(2);
        admission.give_back(1);
        assert!(admission.fits(both, &runs) && admission.fits(two, &runs));
    }
}
