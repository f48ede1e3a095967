//! Reads the `train` section of `params.yaml`.
//!
//! | key | value | default |
//! |---|---|---|
//! | `epochs` | 1 to 10000 | 10 |
//! | `batch_size` | 1 to 65536 | 64 |
//! | `learning_rate` | 1e-8 to 10 | 0.001 (`sgd`: 0.05) |
//! | `optimiser` | `adam`, `adamw`, `sgd` | `adam` |
//! | `momentum` | 0 to 0.999; `sgd` only | 0.9 |
//! | `weight_decay` | 0 to 1 | 0 (`adamw`: 0.01) |
//! | `schedule` | `constant`, `cosine`, `one_cycle` | `constant` |
//! | `warmup` | epochs, 0 to 1000; not with `one_cycle` | 0 |
//! | `label_smoothing` | 0 to 0.9 | 0 |
//! | `early_stopping.patience` | epochs, 1 to 10000 | 5 |
//! | `early_stopping.min_delta` | 0 to 100 | 0 |
//! | `early_stopping.metric` | `val_loss`, `val_accuracy` | `val_loss` |
//! | `keep` | `best`, `last`: which epoch's weights are the result | `best` |
//! | `seed` | 0 to 2^53 | 42 |
//! | `device` | `auto`, `cpu`, `cuda`, `wgpu` | `auto` |
//! | `augment` | see `vision::augment` | all off |
//!
//! Without a section `early_stopping` all epochs run. Imports: `base::doc`, `vision::{augment,
//! device}`.

use crate::base::doc::{Fields, On};
use crate::vision::augment::AugmentParams;
use crate::vision::device::DeviceChoice;

use super::early_stop::{EarlyStopping, Metric};
use super::schedule::Schedule;

/// The largest whole number that every YAML and JSON reader keeps exactly.
const SEED_MAX: u64 = 1 << 53;

/// How a network is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainParams {
    /// Passes over the training split.
    pub epochs: usize,
    /// Images per step; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// The (largest) learning rate.
    pub learning_rate: f64,
    /// Which optimiser.
    pub optimiser: OptimiserKind,
    /// Momentum of `sgd`.
    pub momentum: f64,
    /// Decoupled for `adamw`, an L2 penalty for the others. Applies to all learned tensors.
    pub weight_decay: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Epochs over which the learning rate rises from 0.
    pub warmup_epochs: usize,
    /// Share of each target spread evenly over all classes (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// When to stop before the last epoch.
    pub early_stopping: Option<EarlyStopping>,
    /// Which epoch's weights are the result.
    pub keep: Keep,
    /// The seed of every draw.
    pub seed: u64,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Random changes of the training images.
    pub augment: AugmentParams,
}

/// Which optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimiserKind {
    /// Kingma and Ba 2015.
    Adam,
    /// Loshchilov and Hutter 2019.
    AdamW,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// Which epoch's weights are the result of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those of the best epoch by `early_stopping.metric`; the last without a validation split.
    Best,
    /// Those of the last epoch.
    Last,
}

impl OptimiserKind {
    const NAMES: [(&'static str, Self); 3] = [
        ("adam", Self::Adam),
        ("adamw", Self::AdamW),
        ("sgd", Self::Sgd),
    ];
}

impl TrainParams {
    /// Reads the section `train`; problems are reported to the document's collector and replaced by
    /// defaults.
    #[must_use]
    pub fn read(fields: Fields<'_, '_>) -> Self {
        let optimiser = fields.choice("optimiser", OptimiserKind::Adam, &OptimiserKind::NAMES);
        let (learning_rate, weight_decay) = match optimiser {
            OptimiserKind::Adam => (0.001, 0.0),
            OptimiserKind::AdamW => (0.001, 0.01),
            OptimiserKind::Sgd => (0.05, 0.0),
        };
        let schedule = fields.choice("schedule", Schedule::Constant, &Schedule::NAMES);
        let params = Self {
            epochs: fields.int("epochs", 10, 1..=10_000) as usize,
            batch_size: fields.int("batch_size", 64, 1..=65_536) as usize,
            learning_rate: fields.float("learning_rate", learning_rate, 1e-8..=10.0),
            optimiser,
            momentum: fields.float("momentum", 0.9, 0.0..=0.999),
            weight_decay: fields.float("weight_decay", weight_decay, 0.0..=1.0),
            schedule,
            warmup_epochs: fields.int("warmup", 0, 0..=1000) as usize,
            label_smoothing: fields.float("label_smoothing", 0.0, 0.0..=0.9),
            early_stopping: fields
                .has("early_stopping")
                .then(|| read_early_stopping(fields.section("early_stopping"))),
            keep: fields.choice(
                "keep",
                Keep::Best,
                &[("best", Keep::Best), ("last", Keep::Last)],
            ),
            seed: fields.int("seed", 42, 0..=SEED_MAX),
            device: DeviceChoice::read(&fields),
            augment: AugmentParams::read(fields.section("augment")),
        };
        if fields.has("momentum") && optimiser != OptimiserKind::Sgd {
            let headline = format!("`{}` is only used by `sgd`", fields.path("momentum"));
            let help = "remove it, or set `optimiser: sgd`".to_owned();
            fields.problem("momentum", On::Key, "unused-key", headline, Some(help));
        }
        if 0 < params.warmup_epochs && schedule == Schedule::OneCycle {
            let headline = format!("`{}` does not go with `one_cycle`", fields.path("warmup"));
            let help = "remove it: one cycle warms up by itself".to_owned();
            fields.problem("warmup", On::Key, "conflicting-keys", headline, Some(help));
        }
        if params.epochs < params.warmup_epochs {
            let headline = format!("`{}` is longer than all epochs", fields.path("warmup"));
            fields.problem("warmup", On::Value, "out-of-range", headline, None);
        }
        fields.finish();
        params
    }

    /// Returns the name of the optimiser as in `params.yaml`.
    #[must_use]
    pub fn optimiser_name(&self) -> &'static str {
        let named = OptimiserKind::NAMES
            .iter()
            .find(|(_, kind)| *kind == self.optimiser);
        named.map_or("", |(name, _)| *name)
    }
}

fn read_early_stopping(fields: Fields<'_, '_>) -> EarlyStopping {
    let stopping = EarlyStopping {
        patience: fields.int("patience", 5, 1..=10_000) as usize,
        min_delta: fields.float("min_delta", 0.0, 0.0..=100.0),
        metric: fields.choice("metric", Metric::ValLoss, &Metric::NAMES),
    };
    fields.finish();
    stopping
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Error;
    use crate::base::doc::{Document, Format, KeyPath, Problems};

    fn read(text: &str) -> Result<TrainParams, Vec<String>> {
        let document =
            Document::parse("params.yaml", text.to_owned(), Format::Yaml).expect("valid YAML");
        let problems = Problems::new(&document);
        let params = TrainParams::read(problems.fields(KeyPath::root().key("train")));
        problems.into_result(params).map_err(|error| match error {
            Error::Document { problems, .. } => problems.into_iter().map(|d| d.headline).collect(),
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn defaults_follow_the_optimiser() {
        let params = read("train: {optimiser: sgd}").unwrap();
        assert!((params.learning_rate - 0.05).abs() < 1e-12 && params.early_stopping.is_none());
        assert!((read("{}").unwrap().learning_rate - 0.001).abs() < 1e-12);
        let params = read("train: {early_stopping: {patience: 2}}").unwrap();
        assert_eq!(params.early_stopping.unwrap().patience, 2);
    }

    #[test]
    fn every_problem_is_named() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
        check(
            "train: {epochs: 0, learning_rate: 11, optimizer: adam}",
            &[
                "`train.epochs` must be a whole number from 1 to 10000",
                "`train.learning_rate` must be a number from 0.00000001 to 10",
                "unknown key `optimizer` in `train`",
            ],
        );
        check(
            "train: {momentum: 0.8, schedule: one_cycle, warmup: 1}",
            &[
                "`train.momentum` is only used by `sgd`",
                "`train.warmup` does not go with `one_cycle`",
            ],
        );
        check(
            "train: {augment: {flip: 2}, early_stopping: {metric: loss}}",
            &[
                "`train.augment.flip` must be a number from 0 to 1",
                "`train.early_stopping.metric` must be one of `val_loss`, `val_accuracy`",
            ],
        );
    }
}
