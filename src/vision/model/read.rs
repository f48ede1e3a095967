//! Reads the `model` section of `params.yaml`: a preset with changes, or blocks and a head.
//!
//! | key | value | default |
//! |---|---|---|
//! | `preset` | `cnn35`, `lenet`, `resnet8`, `resnet20` | `cnn35` when there are no `blocks` |
//! | `batch_norm`, `dropout` | with a preset: change it | as the preset |
//! | `blocks` | list of blocks, at most 64 | |
//! | `blocks[i].filters` | 1 to 4096 | required, but for a depthwise block |
//! | `blocks[i].kernel` | 1 to 31, odd | 3 |
//! | `blocks[i].stride` | 1 to 8 | 1 |
//! | `blocks[i].padding` | `valid`, `same` | `valid` |
//! | `blocks[i].batch_norm` | true or false | false |
//! | `blocks[i].activation` | `relu`, `leaky_relu`, `none` | `relu` |
//! | `blocks[i].pool` | `max`, `avg`, `none` | `none` |
//! | `blocks[i].pool_size` | 2 to 16 | 2 |
//! | `blocks[i].dropout` | 0 to 0.95 | 0 |
//! | `blocks[i].depthwise` | true or false | false |
//! | `blocks[i].residual` | 0 to i + 1 | 0 |
//! | `head.global_pool` | `max`, `avg`, `none` | `none` |
//! | `head.dense` | list of 1 to 65536, at most 8 | `[128]`, or the preset's |
//! | `head.dropout` | 0 to 0.95 | 0, or the preset's |
//!
//! Imports: `base::doc`.

use crate::base::doc::{Fields, KeyPath, On, Problems, Value};

use super::spec::{
    Activation, BLOCKS_MAX, ConvBlock, DENSE_MAX, DROPOUT_MAX, FILTERS_MAX, Head, KERNEL_MAX,
    ModelSpec, POOL_SIZE_MAX, Padding, Pool, Preset, STRIDE_MAX, UNITS_MAX,
};

const POOLS: [(&str, Pool); 3] = [("max", Pool::Max), ("avg", Pool::Avg), ("none", Pool::None)];

impl ModelSpec {
    /// Reads the section `model`; problems are reported to the document's collector and replaced by
    /// defaults. Shapes are checked later by `Plan::new`, which knows the size of the images.
    #[must_use]
    pub fn read(fields: Fields<'_, '_>) -> Self {
        let spec = if fields.has("blocks") {
            for key in ["preset", "dropout", "batch_norm"] {
                if fields.has(key) {
                    let help = match key {
                        "preset" => "remove one of the two",
                        "dropout" => "set `dropout` in `model.head`, or in the blocks",
                        _ => "set `batch_norm` in the blocks",
                    };
                    fields.problem(
                        key,
                        On::Key,
                        "conflicting-keys",
                        format!(
                            "`{}` changes a preset, but `blocks` is given",
                            fields.path(key)
                        ),
                        Some(help.to_owned()),
                    );
                }
            }
            let head = Head {
                global_pool: Pool::None,
                dense: vec![128],
                dropout: 0.0,
            };
            Self {
                blocks: read_blocks(&fields),
                head: read_head(fields.section("head"), head),
            }
        } else {
            let mut spec = fields
                .choice("preset", Preset::Cnn35, &Preset::NAMES)
                .spec();
            let default = spec.blocks.iter().all(|block| block.batch_norm);
            let batch_norm = fields.bool("batch_norm", default);
            for block in &mut spec.blocks {
                block.batch_norm = batch_norm;
            }
            spec.head.dropout = fields.float("dropout", spec.head.dropout, 0.0..=DROPOUT_MAX);
            spec.head = read_head(fields.section("head"), spec.head);
            spec
        };
        fields.finish();
        spec
    }
}

fn read_blocks(fields: &Fields<'_, '_>) -> Vec<ConvBlock> {
    let problems = fields.problems();
    let at = fields.path("blocks");
    let items = match fields.get("blocks") {
        Some(Value::List(items)) => items,
        Some(other) => {
            let label = format!("this is {}", other.kind());
            let headline = format!("`{at}` must be a list of blocks");
            let help = "for example `blocks: [{filters: 32, pool: max}, {filters: 64}]`".to_owned();
            problems.report(&at, On::Value, "wrong-type", headline, label, Some(help));
            return Vec::new();
        }
        None => return Vec::new(),
    };
    if BLOCKS_MAX < items.len() {
        let headline = format!("`{at}` must have at most {BLOCKS_MAX} blocks");
        let label = format!("{} blocks", items.len());
        problems.report(&at, On::Key, "out-of-range", headline, label, None);
    }
    let mut channels = None;
    (0..items.len().min(BLOCKS_MAX))
        .map(|i| read_block(problems, at.index(i), i, &mut channels))
        .collect()
}

/// Reads block number `index`. `channels` is what it gets, if the blocks say so (the first one gets
/// the pictures'), and what it gives afterwards.
fn read_block(
    problems: &Problems<'_>,
    at: KeyPath,
    index: usize,
    channels: &mut Option<u64>,
) -> ConvBlock {
    let fields = problems.fields(at);
    let plain = ConvBlock::plain(1);
    let filters = fields.optional_int("filters", 1..=FILTERS_MAX as u64);
    let depthwise = fields.bool("depthwise", plain.depthwise);
    if depthwise {
        if let (Some(filters), Some(channels)) = (filters, *channels)
            && filters != channels
        {
            let headline = format!(
                "`{}` must be {channels}, the channels that this depthwise block gets",
                fields.path("filters")
            );
            let help = "leave `filters` out".to_owned();
            fields.problem("filters", On::Value, "out-of-range", headline, Some(help));
        }
        *channels = channels.or(filters);
    } else {
        *channels = filters;
    }
    if !depthwise && !fields.has("filters") {
        let headline = format!(
            "`{}` needs `filters`, the number of output channels",
            fields.at()
        );
        problems.report(fields.at(), On::Value, "missing-key", headline, "", None);
    }
    let kernel = fields.int("kernel", plain.kernel as u64, 1..=KERNEL_MAX as u64) as usize;
    if kernel.is_multiple_of(2) {
        let headline = format!("`{}` must be odd", fields.path("kernel"));
        let help = format!("use {} or {}", kernel - 1, kernel + 1);
        fields.problem("kernel", On::Value, "out-of-range", headline, Some(help));
    }
    let block = ConvBlock {
        filters: filters.unwrap_or(u64::from(!depthwise)) as usize,
        kernel,
        stride: fields.int("stride", plain.stride as u64, 1..=STRIDE_MAX as u64) as usize,
        padding: fields.choice(
            "padding",
            plain.padding,
            &[("valid", Padding::Valid), ("same", Padding::Same)],
        ),
        batch_norm: fields.bool("batch_norm", plain.batch_norm),
        activation: fields.choice(
            "activation",
            plain.activation,
            &[
                ("relu", Activation::Relu),
                ("leaky_relu", Activation::LeakyRelu),
                ("none", Activation::None),
            ],
        ),
        pool: fields.choice("pool", plain.pool, &POOLS),
        pool_size: fields.int(
            "pool_size",
            plain.pool_size as u64,
            2..=POOL_SIZE_MAX as u64,
        ) as usize,
        dropout: fields.float("dropout", plain.dropout, 0.0..=DROPOUT_MAX),
        depthwise,
        residual: fields.int("residual", plain.residual as u64, 0..=index as u64 + 1) as usize,
    };
    fields.finish();
    block
}

fn read_head(fields: Fields<'_, '_>, default: Head) -> Head {
    let head = Head {
        global_pool: fields.choice("global_pool", default.global_pool, &POOLS),
        dense: read_dense(&fields, default.dense),
        dropout: fields.float("dropout", default.dropout, 0.0..=DROPOUT_MAX),
    };
    fields.finish();
    head
}

fn read_dense(fields: &Fields<'_, '_>, default: Vec<usize>) -> Vec<usize> {
    let Some(value) = fields.get("dense") else {
        return default;
    };
    let expected = format!("a list of at most {DENSE_MAX} whole numbers from 1 to {UNITS_MAX}");
    let units = value.as_list().filter(|items| items.len() <= DENSE_MAX);
    let units: Option<Vec<usize>> = units.and_then(|items| {
        let unit = |item: &Value| usize::try_from(item.as_i64()?).ok();
        items
            .iter()
            .map(|item| unit(item).filter(|n| (1..=UNITS_MAX).contains(n)))
            .collect()
    });
    units.unwrap_or_else(|| {
        let headline = format!("`{}` must be {expected}", fields.path("dense"));
        let help = "for example `dense: [128]`, or `dense: []` for none".to_owned();
        fields.problem("dense", On::Value, "wrong-type", headline, Some(help));
        default
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Error;
    use crate::base::doc::{Document, Format};

    fn read(text: &str) -> Result<ModelSpec, Vec<String>> {
        let document =
            Document::parse("params.yaml", text.to_owned(), Format::Yaml).expect("valid YAML");
        let problems = Problems::new(&document);
        let spec = ModelSpec::read(problems.fields(KeyPath::root().key("model")));
        problems.into_result(spec).map_err(|error| match error {
            Error::Document { problems, .. } => problems.into_iter().map(|d| d.headline).collect(),
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn presets_and_blocks_are_read() {
        assert_eq!(read("{}"), Ok(Preset::Cnn35.spec()));
        let lenet = read("model: {preset: lenet, batch_norm: true, head: {dense: []}}").unwrap();
        assert!(lenet.blocks.iter().all(|b| b.batch_norm && b.kernel == 5));
        assert!(lenet.head.dense.is_empty());
        assert!((read("model: {dropout: 0.25}").unwrap().head.dropout - 0.25).abs() < 1e-12);

        let spec =
            read("model:\n  blocks:\n    - {filters: 8, pool: avg, pool_size: 3}\n").unwrap();
        assert_eq!(spec.blocks.len(), 1);
        assert_eq!(
            (spec.blocks[0].pool, spec.blocks[0].pool_size),
            (Pool::Avg, 3)
        );
        assert_eq!(spec.head.dense, [128]);

        let resnet = read("model: {preset: resnet8}").unwrap();
        assert_eq!(resnet, Preset::Resnet8.spec());
        let plain = read("model: {preset: resnet20, batch_norm: false}").unwrap();
        assert!(plain.blocks.iter().all(|b| !b.batch_norm));

        let spec = read(
            "model:\n  blocks:\n    - {depthwise: true}\n    - {filters: 8, kernel: 1}\n    \
             - {depthwise: true, filters: 8, residual: 3}\n",
        );
        let blocks: Vec<_> = spec
            .unwrap()
            .blocks
            .iter()
            .map(|b| (b.filters, b.depthwise, b.residual))
            .collect();
        assert_eq!(blocks, [(0, true, 0), (8, false, 0), (8, true, 3)]);
    }

    #[test]
    fn every_problem_is_named() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
        check(
            "model: {preset: cnn36}",
            &["`model.preset` must be one of `cnn35`, `lenet`, `resnet8`, `resnet20`"],
        );
        check(
            "model: {preset: lenet, blocks: [{filters: 3}]}",
            &["`model.preset` changes a preset, but `blocks` is given"],
        );
        check(
            "model: {blocks: 3}",
            &["`model.blocks` must be a list of blocks"],
        );
        check(
            "model:\n  blocks:\n    - {kernel: 4, filtres: 8}\n    - 7\n",
            &[
                "`model.blocks[0]` needs `filters`, the number of output channels",
                "`model.blocks[0].kernel` must be odd",
                "unknown key `filtres` in `model.blocks[0]`",
                "`model.blocks[1]` must be a mapping of keys to values",
                "`model.blocks[1]` needs `filters`, the number of output channels",
            ],
        );
        check(
            "model:\n  blocks:\n    - {filters: 8, residual: 2}\n    - {depthwise: 1}\n    \
             - {depthwise: true, residual: -1}\n    - {depthwise: true, filters: 9}\n",
            &[
                "`model.blocks[0].residual` must be a whole number from 0 to 1",
                "`model.blocks[1]` needs `filters`, the number of output channels",
                "`model.blocks[1].depthwise` must be `true` or `false`",
                "`model.blocks[2].residual` must be a whole number from 0 to 3",
            ],
        );
        check(
            "model:\n  blocks:\n    - {filters: 8}\n    - {depthwise: true}\n    \
             - {depthwise: true, filters: 9}\n",
            &["`model.blocks[2].filters` must be 8, the channels that this depthwise block gets"],
        );
        check(
            "model: {head: {dense: 128}}",
            &["`model.head.dense` must be a list of at most 8 whole numbers from 1 to 65536"],
        );
        check(
            "model: {head: {dropout: 1}}",
            &["`model.head.dropout` must be a number from 0 to 0.95"],
        );
    }
}
