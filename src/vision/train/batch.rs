//! Batches: pictures and targets as the network takes them, made one step ahead of it.
//!
//! Imports: `vision::{augment, image, shard}`, `base::rng`, rayon.

use std::sync::mpsc;
use std::thread;

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::rng;
use crate::vision::augment::{self, AugmentParams, augment};
use crate::vision::image::Pixels;
use crate::vision::shard::SplitData;

/// How values 0..=1 are centred and scaled, per channel: (value - mean) / std.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Mean of the training split.
    pub mean: Vec<f64>,
    /// Standard deviation of the training split, above 0.
    pub std: Vec<f64>,
}

/// One picture as its owner has it, `[height, width, channels]`.
#[derive(Clone, Copy, Debug)]
pub enum Sample<'a> {
    /// Values 0..=255, as decoded.
    Bytes(&'a [u8]),
    /// Values 0..=1, as clients send that scale pictures themselves.
    Unit(&'a [f32]),
}

/// Brings pictures into the form of the network's input.
#[derive(Clone, Debug)]
pub(in crate::vision) struct Normaliser {
    factor: Vec<f32>,
    offset: Vec<f32>,
}

impl Normaliser {
    pub(in crate::vision) fn new(normalisation: &Normalisation) -> Self {
        let factor = normalisation.std.iter().map(|std| (1.0 / std) as f32);
        let pairs = normalisation.mean.iter().zip(&normalisation.std);
        Self {
            factor: factor.collect(),
            offset: pairs.map(|(mean, std)| (-mean / std) as f32).collect(),
        }
    }

    /// Normalises a picture of values 0..=1, `[height, width, channels]`.
    fn apply(&self, picture: &mut [f32]) {
        match (&self.factor[..], &self.offset[..]) {
            // The usual numbers of channels, known to the compiler.
            ([factor], [offset]) => normalise(picture, [*factor], [*offset]),
            ([f0, f1, f2], [o0, o1, o2]) => normalise(picture, [*f0, *f1, *f2], [*o0, *o1, *o2]),
            (factor, offset) => {
                for pixel in picture.chunks_exact_mut(factor.len()) {
                    for ((value, factor), offset) in pixel.iter_mut().zip(factor).zip(offset) {
                        *value = *value * factor + offset;
                    }
                }
            }
        }
    }

    /// Returns pictures `from..to` as the network takes them, `[count, height, width, channels]`.
    pub(in crate::vision) fn images(&self, pixels: &Pixels, from: usize, to: usize) -> Vec<f32> {
        let samples: Vec<Sample<'_>> = (from..to).map(|i| Sample::Bytes(pixels.image(i))).collect();
        self.samples(&samples, pixels.image_len())
    }

    /// Returns pictures of `len` values each as the network takes them, `[count, height, width,
    /// channels]`.
    pub(in crate::vision) fn samples(&self, samples: &[Sample<'_>], len: usize) -> Vec<f32> {
        let mut images = vec![0.0; samples.len() * len];
        let write = |picture: &mut [f32], sample: &Sample<'_>| {
            match sample {
                Sample::Bytes(bytes) => augment::scale(bytes, picture),
                Sample::Unit(values) => picture.copy_from_slice(values),
            }
            self.apply(picture);
        };
        if let [sample] = samples {
            // Not worth the way to another thread.
            write(&mut images, sample);
        } else {
            let pictures = images.par_chunks_exact_mut(len).zip(samples);
            pictures.for_each(|(picture, sample)| write(picture, sample));
        }
        images
    }
}

/// Normalises pixels of `C` channels.
fn normalise<const C: usize>(picture: &mut [f32], factor: [f32; C], offset: [f32; C]) {
    for pixel in picture.as_chunks_mut::<C>().0 {
        for c in 0..C {
            pixel[c] = pixel[c] * factor[c] + offset[c];
        }
    }
}

/// One step's input.
pub(super) struct Batch {
    /// `[count, height, width, channels]`, normalised.
    pub(super) images: Vec<f32>,
    /// `[count, classes]`: what the softmax should be.
    pub(super) targets: Vec<f32>,
    /// Class of each image.
    pub(super) labels: Vec<u32>,
}

/// Makes the batches of one training.
#[derive(Clone)]
pub(super) struct Batcher<'a> {
    pub(super) data: &'a SplitData,
    pub(super) classes: usize,
    pub(super) normaliser: Normaliser,
    pub(super) augment: AugmentParams,
    pub(super) label_smoothing: f64,
    pub(super) batch_size: usize,
    pub(super) seed: u64,
}

impl Batcher<'_> {
    /// Returns the number of steps of one epoch.
    pub(super) fn steps(&self) -> usize {
        self.data.labels.len().div_ceil(self.batch_size)
    }

    /// Calls `each` with every batch of `epoch` (from 0) in order, while the next one is being made
    /// on another thread. Ends at the first error of `each`.
    pub(super) fn for_each<E>(
        &self,
        epoch: usize,
        mut each: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut order: Vec<usize> = (0..self.data.labels.len()).collect();
        order.shuffle(&mut rng::stream(self.seed, "shuffle", epoch as u64));
        // Capacity 0: the producer works on one batch ahead and waits to hand it over, so memory
        // holds two batches, whatever the device's pace.
        let (sender, receiver) = mpsc::sync_channel(0);
        thread::scope(|scope| {
            scope.spawn(move || {
                for members in order.chunks(self.batch_size) {
                    // The receiver is gone when `each` failed: nobody wants the rest.
                    if sender.send(self.batch(epoch, members)).is_err() {
                        break;
                    }
                }
            });
            // Taken by value, so that it is dropped before the scope waits for the producer.
            receiver.into_iter().try_for_each(&mut each)
        })
    }

    fn batch(&self, epoch: usize, members: &[usize]) -> Batch {
        let pixels = &self.data.pixels;
        let len = pixels.image_len();
        let shape = augment::Shape {
            height: pixels.height(),
            width: pixels.width(),
            channels: pixels.channels(),
        };
        let mut images = vec![0.0; members.len() * len];
        let pictures = images.par_chunks_exact_mut(len).zip(members);
        pictures.for_each(|(picture, &member)| {
            let image = pixels.image(member);
            if self.augment.is_off() {
                augment::scale(image, picture);
            } else {
                let mut rng = augment::dice(self.seed, epoch, member);
                augment(image, shape, &self.augment, &mut rng, picture);
            }
            self.normaliser.apply(picture);
        });
        let labels: Vec<u32> = members.iter().map(|&m| self.data.labels[m]).collect();
        let spread = self.label_smoothing / self.classes as f64;
        let mut targets = vec![spread as f32; labels.len() * self.classes];
        for (row, &label) in targets.chunks_exact_mut(self.classes).zip(&labels) {
            row[label as usize] = (1.0 - self.label_smoothing + spread) as f32;
        }
        Batch {
            images,
            targets,
            labels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> SplitData {
        let bytes: Vec<u8> = (0..5 * 2 * 2 * 3).map(|i| (i * 4) as u8).collect();
        SplitData {
            pixels: Pixels::from_data(2, 2, 3, bytes).unwrap(),
            labels: vec![0, 1, 0, 1, 0],
            paths: (0..5).map(|i| format!("{i}.png")).collect(),
            contents: vec![String::new(); 5],
        }
    }

    fn batcher(data: &SplitData) -> Batcher<'_> {
        Batcher {
            data,
            classes: 2,
            normaliser: Normaliser::new(&Normalisation {
                mean: vec![0.0, 0.5, 1.0],
                std: vec![1.0, 0.5, 0.25],
            }),
            augment: AugmentParams::default(),
            label_smoothing: 0.2,
            batch_size: 2,
            seed: 9,
        }
    }

    #[test]
    fn each_channel_has_its_normalisation() {
        let data = data();
        let images = batcher(&data).normaliser.images(&data.pixels, 0, 1);
        let channels = [(0.0, 1.0), (0.5, 0.5), (1.0, 0.25)];
        for (i, got) in images.iter().enumerate() {
            let (mean, std) = channels[i % 3];
            let expected = (i as f32 * 4.0 / 255.0 - mean) / std;
            assert!((got - expected).abs() < 1e-5, "{images:?} {i} {expected}");
        }
    }

    #[test]
    fn an_epoch_shows_every_image_once_in_an_order_of_its_own() {
        let data = data();
        let batcher = batcher(&data);
        let firsts = |epoch| {
            let mut firsts = Vec::new();
            let done: Result<(), ()> = batcher.for_each(epoch, |batch| {
                assert!(batch.labels.len() <= 2);
                assert_eq!(batch.targets.len(), batch.labels.len() * 2);
                assert!((batch.targets[batch.labels[0] as usize] - 0.9).abs() < 1e-6);
                firsts.extend(batch.images.chunks(12).map(|image| image[0].to_bits()));
                Ok(())
            });
            assert_eq!(done, Ok(()));
            firsts
        };
        let (first, second) = (firsts(0), firsts(2));
        assert_eq!(first, firsts(0));
        assert_ne!(first, second);
        let sorted = |mut v: Vec<u32>| {
            v.sort_unstable();
            v
        };
        assert_eq!(sorted(first), sorted(second));
    }

    #[test]
    fn an_error_ends_the_epoch_and_its_producer() {
        let data = data();
        let mut seen = 0;
        let result = batcher(&data).for_each(0, |_| {
            seen += 1;
            Err("stop")
        });
        assert_eq!((result, seen), (Err("stop"), 1));
    }
}
