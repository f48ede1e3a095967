//! Whole trainings on a handful of synthetic pictures: what is promised of `fit` as a whole.

use std::path::Path;
use std::sync::Mutex;

use rand::RngExt;

use crate::base::doc::{Document, Format, KeyPath, Problems};
use crate::base::{Cancel, CancelReason, ContentHash, Observer, rng};
use crate::vision::Error;
use crate::vision::device::Device;
use crate::vision::image::Pixels;
use crate::vision::model::{Input, ModelSpec};
use crate::vision::shard::SplitData;

use super::{Fitted, Normalisation, Stop, TrainData, TrainEvent, TrainParams, TrainSpec, fit};

const SIDE: usize = 8;

/// Pictures of two classes, bright above or bright below, with noise.
fn split(name: &str, count: usize) -> SplitData {
    let mut rng = rng::stream(1, name, 0);
    let mut pixels = Pixels::new(SIDE, SIDE, 3);
    let mut labels = Vec::new();
    for i in 0..count {
        let label = (i % 2) as u32;
        let image: Vec<u8> = (0..SIDE * SIDE * 3)
            .map(|at| {
                let is_upper = at < SIDE * SIDE * 3 / 2;
                let base = if is_upper == (label == 0) { 140 } else { 60 };
                base + rng.random_range(0..60)
            })
            .collect();
        pixels.push(&image);
        labels.push(label);
    }
    let paths = (0..count).map(|i| format!("{name}/{i}.png")).collect();
    SplitData {
        pixels,
        labels,
        paths,
        contents: vec![String::new(); count],
    }
}

fn data() -> TrainData {
    TrainData {
        classes: vec!["above".to_owned(), "below".to_owned()],
        input: Input {
            height: SIDE,
            width: SIDE,
            channels: 3,
        },
        normalisation: Normalisation {
            mean: vec![0.5; 3],
            std: vec![0.2; 3],
        },
        train: split("train", 22),
        val: Some(split("val", 10)),
        content_hash: ContentHash::of(b"synthetic"),
    }
}

/// Everything at once that holds state between epochs or draws random numbers.
const PARAMS: &str = "
model:
  blocks:
    - {filters: 4, batch_norm: true, dropout: 0.1}
    - {depthwise: true, padding: same}
    - {filters: 6, padding: same, stride: 2, batch_norm: true, residual: 2}
    - {filters: 6, padding: same, pool: max}
  head: {dense: [8], dropout: 0.3}
train:
  {epochs: 4, batch_size: 8, learning_rate: 0.01, schedule: one_cycle, label_smoothing: 0.1,
   device: cpu, augment: {flip: 0.5, shift: 1}}
";

fn spec(text: &str) -> TrainSpec {
    let document = Document::parse("params.yaml", text.to_owned(), Format::Yaml).unwrap();
    let problems = Problems::new(&document);
    let model = ModelSpec::read(problems.fields(KeyPath::root().key("model")));
    let params = TrainParams::read(problems.fields(KeyPath::root().key("train")));
    problems.into_result(TrainSpec { model, params }).unwrap()
}

/// Keeps all events but those of batches; asks to stop when `stop_after` epochs are done and one
/// step more.
struct Watch {
    events: Mutex<Vec<TrainEvent>>,
    cancel: Cancel,
    stop_after: Option<usize>,
}

impl Watch {
    fn new(stop_after: Option<usize>) -> Self {
        Self {
            events: Mutex::default(),
            cancel: Cancel::new(),
            stop_after,
        }
    }

    fn fit(&self, spec: &TrainSpec, scratch: Option<&Path>) -> Result<Fitted, Error> {
        fit(spec, &data(), &Device::cpu(), scratch, &self.cancel, self)
    }

    fn saw(&self, matches: impl Fn(&TrainEvent) -> bool) -> usize {
        self.events
            .lock()
            .unwrap()
            .iter()
            .filter(|e| matches(e))
            .count()
    }
}

impl Observer<TrainEvent> for Watch {
    fn notify(&self, event: TrainEvent) {
        match event {
            TrainEvent::Batch { epoch, .. } => {
                if self.stop_after.is_some_and(|epochs| epochs < epoch) {
                    self.cancel.request(CancelReason::Interrupted);
                }
            }
            event => self.events.lock().unwrap().push(event),
        }
    }
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    for optimiser in ["adam", "adamw", "sgd"] {
        let spec =
            spec(&PARAMS.replace("epochs: 4", &format!("optimiser: {optimiser}, epochs: 4")));
        let whole = Watch::new(None).fit(&spec, None).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        let first = Watch::new(Some(2));
        let error = first.fit(&spec, Some(&scratch)).unwrap_err();
        assert!(
            matches!(error, Error::Cancelled(CancelReason::Interrupted)),
            "{error}"
        );
        assert_eq!(first.saw(|e| matches!(e, TrainEvent::Checkpoint { .. })), 2);

        let second = Watch::new(None);
        let resumed = second.fit(&spec, Some(&scratch)).unwrap();
        assert_eq!(
            second.saw(|e| matches!(e, TrainEvent::Resumed { epochs_done: 2 })),
            1
        );
        assert_eq!(second.saw(|e| matches!(e, TrainEvent::Epoch { .. })), 2);
        assert_eq!(
            resumed.weights.to_safetensors(),
            whole.weights.to_safetensors(),
            "{optimiser}"
        );
        assert_eq!(resumed.history, whole.history);
        assert_eq!(resumed.kept_epoch, whole.kept_epoch);
    }
}

#[test]
fn a_checkpoint_of_another_training_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    Watch::new(None)
        .fit(&spec(PARAMS), Some(folder.path()))
        .unwrap();
    let other = spec(&PARAMS.replace("0.01", "0.02"));
    let watch = Watch::new(None);
    let fitted = watch.fit(&other, Some(folder.path())).unwrap();
    assert_eq!(
        watch.saw(|e| matches!(e, TrainEvent::CheckpointIgnored { .. })),
        1
    );
    let fresh = Watch::new(None).fit(&other, None).unwrap();
    assert_eq!(fitted.weights, fresh.weights);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let spec = spec(PARAMS);
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            Watch::new(None)
                .fit(&spec, None)
                .unwrap()
                .weights
                .to_safetensors()
        })
    };
    let one = with_threads(1);
    assert_eq!(one, with_threads(2));
    assert_eq!(one, with_threads(5));
}

#[test]
fn it_learns_what_is_there_to_learn() {
    let text = PARAMS
        .replace("epochs: 4", "epochs: 12")
        .replace("one_cycle", "constant");
    let fitted = Watch::new(None).fit(&spec(&text), None).unwrap();
    let last = fitted.history.last().unwrap();
    assert_eq!(last.val_accuracy, Some(1.0), "{:?}", fitted.history);
    assert!(last.train_loss < fitted.history[0].train_loss);
    assert_eq!(fitted.stop, Stop::AllEpochs);
}

#[test]
fn early_stopping_keeps_the_best_epoch() {
    let text = PARAMS.replace(
        "epochs: 4",
        "epochs: 50, early_stopping: {patience: 2, metric: val_accuracy}",
    );
    let watch = Watch::new(None);
    let fitted = watch.fit(&spec(&text), None).unwrap();
    assert_eq!(fitted.stop, Stop::EarlyStopping);
    assert_eq!(fitted.history.len(), fitted.kept_epoch + 2);
    assert_eq!(watch.saw(|e| matches!(e, TrainEvent::EarlyStop { .. })), 1);

    let data = TrainData {
        val: None,
        ..data()
    };
    let watch = Watch::new(None);
    let error = fit(
        &spec(&text),
        &data,
        &Device::cpu(),
        None,
        &watch.cancel,
        &watch,
    )
    .unwrap_err();
    assert!(matches!(error, Error::NothingToStopBy), "{error}");
}

#[test]
fn without_validation_the_last_epoch_is_kept() {
    let data = TrainData {
        val: None,
        ..data()
    };
    let watch = Watch::new(None);
    let fitted = fit(
        &spec(PARAMS),
        &data,
        &Device::cpu(),
        None,
        &watch.cancel,
        &watch,
    )
    .unwrap();
    assert_eq!(fitted.kept_epoch, 4);
    assert!(fitted.history.iter().all(|r| r.val_loss.is_none()));
}

#[test]
fn a_diverging_training_says_so() {
    let text = "
model: {blocks: [{filters: 4, activation: none}], head: {dense: []}}
train: {epochs: 40, batch_size: 8, learning_rate: 10, optimiser: sgd, weight_decay: 1, device: cpu}
";
    let error = Watch::new(None).fit(&spec(text), None).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
}
