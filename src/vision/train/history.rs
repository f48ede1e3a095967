//! What is known of each finished epoch; one line of `reports/train.jsonl`. Imports: nothing of
//! ours.

use serde::{Deserialize, Serialize};

/// The figures of one epoch. Holds no time, so equal trainings have equal histories.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Learning rate of the epoch's last step.
    pub lr: f64,
    /// Mean loss over the epoch's training images, as trained (smoothed targets, dropout).
    pub train_loss: f64,
    /// Share of the epoch's training images told right, as trained.
    pub train_accuracy: f64,
    /// Mean cross entropy on the validation split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Share of the validation split told right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
}

/// Numbers of a record in a checkpoint.
pub(super) const NUMBERS: usize = 6;

impl EpochRecord {
    /// Returns the record as one line of JSON, without the line end; numbers rounded to six
    /// decimals (the learning rate: six significant digits).
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut line = format!(
            "{{\"epoch\":{},\"lr\":{:e},\"train_loss\":{},\"train_accuracy\":{}",
            self.epoch,
            significant(self.lr),
            six(self.train_loss),
            six(self.train_accuracy)
        );
        for (name, value) in [
            ("val_loss", self.val_loss),
            ("val_accuracy", self.val_accuracy),
        ] {
            if let Some(value) = value {
                line += &format!(",\"{name}\":{}", six(value));
            }
        }
        line + "}"
    }

    /// Reads a line written by `to_json`; unknown keys are ignored.
    ///
    /// # Errors
    /// It is not such a line.
    pub fn from_json(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// Returns the record as numbers, exactly; absent ones are NaN.
    pub(super) fn to_numbers(self) -> [f64; NUMBERS] {
        [
            self.epoch as f64,
            self.lr,
            self.train_loss,
            self.train_accuracy,
            self.val_loss.unwrap_or(f64::NAN),
            self.val_accuracy.unwrap_or(f64::NAN),
        ]
    }

    /// Inverse of `to_numbers`.
    pub(super) fn from_numbers(numbers: [f64; NUMBERS]) -> Self {
        let [
            epoch,
            lr,
            train_loss,
            train_accuracy,
            val_loss,
            val_accuracy,
        ] = numbers;
        let known = |value: f64| (!value.is_nan()).then_some(value);
        Self {
            epoch: epoch as usize,
            lr,
            train_loss,
            train_accuracy,
            val_loss: known(val_loss),
            val_accuracy: known(val_accuracy),
        }
    }
}

/// Rounds to the six decimals of our reports: noise in the last digits is no change.
pub(in crate::vision) fn six(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn significant(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_rounded_and_read_back() {
        let record = EpochRecord {
            epoch: 3,
            lr: 0.001_234_567_8,
            train_loss: 0.123_456_789,
            train_accuracy: 0.5,
            val_loss: None,
            val_accuracy: Some(1.0),
        };
        let line = record.to_json();
        assert_eq!(
            line,
            r#"{"epoch":3,"lr":1.23457e-3,"train_loss":0.123457,"train_accuracy":0.5,"val_accuracy":1}"#
        );
        let read = EpochRecord::from_json(&line).unwrap();
        assert_eq!((read.epoch, read.val_loss), (3, None));
        assert_eq!(EpochRecord::from_numbers(record.to_numbers()), record);
    }
}
