//! Where the time of a repro went: the chain of stages that had to come after one another and took
//! longest. Pure. Imports: graph, plan, execute.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Outcome, Summary};
use crate::pipeline::plan::Plan;
use crate::pipeline::spec::StageName;

/// However many jobs run at the same time, a repro takes at least as long as this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// The stages, first to last; none: nothing ran.
    pub stages: Vec<StageName>,
    /// How long they took together.
    pub took: Duration,
}

/// Finds the critical path among the stages of `plan` that ran or were restored.
pub(super) fn critical_path(plan: &Plan<'_>, summary: &Summary) -> CriticalPath {
    let graph = plan.graph();
    let took: BTreeMap<&StageName, Duration> = summary
        .done
        .iter()
        .filter(|(_, how, _)| matches!(how, Outcome::Ran | Outcome::Restored))
        .map(|(stage, _, took)| (stage, *took))
        .collect();
    if took.is_empty() {
        return CriticalPath::default();
    }
    // By stage: how long the longest chain up to its end takes, and the stage before it in that.
    let mut chains: BTreeMap<usize, (Duration, Option<usize>)> = BTreeMap::new();
    for &index in plan.order() {
        let before = graph
            .upstream(index)
            .filter_map(|up| chains.get(&up).map(|(took, _)| (*took, up)))
            .max();
        let own = took.get(&graph.stages()[index].name).copied();
        let (so_far, previous) = before.map_or((Duration::ZERO, None), |(t, i)| (t, Some(i)));
        chains.insert(index, (so_far + own.unwrap_or_default(), previous));
    }
    let longest = chains.iter().max_by_key(|(_, (took, _))| *took);
    let Some((&last, &(total, _))) = longest else {
        return CriticalPath::default();
    };
    let mut stages = Vec::new();
    let mut at = Some(last);
    while let Some(index) = at {
        let name = &graph.stages()[index].name;
        if took.contains_key(name) {
            stages.push(name.clone());
        }
        at = chains.get(&index).and_then(|(_, previous)| *previous);
    }
    stages.reverse();
    CriticalPath {
        stages,
        took: total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::{Document, Format};
    use crate::pipeline::plan::Reach;
    use crate::pipeline::{StageGraph, spec};

    #[test]
    fn the_longest_chain_is_found() {
        let text = "stages:\n  a: {cmd: x, outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n  c: {cmd: x, deps: [a], outs: [c]}\n  d: {cmd: x, deps: [b, c], outs: [d]}\n  e: {cmd: x, outs: [e]}\n";
        let document = Document::parse("p.yaml", text.to_owned(), Format::Yaml).unwrap();
        let graph = StageGraph::build(spec::read(document).unwrap()).unwrap();
        let plan = Plan::select(&graph, &[], Reach::Upstream).unwrap();
        let path = |done: &[(&str, u64, Outcome)]| {
            let mut summary = Summary::default();
            for (name, seconds, how) in done {
                let took = Duration::from_secs(*seconds);
                summary.done.push((name.parse().unwrap(), *how, took));
            }
            let path = critical_path(&plan, &summary);
            let names: Vec<_> = path.stages.iter().map(StageName::as_str).collect();
            format!("{} {}", names.join(" "), path.took.as_secs())
        };
        use Outcome::{Ran, Restored, Unchanged};
        let all = [
            ("a", 1, Ran),
            ("b", 5, Ran),
            ("c", 7, Restored),
            ("d", 1, Ran),
            ("e", 8, Ran),
        ];
        assert_eq!(path(&all), "a c d 9");
        assert_eq!(path(&[("a", 9, Unchanged), ("b", 1, Ran)]), "b 1");
        assert_eq!(path(&[("a", 9, Unchanged)]), " 0");
    }
}
