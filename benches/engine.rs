//! What the engine does on each command: hashing, walking, reading and connecting stages.
//!
//! `cargo bench --bench engine`; one of them: `cargo bench --bench engine -- walk`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "scenery is built with plain file functions; where that fails there is nothing to measure"
)]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput};
use cvops::base::doc::{Document, Format, ParseCache};
use cvops::base::fs::walk;
use cvops::base::hash::{HashAlgo, hash_file};
use cvops::pipeline::lock::LockFile;
use cvops::pipeline::{Plan, Reach, StageGraph, spec};

fn hash(c: &mut Criterion, dir: &Path) {
    let bytes: Vec<u8> = (0..64u32 << 20).map(|i| ((i * 31) >> 7) as u8).collect();
    let path = dir.join("64MiB");
    fs::write(&path, &bytes).unwrap();
    let mut group = c.benchmark_group("hash_file");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.sample_size(20);
    group.bench_function("64 MiB, in the page cache", |b| {
        b.iter(|| hash_file(HashAlgo::Blake3, black_box(&path)).unwrap());
    });
    group.finish();
}

fn walk_files(c: &mut Criterion, dir: &Path) {
    let root = dir.join("files");
    for class in 0..10 {
        let folder = root.join(format!("class-{class}"));
        fs::create_dir_all(&folder).unwrap();
        for number in 0..500 {
            fs::write(folder.join(format!("{number:04}.png")), b"").unwrap();
        }
    }
    let mut group = c.benchmark_group("walk");
    group.throughput(Throughput::Elements(5000));
    group.bench_function("5,000 files in 10 folders", |b| {
        b.iter(|| assert_eq!(walk(black_box(&root), &|_, _| true).unwrap().len(), 5000));
    });
    group.finish();
}

/// Returns a `pipeline.yaml` of `stages` stages in chains of ten.
fn pipeline(stages: usize) -> String {
    let mut text = String::from("stages:\n");
    for i in 0..stages {
        let dep = if i % 10 == 0 {
            format!("data/{i}.csv")
        } else {
            format!("out/{}.csv", i - 1)
        };
        writeln!(
            text,
            "  stage-{i}:\n    cmd: python step.py {i}\n    deps: [step.py, {dep}]\n    params: [train.lr]\n    outs: [out/{i}.csv]"
        )
        .unwrap();
    }
    text
}

fn plan(c: &mut Criterion) {
    let text = pipeline(10_000);
    let mut group = c.benchmark_group("pipeline.yaml");
    group.throughput(Throughput::Elements(10_000));
    group.sample_size(10);
    group.bench_function("read, connect and plan 10,000 stages", |b| {
        b.iter(|| {
            let document = Document::parse("pipeline.yaml", text.clone(), Format::Yaml).unwrap();
            let graph = StageGraph::build(spec::read(document).unwrap()).unwrap();
            let plan = Plan::select(&graph, &[], Reach::Upstream).unwrap();
            assert_eq!(plan.order().len(), 10_000);
        });
    });
    group.finish();
}

/// Returns a `pipeline.lock` of `stages` stages.
fn lock(stages: usize) -> String {
    let mut text = String::from("schema: '1'\nstages:\n");
    for i in 0..stages {
        let hash = "0123456789abcdef".repeat(4);
        writeln!(
            text,
            "  stage-{i}:\n    cmd: python step.py {i}\n    deps:\n    - path: step.py\n      blake3: {hash}\n    outs:\n    - path: out/{i}.csv\n      blake3: {hash}"
        )
        .unwrap();
    }
    text
}

fn read_lock(c: &mut Criterion, dir: &Path) {
    let path = dir.join("pipeline.lock");
    fs::write(&path, lock(1000)).unwrap();
    let mut group = c.benchmark_group("pipeline.lock");
    group.throughput(Throughput::Elements(1000));
    group.sample_size(20);
    let parsed = dir.join("parsed");
    let read = |cache: &ParseCache| {
        let lock = LockFile::read(&path, "pipeline.lock", cache).unwrap();
        assert_eq!(lock.stages.len(), 1000);
    };
    group.bench_function("read 1,000 stages, changed", |b| {
        b.iter(|| {
            // Gone already the first time.
            let _ = fs::remove_dir_all(&parsed);
            read(&ParseCache::new(parsed.clone()));
        });
    });
    group.bench_function("read 1,000 stages, unchanged", |b| {
        b.iter(|| read(&ParseCache::new(parsed.clone())));
    });
    group.finish();
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let mut c = Criterion::default().configure_from_args();
    hash(&mut c, dir.path());
    walk_files(&mut c, dir.path());
    plan(&mut c);
    read_lock(&mut c, dir.path());
    c.final_summary();
}
