//! `cvops summary`: the network as a table.

use snapbox::str;

use crate::support::pictures::{PARAMS, trained_project};
use crate::support::{check, project};

#[test]
fn without_any_file_it_is_the_default_network() {
    check(
        &project().cvops("summary"),
        str![[r#"
layer            what                   output    parameters  MFLOP
blocks.0.conv    conv 3×3, valid, relu  33×33×32         896   1.88
blocks.1.conv    conv 3×3, valid, relu  31×31×32        9248  17.71
blocks.1.pool    max pool 2×2           15×15×32           0   0.03
blocks.2.conv    conv 3×3, valid, relu  13×13×64       18496   6.23
blocks.3.conv    conv 3×3, valid, relu  11×11×64       36928   8.92
blocks.3.pool    max pool 2×2           5×5×64             0   0.01
head.flatten     flatten                1600               0   0.00
dense.0          dense, relu            128           204928   0.41
dense.0.dropout  dropout 0.5            128                0   0.00
output           dense                  10              1290   0.00
total                                                 271786  35.20
--- stderr ---
there is no `params.yaml`: every parameter has its default
[exit 0]
"#]],
    );
}

#[test]
fn a_preset_and_its_changes() {
    let p = project();
    p.write(
        "params.yaml",
        "preprocess: {size: 28, channels: 1}\n\
         model: {preset: lenet, batch_norm: true, head: {dense: [84]}}\n",
    );
    check(
        &p.cvops("summary --classes 5"),
        str![[r#"
layer          what              output    parameters  MFLOP
blocks.0.conv  conv 5×5, same    28×28×6          150   0.24
blocks.0.norm  batch norm, relu  28×28×6           24   0.01
blocks.0.pool  max pool 2×2      14×14×6            0   0.00
blocks.1.conv  conv 5×5, valid   10×10×16        2400   0.48
blocks.1.norm  batch norm, relu  10×10×16          64   0.00
blocks.1.pool  max pool 2×2      5×5×16             0   0.00
head.flatten   flatten           400                0   0.00
dense.0        dense, relu       84             33684   0.07
output         dense             5                425   0.00
total                                           36747   0.80
[exit 0]
"#]],
    );
}

#[test]
fn blocks_as_declared() {
    let p = project();
    p.write("params.yaml", PARAMS);
    check(
        &p.cvops("summary --md"),
        str![[r#"
| layer         | what                  | output  | parameters | MFLOP |
| ------------- | --------------------- | ------- | ---------: | ----: |
| blocks.0.conv | conv 3×3, valid, relu | 14×14×4 |        112 |  0.04 |
| blocks.0.pool | max pool 2×2          | 7×7×4   |          0 |  0.00 |
| head.flatten  | flatten               | 196     |          0 |  0.00 |
| dense.0       | dense, relu           | 8       |       1576 |  0.00 |
| output        | dense                 | 10      |         90 |  0.00 |
| total         |                       |         |       1778 |  0.05 |
[exit 0]
"#]],
    );
    check(
        &p.cvops("summary --json"),
        str![[r#"
{"flops":46416,"layers":[{"flops":42336,"layer":"blocks.0.conv","output":"14×14×4","parameters":112,"what":"conv 3×3, valid, relu"},{"flops":784,"layer":"blocks.0.pool","output":"7×7×4","parameters":0,"what":"max pool 2×2"},{"flops":0,"layer":"head.flatten","output":"196","parameters":0,"what":"flatten"},{"flops":3136,"layer":"dense.0","output":"8","parameters":1576,"what":"dense, relu"},{"flops":160,"layer":"output","output":"10","parameters":90,"what":"dense"}],"learned":1778,"parameters":1778}
[exit 0]
"#]],
    );
}

#[test]
fn classes_and_size_come_from_the_prepared_data_and_the_model() {
    let p = trained_project();
    let declared = p.ok("summary").stdout;
    assert!(declared.contains("1706"), "{declared}");
    p.write("params.yaml", "model: {preset: lenet}\n");
    assert_eq!(p.ok("summary --model models/classifier").stdout, declared);
}
