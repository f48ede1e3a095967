//! One feature of two samples, sorted and merged: what all tests of one feature read.
//! Imports: `univariate::sorted`.

use super::sorted::Column;

/// Two samples of one feature as the distinct values of both, ascending.
#[derive(Clone, Debug)]
pub struct Pooled {
    steps: Vec<Step>,
    reference: u64,
    test: u64,
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

impl Pooled {
    /// Merges two samples. Takes time linear in their rows.
    #[must_use]
    pub fn new(reference: &Column, test: &Column) -> Self {
        let (mut x, mut y) = (reference.values(), test.values());
        let mut steps = Vec::with_capacity(x.len() + y.len());
        loop {
            let value = match (x.first(), y.first()) {
                (Some(a), Some(b)) => a.min(*b),
                (Some(a), None) | (None, Some(a)) => *a,
                (None, None) => break,
            };
            let (in_x, in_y) = (run(x, value), run(y, value));
            (x, y) = (&x[in_x..], &y[in_y..]);
            steps.push(Step {
                value,
                reference: in_x as u64,
                test: in_y as u64,
            });
        }
        Self {
            steps,
            reference: reference.values().len() as u64,
            test: test.values().len() as u64,
        }
    }

    /// Returns the distinct values, ascending.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns the number of rows of the reference and of the test sample.
    #[must_use]
    pub fn rows(&self) -> (u64, u64) {
        (self.reference, self.test)
    }

    /// Returns each distinct value with i·m − j·n, where i of n reference rows and j of m test rows
    /// are not above it: the difference of the two distribution functions there, in units of 1/(n·m).
    pub(super) fn gaps(&self) -> impl Iterator<Item = (&Step, i128)> {
        let (n, m) = (i128::from(self.reference), i128::from(self.test));
        self.steps.iter().scan(0, move |gap, step| {
            *gap += i128::from(step.reference) * m - i128::from(step.test) * n;
            Some((step, *gap))
        })
    }
}

/// Returns how many of the `sorted` values, the first of which is not below `value`, equal it.
fn run(sorted: &[f64], value: f64) -> usize {
    sorted.iter().take_while(|other| **other == value).count()
}
