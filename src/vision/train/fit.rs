//! The loop over epochs. Imports: base, burn, `vision::{device, model, shard}`, `train::*`.

use std::path::Path;
use std::time::{Duration, Instant};

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device as BurnDevice, Tensor, TensorData};

use crate::base::canon::Canon;
use crate::base::{Cancel, ContentHash, Observer, rng};
use crate::vision::device::Device;
use crate::vision::error::{Error, Precautions};
use crate::vision::kernels::{self, Cpu};
use crate::vision::model::{
    Dropout, Inference, Input, ModelSpec, Network, Plan, Weights, images_tensor, initial_weights,
    ops, read_values,
};
use crate::vision::shard::{Prepared, Split, SplitData};

use super::batch::{Batch, Batcher, Normalisation, Normaliser};
use super::checkpoint::{self, Checkpoint, Found};
use super::early_stop::Metric;
use super::event::TrainEvent;
use super::history::EpochRecord;
use super::optimiser::optimiser;
use super::params::{Keep, TrainParams};
use super::schedule::Schedule;

/// Steps between two looks at the losses. Reading waits for the device, so a GPU should not be asked
/// at every step; a diverging training is still noticed soon.
const READ_STEPS: usize = 16;
/// Images per forward pass in validation.
const VAL_BATCH: usize = 128;

/// What is trained, and how.
#[derive(Clone, Debug)]
pub struct TrainSpec {
    /// The network.
    pub model: ModelSpec,
    /// The training.
    pub params: TrainParams,
}

/// What is learned from.
#[derive(Clone, Debug)]
pub struct TrainData {
    /// Class names.
    pub classes: Vec<String>,
    /// Size of the images.
    pub input: Input,
    /// Mean and standard deviation of the training split.
    pub normalisation: Normalisation,
    /// The training split, not empty.
    pub train: SplitData,
    /// The validation split, if there is one.
    pub val: Option<SplitData>,
    /// Stands for all of it.
    pub content_hash: ContentHash,
}

/// A finished training.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The network with its shapes.
    pub plan: Plan,
    /// The weights of epoch `kept_epoch`.
    pub weights: Weights,
    /// All epochs, in order.
    pub history: Vec<EpochRecord>,
    /// The epoch (from 1) whose weights are the result.
    pub kept_epoch: usize,
    /// Why it ended.
    pub stop: Stop,
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All epochs were done.
    AllEpochs,
    /// The metric no longer improved.
    EarlyStopping,
}

impl TrainData {
    /// Reads training and validation split.
    ///
    /// # Errors
    /// Files are missing or damaged; the training split is empty.
    pub fn load(prepared: &Prepared) -> Result<Self, Error> {
        let train = prepared.load(Split::Train)?;
        if train.labels.is_empty() {
            return Err(Error::EmptySplit {
                path: prepared.dir().to_owned(),
                split: Split::Train.name(),
            });
        }
        let val = prepared.load(Split::Val)?;
        Ok(Self {
            classes: prepared.classes.clone(),
            input: Input {
                height: prepared.height,
                width: prepared.width,
                channels: prepared.channels,
            },
            normalisation: Normalisation {
                mean: prepared.mean.clone(),
                std: prepared.std.clone(),
            },
            train,
            val: (!val.labels.is_empty()).then_some(val),
            content_hash: prepared.content_hash,
        })
    }
}

/// Trains the network of `spec` on `data`.
///
/// With a `scratch` folder the state is saved there after each epoch, and a training that was
/// interrupted goes on after its last whole epoch with the same result, bit for bit, as if it had
/// not been. The folder is left as it is at the end: the caller removes it once the result is safe.
///
/// # Errors
/// The network does not fit the images; early stopping is asked for without a validation split; the
/// loss is no longer finite; the scratch folder cannot be used; `cancel` was requested (what was
/// saved before stays).
pub fn fit(
    spec: &TrainSpec,
    data: &TrainData,
    device: &Device,
    scratch: Option<&Path>,
    cancel: &Cancel,
    observer: &dyn Observer<TrainEvent>,
) -> Result<Fitted, Error> {
    let plan = Plan::new(&spec.model, data.input, data.classes.len())?;
    if spec.params.early_stopping.is_some() && data.val.is_none() {
        return Err(Error::NothingToStopBy);
    }
    let key = training_key(spec, data, device);
    let mut training = Training::new(spec, data, &plan, device)?;
    observer.notify(TrainEvent::Start {
        epochs: spec.params.epochs,
        steps: training.batcher.steps(),
        images: data.train.labels.len(),
        val_images: data.val.as_ref().map_or(0, |val| val.labels.len()),
        parameters: plan.parameters(),
        device: device.name(),
    });
    if let Some(folder) = scratch {
        match checkpoint::load(folder, key, &plan)? {
            Found::Nothing => {}
            Found::Unusable(reason) => observer.notify(TrainEvent::CheckpointIgnored { reason }),
            Found::Usable(checkpoint) => match training.resume(*checkpoint) {
                Ok(()) => observer.notify(TrainEvent::Resumed {
                    epochs_done: training.history.len(),
                }),
                Err(reason) => observer.notify(TrainEvent::CheckpointIgnored { reason }),
            },
        }
    }
    let stop = loop {
        if let Some(best_epoch) = training.stops_early() {
            let epoch = training.history.len();
            observer.notify(TrainEvent::EarlyStop { epoch, best_epoch });
            break Stop::EarlyStopping;
        }
        if training.history.len() == spec.params.epochs {
            break Stop::AllEpochs;
        }
        training.epoch(cancel, observer)?;
        if let Some(folder) = scratch {
            checkpoint::save(folder, key, &training.checkpoint()?)?;
            let epochs_done = training.history.len();
            observer.notify(TrainEvent::Checkpoint { epochs_done });
        }
    };
    let (weights, kept_epoch) = training.result();
    let history = training.history;
    // The maps of the last step; what follows needs other memory.
    kernels::release();
    observer.notify(TrainEvent::End {
        epochs: history.len(),
        kept_epoch,
    });
    Ok(Fitted {
        plan,
        weights,
        history,
        kept_epoch,
        stop,
    })
}

/// Returns the hash of everything on which the result depends: a checkpoint with another key belongs
/// to another training.
fn training_key(spec: &TrainSpec, data: &TrainData, device: &Device) -> ContentHash {
    let mut canon = Canon::new("cvops.training.v1");
    canon.text(env!("CARGO_PKG_VERSION")).text(device.name());
    if device.is_cpu() {
        // The forms of our kernels differ in the last bits.
        canon.text(Cpu::current().name());
    }
    // The derived form names every field: one that is added later is part of the key by itself.
    canon
        .text(&format!("{:?}", spec.model))
        .text(&format!("{:?}", spec.params));
    canon
        .text(&format!("{:?}", data.classes))
        .bytes(data.content_hash.as_bytes());
    canon.finish()
}

/// A training between two epochs.
struct Training<'a> {
    params: &'a TrainParams,
    data: &'a TrainData,
    plan: &'a Plan,
    batcher: Batcher<'a>,
    /// For the message when the loss is no longer finite.
    precautions: Precautions,
    device: BurnDevice,
    /// Where it is validated.
    val_device: Device,
    /// The network; absent only while a step replaces it.
    network: Option<Network>,
    optimiser: ModuleOptimizer,
    history: Vec<EpochRecord>,
    /// Weights of the best epoch, with its index.
    best: Option<(usize, Weights)>,
}

/// Sums over the steps of an epoch.
#[derive(Default)]
struct Tally {
    /// Mean losses and logits of steps not yet read from the device, with the labels.
    pending: Vec<(Tensor<1>, Tensor<2>, Vec<u32>)>,
    loss_sum: f64,
    hits: usize,
    images: usize,
}

impl Tally {
    /// Reads what is pending; `Err` holds the first loss that is not finite.
    fn read(&mut self) -> Result<(), f64> {
        for (loss, logits, labels) in std::mem::take(&mut self.pending) {
            let loss: f64 = read_values(loss).into_iter().map(f64::from).sum();
            if !loss.is_finite() {
                return Err(loss);
            }
            let logits = read_values(logits);
            let rows = logits.chunks_exact(logits.len() / labels.len());
            self.hits += rows
                .zip(&labels)
                .filter(|(row, label)| is_hit(row, **label))
                .count();
            self.loss_sum += loss * labels.len() as f64;
            self.images += labels.len();
        }
        Ok(())
    }

    fn mean_loss(&self) -> Option<f64> {
        (0 < self.images).then(|| self.loss_sum / self.images as f64)
    }
}

impl<'a> Training<'a> {
    fn new(
        spec: &'a TrainSpec,
        data: &'a TrainData,
        plan: &'a Plan,
        device: &Device,
    ) -> Result<Self, Error> {
        let params = &spec.params;
        let batcher = Batcher {
            data: &data.train,
            classes: data.classes.len(),
            normaliser: Normaliser::new(&data.normalisation),
            augment: params.augment,
            label_smoothing: params.label_smoothing,
            batch_size: params.batch_size,
            seed: params.seed,
        };
        let burn = device.training();
        let first = initial_weights(plan, params.seed);
        Ok(Self {
            params,
            data,
            plan,
            batcher,
            precautions: Precautions {
                warms_up: params.schedule == Schedule::OneCycle || 0 < params.warmup_epochs,
                normalises: spec.model.blocks.iter().all(|block| block.batch_norm),
            },
            network: Some(Network::new(plan, &first, &burn)?),
            device: burn,
            val_device: device.clone(),
            optimiser: optimiser(params),
            history: Vec::new(),
            best: None,
        })
    }

    /// Takes over a checkpoint; `Err` says why it cannot be.
    fn resume(&mut self, checkpoint: Checkpoint) -> Result<(), String> {
        let network = Network::new(self.plan, &checkpoint.last, &self.device);
        let network = network.map_err(|p| p.to_string())?;
        let bytes = Bytes::from_bytes_vec(checkpoint.optimiser);
        let optimiser = optimiser(self.params)
            .from_bytes(bytes)
            .map_err(|e| e.to_string())?;
        let best = match self.metric().best(&checkpoint.history) {
            Some(i) if i + 1 == checkpoint.history.len() => Some((i, checkpoint.last)),
            Some(i) => Some((i, checkpoint.best.ok_or("the best weights are missing")?)),
            None => None,
        };
        self.network = Some(network);
        self.optimiser = optimiser;
        self.history = checkpoint.history;
        self.best = best;
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let record = self.optimiser.to_record().into_bytes();
        let optimiser = record.map_err(|e| Error::Optimiser {
            problem: e.to_string(),
        })?;
        let last_is_best = self
            .best
            .as_ref()
            .is_some_and(|(i, _)| i + 1 == self.history.len());
        let best = self.best.as_ref().filter(|_| !last_is_best);
        Ok(Checkpoint {
            history: self.history.clone(),
            last: self.network().weights(),
            best: best.map(|(_, weights)| weights.clone()),
            optimiser: optimiser.to_vec(),
        })
    }

    fn network(&self) -> &Network {
        self.network
            .as_ref()
            .expect("the network is only away within a step")
    }

    fn metric(&self) -> Metric {
        self.params
            .early_stopping
            .map_or(Metric::ValLoss, |stopping| stopping.metric)
    }

    /// Returns the best epoch (from 1) when training should stop.
    fn stops_early(&self) -> Option<usize> {
        let stopping = self.params.early_stopping?;
        let best = self.metric().best(&self.history)?;
        stopping.stops(&self.history).then_some(best + 1)
    }

    /// Returns the weights that are the result, and their epoch (from 1).
    fn result(&self) -> (Weights, usize) {
        match (self.params.keep, &self.best) {
            (Keep::Best, Some((i, weights))) => (weights.clone(), i + 1),
            (Keep::Best, None) | (Keep::Last, _) => (self.network().weights(), self.history.len()),
        }
    }

    /// Trains and validates one epoch.
    fn epoch(&mut self, cancel: &Cancel, observer: &dyn Observer<TrainEvent>) -> Result<(), Error> {
        let epoch = self.history.len();
        let started = Instant::now();
        let steps = self.batcher.steps();
        let mut tally = Tally::default();
        let mut dropout = Dropout(rng::stream(self.params.seed, "dropout", epoch as u64));
        let (mut step, mut images_done, mut rate) = (0, 0, 0.0);
        // The batcher is lent out while steps change the rest, so it leaves `self` for the epoch.
        let batcher = self.batcher.clone();
        let precautions = self.precautions;
        batcher.for_each(epoch, |batch| {
            if let Some(reason) = cancel.reason() {
                return Err(Error::Cancelled(reason));
            }
            rate = self.rate(epoch * steps + step);
            images_done += batch.labels.len();
            tally.pending.push(self.step(batch, rate, &mut dropout));
            step += 1;
            if step % READ_STEPS == 0 || step == steps {
                let diverged = |value| Error::NotFinite {
                    epoch: epoch + 1,
                    step,
                    value,
                    rate,
                    precautions,
                };
                tally.read().map_err(diverged)?;
            }
            let elapsed = started.elapsed().as_secs_f64();
            let images_per_s = images_done as f64 / elapsed.max(1e-9);
            let left = (self.params.epochs - epoch) * self.data.train.labels.len() - images_done;
            observer.notify(TrainEvent::Batch {
                epoch: epoch + 1,
                step,
                steps,
                images_per_s,
                remaining: Duration::try_from_secs_f64(left as f64 / images_per_s)
                    .unwrap_or(Duration::MAX),
                loss: tally.mean_loss(),
            });
            Ok(())
        })?;
        let (val_loss, val_accuracy) = self.validate(cancel)?.unzip();
        if let Some(value) = val_loss.filter(|loss| !loss.is_finite()) {
            let epoch = epoch + 1;
            return Err(Error::NotFinite {
                epoch,
                step,
                value,
                rate,
                precautions,
            });
        }
        let record = EpochRecord {
            epoch: epoch + 1,
            lr: rate,
            train_loss: tally.loss_sum / tally.images as f64,
            train_accuracy: tally.hits as f64 / tally.images as f64,
            val_loss,
            val_accuracy,
        };
        self.history.push(record);
        let is_best = self.metric().best(&self.history) == Some(epoch);
        if is_best {
            self.best = Some((epoch, self.network().weights()));
        }
        observer.notify(TrainEvent::Epoch {
            record,
            seconds: started.elapsed().as_secs_f64(),
            is_best,
        });
        Ok(())
    }

    fn rate(&self, step: usize) -> f64 {
        let steps = self.batcher.steps();
        let (all, warmup) = (
            self.params.epochs * steps,
            self.params.warmup_epochs * steps,
        );
        self.params
            .schedule
            .rate(self.params.learning_rate, step, all, warmup)
    }

    /// One step of the optimiser. Returns mean loss and logits, still on the device, and the labels.
    fn step(
        &mut self,
        batch: Batch,
        rate: f64,
        dropout: &mut Dropout,
    ) -> (Tensor<1>, Tensor<2>, Vec<u32>) {
        let network = self
            .network
            .take()
            .expect("the network is only away within a step");
        let count = batch.labels.len();
        let images = images_tensor(batch.images, self.plan.input, &self.device);
        let targets = TensorData::new(batch.targets, [count, self.plan.classes]);
        let targets = Tensor::<2>::from_data(targets, &self.device);
        let logits = network.forward_train(images, dropout);
        let seen = logits.clone().without_autodiff();
        // Against the (smoothed) targets.
        let loss = ops::cross_entropy(logits, targets);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.optimiser.step(rate, network, gradients));
        (loss.without_autodiff(), seen, batch.labels)
    }

    /// Returns mean cross entropy and accuracy on the validation split.
    fn validate(&self, cancel: &Cancel) -> Result<Option<(f64, f64)>, Error> {
        let Some(val) = &self.data.val else {
            return Ok(None);
        };
        let weights = self.network().weights();
        let network = Inference::new(self.plan, &weights, &self.val_device)?;
        let (total, classes) = (val.labels.len(), self.plan.classes);
        let (mut loss_sum, mut hits) = (0.0, 0);
        for from in (0..total).step_by(VAL_BATCH) {
            if let Some(reason) = cancel.reason() {
                return Err(Error::Cancelled(reason));
            }
            let to = total.min(from + VAL_BATCH);
            let logits = network.logits(self.batcher.normaliser.images(&val.pixels, from, to));
            for (row, &label) in logits.chunks_exact(classes).zip(&val.labels[from..to]) {
                loss_sum += cross_entropy(row, label);
                hits += u32::from(is_hit(row, label));
            }
        }
        let total = total as f64;
        Ok(Some((loss_sum / total, f64::from(hits) / total)))
    }
}

/// Is the first of the largest values the one at `label`?
fn is_hit(logits: &[f32], label: u32) -> bool {
    let largest = logits
        .iter()
        .enumerate()
        .reduce(|a, b| if a.1 < b.1 { b } else { a });
    largest.is_some_and(|(i, _)| i == label as usize)
}

/// Returns -ln of the softmax at `label`.
fn cross_entropy(logits: &[f32], label: u32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - largest).exp()).sum();
    sum.ln() - f64::from(logits[label as usize] - largest)
}
