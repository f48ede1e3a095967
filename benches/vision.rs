//! What preparing and asking cost per picture: decoding with resizing, and the network `cnn35`.
//!
//! `cargo bench --bench vision`; one of them: `cargo bench --bench vision -- predict`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "scenery is built with plain file functions; where that fails there is nothing to measure"
)]

use std::fs;
use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, Throughput};
use cvops::base::Cancel;
use cvops::base::doc::{Document, Format, KeyPath, Problems};
use cvops::vision::artifact::ModelArtifact;
use cvops::vision::dataset::Exclusions;
use cvops::vision::device::Device;
use cvops::vision::image::{Pixels, decode, fit};
use cvops::vision::model::ModelSpec;
use cvops::vision::params::PreprocessParams;
use cvops::vision::predict::Predictor;
use cvops::vision::preprocess::preprocess;
use cvops::vision::shard::Prepared;
use cvops::vision::train::{TrainData, TrainParams, TrainSpec, fit as train};
use image::{ImageFormat, Rgb, RgbImage};

/// One epoch suffices: how well the network knows its pictures does not change what asking costs.
const PARAMS: &str = "model: {preset: cnn35}\ntrain: {epochs: 1, device: cpu}\n";

/// Returns a PNG as of a photograph: smooth light with noise in the lowest bits, so that the file
/// cannot be made much smaller than the pixels.
fn png(side: u32, seed: u32) -> Vec<u8> {
    let picture = RgbImage::from_fn(side, side, |x, y| {
        let level = |channel: u32| {
            let light = 64 + (x + y) * 128 / (2 * side);
            let mixed = (x + side * y + seed)
                .wrapping_mul(3)
                .wrapping_add(channel)
                .wrapping_mul(0x9e37_79b1);
            (light + (mixed >> 27)) as u8
        };
        Rgb([level(0), level(1), level(2)])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn prepare(c: &mut Criterion, params: &PreprocessParams) {
    let mut group = c.benchmark_group("prepare");
    for side in [64, 512] {
        let bytes = png(side, 1);
        let picture = decode(&bytes, params.limits).unwrap();
        assert_eq!((picture.width, picture.height), (side, side));
        let kib = bytes.len() >> 10;
        group.throughput(Throughput::Bytes(picture.data.len() as u64));
        group.bench_function(format!("decode a PNG of {side}x{side}, {kib} KiB"), |b| {
            b.iter(|| decode(black_box(&bytes), params.limits).unwrap());
        });
        group.bench_function(format!("resize {side}x{side} to 35x35"), |b| {
            b.iter(|| fit(black_box(&picture), &params.target).unwrap());
        });
    }
    group.finish();
}

/// Returns `cnn35`, trained for an epoch on a handful of pictures.
fn predictor(params: &PreprocessParams, spec: &TrainSpec) -> Predictor {
    let dir = tempfile::tempdir().unwrap();
    let (raw, prepared) = (dir.path().join("raw"), dir.path().join("prepared"));
    for (label, class) in ["a", "b"].iter().enumerate() {
        fs::create_dir_all(raw.join(class)).unwrap();
        for number in 0..10 {
            let bytes = png(35, 1 + number + 10 * label as u32);
            fs::write(raw.join(class).join(format!("{number}.png")), bytes).unwrap();
        }
    }
    let cancel = Cancel::new();
    preprocess(
        &raw,
        &prepared,
        params,
        &Exclusions::default(),
        &cancel,
        &|_| {},
    )
    .unwrap();
    let prepared = Prepared::open(&prepared).unwrap();
    let data = TrainData::load(&prepared).unwrap();
    let device = Device::cpu();
    let fitted = train(spec, &data, &device, None, &cancel, &|_| {}).unwrap();
    let model = ModelArtifact::new(&fitted, &spec.params, &prepared);
    Predictor::new(model, &device).unwrap()
}

fn predict(c: &mut Criterion, predictor: &Predictor) {
    let mut group = c.benchmark_group("predict with cnn35");
    for count in [1, 32] {
        let mut pixels = Pixels::new(35, 35, 3);
        for i in 0..count {
            pixels.push(&vec![i as u8; 35 * 35 * 3]);
        }
        group.throughput(Throughput::Elements(count));
        let pictures = if count == 1 { "picture" } else { "pictures" };
        group.bench_function(format!("{count} {pictures}"), |b| {
            b.iter(|| {
                predictor
                    .predict(black_box(&pixels), &Cancel::new())
                    .unwrap()
            });
        });
    }
    group.finish();
}

fn main() {
    let document = Document::parse("params.yaml", PARAMS.to_owned(), Format::Yaml).unwrap();
    let problems = Problems::new(&document);
    let section = |name: &str| problems.fields(KeyPath::root().key(name));
    let params = PreprocessParams::read(section("preprocess"));
    let spec = TrainSpec {
        model: ModelSpec::read(section("model")),
        params: TrainParams::read(section("train")),
    };
    let mut c = Criterion::default().configure_from_args();
    prepare(&mut c, &params);
    predict(&mut c, &predictor(&params, &spec));
    c.final_summary();
}
