//! Training steps and predictions of one network: cvops's side of `scripts/bench/cnn.sh`, where the
//! peers compute the same networks.
//!
//! `cargo bench --bench cnn -- step NET THREADS STEPS`, or `predict NET THREADS`. Prints lines of
//! JSON as `scripts/bench/cnn/figures.py` describes them; not a criterion bench, because what
//! matters on a shared machine is CPU time. A step is one of `fit`: with shuffling, normalising and
//! the optimiser. A prediction starts from bytes.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own; where its scenery cannot be built there is nothing to measure"
)]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cvops::base::doc::{Document, Format, KeyPath, Problems};
use cvops::base::{Cancel, ContentHash, rng};
use cvops::vision::artifact::ModelArtifact;
use cvops::vision::dataset::Exclusions;
use cvops::vision::device::{Device, choose_cpu};
use cvops::vision::image::Pixels;
use cvops::vision::model::{Input, ModelSpec};
use cvops::vision::params::PreprocessParams;
use cvops::vision::predict::Predictor;
use cvops::vision::preprocess::preprocess;
use cvops::vision::shard::{Prepared, SplitData};
use cvops::vision::train::{Normalisation, TrainData, TrainEvent, TrainParams, TrainSpec, fit};
use image::{ImageFormat, RgbImage};
use rand::Rng;
use rustix::time::{ClockId, clock_gettime};

/// As in the program itself: what a step costs depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: step NET THREADS STEPS, or predict NET THREADS";
const CHANNELS: usize = 3;
const BATCH: usize = 64;
/// Predictions before the clock starts.
const WARM: usize = 5;
/// Pictures of a prediction, and how often it is timed.
const PREDICTIONS: [(usize, usize); 2] = [(1, 500), (32, 60)];

/// A network of the comparison; `scripts/bench/cnn/networks.py` describes the same ones.
struct Net {
    name: &'static str,
    preset: &'static str,
    side: usize,
    classes: usize,
}

impl Net {
    const ALL: [Self; 4] = [
        Self::new("cnn35", "cnn35", 35, 10),
        Self::new("emoji64", "cnn35", 64, 9),
        Self::new("lenet", "lenet", 35, 10),
        Self::new("resnet8", "resnet8", 32, 10),
    ];

    const fn new(name: &'static str, preset: &'static str, side: usize, classes: usize) -> Self {
        Self {
            name,
            preset,
            side,
            classes,
        }
    }

    /// Returns the parameters as a user would write them, read.
    fn params(&self, epochs: usize) -> (PreprocessParams, TrainSpec) {
        let text = format!(
            "preprocess: {{size: {}}}\nmodel: {{preset: {}}}\ntrain: {{epochs: {epochs}, batch_size: {BATCH}, device: cpu}}\n",
            self.side, self.preset
        );
        let document = Document::parse("params.yaml", text, Format::Yaml).unwrap();
        let problems = Problems::new(&document);
        let section = |name: &str| problems.fields(KeyPath::root().key(name));
        let params = PreprocessParams::read(section("preprocess"));
        let spec = TrainSpec {
            model: ModelSpec::read(section("model")),
            params: TrainParams::read(section("train")),
        };
        // Otherwise a preset that is not there would be measured as the default one.
        problems.into_result((params, spec)).unwrap()
    }

    /// Returns `count` pictures of noise.
    fn noise(&self, count: usize) -> Pixels {
        let mut data = vec![0; count * self.side * self.side * CHANNELS];
        rng::stream(1, "noise", count as u64).fill_bytes(&mut data);
        Pixels::from_data(self.side, self.side, CHANNELS, data).unwrap()
    }

    /// Returns noise to train on, without a validation split.
    fn train_data(&self, images: usize) -> TrainData {
        TrainData {
            classes: (0..self.classes).map(|i| i.to_string()).collect(),
            input: Input {
                height: self.side,
                width: self.side,
                channels: CHANNELS,
            },
            normalisation: Normalisation {
                mean: vec![0.5; CHANNELS],
                std: vec![0.3; CHANNELS],
            },
            train: SplitData {
                pixels: self.noise(images),
                labels: (0..images).map(|i| (i % self.classes) as u32).collect(),
                paths: (0..images).map(|i| format!("{i}.png")).collect(),
                contents: vec![String::new(); images],
            },
            val: None,
            content_hash: ContentHash::of(b"noise"),
        }
    }

    /// Writes pictures of noise, ten of each class, into folders named as the classes.
    fn write_pictures(&self, dir: &Path) {
        let side = self.side as u32;
        let pixels = self.noise(10 * self.classes);
        for i in 0..pixels.count() {
            let folder = dir.join(format!("class-{}", i % self.classes));
            fs::create_dir_all(&folder).unwrap();
            let picture = RgbImage::from_raw(side, side, pixels.image(i).to_vec()).unwrap();
            picture
                .save_with_format(folder.join(format!("{i}.png")), ImageFormat::Png)
                .unwrap();
        }
    }

    /// Returns the network as an epoch on a handful of pictures leaves it: what it has learned does
    /// not change what asking it costs.
    fn predictor(&self) -> Predictor {
        let (params, spec) = self.params(1);
        let dir = tempfile::tempdir().unwrap();
        let (raw, prepared) = (dir.path().join("raw"), dir.path().join("prepared"));
        self.write_pictures(&raw);
        let cancel = Cancel::new();
        preprocess(
            &raw,
            &prepared,
            &params,
            &Exclusions::default(),
            &cancel,
            &|_| {},
        )
        .unwrap();
        let prepared = Prepared::open(&prepared).unwrap();
        let data = TrainData::load(&prepared).unwrap();
        let device = Device::cpu();
        let fitted = fit(&spec, &data, &device, None, &cancel, &|_| {}).unwrap();
        Predictor::new(
            ModelArtifact::new(&fitted, &spec.params, &prepared),
            &device,
        )
        .unwrap()
    }
}

/// A moment on both clocks.
#[derive(Clone, Copy)]
struct Mark {
    wall: Instant,
    /// User and system time of all threads so far.
    cpu: Duration,
}

impl Mark {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            wall: Instant::now(),
            cpu: Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32),
        }
    }
}

/// Prints what lies between `marks`, one turn of `images` pictures between each two.
fn print(net: &Net, threads: usize, what: &str, images: usize, marks: &[Mark]) {
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    let total = (images * (marks.len() - 1)) as f64;
    let mut turns: Vec<Duration> = marks
        .windows(2)
        .map(|pair| pair[1].wall - pair[0].wall)
        .collect();
    turns.sort_unstable();
    let figure = serde_json::json!({
        "peer": "cvops",
        "net": net.name,
        "threads": threads,
        "what": what,
        "median_ms": turns[turns.len() / 2].as_secs_f64() * 1e3,
        "img_per_s": total / (last.wall - first.wall).as_secs_f64(),
        "cpu_ms_per_img": (last.cpu.as_secs_f64() - first.cpu.as_secs_f64()) * 1e3 / total,
        "rss_mib": peak_mib(),
    });
    println!("{figure}");
}

/// Returns the largest memory the process has had so far, where the system says so (Linux).
fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib >> 10)
}

/// Times the steps of the second of two epochs; the first is the warm-up.
fn step(net: &Net, threads: usize, steps: usize) {
    let (_, spec) = net.params(2);
    let data = net.train_data(steps * BATCH);
    let marks = Mutex::new(Vec::with_capacity(steps + 1));
    let observer = |event: TrainEvent| match event {
        TrainEvent::Epoch { record, .. } if record.epoch == 1 => {
            marks.lock().unwrap().push(Mark::now());
        }
        TrainEvent::Batch { epoch: 2, .. } => marks.lock().unwrap().push(Mark::now()),
        _ => {}
    };
    fit(
        &spec,
        &data,
        &Device::cpu(),
        None,
        &Cancel::new(),
        &observer,
    )
    .unwrap();
    let marks = marks.into_inner().unwrap();
    assert_eq!(
        marks.len(),
        steps + 1,
        "one mark before and after each step"
    );
    print(net, threads, "step", BATCH, &marks);
}

/// Times predictions of one picture and of 32.
fn predict(net: &Net, threads: usize) {
    let predictor = net.predictor();
    let cancel = Cancel::new();
    for (images, turns) in PREDICTIONS {
        let pixels = net.noise(images);
        let ask = || predictor.predict(black_box(&pixels), &cancel).unwrap();
        for _ in 0..WARM {
            black_box(ask());
        }
        let mut marks = Vec::with_capacity(turns + 1);
        marks.push(Mark::now());
        for _ in 0..turns {
            black_box(ask());
            marks.push(Mark::now());
        }
        print(net, threads, &format!("predict b{images}"), images, &marks);
    }
}

fn main() {
    // cargo adds `--bench`.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (name, threads, steps) = match args[..] {
        ["step", name, threads, steps] => (name, threads, Some(steps)),
        ["predict", name, threads] => (name, threads, None),
        // `cargo bench` and `cargo test --benches` run every bench with nothing to do.
        [] => return println!("{USAGE}"),
        _ => panic!("{USAGE}"),
    };
    let net = Net::ALL.iter().find(|net| net.name == name);
    let net = net.unwrap_or_else(|| panic!("no network {name}; {USAGE}"));
    let number = |text: &str| match text.parse::<usize>() {
        Ok(number) if 0 < number => number,
        _ => panic!("{text} is not a number above 0; {USAGE}"),
    };
    let threads = number(threads);
    if let Ok(name) = std::env::var("CVOPS_CPU") {
        choose_cpu(&name).unwrap();
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .unwrap();
    match steps {
        Some(steps) => step(net, threads, number(steps)),
        None => predict(net, threads),
    }
}
