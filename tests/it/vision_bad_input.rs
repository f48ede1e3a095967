//! What a user can get wrong with pictures, parameters and models: one clear message each, the exit
//! code of the contract, and nothing lost.

use snapbox::str;

use crate::support::pictures::{
    PARAMS, claims, idx, prepared_project, stripes, stripes_project, trained_project,
};
use crate::support::{Project, check};

fn with_params(p: &Project, from: &str, to: &str) {
    assert!(PARAMS.contains(from), "{from}");
    p.write("params.yaml", PARAMS.replace(from, to));
}

// Datasets

#[test]
fn an_empty_class() {
    let p = stripes_project();
    p.write("data/raw/spotted/.gitkeep", "");
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
error: no images in `spotted`
 |
 = help: add PNG, JPEG, WebP, BMP, GIF or TIFF files to the folder, or remove it
[exit 1]
"#]],
    );
}

#[test]
fn one_class_only() {
    let p = stripes_project();
    p.remove("data/raw/along");
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
error: the dataset `data/raw` holds only the class `across`
 |
 = help: a classifier needs at least two classes: add another one beside `across`
[exit 1]
"#]],
    );
}

#[test]
fn pictures_without_classes() {
    let p = stripes_project();
    p.remove("data/raw").write("data/raw/1.png", stripes(0, 1));
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
error: the dataset `data/raw` holds no class folders
 |
 = note: directly in it: 1 image
 = help: put the images into one folder per class: the folder's name is the label
[exit 1]
"#]],
    );
}

#[test]
fn classes_one_folder_too_deep() {
    let p = stripes_project();
    check(
        &p.cvops("preprocess --data data"),
        str![[r#"
--- stderr ---
error: the output `data/prepared` and the dataset `data` lie inside each other
 |
 = help: choose an output folder outside the dataset
[exit 2]
"#]],
    );
    p.pictures("deep/animals", &["cat", "dog"], 2);
    p.pictures("deep/plants", &["oak"], 2);
    check(
        &p.cvops("preprocess --data deep"),
        str![[r#"
--- stderr ---
error: no images in `animals`, `plants`
 |
 = note: `animals`, `plants` hold folders instead
 = help: images lie directly in their class folder; is `animals` the dataset?
[exit 1]
"#]],
    );
}

#[test]
fn a_class_only_in_the_test_split() {
    let p = stripes_project();
    p.remove("data/raw");
    p.pictures("data/raw/train", &["across", "along"], 4);
    p.pictures("data/raw/test", &["across", "allong"], 2);
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
error: `test` has 1 class that `train` lacks: `allong`
 |
 = help: is `allong` meant to be `along`? rename it
[exit 1]
"#]],
    );
    p.remove("data/raw/train");
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
error: the dataset `data/raw` has `test` but no `train`
 |
 = help: add a `train` folder with the same classes, or put the class folders at the top: they are then split automatically
[exit 1]
"#]],
    );
}

#[test]
fn no_such_dataset() {
    check(
        &stripes_project().cvops("preprocess --data raw"),
        str![[r#"
--- stderr ---
error: the dataset `raw` is not a folder
 |
 = help: give a folder that holds one folder of images per class, or a manifest (`.csv`, `.jsonl`)
[exit 2]
"#]],
    );
}

#[test]
fn a_list_with_mistakes() {
    let p = stripes_project();
    check(
        &p.cvops("preprocess --data data/raw/list.csv"),
        str![[r#"
--- stderr ---
error: there is no manifest `data/raw/list.csv`
 |
 = help: check its path
[exit 2]
"#]],
    );
    p.write(
        "data/raw/list.csv",
        "path,label\nacross/01.png,a\nalong/01.png,\nalong/02.png,b\nacross/01.png,b\n../1.png,b\n",
    );
    check(
        &p.cvops("preprocess --data data/raw/list.csv"),
        str![[r#"
--- stderr ---
error: `data/raw/list.csv` has 3 mistakes
 |
 = note: `data/raw/list.csv:3`: the label is empty
 = note: `data/raw/list.csv:5`: `across/01.png` is in line 2 already, as `a`
 = note: `data/raw/list.csv:6`: `../1.png` leaves the folder of the manifest
 = help: each line has `path`, relative to the file's folder, and `label`; `split` is in all lines or in none
[exit 1]
"#]],
    );
    p.write(
        "data/raw/list.jsonl",
        "{\"path\": \"along/01.png\", \"label\": 1}\n{\"path\": \"along/99.png\", \"label\": 2}\n",
    );
    check(
        &p.cvops("data check data/raw/list.jsonl"),
        str![[r#"
--- stderr ---
error: `data/raw/list.jsonl:2`: there is no picture `along/99.png`
 |
 = help: each line has `path`, relative to the file's folder, and `label`; `split` is in all lines or in none
[exit 2]
"#]],
    );
}

#[test]
fn arrays_that_do_not_fit() {
    let p = stripes_project();
    p.write(
        "data/idx/train-images-idx3-ubyte",
        idx(&[2, 8, 8], &[7; 100]),
    )
    .write("data/idx/train-labels-idx1-ubyte", idx(&[2], &[0, 1]));
    check(
        &p.cvops("preprocess --data data/idx"),
        str![[r#"
--- stderr ---
error: `data/idx/train-images-idx3-ubyte` cannot be used: it is truncated: 100 of 128 values
 |
 = help: download it again; there must be images and labels of `train`, and may be of `t10k`
[exit 1]
"#]],
    );
    p.write("data/idx/train-labels-idx1-ubyte", idx(&[3], &[0, 1, 1]));
    check(
        &p.cvops("data check data/idx"),
        str![[r#"
--- stderr ---
error: `data/idx/train-images-idx3-ubyte` cannot be used: it holds 2 images, and `train-labels-idx1-ubyte` 3 labels
 |
 = help: download it again; there must be images and labels of `train`, and may be of `t10k`
[exit 2]
"#]],
    );
}

/// A file of each kind of damage, among 40.
fn damage(p: &Project) {
    let whole = stripes(1, 5);
    let mut flipped = stripes(1, 6);
    flipped[60] ^= 0xff;
    p.write("data/raw/across/00.png", "")
        .write("data/raw/across/01.png", &stripes(0, 1)[..60])
        .write("data/raw/along/03.png", "hello\n")
        .write("data/raw/along/04.png", claims(60_000, 60_000))
        .write("data/raw/along/05.png", &whole[..whole.len() - 200])
        .write("data/raw/along/06.png", flipped);
}

#[test]
fn more_damaged_pictures_than_allowed() {
    let p = prepared_project();
    let before = p.bytes("data/prepared/prepared.json");
    damage(&p);
    with_params(&p, "size: 16", "size: 16, max_pixels: 1000000");
    check(
        &p.cvops("preprocess -q"),
        str![[r#"
--- stderr ---
error: 6 of 40 images could not be read, more than `preprocess.max_corrupt` allows (0)
 |
 = note: `across/00.png`: the file is empty (0 bytes)
 = note: `across/01.png`: the file is truncated
 = note: `along/03.png`: not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)
 = note: `along/04.png`: too large: 60000x60000 pixels, the limit is 1000000 (`max_pixels`)
 = note: `along/05.png`: the file is truncated
 = note: and 1 more
 = help: replace or remove these files, or raise `preprocess.max_corrupt` in params.yaml
[exit 1]
"#]],
    );
    assert_eq!(p.bytes("data/prepared/prepared.json"), before);
}

#[test]
fn damaged_pictures_within_what_is_allowed() {
    let p = stripes_project();
    damage(&p);
    with_params(
        &p,
        "size: 16",
        "size: 16, max_pixels: 1000000, max_corrupt: 0.2",
    );
    check(
        &p.cvops("preprocess"),
        str![[r#"
train 20, val 8, test 6 images
--- stderr ---
40 images in 2 classes
left out along/03.png: not a PNG, JPEG, WebP, BMP, GIF or TIFF image (it is text)
left out along/04.png: too large: 60000x60000 pixels, the limit is 1000000 (`max_pixels`)
left out along/05.png: the file is truncated
left out along/06.png: damaged: CRC error: expected 0x38c3e5a2 have 0xf7d8d0a1
left out across/00.png: the file is empty (0 bytes)
left out across/01.png: the file is truncated
wrote 34 images in 3 shards (26.2 KiB)
[exit 0]
"#]],
    );
    let card = p.read("data/prepared/card.json");
    for name in ["across/00.png", "along/06.png"] {
        assert!(card.contains(name), "{name} in {card}");
    }
}

#[test]
fn too_few_pictures_of_a_class() {
    let p = stripes_project();
    with_params(&p, "size: 16", "size: 16, min_per_class: 100");
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
40 images in 2 classes
error: the class `across` has 12 images for training, fewer than 100
 |
 = help: add images to the class, or lower `preprocess.min_per_class` in params.yaml
[exit 1]
"#]],
    );
}

#[test]
fn an_output_that_is_not_ours() {
    let p = prepared_project();
    p.write("out/notes.txt", "keep\n").write("file", "keep\n");
    for args in [
        "preprocess --out out",
        "preprocess --out file",
        "preprocess --out data/raw/out",
        "preprocess --out data",
        "train --out out",
        "train --out file",
        "train --history out",
    ] {
        let output = p.cvops(args);
        assert_eq!(output.exit, crate::support::Exit::Code(2), "{args}");
    }
    check(
        &p.cvops("preprocess --out out"),
        str![[r#"
--- stderr ---
error: `out` exists and was not written by `preprocess`
 |
 = help: move it away, or choose another output folder
[exit 2]
"#]],
    );
    check(
        &p.cvops("preprocess --out data/raw/out"),
        str![[r#"
--- stderr ---
error: the output `data/raw/out` and the dataset `data/raw` lie inside each other
 |
 = help: choose an output folder outside the dataset
[exit 2]
"#]],
    );
    check(
        &p.cvops("train --out out"),
        str![[r#"
--- stderr ---
error: `out` holds something else than a model
 |
 = help: move it away, or name another folder with `--out`
[exit 2]
"#]],
    );
    check(
        &p.cvops("train --out file"),
        str![[r#"
--- stderr ---
error: `file` is a file, and a model is a folder
 |
 = help: name another folder with `--out`
[exit 2]
"#]],
    );
    check(
        &p.cvops("train --history out"),
        str![[r#"
--- stderr ---
error: `out` is a folder, and the history is a file
 |
 = help: name a file: `--history out/train.jsonl`
[exit 2]
"#]],
    );
    assert_eq!(p.read("out/notes.txt"), "keep\n");
    assert_eq!(p.read("file"), "keep\n");
    assert_eq!(p.names("data/raw"), ["across", "along"]);
}

// Parameters

#[test]
#[expect(clippy::too_many_lines, reason = "one transcript")]
fn every_wrong_parameter_is_shown_at_once() {
    let p = stripes_project();
    p.write(
        "params.yaml",
        "\
preprocess: {size: 4, channels: 2, filter: cubic, sise: 3, val: x}
model:
  blocks:
    - {filters: 0, kernel: 4, poool: max}
  head: {dense: 128}
train:
  epochs: 0
  optimizer: adam
  learning_rate: fast
  augment: {flip: 2}
  early_stopping: {patience: 0, metric: loss}
evaluate: {split: train, top_k: 1, worst: -1}
",
    );
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
error: `preprocess.size` must be a whole number from 8 to 512, or two of them: [height, width]
 --> params.yaml:1:20
  |
1 | preprocess: {size: 4, channels: 2, filter: cubic, sise: 3, val: x}
  |                    ^
error: `preprocess.channels` must be 1 (grey) or 3 (colour)
 --> params.yaml:1:33
  |
1 | preprocess: {size: 4, channels: 2, filter: cubic, sise: 3, val: x}
  |                                 ^
error: `preprocess.filter` must be one of `nearest`, `bilinear`, `catmullrom`, `lanczos3`
 --> params.yaml:1:44
  |
1 | preprocess: {size: 4, channels: 2, filter: cubic, sise: 3, val: x}
  |                                            ^^^^^ not one of them
error: unknown key `sise` in `preprocess`
 --> params.yaml:1:51
  |
1 | preprocess: {size: 4, channels: 2, filter: cubic, sise: 3, val: x}
  |                                                   ^^^^ not a known key
  |
  = help: did you mean `size`?
error: `preprocess.val` must be a number from 0 to 0.5
 --> params.yaml:1:65
  |
1 | preprocess: {size: 4, channels: 2, filter: cubic, sise: 3, val: x}
  |                                                                 ^ this is a text
[exit 2]
"#]],
    );
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: `model.blocks[0].filters` must be a whole number from 1 to 4096
 --> params.yaml:4:17
  |
4 |     - {filters: 0, kernel: 4, poool: max}
  |                 ^ out of range
error: `model.blocks[0].kernel` must be odd
 --> params.yaml:4:28
  |
4 |     - {filters: 0, kernel: 4, poool: max}
  |                            ^
  |
  = help: use 3 or 5
error: unknown key `poool` in `model.blocks[0]`
 --> params.yaml:4:31
  |
4 |     - {filters: 0, kernel: 4, poool: max}
  |                               ^^^^^ not a known key
  |
  = help: did you mean `pool`?
error: `model.head.dense` must be a list of at most 8 whole numbers from 1 to 65536
 --> params.yaml:5:17
  |
5 |   head: {dense: 128}
  |                 ^^^
  |
  = help: for example `dense: [128]`, or `dense: []` for none
error: `train.epochs` must be a whole number from 1 to 10000
 --> params.yaml:7:11
  |
7 |   epochs: 0
  |           ^ out of range
error: unknown key `optimizer` in `train`
 --> params.yaml:8:3
  |
8 |   optimizer: adam
  |   ^^^^^^^^^ not a known key
  |
  = help: did you mean `optimiser`?
error: `train.learning_rate` must be a number from 0.00000001 to 10
 --> params.yaml:9:18
  |
9 |   learning_rate: fast
  |                  ^^^^ this is a text
error: `train.augment.flip` must be a number from 0 to 1
  --> params.yaml:10:19
   |
10 |   augment: {flip: 2}
   |                   ^ out of range
error: `train.early_stopping.patience` must be a whole number from 1 to 10000
  --> params.yaml:11:30
   |
11 |   early_stopping: {patience: 0, metric: loss}
   |                              ^ out of range
error: `train.early_stopping.metric` must be one of `val_loss`, `val_accuracy`
  --> params.yaml:11:41
   |
11 |   early_stopping: {patience: 0, metric: loss}
   |                                         ^^^^ not one of them
[exit 2]
"#]],
    );
    check(
        &p.cvops("evaluate"),
        str![[r#"
--- stderr ---
error: `evaluate.split` must be one of `test`, `val`
  --> params.yaml:12:19
   |
12 | evaluate: {split: train, top_k: 1, worst: -1}
   |                   ^^^^^ not one of them
error: `evaluate.top_k` must be a whole number from 2 to 1000
  --> params.yaml:12:33
   |
12 | evaluate: {split: train, top_k: 1, worst: -1}
   |                                 ^ out of range
error: `evaluate.worst` must be a whole number from 0 to 500
  --> params.yaml:12:43
   |
12 | evaluate: {split: train, top_k: 1, worst: -1}
   |                                           ^^ out of range
[exit 2]
"#]],
    );
    check(
        &p.cvops("evaluate --json"),
        str![[r#"
{"error":{"code":"unknown-choice","help":null,"message":"`evaluate.split` must be one of `test`, `val`","notes":[],"places":[{"column":19,"end_column":24,"end_line":12,"file":"params.yaml","line":12,"text":"not one of them"}],"severity":"error"},"event":"error"}
{"error":{"code":"out-of-range","help":null,"message":"`evaluate.top_k` must be a whole number from 2 to 1000","notes":[],"places":[{"column":33,"end_column":34,"end_line":12,"file":"params.yaml","line":12,"text":"out of range"}],"severity":"error"},"event":"error"}
{"error":{"code":"out-of-range","help":null,"message":"`evaluate.worst` must be a whole number from 0 to 500","notes":[],"places":[{"column":43,"end_column":45,"end_line":12,"file":"params.yaml","line":12,"text":"out of range"}],"severity":"error"},"event":"error"}
[exit 2]
"#]],
    );
}

#[test]
fn a_misspelt_section_is_pointed_out() {
    let p = prepared_project();
    with_params(&p, "train:", "trian:");
    let output = p.ok("train");
    snapbox::assert_data_eq!(
        output.stderr,
        str![[r#"
warning: `params.yaml` has no section `train`; its defaults are used
 --> params.yaml:5:1
  |
5 | trian: {epochs: 3, batch_size: 8}
  | ^^^^^ is this meant to be `train`?
24 images, 8 for validation; 1706 parameters; cpu

"#]]
    );
}

#[test]
fn a_params_file_that_is_missing_or_broken() {
    let p = stripes_project();
    check(
        &p.cvops("preprocess --params parms.yaml"),
        str![[r#"
--- stderr ---
error: could not read `parms.yaml`: No such file or directory (os error 2)
 |
 = help: check the spelling of the path and that it exists
[exit 2]
"#]],
    );
    p.write("params.yaml", "preprocess: [1\n");
    check(
        &p.cvops("preprocess"),
        str![[r#"
--- stderr ---
error: `params.yaml` cannot be parsed
 --> params.yaml:1:15
  |
1 | preprocess: [1
  |               ^ did not find expected ',' or ']' at line 2 column 1, while parsing a flow sequence
[exit 2]
"#]],
    );
}

#[test]
fn a_network_that_does_not_fit_the_pictures() {
    let p = prepared_project();
    let blocks = "blocks: [{filters: 4, pool: max}, {filters: 8, kernel: 9}]";
    with_params(&p, "blocks: [{filters: 4, pool: max}]", blocks);
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: block 2 would shrink 7×7 by a 9×9 kernel
 --> params.yaml:3:37
  |
3 |   blocks: [{filters: 4, pool: max}, {filters: 8, kernel: 9}]
  |                                     ^
  |
  = note: the block is `model.blocks[1]`
  = help: use `padding: same`, a smaller kernel or pool, fewer blocks, or larger images (`preprocess.size`)
[exit 2]
"#]],
    );
    check(
        &p.cvops("summary"),
        str![[r#"
--- stderr ---
error: block 2 would shrink 7×7 by a 9×9 kernel
 --> params.yaml:3:37
  |
3 |   blocks: [{filters: 4, pool: max}, {filters: 8, kernel: 9}]
  |                                     ^
  |
  = note: the block is `model.blocks[1]`
  = help: use `padding: same`, a smaller kernel or pool, fewer blocks, or larger images (`preprocess.size`)
[exit 2]
"#]],
    );
    let params = PARAMS.replace("filters: 4,", "filters: 4096,");
    p.write(
        "params.yaml",
        params.replace("dense: [8]", "dense: [65536]"),
    );
    check(
        &p.cvops("summary"),
        str![[r#"
--- stderr ---
error: the network would have 13153648642 weights, more than 500000000
 --> params.yaml:2:1
  |
2 | model:
  | ^^^^^
  |
  = help: use fewer filters or smaller dense layers
[exit 2]
"#]],
    );
    assert!(!p.exists("models"));
}

#[test]
fn early_stopping_without_validation() {
    let p = stripes_project();
    let params = PARAMS
        .replace("val: 0.2", "val: 0")
        .replace("epochs: 3", "epochs: 3, early_stopping: {patience: 1}");
    p.write("params.yaml", params).ok("preprocess");
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: `train.early_stopping` needs a validation split, and the data has none
 --> params.yaml:5:20
  |
5 | train: {epochs: 3, early_stopping: {patience: 1}, batch_size: 8}
  |                    ^^^^^^^^^^^^^^
  |
  = help: set `preprocess.val` above 0, add a `val` folder, or remove `train.early_stopping`
[exit 2]
"#]],
    );
}

#[test]
fn a_split_that_is_empty() {
    let p = stripes_project();
    let params = PARAMS
        .replace("val: 0.2", "val: 0")
        .replace("bootstrap: 50", "split: val");
    p.write("params.yaml", params).ok("preprocess");
    p.ok("train");
    check(
        &p.cvops("evaluate"),
        str![[r#"
--- stderr ---
error: the val split of `data/prepared` holds no images
 --> params.yaml:6:12
  |
6 | evaluate: {split: val}
  |            ^^^^^
  |
  = help: add a `val` folder to the dataset, or raise `preprocess.val` in params.yaml
[exit 2]
"#]],
    );
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_back_end_that_was_not_built_in() {
    let p = prepared_project();
    with_params(&p, "epochs: 3", "epochs: 3, device: cuda");
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: this cvops was built without the back end `cuda`
 --> params.yaml:5:20
  |
5 | train: {epochs: 3, device: cuda, batch_size: 8}
  |                    ^^^^^^
  |
  = help: set `train.device: auto`, or build with `cargo build --release --features cuda`
[exit 2]
"#]],
    );
}

#[test]
fn a_training_that_diverges() {
    let p = prepared_project();
    // The default network, without batch normalisation.
    p.write(
        "params.yaml",
        "train: {epochs: 3, optimiser: sgd, learning_rate: 10, batch_size: 1}\n",
    );
    check(
        &p.cvops("train -q"),
        str![[r#"
--- stderr ---
error: the loss is no longer a finite number (NaN) in epoch 1, by step 16
 |
 = help: lower `train.learning_rate` (it was 10), warm up for an epoch (`train.warmup: 1`), or add `batch_norm: true`
[exit 1]
"#]],
    );
    assert!(!p.exists("models"));
}

// Prepared data and models

#[test]
fn prepared_data_that_is_missing_damaged_or_of_another_version() {
    let p = prepared_project();
    let shard = "data/prepared/train-00000.safetensors";
    let bytes = p.bytes(shard);
    p.write(shard, &bytes[..bytes.len() - 1]);
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: `data/prepared/train-00000.safetensors` does not hold prepared data: the file was changed or cut since `prepared.json` was written
 |
 = help: run `cvops preprocess` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
    p.remove(shard);
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: `data/prepared/train-00000.safetensors` does not hold prepared data: the file is missing
 |
 = help: run `cvops preprocess` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
    let manifest = p.read("data/prepared/prepared.json");
    let newer = manifest.replace("\"version\": 1", "\"version\": 9");
    p.write("data/prepared/prepared.json", newer);
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: `data/prepared/prepared.json` has format version 9; this program reads version 1
 |
 = help: run `cvops preprocess` (or `cvops repro`) to write it anew
[exit 2]
"#]],
    );
    p.remove("data/prepared");
    check(
        &p.cvops("train"),
        str![[r#"
--- stderr ---
error: `data/prepared/prepared.json` does not hold prepared data: the file is missing
 |
 = help: run `cvops preprocess` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
    assert!(!p.exists("models"));
}

#[test]
fn a_model_that_is_missing_damaged_or_of_another_version() {
    let p = trained_project();
    let manifest = p.read("models/classifier/model.json");
    let newer = manifest.replace("\"version\": 1", "\"version\": 2");
    p.write("models/classifier/model.json", newer);
    check(
        &p.cvops("evaluate"),
        str![[r#"
--- stderr ---
error: `models/classifier/model.json` is a model of format version 2; this program reads version 1
 |
 = help: update cvops, or train the model anew with this version
[exit 2]
"#]],
    );
    check(
        &p.cvops("predict data/raw"),
        str![[r#"
--- stderr ---
error: `models/classifier/model.json` is a model of format version 2; this program reads version 1
 |
 = help: update cvops, or train the model anew with this version
[exit 2]
"#]],
    );
    p.write("models/classifier/model.json", "{");
    check(
        &p.cvops("summary --model models/classifier"),
        str![[r#"
--- stderr ---
error: `models/classifier/model.json` is not a model: EOF while parsing an object at line 1 column 1
 |
 = help: run `cvops train` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
    p.write("models/classifier/model.json", &manifest);
    let weights = p.bytes("models/classifier/model.safetensors");
    p.write(
        "models/classifier/model.safetensors",
        &weights[..weights.len() - 1],
    );
    check(
        &p.cvops("predict data/raw"),
        str![[r#"
--- stderr ---
error: `models/classifier/model.safetensors` is not a model: it is not the file that `model.json` was written for
 |
 = help: run `cvops train` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
    p.remove("models");
    check(
        &p.cvops("predict data/raw"),
        str![[r#"
--- stderr ---
error: `models/classifier/model.json` is not a model: the file is missing
 |
 = help: run `cvops train` (or `cvops repro`) to write it anew
[exit 1]
"#]],
    );
}

#[test]
fn a_model_of_other_classes_or_another_size() {
    let p = trained_project();
    p.pictures("data/raw", &["diagonal"], 20).ok("preprocess");
    check(
        &p.cvops("evaluate"),
        str![[r#"
--- stderr ---
error: the model in `models/classifier` knows other classes than `data/prepared` holds
 |
 = note: model: across, along
 = note: data: across, along, diagonal
 = help: train it on this data, or name the data it was trained on
[exit 2]
"#]],
    );
    p.remove("data/raw/diagonal");
    with_params(&p, "size: 16", "size: 20");
    p.ok("preprocess");
    check(
        &p.cvops("evaluate"),
        str![[r#"
--- stderr ---
error: the model takes images of 16×16×3, these are 20×20×3
 |
 = help: prepare the data with the same `preprocess.size` and `preprocess.channels`
[exit 2]
"#]],
    );
    assert!(!p.exists("reports/metrics.json"));
}

#[test]
fn a_broken_history() {
    let p = trained_project();
    let history = p.read("reports/train.jsonl");
    p.write("reports/train.jsonl", history + "oops\n");
    check(
        &p.cvops("evaluate"),
        str![[r#"
--- stderr ---
error: line 4 of `reports/train.jsonl` is no epoch record: expected value at line 1 column 1
 |
 = help: it is written by `cvops train`; delete it to go without training curves
[exit 1]
"#]],
    );
    assert!(!p.exists("reports/metrics.json"));
}
