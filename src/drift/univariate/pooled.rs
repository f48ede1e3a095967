//! One feature of two samples, merged: what all tests of one feature read.
//! Imports: `univariate::sorted`.

use super::sorted::{Column, Run};

/// Two samples of one feature, to be walked through by ascending value.
#[derive(Clone, Copy, Debug)]
pub struct Pooled<'a> {
    reference: &'a Column,
    test: &'a Column,
    /// How many distinct values there are.
    pub(super) distinct: u64,
    /// The greatest i·m − j·n, where i of n reference rows and j of m test rows are not above a
    /// value: the difference of the two distribution functions in units of 1/(n·m). At least 0.
    pub(super) above: i64,
    /// The greatest j·n − i·m.
    pub(super) below: i64,
    /// ∫|i·m − j·n| over all values.
    pub(super) area: f64,
}

/// One distinct value and how often each sample has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The value.
    pub value: f64,
    /// Rows of the reference that have it.
    pub reference: u64,
    /// Rows of the test sample that have it.
    pub test: u64,
}

impl<'a> Pooled<'a> {
    /// Walks through both samples once: time linear in their distinct values.
    #[must_use]
    pub fn new(reference: &'a Column, test: &'a Column) -> Self {
        let mut pooled = Self {
            reference,
            test,
            distinct: 0,
            above: 0,
            below: 0,
            area: 0.0,
        };
        let mut before = (0.0, 0_i64);
        for (step, gap) in pooled.gaps() {
            pooled.distinct += 1;
            pooled.above = pooled.above.max(gap);
            pooled.below = pooled.below.max(-gap);
            // Up to the first value the gap is 0.
            pooled.area += before.1.abs() as f64 * (step.value - before.0);
            before = (step.value, gap);
        }
        pooled
    }

    /// Returns the distinct values, ascending.
    pub fn steps(&self) -> impl Iterator<Item = Step> + use<'a> {
        Steps {
            x: self.reference.runs(),
            y: self.test.runs(),
        }
    }

    /// Returns the number of rows of the reference and of the test sample.
    #[must_use]
    pub fn rows(&self) -> (u64, u64) {
        (
            self.reference.values().len() as u64,
            self.test.values().len() as u64,
        )
    }

    /// Returns the samples.
    pub(super) fn columns(&self) -> (&'a Column, &'a Column) {
        (self.reference, self.test)
    }

    /// Returns each distinct value with i·m − j·n there, see [`Pooled::above`].
    /// Samples whose n·m an `i64` cannot hold would fill 48 GB.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (Step, i64)> + use<'a> {
        let (n, m) = self.rows();
        let (n, m, mut gap) = (n as i64, m as i64, 0);
        self.steps().map(move |step| {
            gap += step.reference as i64 * m - step.test as i64 * n;
            (step, gap)
        })
    }
}

struct Steps<'a> {
    x: &'a [Run],
    y: &'a [Run],
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        match (self.x.first(), self.y.first()) {
            (Some(a), Some(b)) => {
                // No branch depends on the values: which sample comes next cannot be predicted.
                let (in_x, in_y) = (a.value <= b.value, b.value <= a.value);
                self.x = &self.x[usize::from(in_x)..];
                self.y = &self.y[usize::from(in_y)..];
                Some(Step {
                    value: a.value.min(b.value),
                    reference: a.rows * u64::from(in_x),
                    test: b.rows * u64::from(in_y),
                })
            }
            (Some(a), None) => {
                self.x = &self.x[1..];
                Some(Step {
                    value: a.value,
                    reference: a.rows,
                    test: 0,
                })
            }
            (None, Some(b)) => {
                self.y = &self.y[1..];
                Some(Step {
                    value: b.value,
                    reference: 0,
                    test: b.rows,
                })
            }
            (None, None) => None,
        }
    }
}
