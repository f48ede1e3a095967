//! A network as a table: layer, output, weights, cost; what Keras prints as `model.summary()`.
//! Imports: `model::plan`.

use super::plan::Plan;

/// A network's layers and totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// One row per layer, in order.
    pub rows: Vec<SummaryRow>,
    /// Values in all tensors.
    pub parameters: u64,
    /// Those that the optimiser changes.
    pub learned: u64,
    /// Floating-point operations of one picture's forward pass.
    pub flops: u64,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    /// `blocks.0.conv`.
    pub layer: String,
    /// `conv 3×3, valid, relu`.
    pub what: String,
    /// `33×33×32` or `128`.
    pub output: String,
    /// Values in its tensors.
    pub parameters: u64,
    /// Floating-point operations of one picture's forward pass.
    pub flops: u64,
}

/// Returns the table of `plan`.
#[must_use]
pub fn summary(plan: &Plan) -> Summary {
    let rows = plan.layers.iter().map(|layer| SummaryRow {
        layer: layer.name.clone(),
        what: layer.what.clone(),
        output: layer.output.to_string(),
        parameters: layer.parameters(),
        flops: layer.flops,
    });
    let learned = plan.tensors().filter(|t| t.is_learned());
    Summary {
        rows: rows.collect(),
        parameters: plan.parameters(),
        learned: learned.map(|t| t.len() as u64).sum(),
        flops: plan.flops(),
    }
}
