//! Reads the `drift` section of `params.yaml`.
//!
//! | key | value | default |
//! |---|---|---|
//! | `split` | `test`, `val`, `train`: the reference | `test` |
//! | `rows` | 10 to 20000: of the reference, and of new data for `mmd` and `lsdd`, at most | 2000 |
//! | `alpha` | 0.000001 to 0.5: the chance of a false alarm of a check | 0.05 |
//! | `family` | `bonferroni`, `none`: what `alpha` is divided by, the number of detectors or 1 | `bonferroni` |
//! | `correction` | `bonferroni`, `holm`, `fdr`, `none`: over the features of a detector | `bonferroni` |
//! | `permutations` | 19 to 100000; with `rows`, at most 2 GiB of memory | 1000 |
//! | `min_effect` | 0 to 1000 | 0 |
//! | `pca` | 1 to 128: principal components of embeddings wider than 128 | 32 |
//! | `detectors` | a list, see below | softmax, label, entropy, embedding, properties |
//! | `detectors[].input` | `softmax`, `embedding`, `label`, `entropy`, `margin`, `properties`, `error` | must be given |
//! | `detectors[].test` | `ks`, `cvm`, `chi2`, `fisher`, `mmd`, `lsdd` | by the input |
//! | `detectors[].name` | letters, digits, `_` and `-`; not `all` | the input |
//! | `detectors[].correction` | as `correction` | `correction` |
//! | `detectors[].min_effect` | as `min_effect` | `min_effect` |
//! | `online` | a list, see below; `[]`: none | `mmd` on softmax |
//! | `online[].input` | as of `detectors` | must be given |
//! | `online[].method` | `mmd`, `lsdd`, `cvm`, `fisher` | `mmd`; of `error`, `fisher` |
//! | `online[].name` | as of `detectors` | `online_` and the input |
//! | `online[].window` | 2 to 1000 observations; for `cvm` and `fisher` also an ascending list | 20 |
//! | `online[].ert` | 2 to 1000000 observations between two false alarms | 5000 |
//! | `online[].every` | 1 to 1000000: one answer (of `error`, one judged answer) in so many is an observation | 10; of `error`, 1 |
//! | `outlier.method` | `mahalanobis`, `knn`, `pca`, `lof`, `none` | `mahalanobis` |
//! | `outlier.fpr` | 0.0001 to 0.5: the share of usual rows called outliers | 0.01 |
//! | `outlier.neighbours` | 1 to 1000, for `knn` and `lof` | 10 |
//! | `outlier.components` | 1 to 128, for `pca` | 8 |
//! | `seed` | 0 to 2^53 | 42 |
//!
//! Imports: base, `drift::{correction, permutation}`, `vision::shard`, `detect::{features, kind}`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::base::doc::{Fields, KeyPath, On, Value};
use crate::base::units;
use crate::drift::permutation::{
    MEMORY_BYTES_MAX, TooFewPermutations, count_max, memory_bytes, require_memory,
};
use crate::vision::shard::Split;

use super::features::Input;
use super::kind::{Correction, Family, OutlierMethod, TestKind, WatchMethod};

/// The largest whole number that every YAML and JSON reader keeps exactly.
const SEED_MAX: u64 = 1 << 53;
/// The most that p-values come from.
pub(super) const PERMUTATIONS_MAX: usize = 100_000;
/// How many rows a reference may have, at most.
pub(super) const ROWS: RangeInclusive<u64> = 10..=20_000;
/// How many permutations there may be.
pub(super) const PERMUTATIONS: RangeInclusive<u64> = 19..=PERMUTATIONS_MAX as u64;
/// Detectors of one list.
const DETECTORS_MAX: usize = 32;
/// Characters of a detector's name, which labels metrics.
const NAME_MAX: usize = 40;
/// Stands for all detectors of a model in what a server measures.
pub const NAME_OF_ALL: &str = "all";

/// Which detectors are fitted, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftParams {
    /// Where the reference comes from.
    pub split: Split,
    /// Rows of the reference, and of new data for kernel tests, at most.
    pub rows: usize,
    /// The accepted chance that one check calls drift where there is none.
    pub alpha: f64,
    /// Whether the detectors share `alpha`.
    pub family: Family,
    /// Of tests by permutation.
    pub permutations: usize,
    /// Principal components of wide embeddings.
    pub pca: usize,
    /// For `cvops drift check`; at least one, with distinct names.
    pub detectors: Vec<DetectorParams>,
    /// For a stream of answers; distinct names, also from those of `detectors`.
    pub online: Vec<OnlineParams>,
    /// For single rows.
    pub outlier: OutlierParams,
    /// Of every draw.
    pub seed: u64,
}

/// Who asked for a detector: what comes by default is left out where it cannot be, what was asked for
/// is an error there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It stands in the file.
    Given,
    /// It does not.
    Default,
}

/// A detector that compares two samples.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorParams {
    /// Who asked for it.
    pub origin: Origin,
    /// What it is called.
    pub name: String,
    /// What it looks at.
    pub input: Input,
    /// How it compares; `None`: as [`TestKind::usual`] says.
    pub test: Option<TestKind>,
    /// Over its features.
    pub correction: Correction,
    /// Effects below this are no drift.
    pub min_effect: f64,
}

/// A detector that watches a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineParams {
    /// Who asked for it.
    pub origin: Origin,
    /// What it is called.
    pub name: String,
    /// What it looks at.
    pub input: Input,
    /// How it compares.
    pub method: WatchMethod,
    /// Observations in a window, ascending; one for `mmd` and `lsdd`.
    pub windows: Vec<usize>,
    /// Expected observations between two false alarms.
    pub ert: u64,
    /// One answer in so many is an observation; of [`Input::Error`], one answer that somebody judged.
    pub every: u64,
}

/// How single rows are scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierParams {
    /// Who asked for it.
    pub origin: Origin,
    /// The score; `None`: none.
    pub method: Option<OutlierMethod>,
    /// The share of usual rows that are called outliers.
    pub false_positives: f64,
    /// k of `knn` and `lof`.
    pub neighbours: usize,
    /// Of `pca`.
    pub components: usize,
}

impl DriftParams {
    /// Reads the section `drift`; problems are reported to the document's collector and replaced by
    /// defaults.
    #[must_use]
    pub fn read(fields: Fields<'_, '_>) -> Self {
        let splits = [Split::Test, Split::Val, Split::Train].map(|split| (split.name(), split));
        let common = Common {
            correction: fields.choice("correction", Correction::Bonferroni, &Correction::NAMES),
            min_effect: fields.float("min_effect", 0.0, 0.0..=1000.0),
        };
        let usual = || usual_detectors(common);
        let detectors = list(&fields, "detectors", usual, |item| {
            read_detector(item, common)
        });
        if detectors.is_empty() {
            let headline = format!(
                "`{}` must name at least one detector",
                fields.path("detectors")
            );
            let help = "for example `[{input: softmax}, {input: label}]`; leave the key out for the usual ones";
            let help = Some(help.to_owned());
            fields.problem("detectors", On::Value, "out-of-range", headline, help);
        }
        let online = list(&fields, "online", usual_online, read_online);
        let params = Self {
            split: fields.choice("split", Split::Test, &splits),
            rows: fields.int("rows", 2000, ROWS) as usize,
            alpha: fields.float("alpha", 0.05, 1e-6..=0.5),
            family: fields.choice("family", Family::Bonferroni, &Family::NAMES),
            permutations: fields.int("permutations", 1000, PERMUTATIONS) as usize,
            pca: fields.int("pca", 32, 1..=128) as usize,
            detectors,
            online,
            outlier: read_outlier(&fields),
            seed: fields.int("seed", 42, 0..=SEED_MAX),
        };
        params.check_names(&fields);
        params.check_permutations(&fields);
        fields.finish();
        params
    }

    /// Returns the significance level of each detector.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.family.level(self.alpha, self.detectors.len())
    }

    fn check_names(&self, fields: &Fields<'_, '_>) {
        let detectors = self.detectors.iter().map(|one| &one.name);
        let online = self.online.iter().map(|one| &one.name);
        let places = (0..).map(|at| ("detectors", at)).zip(detectors);
        let places = places.chain((0..).map(|at| ("online", at)).zip(online));
        let mut seen = BTreeSet::new();
        for ((key, at), name) in places {
            if seen.insert(name) {
                continue;
            }
            let headline = format!("two detectors are called `{name}`");
            let help = Some("give one of them another `name`".to_owned());
            let place = fields.path(key).index(at);
            let problems = fields.problems();
            problems.report(&place, On::Value, "same-name", headline, "", help);
        }
    }

    /// Refuses permutations with which no p-value can be small enough.
    fn check_permutations(&self, fields: &Fields<'_, '_>) {
        let permuted = self.detectors.iter().any(|one| {
            let test = one.test.unwrap_or(TestKind::usual(one.input, 0));
            test.is_permuted()
        });
        if !permuted {
            return;
        }
        self.check_memory(fields);
        let level = self.level();
        if let Ok(Some(few)) = TooFewPermutations::check(self.permutations, level) {
            let headline = format!(
                "`{}` must be at least {}: with fewer no p-value is below {level}, the significance level of a detector",
                fields.path("permutations"),
                few.needed
            );
            fields.problem("permutations", On::Value, "out-of-range", headline, None);
        }
    }

    /// Refuses permutations that with so many rows would take too much memory; `chi2` keeps none of them.
    fn check_memory(&self, fields: &Fields<'_, '_>) {
        let Self {
            rows, permutations, ..
        } = *self;
        let keeps = self.detectors.iter().any(|one| {
            let test = one.test.unwrap_or(TestKind::usual(one.input, 0));
            matches!(test, TestKind::Mmd | TestKind::Lsdd)
        });
        if !keeps || require_memory(rows, rows, permutations).is_ok() {
            return;
        }
        let headline = format!(
            "`{}` is too large: {permutations} permutations of `rows: {rows}` take {} of memory, more than {}",
            fields.path("permutations"),
            units::bytes(memory_bytes(rows, rows, permutations)),
            units::bytes(MEMORY_BYTES_MAX),
        );
        let help = format!(
            "with {rows} rows, at most {} permutations; or take fewer `rows`",
            count_max(rows, rows)
        );
        // A default is no line of the file.
        let key = if fields.has("permutations") {
            "permutations"
        } else {
            "rows"
        };
        fields.problem(key, On::Value, "out-of-range", headline, Some(help));
    }
}

/// What detectors take over from the section.
#[derive(Clone, Copy)]
struct Common {
    correction: Correction,
    min_effect: f64,
}

fn usual_detectors(common: Common) -> Vec<DetectorParams> {
    let inputs = [
        Input::Softmax,
        Input::Label,
        Input::Entropy,
        Input::Embedding,
        Input::Properties,
    ];
    let usual = inputs.map(|input| DetectorParams {
        origin: Origin::Default,
        name: input.name().to_owned(),
        input,
        test: None,
        correction: common.correction,
        min_effect: common.min_effect,
    });
    usual.to_vec()
}

fn usual_online() -> Vec<OnlineParams> {
    vec![OnlineParams {
        origin: Origin::Default,
        name: online_name(Input::Softmax),
        input: Input::Softmax,
        method: WatchMethod::Mmd,
        windows: vec![20],
        ert: 5000,
        every: 10,
    }]
}

fn online_name(input: Input) -> String {
    format!("online_{}", input.name())
}

/// Answers that somebody judges are few: none is left out.
fn usual_every(input: Input) -> u64 {
    if input == Input::Error { 1 } else { 10 }
}

fn read_detector(fields: &Fields<'_, '_>, common: Common) -> DetectorParams {
    let input = read_input(fields);
    let test = fields.has("test").then(|| {
        let usual = TestKind::usual(input, 0);
        let test = fields.choice("test", usual, &TestKind::NAMES);
        if !test.takes(input) {
            refuse(fields, "test", test.name(), input, &|input| {
                test.takes(input)
            });
        }
        test
    });
    DetectorParams {
        origin: Origin::Given,
        name: read_name(fields, input.name().to_owned()),
        input,
        test,
        correction: fields.choice("correction", common.correction, &Correction::NAMES),
        min_effect: fields.float("min_effect", common.min_effect, 0.0..=1000.0),
    }
}

fn read_online(fields: &Fields<'_, '_>) -> OnlineParams {
    let input = read_input(fields);
    let method = fields.choice("method", WatchMethod::usual(input), &WatchMethod::NAMES);
    if !method.takes(input) {
        refuse(fields, "method", method.name(), input, &|input| {
            method.takes(input)
        });
    }
    OnlineParams {
        origin: Origin::Given,
        name: read_name(fields, online_name(input)),
        input,
        method,
        windows: read_windows(fields, method),
        ert: fields.int("ert", 5000, 2..=1_000_000),
        every: fields.int("every", usual_every(input), 1..=1_000_000),
    }
}

fn read_outlier(fields: &Fields<'_, '_>) -> OutlierParams {
    let origin = if fields.has("outlier") {
        Origin::Given
    } else {
        Origin::Default
    };
    let fields = fields.section("outlier");
    let names: Vec<(&str, Option<OutlierMethod>)> = OutlierMethod::NAMES
        .iter()
        .map(|(name, method)| (*name, Some(*method)))
        .chain([("none", None)])
        .collect();
    let outlier = OutlierParams {
        origin,
        method: fields.choice("method", Some(OutlierMethod::Mahalanobis), &names),
        false_positives: fields.float("fpr", 0.01, 0.0001..=0.5),
        neighbours: fields.int("neighbours", 10, 1..=1000) as usize,
        components: fields.int("components", 8, 1..=128) as usize,
    };
    fields.finish();
    outlier
}

/// Reads the mapping of each item of the list at `key`, or returns what is usual without one.
fn list<T>(
    fields: &Fields<'_, '_>,
    key: &'static str,
    usual: impl FnOnce() -> Vec<T>,
    read: impl Fn(&Fields<'_, '_>) -> T,
) -> Vec<T> {
    let (problems, at) = (fields.problems(), fields.path(key));
    let items = match fields.get(key) {
        None => return usual(),
        Some(Value::List(items)) => items,
        Some(other) => {
            let headline = format!("`{at}` must be a list of detectors");
            let label = format!("this is {}", other.kind());
            let help = Some(format!("for example `{key}: [{{input: softmax}}]`"));
            problems.report(&at, On::Value, "wrong-type", headline, label, help);
            return usual();
        }
    };
    if DETECTORS_MAX < items.len() {
        let headline = format!("`{at}` must have at most {DETECTORS_MAX} detectors");
        let label = format!("{} detectors", items.len());
        problems.report(&at, On::Key, "out-of-range", headline, label, None);
    }
    let items = items.iter().take(DETECTORS_MAX).enumerate();
    let read_one = |(index, item): (usize, &Value)| {
        let fields = problems.fields(at.index(index));
        // What is no mapping was reported just now; an empty item lacks its input.
        let readable = matches!(item, Value::Map(_) | Value::Null);
        let one = readable.then(|| read(&fields));
        fields.finish();
        one
    };
    items.filter_map(read_one).collect()
}

fn read_input(fields: &Fields<'_, '_>) -> Input {
    if !fields.has("input") {
        let headline = format!("`{}` has no `input`", fields.at());
        let names: Vec<String> = Input::NAMES
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let help = Some(format!("what it looks at: one of {}", names.join(", ")));
        let problems = fields.problems();
        problems.report(fields.at(), On::Value, "missing-key", headline, "", help);
    }
    fields.choice("input", Input::Softmax, &Input::NAMES)
}

/// Reads a name that can label a metric.
fn read_name(fields: &Fields<'_, '_>, usual: String) -> String {
    let Some(name) = fields.optional_text("name") else {
        return usual;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name == NAME_OF_ALL {
        let headline = format!("`{}` must not be `{NAME_OF_ALL}`", fields.path("name"));
        let help = "metrics and alerts of `cvops serve` call all detectors of a model together so, where none of them may look; choose another name";
        let help = Some(help.to_owned());
        fields.problem("name", On::Value, "reserved-name", headline, help);
        return usual;
    }
    if !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(plain) {
        return name.to_owned();
    }
    let headline = format!(
        "`{}` must be 1 to {NAME_MAX} letters, digits, `_` or `-`",
        fields.path("name")
    );
    fields.problem("name", On::Value, "out-of-range", headline, None);
    usual
}

fn read_windows(fields: &Fields<'_, '_>, method: WatchMethod) -> Vec<usize> {
    const RANGE: RangeInclusive<i64> = 2..=1000;
    let Some(value) = fields.get("window") else {
        return vec![20];
    };
    let window = |value: &Value| value.as_i64().filter(|window| RANGE.contains(window));
    let windows: Option<Vec<i64>> = match value {
        Value::List(items) => items.iter().map(window).collect(),
        one => window(one).map(|window| vec![window]),
    };
    let windows = windows.filter(|all| {
        let several = method.takes_several_windows() || all.len() == 1;
        !all.is_empty() && several && all.is_sorted_by(|a, b| a < b)
    });
    if let Some(windows) = windows {
        return windows.into_iter().map(|window| window as usize).collect();
    }
    let form = if method.takes_several_windows() {
        ", or an ascending list of them"
    } else {
        ""
    };
    let headline = format!(
        "`{}` must be a whole number from {} to {}{form}",
        fields.path("window"),
        RANGE.start(),
        RANGE.end()
    );
    fields.problem("window", On::Value, "out-of-range", headline, None);
    vec![20]
}

/// Reports that `name`, the value of `key`, cannot look at `input`.
fn refuse(
    fields: &Fields<'_, '_>,
    key: &'static str,
    name: &str,
    input: Input,
    takes: &dyn Fn(Input) -> bool,
) {
    let place: KeyPath = fields.path(key);
    let headline = format!("`{place}`: `{name}` cannot look at `{}`", input.name());
    let inputs = Input::NAMES.iter().filter(|(_, input)| takes(*input));
    let inputs: Vec<String> = inputs.map(|(input, _)| format!("`{input}`")).collect();
    let mut help = format!("`{name}` takes {}", inputs.join(", "));
    if input == Input::Error {
        help += "; at `error` only `fisher` can look";
    }
    let help = Some(help);
    let on = if fields.has(key) { On::Value } else { On::Key };
    fields.problem(key, on, "other-input", headline, help);
}
